//! What names an item of an array: a scalar member `id`, `key`, `name`, `slug` or `uuid`.

use std::collections::HashSet;
use syncline_model::json::Json;

/// The members that may name an item, the best first.
pub(crate) const NAMES: [&str; 5] = ["id", "key", "name", "slug", "uuid"];

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

fn is_keyed(items: &[Json], name: &str) -> bool {
    let mut seen = HashSet::with_capacity(items.len());
    items.iter().all(|item| {
        item.get(name)
            .is_some_and(|id| is_name(id) && seen.insert(id))
    })
}

pub(crate) fn is_name(value: &Json) -> bool {
    matches!(value, Json::String(_) | Json::Number(_))
}
