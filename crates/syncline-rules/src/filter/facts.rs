//! What a matcher looks at: a change, and the document that it led to.

use std::borrow::Cow;

use syncline_api::Attribute;
use syncline_model::change::Change;
use syncline_model::document::Document;
use syncline_model::json::Json;

/// A change, and the document after it where that is at hand.
///
/// After a deletion there is no document. A caller that can should give the last one, so that who
/// follows what is `active` hears that it was deleted; where none is given, terms on the document
/// find nothing, and only those on the change match.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub(super) change: &'a Change,
    pub(super) document: After<'a>,
    /// The context is meant as it stands: who changed it, how and how urgently is not asked.
    pub(super) stands: bool,
}

/// The document after a change.
#[derive(Clone, Copy, Debug)]
pub(super) enum After<'a> {
    /// Nobody looked for it yet.
    NotAtHand,
    /// There is none.
    Nothing,
    /// This one.
    Document(&'a Document),
}

/// What an attribute is.
pub(super) enum Found<'a> {
    /// The document would have to be looked at.
    NotAtHand,
    /// It is not there.
    Nothing,
    /// A text of the record.
    Text(Cow<'a, str>),
    /// A value of the document.
    Value(&'a Json),
}

impl<'a> Facts<'a> {
    /// Returns what is known from the record alone.
    pub fn of_change(change: &'a Change) -> Facts<'a> {
        Facts {
            change,
            document: After::NotAtHand,
            stands: false,
        }
    }

    /// Returns what is known with the document after the change, if there is one.
    pub fn with_document(change: &'a Change, document: Option<&'a Document>) -> Facts<'a> {
        Facts {
            change,
            document: document.map_or(After::Nothing, After::Document),
            stands: false,
        }
    }

    /// Returns what is known of a context as it stands, for [`super::Matcher::admits`]. Of the
    /// change only context, branch and place are looked at.
    pub fn of_context(change: &'a Change, document: &'a Document) -> Facts<'a> {
        Facts {
            change,
            document: After::Document(document),
            stands: true,
        }
    }

    /// Says whether it is known what the document is, be it that there is none.
    pub(super) fn has_document(&self) -> bool {
        !matches!(self.document, After::NotAtHand)
    }

    pub(super) fn get(&self, attribute: &Attribute) -> Found<'a> {
        let change = self.change;
        let place = &change.place;
        let text = |text: Option<&'a str>| {
            text.map_or(Found::Nothing, |text| Found::Text(Cow::Borrowed(text)))
        };
        match attribute {
            Attribute::Actor | Attribute::Agent | Attribute::Session | Attribute::Type
                if self.stands =>
            {
                Found::NotAtHand
            }
            Attribute::Kind => text(Some(change.context.kind())),
            Attribute::Context => text(Some(change.context.as_str())),
            Attribute::Parent => text(place.parent().map(|parent| parent.as_str())),
            Attribute::Project => text(place.project.as_ref().map(|project| project.as_str())),
            Attribute::Level => text(Some(place.level.as_str())),
            Attribute::Actor => text(Some(change.actor.id.as_str())),
            Attribute::Agent => text(change.actor.agent.as_ref().map(|name| name.as_str())),
            Attribute::Session => text(change.actor.session.as_ref().map(|name| name.as_str())),
            Attribute::Type => text(Some(change.kind.as_str())),
            Attribute::Branch => text(change.branch.as_ref().map(|branch| branch.as_str())),
            Attribute::Label(key) => text(place.labels.get(key).and_then(Json::as_str)),
            Attribute::State | Attribute::Owner | Attribute::Metadata(_) => {
                self.of_document(attribute)
            }
        }
    }

    fn of_document(&self, attribute: &Attribute) -> Found<'a> {
        let document = match self.document {
            After::NotAtHand => return Found::NotAtHand,
            After::Nothing => return Found::Nothing,
            After::Document(document) => document,
        };
        let members = document.object();
        let value = match attribute {
            Attribute::State => return Found::Text(Cow::Borrowed(document.state())),
            Attribute::Owner => members.get("owner"),
            Attribute::Metadata(key) => members.get("metadata").and_then(|all| all.get(key)),
            _ => None,
        };
        value.map_or(Found::Nothing, Found::Value)
    }
}
