//! Compact, pretty and canonical text, and the writer without a tree.

use sha2::{Digest, Sha256};
use syncline_model::json::{Json, JsonWriter};

use super::json;

#[test]
fn compact_text_keeps_numbers_and_orders_keys() {
    let text = " {\"b\" : [1.0, 1E5, -0, 1e400], \"a\":{} , \"\u{20AC}\":\"\\u20ac\\/\" } ";
    assert_eq!(
        json(text).to_text(),
        r#"{"a":{},"b":[1.0,1E5,-0,1e400],"€":"€/"}"#
    );
}

#[test]
fn pretty_text_is_indented_by_two_spaces() {
    let value = json(r#"{"a":[],"b":{},"c":[1,{"d":null}]}"#);
    let expected = "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": null\n    }\n  ]\n}";
    assert_eq!(value.to_pretty(), expected);
}

#[test]
fn canonical_text_is_that_of_rfc_8785() {
    let text = r#"{"numbers":[333333333.3333333,1E30,4.50,2e-3,0.000000000000000000000000001],
        "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
    let expected = concat!(
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
        r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );
    assert_eq!(json(text).canonical(), expected);

    let text = r#"{"\u20ac":5,"\r":1,"\ufb33":7,"1":2,"\ud83d\ude00":6,"\u0080":3,"\u00f6":4}"#;
    let expected = "{\"\\r\":1,\"1\":2,\"\u{80}\":3,\"ö\":4,\"€\":5,\"😀\":6,\"\u{FB33}\":7}";
    assert_eq!(json(text).canonical(), expected);
}

#[test]
fn only_what_must_be_escaped_is() {
    let text: String = (0..=0x7F).map(char::from).collect::<String>() + "é\u{2028}\u{FFFF}😀";
    let expected = concat!(
        r#""\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f"#,
        r#"\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d"#,
        r##"\u001e\u001f !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"##,
        "abcdefghijklmnopqrstuvwxyz{|}~\u{7F}é\u{2028}\u{FFFF}😀\""
    );
    assert_eq!(Json::from(text).to_text(), expected);
}

#[test]
fn the_hash_of_the_protocol_is_met() {
    let value = json(
        r#"{"title":"T","state":"active","level":"private","owner":"person/owner",
            "parent":"global/main","data":{"é":"x","n":1.0}}"#,
    );
    let hash: String = Sha256::digest(value.canonical())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        hash,
        "3a2e97fba5d774f17076074a9c46b4dd7709f7eb44fe8f14cda6e23bda7e47bd"
    );
}

#[test]
fn the_writer_sets_commas() {
    let mut writer = JsonWriter::with_capacity(64);
    writer.begin_array();
    writer.null();
    writer.begin_object();
    writer.end_object();
    writer.begin_object();
    writer.field_str("s", "a\"b");
    writer.field_u64("u", u64::MAX);
    writer.field_i64("i", -1);
    writer.field_bool("b", false);
    writer.field_json("j", &json("[1.0]"));
    writer.field_raw("r", "{}");
    writer.key("a");
    writer.begin_array();
    writer.end_array();
    writer.key("k\n");
    writer.begin_array();
    writer.string("x");
    writer.number(7);
    writer.bool(true);
    writer.value(&Json::Null);
    writer.raw("0");
    writer.end_array();
    writer.end_object();
    writer.u64(1);
    writer.i64(-2);
    writer.end_array();
    let expected = concat!(
        r#"[null,{},{"s":"a\"b","u":18446744073709551615,"i":-1,"b":false,"j":[1.0],"r":{},"a":[],"#,
        r#""k\n":["x",7,true,null,0]},1,-2]"#
    );
    assert_eq!(writer.len(), expected.len());
    assert_eq!(writer.into_string(), expected);
    assert!(JsonWriter::new().is_empty());
}
