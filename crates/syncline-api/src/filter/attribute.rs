//! The names that a filter's terms compare, and what each can be.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use syncline_model::change::ChangeType;
use syncline_model::document::{LABEL_KEY_LENGTH_MAX, Level};
use syncline_model::ids::{Address, BranchName, Kind, Name, PrincipalId};
use syncline_model::json::Json;

/// Says which names there are.
const NAMES: &str = "a name is one of kind, context, parent, project, level, state, owner, actor, \
    agent, session, type, branch, labels.<key> and metadata.<key>";

/// What a term of a filter compares.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Attribute {
    /// The context's kind.
    Kind,
    /// The context's address.
    Context,
    /// The parent's address, after the change.
    Parent,
    /// The address of the project that the context lies in, after the change.
    Project,
    /// The access level, after the change.
    Level,
    /// The document's state, after the change.
    State,
    /// The document's owner, after the change.
    Owner,
    /// The principal who wrote the change.
    Actor,
    /// The agent that acted, by its own word.
    Agent,
    /// The agent's session, by its own word.
    Session,
    /// `create`, `update`, `delete` or `restore`.
    Type,
    /// The line of versions; absent on `main`.
    Branch,
    /// The label of this key, after the change. All that follows `labels.` is the key.
    Label(Arc<str>),
    /// The member of this name at the top of `metadata`, after the change. All that follows
    /// `metadata.` is the name, dots included: deeper values are for `where`.
    Metadata(Arc<str>),
}

impl Attribute {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Attribute, &'static str> {
        if let Some(key) = text.strip_prefix("labels.") {
            let fits = (1..=LABEL_KEY_LENGTH_MAX).contains(&key.chars().count());
            let label = fits.then(|| Attribute::Label(key.into()));
            return label.ok_or("a label's key has 1 to 100 characters");
        }
        if let Some(key) = text.strip_prefix("metadata.") {
            let member = (!key.is_empty()).then(|| Attribute::Metadata(key.into()));
            return member.ok_or("metadata.<key> names a member of metadata");
        }
        Ok(match text {
            "kind" => Attribute::Kind,
            "context" => Attribute::Context,
            "parent" => Attribute::Parent,
            "project" => Attribute::Project,
            "level" => Attribute::Level,
            "state" => Attribute::State,
            "owner" => Attribute::Owner,
            "actor" => Attribute::Actor,
            "agent" => Attribute::Agent,
            "session" => Attribute::Session,
            "type" => Attribute::Type,
            "branch" => Attribute::Branch,
            _ => return Err(NAMES),
        })
    }

    /// Says whether the document must be at hand to know the value: the rest is in the record.
    pub fn is_of_document(&self) -> bool {
        matches!(
            self,
            Attribute::State | Attribute::Owner | Attribute::Metadata(_)
        )
    }

    /// Says whether the value is the same for all changes of one context.
    pub fn is_of_context(&self) -> bool {
        matches!(self, Attribute::Kind | Attribute::Context)
    }

    /// Refuses a value that this can never have: a filter that asks for it was meant otherwise.
    pub(super) fn check(&self, value: &Json) -> Result<(), String> {
        if matches!(self, Attribute::Metadata(_)) {
            return match value {
                Json::Array(_) | Json::Object(_) => {
                    Err("only texts, numbers, true, false and null are compared".to_owned())
                }
                _ => Ok(()),
            };
        }
        let Some(text) = value.as_str() else {
            return Err(format!("{self} is a text, not a {}", value.type_name()));
        };
        match self {
            Attribute::Kind => fits(Kind::parse(text)),
            Attribute::Context | Attribute::Parent | Attribute::Project => {
                fits(Address::parse(text))
            }
            Attribute::Level => fits(Level::from_str(text)),
            Attribute::Owner | Attribute::Actor => fits(PrincipalId::parse(text)),
            Attribute::Agent | Attribute::Session => fits(Name::parse(text)),
            Attribute::Type => ChangeType::from_str(text)
                .map(drop)
                .map_err(|_| "a type is create, update, delete or restore".to_owned()),
            Attribute::Branch => fits(BranchName::parse(text)),
            Attribute::State | Attribute::Label(_) | Attribute::Metadata(_) => Ok(()),
        }
    }
}

fn fits<T, E: fmt::Display>(parsed: Result<T, E>) -> Result<(), String> {
    parsed.map(drop).map_err(|error| error.to_string())
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Attribute::Kind => "kind",
            Attribute::Context => "context",
            Attribute::Parent => "parent",
            Attribute::Project => "project",
            Attribute::Level => "level",
            Attribute::State => "state",
            Attribute::Owner => "owner",
            Attribute::Actor => "actor",
            Attribute::Agent => "agent",
            Attribute::Session => "session",
            Attribute::Type => "type",
            Attribute::Branch => "branch",
            Attribute::Label(key) => return write!(f, "labels.{key}"),
            Attribute::Metadata(key) => return write!(f, "metadata.{key}"),
        })
    }
}
