//! From rows to proposals.
//!
//! A file's format is told by the members of its rows. Every change id is derived from the row
//! and the context that it goes to, so importing the same rows again sends the same changes,
//! which take effect once; and each write of a context names the one before as its base, so
//! that an edit made in between is never overwritten.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use syncline_api::strip_server_members;
use syncline_model::document::TITLE_LENGTH_MAX;
use syncline_model::ids::{Address, ChangeId, Name, PrincipalId};
use syncline_model::json::{Json, Object};
use syncline_model::proposal::{Actor, Base, MESSAGE_LENGTH_MAX, Operation, Proposal};
use syncline_model::time::Timestamp;

use super::rows::Row;
use crate::clean;
use crate::failure::{Failure, Result};
use crate::show;

/// What the rows of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Successive versions of one document.
    History,
    /// Creations, updates and deletions of many contexts.
    Events,
    /// What an agent did, step by step.
    Steps,
    /// Calls of an agent program's hooks.
    Hooks,
    /// Contexts as `export` writes them.
    Contexts,
    /// One document.
    Document,
}

/// What the rows of a file may be, for who sent others.
pub const KNOWN: &str = "import reads contexts as `syncline export` writes them (with `context`), \
    versions of one document (`version`, `commit`, `doc`), events (`context`, `op`, `seq`), agents' \
    steps (`session`, `step`), hook calls (`at`, `stdin`), or a file that holds one document";

impl Format {
    /// Returns what a person calls the rows.
    pub fn name(self) -> &'static str {
        match self {
            Format::History => "versions of a document",
            Format::Events => "events",
            Format::Steps => "agents' steps",
            Format::Hooks => "hook calls",
            Format::Contexts => "contexts",
            Format::Document => "a document",
        }
    }

    /// Tells the format by a row's members.
    pub fn of(row: &Json) -> Result<Format, &'static str> {
        let has = |names: &[&str]| names.iter().all(|name| row.get(name).is_some());
        if row.as_object().is_none() {
            return Err("it is no object");
        }
        if has(&["merged", "base", "ours", "theirs"]) {
            return Err("it is a recorded merge, which is no version of a context");
        }
        if has(&["context", "actor", "version", "enc"]) {
            return Err("it is a change; import reads contexts, as `syncline export` writes them");
        }
        Ok(match () {
            () if has(&["version", "commit", "doc"]) => Format::History,
            () if has(&["context", "op", "seq"]) => Format::Events,
            () if has(&["session", "step"]) => Format::Steps,
            () if has(&["at", "stdin"]) => Format::Hooks,
            () if has(&["context"]) => Format::Contexts,
            () => Format::Document,
        })
    }
}

/// Turns rows into proposals, in their order.
pub struct Planner {
    format: Format,
    /// Where a history or a document goes.
    target: Address,
    /// The last change of each context that this import makes.
    last: HashMap<Address, ChangeId>,
}

impl Planner {
    /// Makes a planner for one file.
    pub fn new(format: Format, target: Address) -> Planner {
        Planner {
            format,
            target,
            last: HashMap::new(),
        }
    }

    /// Returns the proposals of a row; they are to be decided in this order.
    pub fn plan(&mut self, row: &Row) -> Result<Vec<Proposal>, String> {
        match self.format {
            Format::History => self.version(row).map(|proposal| vec![proposal]),
            Format::Events => self.event(row).map(|proposal| vec![proposal]),
            Format::Steps => self.step(row),
            Format::Hooks => self.hook(row),
            Format::Contexts => context(row).map(|proposal| vec![proposal]),
            Format::Document => Ok(vec![self.document(row)]),
        }
    }

    /// Makes a proposal that goes on from the last change of its context.
    fn next(
        &mut self,
        row: &Row,
        part: &str,
        address: &Address,
        operation: Operation,
        body: Json,
    ) -> Proposal {
        let id = change_id(row, part, address);
        let mut proposal = Proposal::new(id, address.clone(), operation, body, nobody());
        let before = self.last.insert(address.clone(), id);
        if operation != Operation::Create {
            proposal.base = before.map(Base::Change);
        }
        proposal
    }

    fn version(&mut self, row: &Row) -> Result<Proposal, String> {
        let address = self.target.clone();
        let document = row.json.get("doc").ok_or("it has no doc")?;
        let mut body = Object::new();
        body.insert("data", as_data(document));
        body.insert("metadata", metadata(&row.json));
        let operation = match self.last.contains_key(&address) {
            true => Operation::Replace,
            false => {
                body.insert("title", Json::from(address.id()));
                Operation::Create
            }
        };
        let mut proposal = self.next(row, "version", &address, operation, Json::Object(body));
        proposal.message = Some(message(show::text(&row.json, "message"), &row.json).into());
        Ok(proposal)
    }

    fn event(&mut self, row: &Row) -> Result<Proposal, String> {
        let address = address_of(&row.json)?;
        let op = show::text(&row.json, "op");
        let mut proposal = match op {
            "create" => {
                let body = event_body(row.json.get("doc").ok_or("it has no doc")?, &row.json);
                self.next(row, "event", &address, Operation::Create, body)
            }
            "update" => {
                let body = event_body(row.json.get("patch").ok_or("it has no patch")?, &row.json);
                self.next(row, "event", &address, Operation::Merge, body)
            }
            "delete" => self.next(row, "event", &address, Operation::Delete, Json::Null),
            other => return Err(format!("its op is {other:?}, not create, update or delete")),
        };
        proposal.actor.agent = Name::parse(show::text(&row.json, "actor")).ok();
        let first = format!("{op} {}", address.id());
        proposal.message = Some(message(&first, &row.json).into());
        Ok(proposal)
    }

    fn step(&mut self, row: &Row) -> Result<Vec<Proposal>, String> {
        let session = show::text(&row.json, "session");
        let agent = show::text(&row.json, "agent");
        let address = address_for("session", session)?;
        let mut proposals = Vec::new();
        if !self.last.contains_key(&address) {
            let data = [
                ("session", Json::from(session)),
                ("agent", Json::from(agent)),
                ("steps", Json::from(Vec::new())),
            ];
            let body = [
                ("title", Json::from(clean::shorten(session, 200))),
                ("data", Json::Object(data.into_iter().collect())),
            ];
            let body = Json::Object(body.into_iter().collect());
            proposals.push(self.next(row, "session", &address, Operation::Create, body));
        }
        let step = without(&row.json, &["session", "agent"]);
        let mut proposal = self.next(
            row,
            "step",
            &address,
            Operation::Patch,
            append("/data/steps/-", step),
        );
        let command = show::text(&row.json, "command")
            .lines()
            .next()
            .unwrap_or_default();
        proposal.message = Some(clean::shorten(command, 200).into());
        proposals.push(proposal);
        for proposal in &mut proposals {
            proposal.actor.agent = Name::parse(agent).ok();
        }
        Ok(proposals)
    }

    fn hook(&mut self, row: &Row) -> Result<Vec<Proposal>, String> {
        const OF_THE_SESSION: [&str; 3] = ["session_id", "transcript_path", "cwd"];
        let stdin = row.json.get("stdin").ok_or("it has no stdin")?;
        let session = show::text(stdin, "session_id");
        let branch = show::text(&row.json, "git_branch");
        let address = address_for("session", session)?;
        let mut proposals = Vec::new();
        if !self.last.contains_key(&address) {
            let mut data = Object::new();
            for name in OF_THE_SESSION {
                data.extend(stdin.get(name).map(|value| (name, value.clone())));
            }
            data.insert("git_branch", Json::from(branch));
            data.insert("events", Json::from(Vec::new()));
            let body = [
                ("title", Json::from(format!("session on {branch}"))),
                ("data", Json::Object(data)),
            ];
            let body = Json::Object(body.into_iter().collect());
            proposals.push(self.next(row, "session", &address, Operation::Create, body));
        }
        let mut event = without(stdin, &OF_THE_SESSION);
        if let Some(members) = event.as_object_mut() {
            members.extend(row.json.get("at").map(|at| ("at", at.clone())));
        }
        let append = append("/data/events/-", event);
        let mut proposal = self.next(row, "event", &address, Operation::Patch, append);
        let what = [
            show::text(stdin, "hook_event_name"),
            show::text(stdin, "tool_name"),
        ]
        .join(" ");
        proposal.message = Some(message(what.trim(), &row.json).into());
        proposals.push(proposal);
        let agent = stdin
            .get("agent_id")
            .and_then(Json::as_str)
            .unwrap_or("claude-code");
        for proposal in &mut proposals {
            proposal.actor.agent = Name::parse(agent).ok();
            proposal.actor.session = Name::parse(session).ok();
        }
        Ok(proposals)
    }

    fn document(&mut self, row: &Row) -> Proposal {
        let address = self.target.clone();
        let body = [
            ("title", Json::from(address.id())),
            ("data", as_data(&row.json)),
        ];
        let body = Json::Object(body.into_iter().collect());
        self.next(row, "document", &address, Operation::Create, body)
    }
}

fn context(row: &Row) -> Result<Proposal, String> {
    let address = address_of(&row.json)?;
    let id = change_id(row, "context", &address);
    let body = strip_server_members(&row.json);
    Ok(Proposal::new(
        id,
        address,
        Operation::Create,
        body,
        nobody(),
    ))
}

/// The node knows who imports; only the agent and its session are told, by the connection.
fn nobody() -> Actor {
    Actor::from_principal(PrincipalId::owner())
}

/// Derives a change id from the row, the part of it, and the context that it goes to.
fn change_id(row: &Row, part: &str, address: &Address) -> ChangeId {
    let mut hash = Sha256::new();
    hash.update(b"syncline/import/1\0");
    for text in [address.as_str(), part, &row.number.to_string()] {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    hash.update(&row.text);
    let digest = hash.finalize();
    let mut random = [0u8; 10];
    random.copy_from_slice(&digest[..10]);
    let at = show::time(&row.json, "at").map_or(0, |Timestamp(millis)| millis);
    ChangeId::from_parts(u64::try_from(at).unwrap_or(0), &random)
}

fn address_of(row: &Json) -> Result<Address, String> {
    let text = show::text(row, "context");
    Address::parse(text).map_err(|error| format!("its context {text:?} is no address: {error}"))
}

/// Returns the address of a thing that names itself freely; names that an id cannot spell keep
/// apart by a hash.
pub fn address_for(kind: &str, name: &str) -> Result<Address, String> {
    const KEPT: usize = 120;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._~@:-".contains(c);
    let plain: String = name
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    let plain = plain.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    if plain == name && name.len() <= KEPT {
        return Address::from_parts(kind, name).map_err(|error| error.to_string());
    }
    let digest = Sha256::digest(name.as_bytes());
    let hex: String = digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let plain: String = plain.chars().take(KEPT).collect();
    let id = if plain.is_empty() {
        hex
    } else {
        format!("{plain}-{hex}")
    };
    Address::from_parts(kind, &id).map_err(|error| error.to_string())
}

/// Returns a document as `data`, which is an object.
fn as_data(document: &Json) -> Json {
    match document.as_object() {
        Some(_) => document.clone(),
        None => Json::Object([("value", document.clone())].into_iter().collect()),
    }
}

/// Splits the title off an event's document or patch; all else is `data`.
fn event_body(document: &Json, row: &Json) -> Json {
    let mut data = document.as_object().cloned().unwrap_or_default();
    let mut body = Object::new();
    let is_title = match data.get("title") {
        Some(Json::String(text)) => text.chars().count() <= TITLE_LENGTH_MAX,
        Some(Json::Null) => true,
        _ => false,
    };
    if is_title {
        body.extend(data.remove("title").map(|title| ("title", title)));
    }
    body.insert("data", Json::Object(data));
    body.insert("metadata", metadata(row));
    Json::Object(body)
}

/// Keeps where a row came from: its own time and author are not the log's.
fn metadata(row: &Json) -> Json {
    let mut source = Object::new();
    for (name, of) in [
        ("at", "at"),
        ("author", "author"),
        ("author", "actor"),
        ("commit", "commit"),
    ] {
        source.extend(row.get(of).map(|value| (name, value.clone())));
    }
    Json::Object([("source", Json::Object(source))].into_iter().collect())
}

/// Returns a message's first lines, and below it who, when and which commit.
fn message(text: &str, row: &Json) -> String {
    let author = row
        .get("author")
        .or_else(|| row.get("actor"))
        .and_then(Json::as_str);
    let at = row.get("at").and_then(Json::as_str);
    let commit = row.get("commit").and_then(Json::as_str);
    let commit = commit.map(|commit| format!("commit {}", clean::shorten(commit, 40)));
    let source: Vec<_> = [author, at, commit.as_deref()]
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect();
    let source = source.join(", ");
    let text = clean::shorten(text.trim(), MESSAGE_LENGTH_MAX / 2);
    if source.is_empty() {
        text
    } else {
        format!("{text}\n\n{}", clean::shorten(&source, 500))
    }
}

fn without(json: &Json, names: &[&str]) -> Json {
    let mut members = json.as_object().cloned().unwrap_or_default();
    for name in names {
        members.remove(name);
    }
    Json::Object(members)
}

fn append(path: &str, value: Json) -> Json {
    let members = [
        ("op", Json::from("add")),
        ("path", Json::from(path)),
        ("value", value),
    ];
    Json::from(vec![Json::Object(members.into_iter().collect())])
}

/// Says that a row cannot be imported.
pub fn bad_row(path: &std::path::Path, number: u64, why: &str) -> Failure {
    Failure::usage(format!(
        "{}: row {number} cannot be imported: {why}",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use syncline_model::json::Limits;

    fn row(number: u64, text: &str) -> Row {
        let json = Json::parse(text.as_bytes(), &Limits::default()).unwrap();
        Row {
            number,
            text: text.as_bytes().to_vec(),
            json,
        }
    }

    fn plan(rows: &[&str]) -> Vec<Proposal> {
        let first = row(1, rows[0]);
        let target = Address::parse("document/a").unwrap();
        let mut planner = Planner::new(Format::of(&first.json).unwrap(), target);
        let numbered = rows.iter().zip(1..).map(|(text, number)| row(number, text));
        numbered
            .flat_map(|row| planner.plan(&row).unwrap())
            .collect()
    }

    #[test]
    fn a_history_becomes_versions_of_one_context() {
        let rows = [
            r#"{"version":1,"commit":"c1","at":"2012-09-18T15:37:43-07:00","author":"author/1","message":"first","doc":{"n":1}}"#,
            r#"{"version":2,"commit":"c2","at":"2012-09-19T15:37:43-07:00","author":"author/2","message":"second","doc":{"n":2}}"#,
        ];
        let proposals = plan(&rows);
        assert_eq!(proposals[0].operation, Operation::Create);
        assert_eq!(
            proposals[0].body.get("data").unwrap().to_text(),
            r#"{"n":1}"#
        );
        assert_eq!(proposals[0].id.millis(), 1_348_007_863_000);
        assert_eq!(proposals[1].base, Some(Base::Change(proposals[0].id)));
        assert_eq!(
            proposals[1].message.as_deref(),
            Some("second\n\nauthor/2, 2012-09-19T15:37:43-07:00, commit c2")
        );
        assert_eq!(
            proposals[1].body.get("metadata").unwrap().to_text(),
            r#"{"source":{"at":"2012-09-19T15:37:43-07:00","author":"author/2","commit":"c2"}}"#
        );
        assert_eq!(
            plan(&rows),
            proposals,
            "the same rows give the same changes"
        );
    }

    #[test]
    fn events_replay_op_by_op() {
        let proposals = plan(&[
            r#"{"seq":1,"op":"create","context":"task/a","actor":"agent/1","doc":{"title":"T","x":1}}"#,
            r#"{"seq":2,"op":"update","context":"task/a","actor":"agent/2","patch":{"title":null,"x":null}}"#,
            r#"{"seq":3,"op":"delete","context":"task/a","actor":"agent/2"}"#,
            r#"{"seq":4,"op":"create","context":"task/a","actor":"agent/2","doc":{"title":7}}"#,
        ]);
        let shown = |p: &Proposal| format!("{} {}", p.operation.as_str(), p.body.to_text());
        let source = r#""metadata":{"source":{"author":"agent/2"}}"#;
        assert!(shown(&proposals[0]).starts_with(r#"create {"data":{"x":1},"#));
        assert_eq!(
            shown(&proposals[1]),
            format!(r#"merge {{"data":{{"x":null}},{source},"title":null}}"#)
        );
        assert_eq!(proposals[2].base, Some(Base::Change(proposals[1].id)));
        assert_eq!(proposals[3].base, None);
        assert_eq!(
            proposals[3].body.get("data").unwrap().to_text(),
            r#"{"title":7}"#
        );
        assert_eq!(
            proposals[1].actor.agent.as_ref().unwrap().as_str(),
            "agent/2"
        );
    }

    #[test]
    fn steps_are_appended_to_their_session() {
        let proposals = plan(&[
            r#"{"session":"a/b","step":1,"agent":"swe","command":"ls"}"#,
            r#"{"session":"a/b","step":2,"agent":"swe","command":"cat x"}"#,
        ]);
        assert_eq!(proposals.len(), 3);
        assert_eq!(proposals[0].context.as_str(), "session/a-b-c14cddc0");
        assert_eq!(
            proposals[2].body.to_text(),
            r#"[{"op":"add","path":"/data/steps/-","value":{"command":"cat x","step":2}}]"#
        );
    }

    #[test]
    fn names_become_ids_and_stay_apart() {
        let address = |name| address_for("session", name).unwrap().to_string();
        assert_eq!(address("258c7280-ae70"), "session/258c7280-ae70");
        assert_ne!(address("a/b"), address("a-b"));
        assert_ne!(address("é"), address("è"));
        assert!(address(&"x".repeat(300)).len() < 200);
    }
}
