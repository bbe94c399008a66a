//! From objects to types.

use syncline_model::json::{FieldError, Fields, Pointer};

use super::json;

/// Reads a task whose fields are of every kind, with `note` ignored.
fn read_task(text: &str) -> Result<String, FieldError> {
    let value = json(text);
    let mut fields = Fields::new(&value, &Pointer::from_static("/tasks/0"))?;
    let title = fields.required_string("title")?;
    let points = fields.u64("points")?;
    let done = fields.bool("done")?;
    let size = fields.parse("size", str::parse::<u8>)?;
    let labels = fields.object("labels")?.map(|labels| labels.len());
    let steps = fields.array("steps")?.map(<[_]>::len);
    let data = fields.optional("data").map(|data| data.to_text());
    fields.ignore(&["note", "absent"]);
    fields.finish()?;
    Ok(format!(
        "{title} {points:?} {done:?} {size:?} {labels:?} {steps:?} {data:?}"
    ))
}

fn check_refused(text: &str, message: &str, pointer: &str, hint: Option<&str>) {
    let error = read_task(text).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.pointer.to_string(), pointer);
    assert_eq!(error.hint().as_deref(), hint);
}

#[test]
fn fields_are_read_into_types() {
    assert_eq!(
        read_task(r#"{"title":"T"}"#).unwrap(),
        "T None None None None None None"
    );
    let text = r#"{"title":"T","points":3.0,"done":true,"size":"7","labels":{"a":1},"steps":[1,2],
        "data":null,"note":[]}"#;
    let expected = r#"T Some(3) Some(true) Some(7) Some(1) Some(2) Some("null")"#;
    assert_eq!(read_task(text).unwrap(), expected);
}

#[test]
fn what_does_not_fit_is_refused() {
    check_refused(
        "[]",
        "expected object at \"/tasks/0\", found array",
        "/tasks/0",
        None,
    );
    check_refused(
        "{}",
        "missing field \"/tasks/0/title\"",
        "/tasks/0/title",
        None,
    );
    check_refused(
        r#"{"title":null}"#,
        "expected string at \"/tasks/0/title\", found null",
        "/tasks/0/title",
        None,
    );
    check_refused(
        r#"{"title":"T","points":-1}"#,
        "expected unsigned integer at \"/tasks/0/points\", found number",
        "/tasks/0/points",
        None,
    );
    check_refused(
        r#"{"title":"T","size":"300"}"#,
        "invalid value at \"/tasks/0/size\": number too large to fit in target type",
        "/tasks/0/size",
        None,
    );
}

#[test]
fn what_nobody_asked_for_is_refused() {
    let check = |name: &str, hint: &str| {
        let text = format!(r#"{{"title":"T","{name}":1}}"#);
        let pointer = format!("/tasks/0/{name}");
        check_refused(
            &text,
            &format!("unknown field {pointer:?}"),
            &pointer,
            Some(hint),
        );
    };
    check("lables", "did you mean \"labels\"?");
    check("Title", "did you mean \"title\"?");
    check(
        "other",
        "known fields: data, done, labels, points, size, steps, title",
    );
    check(
        "x",
        "known fields: data, done, labels, points, size, steps, title",
    );
}

#[test]
fn messages_are_bounded() {
    let error = read_task(&format!(r#"{{"title":"T","{}":1}}"#, "é".repeat(10_000))).unwrap_err();
    assert_eq!(
        error.to_string().chars().count(),
        "unknown field \"\"".len() + 257
    );
}
