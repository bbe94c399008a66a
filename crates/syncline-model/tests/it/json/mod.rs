//! The JSON document.

mod corpus;
mod fields;
mod laws;
mod memory;
mod numbers;
mod pointers;
mod reading;
mod values;
mod writing;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use syncline_model::json::{Json, JsonError, Limits, Number};

/// Reads a text that must be JSON.
fn json(text: &str) -> Json {
    read(text.as_bytes()).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

fn read(bytes: &[u8]) -> Result<Json, JsonError> {
    Json::parse(bytes, &Limits::default())
}

/// Any value up to four levels deep.
fn any_json() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any_number().prop_map(Json::from),
        any_text().prop_map(Json::from),
    ];
    scalar.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Json::from),
            btree_map(any_text(), inner, 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

fn any_number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        any::<f64>().prop_filter_map("finite", Number::from_f64),
        number_text().prop_map(|text| Number::parse(&text).unwrap()),
    ]
}

/// Texts of the grammar, short enough for some to denote the same number.
fn number_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,2})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?",
    ]
}

/// Texts with control characters, what must be escaped, and both sides of U+FFFF.
fn any_text() -> impl Strategy<Value = String> {
    let awkward = prop::char::ranges(vec!['\0'..='\u{7F}', '\u{D000}'..='\u{10400}'].into());
    let character = prop_oneof![awkward, any::<char>(), prop::char::range('a', 'c')];
    vec(character, 0..6).prop_map(String::from_iter)
}
