//! Why a schema is refused, and where.

use std::fmt;

use crate::shown::shown_pointer;
use syncline_model::json::Pointer;

/// A schema that cannot be registered, with the place in it that is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    /// The place in the schema.
    pub pointer: Pointer,
    /// What is wrong.
    pub kind: SchemaErrorKind,
}

/// What can be wrong with a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaErrorKind {
    /// It is no JSON Schema of draft 2020-12.
    #[error("{0}")]
    Invalid(String),
    /// A reference leads out of the document; nothing is ever fetched.
    #[error("reference {0} leads out of this schema, and only what is in it can be referred to")]
    Remote(String),
    /// A pattern is malformed, or needs more than a linear search.
    #[error("{0}")]
    Pattern(String),
    /// An `x-merge` rule is unknown, does not fit the type, or contradicts another.
    #[error("{0}")]
    Merge(String),
    /// The schema is larger, deeper or more costly than allowed.
    #[error("{0}")]
    Limit(String),
}

impl SchemaError {
    pub(crate) fn invalid(pointer: &Pointer, reason: impl Into<String>) -> SchemaError {
        SchemaErrorKind::Invalid(reason.into()).at(pointer)
    }

    pub(crate) fn limit(pointer: &Pointer, reason: impl Into<String>) -> SchemaError {
        SchemaErrorKind::Limit(reason.into()).at(pointer)
    }

    pub(crate) fn merge(pointer: &Pointer, reason: impl Into<String>) -> SchemaError {
        SchemaErrorKind::Merge(reason.into()).at(pointer)
    }
}

impl SchemaErrorKind {
    pub(crate) fn at(self, pointer: &Pointer) -> SchemaError {
        SchemaError {
            pointer: pointer.clone(),
            kind: self,
        }
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = shown_pointer(&self.pointer);
        write!(f, "schema is refused at {place}: {}", self.kind)
    }
}

impl std::error::Error for SchemaError {}
