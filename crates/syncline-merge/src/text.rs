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

/// How many characters are shown before and after what differs.
const CONTEXT_CHARS: usize = 24;

/// Two texts as [`shown_value`] shows them; of long ones the part in which they differ, with some
/// of what stands around it, whole words where there are any.
pub(crate) fn shown_change(from: &str, to: &str) -> (String, String) {
    let shown = |text: &str| shown_value(&Json::from(text));
    let is_long = |text: &str| text.chars().nth(SHOWN_MAX - 2).is_some();
    if !is_long(from) && !is_long(to) {
        return (shown(from), shown(to));
    }
    let chars = from.char_indices().zip(to.chars());
    let same = chars.clone().take_while(|((_, a), b)| a == b);
    let begin = same.last().map_or(0, |((at, a), _)| at + a.len_utf8());
    let ends = from[begin..].chars().rev().zip(to[begin..].chars().rev());
    let same = ends.take_while(|(a, b)| a == b);
    let end = same.map(|(a, _)| a.len_utf8()).sum::<usize>();
    let start = before(&from[..begin]);
    let part = |text: &str| {
        let stop = text.len() - end + after(&text[text.len() - end..]);
        let [cut_before, cut_after] = [start > 0, stop < text.len()];
        let mark = |cut: bool| if cut { "…" } else { "" };
        let part = text[start..stop].chars().take(SHOWN_MAX + 1);
        let part: String = part.collect();
        shown(&format!("{}{part}{}", mark(cut_before), mark(cut_after)))
    };
    (part(from), part(to))
}

/// Returns where the last words of a text begin that are shown before what differs.
fn before(text: &str) -> usize {
    let mut last = text.char_indices().rev().skip(CONTEXT_CHARS - 1);
    let Some((at, _)) = last.next().filter(|(at, _)| *at > 0) else {
        return 0;
    };
    let blank = text[at..].char_indices().find(|(_, c)| c.is_whitespace());
    blank.map_or(at, |(blank, c)| at + blank + c.len_utf8())
}

/// Returns where the first words of a text end that are shown after what differs.
fn after(text: &str) -> usize {
    let Some((at, _)) = text.char_indices().nth(CONTEXT_CHARS) else {
        return text.len();
    };
    text[..at].rfind(char::is_whitespace).unwrap_or(at)
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
