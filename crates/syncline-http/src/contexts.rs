//! Single contexts: read, write, history.

use http::StatusCode;
use syncline_api::{
    BulkMode, ContextView, Mode, Problem, ReceiptOrProblem, ReceiptView, parse_branch, project,
    read_proposal, shorten, write_change,
};
use syncline_engine::{BulkAnswer, Principal, When, Workspace, aside};
use syncline_model::change::{Outcome, Receipt};
use syncline_model::ids::{ChangeId, Version};
use syncline_model::json::{Fields, Json, JsonWriter, Pointer};
use syncline_model::proposal::{Operation, Precondition, Proposal};
use syncline_model::time::Timestamp;

use crate::answer;
use crate::ask::{Answer, Ask, JSON, JSON_PATCH, MERGE_PATCH};
use crate::query::{Query, bad};

/// `GET /v1/contexts/{kind}/{id}`
pub(crate) async fn get(ask: Ask) -> Answer {
    ask.refuse_unbuilt()?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let (line, when, part) = (ask.line()?, when(&ask.query)?, Part::of(&ask.query)?);
    ask.wait_for_min_cursor(&workspace).await?;
    let head = workspace.get(&principal, &line, when).await?;
    let show_seq = principal.reads_all();
    let write = || {
        let part = part.map(|part| part.of_view(&ContextView::from_head(&head, show_seq)));
        match part {
            Some((json, true)) => {
                let etag = head.etag();
                let etag = etag.partial(ask.parts.uri.query().unwrap_or_default());
                (etag, with_etag(json, &etag.to_string()).into())
            }
            _ => ask.node.shown.head(workspace.id(), &head, show_seq),
        }
    };
    let (etag, text) = aside(head.document.weight(), write);
    if ask.has(&etag)? {
        return Ok(answer::not_modified(&etag));
    }
    Ok(answer::context(text, &etag))
}

fn when(query: &Query) -> Result<When, Problem> {
    let version = query.parse("version", Version::parse)?;
    // A plus that was not encoded arrives as a space.
    let at = query.parse("at", |text| Timestamp::parse(&text.replace(' ', "+")))?;
    match (version, at) {
        (Some(_), Some(_)) => Err(bad("version and at exclude each other")),
        (Some(version), None) => Ok(When::Version(version)),
        (None, Some(time)) => Ok(When::At(time)),
        (None, None) => Ok(When::Head),
    }
}

/// Bounds the fields of one query.
const FIELDS_MAX: usize = 100;

/// Which part of a context is asked for.
pub(crate) struct Part {
    fields: Option<Vec<Pointer>>,
    max_tokens: Option<usize>,
}

impl Part {
    /// Reads `fields` and `max_tokens`; neither means the whole.
    pub fn of(query: &Query) -> Result<Option<Part>, Problem> {
        let fields = query.parse("fields", parse_fields)?;
        let max_tokens = query
            .number("max_tokens")?
            .map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let part = Part { fields, max_tokens };
        Ok((part.fields.is_some() || part.max_tokens.is_some()).then_some(part))
    }

    /// Shares the tokens between so many contexts.
    pub fn shared_by(self, contexts: usize) -> Part {
        let max_tokens = self.max_tokens.map(|tokens| tokens / contexts.max(1));
        Part { max_tokens, ..self }
    }

    /// Returns the part, and whether it is less than the whole.
    pub fn of_view(&self, view: &ContextView) -> (Json, bool) {
        let mut json = view.to_json();
        let mut partial = false;
        if let Some(fields) = &self.fields {
            json = project(&json, fields);
            partial = true;
        }
        if let Some(max_tokens) = self.max_tokens {
            let (shorter, shortened) = shorten(&json, max_tokens);
            json = shorter;
            partial |= shortened;
        }
        (json, partial)
    }
}

fn parse_fields(text: &str) -> Result<Vec<Pointer>, String> {
    let fields: Vec<&str> = text.split(',').collect();
    if fields.len() > FIELDS_MAX {
        return Err(format!("at most {FIELDS_MAX} pointers fit"));
    }
    let read = |field: &str| match Pointer::parse(field) {
        Ok(pointer) if !pointer.is_root() => Ok(pointer),
        _ => Err("JSON pointers such as /data/status, with commas between, are meant".to_owned()),
    };
    fields.into_iter().map(read).collect()
}

/// Returns a part's text with an ETag of its own.
pub(crate) fn with_etag(mut part: Json, etag: &str) -> String {
    if let Some(object) = part.as_object_mut() {
        object.insert("etag", Json::from(etag));
    }
    part.to_text()
}

/// `PUT /v1/contexts/{kind}/{id}`
pub(crate) async fn put(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    must_be_object(&body)?;
    write(&ask, Operation::Replace, body).await
}

/// `PATCH /v1/contexts/{kind}/{id}`
pub(crate) async fn patch(mut ask: Ask) -> Answer {
    let (kind, body) = ask.json(&[MERGE_PATCH, JSON_PATCH]).await?;
    if kind == JSON_PATCH {
        return write(&ask, Operation::Patch, body).await;
    }
    must_be_object(&body)?;
    write(&ask, Operation::Merge, body).await
}

fn must_be_object(body: &Json) -> Result<(), Problem> {
    Fields::new(body, &Pointer::root())
        .map(|_| ())
        .map_err(Problem::from)
}

/// `POST /v1/contexts/{kind}/{id}/restore`
pub(crate) async fn restore(mut ask: Ask) -> Answer {
    ask.no_body().await?;
    write(&ask, Operation::Restore, Json::Null).await
}

/// `DELETE /v1/contexts/{kind}/{id}`
pub(crate) async fn delete(ask: Ask) -> Answer {
    if !ask.query.flag("subtree")? {
        return write(&ask, Operation::Delete, Json::Null).await;
    }
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let proposal = ask.proposal(Operation::Delete, Json::Null)?;
    let answer = workspace.delete_subtree(&principal, proposal).await?;
    let (bulk, receipts) = bulk_views(&workspace, &principal, answer).await;
    Ok(bulk_answer(bulk, &receipts))
}

async fn write(ask: &Ask, operation: Operation, body: Json) -> Answer {
    submit(ask, ask.proposal(operation, body)?).await
}

/// Submits a proposal, and answers with its receipt.
pub(crate) async fn submit(ask: &Ask, proposal: Proposal) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let address = proposal.context.clone();
    let asks_for_creation = asks_for_creation(&proposal);
    let receipt = workspace.submit(&principal, proposal).await?;
    let created = receipt.outcome == Outcome::Applied
        && (asks_for_creation || receipt.version == Some(Version(1)));
    let view = view(&workspace, &principal, &receipt).await;
    Ok(answer::receipt(&view, &address, created))
}

/// Says whether an accepted write can only have made its context.
fn asks_for_creation(proposal: &Proposal) -> bool {
    let unconditional = proposal.base.is_none() && proposal.precondition == Precondition::None;
    proposal.precondition == Precondition::NoneMatchAny
        || (proposal.operation == Operation::Replace && unconditional)
}

/// Shows a receipt. Its cursor is left out where it cannot be read back: the write stands.
pub(crate) async fn view(
    workspace: &Workspace,
    principal: &Principal,
    receipt: &Receipt,
) -> ReceiptView {
    let cursor = workspace.receipt_cursor(receipt).await.ok().flatten();
    ReceiptView::from_receipt(receipt, cursor, principal.reads_all())
}

/// `POST /v1/contexts:batch`
pub(crate) async fn batch(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    ask.refuse_unbuilt()?;
    let (workspace, principal, actor) = (ask.workspace()?, ask.principal()?, ask.actor()?);
    let bulk = ask.idempotency_key()?;
    let at = Pointer::root();
    let mut fields = Fields::new(&body, &at)?;
    let mode = fields.required_parse("mode", str::parse::<BulkMode>)?;
    fields.required("proposals")?;
    let proposals = fields.array("proposals")?.unwrap_or_default();
    fields.finish()?;
    let at = at.child("proposals");
    let read = |(index, json)| {
        // A part without an id of its own has the same one whenever the bulk is sent again.
        let id = || match &bulk {
            Some(bulk) => bulk.derive(&format!("part {index}")),
            None => ask.node.doors.engine.fresh_id(),
        };
        read_proposal(json, &at.index(index), &actor, &id)
    };
    let proposals = proposals
        .iter()
        .enumerate()
        .map(read)
        .collect::<Result<_, _>>()?;
    let answer = workspace
        .submit_bulk(&principal, mode, bulk, proposals)
        .await?;
    let (bulk, receipts) = bulk_views(&workspace, &principal, answer).await;
    Ok(bulk_answer(bulk, &receipts))
}

/// Shows what a bulk's parts hear.
pub(crate) async fn bulk_views(
    workspace: &Workspace,
    principal: &Principal,
    answer: BulkAnswer,
) -> (ChangeId, Vec<ReceiptOrProblem>) {
    let mut views = Vec::with_capacity(answer.answers.len());
    for (id, part) in answer.answers {
        views.push(match part {
            Ok(receipt) => ReceiptOrProblem::Receipt(view(workspace, principal, &receipt).await),
            Err(problem) => ReceiptOrProblem::Refused {
                change_id: Some(id),
                problem,
            },
        });
    }
    (answer.bulk, views)
}

fn bulk_answer(bulk: ChangeId, receipts: &[ReceiptOrProblem]) -> http::Response<axum::body::Body> {
    answer::written(|w| {
        w.begin_object();
        w.field_str("bulk", &bulk.to_string());
        w.key("receipts");
        w.begin_array();
        receipts.iter().for_each(|receipt| receipt.write(w));
        w.end_array();
        w.end_object();
    })
}

/// `GET /v1/contexts/{kind}/{id}/versions`
pub(crate) async fn versions(ask: Ask) -> Answer {
    ask.refuse_unbuilt()?;
    let (workspace, principal, line) = (ask.workspace()?, ask.principal()?, ask.line()?);
    let limits = &ask.node.doors.limits;
    let limit = ask.query.limit(limits.page_default, limits.page_max)?;
    let below = ask.query.parse("page", Version::parse)?;
    ask.wait_for_min_cursor(&workspace).await?;
    let page = workspace.versions(&principal, &line, below, limit).await?;
    let all = principal.reads_all();
    Ok(answer::written(|w| {
        w.begin_object();
        w.key("versions");
        w.begin_array();
        for entry in &page.changes {
            let seq = all.then_some(entry.seq);
            write_change(
                w,
                &entry.change,
                seq,
                Some(entry.cursor()),
                Mode::Thin,
                true,
                false,
            );
        }
        w.end_array();
        if let Some(next) = page.next {
            w.field_str("next", &next.to_string());
        }
        w.end_object();
    }))
}

/// `GET /v1/contexts/{kind}/{id}/diff`
pub(crate) async fn diff(ask: Ask) -> Answer {
    ask.refuse_unbuilt()?;
    let (workspace, principal, line) = (ask.workspace()?, ask.principal()?, ask.line()?);
    let version = |name: &str| ask.query.parse(name, Version::parse);
    let (from, to) = (version("from")?, version("to")?);
    let other = ask.query.named("to_branch", parse_branch)?;
    // Of one line its head and its head would be compared.
    if from.is_none() && other.is_none() {
        return Err(bad("the query needs from, a version, or to_branch"));
    }
    let other = other.map(|branch| line.of_line().0.line(branch.as_ref()));
    ask.wait_for_min_cursor(&workspace).await?;
    let ends = [(&line, from), (other.as_ref().unwrap_or(&line), to)];
    let diff = workspace.diff(&principal, ends).await?;
    let patch = diff.patch.to_json();
    let write = |w: &mut JsonWriter| {
        w.begin_object();
        w.field_u64("from", diff.from.0);
        w.field_u64("to", diff.to.0);
        w.field_json("patch", &patch);
        w.field_str("text", &diff.text);
        w.end_object();
    };
    let bytes = patch.weight() + diff.text.len();
    Ok(aside(bytes, || answer::written(write)))
}

/// Answers that something was made.
pub(crate) fn made(text: String, new: bool) -> http::Response<axum::body::Body> {
    answer::json(
        if new {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        },
        text,
    )
}
