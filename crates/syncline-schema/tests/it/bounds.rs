//! Hostile schemas and documents: what each costs, in steps.

use std::sync::Arc;

use crate::{compile, json};
use syncline_model::json::{Json, Object};
use syncline_schema::{Schema, SchemaErrorKind, SchemaLimits};

/// A chain of definitions `0`, `1`, … where each is made from the one after it.
fn chain(length: usize, link: impl Fn(&str) -> String, last: &str) -> String {
    let define = |n: usize| {
        let next = format!(r##"{{"$ref":"#/$defs/{}"}}"##, n + 1);
        format!(r#""{n}":{}"#, link(&next))
    };
    let defs: Vec<String> = (0..length).map(define).collect();
    format!(
        r##"{{"$ref":"#/$defs/0","$defs":{{{},"{length}":{last}}}}}"##,
        defs.join(",")
    )
}

#[track_caller]
fn check_refused(schema: &str, place: &str, reason: &str) {
    let error = compile(schema).unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
    assert_eq!(error.pointer.to_string(), place, "{error}");
}

#[track_caller]
fn check_given_up(schema: &str, document: &Json) {
    let limits = SchemaLimits {
        steps_max: 100_000,
        ..SchemaLimits::default()
    };
    let report = Schema::compile(&json(schema), limits)
        .unwrap()
        .check(document);
    assert!(report.given_up && !report.fits(), "{report:?}");
    assert!(report.steps <= 100_000);
    assert!(report.failures.last().unwrap().reason.contains("given up"));
}

#[test]
fn references_that_fork_and_meet_are_refused_when_compiled() {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let forks = |next: &str| format!(r#"{{"{keyword}":[{next},{next}]}}"#);
        let error = compile(&chain(30, forks, "true")).unwrap_err();
        assert!(matches!(error.kind, SchemaErrorKind::Limit(_)), "{error}");
        assert!(compile(&chain(8, forks, "true")).is_ok());
    }
}

#[test]
fn forks_that_go_into_the_value_are_given_up() {
    let forks = |next: &str| {
        format!(r#"{{"properties":{{"a":{next}}},"patternProperties":{{"a":{next}}}}}"#)
    };
    let document = (0..30).fold(Json::from(1), |inner, _| {
        Json::from(Object::from_iter([("a", inner)]))
    });
    check_given_up(&chain(30, forks, "true"), &document);
}

#[test]
fn explaining_alternatives_does_not_double_the_work() {
    let forks = |next: &str| {
        format!(r#"{{"anyOf":[{{"properties":{{"a":{next}}}}},{{"type":"string"}}]}}"#)
    };
    let schema = compile(&chain(25, forks, "false")).unwrap();
    let document = (0..25).fold(Json::from(1), |inner, _| {
        Json::from(Object::from_iter([("a", inner)]))
    });
    let report = schema.check(&document);
    assert_eq!(report.failed, 1);
    assert!(report.steps < 1_000, "{}", report.steps);
}

#[test]
fn references_that_lead_nowhere_but_back_are_refused() {
    check_refused(r##"{"$ref":"#"}"##, "", "leads back here");
    check_refused(
        r##"{"$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}}}"##,
        "/$defs/b/not",
        "leads back here",
    );
    check_refused(r##"{"if":{"$dynamicRef":"#"}}"##, "/if", "leads back here");
    let long = chain(4_000, |next| next.to_owned(), r##"{"$ref":"#/$defs/0"}"##);
    check_refused(&long, "/$defs/4000", "leads back here");
}

#[test]
fn dynamic_references_that_lead_back_are_given_up() {
    // Statically, the reference leads to `true`; on the way here it leads to the whole.
    let schema = r##"{"$id":"x:whole","$dynamicAnchor":"a","$ref":"x:part","$defs":{
        "part":{"$id":"x:part","$dynamicRef":"#a","$defs":{"leaf":{"$dynamicAnchor":"a"}}}}}"##;
    let report = compile(schema).unwrap().check(&json("1"));
    assert!(report.given_up);
    assert!(report.failures[0].reason.contains("within one another"));
    assert!(report.steps < 2_000, "{}", report.steps);
}

/// A small stack is enough for the deepest check: a thread of a server has 2 MiB.
#[test]
fn nesting_fits_a_small_stack() {
    let link = |next: &str| format!(r#"{{"anyOf":[{next}],"unevaluatedProperties":false}}"#);
    let schemas = [
        chain(5_000, |next| next.to_owned(), "false"),
        chain(190, link, "false"),
        chain(2_000, link, "false"),
    ];
    for (schema, given_up) in schemas.iter().zip([true, false, true]) {
        let schema = compile(schema).unwrap();
        let check = move || {
            let report = schema.check(&json(r#"{"a":1}"#));
            assert_eq!(report.given_up, given_up);
            assert!(!report.fits() && report.steps < 20_000, "{}", report.steps);
        };
        let thread = std::thread::Builder::new().stack_size(1 << 20);
        thread.spawn(check).unwrap().join().unwrap();
    }
}

#[test]
fn unique_items_take_linear_steps() {
    let schema = compile(r#"{"uniqueItems":true}"#).unwrap();
    let items = |count: usize| -> Json {
        let item = |n: usize| Json::from(Object::from_iter([("id", Json::from(n))]));
        (0..count).map(item).collect()
    };
    let (few, many) = (schema.check(&items(1_000)), schema.check(&items(100_000)));
    assert!(few.fits() && many.fits());
    assert!(many.steps < few.steps * 130, "{} {}", few.steps, many.steps);
}

#[test]
fn patterns_are_paid_for() {
    let text = Json::from("a".repeat(1 << 20));
    check_given_up(r#"{"pattern":"^(a+)+$|(a|a)*b"}"#, &text);
    check_given_up(r#"{"pattern":"(a?){200}a{200}b"}"#, &text);
    let plain = compile(r#"{"pattern":"^(a+)+$"}"#).unwrap().check(&text);
    assert!(plain.fits() && plain.steps < 2_000_000, "{}", plain.steps);
}

#[test]
fn patterns_beyond_their_size_are_refused() {
    check_refused(
        r#"{"pattern":"\\p{L}{900}"}"#,
        "/pattern",
        "program takes more",
    );
    check_refused(
        r#"{"items":{"pattern":"(?=a)b"}}"#,
        "/items/pattern",
        "look-around",
    );
    let many: Vec<String> = (0..2_000)
        .map(|n| format!(r#""(\\p{{L}}{n}){{9}}":true"#))
        .collect();
    let error = compile(&format!(
        r#"{{"patternProperties":{{{}}}}}"#,
        many.join(",")
    ))
    .unwrap_err();
    assert!(matches!(error.kind, SchemaErrorKind::Limit(_)), "{error}");
}

#[test]
fn large_lists_of_values_are_paid_for() {
    let deep: Vec<String> = (0..5_000)
        .map(|n| format!(r#"[[1,2,3],[4,5,6],{n}]"#))
        .collect();
    let schema = format!(r#"{{"items":{{"enum":[{}]}}}}"#, deep.join(","));
    let document: Json = (0..1_000).map(|_| json("[[1,2,3],[4,5,6],-1]")).collect();
    check_given_up(&schema, &document);
}

#[test]
fn many_failures_are_counted() {
    let document: Json = (0..5_000).map(Json::from).collect();
    let report = compile(r#"{"items":{"type":"string"}}"#)
        .unwrap()
        .check(&document);
    assert_eq!((report.failures.len(), report.failed), (100, 5_000));
    assert!(!report.given_up);
}

#[test]
fn large_schemas_are_refused() {
    let wide: Vec<String> = (0..10_001).map(|n| format!(r#""{n}":true"#)).collect();
    let error = compile(&format!(r#"{{"$defs":{{{}}}}}"#, wide.join(","))).unwrap_err();
    assert!(error.to_string().contains("10000 subschemas"), "{error}");

    let deep = format!("{}true{}", r#"{"not":"#.repeat(65), "}".repeat(65));
    check_refused(&deep, "", "at most 64 levels");

    let title = format!(r#"{{"title":"{}"}}"#, "x".repeat(1 << 20));
    check_refused(&title, "", "bytes, this one");
}

/// What is kept for each subschema must not be as long as the schema.
#[test]
fn long_names_are_refused() {
    let many: Vec<String> = (0..1_000).map(|n| format!(r#""{n}":true"#)).collect();
    let name = "n".repeat(5_000);
    let schema = format!(
        r#"{{"properties":{{"{name}":{{"$defs":{{{}}}}}}}}}"#,
        many.join(",")
    );
    check_refused(&schema, "/properties", "names on the way");
    check_refused(
        &format!(r#"{{"$id":"x:{name}"}}"#),
        "/$id",
        "at most 1000 bytes",
    );
}

#[test]
fn merge_rules_are_bounded() {
    let forks = |next: &str| format!(r#"{{"properties":{{"a":{next},"b":{next}}}}}"#);
    let error = compile(&chain(20, forks, r#"{"x-merge":"last"}"#)).unwrap_err();
    assert!(matches!(error.kind, SchemaErrorKind::Limit(_)), "{error}");
    let long = chain(5_000, |next| next.to_owned(), r#"{"x-merge":"last"}"#);
    let rules = compile(&long).unwrap().merge_rules().clone();
    assert!(rules.rules.is_empty() && !rules.ignored.is_empty());
}

#[test]
fn a_schema_is_shared_between_threads() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    is_shared(&Arc::new(compile("true").unwrap()));
}
