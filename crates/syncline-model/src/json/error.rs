//! Why a text was refused, and where.

use std::fmt;

use super::Pointer;

/// Bounds how much of a key an error repeats.
const KEY_SHOWN_CHARS_MAX: usize = 64;

/// A fault in a JSON text, with the place where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// The value that was being read.
    pub pointer: Pointer,
    /// The line, counted from 1.
    pub line: u32,
    /// The character within the line, counted from 1.
    pub column: u32,
    /// The byte, counted from 0; the length of the input if it ends too soon.
    pub offset: usize,
}

/// What can be wrong with a JSON text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// Something else was expected here.
    #[error("{0}")]
    Syntax(String),
    /// The object has this key already; a long one is shortened.
    #[error("duplicate key {0:?}")]
    DuplicateKey(String),
    /// Arrays and objects nest deeper than the limit.
    #[error("nesting deeper than {max} levels")]
    TooDeep {
        /// The limit that was passed.
        max: usize,
    },
    /// The text is longer than the limit.
    #[error("text longer than {max} bytes")]
    TooLarge {
        /// The limit in bytes.
        max: usize,
    },
    /// A byte is not part of UTF-8.
    #[error("invalid utf-8")]
    BadUtf8,
    /// The text starts with U+FEFF.
    #[error("byte order mark")]
    ByteOrderMark,
    /// The digits do not form a JSON number.
    #[error("malformed number")]
    BadNumber,
    /// The number is longer, or its exponent larger, than any that we keep.
    #[error("number with too many digits or too large an exponent")]
    NumberTooLong,
    /// A `\u` escape names one half of a surrogate pair only.
    #[error("lone surrogate")]
    LoneSurrogate,
    /// A string holds a control character that is not escaped.
    #[error("unescaped control character in a string")]
    ControlCharacter,
    /// Something follows the value.
    #[error("trailing data")]
    TrailingData,
    /// The text ends within the value.
    #[error("unexpected end")]
    UnexpectedEnd,
}

impl JsonErrorKind {
    pub(super) fn duplicate_key(key: &str) -> JsonErrorKind {
        JsonErrorKind::DuplicateKey(match key.char_indices().nth(KEY_SHOWN_CHARS_MAX) {
            Some((end, _)) => format!("{}…", &key[..end]),
            None => key.to_owned(),
        })
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if matches!(self.kind, JsonErrorKind::TooLarge { .. }) {
            return Ok(());
        }
        write!(f, " at line {} column {}", self.line, self.column)
    }
}

impl std::error::Error for JsonError {}
