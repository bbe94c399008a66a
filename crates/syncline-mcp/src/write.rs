//! `context_write`: one tool for every write, and the three sides when it is refused.

use std::str::FromStr;

use syncline_api::{Code, Problem, ReceiptView};
use syncline_client::{When, Write, fresh_id};
use syncline_model::change::Outcome;
use syncline_model::ids::{Address, ChangeId, Name, Version};
use syncline_model::json::{Json, Limits, Object, Pointer};
use syncline_model::proposal::{Base, Operation, Precondition};

use crate::answer::Answer;
use crate::arguments::{Arguments, bad};
use crate::callers::Caller;
use crate::quote;

/// Bounds the message, which travels in a header.
const MESSAGE_CHARS_MAX: usize = 1_000;
/// Bounds the head that is shown beside a refused write.
const HEAD_TOKENS_MAX: &str = "2000";

struct Ask {
    context: Address,
    operation: Operation,
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
        Ok(receipt) => Ok(ask.written(&receipt)),
        Err(problem) => {
            let problem = with_head(caller, &ask.context, problem).await;
            Ok(ask.refused(problem))
        }
    }
}

/// Shows the head as it is now beside what was refused, since only that says which version the
/// next try is to be made on.
async fn with_head(caller: &Caller, context: &Address, mut problem: Problem) -> Problem {
    let Some(sides) = &mut problem.sides else {
        return problem;
    };
    let query = [("max_tokens", HEAD_TOKENS_MAX)];
    if let Ok(head) = caller.client.get_json(context, &When::Head, &query).await {
        sides.theirs = Some(head);
    }
    problem
}

impl Ask {
    fn read(arguments: &Json) -> Result<Ask, Problem> {
        let mut a = Arguments::new(arguments)?;
        let context = a.required("context", Address::parse)?;
        let operation = a
            .parse("op", Operation::from_str)?
            .unwrap_or(Operation::Merge);
        let body = a.any("body").map(read_body).transpose()?;
        let base = a.any("base").map(read_base).transpose()?;
        let message = a.text("message", MESSAGE_CHARS_MAX)?.map(str::to_owned);
        let create = a.flag("create")?;
        let create_parents = a.flag("create_parents")?;
        let id = a
            .parse("change_id", ChangeId::parse)?
            .unwrap_or_else(fresh_id);
        a.finish()?;
        check_body(operation, body.as_ref())?;
        let precondition = match operation {
            Operation::Create => Precondition::NoneMatchAny,
            _ => Precondition::None,
        };
        let write = Write {
            id: Some(id),
            precondition,
            base,
            message,
            create,
            create_parents,
            ..Write::default()
        };
        Ok(Ask {
            context,
            operation,
            body,
            write,
            id,
        })
    }

    async fn send(&self, caller: &Caller) -> Result<ReceiptView, Problem> {
        let (client, context, write) = (&caller.client, &self.context, &self.write);
        let body = self.body.as_ref().unwrap_or(&Json::Null);
        match self.operation {
            Operation::Create | Operation::Replace => client.put(context, body, write).await,
            Operation::Merge | Operation::Patch => client.patch(context, body, write).await,
            Operation::Delete => client.delete(context, write).await,
            Operation::Restore => client.restore(context, write).await,
        }
    }

    fn written(&self, receipt: &ReceiptView) -> Answer {
        let context = &self.context;
        let outcome = receipt.outcome.as_str();
        let mut lines = vec![match (self.operation, receipt.outcome, receipt.version) {
            (_, Outcome::Unchanged, _) => format!("{context} already says so: nothing was written"),
            (Operation::Delete, _, _) => format!("{context} is deleted; restore brings it back"),
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
        if !receipt.conflicts.is_empty() {
            let ids = receipt.conflicts.iter().map(|id| Json::from(id.as_str()));
            say("conflicts", ids.collect());
        }
        if let Some(bulk) = receipt.bulk {
            say("bulk", Json::from(bulk.to_string()));
        }
        if receipt.blind {
            say("blind", Json::from(true));
            lines.push("no base was sent, so newer work may be overwritten".to_owned());
        }
        Answer::new(&lines, members)
    }

    /// Says why nothing was written, with what an agent can do, in this tool's words.
    fn refused(&self, mut problem: Problem) -> Answer {
        let head = head_of(&problem);
        let head = head.map_or("the version that you read".to_owned(), |v| v.to_string());
        let next = match problem.code {
            Code::StaleBase | Code::PreconditionFailed if self.operation == Operation::Create => {
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
            Code::NotFound if matches!(self.operation, Operation::Merge | Operation::Patch) => {
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

fn check_body(operation: Operation, body: Option<&Json>) -> Result<(), Problem> {
    let list = operation == Operation::Patch;
    match body {
        None if operation.has_body() => Err(bad(
            "body",
            format!("op {} needs a body", operation.as_str()),
        )),
        Some(_) if !operation.has_body() => Err(bad(
            "body",
            format!("op {} takes no body", operation.as_str()),
        )),
        Some(body) if list && body.as_array().is_none() => {
            Err(bad("body", "op patch takes a list of operations"))
        }
        Some(body) if !list && body.as_object().is_none() => {
            let problem = bad("body", format!("op {} takes an object", operation.as_str()));
            Err(match body.as_array() {
                Some(_) => problem.hint("a list of operations goes with op patch"),
                None => problem,
            })
        }
        _ => Ok(()),
    }
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
