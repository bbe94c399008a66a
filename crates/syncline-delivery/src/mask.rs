//! The parts of a document that a subscription wants: `fields`.
//!
//! What a reader is sent is the difference of two projected documents, so one that applies what it
//! gets holds the projected document exactly, arrays included: a pointer into an array gives the
//! whole array.

use std::sync::Arc;

use syncline_merge::{Patch, diff};
use syncline_model::change::Change;
use syncline_model::json::{Json, Object, Pointer};

/// Which parts; all of them, unless any are named.
#[derive(Clone, Debug, Default)]
pub struct Mask(Arc<[Pointer]>);

impl Mask {
    /// Takes pointers that start at the context. The pointer to the whole document asks for all.
    pub fn new(fields: Vec<Pointer>) -> Mask {
        match fields.iter().any(Pointer::is_root) {
            true => Mask::default(),
            false => Mask(fields.into()),
        }
    }

    /// Says whether documents are shown whole.
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the pointers.
    pub fn fields(&self) -> &[Pointer] {
        &self.0
    }

    /// Says whether a change at this place may change what is shown; never no where it does.
    pub fn meets(&self, changed: &Pointer) -> bool {
        self.is_whole() || self.0.iter().any(|field| may_meet(changed, field))
    }

    /// Says whether any place that a change touched may change what is shown.
    pub fn meets_any(&self, change: &Change) -> bool {
        self.is_whole() || change.changed.iter().any(|place| self.meets(place))
    }

    /// Returns the parts of a document.
    pub fn project(&self, document: &Json) -> Json {
        if self.is_whole() {
            return document.clone();
        }
        let mut part = Object::new();
        for field in self.0.iter() {
            copy(document, field.tokens(), &mut part);
        }
        Json::Object(part)
    }

    /// Returns what takes the parts of one document to those of another.
    pub fn between(&self, before: &Json, after: &Json) -> Patch {
        diff(&self.project(before), &self.project(after))
    }
}

/// An item's index stands for any place below its array, since all of the array is shown.
fn may_meet(changed: &Pointer, field: &Pointer) -> bool {
    let tokens = changed.tokens().iter().zip(field.tokens());
    let is_index = |token: &str| token == "-" || Pointer::array_index(token).is_some();
    let mut tokens = tokens.skip_while(|(c, f)| c == f);
    tokens.next().is_none_or(|(changed, _)| is_index(changed))
}

fn copy(from: &Json, tokens: &[Arc<str>], into: &mut Object) {
    let Some((name, rest)) = tokens.split_first() else {
        return;
    };
    let Some(value) = from.get(name) else { return };
    let descends = !rest.is_empty() && value.as_object().is_some();
    if !descends {
        // A scalar has nothing below it: the pointer found nothing.
        if rest.is_empty() || value.as_array().is_some() {
            into.insert(&**name, value.clone());
        }
        return;
    }
    if !into.contains_key(name) {
        into.insert(&**name, Json::Object(Object::new()));
    }
    if let Some(Json::Object(inner)) = into.get_mut(name) {
        copy(value, rest, inner);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
    use syncline_merge::ApplyLimits;
    use syncline_model::json::Limits;

    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.as_bytes(), &Limits::default()).unwrap()
    }

    fn mask(fields: &[&str]) -> Mask {
        Mask::new(fields.iter().map(|f| Pointer::parse(f).unwrap()).collect())
    }

    /// Checks that the patch between two documents' parts leads from one to the other, and that
    /// the quick answer agrees.
    fn check(fields: &[&str], before: &str, after: &str, changes: bool) {
        let (mask, before, after) = (mask(fields), json(before), json(after));
        let patch = mask.between(&before, &after);
        let limits = ApplyLimits {
            depth_max: 100,
            weight_max: usize::MAX,
        };
        let applied = patch.apply(&mask.project(&before), &limits).unwrap();
        assert_eq!(applied, mask.project(&after), "{fields:?}");
        assert_eq!(!patch.is_empty(), changes, "{fields:?}");
        let touched = diff(&before, &after).touched();
        let quick = touched.iter().any(|place| mask.meets(place));
        assert!(quick || !changes, "{fields:?} misses {touched:?}");
    }

    #[test]
    fn parts_follow_the_whole() {
        let a = r#"{"title":"A","data":{"n":1,"deep":{"x":1,"y":2},"list":[{"v":1},{"v":2}]}}"#;
        let b = r#"{"title":"A","data":{"n":1,"deep":{"x":3,"y":2},"list":[{"v":1},{"v":9}]}}"#;
        let c = r#"{"title":"C","data":{"n":1,"deep":5}}"#;
        check(&["/title"], a, b, false);
        check(&["/title"], a, c, true);
        check(&["/data/deep/x"], a, b, true);
        check(&["/data/deep/y"], a, b, false);
        check(&["/data/deep/y"], b, c, true);
        check(&["/data/deep"], c, a, true);
        check(&["/data/list/0/v"], a, b, true);
        check(&["/data/list/name"], a, b, true);
        check(&["/data/n", "/data/deep/x"], a, b, true);
        check(&["/data/none"], a, c, false);
        check(&[""], a, b, true);
        check(&[], a, b, true);
    }
}
