//! The keywords of one subschema, read with the types that the metaschema demands.

use std::collections::HashSet;
use std::sync::Arc;

use syncline_model::json::{Json, Number, Object, Pointer};

use crate::error::SchemaError;
use crate::node::Types;
use crate::shown::shown;

/// An object that is a schema, and where it stands.
pub(crate) struct Keywords<'a> {
    pub(crate) object: &'a Object,
    pub(crate) at: Pointer,
}

impl<'a> Keywords<'a> {
    pub(crate) fn get(&self, keyword: &str) -> Option<&'a Json> {
        self.object.get(keyword)
    }

    pub(crate) fn invalid(&self, keyword: &str, reason: impl Into<String>) -> SchemaError {
        SchemaError::invalid(&self.at.child(keyword), reason)
    }

    fn typed<T>(
        &self,
        keyword: &str,
        expected: &str,
        read: impl FnOnce(&'a Json) -> Option<T>,
    ) -> Result<Option<T>, SchemaError> {
        let Some(value) = self.get(keyword) else {
            return Ok(None);
        };
        let wrong = || {
            let found = value.type_name();
            self.invalid(keyword, format!("{keyword} is {expected}, found {found}"))
        };
        read(value).ok_or_else(wrong).map(Some)
    }

    pub(crate) fn string(&self, keyword: &str) -> Result<Option<&'a str>, SchemaError> {
        self.typed(keyword, "a string", Json::as_str)
    }

    pub(crate) fn boolean(&self, keyword: &str) -> Result<Option<bool>, SchemaError> {
        self.typed(keyword, "a boolean", Json::as_bool)
    }

    pub(crate) fn array(&self, keyword: &str) -> Result<Option<&'a [Json]>, SchemaError> {
        self.typed(keyword, "an array", Json::as_array)
    }

    pub(crate) fn object(&self, keyword: &str) -> Result<Option<&'a Object>, SchemaError> {
        self.typed(keyword, "an object", Json::as_object)
    }

    pub(crate) fn number(&self, keyword: &str) -> Result<Option<&'a Number>, SchemaError> {
        self.typed(keyword, "a number", Json::as_number)
    }

    /// A whole number that is not negative; what no document can reach counts as the largest.
    pub(crate) fn count(&self, keyword: &str) -> Result<Option<u64>, SchemaError> {
        let read = |value: &Json| {
            let number = value.as_number()?;
            let whole = number.is_integer() && *number >= Number::from(0);
            whole.then(|| number.as_u64().unwrap_or(u64::MAX))
        };
        self.typed(keyword, "a whole number that is not negative", read)
    }

    /// An array of texts that differ.
    pub(crate) fn names(&self, keyword: &str) -> Result<Option<Vec<Arc<str>>>, SchemaError> {
        let Some(items) = self.array(keyword)? else {
            return Ok(None);
        };
        names(items, &self.at.child(keyword)).map(Some)
    }

    /// `type`, one or several.
    pub(crate) fn types(&self) -> Result<Option<Types>, SchemaError> {
        let names = match self.get("type") {
            None => return Ok(None),
            Some(Json::String(name)) => vec![name.clone()],
            Some(Json::Array(_)) => self.names("type")?.unwrap_or_default(),
            Some(_) => return Err(self.invalid("type", "type is a string or an array of strings")),
        };
        if names.is_empty() {
            return Err(self.invalid("type", "type names at least one type"));
        }
        let mut types = Types::default();
        for name in names {
            if !types.add(&name) {
                return Err(self.invalid("type", format!("there is no type {}", shown(&name))));
            }
        }
        Ok(Some(types))
    }

    /// Refuses annotations of a wrong type; they have no other effect.
    pub(crate) fn check_annotations(&self) -> Result<(), SchemaError> {
        for keyword in [
            "$comment",
            "title",
            "description",
            "format",
            "contentEncoding",
            "contentMediaType",
        ] {
            self.string(keyword)?;
        }
        for keyword in ["deprecated", "readOnly", "writeOnly"] {
            self.boolean(keyword)?;
        }
        self.array("examples")?;
        if let Some(vocabularies) = self.object("$vocabulary")?
            && !vocabularies.values().all(|value| value.as_bool().is_some())
        {
            return Err(self.invalid(
                "$vocabulary",
                "a vocabulary is needed or not: true or false",
            ));
        }
        Ok(())
    }
}

/// An array of texts that differ, at `at`.
pub(crate) fn names(items: &[Json], at: &Pointer) -> Result<Vec<Arc<str>>, SchemaError> {
    let mut seen = HashSet::new();
    let mut names = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match item {
            Json::String(name) if seen.insert(name) => names.push(name.clone()),
            Json::String(name) => {
                let reason = format!("{} is named twice", shown(name));
                return Err(SchemaError::invalid(&at.index(index), reason));
            }
            _ => return Err(SchemaError::invalid(&at.index(index), "a name is a string")),
        }
    }
    Ok(names)
}
