//! JSON Merge Patch (RFC 7396): the form in which a writer names only what changes.

use syncline_model::json::{Json, Object};

/// Applies a merge patch: members of objects are merged, `null` removes, all else replaces.
///
/// Linear in the patch and in the objects that it changes; all else is shared with `doc`. A member
/// that equals what is there changes nothing, not even the text of a number.
pub fn apply_merge_patch(doc: &Json, patch: &Json) -> Json {
    merged(Some(doc), patch).unwrap_or_else(|| doc.clone())
}

/// The merged value, or `None` where `target` stays as it is.
fn merged(target: Option<&Json>, patch: &Json) -> Option<Json> {
    let Some(members) = patch.as_object() else {
        return if target == Some(patch) {
            None
        } else {
            Some(patch.clone())
        };
    };
    let object = target.and_then(Json::as_object);
    // A scalar or an array under an object makes room for one, be the patch empty or not.
    let mut changed = if object.is_some() {
        None
    } else {
        Some(Object::new())
    };
    for (key, value) in members.iter() {
        let old = object.and_then(|object| object.get(key));
        if value.is_null() {
            if let (Some(_), Some(object)) = (old, object) {
                changed.get_or_insert_with(|| object.clone()).remove(key);
            }
        } else if let Some(new) = merged(old, value) {
            let start = || object.cloned().unwrap_or_default();
            changed.get_or_insert_with(start).insert(key, new);
        }
    }
    changed.map(Json::from)
}
