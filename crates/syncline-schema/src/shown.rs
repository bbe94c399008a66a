//! Names and values in messages: short, and harmless on a terminal.

use syncline_model::json::{Json, Pointer};

/// How many characters of a text a message repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// How many names or values a message lists.
pub(crate) const LISTED_MAX: usize = 5;

/// A text in quotes, cut, with all that acts instead of being seen escaped.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A pointer in quotes; it is longer than other texts may be.
pub(crate) fn shown_pointer(pointer: &Pointer) -> String {
    let text = pointer.to_string();
    match text.char_indices().nth(4 * SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A scalar as it is, and a container as what it is.
pub(crate) fn shown_value(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => {
            let text = number.text();
            match text.char_indices().nth(SHOWN_CHARS_MAX) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text.into_owned(),
            }
        }
        Json::String(text) => shown(text),
        Json::Array(items) => format!("an array of {}", count(items.len(), "item")),
        Json::Object(object) => format!("an object of {}", count(object.len(), "member")),
    }
}

/// The first few of a list, with the number of the rest.
pub(crate) fn listed(all: impl ExactSizeIterator<Item = String>) -> String {
    let rest = all.len().saturating_sub(LISTED_MAX);
    let mut text = all.take(LISTED_MAX).collect::<Vec<_>>().join(", ");
    if rest > 0 {
        text.push_str(&format!(" and {rest} more"));
    }
    text
}

/// `1 item`, `2 items`.
pub(crate) fn count(number: usize, of: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {of}{plural}")
}
