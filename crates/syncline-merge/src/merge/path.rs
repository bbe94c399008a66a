//! Places that survive moves: paths that name items of keyed arrays by their key.
//!
//! The text is a JSON Pointer, except that an item may be `[member=value]` behind its array:
//! `/data/steps[id=s2]/owner`. In member names `[` is written `~2`. Values that are no plain words
//! are JSON in full: `[id="3"]`, `[id=3]`, `[name="a ] b"]`.

use crate::mutants::{Mutant, is_active};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use syncline_model::json::{Json, Limits, Pointer};

/// A place within a document, with items of keyed arrays named by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyedPath(Vec<KeyedStep>);

/// One step of a [`KeyedPath`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyedStep {
    /// A member of an object, or whatever a plain pointer's token means.
    Member(Arc<str>),
    /// An item of an array without keys.
    Index(usize),
    /// The item whose member, named first, has this value.
    Keyed(Arc<str>, Json),
}

/// Why a text is no keyed path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyedPathError {
    /// A step begins with neither `/` nor `[`.
    #[error("keyed path has a step that starts with neither \"/\" nor \"[\"")]
    NoStep,
    /// A `~` is followed by none of `0`, `1` and `2`.
    #[error("keyed path has a \"~\" that is not part of \"~0\", \"~1\" or \"~2\"")]
    BadEscape,
    /// What stands in brackets is not `member=value`.
    #[error("keyed path has brackets that do not hold a member, \"=\", and a word or JSON value")]
    BadKey,
    /// There are more steps than any document has levels.
    #[error("keyed path has more than {STEPS_MAX} steps")]
    TooDeep,
}

/// Bounds a path from outside; no document is deeper.
const STEPS_MAX: usize = 256;

impl KeyedPath {
    pub(super) fn new(steps: Vec<KeyedStep>) -> KeyedPath {
        KeyedPath(steps)
    }

    /// Returns the path through objects alone.
    pub fn from_members<'k>(keys: impl IntoIterator<Item = &'k str>) -> KeyedPath {
        let steps = keys.into_iter().map(|key| KeyedStep::Member(key.into()));
        KeyedPath(steps.collect())
    }

    /// Returns the steps from the root.
    #[must_use]
    pub fn steps(&self) -> &[KeyedStep] {
        &self.0
    }

    /// Reads a path such as `/data/steps[id=s2]/owner`.
    pub fn parse(text: &str) -> Result<KeyedPath, KeyedPathError> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if steps.len() == STEPS_MAX {
                return Err(KeyedPathError::TooDeep);
            }
            let (step, after) = match rest.strip_prefix('[') {
                Some(inside) => keyed_step(inside)?,
                None => member_step(rest.strip_prefix('/').ok_or(KeyedPathError::NoStep)?)?,
            };
            steps.push(step);
            rest = after;
        }
        Ok(KeyedPath(steps))
    }

    /// Finds the place in a document, where its items may have moved.
    #[must_use]
    pub fn resolve(&self, doc: &Json) -> Option<Pointer> {
        let mut path = Pointer::root();
        let mut here = doc;
        for step in &self.0 {
            let (token, below) = down(here, step)?;
            path.push(token);
            here = below;
        }
        Some(path)
    }
}

/// The token and the value one step below `here`.
fn down<'d>(here: &'d Json, step: &KeyedStep) -> Option<(Arc<str>, &'d Json)> {
    let at = |items: &'d [Json], index: usize| {
        let item = items.get(index)?;
        Some((index.to_string().into(), item))
    };
    match (here, step) {
        (Json::Object(object), KeyedStep::Member(key)) => Some((key.clone(), object.get(key)?)),
        (Json::Object(object), KeyedStep::Index(index)) => {
            let key = index.to_string();
            Some((key.as_str().into(), object.get(&key)?))
        }
        (Json::Array(items), KeyedStep::Index(index)) => at(items, *index),
        (Json::Array(items), KeyedStep::Member(token)) => at(items, Pointer::array_index(token)?),
        (Json::Array(items), KeyedStep::Keyed(member, value)) => {
            let is_it = |item: &Json| item.get(member) == Some(value);
            at(items, items.iter().position(is_it)?)
        }
        _ => None,
    }
}

/// Reads the member name behind a `/`.
fn member_step(text: &str) -> Result<(KeyedStep, &str), KeyedPathError> {
    let end = text.find(['/', '[']).unwrap_or(text.len());
    let name = unescape(&text[..end])?;
    Ok((KeyedStep::Member(name.into()), &text[end..]))
}

/// Reads `member=value]`.
fn keyed_step(text: &str) -> Result<(KeyedStep, &str), KeyedPathError> {
    let (member, rest) = word_or_json(text, "=")?;
    let rest = rest.strip_prefix('=').ok_or(KeyedPathError::BadKey)?;
    let (value, rest) = word_or_json(rest, "]")?;
    let rest = rest.strip_prefix(']').ok_or(KeyedPathError::BadKey)?;
    match member {
        Json::String(member) => Ok((KeyedStep::Keyed(member, value), rest)),
        _ => Err(KeyedPathError::BadKey),
    }
}

/// Reads a plain word, a number, or a JSON string, up to `end`.
fn word_or_json<'t>(text: &'t str, end: &str) -> Result<(Json, &'t str), KeyedPathError> {
    let length = match text.strip_prefix('"') {
        Some(inside) => 1 + string_end(inside).ok_or(KeyedPathError::BadKey)?,
        None => text.find(end).ok_or(KeyedPathError::BadKey)?,
    };
    let (word, rest) = text.split_at(length);
    if is_plain_word(word) {
        return Ok((Json::from(word), rest));
    }
    let value = Json::parse(word.as_bytes(), &Limits::wire()).ok();
    match value {
        Some(value @ (Json::String(_) | Json::Number(_))) => Ok((value, rest)),
        _ => Err(KeyedPathError::BadKey),
    }
}

/// Where a JSON string ends, behind its closing quote.
fn string_end(inside: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Returns true for what can stand in brackets as it is and is no number.
fn is_plain_word(text: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.:@/+".contains(char);
    let starts = text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
    starts && text.chars().all(is_plain)
}

impl fmt::Display for KeyedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            match step {
                KeyedStep::Member(name) => write!(f, "/{}", escape(name))?,
                KeyedStep::Index(index) => write!(f, "/{index}")?,
                KeyedStep::Keyed(member, value) => {
                    let member = word(&Json::from(member.clone()));
                    write!(f, "[{member}={}]", word(value))?;
                }
            }
        }
        Ok(())
    }
}

/// A key's value as it stands in brackets; equal values have equal texts.
fn word(value: &Json) -> String {
    match value.as_str() {
        Some(text) if is_plain_word(text) => text.to_owned(),
        _ => value.canonical(),
    }
}

fn escape(name: &str) -> String {
    let name = name.replace('~', "~0").replace('/', "~1");
    if is_active(Mutant::ForgetsBrackets) {
        return name;
    }
    name.replace('[', "~2")
}

fn unescape(name: &str) -> Result<String, KeyedPathError> {
    let mut parts = name.split('~');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match part.as_bytes().first() {
            Some(b'0') => ('~', &part[1..]),
            Some(b'1') => ('/', &part[1..]),
            Some(b'2') => ('[', &part[1..]),
            _ => return Err(KeyedPathError::BadEscape),
        };
        plain.push(escaped);
        plain.push_str(rest);
    }
    Ok(plain)
}

impl FromStr for KeyedPath {
    type Err = KeyedPathError;

    fn from_str(text: &str) -> Result<KeyedPath, KeyedPathError> {
        KeyedPath::parse(text)
    }
}
