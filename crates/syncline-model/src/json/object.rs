//! Objects: members by key, in the order of RFC 8785.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Json;

/// The members of a JSON object, each key once, in canonical order.
///
/// Clones share their members until one of them is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Object(Arc<BTreeMap<Key, Json>>);

impl Object {
    /// Returns an object without members.
    pub fn new() -> Object {
        Object::default()
    }

    /// Returns how many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value of `key`.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.0.get(&key as &dyn KeyText)
    }

    /// Returns the key as this object holds it, with its value.
    pub fn get_key_value(&self, key: &str) -> Option<(&Key, &Json)> {
        self.0.get_key_value(&key as &dyn KeyText)
    }

    /// Returns the value of `key` to change it; shared members are copied first.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        // A miss must not copy what other clones share.
        if !self.contains_key(key) {
            return None;
        }
        Arc::make_mut(&mut self.0).get_mut(&key as &dyn KeyText)
    }

    /// Returns true if there is a member `key`.
    pub fn contains_key(&self, key: &str) -> bool {
        self.0.contains_key(&key as &dyn KeyText)
    }

    /// Sets `key` and returns the value that it had.
    pub fn insert(&mut self, key: impl Into<Key>, value: Json) -> Option<Json> {
        Arc::make_mut(&mut self.0).insert(key.into(), value)
    }

    /// Removes `key` and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        if !self.contains_key(key) {
            return None;
        }
        Arc::make_mut(&mut self.0).remove(&key as &dyn KeyText)
    }

    /// Walks the members in canonical order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Json)> + ExactSizeIterator {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Walks the members in canonical order, with keys that can be cloned without copying.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (&Key, &Json)> + ExactSizeIterator {
        self.0.iter()
    }

    /// Walks the keys in canonical order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.0.keys().map(Key::as_str)
    }

    /// Walks the values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Json> + ExactSizeIterator {
        self.0.values()
    }

    /// Returns true if both share their members, and hence are equal.
    pub fn ptr_eq(&self, other: &Object) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns true if another clone shares the members, so that the next change copies them.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// Later members win over earlier ones with the same key.
impl<K: Into<Key>> FromIterator<(K, Json)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, Json)>>(members: I) -> Object {
        Object(Arc::new(
            members
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect(),
        ))
    }
}

impl<K: Into<Key>> Extend<(K, Json)> for Object {
    fn extend<I: IntoIterator<Item = (K, Json)>>(&mut self, members: I) {
        Arc::make_mut(&mut self.0)
            .extend(members.into_iter().map(|(key, value)| (key.into(), value)));
    }
}

/// The key of a member; keys are ordered by UTF-16 code units, as RFC 8785 asks.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text, shared.
    pub fn text(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        Key(text.into())
    }
}

impl From<String> for Key {
    fn from(text: String) -> Key {
        Key(text.into())
    }
}

impl From<Arc<str>> for Key {
    fn from(text: Arc<str>) -> Key {
        Key(text)
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Key {
        key.clone()
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        compare_utf16(&self.0, &other.0)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a member can be looked up by: `Borrow<str>` would promise the order of `str`, which
/// differs from that of keys.
trait KeyText {
    fn key_text(&self) -> &str;
}

impl KeyText for Key {
    fn key_text(&self) -> &str {
        &self.0
    }
}

impl KeyText for &str {
    fn key_text(&self) -> &str {
        self
    }
}

impl<'a> Borrow<dyn KeyText + 'a> for Key {
    fn borrow(&self) -> &(dyn KeyText + 'a) {
        self
    }
}

impl Ord for dyn KeyText + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_utf16(self.key_text(), other.key_text())
    }
}

impl PartialOrd for dyn KeyText + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn KeyText + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.key_text() == other.key_text()
    }
}

impl Eq for dyn KeyText + '_ {}

/// Compares two texts by their UTF-16 code units, without converting them.
///
/// UTF-8 bytes sort like code points, and so do code units, save that surrogates (lead bytes
/// F0 to F4) come before U+E000 to U+FFFF (lead bytes EE and EF).
fn compare_utf16(a: &str, b: &str) -> Ordering {
    let rank = |byte: u8| {
        if matches!(byte, 0xEE | 0xEF) {
            byte + 0x10
        } else {
            byte
        }
    };
    for (x, y) in a.bytes().zip(b.bytes()) {
        if x != y {
            return rank(x).cmp(&rank(y));
        }
    }
    a.len().cmp(&b.len())
}
