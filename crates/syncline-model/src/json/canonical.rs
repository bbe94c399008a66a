//! Canonical text: RFC 8785, with numbers that stay exact.
//!
//! Objects keep their members in canonical order, and strings have one way to be escaped, so
//! this differs from compact text in its numbers only.

use sha2::Sha256;

use super::Json;
use super::sink::Hashing;
use super::writer::{Numbers, push, push_members};

/// Returns the text that all values equal to this one share.
pub(super) fn text(value: &Json) -> String {
    let mut out = String::new();
    push(&mut out, value, Numbers::Canonical);
    out
}

/// Returns the text of an object with these members, which are in canonical order.
pub(crate) fn members_text<'a>(members: impl Iterator<Item = (&'a str, &'a Json)>) -> String {
    let mut out = String::new();
    push_members(&mut out, members, Numbers::Canonical);
    out
}

/// Hashes the text of a value, without building it.
pub(crate) fn update_hash(hash: &mut Sha256, value: &Json) {
    let mut out = Hashing::new(hash);
    push(&mut out, value, Numbers::Canonical);
    out.flush();
}

/// Hashes the text of an object with these members, which are in canonical order.
pub(crate) fn update_hash_with_members<'a>(
    hash: &mut Sha256,
    members: impl Iterator<Item = (&'a str, &'a Json)>,
) {
    let mut out = Hashing::new(hash);
    push_members(&mut out, members, Numbers::Canonical);
    out.flush();
}
