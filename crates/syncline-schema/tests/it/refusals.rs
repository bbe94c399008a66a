//! What is no schema, with the place that is at fault.

use crate::compile;
use syncline_schema::SchemaErrorKind;

#[test]
fn what_is_no_schema_is_refused() {
    for (schema, place) in [
        ("1", ""),
        (r#"{"properties":{"a":1}}"#, "/properties/a"),
        (r#"{"properties":[]}"#, "/properties"),
        (r#"{"type":"text"}"#, "/type"),
        (r#"{"type":[]}"#, "/type"),
        (r#"{"type":["null","null"]}"#, "/type/1"),
        (r#"{"enum":"a"}"#, "/enum"),
        (r#"{"required":"a"}"#, "/required"),
        (r#"{"required":["a","a"]}"#, "/required/1"),
        (r#"{"required":[1]}"#, "/required/0"),
        (r#"{"minLength":-1}"#, "/minLength"),
        (r#"{"minLength":1.5}"#, "/minLength"),
        (r#"{"maximum":"1"}"#, "/maximum"),
        (r#"{"multipleOf":0}"#, "/multipleOf"),
        (r#"{"allOf":[]}"#, "/allOf"),
        (r#"{"allOf":{}}"#, "/allOf"),
        (r#"{"uniqueItems":1}"#, "/uniqueItems"),
        (r#"{"pattern":"["}"#, "/pattern"),
        (
            r#"{"patternProperties":{"(":true}}"#,
            "/patternProperties/(",
        ),
        (r#"{"title":1}"#, "/title"),
        (r#"{"$defs":{"a":null}}"#, "/$defs/a"),
        (r#"{"$anchor":"1"}"#, "/$anchor"),
        (r#"{"$id":"a#b"}"#, "/$id"),
        (
            r#"{"$defs":{"a":{"$id":"a"},"b":{"$id":"a"}}}"#,
            "/$defs/b/$id",
        ),
        (
            r#"{"$defs":{"a":{"$anchor":"a"},"b":{"$anchor":"a"}}}"#,
            "/$defs/b/$anchor",
        ),
        (
            r#"{"$schema":"http://json-schema.org/draft-07/schema#"}"#,
            "/$schema",
        ),
        (
            r#"{"dependentRequired":{"a":["b",1]}}"#,
            "/dependentRequired/a/1",
        ),
        (r##"{"$ref":"#/$defs/a"}"##, "/$ref"),
        (r##"{"$ref":"#a"}"##, "/$ref"),
        (r##"{"$ref":"#/%zz"}"##, "/$ref"),
        (r##"{"$ref":"#/title","title":"a"}"##, "/title"),
        (r#"{"$ref":1}"#, "/$ref"),
    ] {
        let error = compile(schema).unwrap_err();
        assert_eq!(error.pointer.to_string(), place, "{schema}: {error}");
    }
}

#[test]
fn what_is_elsewhere_is_never_fetched() {
    for reference in [
        "https://example.com/schema.json",
        "file:///etc/passwd",
        "other.json#/$defs/a",
        "//host/a",
        "urn:uuid:00000000-0000-0000-0000-000000000000",
    ] {
        for keyword in ["$ref", "$dynamicRef"] {
            let schema = format!(r#"{{"items":{{"{keyword}":"{reference}"}}}}"#);
            let error = compile(&schema).unwrap_err();
            assert!(matches!(error.kind, SchemaErrorKind::Remote(_)), "{error}");
            assert_eq!(error.pointer.to_string(), format!("/items/{keyword}"));
        }
    }
}

#[test]
fn messages_are_harmless() {
    let error = compile("{\"x-merge\":\"\u{202e}\\u001b[31m\"}").unwrap_err();
    assert!(
        !error.to_string().contains(['\u{202e}', '\u{1b}']),
        "{error}"
    );
}
