//! Proposals as they travel over the WebSocket and in bulks.

use std::str::FromStr;
use std::sync::Arc;

use syncline_model::etag::Etag;
use syncline_model::ids::{Address, BranchName, ChangeId, IdError, Name};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Pointer};
use syncline_model::proposal::{
    Actor, Base, MESSAGE_LENGTH_MAX, Operation, Precondition, Priority, PriorityError, Proposal,
};
use syncline_model::time::Hlc;

use crate::context::strip_server_members;
use crate::problem::Problem;

/// Bounds the ETags of one `if_match`.
const IF_MATCH_MAX: usize = 100;

/// Reads a proposal, made by `actor`; a writer that sends no change id gets one from `fresh_id`.
pub fn read_proposal(
    value: &Json,
    at: &Pointer,
    actor: &Actor,
    fresh_id: &dyn Fn() -> ChangeId,
) -> Result<Proposal, Problem> {
    let mut f = Fields::new(value, at)?;
    let id = f
        .parse("change_id", ChangeId::parse)?
        .unwrap_or_else(fresh_id);
    let context = f.required_parse("context", Address::parse)?;
    let operation = f.required_parse("op", Operation::from_str)?;
    let base = f
        .optional("base")
        .map(|v| read_base(v, &at.child("base")))
        .transpose()?;
    let body = read_body(&mut f, operation, &context)?;
    let if_match = f.parse("if_match", parse_if_match)?;
    let if_none_match = f.parse("if_none_match", parse_if_none_match)?;
    let proposal = Proposal {
        branch: f.parse("branch", parse_branch)?.flatten(),
        base,
        precondition: match (if_match, if_none_match) {
            (Some(_), Some(_)) => {
                let why = "if_match and if_none_match exclude each other";
                return Err(FieldError::invalid(at.child("if_none_match"), why).into());
            }
            (Some(condition), None) | (None, Some(condition)) => condition,
            (None, None) => Precondition::None,
        },
        create: f.bool("create")?.unwrap_or(false),
        create_parents: f.bool("create_parents")?.unwrap_or(false),
        strategy: f.parse("strategy", Name::parse)?,
        message: f.parse("message", parse_message)?,
        hlc: f.parse("hlc", Hlc::parse)?,
        priority: read_priority(&mut f)?,
        ..Proposal::new(id, context, operation, body, actor.clone())
    };
    f.finish()?;
    Ok(proposal)
}

/// Reads what an `If-Match` header or an `if_match` member says.
pub fn parse_if_match(text: &str) -> Result<Precondition, String> {
    if text.trim() == "*" {
        return Ok(Precondition::MatchAny);
    }
    let etags: Vec<Etag> = text
        .split(',')
        .take(IF_MATCH_MAX + 1)
        .map(Etag::parse)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if etags.len() > IF_MATCH_MAX {
        return Err(format!("at most {IF_MATCH_MAX} ETags fit here"));
    }
    Ok(Precondition::Match(etags))
}

/// Reads which line of versions is meant: `main` is the context's own.
pub fn parse_branch(text: &str) -> Result<Option<BranchName>, IdError> {
    match text {
        "main" => Ok(None),
        name => BranchName::parse(name).map(Some),
    }
}

fn parse_if_none_match(text: &str) -> Result<Precondition, &'static str> {
    match text.trim() {
        "*" => Ok(Precondition::NoneMatchAny),
        _ => Err("only * is meant here: create only"),
    }
}

/// Reads a proposal's message, within its bound.
pub fn parse_message(text: &str) -> Result<Arc<str>, String> {
    match text.chars().count() {
        0..=MESSAGE_LENGTH_MAX => Ok(text.into()),
        _ => Err(format!(
            "a message has at most {MESSAGE_LENGTH_MAX} characters"
        )),
    }
}

fn read_base(value: &Json, at: &Pointer) -> Result<Base, FieldError> {
    let text = match value {
        Json::String(text) => text.to_string(),
        Json::Number(number) => number.text().into_owned(),
        _ => {
            return Err(FieldError::wrong_type(
                at.clone(),
                "string or unsigned integer",
                value,
            ));
        }
    };
    text.parse()
        .map_err(|error| FieldError::invalid(at.clone(), error))
}

fn read_priority(f: &mut Fields<'_>) -> Result<Priority, FieldError> {
    let Some(number) = f.u64("priority")? else {
        return Ok(Priority::default());
    };
    Priority::new(number).ok_or_else(|| FieldError::invalid(f.at("priority"), PriorityError))
}

fn read_body(
    f: &mut Fields<'_>,
    operation: Operation,
    context: &Address,
) -> Result<Json, FieldError> {
    let at = f.at("body");
    match operation {
        Operation::Settle | Operation::Rollback => {
            let body = f.required("body")?;
            match body.as_object() {
                Some(_) => Ok(body.clone()),
                None => Err(FieldError::wrong_type(at, "object", body)),
            }
        }
        Operation::Create | Operation::Replace | Operation::Merge => {
            let body = f.required("body")?;
            if body.as_object().is_none() {
                return Err(FieldError::wrong_type(at, "object", body));
            }
            check_named_context(body, &at, context)?;
            Ok(strip_server_members(body))
        }
        Operation::Patch => {
            let body = f.required("body")?;
            match body.as_array() {
                Some(_) => Ok(body.clone()),
                None => Err(FieldError::wrong_type(at, "array", body)),
            }
        }
        Operation::Delete | Operation::Restore => match f.optional("body") {
            None | Some(Json::Null) => Ok(Json::Null),
            Some(_) => {
                let why = format!("{} has no body", operation.as_str());
                Err(FieldError::invalid(at, why))
            }
        },
    }
}

/// Refuses a body that says it is another context than the one that it is sent to.
pub fn check_named_context(body: &Json, at: &Pointer, context: &Address) -> Result<(), FieldError> {
    match body.get("context") {
        Some(named) if named.as_str() != Some(context.as_str()) => {
            let why = format!("this is sent to {context}");
            Err(FieldError::invalid(at.child("context"), why))
        }
        _ => Ok(()),
    }
}

/// Writes a proposal as `submit` and bulks carry it.
pub fn write_proposal(w: &mut JsonWriter, proposal: &Proposal) {
    w.begin_object();
    w.field_str("change_id", &proposal.id.to_string());
    w.field_str("context", proposal.context.as_str());
    w.field_str("op", proposal.operation.as_str());
    match &proposal.base {
        Some(Base::Version(version)) => w.field_u64("base", version.0),
        Some(base) => w.field_str("base", &base.to_string()),
        None => {}
    }
    if proposal.operation.has_body() {
        w.field_json("body", &proposal.body);
    }
    match &proposal.precondition {
        Precondition::None => {}
        Precondition::Match(etags) => {
            let etags: Vec<String> = etags.iter().map(Etag::to_string).collect();
            w.field_str("if_match", &etags.join(", "));
        }
        Precondition::MatchAny => w.field_str("if_match", "*"),
        Precondition::NoneMatchAny => w.field_str("if_none_match", "*"),
    }
    for (name, flag) in [
        ("create", proposal.create),
        ("create_parents", proposal.create_parents),
    ] {
        if flag {
            w.field_bool(name, true);
        }
    }
    if let Some(strategy) = &proposal.strategy {
        w.field_str("strategy", strategy.as_str());
    }
    if let Some(message) = &proposal.message {
        w.field_str("message", message);
    }
    if let Some(hlc) = proposal.hlc {
        w.field_str("hlc", &hlc.to_string());
    }
    if proposal.priority != Priority::default() {
        w.field_u64("priority", proposal.priority.get().into());
    }
    if let Some(branch) = &proposal.branch {
        w.field_str("branch", branch.as_str());
    }
    w.end_object();
}
