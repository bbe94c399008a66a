//! Keyed paths: text, and finding the place again.

use crate::json;
use proptest::prelude::*;
use syncline_merge::{KeyedPath, KeyedPathError};

#[track_caller]
fn check(path: &str, doc: &str, expected: Option<&str>) {
    let read = KeyedPath::parse(path).unwrap();
    assert_eq!(read.to_string(), path);
    let found = read.resolve(&json(doc)).map(|path| path.to_string());
    assert_eq!(found.as_deref(), expected);
}

#[test]
fn items_are_found_where_they_are_now() {
    let doc = r#"{"data":{"steps":[{"id":"s1"},{"id":"s2","owner":"a"}]}}"#;
    check("/data/steps[id=s2]/owner", doc, Some("/data/steps/1/owner"));
    check("/data/steps[id=s3]", doc, None);
    check("/data/steps[name=s2]", doc, None);
    check("/data/steps/0/id", doc, Some("/data/steps/0/id"));
    check("", doc, Some(""));
}

#[test]
fn odd_keys_are_quoted() {
    check(r#"[id="3"]"#, r#"[{"id":3},{"id":"3"}]"#, Some("/1"));
    check("[id=3]", r#"[{"id":"3"},{"id":3.0}]"#, Some("/1"));
    check(r#"[id="a]\"=/"]"#, r#"[{"id":"a]\"=/"}]"#, Some("/0"));
    check(r#"["a=]"=x]"#, r#"[{"a=]":"x"}]"#, Some("/0"));
    check("/a~2b~0~1", r#"{"a[b~/":1}"#, Some("/a[b~0~1"));
    check("/a[id=x/y]", r#"{"a":[{"id":"x/y"}]}"#, Some("/a/0"));
}

#[test]
fn other_texts_are_refused() {
    let check = |text: &str, error| assert_eq!(KeyedPath::parse(text), Err(error), "{text}");
    check("a", KeyedPathError::NoStep);
    check("[id=a]b", KeyedPathError::NoStep);
    check("/~3", KeyedPathError::BadEscape);
    for text in [
        "[",
        "[id",
        "[id=",
        "[id=a",
        "[=a]",
        "[3=a]",
        "[id=a b]",
        r#"[id="]"#,
        "[id={}]",
    ] {
        check(text, KeyedPathError::BadKey);
    }
    check(&"/a".repeat(300), KeyedPathError::TooDeep);
}

proptest! {
    #[test]
    fn anything_can_be_thrown_at_the_parser(text in "[\\[\\]/=~\"\\\\a-c0-2]{0,20}") {
        if let Ok(path) = KeyedPath::parse(&text) {
            let again = path.to_string();
            prop_assert_eq!(KeyedPath::parse(&again).unwrap().to_string(), again);
        }
    }
}
