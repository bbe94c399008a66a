//! What names an item of an array: a scalar member `id`, `key`, `name`, `slug` or `uuid`.

use std::collections::HashSet;
use syncline_model::json::Json;

/// The members that may name an item, the best first.
const NAMES: [&str; 5] = ["id", "key", "name", "slug", "uuid"];

/// Returns the first member that names this item, and its value.
pub(crate) fn identity(item: &Json) -> Option<(&'static str, &Json)> {
    let object = item.as_object()?;
    NAMES.iter().find_map(|&name| {
        object
            .get(name)
            .filter(|id| is_name(id))
            .map(|id| (name, id))
    })
}

/// Returns the member by which all sides are keyed: every item is an object that has it, as a
/// string or a number that no other item of its side has.
pub(crate) fn key_of(sides: &[&[Json]]) -> Option<&'static str> {
    let any = sides.iter().any(|side| !side.is_empty());
    let keys = |name: &&&'static str| any && sides.iter().all(|side| is_keyed(side, name));
    NAMES.iter().find(keys).copied()
}

/// As [`key_of`] for three sides, of which the first is the base; of several members, the one by
/// which most items of the base are found again, so that a new name does not make a new item.
pub(crate) fn key_of_three(sides: &[&[Json]; 3]) -> Option<&'static str> {
    if sides.iter().all(|side| side.is_empty()) {
        return None;
    }
    let mut best: Option<(usize, &'static str)> = None;
    for name in NAMES {
        let [Some(base), Some(earlier), Some(later)] = sides.map(|side| keys(side, name)) else {
            continue;
        };
        let in_both = |key: &&&Json| earlier.contains(**key) && later.contains(**key);
        let kept = base.iter().filter(in_both).count();
        if best.is_none_or(|(most, _)| kept > most) {
            best = Some((kept, name));
        }
        if kept == base.len() {
            break;
        }
    }
    best.map(|(_, name)| name)
}

fn keys<'a>(items: &'a [Json], name: &str) -> Option<HashSet<&'a Json>> {
    let mut seen = HashSet::with_capacity(items.len());
    for item in items {
        let id = item.get(name).filter(|id| is_name(id))?;
        if !seen.insert(id) {
            return None;
        }
    }
    Some(seen)
}

fn is_keyed(items: &[Json], name: &str) -> bool {
    let mut seen = HashSet::with_capacity(items.len());
    items.iter().all(|item| {
        item.get(name)
            .is_some_and(|id| is_name(id) && seen.insert(id))
    })
}

fn is_name(value: &Json) -> bool {
    matches!(value, Json::String(_) | Json::Number(_))
}
