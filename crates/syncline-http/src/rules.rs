//! What is declared for the whole workspace: strategies, ranks, how long things wait and are kept.

use http::StatusCode;
use syncline_api::{Code, Problem};
use syncline_engine::{Then, WORKSPACE_RULES, WorkspaceRules, rules_address};
use syncline_model::json::{Fields, Json, JsonWriter, Object, Pointer};
use syncline_model::proposal::Operation;

use crate::answer;
use crate::ask::{Answer, Ask, JSON, MERGE_PATCH};
use crate::schemas::answered;

/// `GET /v1/rules`
pub(crate) async fn get(ask: Ask) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    ask.wait_for_min_cursor(&workspace).await?;
    let (head, in_force) = workspace.rules(&principal).await?;
    let data = head
        .as_ref()
        .and_then(|head| head.document.object().get("data"));
    let mut w = JsonWriter::with_capacity(256);
    w.begin_object();
    for name in WORKSPACE_RULES {
        if let Some(value) = data.and_then(|data| data.get(name)) {
            w.field_json(name, value);
        }
    }
    w.key("in_force");
    write(&mut w, &in_force);
    if let Some(head) = &head {
        w.field_u64("version", head.version.0);
        w.field_str("etag", &head.etag().to_string());
    }
    w.end_object();
    Ok(answer::json(StatusCode::OK, w.into_string()))
}

/// Writes rules as they are declared.
fn write(w: &mut JsonWriter, rules: &WorkspaceRules) {
    w.begin_object();
    for (name, strategy) in [("strategy", rules.strategy), ("fallback", rules.fallback)] {
        if let Some(strategy) = strategy {
            w.field_str(name, strategy.as_str());
        }
    }
    w.key("ranks");
    w.begin_object();
    for (source, rank) in &rules.ranks.0 {
        w.key(source);
        w.i64(*rank);
    }
    w.end_object();
    if let Some(milliseconds) = rules.conflict_deadline_ms {
        w.field_i64("conflict_deadline_s", milliseconds / 1_000);
    }
    if let Some(retention) = rules.retention {
        w.key("retention");
        w.begin_object();
        w.field_u64("keep_all_days", retention.keep_all_days);
        match retention.then {
            Then::Daily => w.field_str("then", "daily"),
            Then::Tagged => w.field_str("then", "tagged"),
            Then::Newest(newest) => w.field_u64("then", newest),
        }
        w.end_object();
    }
    w.end_object();
}

/// `PUT /v1/rules`
pub(crate) async fn put(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[JSON]).await?;
    let declared = declared(&body)?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let proposal = ask.proposal_for(rules_address(), Operation::Replace, Json::Null)?;
    let receipt = workspace.put_rules(&principal, &declared, proposal).await?;
    answered(&ask, "/v1/rules".to_owned(), &receipt).await
}

/// `PATCH /v1/rules`
pub(crate) async fn patch(mut ask: Ask) -> Answer {
    let (_, body) = ask.json(&[MERGE_PATCH, JSON]).await?;
    let declared = declared(&body)?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let proposal = ask.proposal_for(rules_address(), Operation::Merge, Json::Null)?;
    let receipt = workspace
        .patch_rules(&principal, &declared, proposal)
        .await?;
    answered(&ask, "/v1/rules".to_owned(), &receipt).await
}

/// `DELETE /v1/rules`
pub(crate) async fn remove(mut ask: Ask) -> Answer {
    ask.no_body().await?;
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let proposal = ask.proposal_for(rules_address(), Operation::Delete, Json::Null)?;
    let receipt = workspace.remove_rules(&principal, proposal).await?;
    answered(&ask, "/v1/rules".to_owned(), &receipt).await
}

/// Reads what is declared; what a reader was shown beside it is ignored when it comes back.
fn declared(body: &Json) -> Result<Json, Problem> {
    let mut fields = Fields::new(body, &Pointer::root())?;
    let declared: Object = WORKSPACE_RULES
        .into_iter()
        .filter_map(|name| Some((name, fields.optional(name)?.clone())))
        .collect();
    fields.ignore(&["in_force", "version", "etag"]);
    fields.finish()?;
    if declared.is_empty() {
        let detail = format!(
            "a workspace declares some of {}",
            WORKSPACE_RULES.join(", ")
        );
        return Err(Problem::new(Code::Invalid, detail).at(Pointer::from_static("/strategy")));
    }
    Ok(Json::Object(declared))
}
