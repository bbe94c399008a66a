//! From objects to types: each member is asked for by name, and what nobody asked for is refused.

use std::fmt;

use super::{Json, Object, Pointer};

/// Names longer than this are not compared with the known ones.
const SIMILAR_NAME_BYTES_MAX: usize = 64;

/// Bounds how much of a pointer a message repeats; its keys may come from outside.
const POINTER_SHOWN_CHARS_MAX: usize = 256;

/// Reads an object's members into types.
///
/// Every error carries the pointer to the member; [`Fields::finish`] refuses what was not
/// taken, so that a misspelt member is never silently ignored.
#[derive(Debug)]
#[must_use = "`finish` refuses unknown fields"]
pub struct Fields<'a> {
    object: &'a Object,
    at: Pointer,
    known: Vec<&'static str>,
    ignored: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// Starts to read `value`, which stands at `at` in its document and must be an object.
    pub fn new(value: &'a Json, at: &Pointer) -> Result<Fields<'a>, FieldError> {
        let object = value
            .as_object()
            .ok_or_else(|| FieldError::wrong_type(at.clone(), "object", value))?;
        Ok(Fields {
            object,
            at: at.clone(),
            known: Vec::new(),
            ignored: Vec::new(),
        })
    }

    /// Returns the member, if it is there; `null` counts as there.
    pub fn optional(&mut self, name: &'static str) -> Option<&'a Json> {
        self.known.push(name);
        self.object.get(name)
    }

    /// Returns the member, which must be there; `null` counts as there.
    pub fn required(&mut self, name: &'static str) -> Result<&'a Json, FieldError> {
        self.optional(name).ok_or_else(|| self.missing(name))
    }

    /// Returns a string, if the member is there.
    pub fn string(&mut self, name: &'static str) -> Result<Option<&'a str>, FieldError> {
        self.typed(name, "string", Json::as_str)
    }

    /// Returns a string, which must be there.
    pub fn required_string(&mut self, name: &'static str) -> Result<&'a str, FieldError> {
        self.string(name)?.ok_or_else(|| self.missing(name))
    }

    /// Returns a whole number that is not negative, if the member is there.
    pub fn u64(&mut self, name: &'static str) -> Result<Option<u64>, FieldError> {
        self.typed(name, "unsigned integer", Json::as_u64)
    }

    /// Returns a whole number that is not negative, which must be there.
    pub fn required_u64(&mut self, name: &'static str) -> Result<u64, FieldError> {
        self.u64(name)?.ok_or_else(|| self.missing(name))
    }

    /// Returns a boolean, if the member is there.
    pub fn bool(&mut self, name: &'static str) -> Result<Option<bool>, FieldError> {
        self.typed(name, "boolean", Json::as_bool)
    }

    /// Returns an object, if the member is there.
    pub fn object(&mut self, name: &'static str) -> Result<Option<&'a Object>, FieldError> {
        self.typed(name, "object", Json::as_object)
    }

    /// Returns the items of an array, if the member is there.
    pub fn array(&mut self, name: &'static str) -> Result<Option<&'a [Json]>, FieldError> {
        self.typed(name, "array", Json::as_array)
    }

    /// Returns what `read` makes of a string, if the member is there.
    pub fn parse<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, FieldError> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        read(text)
            .map(Some)
            .map_err(|error| FieldError::invalid(self.at(name), error))
    }

    /// Returns what `read` makes of a string, which must be there.
    pub fn required_parse<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, FieldError> {
        self.parse(name, read)?.ok_or_else(|| self.missing(name))
    }

    /// Returns the pointer to the member `name`.
    pub fn at(&self, name: &str) -> Pointer {
        self.at.child(name)
    }

    /// Lets these members pass unread.
    pub fn ignore(&mut self, names: &[&str]) {
        let found = names
            .iter()
            .filter_map(|name| self.object.get_key_value(name));
        self.ignored.extend(found.map(|(key, _)| key.as_str()));
    }

    /// Refuses the first member, in canonical order, that nobody asked for.
    pub fn finish(mut self) -> Result<(), FieldError> {
        let unknown = self
            .object
            .keys()
            .find(|key| !self.known.contains(key) && !self.ignored.contains(key));
        let Some(name) = unknown else { return Ok(()) };
        self.known.sort_unstable();
        self.known.dedup();
        let did_you_mean = most_similar(name, &self.known);
        let kind = FieldErrorKind::Unknown {
            known: self.known,
            did_you_mean,
        };
        Err(FieldError {
            pointer: self.at.child(name),
            kind,
        })
    }

    fn typed<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        read: impl Fn(&'a Json) -> Option<T>,
    ) -> Result<Option<T>, FieldError> {
        let Some(value) = self.optional(name) else {
            return Ok(None);
        };
        match read(value) {
            Some(typed) => Ok(Some(typed)),
            None => Err(FieldError::wrong_type(self.at(name), expected, value)),
        }
    }

    fn missing(&self, name: &str) -> FieldError {
        FieldError {
            pointer: self.at(name),
            kind: FieldErrorKind::Missing,
        }
    }
}

/// A member that is not what its type asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The member.
    pub pointer: Pointer,
    /// What is wrong with it.
    pub kind: FieldErrorKind,
}

/// What can be wrong with a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// It must be there.
    Missing,
    /// It has another type.
    WrongType {
        /// What it must be.
        expected: &'static str,
        /// What it is, as [`Json::type_name`] says.
        found: &'static str,
    },
    /// Nothing by this name is known here.
    Unknown {
        /// All names that are known here, sorted.
        known: Vec<&'static str>,
        /// The one that was probably meant.
        did_you_mean: Option<&'static str>,
    },
    /// The type fits and the value does not.
    Invalid(String),
}

impl FieldError {
    /// Returns the error for a value that does not fit, with the reason in words.
    pub fn invalid(pointer: Pointer, reason: impl fmt::Display) -> FieldError {
        FieldError {
            pointer,
            kind: FieldErrorKind::Invalid(reason.to_string()),
        }
    }

    /// Returns the error for a value of another type.
    pub fn wrong_type(pointer: Pointer, expected: &'static str, found: &Json) -> FieldError {
        let found = found.type_name();
        FieldError {
            pointer,
            kind: FieldErrorKind::WrongType { expected, found },
        }
    }

    /// Returns what the sender can do about it.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            FieldErrorKind::Unknown {
                did_you_mean: Some(name),
                ..
            } => Some(format!("did you mean {name:?}?")),
            FieldErrorKind::Unknown { known, .. } if !known.is_empty() => {
                Some(format!("known fields: {}", known.join(", ")))
            }
            _ => None,
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pointer = self.pointer.to_string();
        if let Some((end, _)) = pointer.char_indices().nth(POINTER_SHOWN_CHARS_MAX) {
            pointer.replace_range(end.., "…");
        }
        match &self.kind {
            FieldErrorKind::Missing => write!(f, "missing field {pointer:?}"),
            FieldErrorKind::Unknown { .. } => write!(f, "unknown field {pointer:?}"),
            FieldErrorKind::WrongType { expected, found } => {
                write!(f, "expected {expected} at {pointer:?}, found {found}")
            }
            FieldErrorKind::Invalid(reason) => write!(f, "invalid value at {pointer:?}: {reason}"),
        }
    }
}

impl std::error::Error for FieldError {}

/// Returns the known name that differs least, if at most a third of it differs.
fn most_similar(name: &str, known: &[&'static str]) -> Option<&'static str> {
    if name.len() > SIMILAR_NAME_BYTES_MAX {
        return None;
    }
    known
        .iter()
        .map(|candidate| (edits(name, candidate), *candidate))
        .filter(|(edits, candidate)| *edits <= candidate.len().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns how many bytes must be inserted, removed, replaced or swapped with their neighbour.
fn edits(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
