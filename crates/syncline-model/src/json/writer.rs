//! From values to text, and text without values.

use super::scan::{is_plain, plain_end};
use super::sink::{Mark, Sink};
use super::{Json, Number};

/// How numbers are written.
#[derive(Clone, Copy)]
pub(super) enum Numbers {
    AsTheyCame,
    Canonical,
}

/// Returns compact text.
pub(super) fn text(value: &Json) -> String {
    let mut out = String::new();
    push(&mut out, value, Numbers::AsTheyCame);
    out
}

/// Returns text indented by two spaces.
pub(super) fn pretty(value: &Json) -> String {
    let mut out = String::new();
    push_pretty(&mut out, value, 0);
    out
}

/// Appends compact text.
pub(super) fn push(out: &mut impl Sink, value: &Json, numbers: Numbers) {
    match value {
        Json::Array(items) => {
            out.push_ascii(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_ascii(b',');
                }
                push(out, item, numbers);
            }
            out.push_ascii(b']');
        }
        Json::Object(object) => push_members(out, object.iter(), numbers),
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::String(text) => push_string(out, text),
        Json::Number(number) => match numbers {
            Numbers::AsTheyCame => number.push_text(out),
            Numbers::Canonical => number.push_canonical(out),
        },
    }
}

/// Appends an object with these members.
pub(super) fn push_members<'a>(
    out: &mut impl Sink,
    members: impl Iterator<Item = (&'a str, &'a Json)>,
    numbers: Numbers,
) {
    out.push_ascii(b'{');
    for (at, (key, value)) in members.enumerate() {
        let before = if at > 0 {
            Mark::COMMA_QUOTE
        } else {
            Mark::QUOTE
        };
        push_string_between(out, before, key, Mark::QUOTE_COLON);
        push(out, value, numbers);
    }
    out.push_ascii(b'}');
}

fn push_pretty(out: &mut String, value: &Json, level: usize) {
    match value {
        Json::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                push_line(out, if at == 0 { "[" } else { "," }, level + 1);
                push_pretty(out, item, level + 1);
            }
            push_line(out, "", level);
            out.push(']');
        }
        Json::Object(object) if !object.is_empty() => {
            for (at, (key, value)) in object.iter().enumerate() {
                push_line(out, if at == 0 { "{" } else { "," }, level + 1);
                push_string(out, key);
                out.push_str(": ");
                push_pretty(out, value, level + 1);
            }
            push_line(out, "", level);
            out.push('}');
        }
        scalar_or_empty => push(out, scalar_or_empty, Numbers::AsTheyCame),
    }
}

fn push_line(out: &mut String, end: &str, level: usize) {
    out.push_str(end);
    out.push('\n');
    out.extend((0..level).map(|_| "  "));
}

/// Appends a string literal, escaping what RFC 8785 escapes and nothing else.
pub(super) fn push_string(out: &mut impl Sink, text: &str) {
    push_string_between(out, Mark::QUOTE, text, Mark::QUOTE);
}

#[inline]
fn push_string_between(out: &mut impl Sink, before: Mark, text: &str, after: Mark) {
    if is_plain(text.as_bytes()) {
        out.push_between(before, text, after);
    } else {
        push_escaped_between(out, before, text, after);
    }
}

#[inline(never)]
fn push_escaped_between(out: &mut impl Sink, before: Mark, text: &str, after: Mark) {
    let mut end = plain_end(text.as_bytes(), 0);
    out.push_between(before, &text[..end], Mark::NONE);
    while let Some(&special) = text.as_bytes().get(end) {
        push_escape(out, special);
        let copied = end + 1;
        end = plain_end(text.as_bytes(), copied);
        out.push_str(&text[copied..end]);
    }
    out.push_between(Mark::NONE, "", after);
}

fn push_escape(out: &mut impl Sink, byte: u8) {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        0x08 => out.push_str("\\b"),
        b'\t' => out.push_str("\\t"),
        b'\n' => out.push_str("\\n"),
        0x0C => out.push_str("\\f"),
        b'\r' => out.push_str("\\r"),
        control => {
            out.push_str("\\u00");
            out.push_ascii(if control < 0x10 { b'0' } else { b'1' });
            out.push_ascii(b"0123456789abcdef"[usize::from(control & 0x0F)]);
        }
    }
}

/// Writes compact JSON text without building a tree first; it sets the commas.
///
/// Whoever writes keeps begin and end in pairs, and a key before each member of an object.
#[derive(Clone, Debug, Default)]
pub struct JsonWriter {
    out: String,
    /// A value or a member stands before, so that another one needs a comma.
    comma: bool,
}

impl JsonWriter {
    /// Returns a writer that has written nothing.
    pub fn new() -> JsonWriter {
        JsonWriter::default()
    }

    /// Returns a writer with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> JsonWriter {
        JsonWriter {
            out: String::with_capacity(bytes),
            comma: false,
        }
    }

    /// Opens an object.
    pub fn begin_object(&mut self) {
        self.open('{');
    }

    /// Closes the object.
    pub fn end_object(&mut self) {
        self.close('}');
    }

    /// Opens an array.
    pub fn begin_array(&mut self) {
        self.open('[');
    }

    /// Closes the array.
    pub fn end_array(&mut self) {
        self.close(']');
    }

    /// Writes the key of the member whose value comes next.
    pub fn key(&mut self, key: &str) {
        self.separate();
        push_string(&mut self.out, key);
        self.out.push(':');
        self.comma = false;
    }

    /// Writes a string.
    pub fn string(&mut self, text: &str) {
        self.separate();
        push_string(&mut self.out, text);
    }

    /// Writes a number; integers convert by themselves.
    pub fn number(&mut self, number: impl Into<Number>) {
        self.separate();
        number.into().push_text(&mut self.out);
    }

    /// Writes a whole number.
    pub fn u64(&mut self, number: u64) {
        self.number(number);
    }

    /// Writes a whole number that may be negative.
    pub fn i64(&mut self, number: i64) {
        self.number(number);
    }

    /// Writes `true` or `false`.
    pub fn bool(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        self.raw("null");
    }

    /// Writes a value.
    pub fn value(&mut self, value: &Json) {
        self.separate();
        push(&mut self.out, value, Numbers::AsTheyCame);
    }

    /// Writes a text that is one JSON value already.
    pub fn raw(&mut self, json: &str) {
        self.separate();
        self.out.push_str(json);
    }

    /// Writes a text that begins a value, up to where a value within it comes next. It may be of
    /// another writer.
    pub fn begun(&mut self, json: &str) {
        self.raw(json);
        self.comma = false;
    }

    /// Writes a member with a string.
    pub fn field_str(&mut self, key: &str, text: &str) {
        self.key(key);
        self.string(text);
    }

    /// Writes a member with a whole number.
    pub fn field_u64(&mut self, key: &str, number: u64) {
        self.key(key);
        self.u64(number);
    }

    /// Writes a member with a whole number that may be negative.
    pub fn field_i64(&mut self, key: &str, number: i64) {
        self.key(key);
        self.i64(number);
    }

    /// Writes a member with a boolean.
    pub fn field_bool(&mut self, key: &str, value: bool) {
        self.key(key);
        self.bool(value);
    }

    /// Writes a member with a value.
    pub fn field_json(&mut self, key: &str, value: &Json) {
        self.key(key);
        self.value(value);
    }

    /// Writes a member with a text that is one JSON value already.
    pub fn field_raw(&mut self, key: &str, json: &str) {
        self.key(key);
        self.raw(json);
    }

    /// Returns the text.
    pub fn into_string(self) -> String {
        self.out
    }

    /// Returns how many bytes have been written.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Returns true if nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    fn open(&mut self, bracket: char) {
        self.separate();
        self.out.push(bracket);
        self.comma = false;
    }

    fn close(&mut self, bracket: char) {
        self.out.push(bracket);
        self.comma = true;
    }

    /// Sets the comma that what comes next needs, and expects one after it.
    fn separate(&mut self) {
        if self.comma {
            self.out.push(',');
        }
        self.comma = true;
    }
}
