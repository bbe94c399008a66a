//! Scopes: which contexts a subscription is about.

use std::collections::BTreeMap;

use syncline_model::document::LABELS_MAX;
use syncline_model::ids::Address;
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Pointer};

/// Bounds the terms of a scope: each is judged before and after every change.
pub const SCOPE_TERMS_MAX: usize = 100;

/// The contexts that a reader wants to hear of: those that any of its terms names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(pub Vec<ScopeTerm>);

/// One term of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeTerm {
    /// Everything.
    Workspace,
    /// One context.
    Context(Address),
    /// A context and all below it.
    Subtree(Address),
    /// A context and its ancestors.
    Inherited(Address),
    /// The contexts that carry all of these labels.
    Label(BTreeMap<String, String>),
}

impl Scope {
    /// Returns the scope that holds everything.
    pub fn workspace() -> Scope {
        Scope(vec![ScopeTerm::Workspace])
    }

    /// Reads a list of terms.
    pub fn read(value: &Json, at: &Pointer) -> Result<Scope, FieldError> {
        let terms = value
            .as_array()
            .ok_or_else(|| FieldError::wrong_type(at.clone(), "array", value))?;
        if terms.is_empty() || terms.len() > SCOPE_TERMS_MAX {
            let why = format!("a scope has 1 to {SCOPE_TERMS_MAX} terms");
            return Err(FieldError::invalid(at.clone(), why));
        }
        let read = |(index, term)| ScopeTerm::read(term, &at.index(index));
        terms
            .iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Scope)
    }

    /// Writes the list of terms.
    pub fn write(&self, w: &mut JsonWriter) {
        w.begin_array();
        self.0.iter().for_each(|term| term.write(w));
        w.end_array();
    }
}

impl ScopeTerm {
    /// Reads `{"workspace":true}`, `{"context":…}`, `{"subtree":…}`, `{"inherited":…}` or
    /// `{"label":{…}}`.
    pub fn read(value: &Json, at: &Pointer) -> Result<ScopeTerm, FieldError> {
        let mut f = Fields::new(value, at)?;
        let workspace = f.bool("workspace")?;
        let context = f.parse("context", Address::parse)?;
        let subtree = f.parse("subtree", Address::parse)?;
        let inherited = f.parse("inherited", Address::parse)?;
        let label = f
            .optional("label")
            .map(|v| read_label(v, &at.child("label")))
            .transpose()?;
        f.finish()?;
        if workspace == Some(false) {
            return Err(FieldError::invalid(
                at.child("workspace"),
                "only true means something here",
            ));
        }
        let mut named = [
            workspace.map(|_| ScopeTerm::Workspace),
            context.map(ScopeTerm::Context),
            subtree.map(ScopeTerm::Subtree),
            inherited.map(ScopeTerm::Inherited),
            label.map(ScopeTerm::Label),
        ]
        .into_iter()
        .flatten();
        match (named.next(), named.next()) {
            (Some(term), None) => Ok(term),
            _ => Err(FieldError::invalid(
                at.clone(),
                "a term has exactly one of workspace, context, subtree, inherited and label",
            )),
        }
    }

    /// Writes the term.
    pub fn write(&self, w: &mut JsonWriter) {
        w.begin_object();
        match self {
            ScopeTerm::Workspace => w.field_bool("workspace", true),
            ScopeTerm::Context(address) => w.field_str("context", address.as_str()),
            ScopeTerm::Subtree(address) => w.field_str("subtree", address.as_str()),
            ScopeTerm::Inherited(address) => w.field_str("inherited", address.as_str()),
            ScopeTerm::Label(labels) => {
                w.key("label");
                w.begin_object();
                labels
                    .iter()
                    .for_each(|(key, value)| w.field_str(key, value));
                w.end_object();
            }
        }
        w.end_object();
    }
}

fn read_label(value: &Json, at: &Pointer) -> Result<BTreeMap<String, String>, FieldError> {
    let labels = value
        .as_object()
        .ok_or_else(|| FieldError::wrong_type(at.clone(), "object", value))?;
    if labels.is_empty() || labels.len() > LABELS_MAX {
        let why = format!("a term names 1 to {LABELS_MAX} labels");
        return Err(FieldError::invalid(at.clone(), why));
    }
    let pair = |(key, value): (&str, &Json)| match value.as_str() {
        Some(text) => Ok((key.to_owned(), text.to_owned())),
        None => Err(FieldError::wrong_type(at.child(key), "string", value)),
    };
    labels.iter().map(pair).collect()
}
