//! Keys, in the order of RFC 8785.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

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
pub(super) trait KeyText {
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
pub(super) fn compare_utf16(a: &str, b: &str) -> Ordering {
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
