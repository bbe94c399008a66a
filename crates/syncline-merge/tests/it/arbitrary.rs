//! Documents, edits and patches that nobody would think of.

use proptest::collection::vec;
use proptest::prelude::*;
use syncline_model::json::{Json, Number, Object, Pointer};

/// A document of bounded size: odd keys, odd texts, numbers of several spellings, lists of records.
pub fn document() -> impl Strategy<Value = Json> {
    scalar().prop_recursive(5, 60, 6, |inner| {
        let members = vec((key(), inner.clone()), 0..6);
        let record = (0..6u32, vec((key(), inner.clone()), 0..3)).prop_map(|(id, members)| {
            let mut object: Object = members.into_iter().collect();
            object.insert("id", Json::from(id));
            Json::from(object)
        });
        prop_oneof![
            3 => members.prop_map(|members| Json::from(members.into_iter().collect::<Object>())),
            2 => vec(inner, 0..6).prop_map(Json::from),
            2 => vec(scalar(), 0..12).prop_map(Json::from),
            1 => vec(record, 0..6).prop_map(Json::from),
        ]
    })
}

/// A document and a later version of it: a few edits, or something else altogether.
pub fn pair() -> impl Strategy<Value = (Json, Json)> {
    let edits = (document(), vec((any::<u32>(), edits()), 0..8)).prop_map(|(from, edits)| {
        let to = edits
            .into_iter()
            .fold(from.clone(), |doc, (place, edit)| edited(doc, place, edit));
        (from, to)
    });
    prop_oneof![4 => edits, 1 => (document(), document())]
}

/// A document and the text of a patch whose paths mostly lead somewhere.
pub fn doc_and_patch() -> impl Strategy<Value = (Json, String)> {
    (
        document(),
        vec(
            (
                0..6u8,
                any::<u32>(),
                any::<u32>(),
                any::<bool>(),
                document(),
            ),
            0..8,
        ),
    )
        .prop_map(|(doc, ops)| {
            let places = places(&doc);
            let path = |n: u32, below: bool, last: &str| {
                let place = &places[n as usize % places.len()];
                if below {
                    place.child(last).to_string()
                } else {
                    place.to_string()
                }
            };
            let ops: Json = ops
                .into_iter()
                .map(|(op, to, from, below, value)| {
                    let name = ["add", "remove", "replace", "move", "copy", "test"][op as usize];
                    let last = ["-", "0", "a", "~"][to as usize % 4];
                    let members = [
                        ("op", Json::from(name)),
                        ("path", Json::from(path(to, below, last))),
                        ("from", Json::from(path(from, false, ""))),
                        ("value", value),
                    ];
                    Json::from(members.into_iter().collect::<Object>())
                })
                .collect();
            (doc, ops.to_text())
        })
}

fn key() -> impl Strategy<Value = String> {
    let odd = [
        "", "~", "/", "é", "0", "-", "01", "~1", "\u{e000}", "😀", "id", "name", "a\u{1b}b",
        "\u{202e}",
    ];
    prop_oneof![3 => "[a-d]", 2 => proptest::sample::select(odd.to_vec()).prop_map(str::to_owned)]
}

fn scalar() -> impl Strategy<Value = Json> {
    let numbers = [
        "0",
        "-0",
        "1",
        "1.0",
        "1e0",
        "1e400",
        "0.10000000000000000001",
        "9007199254740993",
        "-2.50",
    ];
    let texts = [
        "",
        "a",
        "b",
        "two\nlines",
        "\u{0}\u{7f}\u{9b}",
        "\u{2066}x\u{2028}",
        "é😀\"\\",
    ];
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (0..5i64).prop_map(Json::from),
        proptest::sample::select(numbers.to_vec())
            .prop_map(|text| Json::from(Number::parse(text).unwrap())),
        proptest::sample::select(texts.to_vec()).prop_map(Json::from),
        "[a-c]{1,3}(\n[a-c]{0,60}){0,4}".prop_map(Json::from),
    ]
}

/// One edit of a document.
#[derive(Clone, Debug)]
pub enum Edit {
    Set(Json),
    Insert(String, Json),
    Remove(u32),
    Swap(u32, u32),
}

/// Any edit.
pub fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        document().prop_map(Edit::Set),
        (key(), document()).prop_map(|(key, value)| Edit::Insert(key, value)),
        any::<u32>().prop_map(Edit::Remove),
        (any::<u32>(), any::<u32>()).prop_map(|(a, b)| Edit::Swap(a, b)),
    ]
}

/// The pointers to everything in a document, itself first.
fn places(doc: &Json) -> Vec<Pointer> {
    let mut all = vec![Pointer::root()];
    let mut next = 0;
    while next < all.len() {
        let place = all[next].clone();
        match doc.pointer(&place).unwrap() {
            Json::Object(object) => all.extend(object.keys().map(|key| place.child(key))),
            Json::Array(items) => all.extend((0..items.len()).map(|index| place.index(index))),
            _ => {}
        }
        next += 1;
    }
    all
}

/// Edits a document somewhere.
pub fn edited(mut doc: Json, place: u32, edit: Edit) -> Json {
    let places = places(&doc);
    let place = places[place as usize % places.len()].clone();
    let target = place
        .tokens()
        .iter()
        .fold(&mut doc, |here, token| match here {
            Json::Object(object) => object.get_mut(token).unwrap(),
            Json::Array(items) => {
                &mut std::sync::Arc::make_mut(items)[token.parse::<usize>().unwrap()]
            }
            _ => unreachable!("a pointer leads through containers"),
        });
    match (target, edit) {
        (target, Edit::Set(value)) => *target = value,
        (Json::Object(object), Edit::Insert(key, value)) => drop(object.insert(key, value)),
        (Json::Object(object), Edit::Remove(n)) if !object.is_empty() => {
            let key = object
                .keys()
                .nth(n as usize % object.len())
                .unwrap()
                .to_owned();
            object.remove(&key);
        }
        (Json::Array(items), edit) => {
            let items = std::sync::Arc::make_mut(items);
            let len = items.len();
            match edit {
                Edit::Insert(key, value) => items.insert(key.len() % (len + 1), value),
                Edit::Remove(n) if len > 0 => drop(items.remove(n as usize % len)),
                Edit::Swap(a, b) if len > 0 => items.swap(a as usize % len, b as usize % len),
                _ => {}
            }
        }
        _ => {}
    }
    doc
}
