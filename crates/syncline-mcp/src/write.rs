//! `context_write`: one tool for every write, and the three sides when it is refused.

use std::str::FromStr;

use syncline_api::{Code, Problem, ReceiptView};
use syncline_client::{When, Write, fresh_id};
use syncline_model::change::Outcome;
use syncline_model::conflict::{ConflictId, Strategy};
use syncline_model::ids::{Address, BranchName, ChangeId, Name, Version};
use syncline_model::json::{Json, Limits, Object, Pointer};
use syncline_model::proposal::{Base, Operation, Precondition, Priority};

use crate::answer::Answer;
use crate::arguments::{Arguments, bad};
use crate::callers::Caller;
use crate::conflicts;
use crate::quote;

/// Bounds the message, which travels in a header.
const MESSAGE_CHARS_MAX: usize = 1_000;
/// Bounds the head that is shown beside a refused write.
const HEAD_TOKENS_MAX: &str = "2000";

/// Bounds the conflicts of one write whose sides are shown, and what these take.
const CONFLICTS_SHOWN_MAX: usize = 4;
const CONFLICT_TOKENS_MAX: usize = 1_000;

/// What the tool can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Write(Operation),
    Undo,
}

impl FromStr for Op {
    type Err = String;

    fn from_str(text: &str) -> Result<Op, String> {
        match text {
            "undo" => Ok(Op::Undo),
            "settle" => Err("a conflict is settled with context_conflicts".to_owned()),
            text => Operation::from_str(text)
                .map(Op::Write)
                .map_err(|error| format!("{error}, or undo")),
        }
    }
}

impl Op {
    fn as_str(self) -> &'static str {
        match self {
            Op::Write(operation) => operation.as_str(),
            Op::Undo => "undo",
        }
    }

    fn has_body(self) -> bool {
        matches!(self, Op::Write(operation) if operation.has_body())
    }
}

struct Ask {
    context: Address,
    op: Op,
    body: Option<Json>,
    write: Write,
    id: ChangeId,
}

pub(crate) async fn call(
    caller: &Caller,
    arguments: &Json,
    tool_call: Option<Name>,
) -> Result<Answer, Problem> {
    let mut ask = Ask::read(arguments)?;
    ask.write.tool_call = tool_call;
    match ask.send(caller).await {
        Ok(receipt) => Ok(ask.written(caller, &receipt).await),
        Err(problem) => {
            let problem = with_head(caller, &ask, problem).await;
            Ok(ask.refused(problem))
        }
    }
}

/// Shows the head as it is now beside what was refused, since only that says which version the
/// next try is to be made on.
async fn with_head(caller: &Caller, ask: &Ask, mut problem: Problem) -> Problem {
    let Some(sides) = &mut problem.sides else {
        return problem;
    };
    let branch = ask.write.branch.as_ref().map(BranchName::as_str);
    let branch = branch.map(|branch| ("branch", branch));
    let query: Vec<_> = std::iter::once(("max_tokens", HEAD_TOKENS_MAX))
        .chain(branch)
        .collect();
    let head = caller.client.get_json(&ask.context, &When::Head, &query);
    if let Ok(head) = head.await {
        sides.theirs = Some(head);
    }
    problem
}

impl Ask {
    fn read(arguments: &Json) -> Result<Ask, Problem> {
        let mut a = Arguments::new(arguments)?;
        let context = a.required("context", Address::parse)?;
        let op = a
            .parse("op", Op::from_str)?
            .unwrap_or(Op::Write(Operation::Merge));
        let body = a.any("body").map(read_body).transpose()?;
        let base = a.any("base").map(read_base).transpose()?;
        let message = a.text("message", MESSAGE_CHARS_MAX)?.map(str::to_owned);
        let create = a.flag("create")?;
        let create_parents = a.flag("create_parents")?;
        let branch = a.parse("branch", BranchName::parse)?;
        let strategy = a.parse("strategy", Strategy::from_str)?;
        let priority = a.number("priority", 1..=4)?.and_then(Priority::new);
        let id = a
            .parse("change_id", ChangeId::parse)?
            .unwrap_or_else(fresh_id);
        a.finish()?;
        check_body(op, body.as_ref())?;
        let precondition = match op {
            Op::Write(Operation::Create) => Precondition::NoneMatchAny,
            _ => Precondition::None,
        };
        let write = Write {
            id: Some(id),
            precondition,
            base,
            message,
            create,
            create_parents,
            branch,
            strategy,
            priority: priority.unwrap_or_default(),
            ..Write::default()
        };
        Ok(Ask {
            context,
            op,
            body,
            write,
            id,
        })
    }

    async fn send(&self, caller: &Caller) -> Result<ReceiptView, Problem> {
        let (client, context, write) = (&caller.client, &self.context, &self.write);
        let body = self.body.as_ref().unwrap_or(&Json::Null);
        match self.op {
            Op::Write(Operation::Create | Operation::Replace) => {
                client.put(context, body, write).await
            }
            Op::Write(Operation::Merge | Operation::Patch) => {
                client.patch(context, body, write).await
            }
            Op::Write(Operation::Delete) => client.delete(context, write).await,
            Op::Write(Operation::Restore) => client.restore(context, write).await,
            Op::Write(Operation::Rollback) => {
                client.rollback(context, read_version(body)?, write).await
            }
            Op::Write(Operation::Settle) => unreachable!("it is no op of this tool"),
            Op::Undo => client.undo(context, write).await,
        }
    }

    async fn written(&self, caller: &Caller, receipt: &ReceiptView) -> Answer {
        let context = &self.context;
        let outcome = receipt.outcome.as_str();
        let line = receipt.branch.as_ref().map_or("main", BranchName::as_str);
        let mut lines = vec![match (self.op, receipt.outcome, receipt.version) {
            (_, Outcome::Unchanged, _) => format!("{context} already says so: nothing was written"),
            (Op::Write(Operation::Delete), Outcome::Applied, _) if receipt.branch.is_none() => {
                format!("{context} is deleted; restore brings it back")
            }
            (_, Outcome::KeptBoth, Some(version)) => {
                format!("{context} keeps what it had; yours is version {version} of branch {line}")
            }
            (_, _, Some(version)) if receipt.branch.is_some() => {
                format!("branch {line} of {context} is now version {version}")
            }
            (_, _, Some(version)) => format!("{context} is now version {version}"),
            (_, _, None) => format!("{context} was written"),
        }];
        let mut members = Object::new();
        let mut say = |name: &str, value: Json| {
            let shown = value.as_str().map(str::to_owned);
            let shown = shown.unwrap_or_else(|| quote::json(&value));
            lines.push(format!("{name}: {shown}"));
            members.insert(name, value);
        };
        say("context", Json::from(context.as_str()));
        say("outcome", Json::from(outcome));
        if let Some(version) = receipt.version {
            say("version", Json::from(version.0));
        }
        if let Some(etag) = receipt.etag {
            say("etag", Json::from(etag.to_string()));
        }
        say("change_id", Json::from(receipt.id.to_string()));
        if let Some(branch) = &receipt.branch {
            say("branch", Json::from(branch.as_str()));
        }
        if let Some(bulk) = receipt.bulk {
            say("bulk", Json::from(bulk.to_string()));
        }
        if receipt.blind {
            say("blind", Json::from(true));
            lines.push("no base was sent, so newer work may be overwritten".to_owned());
        }
        lines.extend(next_step(receipt.outcome).map(str::to_owned));
        if !receipt.conflicts.is_empty() {
            let conflicts = clashes(caller, &receipt.conflicts, &mut lines).await;
            members.insert("conflicts", Json::from(conflicts));
        }
        Answer::new(&lines, members)
    }

    /// Says why nothing was written, with what an agent can do, in this tool's words.
    fn refused(&self, mut problem: Problem) -> Answer {
        let head = head_of(&problem);
        let head = head.map_or("the version that you read".to_owned(), |v| v.to_string());
        let next = match problem.code {
            Code::StaleBase | Code::PreconditionFailed
                if self.op == Op::Write(Operation::Create) =>
            {
                Some(format!(
                    "it exists already; to change it send op merge with base {head}"
                ))
            }
            Code::StaleBase | Code::PreconditionFailed => Some(format!(
                "nothing was written. `theirs` is the head now, `ours` what yours would have \
                 become: work your change into theirs and send that with base {head}"
            )),
            Code::PreconditionRequired => {
                Some("read the context and send its version as base".to_owned())
            }
            Code::NotFound if matches!(self.op, Op::Write(Operation::Merge | Operation::Patch)) => {
                Some("check the address, or send create: true".to_owned())
            }
            Code::Deleted => Some("op restore brings it back".to_owned()),
            Code::UnknownOutcome | Code::Unreachable | Code::Unavailable | Code::DiskFull => Some(
                "send the same call again with this change_id: it takes effect once".to_owned(),
            ),
            _ => None,
        };
        problem.hint = next.or(problem.hint);
        let answer = Answer::refused(&problem).with("context", self.context.as_str());
        match problem.code.retry() {
            true => answer.with("change_id", &self.id.to_string()),
            // What was decided stays decided under its id: another try is another write.
            false => answer,
        }
    }
}

/// Says what an outcome leaves to do.
fn next_step(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Merged => Some(
            "others wrote since your base, and both stand: read it again before you rely on it",
        ),
        Outcome::Conflict => Some(
            "where it clashed the context keeps theirs and yours waits (the rest is written). \
             Settle each conflict with context_conflicts: id, version, and choose or value",
        ),
        Outcome::KeptBoth => {
            Some("the context keeps what it had, and yours is the branch that is named")
        }
        _ => None,
    }
}

/// Shows the sides of what clashed; conflicts beyond the bound are named.
async fn clashes(caller: &Caller, ids: &[String], lines: &mut Vec<String>) -> Vec<Json> {
    let mut shown = Vec::new();
    for (index, text) in ids.iter().enumerate() {
        let id = ConflictId::parse(text)
            .ok()
            .filter(|_| index < CONFLICTS_SHOWN_MAX);
        let read = match id {
            Some(id) => caller.client.conflict(&id).await.ok(),
            None => None,
        };
        shown.push(match read {
            Some(conflict) => Json::Object(conflicts::show(&conflict, CONFLICT_TOKENS_MAX, lines)),
            None => {
                lines.push(format!("conflict {}", quote::word(text)));
                std::iter::once(("id", Json::from(text.as_str())))
                    .collect::<Object>()
                    .into()
            }
        });
    }
    shown
}

fn head_of(problem: &Problem) -> Option<Version> {
    let theirs = problem.sides.as_ref()?.theirs.as_ref()?;
    theirs.get("version").and_then(Json::as_u64).map(Version)
}

/// Takes a body as it is, or reads it from JSON text.
fn read_body(body: &Json) -> Result<Json, Problem> {
    let Some(text) = body.as_str() else {
        return Ok(body.clone());
    };
    Json::parse(text.as_bytes(), &Limits::default()).map_err(|error| {
        let at = error.pointer.tokens().iter().cloned();
        let at = std::iter::once("body".into())
            .chain(at)
            .collect::<Pointer>();
        let problem = Problem::from(error).at(at);
        Problem {
            detail: format!("the text of body is not JSON: {}", problem.detail),
            ..problem
        }
    })
}

fn check_body(op: Op, body: Option<&Json>) -> Result<(), Problem> {
    let list = op == Op::Write(Operation::Patch);
    let op_name = op.as_str();
    match body {
        None if op.has_body() => Err(bad("body", format!("op {op_name} needs a body"))),
        Some(_) if !op.has_body() => Err(bad("body", format!("op {op_name} takes no body"))),
        Some(body) if list && body.as_array().is_none() => {
            Err(bad("body", "op patch takes a list of operations"))
        }
        Some(body) if !list && body.as_object().is_none() => {
            let problem = bad("body", format!("op {op_name} takes an object"));
            Err(match body.as_array() {
                Some(_) => problem.hint("a list of operations goes with op patch"),
                None => problem,
            })
        }
        _ => Ok(()),
    }
}

fn read_version(body: &Json) -> Result<Version, Problem> {
    let version = body.get("version").and_then(Json::as_u64);
    let version = version.filter(|version| *version > 0).map(Version);
    version.ok_or_else(|| bad("body", "op rollback takes {\"version\": n}, to go back to"))
}

fn read_base(base: &Json) -> Result<Base, Problem> {
    let read = match (base.as_u64(), base.as_str()) {
        (Some(version), _) => Version::parse(&version.to_string()).ok().map(Base::Version),
        (None, Some(text)) => Base::from_str(text).ok(),
        (None, None) => None,
    };
    read.ok_or_else(|| {
        bad(
            "base",
            "the version that you read is meant (or an ETag or change id)",
        )
    })
}
