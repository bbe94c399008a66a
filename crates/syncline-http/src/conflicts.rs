//! Conflicts: listing what waits, and settling it.

use syncline_api::{Code, Problem};
use syncline_model::conflict::{Conflict, ConflictId};
use syncline_model::ids::Address;
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Object, Pointer};
use syncline_model::proposal::{Operation, Proposal};
use syncline_model::time::Timestamp;
use syncline_store::ConflictQuery;

use crate::answer;
use crate::ask::{Answer, Ask, JSON};
use crate::contexts::submit;
use crate::pages::Listing;

/// `GET /v1/conflicts`
pub(crate) async fn list(ask: Ask) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let limits = &ask.node.doors.limits;
    let open = ask.query.text("open").is_none() || ask.query.flag("open")?;
    let of = ask.query.text("context").map(|of| ("context", of));
    let which = ("open", if open { "true" } else { "false" });
    let listing = Listing::of("conflicts", of.into_iter().chain([which]));
    let query = ConflictQuery {
        context: ask.query.named("context", Address::parse)?,
        open,
        after: listing.place(&ask.query, |place| ConflictId::parse(place).ok())?,
        limit: ask.query.limit(limits.page_default, limits.page_max)?,
    };
    ask.wait_for_min_cursor(&workspace).await?;
    let page = workspace.conflicts(&principal, &query).await?;
    let now = ask.node.doors.engine.now();
    Ok(answer::written(|w| {
        w.begin_object();
        w.key("conflicts");
        w.begin_array();
        page.conflicts.iter().for_each(|c| write(w, c, now));
        w.end_array();
        if let Some(next) = page.next {
            w.field_str("next", &listing.page_after(&next.to_string()));
        }
        w.end_object();
    }))
}

/// `GET /v1/conflicts/{id}`
pub(crate) async fn get(ask: Ask) -> Answer {
    let (workspace, principal, id) = (ask.workspace()?, ask.principal()?, id(&ask)?);
    ask.wait_for_min_cursor(&workspace).await?;
    let conflict = workspace.conflict(&principal, &id).await?;
    let now = ask.node.doors.engine.now();
    Ok(answer::written(|w| write(w, &conflict, now)))
}

fn write(w: &mut JsonWriter, conflict: &Conflict, now: Timestamp) {
    w.begin_object();
    conflict.write_members(w);
    w.field_u64("priority", conflict.priority(now));
    w.end_object();
}

fn id(ask: &Ask) -> Result<ConflictId, Problem> {
    let text = ask.path.first().map_or("", String::as_str);
    ConflictId::parse(text).map_err(|error| Problem::new(Code::Invalid, error.to_string()))
}

/// `POST /v1/conflicts/{id}`
pub(crate) async fn settle(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    let (workspace, principal, id) = (ask.workspace()?, ask.principal()?, id(&ask)?);
    let body = settlement(&body, id)?;
    // It says whose line the conflict is on; whether it still waits is for the decision to say.
    let conflict = workspace.conflict(&principal, &id).await?;
    let proposal = Proposal {
        branch: conflict.branch,
        ..ask.proposal_for(conflict.context, Operation::Settle, body)?
    };
    submit(&ask, proposal).await
}

/// Returns what a proposal to settle says: the body, with the conflict that the path names.
fn settlement(body: &Json, id: ConflictId) -> Result<Json, Problem> {
    let mut fields = Fields::new(body, &Pointer::root())?;
    if fields
        .parse("conflict", ConflictId::parse)?
        .is_some_and(|named| named != id)
    {
        let why = format!("this is sent to {id}");
        return Err(FieldError::invalid(fields.at("conflict"), why).into());
    }
    let mut settlement: Object = body.as_object().cloned().unwrap_or_default();
    settlement.insert("conflict", Json::from(id.to_string()));
    Ok(Json::Object(settlement))
}
