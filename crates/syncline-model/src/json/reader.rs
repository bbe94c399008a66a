//! The strict reader: one pass over the bytes, RFC 8259 to the letter.
//!
//! The way to a fault costs nothing until there is one: the error collects its pointer while it
//! leaves the containers, and line and column are counted at the end.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::gather::{Stack, close_pairs};
use super::number::{Number, scan, small_integer};
use super::object::Member;
use super::scan::plain_end;
use super::shared::Shared;
use super::{Json, JsonError, JsonErrorKind, Key, Object, Pointer};

/// No limit goes deeper: reading, dropping and comparing take one stack frame per level.
const DEPTH_MAX: usize = 128;

/// What a text may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of text.
    pub bytes_max: usize,
    /// The most levels of arrays and objects, at most 128.
    pub depth_max: usize,
}

impl Limits {
    /// Returns the limits of messages between nodes: a document within its envelope.
    pub fn wire() -> Limits {
        Limits {
            bytes_max: 16 << 20,
            depth_max: 72,
        }
    }
}

/// The limits of documents: 10 MiB, 64 levels.
impl Default for Limits {
    fn default() -> Limits {
        Limits {
            bytes_max: 10 << 20,
            depth_max: 64,
        }
    }
}

/// Reads a whole document.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<Json, JsonError> {
    if bytes.len() > limits.bytes_max {
        let fault = Fault::new(
            JsonErrorKind::TooLarge {
                max: limits.bytes_max,
            },
            0,
        );
        return Err(fault.locate(bytes));
    }
    let depth_max = limits.depth_max.min(DEPTH_MAX);
    let result = match std::str::from_utf8(bytes) {
        Ok(text) => Reader::new(text, depth_max).document(),
        Err(error) => Err(bad_utf8(bytes, error.valid_up_to(), depth_max)),
    };
    result.map_err(|fault| fault.locate(bytes))
}

/// Returns the fault of a text that is UTF-8 up to `valid` only: an earlier one, if there is
/// one, and else the bad byte, at the place that reading gets to.
fn bad_utf8(bytes: &[u8], valid: usize, depth_max: usize) -> Box<Fault> {
    let text = std::str::from_utf8(&bytes[..valid]).expect("the bytes were found valid so far");
    match Reader::new(text, depth_max).document() {
        Err(fault) if fault.kind != JsonErrorKind::UnexpectedEnd => fault,
        Err(fault) => Box::new(Fault {
            kind: JsonErrorKind::BadUtf8,
            offset: valid,
            ..*fault
        }),
        Ok(_) => Fault::new(JsonErrorKind::BadUtf8, valid),
    }
}

/// An error on its way out.
struct Fault {
    kind: JsonErrorKind,
    offset: usize,
    /// The tokens of the pointer, innermost first.
    trail: Vec<Arc<str>>,
}

impl Fault {
    fn new(kind: JsonErrorKind, offset: usize) -> Box<Fault> {
        Box::new(Fault {
            kind,
            offset,
            trail: Vec::new(),
        })
    }

    fn within(mut self: Box<Fault>, token: Arc<str>) -> Box<Fault> {
        self.trail.push(token);
        self
    }

    fn locate(self, bytes: &[u8]) -> JsonError {
        let before = &bytes[..self.offset];
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        // Bytes that continue a character do not count as columns.
        let column = before[line_start..]
            .iter()
            .filter(|&&byte| byte & 0xC0 != 0x80)
            .count()
            + 1;
        JsonError {
            kind: self.kind,
            pointer: self.trail.into_iter().rev().collect::<Pointer>(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            offset: self.offset,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    depth_max: usize,
    /// The values that were read and wait for the end of their container.
    values: Stack<Json>,
    /// Their keys, where the container is an object.
    keys: Stack<Key>,
    shared: Shared,
    /// All empty arrays share it.
    no_items: Arc<Vec<Json>>,
    unescaped: String,
}

type Read<T> = Result<T, Box<Fault>>;

impl<'a> Reader<'a> {
    fn new(text: &'a str, depth_max: usize) -> Reader<'a> {
        Reader {
            text,
            bytes: text.as_bytes(),
            at: 0,
            depth: 0,
            depth_max,
            values: Stack::new(),
            keys: Stack::new(),
            shared: Shared::new(text.len()),
            no_items: Arc::default(),
            unescaped: String::new(),
        }
    }

    fn document(&mut self) -> Read<Json> {
        if self.text.starts_with('\u{FEFF}') {
            return Err(Fault::new(JsonErrorKind::ByteOrderMark, 0));
        }
        self.skip_whitespace();
        self.value()?;
        self.skip_whitespace();
        match self.peek() {
            None => Ok(self.values.pop().expect("a value that was read is pushed")),
            Some(_) => Err(Fault::new(JsonErrorKind::TrailingData, self.at)),
        }
    }

    /// Reads a value and pushes it: to return it through each level would copy it at each.
    fn value(&mut self) -> Read<()> {
        let value = match self.peek() {
            Some(b'"') => Json::String(self.string()?),
            Some(b'{') => return self.nested(Reader::object),
            Some(b'[') => return self.nested(Reader::array),
            Some(b'-' | b'0'..=b'9') => Json::Number(self.number()?),
            Some(b't') => self.literal("true", Json::Bool(true))?,
            Some(b'f') => self.literal("false", Json::Bool(false))?,
            Some(b'n') => self.literal("null", Json::Null)?,
            _ => return Err(self.expected("a value")),
        };
        self.values.push(value);
        Ok(())
    }

    fn nested(&mut self, read: fn(&mut Reader<'a>) -> Read<()>) -> Read<()> {
        if self.depth == self.depth_max {
            return Err(Fault::new(
                JsonErrorKind::TooDeep {
                    max: self.depth_max,
                },
                self.at,
            ));
        }
        self.depth += 1;
        self.at += 1;
        self.skip_whitespace();
        read(self)?;
        self.depth -= 1;
        Ok(())
    }

    /// Reads what follows `[`.
    fn array(&mut self) -> Read<()> {
        if self.take(b']') {
            self.values.push(Json::Array(self.no_items.clone()));
            return Ok(());
        }
        let mut items = self.values.open();
        loop {
            if let Err(fault) = self.value() {
                let index = self.values.count(&items);
                return Err(fault.within(index.to_string().into()));
            }
            self.values.settle(&mut items);
            if self.ends(b']', "\",\" or \"]\"")? {
                break;
            }
        }
        let items = self.values.close(items);
        self.values.push(Json::Array(Arc::new(items)));
        Ok(())
    }

    /// Reads what follows `{`.
    fn object(&mut self) -> Read<()> {
        if self.take(b'}') {
            self.values.push(Json::Object(Object::new()));
            return Ok(());
        }
        let start = self.at;
        let (mut keys, mut values) = (self.keys.open(), self.values.open());
        let mut ascending = true;
        loop {
            let key = Key::from(self.key()?);
            let last = self.keys.last(&keys);
            ascending &= last.is_none_or(|last| *last < key);
            self.keys.push(key);
            if let Err(fault) = self.value() {
                let key = self.keys.pop().expect("the key was just pushed");
                return Err(fault.within(key.text()));
            }
            self.keys.settle(&mut keys);
            self.values.settle(&mut values);
            if self.ends(b'}', "\",\" or \"}\"")? {
                break;
            }
        }
        let mut members = close_pairs((&mut self.keys, keys), (&mut self.values, values));
        if !ascending && !sort(&mut members) {
            drop(members);
            return Err(self.repeated_key(start));
        }
        self.values.push(Json::Object(Object::from_sorted(members)));
        Ok(())
    }

    /// Reads a key and the colon after it.
    fn key(&mut self) -> Read<Arc<str>> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key"));
        }
        let key = self.string()?;
        self.skip_whitespace();
        if !self.take(b':') {
            return Err(self.expected("\":\""));
        }
        self.skip_whitespace();
        Ok(key)
    }

    /// Reads the members from `start` again, up to the first key that repeats an earlier one:
    /// that costs less than to keep the place of each key for an error that seldom comes.
    fn repeated_key(&mut self, start: usize) -> Box<Fault> {
        let mut keys = BTreeSet::new();
        self.at = start;
        loop {
            let key_at = self.at;
            let step = self.key().and_then(|key| {
                if !keys.insert(key.clone()) {
                    let fault = Fault::new(JsonErrorKind::duplicate_key(&key), key_at);
                    return Err(fault.within(key));
                }
                self.value()?;
                self.values.pop();
                self.ends(b'}', "\",\" or \"}\"")
            });
            if let Err(fault) = step {
                return fault;
            }
        }
    }

    /// Returns true at the end of a container, and goes on to the next item otherwise.
    fn ends(&mut self, bracket: u8, wanted: &str) -> Read<bool> {
        self.skip_whitespace();
        if self.take(bracket) {
            return Ok(true);
        }
        if !self.take(b',') {
            return Err(self.expected(wanted));
        }
        self.skip_whitespace();
        Ok(false)
    }

    fn literal(&mut self, word: &str, value: Json) -> Read<Json> {
        let rest = &self.bytes[self.at..];
        let same = rest
            .iter()
            .zip(word.bytes())
            .take_while(|(a, b)| **a == *b)
            .count();
        self.at += same;
        if same == word.len() {
            Ok(value)
        } else {
            Err(self.expected(word))
        }
    }

    fn number(&mut self) -> Read<Number> {
        let start = self.at;
        if let Some((number, length)) = small_integer(&self.bytes[start..]) {
            self.at += length;
            return Ok(number);
        }
        match scan(&self.bytes[start..]) {
            Ok(length) => {
                self.at += length;
                Number::from_valid(&self.text[start..self.at])
                    .ok_or_else(|| Fault::new(JsonErrorKind::NumberTooLong, start))
            }
            Err(at) if start + at == self.bytes.len() => Err(self.end()),
            Err(at) => Err(Fault::new(JsonErrorKind::BadNumber, start + at)),
        }
    }

    /// Reads a string from its opening quote on.
    fn string(&mut self) -> Read<Arc<str>> {
        let start = self.at + 1;
        self.at = plain_end(self.bytes, start);
        if self.take(b'"') {
            return Ok(self.shared.text(&self.text[start..self.at - 1]));
        }
        self.string_with_escapes(start)
    }

    /// Reads on at what ended the plain part of a string that began at `copied`.
    fn string_with_escapes(&mut self, mut copied: usize) -> Read<Arc<str>> {
        self.unescaped.clear();
        loop {
            self.unescaped.push_str(&self.text[copied..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(self.shared.text(&self.unescaped));
                }
                Some(b'\\') => {
                    let escaped = self.escape()?;
                    self.unescaped.push(escaped);
                }
                Some(_) => return Err(Fault::new(JsonErrorKind::ControlCharacter, self.at)),
                None => return Err(self.end()),
            }
            copied = self.at;
            self.at = plain_end(self.bytes, copied);
        }
    }

    /// Reads an escape from its backslash on.
    fn escape(&mut self) -> Read<char> {
        let start = self.at;
        self.at += 1;
        let escaped = match self.peek() {
            Some(quoted @ (b'"' | b'\\' | b'/')) => char::from(quoted),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.code_point(start);
            }
            _ => return Err(self.expected("an escape")),
        };
        self.at += 1;
        Ok(escaped)
    }

    /// Reads the digits after `\u`, and the second half of a surrogate pair.
    fn code_point(&mut self, start: usize) -> Read<char> {
        let lone = || Fault::new(JsonErrorKind::LoneSurrogate, start);
        let high = self.code_unit()?;
        if !(0xD800..0xDC00).contains(&high) {
            return char::from_u32(high).ok_or_else(lone);
        }
        if self.peek().is_none() {
            return Err(self.end());
        }
        if !self.text[self.at..].starts_with("\\u") {
            return Err(lone());
        }
        self.at += 2;
        let low = self.code_unit()?;
        if !(0xDC00..0xE000).contains(&low) {
            return Err(lone());
        }
        char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)).ok_or_else(lone)
    }

    fn code_unit(&mut self) -> Read<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or_else(|| self.expected("four hex digits"))?;
            self.at += 1;
        }
        Ok(unit)
    }

    #[inline]
    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expected(&self, what: &str) -> Box<Fault> {
        match self.text[self.at..].chars().next() {
            Some(found) => {
                let syntax = format!("expected {what}, found {:?}", found.to_string());
                Fault::new(JsonErrorKind::Syntax(syntax), self.at)
            }
            None => self.end(),
        }
    }

    fn end(&self) -> Box<Fault> {
        Fault::new(JsonErrorKind::UnexpectedEnd, self.bytes.len())
    }
}

/// Puts members in order, and returns false if a key comes twice.
fn sort(members: &mut Arc<[Member]>) -> bool {
    let members = Arc::get_mut(members).expect("what was just made is not shared");
    members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    members.is_sorted_by(|(a, _), (b, _)| a < b)
}
