//! A context's document: the members that writers own, which history versions and the hash covers.
//!
//! A document is kept as one JSON object in *full form*: containers (`labels`, `collaborators`,
//! `permissions`, `data`, `metadata`) are always there, so a patch may add below them, and
//! scalars are absent when they say nothing. The hash leaves empty members out.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::ids::{Address, PrincipalId};
use crate::json::{FieldError, FieldErrorKind, Fields, Json, Object, Pointer, canonical};

/// The members of a document, in canonical order.
pub const MEMBERS: [&str; 11] = [
    "collaborators",
    "data",
    "description",
    "labels",
    "level",
    "metadata",
    "owner",
    "parent",
    "permissions",
    "state",
    "title",
];

/// What the server adds to a context; writers may send it back, and it is ignored.
pub const SERVER_MEMBERS: [&str; 12] = [
    "branch",
    "version",
    "seq",
    "etag",
    "hash",
    "actor",
    "created_at",
    "updated_at",
    "conflicts",
    "pending",
    "context",
    "partial",
];

/// Bounds a title: a line of text, in characters.
pub const TITLE_LENGTH_MAX: usize = 1_000;
/// Bounds a description, in characters; longer texts belong in `data`.
pub const DESCRIPTION_LENGTH_MAX: usize = 100_000;
/// Bounds the labels of one context, since each is an index row.
pub const LABELS_MAX: usize = 64;
/// Bounds a label's key, in characters.
pub const LABEL_KEY_LENGTH_MAX: usize = 100;
/// Bounds a label's value, in characters.
pub const LABEL_VALUE_LENGTH_MAX: usize = 500;
/// Bounds the collaborators of one context (DESIGN, section 10: participants).
pub const COLLABORATORS_MAX: usize = 50;

words! {
    /// Who may see a context without a further grant.
    #[derive(Default, PartialOrd, Ord)]
    pub enum Level {
        /// Everyone in the workspace.
        Public = "public",
        /// The owner and collaborators.
        #[default]
        Private = "private",
        /// Those who were granted it.
        Restricted = "restricted",
        /// Those who were granted it, and every read is audited.
        Confidential = "confidential",
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Says that a text is no access level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a level is public, private, restricted or confidential")]
pub struct LevelError;

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Level, LevelError> {
        Level::of_word(text).ok_or(LevelError)
    }
}

/// SHA-256 over a document's canonical JSON, empty members left out.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentHash(pub [u8; 32]);

impl fmt::Display for DocumentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for DocumentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

/// Writes a hash in one piece: formatting each byte takes longer than hashing a document.
pub(crate) fn write_hex(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0u8; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    f.write_str(std::str::from_utf8(&text).expect("hex digits are ASCII"))
}

/// A checked document in full form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document(Object);

impl Document {
    /// Returns the document of a context that was just made: nothing but the defaults.
    pub fn empty() -> Document {
        Document(full_form(Object::new()))
    }

    /// Checks an object and brings it into full form.
    ///
    /// Unknown members, wrong types and values beyond their bounds are refused with their pointer
    /// below `at`.
    pub fn from_json(value: &Json, at: &Pointer) -> Result<Document, FieldError> {
        let mut fields = Fields::new(value, at)?;
        check_text(&mut fields, at, "title", TITLE_LENGTH_MAX)?;
        check_text(&mut fields, at, "description", DESCRIPTION_LENGTH_MAX)?;
        fields.parse("parent", Address::parse)?;
        fields.parse("level", Level::from_str)?;
        fields.parse("owner", PrincipalId::parse)?;
        fields.parse("state", parse_state)?;
        check_labels(&mut fields, at)?;
        check_collaborators(&mut fields, at)?;
        fields.object("permissions")?;
        fields.object("data")?;
        fields.object("metadata")?;
        fields.finish()?;
        let object = value
            .as_object()
            .expect("Fields::new accepts objects only")
            .clone();
        Ok(Document(full_form(object)))
    }

    /// Reads a document that this crate wrote before, without checking it again.
    ///
    /// Only for bytes whose hash is compared afterwards: rules may have become stricter since
    /// they were written, and old versions must stay readable.
    pub fn from_stored(object: Object) -> Document {
        Document(full_form(object))
    }

    /// Returns the full form, to patch or to show.
    pub fn to_json(&self) -> Json {
        Json::Object(self.0.clone())
    }

    /// Gives the full form away, so that a patch may write into what nobody else holds.
    pub fn into_json(self) -> Json {
        Json::Object(self.0)
    }

    /// Returns the members in full form.
    pub fn object(&self) -> &Object {
        &self.0
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Json::as_str)
    }

    /// Returns the title.
    pub fn title(&self) -> Option<&str> {
        self.text("title")
    }

    /// Returns the parent; only a context of kind `global` has none.
    pub fn parent(&self) -> Option<Address> {
        self.text("parent").and_then(|t| Address::parse(t).ok())
    }

    /// Returns the access level.
    pub fn level(&self) -> Level {
        self.text("level")
            .and_then(|t| t.parse().ok())
            .unwrap_or_default()
    }

    /// Returns the state, `active` unless a writer said otherwise.
    pub fn state(&self) -> &str {
        self.text("state").unwrap_or(STATE_DEFAULT)
    }

    /// Returns the owner; built-in contexts have none.
    pub fn owner(&self) -> Option<PrincipalId> {
        self.text("owner").and_then(|t| PrincipalId::parse(t).ok())
    }

    /// Returns the labels, all of whose values are strings.
    pub fn labels(&self) -> &Object {
        self.0
            .get("labels")
            .and_then(Json::as_object)
            .expect("full form has labels")
    }

    /// Sets one member, for the defaults that a creation gets.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Json) -> Document {
        debug_assert!(MEMBERS.contains(&name));
        self.0.insert(name, value);
        self
    }

    /// Returns the canonical JSON that the hash covers.
    pub fn canonical(&self) -> String {
        canonical::members_text(self.hashed())
    }

    /// Returns the hash.
    pub fn hash(&self) -> DocumentHash {
        let mut hash = Sha256::new();
        canonical::update_hash_with_members(&mut hash, self.hashed());
        DocumentHash(hash.finalize().into())
    }

    /// Walks the members that the hash covers.
    fn hashed(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().filter(|(_, value)| !is_empty(value))
    }

    /// Returns about how many bytes the document's text has.
    pub fn weight(&self) -> usize {
        self.to_json().weight()
    }
}

/// The state that a context has when nobody said one.
pub const STATE_DEFAULT: &str = "active";

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
        Json::Bool(_) | Json::Number(_) => false,
    }
}

fn full_form(mut object: Object) -> Object {
    for name in ["title", "description", "parent", "owner"] {
        if object.get(name).is_some_and(is_empty) {
            object.remove(name);
        }
    }
    for name in ["labels", "permissions", "data", "metadata"] {
        if !matches!(object.get(name), Some(Json::Object(_))) {
            object.insert(name, Json::Object(Object::new()));
        }
    }
    if !matches!(object.get("collaborators"), Some(Json::Array(_))) {
        object.insert("collaborators", Json::from(Vec::new()));
    }
    if !matches!(object.get("level"), Some(Json::String(_))) {
        object.insert("level", Json::from(Level::default().as_str()));
    }
    if !matches!(object.get("state"), Some(Json::String(_))) {
        object.insert("state", Json::from(STATE_DEFAULT));
    }
    object
}

fn parse_state(text: &str) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    let good = (1..=64).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(b));
    match text {
        "deleted" => Err("a context is deleted by DELETE, not by its state"),
        _ if good => Ok(()),
        _ => Err("a state is a small letter followed by at most 63 of a-z, 0-9, _ and -"),
    }
}

fn invalid(pointer: Pointer, why: String) -> FieldError {
    FieldError {
        pointer,
        kind: FieldErrorKind::Invalid(why),
    }
}

fn check_text(
    fields: &mut Fields<'_>,
    at: &Pointer,
    name: &'static str,
    length_max: usize,
) -> Result<(), FieldError> {
    match fields.string(name)? {
        Some(text) if text.chars().count() > length_max => Err(invalid(
            at.child(name),
            format!("at most {length_max} characters fit here"),
        )),
        _ => Ok(()),
    }
}

fn check_labels(fields: &mut Fields<'_>, at: &Pointer) -> Result<(), FieldError> {
    let Some(labels) = fields.object("labels")? else {
        return Ok(());
    };
    let at = at.child("labels");
    if labels.len() > LABELS_MAX {
        return Err(invalid(
            at,
            format!("a context has at most {LABELS_MAX} labels"),
        ));
    }
    for (key, value) in labels.iter() {
        let here = at.child(key);
        let key_fits = (1..=LABEL_KEY_LENGTH_MAX).contains(&key.chars().count())
            && !key.chars().any(char::is_control);
        if !key_fits {
            let why = format!(
                "a label's key has 1 to {LABEL_KEY_LENGTH_MAX} characters and no control characters"
            );
            return Err(invalid(here, why));
        }
        let Some(text) = value.as_str() else {
            let kind = FieldErrorKind::WrongType {
                expected: "string",
                found: value.type_name(),
            };
            return Err(FieldError {
                pointer: here,
                kind,
            });
        };
        if text.chars().count() > LABEL_VALUE_LENGTH_MAX {
            let why = format!("a label's value has at most {LABEL_VALUE_LENGTH_MAX} characters");
            return Err(invalid(here, why));
        }
    }
    Ok(())
}

fn check_collaborators(fields: &mut Fields<'_>, at: &Pointer) -> Result<(), FieldError> {
    let Some(items) = fields.array("collaborators")? else {
        return Ok(());
    };
    let at = at.child("collaborators");
    if items.len() > COLLABORATORS_MAX {
        return Err(invalid(
            at,
            format!("a context has at most {COLLABORATORS_MAX} collaborators"),
        ));
    }
    for (index, item) in items.iter().enumerate() {
        let here = at.index(index);
        let Some(text) = item.as_str() else {
            let kind = FieldErrorKind::WrongType {
                expected: "string",
                found: item.type_name(),
            };
            return Err(FieldError {
                pointer: here,
                kind,
            });
        };
        PrincipalId::parse(text).map_err(|error| invalid(here, error.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::json::Limits;

    fn document(text: &str) -> Result<Document, FieldError> {
        let json = Json::parse(text.as_bytes(), &Limits::default()).unwrap();
        Document::from_json(&json, &Pointer::root())
    }

    #[test]
    fn the_protocols_test_vector_holds() {
        let text = r#"{"data":{"n":1,"é":"x"},"level":"private","owner":"person/owner","parent":"global/main","state":"active","title":"T"}"#;
        let document = document(text).unwrap();
        assert_eq!(document.canonical(), text);
        assert_eq!(
            document.hash().to_string(),
            "3a2e97fba5d774f17076074a9c46b4dd7709f7eb44fe8f14cda6e23bda7e47bd"
        );
    }

    #[test]
    fn bad_members_are_named() {
        for (text, pointer) in [
            (r#"{"titel":"x"}"#, "/titel"),
            (r#"{"title":1}"#, "/title"),
            (r#"{"level":"secret"}"#, "/level"),
            (r#"{"labels":{"a":1}}"#, "/labels/a"),
            (r#"{"labels":{"":"x"}}"#, "/labels/"),
            (r#"{"data":[]}"#, "/data"),
            (r#"{"parent":"x"}"#, "/parent"),
            (r#"{"owner":"ana"}"#, "/owner"),
            (r#"{"state":"deleted"}"#, "/state"),
            (r#"{"collaborators":["person/a","b"]}"#, "/collaborators/1"),
        ] {
            assert_eq!(
                document(text).unwrap_err().pointer.to_string(),
                pointer,
                "{text}"
            );
        }
    }

    #[test]
    fn empty_members_do_not_change_the_hash() {
        let sparse = document(r#"{"title":"T"}"#).unwrap();
        let full = document(r#"{"title":"T","labels":{},"data":{},"description":""}"#).unwrap();
        assert_eq!(sparse, full);
        assert_eq!(sparse.hash(), full.hash());
    }
}
