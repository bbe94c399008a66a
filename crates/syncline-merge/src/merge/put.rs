//! Reading and writing the place that a keyed path names, where that place may be missing.

use super::path::{KeyedPath, KeyedStep};
use syncline_model::json::{Json, Object};

impl KeyedPath {
    /// Returns the value at the place, in a document where items may have moved.
    #[must_use]
    pub fn get<'d>(&self, doc: &'d Json) -> Option<&'d Json> {
        doc.pointer(&self.resolve(doc)?)
    }

    /// Puts a value at the place, or removes what is there; returns the document after it, `None`
    /// within if nothing is left of it.
    ///
    /// Objects on the way are made where they are missing, and a whole item that is missing goes to
    /// the end of its array. `None` means that there is no way to the place any more: a part of an
    /// item that is gone would make one of that part alone.
    #[must_use]
    pub fn put(&self, doc: Option<&Json>, value: Option<Json>) -> Option<Option<Json>> {
        put(doc, self.steps(), value)
    }
}

fn put(here: Option<&Json>, steps: &[KeyedStep], value: Option<Json>) -> Option<Option<Json>> {
    let Some((step, below)) = steps.split_first() else {
        return Some(value);
    };
    match (here, step) {
        (None, KeyedStep::Member(_)) => {
            let empty = Json::Object(Object::new());
            match value {
                Some(value) => put(Some(&empty), steps, Some(value)),
                None => Some(None),
            }
        }
        (Some(Json::Object(object)), step) => {
            let key = match step {
                KeyedStep::Member(key) => key.to_string(),
                KeyedStep::Index(index) => index.to_string(),
                KeyedStep::Keyed(..) => return None,
            };
            let after = put(object.get(&key), below, value)?;
            let mut object = object.clone();
            match after {
                Some(after) => drop(object.insert(key.as_str(), after)),
                None => drop(object.remove(&key)),
            }
            Some(Some(Json::Object(object)))
        }
        (Some(Json::Array(items)), step) => {
            let at = match step {
                KeyedStep::Index(index) => Some(*index),
                KeyedStep::Member(token) => token.parse().ok(),
                KeyedStep::Keyed(member, key) => {
                    let named = |item: &Json| item.get(member) == Some(key);
                    let found = items.iter().position(named);
                    match (found, below, &value) {
                        (None, [_, ..], Some(_)) => None,
                        (found, ..) => Some(found.unwrap_or(items.len())),
                    }
                }
            }?;
            let after = put(items.get(at), below, value)?;
            let mut items = items.to_vec();
            match after {
                Some(after) if at < items.len() => items[at] = after,
                Some(after) if at == items.len() => items.push(after),
                Some(_) => return None,
                None if at < items.len() => drop(items.remove(at)),
                None => {}
            }
            Some(Some(Json::Array(items.into())))
        }
        _ => None,
    }
}
