//! What is declared for kinds: schemas, how fields merge, strategies.

use syncline_api::{Code, Problem};
use syncline_engine::{KindRules, SCHEMA_KIND, When, schema_address};
use syncline_model::change::{Outcome, Receipt};
use syncline_model::head::Head;
use syncline_model::ids::{Kind, Version};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Object, Pointer};
use syncline_model::proposal::Operation;

use crate::answer;
use crate::ask::{Answer, Ask, JSON};
use crate::contexts::view;
use crate::lists::{page_of_kind, write_next};

/// What may be declared.
const DECLARED: [&str; 4] = ["schema", "strategy", "fallback", "retention"];

/// `GET /v1/schemas`
pub(crate) async fn list(ask: Ask) -> Answer {
    let page = page_of_kind(&ask, SCHEMA_KIND).await?;
    Ok(answer::written(|w| {
        w.begin_object();
        w.key("schemas");
        w.begin_array();
        page.heads.iter().for_each(|head| write(w, head, false));
        w.end_array();
        write_next(w, SCHEMA_KIND, &page);
        w.end_object();
    }))
}

/// `GET /v1/schemas/{kind}`
pub(crate) async fn get(ask: Ask) -> Answer {
    let (workspace, principal, kind) = (ask.workspace()?, ask.principal()?, kind(&ask)?);
    let version = ask.query.parse("version", Version::parse)?;
    let when = version.map_or(When::Head, When::Version);
    ask.wait_for_min_cursor(&workspace).await?;
    let head = workspace.schema(&principal, &kind, when).await?;
    let etag = head.etag();
    if ask.has(&etag)? {
        return Ok(answer::not_modified(&etag));
    }
    let mut w = JsonWriter::with_capacity(512);
    write(&mut w, &head, true);
    Ok(answer::context(w.into_string().into(), &etag))
}

/// Writes what a head of the built-in kind declares; a list leaves the schemas out.
fn write(w: &mut JsonWriter, head: &Head, whole: bool) {
    let data = head.document.object().get("data");
    w.begin_object();
    w.field_str("kind", head.address.id());
    for name in DECLARED.into_iter().skip(usize::from(!whole)) {
        if let Some(value) = data.and_then(|data| data.get(name)) {
            w.field_json(name, value);
        }
    }
    if let (true, Some(data)) = (whole, data) {
        write_ignored(w, data);
    }
    w.field_u64("version", head.version.0);
    w.field_str("etag", &head.etag().to_string());
    w.end_object();
}

fn kind(ask: &Ask) -> Result<Kind, Problem> {
    let text = ask.path.first().map_or("", String::as_str);
    Kind::parse(text).map_err(|error| Problem::new(Code::Invalid, error.to_string()))
}

/// `PUT /v1/schemas/{kind}`
pub(crate) async fn put(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    let kind = kind(&ask)?;
    let declared = declared(&body, &kind)?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let proposal = ask.proposal_for(schema_address(&kind), Operation::Replace, Json::Null)?;
    let receipt = workspace
        .put_schema(&principal, &kind, &declared, proposal)
        .await?;
    let place = format!("/v1/schemas/{kind}");
    answered_with(&ask, place, &receipt, |w| write_ignored(w, &declared)).await
}

/// Names the `x-merge` that have no effect, so that nobody relies on them.
fn write_ignored(w: &mut JsonWriter, declared: &Json) {
    let rules = KindRules::read(declared, &Pointer::root()).unwrap_or_default();
    if rules.ignored.is_empty() {
        return;
    }
    w.key("ignored");
    w.begin_array();
    for (place, reason) in &rules.ignored {
        w.begin_object();
        w.field_str("pointer", &place.to_string());
        w.field_str("reason", reason);
        w.end_object();
    }
    w.end_array();
}

/// `DELETE /v1/schemas/{kind}`
pub(crate) async fn remove(mut ask: Ask) -> Answer {
    ask.no_body().await?;
    let kind = kind(&ask)?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let proposal = ask.proposal_for(schema_address(&kind), Operation::Delete, Json::Null)?;
    let receipt = workspace.remove_schema(&principal, &kind, proposal).await?;
    answered(&ask, format!("/v1/schemas/{kind}"), &receipt).await
}

/// Answers what came of a declaration, which stands at a place.
pub(crate) async fn answered(ask: &Ask, place: String, receipt: &Receipt) -> Answer {
    answered_with(ask, place, receipt, |_| {}).await
}

/// As [`answered`], with more members beside the receipt's.
async fn answered_with(
    ask: &Ask,
    place: String,
    receipt: &Receipt,
    more: impl FnOnce(&mut JsonWriter),
) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let created = receipt.outcome == Outcome::Applied && receipt.version == Some(Version(1));
    let view = view(&workspace, &principal, receipt).await;
    let made = created.then_some(place);
    Ok(answer::receipt_with(&view, made, more))
}

/// Reads what is declared; what a reader was shown beside it is ignored when it comes back.
fn declared(body: &Json, kind: &Kind) -> Result<Json, Problem> {
    let mut fields = Fields::new(body, &Pointer::root())?;
    let declared: Object = DECLARED
        .into_iter()
        .filter_map(|name| Some((name, fields.optional(name)?.clone())))
        .collect();
    if fields.string("kind")?.is_some_and(|k| k != kind.as_str()) {
        let why = format!("this is sent to kind {kind}");
        return Err(FieldError::invalid(fields.at("kind"), why).into());
    }
    for shown in ["version", "etag", "ignored"] {
        fields.optional(shown);
    }
    fields.finish()?;
    if declared.is_empty() {
        let detail = "a declaration has a schema, a strategy, a fallback or a retention";
        return Err(Problem::new(Code::Invalid, detail).at(Pointer::from_static("/schema")));
    }
    Ok(Json::Object(declared))
}
