//! What `x-merge` says, and where it is refused or ignored.

use crate::compile;
use syncline_schema::{MergePolicy, PathStep};

/// Rules as `/path/*: Policy`, and the places of those that are ignored.
#[track_caller]
fn check(schema: &str, rules: &[&str], ignored: &[&str]) {
    let schema = compile(schema).unwrap_or_else(|error| panic!("{error}"));
    let found = schema.merge_rules();
    let shown = |(path, policy): &(Vec<PathStep>, MergePolicy)| {
        let step = |step: &PathStep| match step {
            PathStep::Name(name) => format!("/{name}"),
            PathStep::Found(pattern) => format!("/~{}", pattern.source()),
            PathStep::Others(others) => {
                let names: Vec<_> = others.names.iter().map(|name| &**name).collect();
                let patterns = others.patterns.iter().map(|pattern| pattern.source());
                let patterns: String = patterns.map(|source| format!("~{source}")).collect();
                format!("/!{}{patterns}", names.join(","))
            }
            PathStep::Any => "/*".to_owned(),
        };
        format!("{}: {policy:?}", path.iter().map(step).collect::<String>())
    };
    assert_eq!(found.rules.iter().map(shown).collect::<Vec<_>>(), rules);
    let places = found
        .ignored
        .iter()
        .map(|ignored| ignored.pointer.to_string());
    assert_eq!(places.collect::<Vec<_>>(), ignored);
}

#[test]
fn every_policy_has_a_word() {
    let words = [
        ("last", MergePolicy::Last),
        ("first", MergePolicy::First),
        ("set", MergePolicy::Set),
        ("append", MergePolicy::Append),
        ("keyed", MergePolicy::Keyed(None)),
        ("counter", MergePolicy::Counter),
        ("max", MergePolicy::Max),
        ("min", MergePolicy::Min),
        ("text", MergePolicy::Text),
        ("atomic", MergePolicy::Atomic),
    ];
    for (word, policy) in words {
        let schema = compile(&format!(r#"{{"x-merge":"{word}"}}"#)).unwrap();
        assert_eq!(schema.merge_rules().rules, [(Vec::new(), policy)]);
    }
}

#[test]
fn rules_are_found_by_path() {
    check(
        r#"{"properties":{
            "visits":{"type":"integer","x-merge":"counter"},
            "tags":{"type":"array","x-merge":"set"},
            "steps":{"type":"array","x-merge":{"keyed":"id"},
                "items":{"properties":{"note":{"x-merge":"text"}}}},
            "parts":{"x-merge":"keyed","x-merge-key":"slug"}}}"#,
        &[
            r#"/parts: Keyed(Some("slug"))"#,
            r#"/steps: Keyed(Some("id"))"#,
            "/steps/*/note: Text",
            "/tags: Set",
            "/visits: Counter",
        ],
        &[],
    );
    check(
        r#"{"additionalProperties":{"x-merge":"max"}}"#,
        &["/*: Max"],
        &[],
    );
    check(
        r#"{"patternProperties":{"^total$":{"x-merge":"max"},".*":{"x-merge":"last"},"^n":{"x-merge":"min"}}}"#,
        &["/total: Max", "/~^n: Min", "/*: Last"],
        &[],
    );
    check(
        r#"{"prefixItems":[{"x-merge":"first"},{"x-merge":"last"}],"items":{"x-merge":"atomic"}}"#,
        &["/0: First", "/1: Last", "/*: Atomic"],
        &["/prefixItems/0", "/prefixItems/1"],
    );
    check(
        r#"{"properties":{"n":{"items":{"type":"integer","x-merge":"counter"}},
            "o":{"items":{"type":"object","x-merge":"atomic"}},
            "p":{"prefixItems":[{"properties":{"c":{"x-merge":"counter"}}}]},
            "t":{"items":{"type":["string","null"],"x-merge":"text"}}}}"#,
        &[
            "/n/*: Counter",
            "/o/*: Atomic",
            "/p/0/c: Counter",
            "/t/*: Text",
        ],
        &[
            "/properties/n/items",
            "/properties/p/prefixItems/0/properties/c",
            "/properties/t/items",
        ],
    );
}

#[test]
fn references_and_all_of_are_followed() {
    check(
        r##"{"allOf":[{"properties":{"a":{"$ref":"#/$defs/n"}}},{"$ref":"#/$defs/b"}],
            "$defs":{"n":{"x-merge":"counter"},"b":{"properties":{"b":{"$ref":"#/$defs/n"}}}}}"##,
        &["/a: Counter", "/b: Counter"],
        &[],
    );
    // A tree: its own children have no rule that a pattern could say.
    check(
        r##"{"properties":{"title":{"x-merge":"text"},"children":{"items":{"$ref":"#"}}}}"##,
        &["/title: Text"],
        &[""],
    );
}

#[test]
fn what_no_pattern_can_say_is_ignored_and_named() {
    let ways = [
        r#"{"anyOf":[{"x-merge":"set"}]}"#,
        r#"{"oneOf":[{"x-merge":"set"}]}"#,
        r#"{"not":{"x-merge":"set"}}"#,
        r#"{"if":true,"then":{"x-merge":"set"}}"#,
        r#"{"contains":{"x-merge":"set"}}"#,
        r#"{"$defs":{"unused":{"x-merge":"set"}}}"#,
        r#"{"unevaluatedItems":{"x-merge":"set"}}"#,
        r#"{"dependentSchemas":{"a":{"x-merge":"set"}}}"#,
        // The first item must not be merged as a set.
        r#"{"prefixItems":[true],"items":{"x-merge":"set"}}"#,
    ];
    for way in ways {
        let schema = compile(way).unwrap();
        let rules = schema.merge_rules();
        let is_set = |(_, policy): &&(Vec<PathStep>, MergePolicy)| *policy == MergePolicy::Set;
        assert_eq!(rules.rules.iter().filter(is_set).count(), 0, "{way}");
        assert_eq!(rules.ignored.len(), 1, "{way}");
    }
}

#[test]
fn all_other_members_have_rules() {
    check(
        r#"{"properties":{"a":{"x-merge":"last"},"b":true},"additionalProperties":{"x-merge":"set"}}"#,
        &["/a: Last", "/!a,b: Set"],
        &[],
    );
    check(
        r#"{"patternProperties":{"^a":true,"z$":{"items":{"x-merge":"max"}}},
            "additionalProperties":{"properties":{"n":{"x-merge":"counter"}},
                "additionalProperties":{"x-merge":"min"}}}"#,
        &["/~z$/*: Max", "/!~^a~z$/n: Counter", "/!~^a~z$/!n: Min"],
        &[],
    );
    let schema = r#"{"properties":{"a":true},"patternProperties":{"^x":true},
        "additionalProperties":{"x-merge":"set"}}"#;
    let schema = compile(schema).unwrap();
    let (path, _) = &schema.merge_rules().rules[0];
    let [PathStep::Others(others)] = path.as_slice() else {
        panic!("{path:?}")
    };
    assert_eq!(
        ["a", "xa", "b", "ax", ""].map(|name| others.has(name)),
        [false, false, true, true, true]
    );
}

#[test]
fn wrong_rules_are_refused() {
    for (schema, place) in [
        (r#"{"x-merge":"lww"}"#, "/x-merge"),
        (r#"{"x-merge":1}"#, "/x-merge"),
        (r#"{"x-merge":{"keyed":1}}"#, "/x-merge"),
        (r#"{"x-merge":{"keyed":"a","b":1}}"#, "/x-merge"),
        (r#"{"x-merge":{"keyed":"a"},"x-merge-key":"b"}"#, "/x-merge"),
        (r#"{"x-merge":"set","x-merge-key":"id"}"#, "/x-merge"),
        (r#"{"x-merge-key":"id"}"#, "/x-merge-key"),
        (r#"{"x-merge":"keyed","x-merge-key":1}"#, "/x-merge-key"),
        (
            r#"{"items":{"type":"string","x-merge":"counter"}}"#,
            "/items/x-merge",
        ),
        (r#"{"type":["object","null"],"x-merge":"set"}"#, "/x-merge"),
        (r#"{"type":"array","x-merge":"text"}"#, "/x-merge"),
        (
            r#"{"allOf":[{"properties":{"a":{"x-merge":"max"}}},{"properties":{"a":{"x-merge":"min"}}}]}"#,
            "/allOf/1/properties/a/x-merge",
        ),
    ] {
        let error = compile(schema).unwrap_err();
        assert_eq!(error.pointer.to_string(), place, "{schema}: {error}");
    }
}

#[test]
fn a_rule_fits_the_types_that_it_merges() {
    let check = |rule: &str, types: &str, fits: bool| {
        let schema = format!(r#"{{"x-merge":"{rule}","type":{types}}}"#);
        let error = compile(&schema).err().map(|error| error.to_string());
        assert_eq!(error.is_none(), fits, "{schema}: {error:?}");
        error.unwrap_or_default()
    };
    for rule in ["append", "max", "min", "text", "last", "atomic"] {
        check(rule, r#""string""#, true);
    }
    for rule in ["max", "min", "counter"] {
        check(rule, r#""integer""#, true);
        check(rule, r#""number""#, true);
        check(rule, r#""array""#, false);
    }
    for rule in ["append", "set", "keyed"] {
        check(rule, r#""array""#, true);
        check(rule, r#""number""#, false);
    }
    check("set", r#""string""#, false);
    check("counter", r#"["string","integer"]"#, true);
    let error = check("max", r#""object""#, false);
    assert!(
        error.contains("values of type number or string, and type is object"),
        "{error}"
    );
}
