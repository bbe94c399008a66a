//! Laws of reading and writing, over invented values and bytes.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sha2::{Digest as _, Sha256};
use syncline_model::document::Document;
use syncline_model::json::{Json, Key, Number, Object, fuzz::fuzz_json};

use super::{any_json, any_text, json, read};

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Writes the same value in another way: every number and string in another form.
fn rewritten(value: &Json) -> String {
    match value {
        Json::Number(number) => respelt(number),
        Json::String(text) => escaped(text),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(rewritten).collect();
            format!("[\t{}\r\n]", items.join(" ,"))
        }
        Json::Object(object) => {
            let member = |(key, value)| format!("{} :{}", escaped(key), rewritten(value));
            let members: Vec<String> = object.iter().rev().map(member).collect();
            format!("{{ {} }}", members.join(",\n"))
        }
        other => other.to_text(),
    }
}

fn respelt(number: &Number) -> String {
    let text = number.text().replace('E', "e");
    match text.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => format!("{mantissa}0E{exponent}"),
        Some((mantissa, exponent)) => format!("{mantissa}.00e{exponent}"),
        None => format!("{text}E-0"),
    }
}

fn escaped(text: &str) -> String {
    let units: String = text
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04X}"))
        .collect();
    format!("\"{units}\"")
}

/// The place of an error must be in the input, and the line and column be those of the offset.
fn check_place(bytes: &[u8]) {
    let Err(error) = read(bytes) else { return };
    let before = &bytes[..error.offset];
    let lines: Vec<&[u8]> = before.split(|byte| *byte == b'\n').collect();
    assert_eq!(error.line as usize, lines.len());
    let column = String::from_utf8_lossy(lines[lines.len() - 1])
        .chars()
        .count()
        + 1;
    assert_eq!(error.column as usize, column, "{error}");
}

proptest! {
    #[test]
    fn text_loses_nothing(value in any_json()) {
        let text = value.to_text();
        let again = json(&text);
        prop_assert_eq!(&again, &value);
        prop_assert_eq!(again.to_text(), text.clone());
        prop_assert_eq!(json(&value.to_pretty()).to_text(), text);
    }

    #[test]
    fn canonical_text_is_a_fixed_point(value in any_json()) {
        let canonical = value.canonical();
        let again = json(&canonical);
        prop_assert_eq!(&again, &value);
        prop_assert_eq!(again.canonical(), canonical);
    }

    #[test]
    fn one_value_has_one_canonical_text_and_one_hash(value in any_json()) {
        let other = json(&rewritten(&value));
        prop_assert_eq!(&other, &value);
        prop_assert_eq!(other.canonical(), value.canonical());
        prop_assert_eq!(hash(&other), hash(&value));
    }

    #[test]
    fn different_values_have_different_canonical_texts(a in any_json(), b in any_json()) {
        prop_assert_eq!(a == b, a.canonical() == b.canonical());
        if a == b {
            prop_assert_eq!(hash(&a), hash(&b));
        }
    }

    #[test]
    fn keys_are_ordered_by_utf16(a in any_text(), b in any_text()) {
        let oracle = a.encode_utf16().cmp(b.encode_utf16());
        prop_assert_eq!(Key::from(a.as_str()).cmp(&Key::from(b.as_str())), oracle);
    }

    #[test]
    fn a_key_is_found_by_its_text(keys in vec(any_text(), 0..12)) {
        let object: Object = keys.iter().map(|key| (key.as_str(), Json::Null)).collect();
        for key in &keys {
            prop_assert!(object.contains_key(key));
        }
        let ordered: Vec<Vec<u16>> = object.keys().map(|key| key.encode_utf16().collect()).collect();
        prop_assert!(ordered.is_sorted());
    }

    #[test]
    fn an_object_is_a_map_however_large(
        start in 0..80_usize,
        changes in vec((0..80_usize, any::<bool>()), 0..100),
    ) {
        let key = |n: usize| format!("{}{n}", if n.is_multiple_of(7) { '\u{FFFF}' } else { '\u{10000}' });
        let first = (0..start).map(|n| (key(n), Json::from(n)));
        let mut oracle: BTreeMap<Key, Json> = first.clone().map(|(k, v)| (k.into(), v)).collect();
        let mut object: Object = first.collect();
        let before = object.clone();
        for (n, adds) in changes {
            if adds {
                let value = Json::from(n + 100);
                let had = object.insert(key(n), value.clone());
                prop_assert_eq!(had, oracle.insert(key(n).into(), value));
            } else {
                prop_assert_eq!(object.remove(&key(n)), oracle.remove(&Key::from(key(n))));
            }
            prop_assert_eq!(object.len(), oracle.len());
            prop_assert_eq!(object.get(&key(n)), oracle.get(&Key::from(key(n))));
            prop_assert_eq!(object.get_mut(&key(n)), oracle.get_mut(&Key::from(key(n))));
        }
        prop_assert!(object.entries().eq(&oracle));
        prop_assert!(object.entries().rev().eq(oracle.iter().rev()));
        let rebuilt: Object = object.entries().map(|(k, v)| (k, v.clone())).collect();
        prop_assert_eq!(&rebuilt, &object);
        prop_assert_eq!(hash(&rebuilt), hash(&object));
        prop_assert_eq!(before.len(), start);
    }

    #[test]
    fn a_document_is_hashed_by_its_canonical_text(value in any_json(), length in 0..9_000_usize) {
        let texts = ["x".repeat(length), "\n".repeat(length / 6)].map(Json::from).to_vec();
        let data: Object = [("texts", Json::from(texts)), ("value", value)].into_iter().collect();
        let document = Document::from_stored([("data", data.into())].into_iter().collect());
        let digest: [u8; 32] = Sha256::digest(document.canonical()).into();
        prop_assert_eq!(document.hash().0, digest);
    }

    #[test]
    fn weight_is_close_to_the_length(value in any_json()) {
        let escapes = value.to_text().matches('\\').count() * 6;
        prop_assert!(value.weight() + escapes >= value.to_text().len());
        prop_assert!(value.weight() <= value.to_text().len() * 9);
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..64)) {
        fuzz_json(&bytes);
        check_place(&bytes);
    }

    #[test]
    fn no_tokens_panic(text in "([\\[\\]{},:\" \n\\\\u0-9eE.+-]|\"a\"|true|null|\\\\ud8){0,30}") {
        fuzz_json(text.as_bytes());
        check_place(text.as_bytes());
    }

    #[test]
    fn no_damaged_text_panics(value in any_json(), damage in vec((any::<Index>(), any::<u8>()), 1..4)) {
        let mut bytes = value.to_pretty().into_bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fuzz_json(&bytes);
        check_place(&bytes);
    }

    #[test]
    fn no_cut_text_is_read(value in any_json(), at in any::<Index>()) {
        let text = format!("[{}]", value.to_text());
        let cut = &text.as_bytes()[..at.index(text.len())];
        prop_assert!(read(cut).is_err());
        check_place(cut);
    }
}
