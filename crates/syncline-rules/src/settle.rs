//! Settling: a conflict ends by a choice, which is a change like any other.

use std::sync::Arc;

use syncline_api::{Code, Problem, Sides};
use syncline_merge::KeyedPath;
use syncline_model::change::ChangeType;
use syncline_model::conflict::{Conflict, ConflictId, ConflictState};
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::Version;
use syncline_model::json::{Fields, Json, Pointer};
use syncline_model::proposal::Proposal;

use crate::case::Wanted;
use crate::decide::{Refusal, Stop};
use crate::document::{own_members, replace_members};
use crate::merging::value_at;
use crate::view::View;

/// What is chosen.
enum Chosen {
    Ours,
    Theirs,
    Value(Json),
}

/// Returns what becomes of the line when the conflict that the body names is settled.
///
/// The body is `{"conflict":…,"version":…}` with `"choose":"ours"` or `"theirs"`, or a `"value"`.
/// Without a version the choice is made on the sides as they are now.
pub fn settle(view: &View, proposal: &Proposal, head: Option<&Arc<Head>>) -> Result<Wanted, Stop> {
    let (id, version, chosen) = read(&proposal.body)?;
    let waits = head.and_then(|head| Some((head, head.conflicts.iter().find(|c| c.id == id)?)));
    let Some((head, conflict)) = waits else {
        let known = view.conflicts(&proposal.context)?;
        return Err(no_conflict(&id, known.iter().find(|c| c.id == id)));
    };
    if version.is_some_and(|seen| seen != conflict.version) {
        let detail = format!(
            "conflict {id} is at version {}: a side moved",
            conflict.version
        );
        let problem = Problem::new(Code::PreconditionFailed, detail)
            .at(Pointer::from_static("/version"))
            .hint("look at the sides again, and settle that version with a new change id");
        return Err(with_sides_of(problem, conflict, head.version));
    }
    let value = match chosen {
        Chosen::Ours => conflict.ours.clone(),
        Chosen::Theirs => conflict.theirs.clone(),
        // Where the whole document waits, what is not named stays, as in a replacement.
        Chosen::Value(value) if conflict.path.is_empty() => {
            let named = own_members(&value).map_err(|p| p.at(Pointer::from_static("/value")))?;
            Some(replace_members(&head.document, named))
        }
        Chosen::Value(value) => Some(value),
    };
    let settled = Conflict {
        version: conflict.version + 1,
        theirs: value.clone(),
        state: ConflictState::Settled,
        settled_by: Some(proposal.id),
        ..conflict.clone()
    };
    let wanted = placed(head, conflict, value)?;
    Ok(Wanted {
        settled: Some(settled),
        anyway: true,
        ..wanted
    })
}

fn placed(head: &Head, conflict: &Conflict, value: Option<Json>) -> Result<Wanted, Stop> {
    let lost = || {
        let detail = format!("the place {} is not there any more", conflict.path);
        Problem::new(Code::Invalid, detail)
            .hint("choose theirs, or write the context as it should be")
    };
    let path = KeyedPath::parse(&conflict.path).map_err(|_| lost())?;
    // A deleted context comes back as it was, with the value in its place; where nothing is to be
    // there, it stays deleted.
    let before = head.document.to_json();
    let after = match path.get(&before) == value.as_ref() {
        _ if head.deleted && value.is_none() => None,
        true => Some(before.clone()),
        false => path.put(Some(&before), value).ok_or_else(lost)?,
    };
    match after {
        Some(json) => {
            let document = Document::from_json(&json, &Pointer::from_static("/value"))
                .map_err(Problem::from)?;
            let kind = match head.deleted {
                true => ChangeType::Restore,
                false => ChangeType::Update,
            };
            Ok(Wanted::plain(kind, document, None))
        }
        None => Ok(Wanted::plain(
            ChangeType::Delete,
            head.document.clone(),
            None,
        )),
    }
}

fn read(body: &Json) -> Result<(ConflictId, Option<u64>, Chosen), Problem> {
    let at = Pointer::root();
    let mut fields = Fields::new(body, &at)?;
    let id = fields.required_parse("conflict", ConflictId::parse)?;
    let version = fields.u64("version")?;
    let choose = fields.string("choose")?;
    let value = fields.optional("value").cloned();
    fields.finish()?;
    let chosen = match (choose, value) {
        (Some("ours"), None) => Chosen::Ours,
        (Some("theirs"), None) => Chosen::Theirs,
        (None, Some(value)) => Chosen::Value(value),
        _ => {
            let detail =
                "a conflict is settled by \"choose\": \"ours\" or \"theirs\", or by a \"value\"";
            return Err(Problem::new(Code::Invalid, detail).at(Pointer::from_static("/choose")));
        }
    };
    Ok((id, version, chosen))
}

/// Says that a conflict does not wait, and what its sides were if it ever did.
fn no_conflict(id: &ConflictId, ended: Option<&Conflict>) -> Stop {
    let detail = match ended.and_then(|conflict| conflict.closed) {
        Some(version) => format!("conflict {id} was ended by version {version}"),
        None => format!("no conflict {id} waits here"),
    };
    let problem = Problem::new(Code::PreconditionFailed, detail)
        .hint("it was settled, or both sides came to agree; look at it again");
    match ended.and_then(|conflict| Some((conflict, conflict.closed?))) {
        Some((conflict, closed)) => with_sides_of(problem, conflict, closed),
        None => problem.into(),
    }
}

/// Refuses with a conflict's sides, of which theirs is what the line shows at a version.
fn with_sides_of(mut problem: Problem, conflict: &Conflict, theirs: Version) -> Stop {
    problem.sides = Some(Box::new(Sides {
        base: conflict.base.clone(),
        ours: conflict.ours.clone(),
        theirs: conflict.theirs.clone(),
    }));
    let refusal = Refusal {
        problem,
        base: None,
        theirs: Some(theirs),
        sided: true,
        conflict: Some(conflict.id),
    };
    Box::new(refusal).into()
}

/// Returns the sides of a conflict where its line was at this head.
pub fn conflict_sides(conflict: &Conflict, head: Option<&Head>) -> Sides {
    let shown = head.filter(|head| !head.deleted);
    let shown = shown.map(|head| head.document.to_json());
    Sides {
        base: conflict.base.clone(),
        ours: conflict.ours.clone(),
        theirs: value_at(conflict, shown.as_ref()),
    }
}
