//! One request, as handlers ask it for what they need.

use std::sync::Mutex;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH,
};
use http::request::Parts;
use http_body_util::BodyExt as _;
use syncline_api::{
    Code, Problem, check_named_context, parse_branch, parse_if_match, parse_message,
};
use syncline_engine::{Principal, Workspace, aside};
use syncline_model::etag::Etag;
use syncline_model::ids::{Address, BranchName, ChangeId, Name, WorkspaceId};
use syncline_model::json::{Json, JsonErrorKind, Limits, Object, Pointer};
use syncline_model::proposal::{Actor, Base, Operation, Precondition, Proposal};

use crate::doors::Node;
use crate::gate::{Caller, no_key};
use crate::query::{Query, bad, percent_decode};

/// A request on its way to a handler.
pub(crate) struct Ask {
    pub node: Node,
    pub parts: Parts,
    /// Locked by nobody: a body is no `Sync`, and handlers share the rest of the request.
    pub body: Mutex<Body>,
    pub query: Query,
    /// The path's parameters, decoded, in their order.
    pub path: Vec<String>,
}

/// How a writer's JSON may come.
pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";

impl Ask {
    /// Returns who acts.
    pub fn principal(&self) -> Result<Principal, Problem> {
        let caller = self.parts.extensions.get::<Caller>();
        caller
            .and_then(|caller| caller.0.clone())
            .ok_or_else(no_key)
    }

    /// Returns the workspace that the request names.
    pub fn workspace(&self) -> Result<Workspace, Problem> {
        let id = self.parsed("syncline-workspace", WorkspaceId::parse)?;
        self.node
            .doors
            .engine
            .workspace(&id.unwrap_or_else(WorkspaceId::default_workspace))
    }

    /// Returns who acts, with what the request says of them.
    pub fn actor(&self) -> Result<Actor, Problem> {
        Ok(Actor {
            agent: self.parsed("syncline-agent", Name::parse)?,
            session: self.parsed("syncline-session", Name::parse)?,
            tool_call: self.parsed("syncline-tool-call", Name::parse)?,
            provider: self.parsed("syncline-provider", Name::parse)?,
            ..Actor::from_principal(self.principal()?.id)
        })
    }

    /// Returns the context that the path names.
    pub fn address(&self) -> Result<Address, Problem> {
        let (kind, id) = match self.path.as_slice() {
            [kind, id, ..] => (kind, id),
            _ => return Err(bad("the path names no context")),
        };
        Address::from_parts(kind, id).map_err(|error| {
            let shown: String = format!("{kind}/{id}").chars().take(100).collect();
            Problem::new(Code::Invalid, format!("{shown:?} is no address: {error}"))
        })
    }

    /// Returns the line of versions that the path and the query name.
    pub fn line(&self) -> Result<Address, Problem> {
        Ok(self.address()?.line(self.branch()?.as_ref()))
    }

    /// Returns the branch that the query names; none is `main`.
    fn branch(&self) -> Result<Option<BranchName>, Problem> {
        Ok(self.query.named("branch", parse_branch)?.flatten())
    }

    /// Returns a header as text; one that comes twice is refused.
    pub fn header(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.parts.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => std::str::from_utf8(value.as_bytes())
                .map(Some)
                .map_err(|_| bad(format!("the header {name} is not UTF-8"))),
            (Some(_), Some(_)) => Err(bad(format!("the header {name} comes twice"))),
        }
    }

    fn parsed<T, E: std::fmt::Display>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.header(name)? else {
            return Ok(None);
        };
        read(text)
            .map(Some)
            .map_err(|error| bad(format!("the header {name}: {error}")))
    }

    /// Returns the proposal of a document or patch that the path is sent.
    pub fn proposal(&self, operation: Operation, body: Json) -> Result<Proposal, Problem> {
        let address = self.address()?;
        check_named_context(&body, &Pointer::root(), &address)?;
        let body = syncline_api::strip_server_members(&body);
        self.proposal_for(address, operation, body)
    }

    /// Returns the proposal that the request's headers and query go with.
    pub fn proposal_for(
        &self,
        context: Address,
        operation: Operation,
        body: Json,
    ) -> Result<Proposal, Problem> {
        self.refuse_unbuilt()?;
        let id = match self.idempotency_key()? {
            Some(id) => id,
            None => self.node.doors.engine.fresh_id(),
        };
        let read_message = |text: &str| {
            let text = percent_decode(text).ok_or("percent-encoded UTF-8 is meant".to_owned())?;
            parse_message(&text)
        };
        Ok(Proposal {
            branch: self.branch()?,
            base: self.parsed("syncline-base", str::parse::<Base>)?,
            precondition: self.precondition()?,
            create: operation == Operation::Replace || self.query.flag("create")?,
            create_parents: self.query.flag("create_parents")?,
            strategy: self.parsed("syncline-strategy", Name::parse)?,
            priority: self
                .parsed("syncline-priority", str::parse)?
                .unwrap_or_default(),
            message: self.parsed("syncline-message", read_message)?,
            ..Proposal::new(id, context, operation, body, self.actor()?)
        })
    }

    /// Reads the change id that the writer made.
    pub fn idempotency_key(&self) -> Result<Option<ChangeId>, Problem> {
        let Some(text) = self.header("idempotency-key")? else {
            return Ok(None);
        };
        ChangeId::parse(text.trim().trim_matches('"'))
            .map(Some)
            .map_err(|error| {
                Problem::new(
                    Code::Invalid,
                    format!("the header Idempotency-Key: {error}"),
                )
            })
    }

    /// Refuses what PROTOCOL names and this node cannot do yet: nothing is done half.
    pub fn refuse_unbuilt(&self) -> Result<(), Problem> {
        for name in ["resolved", "where", "q", "filter"] {
            if self.query.text(name).is_some() {
                return Err(Problem::not_built(&format!("?{name}=")));
            }
        }
        // The topmost node confirms what it answers, and this node has no upstream.
        match self.header("syncline-confirm")? {
            None | Some("upstream") => Ok(()),
            Some(_) => Err(bad("the header syncline-confirm: upstream is meant")),
        }
    }

    fn precondition(&self) -> Result<Precondition, Problem> {
        let if_match = self.etags(&IF_MATCH)?;
        let if_none_match = self.etags(&IF_NONE_MATCH)?;
        match (if_match, if_none_match) {
            (Some(_), Some(_)) => Err(bad("If-Match and If-None-Match exclude each other")),
            (Some(text), None) => parse_if_match(&text)
                .or_else(|error| foreign_etags(&text).ok_or(error))
                .map_err(|error| bad(format!("the header If-Match: {error}"))),
            (None, Some(text)) if text.trim() == "*" => Ok(Precondition::NoneMatchAny),
            (None, Some(_)) => Err(bad("the header If-None-Match: on a write only * is meant")),
            (None, None) => Ok(Precondition::None),
        }
    }

    /// Joins the lines of a header that is a list.
    fn etags(&self, name: &HeaderName) -> Result<Option<String>, Problem> {
        let values = self.parts.headers.get_all(name).iter();
        let texts: Result<Vec<&str>, Problem> = values
            .map(|value| {
                value
                    .to_str()
                    .map_err(|_| bad(format!("the header {name} is not text")))
            })
            .collect();
        let texts = texts?;
        Ok((!texts.is_empty()).then(|| texts.join(",")))
    }

    /// Says whether the reader holds what this ETag stands for.
    pub fn has(&self, etag: &Etag) -> Result<bool, Problem> {
        let Some(text) = self.etags(&IF_NONE_MATCH)? else {
            return Ok(false);
        };
        let same = |held: &str| Etag::parse_weak(held).is_ok_and(|held| held == *etag);
        let held = |held: &str| held.trim() == "*" || same(held);
        Ok(text.split(',').any(held))
    }

    /// Waits until this node is as far as the reader has been.
    pub async fn wait_for_min_cursor(&self, workspace: &Workspace) -> Result<(), Problem> {
        let Some(cursor) = self.header("syncline-min-cursor")? else {
            return Ok(());
        };
        let position = workspace.position_of(cursor)?;
        if position.epoch == workspace.epoch() && position.seq <= workspace.tail().seq {
            return Ok(());
        }
        let mut tail = workspace.tail_watch();
        let far = tail.wait_for(|tail| tail.epoch == position.epoch && tail.seq >= position.seq);
        let there = tokio::time::timeout(MIN_CURSOR_WAIT, far)
            .await
            .is_ok_and(|far| far.is_ok());
        if !there {
            // It is perhaps not behind: the place may be one that the log does not have.
            workspace.resume(cursor).await?;
            let detail = "the node is not yet at Syncline-Min-Cursor";
            return Err(Problem::new(Code::Unavailable, detail));
        }
        Ok(())
    }

    /// Reads the body as JSON of one of these types, and says which.
    pub async fn json(&mut self, kinds: &[&'static str]) -> Result<(&'static str, Json), Problem> {
        let kind = self.content_type(kinds)?;
        let bytes = self.bytes().await?;
        let json = read_json(&self.node, &bytes, 0)?;
        Ok((kind, json))
    }

    /// Reads a JSON body all of whose members may be left out; so may the body.
    pub async fn json_if_any(&mut self) -> Result<Json, Problem> {
        let bytes = self.bytes().await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Json::Object(Object::new()));
        }
        self.content_type(&[JSON])?;
        read_json(&self.node, &bytes, 0)
    }

    /// Reads a body that says nothing: none, or an empty object.
    pub async fn no_body(&mut self) -> Result<(), Problem> {
        let bytes = self.bytes().await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        self.content_type(&[JSON])?;
        let json = aside(bytes.len(), || Json::parse(&bytes, &Limits::wire()))?;
        match json.as_object() {
            Some(object) if object.is_empty() => Ok(()),
            _ => Err(Problem::new(Code::Invalid, "this call takes no body").at(Pointer::root())),
        }
    }

    fn content_type(&self, kinds: &[&'static str]) -> Result<&'static str, Problem> {
        let meant = || format!("send Content-Type: {}", kinds.join(" or "));
        // A packed body that happens to look like JSON must not be taken for what it is not.
        let coding = self
            .header(CONTENT_ENCODING.as_str())?
            .unwrap_or("identity");
        if !coding.trim().eq_ignore_ascii_case("identity") {
            let what = "a body with a Content-Encoding is not understood";
            return Err(Problem::new(Code::UnsupportedMediaType, what).hint("send it unpacked"));
        }
        let sent = self.header(CONTENT_TYPE.as_str())?.unwrap_or_default();
        let (essence, parameters) = sent.split_once(';').unwrap_or((sent, ""));
        let kind = kinds
            .iter()
            .find(|kind| kind.eq_ignore_ascii_case(essence.trim()));
        let utf8 = parameters.trim().is_empty()
            || parameters
                .replace(['"', ' '], "")
                .eq_ignore_ascii_case("charset=utf-8");
        match kind {
            Some(kind) if utf8 => Ok(kind),
            _ => {
                let shown: String = sent.chars().take(100).collect();
                let detail = match shown.is_empty() {
                    true => "the body has no content type".to_owned(),
                    false => format!("the content type {shown:?} is not known here"),
                };
                Err(Problem::new(Code::UnsupportedMediaType, detail).hint(meant()))
            }
        }
    }

    /// Reads the body, bounded in bytes and in time.
    async fn bytes(&mut self) -> Result<Bytes, Problem> {
        let limits = &self.node.doors.limits;
        let max = limits.request_bytes_max;
        let announced = self
            .parts
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok());
        if announced
            .and_then(|v| v.parse::<u64>().ok())
            .is_some_and(|length| length > max as u64)
        {
            return Err(too_large(max));
        }
        let stall_max = limits.body_stall_max;
        let time_max = limits.body_time_max;
        let body = self.body.get_mut().expect("nobody locks the body");
        let body = read_body(body, max, stall_max);
        tokio::time::timeout(time_max, body)
            .await
            .map_err(|_| slow())?
    }
}

/// What may be wrapped round a document: a list of proposals, a patch, a message.
const WRAPPED_DEPTH: usize = 8;

/// Reads what a writer sends, which `more` levels may be wrapped round. What nests too deep hears
/// by which setting.
pub(crate) fn read_json(node: &Node, bytes: &[u8], more: usize) -> Result<Json, Problem> {
    let document_depth_max = node.doors.engine.settings().rules.document_depth_max;
    let limits = Limits {
        bytes_max: node.doors.limits.request_bytes_max,
        depth_max: document_depth_max + WRAPPED_DEPTH + more,
    };
    let read = aside(bytes.len(), || Json::parse(bytes, &limits));
    read.map_err(|error| match error.kind {
        JsonErrorKind::TooDeep { .. } => Problem::new(Code::BadJson, error.to_string())
            .at(error.pointer)
            .hint("split it into several contexts")
            .limit(document_depth_max as u64, "max_document_depth"),
        _ => error.into(),
    })
}

/// Bounds how long a read waits for its node to be as far as its reader.
const MIN_CURSOR_WAIT: Duration = Duration::from_secs(10);

async fn read_body(body: &mut Body, max: usize, stall_max: Duration) -> Result<Bytes, Problem> {
    let mut whole = BytesMut::new();
    let mut first: Option<Bytes> = None;
    loop {
        let frame = match tokio::time::timeout(stall_max, body.frame()).await {
            Err(_) => return Err(slow()),
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(bad(format!("the body broke off: {error}"))),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + first.as_ref().map_or(0, Bytes::len) + data.len() > max {
            return Err(too_large(max));
        }
        // Most bodies come in one piece, which is then not copied.
        match (first.take(), whole.is_empty()) {
            (None, true) => first = Some(data),
            (before, _) => {
                if let Some(before) = before {
                    whole.extend_from_slice(&before);
                }
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

fn too_large(max: usize) -> Problem {
    Problem::new(Code::TooLarge, format!("a request has at most {max} bytes"))
        .limit(max as u64, "max_request_bytes")
}

fn slow() -> Problem {
    Problem::new(Code::RequestTimeout, "the body did not arrive in time")
}

/// Reads well-formed ETags that are not ours, or are weak: no head ever matches them, which is for
/// the decision to say.
pub(crate) fn foreign_etags(text: &str) -> Option<Precondition> {
    let quoted = |etag: &str| {
        let etag = etag.trim();
        let etag = etag.strip_prefix("W/").unwrap_or(etag);
        etag.len() >= 2 && etag.starts_with('"') && etag.ends_with('"')
    };
    if !text.split(',').all(quoted) {
        return None;
    }
    let mut ours: Vec<Etag> = text
        .split(',')
        .filter_map(|etag| Etag::parse(etag).ok())
        .collect();
    if ours.is_empty() {
        ours.extend(Etag::parse("\"v18446744073709551615-0000000000000000\""));
    }
    Some(Precondition::Match(ours))
}

/// A handler's answer, or why there is none.
pub(crate) type Answer = Result<http::Response<Body>, Problem>;

/// A handler: it unpacks, calls the engine once, and answers.
pub(crate) type Handler =
    fn(Ask) -> std::pin::Pin<Box<dyn std::future::Future<Output = Answer> + Send>>;
