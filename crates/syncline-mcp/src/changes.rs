//! `context_changes`: what others did since this agent last looked.

use std::time::Duration;

use syncline_api::{Code, Mode, Problem, ResetReason, SCOPE_TERMS_MAX, Scope};
use syncline_client::{Changes, ChangesQuery};
use syncline_model::json::{Json, JsonWriter, Object, Pointer};
use tokio::sync::watch;

use crate::answer::Answer;
use crate::arguments::{Arguments, bad, wrong};
use crate::callers::{Caller, Callers};
use crate::quote;

/// Below the minute after which many programs give a tool up.
const WAIT_MS_MAX: u64 = 50_000;
const LIMIT_DEFAULT: u64 = 30;
const LIMIT_MAX: u64 = 200;
/// Bounds what goes into a URL.
const CURSOR_CHARS_MAX: usize = 2_000;
const SCOPE_BYTES_MAX: usize = 8_000;
/// Bounds a line.
const PATHS_MAX: usize = 8;
const CONFLICTS_MAX: usize = 4;
const PATH_CHARS_MAX: usize = 100;
const MESSAGE_CHARS_MAX: usize = 200;
/// Beside a session's end, the pull itself bounds the wait; this is for a node that hangs.
const GRACE: Duration = Duration::from_secs(10);

struct Ask {
    scope: Option<Scope>,
    /// The scope's text, under which the place is remembered.
    key: String,
    query: ChangesQuery,
}

pub(crate) async fn call(
    callers: &Callers,
    caller: &Caller,
    arguments: &Json,
    closed: watch::Receiver<bool>,
) -> Result<Answer, Problem> {
    let mut ask = Ask::read(arguments)?;
    let after = match (ask.query.after.take(), caller.looked(&ask.key)) {
        (Some(after), _) | (None, Some(after)) => after,
        (None, None) => callers.start().await?,
    };
    ask.query.scope = ask.scope.take();
    ask.query.after = Some(after.clone());
    match pull(caller, &ask.query, closed).await {
        Ok(Some(page)) => {
            let cursor = page.cursor.clone().unwrap_or(after);
            caller.look(ask.key, cursor.clone());
            Ok(show(
                caller,
                &page,
                ask.query.limit.unwrap_or(usize::MAX),
                &cursor,
            ))
        }
        Ok(None) => Ok(show(caller, &nothing(), 1, &after)),
        Err(problem) if problem.code == Code::Reset => {
            let cursor = callers.restart().await?;
            caller.look(ask.key, cursor.clone());
            Ok(reset(&problem, &cursor))
        }
        Err(problem) => Err(problem),
    }
}

/// Pulls a page; none if the session ends while it waits.
async fn pull(
    caller: &Caller,
    query: &ChangesQuery,
    mut closed: watch::Receiver<bool>,
) -> Result<Option<Changes>, Problem> {
    let patience = Duration::from_millis(query.wait_ms.unwrap_or(0)) + GRACE;
    let page = tokio::time::timeout(patience, caller.client.changes(query));
    tokio::select! {
        biased;
        page = page => page.unwrap_or_else(|_| {
            Err(Problem::new(Code::Unreachable, "the node did not answer in time"))
        }).map(Some),
        _ = closed.wait_for(|closed| *closed), if query.wait_ms.is_some() => Ok(None),
    }
}

impl Ask {
    fn read(arguments: &Json) -> Result<Ask, Problem> {
        let mut a = Arguments::new(arguments)?;
        let scope = a.any("scope").map(read_scope).transpose()?;
        let wait_ms = a
            .number("wait_ms", 0..=WAIT_MS_MAX)?
            .filter(|wait| *wait > 0);
        let limit = a.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
        let after = a.text("after", CURSOR_CHARS_MAX)?.map(str::to_owned);
        let exclude_self = a.flag("exclude_self")?;
        a.finish()?;
        let mut key = JsonWriter::new();
        scope
            .as_ref()
            .unwrap_or(&Scope::workspace())
            .write(&mut key);
        let key = key.into_string();
        if key.len() > SCOPE_BYTES_MAX {
            return Err(bad("scope", "too long; name a context above, or fewer"));
        }
        let query = ChangesQuery {
            after,
            limit: usize::try_from(limit).ok(),
            wait_ms,
            mode: Some(Mode::Thin),
            exclude_self,
            ..ChangesQuery::default()
        };
        Ok(Ask { scope, key, query })
    }
}

fn read_scope(scope: &Json) -> Result<Scope, Problem> {
    let at = Pointer::root().child("scope");
    Scope::read(scope, &at).map_err(|error| {
        let problem = wrong(error);
        let terms = "{\"context\":…}, {\"subtree\":…}, {\"inherited\":…} and {\"label\":{…}}";
        problem.hint(format!("1 to {SCOPE_TERMS_MAX} of {terms} are meant"))
    })
}

fn nothing() -> Changes {
    Changes {
        items: Vec::new(),
        cursor: None,
    }
}

fn show(caller: &Caller, page: &Changes, limit: usize, cursor: &str) -> Answer {
    let shown = page.items.iter().filter_map(|item| line(caller, item));
    let (mut lines, entries): (Vec<String>, Vec<Json>) = shown.unzip();
    let more = page.items.len() >= limit;
    if lines.is_empty() {
        lines.push("nothing new".to_owned());
    }
    let mut members = Object::new();
    members.insert("changes", Json::from(entries));
    if more {
        lines.push("more: true (call again)".to_owned());
        members.insert("more", Json::from(true));
    }
    Answer::new(&lines, members).with("cursor", cursor)
}

/// Says that the place is no more, and that the agent goes on from now.
fn reset(problem: &Problem, cursor: &str) -> Answer {
    let reason = problem.reason.map_or("unknown", ResetReason::as_str);
    let detail = quote::cut(&problem.detail, MESSAGE_CHARS_MAX);
    let detail = format!("{detail}; changes may have been missed: read again what you rely on");
    let lines = vec![
        format!("reset: {reason}"),
        quote::sentence(&format!("detail: {detail}")),
    ];
    let mut members = Object::new();
    members.insert("changes", Json::from(Vec::new()));
    members.insert("reset", Json::from(reason));
    members.insert("detail", Json::from(detail));
    Answer::new(&lines, members).with("cursor", cursor)
}

/// Returns an item's line, and the same as members; what frames a bulk has none.
fn line(caller: &Caller, item: &Json) -> Option<(String, Json)> {
    let kind = item.get("type").and_then(Json::as_str)?;
    match kind {
        "begin" | "end" | "snapshot" | "lagging" => None,
        "enter" => Some(change(caller, kind, item.get("context")?, "updated_at")),
        "leave" => {
            let context = item.get("context").and_then(Json::as_str)?;
            let mut entry = Object::new();
            entry.insert("type", Json::from(kind));
            entry.insert("context", Json::from(context));
            let mut line = format!("{kind} {}", quote::word(context));
            add_lines(item, &mut line, &mut entry);
            Some((line, Json::Object(entry)))
        }
        _ => Some(change(caller, kind, item, "committed_at")),
    }
}

fn change(caller: &Caller, kind: &str, item: &Json, time: &str) -> (String, Json) {
    let text = |name: &str| item.get(name).and_then(Json::as_str);
    let mut entry = Object::new();
    let mut line = String::new();
    if let Some(time) = text(time) {
        line += &format!("{} ", quote::word(time));
        entry.insert("at", Json::from(time));
    }
    let context = text("context").unwrap_or_default();
    let version = item.get("version").and_then(Json::as_u64).unwrap_or(0);
    line += &format!("{} {} v{version}", quote::word(kind), quote::word(context));
    entry.insert("type", Json::from(kind));
    entry.insert("context", Json::from(context));
    entry.insert("version", Json::from(version));
    add_lines(item, &mut line, &mut entry);
    let actor = item.get("actor");
    let named = |name: &str| {
        actor
            .and_then(|actor| actor.get(name))
            .and_then(Json::as_str)
    };
    if let Some(by) = named("agent").or_else(|| named("id")) {
        line += &format!(" by {}", quote::word(by));
        entry.insert("by", Json::from(by));
    }
    if caller.is(actor) {
        line += " (you)";
        entry.insert("you", Json::from(true));
    }
    if let Some(outcome) = text("outcome") {
        line += &format!(" {}", quote::word(outcome));
        entry.insert("outcome", Json::from(outcome));
    }
    add_paths(item, &mut line, &mut entry);
    add_conflicts(item, &mut line, &mut entry);
    if let Some(message) = text("message") {
        let message = quote::cut(message, MESSAGE_CHARS_MAX);
        line += &format!(" {}", quote::string(&message));
        entry.insert("message", Json::from(message));
    }
    (line, Json::Object(entry))
}

/// Adds the branch that a version is on, unless that is `main`, and the line that it merged.
fn add_lines(item: &Json, line: &mut String, entry: &mut Object) {
    if let Some(branch) = item.get("branch").and_then(Json::as_str) {
        *line += &format!(" branch {}", quote::word(branch));
        entry.insert("branch", Json::from(branch));
    }
    let Some(merges) = item.get("merges") else {
        return;
    };
    let from = merges.get("branch").and_then(Json::as_str);
    *line += &format!(" merges {}", quote::word(from.unwrap_or("main")));
    if let Some(version) = merges.get("version").and_then(Json::as_u64) {
        *line += &format!(" v{version}");
    }
    entry.insert("merges", merges.clone());
}

/// Adds the pointers that a change touches, as many as fit a line.
fn add_paths(item: &Json, line: &mut String, entry: &mut Object) {
    let paths = item
        .get("changed")
        .and_then(Json::as_array)
        .unwrap_or_default();
    if paths.is_empty() {
        return;
    }
    let shown = paths.iter().filter_map(Json::as_str).take(PATHS_MAX);
    let shown: Vec<String> = shown.map(|path| quote::cut(path, PATH_CHARS_MAX)).collect();
    let words: Vec<String> = shown.iter().map(|path| quote::word(path)).collect();
    *line += &format!(": {}", words.join(" "));
    entry.insert("changed", shown.into_iter().map(Json::from).collect());
    if paths.len() > PATHS_MAX {
        let more = paths.len() - PATHS_MAX;
        *line += &format!(" and {more} more");
        entry.insert("changed_more", Json::from(more));
    }
}

/// Adds the conflicts that a change opened or ended, as many as fit a line.
fn add_conflicts(item: &Json, line: &mut String, entry: &mut Object) {
    for name in ["conflicts", "settled"] {
        let ids = item.get(name).and_then(Json::as_array).unwrap_or_default();
        let ids: Vec<&str> = ids
            .iter()
            .filter_map(Json::as_str)
            .take(CONFLICTS_MAX)
            .collect();
        if ids.is_empty() {
            continue;
        }
        let words: Vec<String> = ids.iter().map(|id| quote::word(id)).collect();
        *line += &format!(" {name} {}", words.join(" "));
        entry.insert(name, ids.into_iter().map(Json::from).collect());
    }
}
