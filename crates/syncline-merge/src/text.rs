//! Values and pointers as one line of harmless text.
//!
//! Contexts hold whatever their writers put there. What is shown of them on a terminal or in a log
//! is short, and its characters neither move the cursor nor turn the direction of reading.

use std::fmt::Write;
use syncline_model::json::{Json, Pointer};

/// How many characters of a value are shown.
pub(crate) const SHOWN_MAX: usize = 120;

/// The compact JSON of a value, cut after [`SHOWN_MAX`] characters; large values are not walked.
pub(crate) fn shown_value(value: &Json) -> String {
    let mut short = Short::default();
    short.value(value);
    short.finish()
}

/// A text as it is, cut and escaped.
pub(crate) fn shown_text(text: &str) -> String {
    let mut short = Short::default();
    short.text(text);
    short.finish()
}

/// A pointer in quotes, for messages.
pub(crate) fn shown_pointer(pointer: &Pointer) -> String {
    format!("\"{}\"", shown_text(&pointer.to_string()))
}

/// Text of bounded length.
#[derive(Default)]
struct Short {
    text: String,
    chars: usize,
}

impl Short {
    fn value(&mut self, value: &Json) {
        match value {
            Json::Null => self.text("null"),
            Json::Bool(true) => self.text("true"),
            Json::Bool(false) => self.text("false"),
            Json::Number(number) => self.text(&number.text()),
            Json::String(text) => self.quoted(text),
            Json::Array(items) => {
                self.text("[");
                self.each(items.iter(), |short, item| short.value(item));
                self.text("]");
            }
            Json::Object(object) => {
                self.text("{");
                self.each(object.iter(), |short, (key, value)| {
                    short.quoted(key);
                    short.text(":");
                    short.value(value);
                });
                self.text("}");
            }
        }
    }

    fn each<T>(&mut self, items: impl Iterator<Item = T>, write: impl Fn(&mut Short, T)) {
        for (index, item) in items.enumerate() {
            if self.is_full() {
                return;
            }
            if index > 0 {
                self.text(",");
            }
            write(self, item);
        }
    }

    fn quoted(&mut self, text: &str) {
        self.text("\"");
        for char in text.chars() {
            match char {
                _ if self.is_full() => return,
                '"' => self.text("\\\""),
                '\\' => self.text("\\\\"),
                '\n' => self.text("\\n"),
                '\r' => self.text("\\r"),
                '\t' => self.text("\\t"),
                char => self.char(char),
            }
        }
        self.text("\"");
    }

    fn text(&mut self, text: &str) {
        for char in text.chars() {
            if self.is_full() {
                return;
            }
            self.char(char);
        }
    }

    fn char(&mut self, char: char) {
        self.chars += 1;
        if self.is_full() {
            return;
        }
        if is_unsafe(char) {
            write!(self.text, "\\u{{{:x}}}", u32::from(char)).expect("a String takes all");
        } else {
            self.text.push(char);
        }
    }

    fn is_full(&self) -> bool {
        self.chars > SHOWN_MAX
    }

    fn finish(mut self) -> String {
        if self.is_full() {
            self.text.push('…');
        }
        self.text
    }
}

/// Characters that act instead of being seen: controls, line separators, directions, invisible
/// marks and tags.
fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
