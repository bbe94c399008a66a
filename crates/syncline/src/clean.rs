//! Text from contexts is hostile until it went through here.
//!
//! A document may hold escape sequences that recolour, move or retitle a terminal, and bidi
//! controls that show a line in another order than it is stored. Nothing that a person reads
//! leaves the program without [`push`]; JSON goes through [`json`].

use std::fmt::Write as _;

/// Says whether a character could act on a terminal, hide, or reorder what stands around it.
pub fn is_unsafe(c: char) -> bool {
    matches!(
        c,
        '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Appends a text with every unsafe character as `\u{…}`; newline and tab as `\n` and `\t`.
pub fn push(out: &mut String, text: &str) {
    let mut copied = 0;
    for (at, c) in text.char_indices().filter(|(_, c)| is_unsafe(*c)) {
        out.push_str(&text[copied..at]);
        copied = at + c.len_utf8();
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            // Joiners shape emoji and scripts, and cannot act on a terminal.
            '\u{200c}' | '\u{200d}' => out.push(c),
            _ => write!(out, "\\u{{{:x}}}", u32::from(c)).expect("a String takes all"),
        }
    }
    out.push_str(&text[copied..]);
}

/// Returns the cleaned text.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push(&mut out, text);
    out
}

/// Returns the same JSON with its unsafe characters escaped.
///
/// They can stand only inside strings there, and the text reads back as the same value. Line
/// feeds between tokens are ours.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_unsafe(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}").expect("a String takes all");
        }
    }
    out
}

/// Cuts a text to so many characters, marked by an ellipsis.
pub fn shorten(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use syncline_model::json::{Json, Limits};

    #[test]
    fn what_acts_on_a_terminal_is_spelled_out() {
        assert_eq!(clean("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(
            clean("\u{9b}2J\u{202e}x\u{2028}"),
            "\\u{9b}2J\\u{202e}x\\u{2028}"
        );
        assert_eq!(clean("two\nlines\t\r"), "two\\nlines\\t\\r");
        assert_eq!(clean("plain – ünï 漢字 👩‍💻"), "plain – ünï 漢字 👩‍💻");
    }

    proptest! {
        #[test]
        fn nothing_unsafe_passes(text in any::<String>()) {
            let allowed = |c| matches!(c, '\u{200c}' | '\u{200d}');
            prop_assert!(!clean(&text).chars().any(|c| is_unsafe(c) && !allowed(c)));
        }

        #[test]
        fn json_stays_the_same_value(text in any::<String>()) {
            let value = Json::from(text);
            let cleaned = json(&value.to_text());
            prop_assert!(!cleaned.chars().any(is_unsafe));
            prop_assert_eq!(Json::parse(cleaned.as_bytes(), &Limits::default()).unwrap(), value);
        }
    }
}
