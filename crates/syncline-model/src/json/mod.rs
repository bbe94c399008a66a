//! The JSON document: a strict reader, exact numbers, two writers, pointers, and [`Fields`].
//!
//! Everything on the wire and every document is read here and nowhere else, because common
//! JSON libraries lose what we promise to keep: they round numbers through `f64`, let the last
//! of two equal keys win, or give some keys a meaning of their own. What is read here
//!
//! - is RFC 8259 to the letter, within [`Limits`]; a fault is a [`JsonError`] with pointer,
//!   line and column;
//! - has each key once, and its members in the order of RFC 8785;
//! - keeps the text of each number, and compares numbers by their exact decimal value
//!   (`1`, `1.0` and `1e0` are equal).
//!
//! The walk enters at [`Json::parse`], then [`Fields`] turns objects into types;
//! [`Json::to_text`], [`Json::canonical`] and [`JsonWriter`] lead back to text.

pub(crate) mod canonical;
mod convert;
mod decimal;
mod error;
mod fields;
#[doc(hidden)]
pub mod fuzz;
mod gather;
mod key;
mod number;
mod object;
mod pointer;
mod reader;
mod scan;
mod shared;
mod sink;
mod writer;

use std::sync::Arc;

pub use error::{JsonError, JsonErrorKind};
pub use fields::{FieldError, FieldErrorKind, Fields};
pub use key::Key;
pub use number::Number;
pub use object::Object;
pub use pointer::{Pointer, PointerError};
pub use reader::Limits;
pub use writer::JsonWriter;

/// A JSON value.
///
/// Clones are cheap: strings, arrays and objects are shared until one of them is changed.
/// Equality and hash take numbers by exact decimal value and everything else by structure;
/// values that share their memory are equal without a walk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Json {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, with its text.
    Number(Number),
    /// A string.
    String(Arc<str>),
    /// An array.
    Array(Arc<Vec<Json>>),
    /// An object.
    Object(Object),
}

impl Json {
    /// Reads a whole document, strictly by RFC 8259 and within `limits`.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Json, JsonError> {
        reader::parse(bytes, limits)
    }

    /// Returns compact text: keys in canonical order, numbers with the text they came with.
    pub fn to_text(&self) -> String {
        writer::text(self)
    }

    /// Returns text for people, indented by two spaces, without a final newline.
    pub fn to_pretty(&self) -> String {
        writer::pretty(self)
    }

    /// Returns the canonical text: RFC 8785, except that no number is rounded.
    ///
    /// Equal values have the same canonical text, so its hash is the hash of the value.
    pub fn canonical(&self) -> String {
        canonical::text(self)
    }

    /// Returns true for `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }

    /// Returns the string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Json::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns the number, if it is one.
    pub fn as_number(&self) -> Option<&Number> {
        match self {
            Json::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Returns the number as `i64`, if it is exactly one (`1.0` and `1e2` count).
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number()?.as_i64()
    }

    /// Returns the number as `u64`, if it is exactly one (`1.0` and `1e2` count).
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number()?.as_u64()
    }

    /// Returns the items, if it is an array.
    pub fn as_array(&self) -> Option<&[Json]> {
        match self {
            Json::Array(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the items to change them, if it is an array; a shared array is copied first.
    pub fn as_array_mut(&mut self) -> Option<&mut Vec<Json>> {
        match self {
            Json::Array(items) => Some(Arc::make_mut(items)),
            _ => None,
        }
    }

    /// Returns the object, if it is one.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Json::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Returns the object to change it, if it is one.
    pub fn as_object_mut(&mut self) -> Option<&mut Object> {
        match self {
            Json::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Returns the member `key`, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.as_object()?.get(key)
    }

    /// Returns the value that `pointer` names within this one.
    pub fn pointer(&self, pointer: &Pointer) -> Option<&Json> {
        pointer
            .tokens()
            .iter()
            .try_fold(self, |value, token| match value {
                Json::Object(object) => object.get(token),
                Json::Array(items) => items.get(Pointer::array_index(token)?),
                _ => None,
            })
    }

    /// Returns the name of the type as JSON Schema calls it, integers being numbers.
    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// Returns how deep containers nest: 0 for a scalar, 1 for `[]` and `[1]`.
    pub fn depth(&self) -> usize {
        match self {
            Json::Array(items) => 1 + items.iter().map(Json::depth).max().unwrap_or(0),
            Json::Object(object) => 1 + object.iter().map(|(_, v)| v.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Returns about how many bytes the compact text has; escapes are not counted.
    pub fn weight(&self) -> usize {
        match self {
            Json::Null | Json::Bool(_) => 5,
            Json::Number(number) => number.weight(),
            Json::String(text) => text.len() + 2,
            Json::Array(items) => 2 + items.iter().map(|item| item.weight() + 1).sum::<usize>(),
            Json::Object(object) => {
                2 + object
                    .iter()
                    .map(|(key, value)| key.len() + 4 + value.weight())
                    .sum::<usize>()
            }
        }
    }
}
