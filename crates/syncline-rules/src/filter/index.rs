//! Which subscriptions a change may be for, found by what they ask for.

use std::collections::HashMap;
use std::hash::Hash;

use syncline_api::Scope;
use syncline_model::change::Change;
use syncline_model::ids::Address;

use super::Matcher;

/// Finds the subscriptions that a change may be for, without asking each of them.
///
/// What is found is a superset: the caller asks [`crate::judge`] and [`Matcher::answer`] of each.
/// What is not found is outside of the scope before and after, or does not match.
#[derive(Debug, Default)]
pub struct Index<K> {
    all: HashMap<K, ()>,
}

impl<K: Clone + Eq + Hash> Index<K> {
    /// Returns an index that holds nothing.
    pub fn new() -> Index<K> {
        Index {
            all: HashMap::new(),
        }
    }

    /// Adds a subscription; one that is there under the same key is replaced. `inherited` has the
    /// ancestors of each `inherited` term, as for [`crate::judge`].
    pub fn insert(&mut self, key: K, _: &Scope, _: &[Vec<Address>], _: &Matcher) {
        self.all.insert(key, ());
    }

    /// Takes a subscription out; says whether it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        self.all.remove(key).is_some()
    }

    /// Puts the keys of all subscriptions that the change may be for into `found`, each once.
    pub fn find(&self, _: &Change, found: &mut Vec<K>) {
        found.extend(self.all.keys().cloned());
    }
}
