//! RFC 7396: the examples of its appendix A, and sharing.

use crate::json;
use syncline_merge::apply_merge_patch;
use syncline_model::json::Json;

#[track_caller]
fn check(doc: &str, patch: &str, expected: &str) {
    let result = apply_merge_patch(&json(doc), &json(patch));
    assert_eq!(
        result.to_text(),
        json(expected).to_text(),
        "{doc} with {patch}"
    );
}

#[test]
fn the_examples_of_rfc_7396_apply() {
    for (doc, patch, expected) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":{"b":"d","c":null}}"#,
            r#"{"a":{"b":"d"}}"#,
        ),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        check(doc, patch, expected);
    }
}

#[test]
fn scalars_make_room_and_equal_values_keep_their_text() {
    check(r#"{"a":7}"#, r#"{"a":{}}"#, r#"{"a":{}}"#);
    check(r#"{"a":7}"#, r#"{"a":{"b":null}}"#, r#"{"a":{}}"#);
    check("[]", "{}", "{}");
    check(
        r#"{"a":[{"b":null}]}"#,
        r#"{"a":[null,{"c":null}]}"#,
        r#"{"a":[null,{"c":null}]}"#,
    );
    check(
        r#"{"a":1.0,"b":1}"#,
        r#"{"a":1,"b":2.50}"#,
        r#"{"a":1.0,"b":2.50}"#,
    );
}

#[test]
fn untouched_members_and_idle_patches_share() {
    let doc = json(r#"{"big":{"x":[1,2,3]},"small":{"n":1}}"#);
    let object = |json: &Json| json.as_object().unwrap().clone();
    let idle = apply_merge_patch(&doc, &json(r#"{"small":{"n":1.0,"gone":null}}"#));
    assert!(object(&idle).ptr_eq(&object(&doc)));
    let result = apply_merge_patch(&doc, &json(r#"{"small":{"n":2}}"#));
    assert!(object(result.get("big").unwrap()).ptr_eq(&object(doc.get("big").unwrap())));
}
