//! How schemas are written: tables of members, each with what it is.

use syncline_model::json::{Json, Object};

use super::{list, object, reference};

/// Schemas by name.
pub(super) type Named = Vec<(&'static str, Json)>;

/// Members by name, each with what it is, as [`typed`] reads it. A name with `?` behind it may be
/// missing; all others are always there.
pub(super) type Members = [(&'static str, &'static str)];

/// Returns the schema of an object.
pub(super) fn record(members: &Members) -> Json {
    let mut properties = Object::new();
    let mut required = Vec::new();
    for (name, kind) in members {
        let known = name.strip_suffix('?');
        if known.is_none() {
            required.push(Json::from(*name));
        }
        properties.insert(known.unwrap_or(name), typed(kind));
    }
    let mut schema = Object::new();
    schema.insert("type", Json::from("object"));
    schema.insert("properties", Json::Object(properties));
    if !required.is_empty() {
        schema.insert("required", Json::from(required));
    }
    Json::Object(schema)
}

/// Returns the schema of an object of which any member may be missing.
pub(super) fn optional(mut schema: Json) -> Json {
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("required");
    }
    schema
}

/// Returns the schema of a page of a list.
pub(super) fn page(name: &'static str, items: &'static str) -> Json {
    record(&[(name, items), ("next?", "string")])
}

/// Reads what a member is: `[…]` is an array of it, `{…}` an object of them by any name, `count` a
/// whole number that is not negative, a name that begins with a capital the schema of that name,
/// and `…|null` may be null too.
pub(super) fn typed(kind: &str) -> Json {
    let inside = |open, close| kind.strip_prefix(open)?.strip_suffix(close);
    if let Some(items) = inside('[', ']') {
        return object([("type", Json::from("array")), ("items", typed(items))]);
    }
    if let Some(values) = inside('{', '}') {
        return by_name(typed(values));
    }
    if kind.starts_with(char::is_uppercase) {
        return reference(kind);
    }
    match kind.split_once('|') {
        Some((one, other)) => {
            let types = [one, other].map(Json::from);
            object([("type", list(types))])
        }
        None if kind == "any" => empty(),
        None if kind == "count" => {
            object([("type", Json::from("integer")), ("minimum", Json::from(0))])
        }
        None => object([("type", Json::from(kind))]),
    }
}

/// Returns the schema of an object whose members have any names.
pub(super) fn by_name(values: Json) -> Json {
    object([
        ("type", Json::from("object")),
        ("additionalProperties", values),
    ])
}

/// Returns the schema of one of these texts.
pub(super) fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Json {
    let words: Json = words.into_iter().map(Json::from).collect();
    object([("type", Json::from("string")), ("enum", words)])
}

/// Returns the schema of what fits one of these, and no two.
pub(super) fn one_of(kinds: &[&str]) -> Json {
    object([(
        "oneOf",
        kinds.iter().map(|kind| typed(kind)).collect::<Json>(),
    )])
}

/// Returns the schema of what fits any of these.
pub(super) fn any_of(schemas: impl IntoIterator<Item = Json>) -> Json {
    object([("anyOf", schemas.into_iter().collect::<Json>())])
}

/// Returns what may be null too.
pub(super) fn or_null(kind: &str) -> Json {
    any_of([typed(kind), typed("null")])
}

/// Refuses other members, as the node does.
pub(super) fn closed(schema: Json) -> Json {
    with(schema, "additionalProperties", Json::from(false))
}

/// Says what a reader should know of it.
pub(super) fn about(schema: Json, text: &str) -> Json {
    with(schema, "description", Json::from(text))
}

/// Puts a keyword into a schema.
pub(super) fn with(mut schema: Json, keyword: &str, value: Json) -> Json {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(keyword, value);
    }
    schema
}

/// Puts a member with a schema of its own into that of an object.
pub(super) fn with_member(mut schema: Json, name: &str, member: Json) -> Json {
    if let Some(Json::Object(members)) =
        schema.as_object_mut().and_then(|s| s.get_mut("properties"))
    {
        members.insert(name, member);
    }
    schema
}

pub(super) fn empty() -> Json {
    Json::Object(Object::new())
}
