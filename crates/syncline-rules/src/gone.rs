//! What stands for a base that was thinned (DESIGN, section 5, rule 7).
//!
//! Nobody knows any more what the writer had seen. So each place at which what it wrote differs
//! from the head clashes: the writer may have meant to overwrite what is there, or may never have
//! seen it, and nothing is overwritten unseen.

use syncline_model::json::{Json, Object};

/// Returns a document that equals neither side where they differ, and both where they agree: a
/// merge from it clashes wherever something would be overwritten.
pub fn stand_in(ours: &Json, theirs: &Json) -> Json {
    match (ours, theirs) {
        (ours, theirs) if ours == theirs => theirs.clone(),
        (Json::Object(ours), Json::Object(theirs)) => Json::Object(members(ours, theirs)),
        (ours, theirs) => neither(Some(ours), Some(theirs)),
    }
}

fn members(ours: &Object, theirs: &Object) -> Object {
    let mut base = Object::new();
    let keys = ours.iter().chain(theirs.iter()).map(|(key, _)| key);
    for key in keys {
        if base.contains_key(key) {
            continue;
        }
        let value = match (ours.get(key), theirs.get(key)) {
            (Some(ours), Some(theirs)) => stand_in(ours, theirs),
            (ours, theirs) => neither(ours, theirs),
        };
        base.insert(key, value);
    }
    base
}

/// Returns a value that neither side has, and that no two sides merge from.
fn neither(ours: Option<&Json>, theirs: Option<&Json>) -> Json {
    let values = [Json::Null, Json::Bool(false), Json::Bool(true)];
    let mut free = values.into_iter();
    let free = free.find(|value| Some(value) != ours && Some(value) != theirs);
    free.expect("of three values two sides hold at most two")
}
