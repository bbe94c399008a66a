//! Laws, over schemas and documents that nobody would think of.

use proptest::collection::vec;
use proptest::prelude::*;
use syncline_model::json::{Json, Number, Object, Pointer};
use syncline_schema::{Schema, SchemaLimits, fuzz::fuzz_schema};

const KEYS: [&str; 5] = ["a", "b", "c", "id", "é/~"];

fn key() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(KEYS.to_vec())
}

fn object(members: Vec<(&'static str, Json)>) -> Json {
    Json::from(members.into_iter().collect::<Object>())
}

fn document() -> impl Strategy<Value = Json> {
    let numbers = ["0", "-1", "1.0", "2.5", "1e300", "9007199254740993"];
    let number = proptest::sample::select(numbers.to_vec());
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        number.prop_map(|text| Json::from(Number::parse(text).unwrap())),
        proptest::sample::select(vec!["", "a", "true", "42", "é"]).prop_map(Json::from),
    ];
    scalar.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::from),
            vec((key(), inner), 0..4).prop_map(object),
        ]
    })
}

/// A schema that mostly compiles: every keyword with a value of its type.
fn schema() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        4 => any::<bool>().prop_map(Json::from),
        1 => document(),
        4 => proptest::sample::select(vec!["#", "#/$defs/a", "#/properties/b", "#/items", "#b"])
            .prop_map(|to| object(vec![("$ref", Json::from(to))])),
        2 => proptest::sample::select(vec!["string", "number", "integer", "object", "array", "null"])
            .prop_map(|name| object(vec![("type", Json::from(name))])),
        1 => Just(object(vec![("$dynamicAnchor", Json::from("b"))])),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let one = [
            "not",
            "items",
            "contains",
            "if",
            "then",
            "else",
            "additionalProperties",
            "unevaluatedProperties",
            "unevaluatedItems",
            "propertyNames",
        ];
        let list = ["allOf", "anyOf", "oneOf", "prefixItems"];
        let map = [
            "properties",
            "$defs",
            "dependentSchemas",
            "patternProperties",
        ];
        let count = [
            "minItems",
            "maxItems",
            "minLength",
            "maxProperties",
            "minContains",
        ];
        let bound = ["minimum", "exclusiveMaximum", "multipleOf"];
        let rules = ["last", "counter", "set", "keyed"];
        let pick = |names: &[&'static str]| proptest::sample::select(names.to_vec());
        let keyword = prop_oneof![
            4 => (pick(&one), inner.clone()),
            4 => (pick(&list), vec(inner.clone(), 1..3).prop_map(Json::from)),
            4 => (pick(&map), vec((key(), inner), 0..3).prop_map(object)),
            2 => (pick(&count), (0..3i64).prop_map(Json::from)),
            1 => (pick(&bound), (0..4i64).prop_map(Json::from)),
            1 => (Just("enum"), vec(document(), 0..3).prop_map(Json::from)),
            1 => (Just("const"), document()),
            1 => (Just("default"), document()),
            1 => (Just("uniqueItems"), any::<bool>().prop_map(Json::from)),
            1 => (Just("required"), key().prop_map(|key| Json::from(vec![Json::from(key)]))),
            1 => (Just("x-merge"), pick(&rules).prop_map(Json::from)),
            1 => (Just("$dynamicRef"), Just(Json::from("#b"))),
        ];
        vec(keyword, 1..5).prop_map(object)
    })
}

/// A simple schema, and a document that fits it.
fn fitting() -> impl Strategy<Value = (Json, Json)> {
    let typed = |name: &str, value: Json| (object(vec![("type", Json::from(name))]), value);
    let leaf = prop_oneof![
        (0..9i64).prop_map(move |n| typed("integer", Json::from(n))),
        "[a-c]{0,3}".prop_map(move |text| typed("string", Json::from(text))),
        any::<bool>().prop_map(move |value| typed("boolean", Json::from(value))),
        Just(typed("null", Json::Null)),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        let array = (inner.clone(), 0..4usize).prop_map(|((schema, value), count)| {
            let members = vec![("type", Json::from("array")), ("items", schema)];
            (object(members), Json::from(vec![value; count]))
        });
        let object = vec((key(), inner), 1..4).prop_map(|members| {
            let schemas: Object = members
                .iter()
                .map(|(key, (schema, _))| (*key, schema.clone()))
                .collect();
            let values: Object = members
                .iter()
                .map(|(key, (_, value))| (*key, value.clone()))
                .collect();
            let names: Json = schemas.keys().map(Json::from).collect();
            let members = vec![
                ("type", Json::from("object")),
                ("properties", Json::from(schemas)),
                ("required", names),
                ("additionalProperties", Json::from(false)),
            ];
            (object(members), Json::from(values))
        });
        prop_oneof![array, object]
    })
}

/// The pointers to everything in a document, itself first.
fn places(document: &Json) -> Vec<Pointer> {
    let mut all = vec![Pointer::root()];
    let mut next = 0;
    while next < all.len() {
        let place = all[next].clone();
        match document.pointer(&place).unwrap() {
            Json::Object(object) => all.extend(object.keys().map(|key| place.child(key))),
            Json::Array(items) => all.extend((0..items.len()).map(|index| place.index(index))),
            _ => {}
        }
        next += 1;
    }
    all
}

fn with(document: &Json, place: &Pointer, value: Json) -> Json {
    let mut changed = document.clone();
    let target = place
        .tokens()
        .iter()
        .fold(&mut changed, |here, token| match here {
            Json::Object(object) => object.get_mut(token).unwrap(),
            other => &mut other.as_array_mut().unwrap()[token.parse::<usize>().unwrap()],
        });
    *target = value;
    changed
}

fn compiled(schema: &Json) -> Schema {
    Schema::compile(schema, SchemaLimits::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn checks_are_bounded_and_never_panic(schema in schema(), document in document()) {
        fuzz_schema(format!("{}\n{}", schema.to_text(), document.to_text()).as_bytes());
    }

    #[test]
    fn any_document_is_no_danger_as_a_schema(schema in document(), document in document()) {
        fuzz_schema(format!("{}\n{}", schema.to_text(), document.to_text()).as_bytes());
    }

    #[test]
    fn what_was_made_to_fit_fits((schema, document) in fitting()) {
        prop_assert!(compiled(&schema).check(&document).fits());
    }

    #[test]
    fn a_wrong_type_fails_where_it_is((schema, document) in fitting(), at in any::<usize>()) {
        let places = places(&document);
        let place = &places[at % places.len()];
        // No leaf of a simple schema is such a number.
        let wrong = with(&document, place, Json::from(Number::parse("0.5").unwrap()));
        let report = compiled(&schema).check(&wrong);
        let found: Vec<_> = report.failures.iter().map(|f| (&f.place, f.keyword)).collect();
        prop_assert_eq!(found, vec![(place, "type")]);
    }

    #[test]
    fn not_is_the_opposite(schema in schema(), document in document()) {
        let Ok(plain) = Schema::compile(&schema, SchemaLimits::default()) else { return Ok(()) };
        let Ok(not) = Schema::compile(&object(vec![("not", schema.clone())]), SchemaLimits::default()) else {
            return Ok(()); // References by pointer lead elsewhere now.
        };
        if !schema.to_text().contains('#') {
            prop_assert_ne!(plain.check(&document).fits(), not.check(&document).fits());
        }
    }
}
