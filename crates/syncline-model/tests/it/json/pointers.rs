//! JSON Pointer.

use proptest::collection::vec;
use proptest::prelude::*;
use syncline_model::json::{Pointer, PointerError};

use super::{any_text, json};

#[test]
fn pointers_name_values_as_rfc_6901_shows() {
    let document = json(
        r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#,
    );
    let check = |pointer: &str, text: &str| {
        let value = document.pointer(&Pointer::parse(pointer).unwrap());
        assert_eq!(
            value.map(|value| value.to_text()),
            Some(text.to_owned()),
            "{pointer}"
        );
    };
    check("", &document.to_text());
    check("/foo", r#"["bar","baz"]"#);
    check("/foo/0", r#""bar""#);
    check("/", "0");
    check("/a~1b", "1");
    check("/c%d", "2");
    check("/e^f", "3");
    check("/g|h", "4");
    check("/i\\j", "5");
    check("/k\"l", "6");
    check("/ ", "7");
    check("/m~0n", "8");
    for pointer in [
        "/foo/2", "/foo/-", "/foo/00", "/foo/+1", "/foo/", "/foo/0/x", "/x", "//",
    ] {
        assert_eq!(
            document.pointer(&Pointer::parse(pointer).unwrap()),
            None,
            "{pointer}"
        );
    }
}

#[test]
fn texts_that_are_no_pointers_are_refused() {
    assert_eq!(Pointer::parse("a"), Err(PointerError::NoSlash));
    assert_eq!(Pointer::parse("#/a"), Err(PointerError::NoSlash));
    for text in ["/~", "/~2", "/a~", "/~~0", "/~/0"] {
        assert_eq!(Pointer::parse(text), Err(PointerError::BadEscape), "{text}");
    }
    assert_eq!(Pointer::parse("/~01").unwrap().last(), Some("~1"));
    assert_eq!(
        Pointer::parse(&"/".repeat(256)).unwrap().tokens().len(),
        256
    );
    assert_eq!(Pointer::parse(&"/".repeat(257)), Err(PointerError::TooDeep));
}

#[test]
fn pointers_go_up_and_down() {
    let pointer = Pointer::from_static("/data").child("a/b").index(3);
    assert_eq!(pointer.to_string(), "/data/a~1b/3");
    assert_eq!(pointer.last(), Some("3"));
    assert_eq!(pointer.parent().unwrap().to_string(), "/data/a~1b");
    assert!(pointer.starts_with(&Pointer::from_static("/data")));
    assert!(pointer.starts_with(&pointer) && pointer.starts_with(&Pointer::root()));
    assert!(!Pointer::from_static("/database").starts_with(&Pointer::from_static("/data")));
    assert_eq!(Pointer::root().parent(), None);
    assert!(Pointer::root().is_root() && !pointer.is_root());
    let mut moved = pointer.clone();
    assert_eq!(moved.pop().as_deref(), Some("3"));
    moved.push("3");
    assert_eq!(moved, pointer);
    assert_eq!(Pointer::array_index("18446744073709551616"), None);
    assert_eq!(Pointer::array_index(""), None);
}

proptest! {
    #[test]
    fn pointers_come_back(tokens in vec(any_text(), 0..8)) {
        let pointer: Pointer = tokens.iter().map(String::as_str).collect();
        prop_assert_eq!(Pointer::parse(&pointer.to_string()).unwrap(), pointer);
    }

    #[test]
    fn a_text_that_is_read_is_written_the_same(text in "(/[a~01/é]{0,3}){0,4}") {
        if let Ok(pointer) = Pointer::parse(&text) {
            prop_assert_eq!(pointer.to_string(), text);
        }
    }
}
