#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use syncline_model::json::{Json, Limits, Pointer};

use super::{document, named, schemas};

/// Calls a function with each object in a value.
fn each_object(value: &Json, f: &mut impl FnMut(&Json)) {
    match value {
        Json::Object(members) => {
            f(value);
            members.values().for_each(|value| each_object(value, f));
        }
        Json::Array(items) => items.iter().for_each(|value| each_object(value, f)),
        _ => {}
    }
}

fn references(value: &Json) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    each_object(value, &mut |object| {
        names.extend(object.get("$ref").and_then(Json::as_str).map(str::to_owned));
    });
    names
}

#[test]
fn each_schema_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for (name, _) in named() {
        assert!(names.insert(name), "{name} is given twice");
    }
}

#[test]
fn each_reference_leads_somewhere_and_each_schema_is_led_to() {
    let text = document();
    let document = Json::parse(text.as_bytes(), &Limits::default()).unwrap();
    let led_to = references(&document);
    for place in &led_to {
        let pointer = Pointer::parse(place.strip_prefix('#').unwrap()).unwrap();
        assert!(document.pointer(&pointer).is_some(), "{place}");
    }
    // These are of messages alone.
    let elsewhere = ["ConnectionLimits", "From"];
    for name in schemas().as_object().unwrap().keys() {
        let place = format!("#/components/schemas/{name}");
        let known = led_to.contains(&place) || elsewhere.contains(&name);
        assert!(known, "nothing leads to {name}");
    }
}

#[test]
fn what_is_required_is_a_member() {
    each_object(&schemas(), &mut |schema| {
        let required = schema.get("required").and_then(Json::as_array);
        for name in required.unwrap_or_default() {
            let name = name.as_str().unwrap();
            let member = schema.get("properties").and_then(|all| all.get(name));
            assert!(member.is_some(), "{name} of {}", schema.to_text());
        }
    });
}
