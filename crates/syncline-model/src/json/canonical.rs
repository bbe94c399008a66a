//! Canonical text: RFC 8785, with numbers that stay exact.
//!
//! Objects keep their members in canonical order, and strings have one way to be escaped, so
//! this differs from compact text in its numbers only.

use super::Json;
use super::writer::{Numbers, push};

/// Returns the text that all values equal to this one share.
pub(super) fn text(value: &Json) -> String {
    let mut out = String::new();
    push(&mut out, value, Numbers::Canonical);
    out
}
