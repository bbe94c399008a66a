//! What text is written to: a string, or a hash that never sees the whole.

use sha2::{Digest as _, Sha256};

/// Takes text piece by piece.
pub(super) trait Sink {
    /// Appends a text.
    fn push_str(&mut self, text: &str);

    /// Appends a character of ASCII.
    fn push_ascii(&mut self, byte: u8);

    /// Appends a text between two marks, which is faster than one by one.
    fn push_between(&mut self, before: Mark, text: &str, after: Mark);
}

/// Up to two characters of ASCII.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    text: &'static str,
    /// The same, where two bytes are written whatever their number.
    bytes: [u8; 2],
}

impl Mark {
    pub(super) const NONE: Mark = Mark::new("", [0; 2]);
    pub(super) const QUOTE: Mark = Mark::new("\"", *b"\"\0");
    pub(super) const COMMA_QUOTE: Mark = Mark::new(",\"", *b",\"");
    pub(super) const QUOTE_COLON: Mark = Mark::new("\":", *b"\":");

    const fn new(text: &'static str, bytes: [u8; 2]) -> Mark {
        Mark { text, bytes }
    }
}

impl Sink for String {
    #[inline]
    fn push_str(&mut self, text: &str) {
        String::push_str(self, text);
    }

    #[inline]
    fn push_ascii(&mut self, byte: u8) {
        debug_assert!(byte.is_ascii());
        self.push(char::from(byte));
    }

    #[inline]
    fn push_between(&mut self, before: Mark, text: &str, after: Mark) {
        self.push_str(before.text);
        self.push_str(text);
        self.push_str(after.text);
    }
}

/// Gathers small pieces, since hashing each by itself costs more than hashing the text.
const HASHED_BYTES: usize = 2_048;

/// Hashes what is written to it.
pub(super) struct Hashing<'a> {
    hash: &'a mut Sha256,
    buffer: [u8; HASHED_BYTES],
    length: usize,
}

impl<'a> Hashing<'a> {
    pub(super) fn new(hash: &'a mut Sha256) -> Hashing<'a> {
        Hashing {
            hash,
            buffer: [0; HASHED_BYTES],
            length: 0,
        }
    }

    /// Hashes what is still gathered.
    #[inline(never)]
    pub(super) fn flush(&mut self) {
        self.hash.update(&self.buffer[..self.length]);
        self.length = 0;
    }
}

impl Sink for Hashing<'_> {
    #[inline]
    fn push_str(&mut self, text: &str) {
        if text.len() > HASHED_BYTES - self.length {
            self.flush();
            if text.len() > HASHED_BYTES {
                return self.hash.update(text.as_bytes());
            }
        }
        self.buffer[self.length..][..text.len()].copy_from_slice(text.as_bytes());
        self.length += text.len();
    }

    #[inline]
    fn push_ascii(&mut self, byte: u8) {
        if self.length == HASHED_BYTES {
            self.flush();
        }
        self.buffer[self.length] = byte;
        self.length += 1;
    }

    #[inline]
    fn push_between(&mut self, before: Mark, text: &str, after: Mark) {
        let most = text.len() + 4;
        if most > HASHED_BYTES - self.length {
            self.flush();
            if most > HASHED_BYTES {
                let parts = [before.text, text, after.text];
                return parts.iter().for_each(|part| self.hash.update(part));
            }
        }
        // Both bytes of a mark are written, and one that does not count is written over.
        let room = &mut self.buffer[self.length..][..most];
        room[..2].copy_from_slice(&before.bytes);
        room[before.text.len()..][..text.len()].copy_from_slice(text.as_bytes());
        room[before.text.len() + text.len()..][..2].copy_from_slice(&after.bytes);
        self.length += before.text.len() + text.len() + after.text.len();
    }
}
