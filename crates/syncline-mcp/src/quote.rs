//! Text of others, shown as data: nothing invisible, nothing that turns the line around.

use std::fmt::Write as _;

use syncline_model::json::Json;

/// Says whether a character must not be shown as itself: it is a control character, ends a line
/// somewhere, turns the direction of text around, or is invisible and can carry hidden text.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Writes `\u` escapes, as JSON has them, in place of characters that hide.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}").expect("a String takes all");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns JSON text that reads back as the value, with hidden characters escaped.
pub(crate) fn json(value: &Json) -> String {
    // Outside of its strings, JSON text holds no such character.
    escape(&value.to_text())
}

/// Returns a text as a JSON string.
pub(crate) fn string(text: &str) -> String {
    json(&Json::from(text))
}

/// Returns a text as it is if it is one plain word (an address, a name, a pointer), else quoted.
pub(crate) fn word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._~@:/+-".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        string(text)
    }
}

/// Returns a sentence of ours, which may repeat what others sent, on one line.
pub(crate) fn sentence(text: &str) -> String {
    escape(text)
}

/// Returns the first `chars_max` characters, with a mark if there are more.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use syncline_model::json::Limits;

    #[test]
    fn hidden_characters_are_escaped_and_read_back() {
        let hostile = "a\u{0}\u{1b}[31m\u{7f}\u{85}\u{202e}\u{2066}\u{2028}\u{feff}\u{e0041}\"\\z";
        let quoted = string(hostile);
        assert!(quoted.is_ascii());
        let back = Json::parse(quoted.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(back.as_str(), Some(hostile));
        assert_eq!(string("grün 👩‍💻"), "\"grün 👩‍💻\"");
    }

    #[test]
    fn words_are_plain_or_quoted() {
        assert_eq!(word("task/auth-42"), "task/auth-42");
        assert_eq!(word("claude 1"), "\"claude 1\"");
        assert_eq!(word(""), "\"\"");
    }

    #[test]
    fn cuts_fall_between_characters() {
        assert_eq!(cut("grün", 3), "grü…");
        assert_eq!(cut("grün", 4), "grün");
    }
}
