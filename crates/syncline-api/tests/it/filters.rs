//! Filters as they are read and written, and where they are refused.

use syncline_api::{Condition, FILTER_NODES_MAX, Filters};
use syncline_model::json::{FieldError, JsonWriter, Pointer};

use crate::samples::json;

fn read(text: &str) -> Result<Filters, FieldError> {
    Filters::read(&json(text), &Pointer::root())
}

fn written(filters: &Filters) -> String {
    let mut w = JsonWriter::new();
    filters.write(&mut w);
    w.into_string()
}

#[test]
fn filters_read_back_as_they_were() {
    for (text, expected) in [
        ("[]", "[]"),
        ("{}", "{}"),
        (r#"[{"changed":"/a/*"}]"#, r#"{"changed":"/a/*"}"#),
        (
            r#"{"exact":{"kind":"task"}}"#,
            r#"{"exact":{"kind":"task"}}"#,
        ),
        (
            r#"{"exists":"labels.x"}"#,
            r#"{"exists":{"labels.x":true}}"#,
        ),
        (
            r#"{"exact":{"kind":"task","type":"update"},"min_priority":2}"#,
            r#"{"all":[{"exact":{"kind":"task"}},{"exact":{"type":"update"}},{"min_priority":2}]}"#,
        ),
        (
            r#"[{"in":{"metadata.a.b":[1,null,"x"]}},{"not":{"any":[{"prefix":{"agent":"c"}}]}}]"#,
            r#"[{"in":{"metadata.a.b":[1,null,"x"]}},{"not":{"any":[{"prefix":{"agent":"c"}}]}}]"#,
        ),
        (
            r#"{"suffix":{"context":"-1"}}"#,
            r#"{"suffix":{"context":"-1"}}"#,
        ),
    ] {
        let filters = read(text).unwrap();
        assert_eq!(written(&filters), expected, "{text}");
        assert_eq!(read(expected).unwrap(), filters, "{text}");
    }
}

#[test]
fn a_bad_filter_is_refused_where_it_is_wrong() {
    for (text, pointer, why) in [
        ("7", "", "expected object or array"),
        (r#"[7]"#, "/0", "expected object"),
        (
            r#"{"exakt":{"kind":"task"}}"#,
            "/exakt",
            "an operator is one of",
        ),
        (
            r#"{"exact":{"knid":"task"}}"#,
            "/exact/knid",
            "a name is one of",
        ),
        (r#"{"exact":{}}"#, "/exact", "names nothing"),
        (r#"{"exact":"kind"}"#, "/exact", "expected object"),
        (r#"{"exact":{"kind":7}}"#, "/exact/kind", "kind is a text"),
        (r#"{"exact":{"kind":"Task"}}"#, "/exact/kind", "kind"),
        (
            r#"{"exact":{"context":"task"}}"#,
            "/exact/context",
            "address",
        ),
        (
            r#"{"exact":{"level":"secret"}}"#,
            "/exact/level",
            "public, private",
        ),
        (
            r#"{"exact":{"type":"created"}}"#,
            "/exact/type",
            "create, update",
        ),
        (r#"{"exact":{"owner":"ana"}}"#, "/exact/owner", "principal"),
        (r#"{"exact":{"labels.":"x"}}"#, "/exact/labels.", "1 to 100"),
        (
            r#"{"exact":{"metadata.":"x"}}"#,
            "/exact/metadata.",
            "names a member",
        ),
        (
            r#"{"exact":{"metadata.a":[]}}"#,
            "/exact/metadata.a",
            "only texts",
        ),
        (r#"{"in":{"kind":"task"}}"#, "/in/kind", "expected array"),
        (r#"{"in":{"kind":[]}}"#, "/in/kind", "1 to 1000 values"),
        (r#"{"in":{"kind":["task","X"]}}"#, "/in/kind/1", "kind"),
        (
            r#"{"prefix":{"kind":1}}"#,
            "/prefix/kind",
            "expected string",
        ),
        (
            r#"{"exists":{"kind":1}}"#,
            "/exists/kind",
            "expected boolean",
        ),
        (r#"{"exists":7}"#, "/exists", "expected object"),
        (r#"{"all":{}}"#, "/all", "expected array"),
        (r#"{"any":[]}"#, "/any", "at least one"),
        (r#"{"all":[{"not":[]}]}"#, "/all/0/not", "expected object"),
        (r#"{"changed":"data"}"#, "/changed", "/"),
        (r#"{"changed":7}"#, "/changed", "expected string"),
        (r#"{"min_priority":0}"#, "/min_priority", "a priority is"),
        (r#"{"min_priority":"1"}"#, "/min_priority", "a priority is"),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!(error.pointer.to_string(), pointer, "{text}");
        assert!(error.to_string().contains(why), "{text}: {error}");
    }
}

#[test]
fn filters_are_bounded() {
    let nested = |depth: usize| {
        let open = r#"{"not":"#.repeat(depth - 1);
        format!(r#"{open}{{"min_priority":2}}{}"#, "}".repeat(depth - 1))
    };
    assert!(read(&nested(8)).is_ok());
    assert!(read(&nested(9)).unwrap_err().to_string().contains("8 deep"));
    // Two terms in one place are an `all` of two: what is written reads back, or is refused now.
    let two = nested(8).replace(
        r#"{"min_priority":2}"#,
        r#"{"min_priority":2,"changed":""}"#,
    );
    assert!(read(&two).unwrap_err().to_string().contains("8 deep"));
    let many = |count: usize| format!("[{}]", vec![r#"{"min_priority":2}"#; count].join(","));
    assert!(read(&many(FILTER_NODES_MAX)).is_ok());
    let error = read(&many(FILTER_NODES_MAX + 1)).unwrap_err();
    assert!(error.to_string().contains("200 operators"), "{error}");
    let long = format!(r#"{{"exact":{{"labels.a":"{}"}}}}"#, "x".repeat(2_049));
    assert_eq!(
        read(&long).unwrap_err().pointer.to_string(),
        "/exact/labels.a"
    );
    let values = |count: usize| {
        format!(
            r#"{{"in":{{"metadata.a":[{}]}}}}"#,
            vec!["1"; count].join(",")
        )
    };
    assert!(read(&values(1_000)).is_ok());
    assert!(read(&values(1_001)).is_err());
    let wide = format!(
        r#"{{"in":{{"labels.a":[{}]}}}}"#,
        vec![format!("{:?}", "x".repeat(999)); 70].join(",")
    );
    assert!(read(&wide).unwrap_err().to_string().contains("65536 bytes"));
    assert!(Condition::parse(&"x".repeat(1_024)).is_ok());
    assert!(Condition::parse(&"x".repeat(1_025)).is_err());
    assert!(Condition::parse("  ").is_err());
}
