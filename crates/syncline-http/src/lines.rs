//! Lines of versions: rolling back, undoing, branches and their merges, who set a field.

use syncline_api::{Code, Problem, parse_branch};
use syncline_engine::{Blame, Branch, BranchMerge};
use syncline_model::ids::{BranchName, Version};
use syncline_model::json::{Fields, Json, JsonWriter, Pointer};
use syncline_model::proposal::{Operation, Proposal};

use crate::answer;
use crate::ask::{Answer, Ask, JSON};
use crate::contexts::{submit, view};
use crate::pages::Listing;
use crate::query::bad;

/// `POST /v1/contexts/{kind}/{id}/rollback`
pub(crate) async fn rollback(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    let proposal = ask.proposal_for(ask.address()?, Operation::Rollback, body)?;
    submit(&ask, proposal).await
}

/// `POST /v1/contexts/{kind}/{id}/undo`
pub(crate) async fn undo(mut ask: Ask) -> Answer {
    ask.no_body().await?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let proposal = ask.proposal_for(ask.address()?, Operation::Rollback, Json::Null)?;
    let context = proposal.context.clone();
    let receipt = workspace.undo(&principal, proposal).await?;
    let view = view(&workspace, &principal, &receipt).await;
    Ok(answer::receipt(&view, &context, false))
}

/// `GET /v1/contexts/{kind}/{id}/blame`
pub(crate) async fn blame(ask: Ask) -> Answer {
    let (workspace, principal, line) = (ask.workspace()?, ask.principal()?, ask.line()?);
    let path = ask.query.text("path");
    let path = path.ok_or_else(|| bad("the query needs path, such as /data/status"))?;
    ask.wait_for_min_cursor(&workspace).await?;
    let blame = workspace.blame(&principal, &line, path).await?;
    Ok(answer::written(|w| write_blame(w, path, &blame)))
}

fn write_blame(w: &mut JsonWriter, path: &str, blame: &Blame) {
    let change = &blame.entry.change;
    w.begin_object();
    w.field_str("path", path);
    w.field_u64("version", change.version.0);
    if let Some(branch) = &change.branch {
        w.field_str("branch", branch.as_str());
    }
    w.field_str("change", &change.id.to_string());
    w.key("actor");
    change.actor.write(w);
    if let Some(message) = &change.message {
        w.field_str("message", message);
    }
    w.field_str("committed_at", &change.committed_at.to_string());
    if let Some(rule) = &blame.rule {
        w.field_str("rule", rule);
    }
    if !blame.beat.is_empty() {
        w.key("beat");
        w.begin_array();
        blame.beat.iter().for_each(|side| w.value(side));
        w.end_array();
    }
    w.end_object();
}

/// `GET /v1/contexts/{kind}/{id}/branches`
pub(crate) async fn branches(ask: Ask) -> Answer {
    let (workspace, principal, address) = (ask.workspace()?, ask.principal()?, ask.address()?);
    let limits = &ask.node.doors.limits;
    let limit = ask.query.limit(limits.page_default, limits.page_max)?;
    let listing = Listing::of("branches", [("context", address.as_str())]);
    let after = listing.place(&ask.query, |place| BranchName::parse(place).ok())?;
    ask.wait_for_min_cursor(&workspace).await?;
    let (branches, next) = workspace
        .branches(&principal, &address, after.as_ref(), limit)
        .await?;
    Ok(answer::written(|w| {
        w.begin_object();
        w.key("branches");
        w.begin_array();
        branches.iter().for_each(|branch| write_branch(w, branch));
        w.end_array();
        if let Some(next) = &next {
            w.field_str("next", &listing.page_after(next.as_str()));
        }
        w.end_object();
    }))
}

fn write_branch(w: &mut JsonWriter, branch: &Branch) {
    let head = &branch.head;
    w.begin_object();
    w.field_str("name", branch.name.as_str());
    if let Some(from) = branch.from {
        w.field_u64("from", from.0);
    }
    w.field_u64("version", head.version.0);
    w.field_str("etag", &head.etag().to_string());
    w.key("actor");
    head.actor.write(w);
    w.field_str("updated_at", &head.updated_at.to_string());
    if !head.conflicts.is_empty() {
        w.key("conflicts");
        w.begin_array();
        let ids = head.conflicts.iter().map(|conflict| conflict.id);
        ids.for_each(|id| w.string(&id.to_string()));
        w.end_array();
    }
    w.end_object();
}

/// `POST /v1/contexts/{kind}/{id}/branches`
pub(crate) async fn create_branch(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    let mut fields = Fields::new(&body, &Pointer::root())?;
    let name = fields.required_parse("name", named_branch)?;
    let from = fields.u64("from")?.map(Version);
    fields.finish()?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let proposal = Proposal {
        branch: Some(name),
        ..ask.proposal_for(ask.address()?, Operation::Create, Json::Null)?
    };
    let context = proposal.context.clone();
    let receipt = workspace.create_branch(&principal, proposal, from).await?;
    let view = view(&workspace, &principal, &receipt).await;
    Ok(answer::receipt(&view, &context, true))
}

/// Reads the name of a branch: `main` is none.
fn named_branch(text: &str) -> Result<BranchName, String> {
    match parse_branch(text) {
        Ok(Some(name)) => Ok(name),
        Ok(None) => Err("main is the context's own line, and no branch".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// `DELETE /v1/contexts/{kind}/{id}/branches/{name}`
pub(crate) async fn delete_branch(mut ask: Ask) -> Answer {
    ask.no_body().await?;
    let name = ask.path.get(2).map_or("", String::as_str);
    let name = named_branch(name).map_err(|why| Problem::new(Code::Invalid, why))?;
    let proposal = Proposal {
        branch: Some(name),
        ..ask.proposal_for(ask.address()?, Operation::Delete, Json::Null)?
    };
    submit(&ask, proposal).await
}

/// `POST /v1/contexts/{kind}/{id}/merge`
pub(crate) async fn merge(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    let mut fields = Fields::new(&body, &Pointer::root())?;
    let from = fields.required_parse("from_branch", parse_branch)?;
    let into = fields.parse("into", parse_branch)?.flatten();
    let dry_run = fields.bool("dry_run")?.unwrap_or(false);
    fields.finish()?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let proposal = Proposal {
        branch: into,
        ..ask.proposal_for(ask.address()?, Operation::Replace, Json::Null)?
    };
    let context = proposal.context.clone();
    match workspace
        .merge_branch(&principal, proposal, from.as_ref(), dry_run)
        .await?
    {
        BranchMerge::Done(receipt) => {
            let view = view(&workspace, &principal, &receipt).await;
            Ok(answer::receipt(&view, &context, false))
        }
        BranchMerge::Tried {
            clean,
            clashes,
            document,
        } => Ok(answer::written(|w| {
            w.begin_object();
            w.field_bool("clean", clean);
            w.key("clashes");
            w.begin_array();
            clashes.iter().for_each(|path| w.string(path));
            w.end_array();
            if let Some(document) = &document {
                w.field_json("document", document);
            }
            w.end_object();
        })),
    }
}
