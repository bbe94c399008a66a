//! What an expression can know of a change.

use std::borrow::Cow;

use syncline_model::document::Document;
use syncline_model::ids::Version;
use syncline_model::json::Json;

use super::super::facts::{After, Facts};
use super::eval::Wrong;
use super::tree::Field;
use super::value::Value;

/// Looks a field up; one that says nothing is missing.
pub(super) fn value_of<'a>(field: Field, facts: &'a Facts<'a>) -> Result<Value<'a>, Wrong> {
    if field.is_of_document() {
        return match facts.document {
            After::Document(document) => of_document(field, document).ok_or(Wrong::Missing),
            After::Nothing | After::NotAtHand => Err(Wrong::Missing),
        };
    }
    of_record(field, facts).ok_or(Wrong::Missing)
}

fn of_record<'a>(field: Field, facts: &'a Facts<'a>) -> Option<Value<'a>> {
    let change = facts.change;
    let (actor, place) = (&change.actor, &change.place);
    let version = |version: Version| Value::Number(Cow::Owned(version.0.into()));
    Some(match field {
        Field::ChangeId => made(&change.id),
        Field::ChangeType => Value::text(change.kind.as_str()),
        Field::ChangeActor => Value::text(actor.id.as_str()),
        Field::ChangeAgent => Value::text(actor.agent.as_ref()?.as_str()),
        Field::ChangeSession => Value::text(actor.session.as_ref()?.as_str()),
        Field::ChangeToolCall => Value::text(actor.tool_call.as_ref()?.as_str()),
        Field::ChangeChanged => Value::List(change.changed.iter().map(made).collect()),
        Field::ChangePriority => Value::count(change.priority.get().into()),
        Field::ChangeMessage => Value::text(change.message.as_deref()?),
        Field::ChangeOutcome => Value::text(change.outcome.as_str()),
        Field::ChangeBranch => Value::text(change.branch.as_ref()?.as_str()),
        Field::ChangeBulk => made(&change.bulk?),
        Field::ChangeVersion => version(change.version),
        Field::ChangeFrom => version(change.from),
        Field::ChangeBase => version(change.base?),
        Field::ChangeBlind => Value::Bool(change.blind),
        Field::ChangeCommittedAt => made(&change.committed_at),
        Field::Address => Value::text(change.context.as_str()),
        Field::Kind => Value::text(change.context.kind()),
        Field::Id => Value::text(change.context.id()),
        Field::Parent => Value::text(place.parent()?.as_str()),
        Field::Ancestors => {
            let line = place.ancestors.iter();
            Value::List(line.map(|above| Value::text(above.as_str())).collect())
        }
        Field::Project => Value::text(place.project.as_ref()?.as_str()),
        Field::Level => Value::text(place.level.as_str()),
        Field::Labels => Value::Object(&place.labels),
        _ => return None,
    })
}

fn of_document(field: Field, document: &Document) -> Option<Value<'_>> {
    let name = match field {
        Field::Title => "title",
        Field::Description => "description",
        Field::State => return Some(Value::text(document.state())),
        Field::Owner => "owner",
        Field::Collaborators => "collaborators",
        Field::Permissions => "permissions",
        Field::Data => "data",
        Field::Metadata => "metadata",
        _ => return None,
    };
    document
        .object()
        .get(name)
        .map(|value: &Json| Value::of(value))
}

fn made<'a>(text: &impl ToString) -> Value<'a> {
    Value::made(text.to_string())
}
