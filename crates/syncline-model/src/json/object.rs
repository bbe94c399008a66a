//! Objects: members by key, in the order of RFC 8785.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::slice;
use std::sync::Arc;

use super::Json;
use super::key::{Key, KeyText, compare_utf16};

/// A sorted slice of more members becomes a tree before one is added or removed, since that
/// copies a slice.
const SLICE_CHANGED_MAX: usize = 32;
/// A slice of so many members is looked through from its front.
const WALKED_MAX: usize = 32;

/// The members of a JSON object, each key once, in canonical order.
///
/// Clones share their members until one of them is changed.
#[derive(Clone)]
pub struct Object(Members);

pub(super) type Member = (Key, Json);

/// What is read, and what is small, is a slice: nothing is smaller or faster to walk. What is
/// large and changes is a tree, so that thousands of changes do not copy it as often.
#[derive(Clone)]
enum Members {
    Slice(Arc<[Member]>),
    Tree(Arc<BTreeMap<Key, Json>>),
}

impl Object {
    /// Returns an object without members.
    pub fn new() -> Object {
        Object::default()
    }

    /// Returns the object of members that are in canonical order, each key once.
    pub(super) fn from_sorted(members: Arc<[Member]>) -> Object {
        debug_assert!(members.is_sorted_by(|a, b| a.0 < b.0));
        Object(Members::Slice(members))
    }

    /// Returns how many members there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Members::Slice(members) => members.len(),
            Members::Tree(members) => members.len(),
        }
    }

    /// Returns true if there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the value of `key`.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// Returns the key as this object holds it, with its value.
    pub fn get_key_value(&self, key: &str) -> Option<(&Key, &Json)> {
        match &self.0 {
            // Most keys are told apart by their lengths, which stand beside them: so a walk over
            // a few is faster than comparing texts.
            Members::Slice(members) if members.len() <= WALKED_MAX => {
                let mut members = members.iter();
                let (key, value) = members.find(|(other, _)| other.as_str() == key)?;
                Some((key, value))
            }
            Members::Slice(members) => {
                let (key, value) = &members[find(members, key).ok()?];
                Some((key, value))
            }
            Members::Tree(members) => members.get_key_value(&key as &dyn KeyText),
        }
    }

    /// Returns the value of `key` to change it; shared members are copied first.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        match &mut self.0 {
            Members::Slice(members) => {
                let at = find(members, key).ok()?;
                Some(&mut Arc::make_mut(members)[at].1)
            }
            // A miss must not copy what other clones share.
            Members::Tree(members) if !members.contains_key(&key as &dyn KeyText) => None,
            Members::Tree(members) => Arc::make_mut(members).get_mut(&key as &dyn KeyText),
        }
    }

    /// Returns true if there is a member `key`.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets `key` and returns the value that it had.
    pub fn insert(&mut self, key: impl Into<Key>, value: Json) -> Option<Json> {
        let key = key.into();
        if let Members::Slice(members) = &mut self.0 {
            match find(members, key.as_str()) {
                Ok(at) => {
                    return Some(std::mem::replace(&mut Arc::make_mut(members)[at].1, value));
                }
                Err(at) if members.len() < SLICE_CHANGED_MAX => {
                    let (before, after) = members.split_at(at);
                    let before = before.iter().cloned().chain([(key, value)]);
                    *members = before.chain(after.iter().cloned()).collect();
                    return None;
                }
                Err(_) => {}
            }
        }
        self.tree_mut().insert(key, value)
    }

    /// Removes `key` and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        if !self.contains_key(key) {
            return None;
        }
        match &mut self.0 {
            Members::Slice(members) if members.len() <= SLICE_CHANGED_MAX => {
                let at = find(members, key).ok()?;
                let removed = members[at].1.clone();
                let (before, after) = (&members[..at], &members[at + 1..]);
                *members = before.iter().chain(after).cloned().collect();
                Some(removed)
            }
            _ => self.tree_mut().remove(&key as &dyn KeyText),
        }
    }

    fn tree_mut(&mut self) -> &mut BTreeMap<Key, Json> {
        if let Members::Slice(members) = &self.0 {
            let tree = members.iter().cloned().collect();
            self.0 = Members::Tree(Arc::new(tree));
        }
        match &mut self.0 {
            Members::Tree(members) => Arc::make_mut(members),
            Members::Slice(_) => unreachable!("the slice was just replaced"),
        }
    }

    /// Walks the members in canonical order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Json)> + ExactSizeIterator {
        self.entries().map(|(key, value)| (key.as_str(), value))
    }

    /// Walks the members in canonical order, with keys that can be cloned without copying.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (&Key, &Json)> + ExactSizeIterator {
        match &self.0 {
            Members::Slice(members) => Entries::Slice(members.iter()),
            Members::Tree(members) => Entries::Tree(members.iter()),
        }
    }

    /// Walks the keys in canonical order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.entries().map(|(key, _)| key.as_str())
    }

    /// Walks the values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Json> + ExactSizeIterator {
        self.entries().map(|(_, value)| value)
    }

    /// Returns true if both share their members, and hence are equal.
    pub fn ptr_eq(&self, other: &Object) -> bool {
        match (&self.0, &other.0) {
            (Members::Slice(a), Members::Slice(b)) => Arc::ptr_eq(a, b),
            (Members::Tree(a), Members::Tree(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Returns true if another clone shares the members, so that the next change copies them.
    pub fn is_shared(&self) -> bool {
        match &self.0 {
            // All that are empty may share one place, and there is nothing to copy.
            Members::Slice(members) => !members.is_empty() && Arc::strong_count(members) > 1,
            Members::Tree(members) => Arc::strong_count(members) > 1,
        }
    }
}

/// Returns where `key` is, or where it belongs.
fn find(members: &[Member], key: &str) -> Result<usize, usize> {
    members.binary_search_by(|(other, _)| compare_utf16(other.as_str(), key))
}

impl Default for Object {
    fn default() -> Object {
        Object(Members::Slice(Arc::default()))
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        self.ptr_eq(other) || (self.len() == other.len() && self.entries().eq(other.entries()))
    }
}

impl Eq for Object {}

impl Hash for Object {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.entries().for_each(|member| member.hash(state));
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries()).finish()
    }
}

/// Later members win over earlier ones with the same key.
impl<K: Into<Key>> FromIterator<(K, Json)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, Json)>>(members: I) -> Object {
        let members = members.into_iter();
        let mut members: Vec<Member> = members.map(|(key, value)| (key.into(), value)).collect();
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        members.dedup_by(|later, earlier| {
            let again = later.0 == earlier.0;
            if again {
                std::mem::swap(later, earlier);
            }
            again
        });
        Object::from_sorted(members.into())
    }
}

impl<K: Into<Key>> Extend<(K, Json)> for Object {
    fn extend<I: IntoIterator<Item = (K, Json)>>(&mut self, members: I) {
        for (key, value) in members {
            self.insert(key, value);
        }
    }
}

/// A walk over either kind of members.
enum Entries<'a> {
    Slice(slice::Iter<'a, Member>),
    Tree(btree_map::Iter<'a, Key, Json>),
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a Key, &'a Json);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Entries::Slice(members) => members.next().map(|(key, value)| (key, value)),
            Entries::Tree(members) => members.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Entries::Slice(members) => members.size_hint(),
            Entries::Tree(members) => members.size_hint(),
        }
    }
}

impl DoubleEndedIterator for Entries<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Entries::Slice(members) => members.next_back().map(|(key, value)| (key, value)),
            Entries::Tree(members) => members.next_back(),
        }
    }
}

impl ExactSizeIterator for Entries<'_> {}
