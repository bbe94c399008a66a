//! Values in memory: looking up, changing, sharing.

use syncline_model::json::{Json, Object};

use super::json;

#[test]
fn values_are_looked_up_by_type() {
    let value = json(r#"{"a":[1,2.5,"x",true,null,{}]}"#);
    let items = value.get("a").and_then(Json::as_array).unwrap();
    let names: Vec<&str> = items.iter().map(Json::type_name).collect();
    assert_eq!(
        names,
        ["number", "number", "string", "boolean", "null", "object"]
    );
    assert_eq!(
        (items[0].as_i64(), items[0].as_u64(), items[1].as_i64()),
        (Some(1), Some(1), None)
    );
    assert_eq!(
        (items[2].as_str(), items[3].as_bool()),
        (Some("x"), Some(true))
    );
    assert!(items[4].is_null() && items[5].as_object().is_some());
    assert_eq!((value.get("b"), items[0].get("a")), (None, None));
    assert_eq!(
        (Json::Null.depth(), value.depth(), json("[]").depth()),
        (0, 3, 1)
    );
}

#[test]
fn a_change_does_not_reach_other_clones() {
    let before = json(r#"{"a":[1],"b":{"c":2}}"#);
    let mut after = before.clone();
    let object = after.as_object_mut().unwrap();
    object
        .get_mut("a")
        .unwrap()
        .as_array_mut()
        .unwrap()
        .push("x".into());
    assert_eq!(object.insert("d", Json::from(3)), None);
    assert_eq!(object.insert("d", Json::from(4)), Some(Json::from(3)));
    assert_eq!(object.remove("b"), Some(json(r#"{"c":2}"#)));
    assert_eq!(after.to_text(), r#"{"a":[1,"x"],"d":4}"#);
    assert_eq!(before.to_text(), r#"{"a":[1],"b":{"c":2}}"#);
}

#[test]
fn a_miss_does_not_copy() {
    let object: Object = [("a", Json::Null)].into_iter().collect();
    let mut clone = object.clone();
    assert_eq!(clone.get_mut("b"), None);
    assert_eq!(clone.remove("b"), None);
    assert!(clone.ptr_eq(&object));
}

#[test]
fn rust_values_become_json() {
    let mut object = Object::new();
    object.extend([
        ("i32", Json::from(-1_i32)),
        ("u32", 1_u32.into()),
        ("usize", 2_usize.into()),
    ]);
    object.extend([("i64", Json::from(i64::MIN)), ("u64", u64::MAX.into())]);
    object.extend([
        (String::from("owned"), Json::from(String::from("é"))),
        ("b".into(), true.into()),
    ]);
    object.insert("items", vec![Json::Null, "x".into()].into());
    let expected = r#"{"b":true,"i32":-1,"i64":-9223372036854775808,"items":[null,"x"],"owned":"é","u32":1,"u64":18446744073709551615,"usize":2}"#;
    assert_eq!(Json::from(object).to_text(), expected);
}
