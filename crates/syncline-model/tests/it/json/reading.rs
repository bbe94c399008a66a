//! What the reader refuses, and where it says that the fault lies.

use syncline_model::json::{Json, JsonErrorKind, Limits, Object};

use super::{json, read};

/// Checks the message, and the pointer, of a text that must be refused.
fn check_refused(text: impl AsRef<[u8]>, message: &str, pointer: &str) {
    let error = read(text.as_ref()).unwrap_err();
    assert_eq!(
        (
            error.to_string().as_str(),
            error.pointer.to_string().as_str()
        ),
        (message, pointer)
    );
}

#[test]
fn duplicate_keys_are_refused_after_unescaping() {
    check_refused(
        "{\"b\":{\"x\":1,\n\"c\":0,\n  \"a\":1,\"\\u0061\":2}}",
        "duplicate key \"a\" at line 3 column 9",
        "/b/a",
    );
    check_refused(
        r#"[{"":1,"":2}]"#,
        "duplicate key \"\" at line 1 column 8",
        "/0/",
    );
    check_refused(r#"{"a":1,"a":2,"#, "unexpected end at line 1 column 14", "");
    check_refused(
        r#"{"z":1,"y":2,"y":3,"z":4}"#,
        "duplicate key \"y\" at line 1 column 14",
        "/y",
    );
    let long = "k".repeat(1000);
    let error = read(format!("{{\"{long}\":1,\"{long}\":2}}").as_bytes()).unwrap_err();
    assert_eq!(
        error.kind,
        JsonErrorKind::DuplicateKey(format!("{}…", "k".repeat(64)))
    );
}

#[test]
fn a_fault_is_located() {
    check_refused("", "unexpected end at line 1 column 1", "");
    check_refused(
        "[1,\n 2,\n {\"é/x\": [tru]}]",
        "expected true, found \"]\" at line 3 column 14",
        "/2/é~1x/0",
    );
    check_refused(
        "{\"é\" 1}",
        "expected \":\", found \"1\" at line 1 column 6",
        "",
    );
    check_refused("{\"a\":{}", "unexpected end at line 1 column 8", "");
    check_refused(
        "[1 2]",
        "expected \",\" or \"]\", found \"2\" at line 1 column 4",
        "",
    );
    check_refused(
        "[1,]",
        "expected a value, found \"]\" at line 1 column 4",
        "/1",
    );
    check_refused(
        "{\"a\":1,}",
        "expected a key, found \"}\" at line 1 column 8",
        "",
    );
    check_refused(
        "{a:1}",
        "expected a key, found \"a\" at line 1 column 2",
        "",
    );
    check_refused(
        "{\"a\":1 \"b\":2}",
        "expected \",\" or \"}\", found \"\\\"\" at line 1 column 8",
        "",
    );
    check_refused("null\n\n x", "trailing data at line 3 column 2", "");
    check_refused("1 1", "trailing data at line 1 column 3", "");
    check_refused("\u{FEFF}{}", "byte order mark at line 1 column 1", "");
    check_refused(
        "'a'",
        "expected a value, found \"'\" at line 1 column 1",
        "",
    );
    check_refused("[1] // no", "trailing data at line 1 column 5", "");
}

#[test]
fn strings_are_strict() {
    check_refused(
        "\"a\nb\"",
        "unescaped control character in a string at line 1 column 3",
        "",
    );
    check_refused(
        "\"12345678\u{1}\"",
        "unescaped control character in a string at line 1 column 10",
        "",
    );
    check_refused(
        r#""\x""#,
        "expected an escape, found \"x\" at line 1 column 3",
        "",
    );
    check_refused(
        r#""\u12g4""#,
        "expected four hex digits, found \"g\" at line 1 column 6",
        "",
    );
    check_refused(r#"["\ud800"]"#, "lone surrogate at line 1 column 3", "/0");
    check_refused(r#""\ud800A""#, "lone surrogate at line 1 column 2", "");
    check_refused(
        r#""a\udc00\ud800""#,
        "lone surrogate at line 1 column 3",
        "",
    );
    check_refused(r#""\ud800\ud800""#, "lone surrogate at line 1 column 2", "");
    check_refused(r#""\ud83d"#, "unexpected end at line 1 column 8", "");
    check_refused("\"abcdefgh", "unexpected end at line 1 column 10", "");

    let text = r#""\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t\u0000 plain \u007f""#;
    assert_eq!(
        json(text).as_str(),
        Some("é😀\"\\/\u{8}\u{C}\n\r\t\0 plain \u{7F}")
    );
    assert_eq!(
        json("\"é\u{2028}\u{10FFFF}\"").as_str(),
        Some("é\u{2028}\u{10FFFF}")
    );
}

#[test]
fn bytes_that_are_not_utf8_are_refused_where_they_stand() {
    check_refused(b"[\"a\xFF\"]", "invalid utf-8 at line 1 column 4", "/0");
    check_refused(
        b"{\"k\":[0,\n\"\xC3\xA9\xED\xA0\x80\"]}",
        "invalid utf-8 at line 2 column 3",
        "/k/1",
    );
    check_refused(b"1 \xC0\xAF", "invalid utf-8 at line 1 column 3", "");
    check_refused(
        b"[1 2 \xFF",
        "expected \",\" or \"]\", found \"2\" at line 1 column 4",
        "",
    );
    check_refused(b"\xFF\xFE[\0]\0", "invalid utf-8 at line 1 column 1", "");
}

#[test]
fn numbers_are_strict() {
    for text in [
        "01", "-", "-a", "1.", "1.x", ".5", "+1", "1e", "1e+", "1ex", "0x1", "1_0", "-01",
    ] {
        assert!(read(text.as_bytes()).is_err(), "{text}");
    }
    for text in ["NaN", "Infinity", "-Infinity", "-NaN", "nan", "inf"] {
        assert!(read(text.as_bytes()).is_err(), "{text}");
    }
    check_refused("[-Infinity]", "malformed number at line 1 column 3", "/0");
    check_refused("[00]", "malformed number at line 1 column 3", "/0");
    check_refused("[1.]", "malformed number at line 1 column 4", "/0");
    check_refused(
        "[1, 1e100000]",
        "number with too many digits or too large an exponent at line 1 column 5",
        "/1",
    );
}

#[test]
fn depth_is_bounded() {
    let nest = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    let limits = |depth_max| Limits {
        depth_max,
        ..Limits::default()
    };
    assert_eq!(read(&nest(64)).unwrap().depth(), 64);
    assert_eq!(
        read(&nest(65)).unwrap_err().kind,
        JsonErrorKind::TooDeep { max: 64 }
    );
    assert_eq!(read(&nest(65)).unwrap_err().pointer.tokens().len(), 64);
    assert_eq!(Json::parse(&nest(128), &limits(128)).unwrap().depth(), 128);
    // The stack sets a bound of its own.
    let error = Json::parse(&nest(1 << 20), &limits(usize::MAX)).unwrap_err();
    assert_eq!(error.kind, JsonErrorKind::TooDeep { max: 128 });
    assert_eq!(error.offset, 128);
    assert_eq!(
        read(&b"[{\"a\":".repeat(10_000)).unwrap_err().offset,
        6 * 32
    );
    assert!(Json::parse(b"1", &limits(0)).is_ok());
    assert!(Json::parse(b"[]", &limits(0)).is_err());
}

#[test]
fn size_is_bounded() {
    let limits = Limits {
        bytes_max: 4,
        depth_max: 64,
    };
    assert!(Json::parse(b"1234", &limits).is_ok());
    let error = Json::parse(b"12345", &limits).unwrap_err();
    assert_eq!(error.to_string(), "text longer than 4 bytes");
}

#[test]
fn no_key_is_magic() {
    for key in [
        "$serde_json::private::RawValue",
        "$serde_json::private::Number",
        "__proto__",
    ] {
        let text = format!(r#"{{"{key}":"{{\"role\":\"admin\"}}"}}"#);
        let value = json(&text);
        assert_eq!(
            value.get(key).and_then(Json::as_str),
            Some(r#"{"role":"admin"}"#)
        );
        assert_eq!(value.to_text(), text);
    }
}

#[test]
fn a_huge_object_is_read_whatever_its_order() {
    let keys = 200_000;
    let member = |n: usize| format!("\"{}\":{n}", (n * 7_919) % keys);
    let members: Vec<String> = (0..keys).map(member).collect();
    let value = json(&format!("{{{}}}", members.join(",")));
    assert_eq!(value.as_object().map(Object::len), Some(keys));
    let error = read(format!("{{{},\"5\":0}}", members.join(",")).as_bytes()).unwrap_err();
    assert_eq!(error.kind, JsonErrorKind::DuplicateKey("5".into()));
}

#[test]
fn whitespace_is_what_the_standard_names() {
    assert_eq!(
        json(" \t\r\n{ \"a\" :\n[ 1 ,\t2 ] , \"b\" : { } } ").to_text(),
        r#"{"a":[1,2],"b":{}}"#
    );
    for space in ["\u{A0}", "\u{B}", "\u{C}", "\u{2028}", "\0"] {
        assert!(read(format!("{space}1").as_bytes()).is_err(), "{space:?}");
        assert!(read(format!("1{space}").as_bytes()).is_err(), "{space:?}");
    }
}
