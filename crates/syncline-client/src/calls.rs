//! The calls of the HTTP door, with the wire's types.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use syncline_api::{
    BulkMode, Code, ContextView, Filters, Mode, Problem, ReceiptOrProblem, ReceiptView, Scope,
    WireChange, write_proposal,
};
use syncline_model::conflict::Strategy;
use syncline_model::ids::{Address, BranchName, ChangeId, Name, Version, WorkspaceId};
use syncline_model::json::{Json, JsonWriter, Object, Pointer};
use syncline_model::proposal::{Base, Precondition, Priority, Proposal};

use crate::fresh_id;
use crate::http::{Client, percent_encode, read_json};

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";

/// How many items are asked for at once where all are wanted; a node may hold a page to fewer.
const ALL_PAGE: usize = 100;

/// Bounds a verification: it reads all that is stored, which takes minutes for gigabytes.
const VERIFY_PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Which version of a context is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// The newest.
    #[default]
    Head,
    /// The one with this number.
    Version(Version),
    /// The one that was the newest at an RFC 3339 time.
    At(String),
}

/// What goes with a write.
#[derive(Clone, Debug, Default)]
pub struct Write {
    /// The change id; one is made if it is absent, so that a resend takes effect once.
    pub id: Option<ChangeId>,
    /// What must hold of the head.
    pub precondition: Precondition,
    /// What the writer had seen.
    pub base: Option<Base>,
    /// Why.
    pub message: Option<String>,
    /// Make the context if it is missing.
    pub create: bool,
    /// Make missing parents.
    pub create_parents: bool,
    /// Which line of versions is written; absent is `main`.
    pub branch: Option<BranchName>,
    /// How clashes are resolved; absent is what the context, its kind or the workspace says.
    pub strategy: Option<Strategy>,
    /// How soon others want to know.
    pub priority: Priority,
    /// The tool call that writes, recorded as the actor's.
    pub tool_call: Option<Name>,
}

/// A page of contexts.
#[derive(Clone, Debug)]
pub struct Page {
    /// As they came, to show or to read with [`ContextView::read`].
    pub contexts: Vec<Json>,
    /// Names the next page, if there is one.
    pub next: Option<String>,
    /// The log's place before the first page was read; whoever follows it from there misses nothing.
    pub cursor: Option<String>,
}

/// What to pull from the log.
#[derive(Clone, Debug, Default)]
pub struct ChangesQuery {
    /// The place to go on from; absent is the beginning.
    pub after: Option<String>,
    /// Which contexts; absent is the workspace.
    pub scope: Option<Scope>,
    /// Which of their changes; empty is all.
    pub filter: Filters,
    /// At most so many.
    pub limit: Option<usize>,
    /// Wait so long for the first.
    pub wait_ms: Option<u64>,
    /// In which form; absent is the node's default, patches.
    pub mode: Option<Mode>,
    /// Without what this client's own agent and session wrote.
    pub exclude_self: bool,
}

/// A page of the log.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Changes, and items of other types (`enter`, `leave`, …), as they came.
    pub items: Vec<Json>,
    /// The place to go on from.
    pub cursor: Option<String>,
}

impl Client {
    /// Reads a context.
    pub async fn get(&self, address: &Address, when: &When) -> Result<ContextView, Problem> {
        self.get_line(address, None, when).await
    }

    /// Reads a context as one of its branches has it; absent is `main`.
    pub async fn get_line(
        &self,
        address: &Address,
        branch: Option<&BranchName>,
        when: &When,
    ) -> Result<ContextView, Problem> {
        let branch = branch.map(|branch| ("branch", branch.as_str()));
        let json = self.get_json(address, when, branch.as_slice()).await?;
        ContextView::read(&json, &Pointer::root()).map_err(|error| strange(&error))
    }

    /// Reads a context as it comes, with further members of the query such as `fields`.
    pub async fn get_json(
        &self,
        address: &Address,
        when: &When,
        more: &[(&str, &str)],
    ) -> Result<Json, Problem> {
        let mut query = Query::default();
        match when {
            When::Head => {}
            When::Version(version) => query.add("version", &version.to_string()),
            When::At(time) => query.add("at", time),
        }
        more.iter().for_each(|(name, value)| query.add(name, value));
        self.json(&format!("/v1/contexts/{address}{query}")).await
    }

    /// Creates or replaces a context.
    pub async fn put(
        &self,
        address: &Address,
        body: &Json,
        write: &Write,
    ) -> Result<ReceiptView, Problem> {
        self.write(
            Method::PUT,
            &format!("/v1/contexts/{address}"),
            Some((JSON, body)),
            write,
        )
        .await
    }

    /// Applies a JSON Merge Patch, or a JSON Patch where the body is an array.
    pub async fn patch(
        &self,
        address: &Address,
        body: &Json,
        write: &Write,
    ) -> Result<ReceiptView, Problem> {
        let kind = if body.as_array().is_some() {
            JSON_PATCH
        } else {
            MERGE_PATCH
        };
        let path = format!("/v1/contexts/{address}");
        self.write(Method::PATCH, &path, Some((kind, body)), write)
            .await
    }

    /// Deletes a context.
    pub async fn delete(&self, address: &Address, write: &Write) -> Result<ReceiptView, Problem> {
        self.write(
            Method::DELETE,
            &format!("/v1/contexts/{address}"),
            None,
            write,
        )
        .await
    }

    /// Deletes a context and all below it as one bulk; returns the answer as it came.
    pub async fn delete_subtree(&self, address: &Address, write: &Write) -> Result<Json, Problem> {
        let headers = headers_of(write);
        let mut query = Query::of_branch(write.branch.as_ref());
        query.add("subtree", "true");
        let path = format!("/v1/contexts/{address}{query}");
        self.request(Method::DELETE, &path, &headers, None)
            .await?
            .json()
    }

    /// Brings a deleted context back.
    pub async fn restore(&self, address: &Address, write: &Write) -> Result<ReceiptView, Problem> {
        self.write(
            Method::POST,
            &format!("/v1/contexts/{address}/restore"),
            None,
            write,
        )
        .await
    }

    /// Sends several proposals as one bulk.
    pub async fn batch(
        &self,
        mode: BulkMode,
        proposals: &[Proposal],
    ) -> Result<Vec<ReceiptOrProblem>, Problem> {
        let mut w = JsonWriter::new();
        w.begin_object();
        w.field_str("mode", mode.as_str());
        w.key("proposals");
        w.begin_array();
        proposals
            .iter()
            .for_each(|proposal| write_proposal(&mut w, proposal));
        w.end_array();
        w.end_object();
        let body = Some((JSON, Bytes::from(w.into_string())));
        // The parts' own ids make the call safe to repeat; the bulk's is the first one's child.
        let id = proposals
            .first()
            .map_or_else(fresh_id, |first| first.id.derive("bulk"));
        let headers = [("idempotency-key", id.to_string())];
        let answer = self
            .request(Method::POST, "/v1/contexts:batch", &headers, body)
            .await?;
        let answer = answer.json()?;
        let receipts = answer
            .get("receipts")
            .and_then(Json::as_array)
            .unwrap_or_default();
        let at = Pointer::root().child("receipts");
        let read = |(index, json)| ReceiptOrProblem::read(json, &at.index(index));
        let receipts = receipts
            .iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>();
        receipts.map_err(|error| strange(&error))
    }

    /// Lists contexts; `query` has the filters as the door names them.
    pub async fn list(&self, query: &[(&str, String)]) -> Result<Page, Problem> {
        let mut text = Query::default();
        query.iter().for_each(|(name, value)| text.add(name, value));
        let answer = self.json(&format!("/v1/contexts{text}")).await?;
        let contexts = answer
            .get("contexts")
            .and_then(Json::as_array)
            .unwrap_or_default();
        let text = |name| answer.get(name).and_then(Json::as_str).map(str::to_owned);
        Ok(Page {
            contexts: contexts.to_vec(),
            next: text("next"),
            cursor: text("cursor"),
        })
    }

    /// Returns the changes of a context's line without their bodies, the newest first, as they come.
    pub async fn versions(
        &self,
        address: &Address,
        branch: Option<&BranchName>,
        page: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Json, Problem> {
        let mut query = Query::of_branch(branch);
        if let Some(page) = page {
            query.add("page", page);
        }
        if let Some(limit) = limit {
            query.add("limit", &limit.to_string());
        }
        self.json(&format!("/v1/contexts/{address}/versions{query}"))
            .await
    }

    /// Compares two versions of a line: `{"from","to","patch","text"}`.
    pub async fn diff(
        &self,
        address: &Address,
        ends: [(Option<&BranchName>, Version); 2],
    ) -> Result<Json, Problem> {
        let [(branch, from), (to_branch, to)] = ends;
        let mut query = Query::of_branch(branch);
        query.add("from", &from.to_string());
        query.add("to", &to.to_string());
        query.add("to_branch", to_branch.map_or("main", BranchName::as_str));
        self.json(&format!("/v1/contexts/{address}/diff{query}"))
            .await
    }

    /// Pulls what lies after a place in the log.
    pub async fn changes(&self, query: &ChangesQuery) -> Result<Changes, Problem> {
        let mut text = Query::default();
        if let Some(after) = &query.after {
            text.add("after", after);
        }
        if let Some(scope) = &query.scope {
            let mut w = JsonWriter::new();
            scope.write(&mut w);
            text.add("scope", &w.into_string());
        }
        if !query.filter.is_empty() {
            let mut w = JsonWriter::new();
            query.filter.write(&mut w);
            text.add("filter", &w.into_string());
        }
        if let Some(limit) = query.limit {
            text.add("limit", &limit.to_string());
        }
        if let Some(wait) = query.wait_ms {
            text.add("wait_ms", &wait.to_string());
        }
        if let Some(mode) = query.mode {
            text.add("mode", mode.as_str());
        }
        if query.exclude_self {
            text.add("exclude_self", "true");
        }
        let patience = self.options().timeout + Duration::from_millis(query.wait_ms.unwrap_or(0));
        let path = format!("/v1/changes{text}");
        let answer = self
            .request_within(patience, Method::GET, &path, &[], None)
            .await?
            .json()?;
        let items = answer
            .get("changes")
            .and_then(Json::as_array)
            .unwrap_or_default();
        let cursor = answer
            .get("cursor")
            .and_then(Json::as_str)
            .map(str::to_owned);
        Ok(Changes {
            items: items.to_vec(),
            cursor,
        })
    }

    /// Returns how the node is.
    pub async fn status(&self) -> Result<Json, Problem> {
        self.json("/v1/status").await
    }

    /// Returns the newest changes with whom each was for, as they come.
    pub async fn broadcasts(&self, limit: u32) -> Result<Json, Problem> {
        self.json(&format!("/v1/stats/broadcasts?limit={limit}"))
            .await
    }

    /// Returns the node's numbers, as they come.
    pub async fn stats(&self) -> Result<Json, Problem> {
        self.json("/v1/stats").await
    }

    /// Lets the node check all that it stores, and returns what it found, as it comes.
    pub async fn verify(&self) -> Result<Json, Problem> {
        self.request_within(VERIFY_PATIENCE, Method::POST, "/v1/verify", &[], None)
            .await?
            .json()
    }

    /// Lets the node thin old versions now, or only count them, and returns what went.
    pub async fn compact(&self, dry_run: bool) -> Result<Json, Problem> {
        let mut w = JsonWriter::new();
        w.begin_object();
        w.field_bool("dry_run", dry_run);
        w.end_object();
        let body = Some((JSON, Bytes::from(w.into_string())));
        self.request_within(VERIFY_PATIENCE, Method::POST, "/v1/compact", &[], body)
            .await?
            .json()
    }

    /// Returns the node's workspaces, as they come.
    pub async fn workspaces(&self) -> Result<Json, Problem> {
        self.json("/v1/workspaces").await
    }

    /// Makes a workspace; one that is there is left as it is.
    pub async fn create_workspace(&self, name: &WorkspaceId) -> Result<Json, Problem> {
        let mut w = JsonWriter::new();
        w.begin_object();
        w.field_str("name", name.as_str());
        w.end_object();
        let body = Some((JSON, Bytes::from(w.into_string())));
        self.request(Method::POST, "/v1/workspaces", &[], body)
            .await?
            .json()
    }

    /// Reads any resource as JSON.
    pub async fn json(&self, path: &str) -> Result<Json, Problem> {
        self.request(Method::GET, path, &[], None).await?.json()
    }

    /// Reads all pages of a list, `path` having no query yet: `{member:[…]}`.
    pub(crate) async fn all_pages(&self, path: &str, member: &str) -> Result<Json, Problem> {
        let mut all = Vec::new();
        let mut page = String::new();
        loop {
            let answer = self.json(&format!("{path}?limit={ALL_PAGE}{page}")).await?;
            let items = answer.get(member).and_then(Json::as_array);
            all.extend(items.unwrap_or_default().iter().cloned());
            match answer.get("next").and_then(Json::as_str) {
                Some(next) => page = format!("&page={}", percent_encode(next)),
                None => break,
            }
        }
        let mut answer = Object::new();
        answer.insert(member, all.into_iter().collect::<Json>());
        Ok(Json::Object(answer))
    }

    /// Sends a write to `path`, which has no query yet, and reads its receipt.
    pub(crate) async fn write(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, &Json)>,
        write: &Write,
    ) -> Result<ReceiptView, Problem> {
        let mut query = Query::of_branch(write.branch.as_ref());
        for (name, on) in [
            ("create", write.create),
            ("create_parents", write.create_parents),
        ] {
            if on {
                query.add(name, "true");
            }
        }
        let body = body.map(|(kind, json)| (kind, Bytes::from(json.to_text())));
        let path = format!("{path}{query}");
        let answer = self
            .request(method, &path, &headers_of(write), body)
            .await?;
        let json = read_json(&answer.body)?;
        ReceiptView::read(&json, &Pointer::root()).map_err(|error| strange(&error))
    }
}

/// Reads one item of a pull as a change; items of other types are `None`.
impl Changes {
    /// Returns the changes among the items.
    pub fn changes(&self) -> Result<Vec<WireChange>, Problem> {
        let is_change = |item: &&Json| {
            !matches!(
                item.get("type").and_then(Json::as_str),
                Some("enter" | "leave" | "begin" | "end" | "reset" | "snapshot")
            )
        };
        let read = |item| WireChange::read(item, &Pointer::root());
        let changes = self.items.iter().filter(is_change).map(read);
        changes
            .collect::<Result<_, _>>()
            .map_err(|error| strange(&error))
    }
}

pub(crate) fn headers_of(write: &Write) -> Vec<(&'static str, String)> {
    let id = write.id.unwrap_or_else(fresh_id);
    let mut headers = vec![("idempotency-key", id.to_string())];
    match &write.precondition {
        Precondition::None => {}
        Precondition::Match(etags) => {
            let etags: Vec<_> = etags.iter().map(ToString::to_string).collect();
            headers.push(("if-match", etags.join(", ")));
        }
        Precondition::MatchAny => headers.push(("if-match", "*".to_owned())),
        Precondition::NoneMatchAny => headers.push(("if-none-match", "*".to_owned())),
    }
    if let Some(base) = &write.base {
        headers.push(("syncline-base", base.to_string()));
    }
    if let Some(strategy) = write.strategy {
        headers.push(("syncline-strategy", strategy.as_str().to_owned()));
    }
    if write.priority != Priority::default() {
        headers.push(("syncline-priority", write.priority.get().to_string()));
    }
    if let Some(name) = &write.tool_call {
        headers.push(("syncline-tool-call", name.to_string()));
    }
    if let Some(message) = &write.message {
        headers.push(("syncline-message", percent_encode(message)));
    }
    headers
}

/// Says that an answer is not what this client knows.
pub(crate) fn strange(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(
        Code::Internal,
        format!("the node sent an answer that is not understood: {error}"),
    )
    .hint("compare `syncline --version` here and on the node")
}

/// The query of a URL, with its question mark.
#[derive(Default)]
pub(crate) struct Query(String);

impl Query {
    /// Begins with the line of versions that is meant.
    pub(crate) fn of_branch(branch: Option<&BranchName>) -> Query {
        let mut query = Query::default();
        if let Some(branch) = branch {
            query.add("branch", branch.as_str());
        }
        query
    }

    pub(crate) fn add(&mut self, name: &str, value: &str) {
        let mark = if self.0.is_empty() { '?' } else { '&' };
        write!(self.0, "{mark}{name}={}", percent_encode(value)).expect("a String takes all");
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
