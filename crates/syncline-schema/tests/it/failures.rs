//! What a failure says: place, rule, reason, and what would mend it.

use crate::{compile, json};
use syncline_merge::Patch;
use syncline_model::json::Pointer;
use syncline_schema::{Correction, Report};

#[track_caller]
fn report(schema: &str, document: &str) -> Report {
    compile(schema).unwrap().check(&json(document))
}

#[track_caller]
fn check(schema: &str, document: &str, place: &str, rule: &str, reason: &str) {
    let report = report(schema, document);
    assert_eq!(report.failed, 1, "{report:?}");
    let failure = &report.failures[0];
    assert_eq!(failure.place.to_string(), place);
    assert_eq!(failure.rule.to_string(), rule);
    assert_eq!(failure.reason, reason);
    assert_eq!(failure.rule.last().unwrap_or("false"), failure.keyword);
}

#[test]
fn failures_name_place_rule_and_reason() {
    check(
        r#"{"items":{"type":["string","null"]}}"#,
        r#"["a",1]"#,
        "/1",
        "/items/type",
        "expected null or string, found number",
    );
    check(
        r#"{"type":"integer"}"#,
        "1.5",
        "",
        "/type",
        "expected integer, found a number that is not whole",
    );
    check(
        r#"{"properties":{"a/b":{"minimum":3}}}"#,
        r#"{"a/b":2.9}"#,
        "/a~1b",
        "/properties/a~1b/minimum",
        "must be at least 3",
    );
    check(
        r#"{"minLength":3}"#,
        r#""é""#,
        "",
        "/minLength",
        "must have at least 3, has 1 character",
    );
    check(
        r#"{"maxItems":1}"#,
        "[1,2]",
        "",
        "/maxItems",
        "must have at most 1, has 2 items",
    );
    check(
        r#"{"enum":["a",null,[1]]}"#,
        "1",
        "",
        "/enum",
        r#"must be one of "a", null, an array of 1 item"#,
    );
}

#[test]
fn failures_of_members_name_them() {
    check(
        r#"{"required":["a"]}"#,
        "{}",
        "",
        "/required",
        r#"member "a" is missing"#,
    );
    check(
        r#"{"properties":{"a":true},"additionalProperties":false}"#,
        r#"{"zzz":1}"#,
        "/zzz",
        "/additionalProperties",
        r#"the schema allows no member "zzz" here"#,
    );
    check(
        r#"{"properties":{"a":false}}"#,
        r#"{"a":1}"#,
        "/a",
        "/properties",
        r#"member "a" is not allowed"#,
    );
    check(
        r#"{"propertyNames":{"maxLength":1}}"#,
        r#"{"ab":1}"#,
        "/ab",
        "/propertyNames",
        r#""ab" is no name for a member here"#,
    );
}

#[test]
fn failures_of_alternatives_say_why() {
    check(
        r#"{"uniqueItems":true}"#,
        "[1,1.0]",
        "",
        "/uniqueItems",
        "has two equal items",
    );
    check(
        r#"{"not":{}}"#,
        "1",
        "",
        "/not",
        "fits what it must not fit",
    );
    check(
        r#"{"items":{"not":true}}"#,
        "[1]",
        "/0",
        "/items/not",
        "fits what it must not fit",
    );
    check(
        r#"{"anyOf":[{"type":"string"},{"required":["a"]}]}"#,
        "{}",
        "",
        "/anyOf",
        r#"fits none of 2 alternatives: (1) expected string, found object, (2) member "a" is missing"#,
    );
    check(
        r#"{"oneOf":[{"items":{"type":"string"}}]}"#,
        "[1]",
        "",
        "/oneOf",
        r#"at "/0": expected string, found number"#,
    );
    check(
        r#"{"oneOf":[true,false,{}]}"#,
        "1",
        "",
        "/oneOf",
        "fits alternatives 1 and 3 at once, and only one may fit",
    );
    check(
        r#"{"contains":{"type":"string"}}"#,
        "[1]",
        "",
        "/contains",
        "needs at least 1 item as contains asks for, found 0",
    );
    check(
        r#"{"prefixItems":[true],"items":false}"#,
        "[1,2]",
        "/1",
        "/items",
        "no item is allowed at index 1",
    );
    check("false", "1", "", "", "nothing is allowed here");
    check(
        r##"{"properties":{"a":{"$ref":"#/$defs/n"}},"$defs":{"n":{"type":"null"}}}"##,
        r#"{"a":1}"#,
        "/a",
        "/$defs/n/type",
        "expected null, found number",
    );
}

#[test]
fn all_failures_are_told() {
    let report = report(
        r#"{"required":["b","c"],"properties":{"a":{"type":"string","enum":["x"]}},"unevaluatedProperties":false}"#,
        r#"{"a":1,"d":2}"#,
    );
    let rules: Vec<String> = report.failures.iter().map(|f| f.rule.to_string()).collect();
    assert_eq!(
        rules,
        [
            "/required",
            "/required",
            "/properties/a/type",
            "/properties/a/enum",
            "/unevaluatedProperties",
        ]
    );
}

#[test]
fn numbers_are_exact() {
    for (schema, document, fits) in [
        (r#"{"maximum":9007199254740992}"#, "9007199254740993", false),
        (r#"{"const":9007199254740993}"#, "9007199254740992", false),
        (r#"{"enum":[0.1]}"#, "0.10000000000000000000000001", false),
        (r#"{"enum":[0.1]}"#, "1e-1", true),
        (
            r#"{"exclusiveMinimum":1e400}"#,
            "1.0000000000000000000001e400",
            true,
        ),
        (r#"{"multipleOf":0.01}"#, "1234567890123456789.01", true),
        (r#"{"multipleOf":0.01}"#, "1234567890123456789.011", false),
        (r#"{"type":"integer"}"#, "1e400", true),
        (
            r#"{"uniqueItems":true}"#,
            "[9007199254740993,9007199254740992]",
            true,
        ),
    ] {
        assert_eq!(report(schema, document).fits(), fits, "{schema} {document}");
    }
}

/// The correction of the one failure mends the document.
#[track_caller]
fn check_mends(schema: &str, document: &str, mended: &str) {
    let report = report(schema, document);
    assert_eq!(report.failed, 1, "{report:?}");
    let Some(Correction::Patch(op)) = report.failures[0].correction.clone() else {
        panic!("no operation: {report:?}");
    };
    let limits = syncline_merge::ApplyLimits {
        depth_max: 64,
        weight_max: 1 << 20,
    };
    let result = Patch(vec![op]).apply(&json(document), &limits).unwrap();
    assert_eq!(result, json(mended));
    assert!(compile(schema).unwrap().check(&result).fits());
}

#[test]
fn obvious_corrections_are_proposed() {
    check_mends(
        r#"{"required":["state"],"properties":{"state":{"default":"open"}}}"#,
        "{}",
        r#"{"state":"open"}"#,
    );
    check_mends(
        r#"{"required":["state"],"properties":{"state":{"default":"open"}}}"#,
        r#"{"sate":"done"}"#,
        r#"{"state":"done"}"#,
    );
    check_mends(
        r#"{"items":{"enum":["Open","done"]}}"#,
        r#"["open "]"#,
        r#"["Open"]"#,
    );
    check_mends(r#"{"const":"A"}"#, r#""a""#, r#""A""#);
    check_mends(r#"{"type":"integer"}"#, r#"" 42""#, "42");
    check_mends(r#"{"type":"number"}"#, r#""0.10""#, "0.10");
    check_mends(r#"{"type":"boolean"}"#, r#""true""#, "true");
    check_mends(r#"{"type":"string"}"#, "42", r#""42""#);
    check_mends(
        r#"{"properties":{"title":true},"additionalProperties":false}"#,
        r#"{"Titel":1}"#,
        r#"{"title":1}"#,
    );
}

#[test]
fn nothing_is_proposed_that_is_not_obvious_or_would_lose_something() {
    for (schema, document) in [
        (r#"{"type":"integer"}"#, r#""4.5""#),
        (r#"{"type":"integer"}"#, r#""many""#),
        (r#"{"type":"array"}"#, "1"),
        (r#"{"enum":["a","A"]}"#, r#"" a""#),
        (r#"{"required":["x"]}"#, "{}"),
        (
            r#"{"properties":{"title":true},"additionalProperties":false}"#,
            r#"{"owner":1}"#,
        ),
    ] {
        assert_eq!(
            report(schema, document).failures[0].correction,
            None,
            "{schema}"
        );
    }
    let both = report(
        r#"{"properties":{"title":true},"additionalProperties":false}"#,
        r#"{"title":1,"titel":2}"#,
    );
    assert!(matches!(
        both.failures[0].correction,
        Some(Correction::Hint(_))
    ));
}

#[test]
fn only_added_failures_count() {
    let schema =
        r#"{"required":["a","b"],"items":{"type":"string"},"properties":{"n":{"maximum":1}}}"#;
    let added = |head: &str, merged: &str| {
        let merged = report(schema, merged);
        let head = report(schema, head);
        let places = merged
            .added(&head)
            .into_iter()
            .map(|failure| failure.place.clone());
        places.collect::<Vec<Pointer>>()
    };
    assert_eq!(added("[1]", r#"["new",1]"#), []);
    assert_eq!(added("[1]", "[1,2]"), [Pointer::from_static("/1")]);
    assert_eq!(added(r#"{"n":5}"#, r#"{"n":6,"x":1}"#), []);
    assert_eq!(added(r#"{"a":1}"#, r#"{"b":1}"#), [Pointer::root()]);
    assert_eq!(
        added(r#"{"a":1,"b":1}"#, r#"{"a":1,"b":1,"n":2}"#),
        [Pointer::from_static("/n")]
    );
}
