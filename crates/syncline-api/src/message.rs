//! The WebSocket's messages.
//!
//! Clients' messages are read strictly; a node's are read leniently. A node writes with the
//! `write_*` functions, so that what many receivers share is encoded once and passed on as it is.

use std::collections::BTreeMap;
use std::str::FromStr;

use syncline_model::change::parse_hash;
use syncline_model::document::DocumentHash;
use syncline_model::ids::{Address, BranchName, ChangeId, IdError, Name, Version, WorkspaceId};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Object, Pointer};
use syncline_model::time::Timestamp;

use crate::change::{Mode, WireChange};
use crate::context::ContextView;
use crate::filter::{Condition, Filters};
use crate::problem::{Code, Problem, ResetReason};
use crate::proposal::parse_branch;
use crate::receipt::ReceiptOrProblem;
use crate::scope::Scope;

/// Bounds the ids that clients give their subscriptions and requests, in characters.
pub const ID_LENGTH_MAX: usize = 100;
/// Bounds the pointers of a subscription's `fields`: each is looked up in every document.
pub const FIELDS_MAX: usize = 100;
/// Bounds how long changes may be held back to be told together, in milliseconds.
pub const COALESCE_MS_MAX: u64 = 60_000;

/// The first message of a connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hello {
    /// The key; none on the Unix socket.
    pub token: Option<String>,
    /// The client's name and version, such as `demo/1`.
    pub client: Option<String>,
    /// The workspace; absent is `default`.
    pub workspace: Option<WorkspaceId>,
    /// Who acts under the key, by its own word.
    pub agent: Option<Name>,
    /// The agent's session, by its own word.
    pub session: Option<Name>,
    /// What the client can do; nothing is defined yet.
    pub capabilities: Json,
}

/// Where a subscription begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum From {
    /// With the next change.
    #[default]
    Now,
    /// With a snapshot of what is there.
    Snapshot,
    /// After a place in the log.
    Cursor(String),
    /// With the log's first change.
    Start,
    /// With the first change that was committed after this time.
    Time(Timestamp),
}

/// Asks for the changes of a scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// The client's name for it on this connection.
    pub id: String,
    /// Which contexts.
    pub scope: Scope,
    /// Which of their changes; empty is all.
    pub filter: Filters,
    /// Which of those that the filter lets pass: the member `where`.
    pub condition: Option<Condition>,
    /// Which parts of a document; empty is all.
    pub fields: Vec<Pointer>,
    /// Changes of one context that come within so many milliseconds may be told as one.
    pub coalesce_ms: Option<u64>,
    /// What is sent of each change.
    pub mode: Mode,
    /// Where it begins.
    pub from: From,
    /// Leave out what this connection's own actor wrote.
    pub exclude_self: bool,
    /// With the values before.
    pub old: bool,
    /// The durable subscription that is joined. Then what else is asked for here must be what
    /// is meant where nothing is said: its definition says it.
    pub durable: Option<String>,
}

impl Subscribe {
    /// Asks for all changes of a scope from now on, as deltas; the rest is set by name.
    pub fn new(id: impl Into<String>, scope: Scope) -> Subscribe {
        Subscribe {
            id: id.into(),
            scope,
            filter: Filters::default(),
            condition: None,
            fields: Vec::new(),
            coalesce_ms: None,
            mode: Mode::default(),
            from: From::default(),
            exclude_self: false,
            old: false,
            durable: None,
        }
    }
}

/// Whether a bulk's parts stand and fall together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BulkMode {
    /// One refusal refuses all.
    Atomic,
    /// Each is decided on its own.
    Independent,
}

impl BulkMode {
    /// Returns the word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            BulkMode::Atomic => "atomic",
            BulkMode::Independent => "independent",
        }
    }
}

impl FromStr for BulkMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<BulkMode, &'static str> {
        match text {
            "atomic" => Ok(BulkMode::Atomic),
            "independent" => Ok(BulkMode::Independent),
            _ => Err("a bulk's mode is atomic or independent"),
        }
    }
}

/// Proposals.
#[derive(Clone, Debug, PartialEq)]
pub struct Submit {
    /// The client's name for it; the receipt names it as `ref`.
    pub id: String,
    /// The proposals, to be read with [`crate::read_proposal`].
    pub proposals: Vec<Json>,
    /// As one bulk; absent: each proposal alone.
    pub mode: Option<BulkMode>,
}

/// Asks for one context again, as a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Resync {
    /// The subscription that missed something.
    pub sub: Option<String>,
    /// Which context.
    pub context: Address,
    /// Which line of versions; absent is `main`.
    pub branch: Option<BranchName>,
    /// The version that the client holds, and the hash of what it holds: it is sent the context
    /// only if that is another.
    pub version: Option<Version>,
    /// See `version`.
    pub hash: Option<DocumentHash>,
    /// The client's name for the question; the answer names it as `ref`.
    pub id: Option<String>,
}

/// Says that something went wrong, without ending the connection.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorMessage {
    /// What it answers: the id of a subscription, submit or resync.
    pub reference: Option<String>,
    /// What kind of thing.
    pub code: Code,
    /// What exactly.
    pub text: String,
    /// The same may succeed later.
    pub retry: bool,
    /// When to try again.
    pub after_ms: Option<u64>,
    /// Where in what was sent.
    pub pointer: Option<Pointer>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a client sends.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// The first message.
    Hello(Hello),
    /// Asks for changes.
    Subscribe(Subscribe),
    /// Ends a subscription.
    Unsubscribe {
        /// Which.
        id: String,
    },
    /// Proposes changes.
    Submit(Submit),
    /// Asks for one context again.
    Resync(Resync),
    /// Says that all up to a cursor was handled.
    Ack {
        /// Of which subscription.
        sub: String,
        /// Up to here.
        cursor: String,
    },
    /// Gives a delivery back.
    Nack {
        /// Of which subscription.
        sub: String,
        /// Which delivery.
        cursor: String,
        /// After how long it comes again.
        delay_ms: Option<u64>,
        /// Why: a dead letter says it.
        reason: Option<String>,
    },
    /// Takes the whole time again.
    Extend {
        /// Of which subscription.
        sub: String,
        /// For which delivery; absent is all that it has.
        cursor: Option<String>,
    },
    /// Shows that the client is there.
    Heartbeat,
    /// Tells the node of an error at the client.
    Error(ErrorMessage),
    /// A type that is not known or not built.
    Other {
        /// The type, shortened.
        kind: String,
        /// The message's `id`, to answer it.
        id: Option<String>,
    },
}

impl ClientMessage {
    /// Reads a message that a client sent.
    pub fn read(value: &Json, at: &Pointer) -> Result<ClientMessage, Problem> {
        let mut f = Fields::new(value, at)?;
        let kind = f.required_string("type")?;
        let message = match kind {
            "hello" => ClientMessage::Hello(read_hello(&mut f)?),
            "subscribe" => ClientMessage::Subscribe(read_subscribe(&mut f)?),
            "unsubscribe" => ClientMessage::Unsubscribe {
                id: required_id(&mut f, "id")?,
            },
            "submit" => {
                f.required("proposals")?;
                ClientMessage::Submit(Submit {
                    id: required_id(&mut f, "id")?,
                    proposals: f.array("proposals")?.unwrap_or_default().to_vec(),
                    mode: f.parse("mode", BulkMode::from_str)?,
                })
            }
            "resync" => ClientMessage::Resync(Resync {
                id: f.parse("id", parse_id)?,
                sub: f.parse("sub", parse_id)?,
                context: f.required_parse("context", Address::parse)?,
                branch: f.parse("branch", parse_branch)?.flatten(),
                version: f.u64("version")?.map(Version),
                hash: f.parse("hash", parse_hash)?,
            }),
            "ack" => ClientMessage::Ack {
                sub: required_id(&mut f, "sub")?,
                cursor: f.required_string("cursor")?.to_owned(),
            },
            "nack" => ClientMessage::Nack {
                sub: required_id(&mut f, "sub")?,
                cursor: f.required_string("cursor")?.to_owned(),
                delay_ms: f.u64("delay_ms")?,
                reason: f.string("reason")?.map(str::to_owned),
            },
            "extend" => ClientMessage::Extend {
                sub: required_id(&mut f, "sub")?,
                cursor: f.string("cursor")?.map(str::to_owned),
            },
            "heartbeat" => ClientMessage::Heartbeat,
            "error" => return Ok(ClientMessage::Error(read_error(&mut f)?)),
            other => {
                let id = f.optional("id").and_then(Json::as_str);
                return Ok(ClientMessage::Other {
                    kind: other.chars().take(40).collect(),
                    id: id.map(|id| id.chars().take(ID_LENGTH_MAX).collect()),
                });
            }
        };
        f.finish()?;
        Ok(message)
    }

    /// Returns the id that an answer to this message, which could not be read, refers to: its own,
    /// or else its subscription's.
    pub fn reference(value: &Json) -> Option<&str> {
        let id = value.get("id").or_else(|| value.get("sub"));
        let id = id.and_then(Json::as_str)?;
        (id.chars().count() <= ID_LENGTH_MAX).then_some(id)
    }

    /// Writes the message.
    pub fn write(&self, w: &mut JsonWriter) {
        w.begin_object();
        match self {
            ClientMessage::Hello(hello) => write_hello(w, hello),
            ClientMessage::Subscribe(subscribe) => write_subscribe(w, subscribe),
            ClientMessage::Unsubscribe { id } => {
                w.field_str("type", "unsubscribe");
                w.field_str("id", id);
            }
            ClientMessage::Submit(submit) => {
                w.field_str("type", "submit");
                w.field_str("id", &submit.id);
                if let Some(mode) = submit.mode {
                    w.field_str("mode", mode.as_str());
                }
                w.key("proposals");
                w.begin_array();
                submit
                    .proposals
                    .iter()
                    .for_each(|proposal| w.value(proposal));
                w.end_array();
            }
            ClientMessage::Resync(resync) => {
                w.field_str("type", "resync");
                optional(w, "id", resync.id.as_deref());
                optional(w, "sub", resync.sub.as_deref());
                w.field_str("context", resync.context.as_str());
                optional(w, "branch", resync.branch.as_ref().map(BranchName::as_str));
                if let Some(version) = resync.version {
                    w.field_u64("version", version.0);
                }
                if let Some(hash) = resync.hash {
                    w.field_str("hash", &hash.to_string());
                }
            }
            ClientMessage::Ack { sub, cursor } => {
                w.field_str("type", "ack");
                w.field_str("sub", sub);
                w.field_str("cursor", cursor);
            }
            ClientMessage::Nack {
                sub,
                cursor,
                delay_ms,
                reason,
            } => {
                w.field_str("type", "nack");
                w.field_str("sub", sub);
                w.field_str("cursor", cursor);
                if let Some(ms) = delay_ms {
                    w.field_u64("delay_ms", *ms);
                }
                optional(w, "reason", reason.as_deref());
            }
            ClientMessage::Extend { sub, cursor } => {
                w.field_str("type", "extend");
                w.field_str("sub", sub);
                optional(w, "cursor", cursor.as_deref());
            }
            ClientMessage::Heartbeat => w.field_str("type", "heartbeat"),
            ClientMessage::Error(error) => write_error_members(w, error),
            ClientMessage::Other { kind, id } => {
                w.field_str("type", kind);
                optional(w, "id", id.as_deref());
            }
        }
        w.end_object();
    }

    /// Returns the message's JSON text.
    pub fn to_text(&self) -> String {
        let mut w = JsonWriter::new();
        self.write(&mut w);
        w.into_string()
    }
}

fn parse_id(text: &str) -> Result<String, String> {
    let good =
        (1..=ID_LENGTH_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let why = || format!("an id has 1 to {ID_LENGTH_MAX} characters and no control characters");
    good.then(|| text.to_owned()).ok_or_else(why)
}

fn required_id(f: &mut Fields<'_>, name: &'static str) -> Result<String, FieldError> {
    f.required_parse(name, parse_id)
}

fn read_hello(f: &mut Fields<'_>) -> Result<Hello, FieldError> {
    Ok(Hello {
        token: f.string("token")?.map(str::to_owned),
        client: f.string("client")?.map(str::to_owned),
        workspace: f.parse("workspace", WorkspaceId::parse)?,
        agent: f.parse("agent", Name::parse)?,
        session: f.parse("session", Name::parse)?,
        capabilities: f.optional("capabilities").cloned().unwrap_or_default(),
    })
}

fn write_hello(w: &mut JsonWriter, hello: &Hello) {
    w.field_str("type", "hello");
    optional(w, "token", hello.token.as_deref());
    optional(w, "client", hello.client.as_deref());
    optional(
        w,
        "workspace",
        hello.workspace.as_ref().map(WorkspaceId::as_str),
    );
    optional(w, "agent", hello.agent.as_ref().map(Name::as_str));
    optional(w, "session", hello.session.as_ref().map(Name::as_str));
    if !hello.capabilities.is_null() {
        w.field_json("capabilities", &hello.capabilities);
    }
}

/// What a subscription may say in PROTOCOL and no node can do yet.
const SUBSCRIBE_NOT_BUILT: [&str; 1] = ["ack"];

fn read_subscribe(f: &mut Fields<'_>) -> Result<Subscribe, Problem> {
    let id = required_id(f, "id")?;
    if let Some(name) = f.parse("durable", parse_durable)? {
        return join_durable(f, id, name);
    }
    for name in SUBSCRIBE_NOT_BUILT {
        if f.optional(name).is_some() {
            let at = f.at(name);
            return Err(Problem::not_built(&format!("{name} of a subscription")).at(at));
        }
    }
    if f.optional("mode").and_then(Json::as_str) == Some("replica") {
        return Err(Problem::not_built("mode replica").at(f.at("mode")));
    }
    let at = f.at("scope");
    let scope = Scope::read(f.required("scope")?, &at)?;
    let at = f.at("filter");
    let filter = f.optional("filter").map(|v| Filters::read(v, &at));
    let at = f.at("from");
    Ok(Subscribe {
        durable: None,
        id,
        scope,
        filter: filter.transpose()?.unwrap_or_default(),
        condition: f.parse("where", Condition::parse)?,
        fields: read_fields(f)?,
        coalesce_ms: read_coalesce(f)?,
        mode: f.parse("mode", Mode::from_str)?.unwrap_or_default(),
        from: f
            .optional("from")
            .map(|v| From::read(v, &at))
            .transpose()?
            .unwrap_or_default(),
        exclude_self: f.bool("exclude_self")?.unwrap_or(false),
        old: f.bool("old")?.unwrap_or(false),
    })
}

/// Reads the name of a durable subscription, which is the id of a context that defines it.
fn parse_durable(name: &str) -> Result<String, IdError> {
    Address::from_parts("subscription", name).map(|address| address.id().to_owned())
}

/// Reads a subscription that joins a durable one: what its definition says is not said again.
fn join_durable(f: &mut Fields<'_>, id: String, name: String) -> Result<Subscribe, Problem> {
    const DEFINED: [&str; 9] = [
        "scope",
        "filter",
        "where",
        "fields",
        "mode",
        "from",
        "coalesce_ms",
        "exclude_self",
        "old",
    ];
    for member in DEFINED {
        if f.optional(member).is_some() {
            let why = format!("the definition of {name:?} says it");
            return Err(FieldError::invalid(f.at(member), why).into());
        }
    }
    if f.bool("ack")? == Some(false) {
        let why = format!("what {name:?} delivers is always acknowledged");
        return Err(FieldError::invalid(f.at("ack"), why).into());
    }
    Ok(Subscribe {
        durable: Some(name),
        ..Subscribe::new(id, Scope::workspace())
    })
}

fn read_fields(f: &mut Fields<'_>) -> Result<Vec<Pointer>, FieldError> {
    let at = f.at("fields");
    let items = f.array("fields")?.unwrap_or_default();
    if items.len() > FIELDS_MAX {
        let why = format!("at most {FIELDS_MAX} pointers fit here");
        return Err(FieldError::invalid(at, why));
    }
    let pointer = |(index, item): (usize, &Json)| {
        let here = at.index(index);
        let text = item
            .as_str()
            .ok_or_else(|| FieldError::wrong_type(here.clone(), "string", item))?;
        Pointer::parse(text).map_err(|error| FieldError::invalid(here, error))
    };
    items.iter().enumerate().map(pointer).collect()
}

fn read_coalesce(f: &mut Fields<'_>) -> Result<Option<u64>, FieldError> {
    match f.u64("coalesce_ms")? {
        Some(ms) if ms > COALESCE_MS_MAX => Err(FieldError::invalid(
            f.at("coalesce_ms"),
            format!("at most {COALESCE_MS_MAX} milliseconds fit here"),
        )),
        ms => Ok(ms),
    }
}

fn write_subscribe(w: &mut JsonWriter, subscribe: &Subscribe) {
    w.field_str("type", "subscribe");
    w.field_str("id", &subscribe.id);
    if let Some(name) = &subscribe.durable {
        return w.field_str("durable", name);
    }
    w.key("scope");
    subscribe.scope.write(w);
    if !subscribe.filter.is_empty() {
        w.key("filter");
        subscribe.filter.write(w);
    }
    optional(
        w,
        "where",
        subscribe.condition.as_ref().map(Condition::as_str),
    );
    if !subscribe.fields.is_empty() {
        w.key("fields");
        w.begin_array();
        let pointers = subscribe.fields.iter();
        pointers.for_each(|pointer| w.string(&pointer.to_string()));
        w.end_array();
    }
    if let Some(ms) = subscribe.coalesce_ms {
        w.field_u64("coalesce_ms", ms);
    }
    if subscribe.mode != Mode::default() {
        w.field_str("mode", subscribe.mode.as_str());
    }
    w.key("from");
    subscribe.from.write(w);
    for (name, flag) in [
        ("exclude_self", subscribe.exclude_self),
        ("old", subscribe.old),
    ] {
        if flag {
            w.field_bool(name, true);
        }
    }
}

impl From {
    /// Reads `"now"`, `"snapshot"`, `"start"`, `{"cursor":"…"}` or `{"time":"2026-…"}`.
    pub fn read(value: &Json, at: &Pointer) -> Result<From, FieldError> {
        const WHAT: &str = "from is \"now\", \"snapshot\", \"start\", {\"cursor\":\"…\"} or \
            {\"time\":\"…\"}";
        match value {
            Json::String(text) if &**text == "now" => Ok(From::Now),
            Json::String(text) if &**text == "snapshot" => Ok(From::Snapshot),
            Json::String(text) if &**text == "start" => Ok(From::Start),
            Json::Object(_) => {
                let mut f = Fields::new(value, at)?;
                let cursor = f.string("cursor")?.map(str::to_owned);
                let time = f.parse("time", Timestamp::parse)?;
                f.finish()?;
                match (cursor, time) {
                    (Some(cursor), None) => Ok(From::Cursor(cursor)),
                    (None, Some(time)) => Ok(From::Time(time)),
                    _ => Err(FieldError::invalid(at.clone(), WHAT)),
                }
            }
            _ => Err(FieldError::invalid(at.clone(), WHAT)),
        }
    }

    /// Writes it.
    pub fn write(&self, w: &mut JsonWriter) {
        match self {
            From::Now => w.string("now"),
            From::Snapshot => w.string("snapshot"),
            From::Start => w.string("start"),
            From::Cursor(cursor) => {
                w.begin_object();
                w.field_str("cursor", cursor);
                w.end_object();
            }
            From::Time(time) => {
                w.begin_object();
                w.field_str("time", &time.to_string());
                w.end_object();
            }
        }
    }
}

fn optional(w: &mut JsonWriter, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        w.field_str(key, text);
    }
}

impl ErrorMessage {
    /// Tells a problem to whoever sent `reference`.
    pub fn from_problem(reference: Option<&str>, problem: &Problem) -> ErrorMessage {
        ErrorMessage {
            reference: reference.map(str::to_owned),
            code: problem.code,
            text: problem.detail.clone(),
            retry: problem.code.retry(),
            after_ms: problem.retry_after_ms,
            pointer: problem.pointer.clone(),
            hint: problem.hint.clone(),
        }
    }

    /// Returns it as a problem.
    pub fn to_problem(&self) -> Problem {
        let mut problem = Problem::new(self.code, self.text.clone());
        problem.pointer = self.pointer.clone();
        problem.hint = self.hint.clone();
        problem.retry_after_ms = self.after_ms;
        problem
    }
}

fn read_error(f: &mut Fields<'_>) -> Result<ErrorMessage, FieldError> {
    let code = f
        .string("code")?
        .and_then(Code::from_name)
        .unwrap_or(Code::Internal);
    Ok(ErrorMessage {
        reference: f.string("ref")?.map(str::to_owned),
        code,
        text: f.string("text")?.unwrap_or("no text was given").to_owned(),
        retry: f.bool("retry")?.unwrap_or(code.retry()),
        after_ms: f.u64("after_ms")?,
        pointer: f.parse("pointer", Pointer::parse)?,
        hint: f.string("hint")?.map(str::to_owned),
    })
}

fn write_error_members(w: &mut JsonWriter, error: &ErrorMessage) {
    w.field_str("type", "error");
    optional(w, "ref", error.reference.as_deref());
    w.field_str("code", error.code.name());
    w.field_str("text", &error.text);
    w.field_bool("retry", error.retry);
    if let Some(after) = error.after_ms {
        w.field_u64("after_ms", after);
    }
    if let Some(pointer) = &error.pointer {
        w.field_str("pointer", &pointer.to_string());
    }
    optional(w, "hint", error.hint.as_deref());
}

/// The node's answer to `hello`.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// The node's name for the connection.
    pub connection: String,
    /// Which life of the log this is.
    pub epoch: String,
    /// The log's end.
    pub cursor: String,
    /// How much silence there is at most.
    pub heartbeat_s: u64,
    /// The connection's limits, by name.
    pub limits: Json,
    /// When the token stops to count, as RFC 3339.
    pub token_expires_at: Option<String>,
}

/// What a node sends, as a client reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerMessage {
    /// Answers `hello`.
    Welcome(Welcome),
    /// Answers `subscribe`.
    Subscribed {
        /// The subscription.
        id: String,
        /// Where it begins.
        cursor: String,
        /// It goes on where it stopped; if not, `snapshot` pages follow.
        recovered: bool,
        /// Why not.
        reason: Option<ResetReason>,
    },
    /// A change of the scope.
    Change {
        /// The subscription.
        sub: String,
        /// The count of this subscription on this connection.
        n: u64,
        /// The change.
        change: Box<WireChange>,
        /// The cursor to keep instead of the change's own.
        resume: Option<String>,
    },
    /// A page of contexts: of a subscription, or the answer to `resync`.
    Snapshot {
        /// The subscription.
        sub: Option<String>,
        /// The `resync` that it answers.
        reference: Option<String>,
        /// The contexts.
        contexts: Vec<ContextView>,
        /// No page follows.
        last: bool,
        /// On the last page: where the log goes on.
        cursor: Option<String>,
    },
    /// A context came into the scope.
    Enter {
        /// The subscription.
        sub: String,
        /// The count of this subscription on this connection.
        n: u64,
        /// The context as of the change that brought it in.
        context: Box<ContextView>,
        /// The change's cursor; none inside a bulk.
        cursor: Option<String>,
    },
    /// A context left the scope.
    Leave {
        /// The subscription.
        sub: String,
        /// The count of this subscription on this connection.
        n: u64,
        /// Which context.
        address: Address,
        /// The change's cursor; none inside a bulk.
        cursor: Option<String>,
    },
    /// A bulk's visible parts follow.
    Begin {
        /// The subscription.
        sub: String,
        /// The bulk.
        bulk: ChangeId,
    },
    /// A bulk's visible parts are complete.
    End {
        /// The subscription.
        sub: String,
        /// The bulk.
        bulk: ChangeId,
        /// The cursor after it.
        cursor: String,
    },
    /// The node is there, and each subscription has seen all up to its cursor.
    Heartbeat {
        /// Cursors by subscription.
        subs: BTreeMap<String, String>,
    },
    /// Answers `submit`.
    Receipt {
        /// The submit's id.
        reference: String,
        /// The bulk, if it was one.
        bulk: Option<ChangeId>,
        /// An answer for each proposal, in their order.
        receipts: Vec<ReceiptOrProblem>,
    },
    /// The subscription is behind and is fed from the log.
    Lagging {
        /// The subscription.
        sub: String,
    },
    /// The subscription is over: start again from a snapshot.
    Reset {
        /// The subscription.
        sub: String,
        /// Why.
        reason: Option<ResetReason>,
    },
    /// Something went wrong.
    Error(ErrorMessage),
    /// A type that this client does not know.
    Other {
        /// The type.
        kind: String,
    },
}

impl ServerMessage {
    /// Reads a message that a node sent; what is not known is ignored.
    pub fn read(value: &Json, at: &Pointer) -> Result<ServerMessage, FieldError> {
        let mut f = Fields::new(value, at)?;
        let text = |text: &str| text.to_owned();
        Ok(match f.required_string("type")? {
            "welcome" => ServerMessage::Welcome(Welcome {
                connection: f.required_string("connection")?.to_owned(),
                epoch: f.required_string("epoch")?.to_owned(),
                cursor: f.required_string("cursor")?.to_owned(),
                heartbeat_s: f.u64("heartbeat_s")?.unwrap_or(25),
                limits: f.optional("limits").cloned().unwrap_or_default(),
                token_expires_at: f.string("token_expires_at")?.map(text),
            }),
            "subscribed" => ServerMessage::Subscribed {
                id: f.required_string("id")?.to_owned(),
                cursor: f.required_string("cursor")?.to_owned(),
                recovered: f.bool("recovered")?.unwrap_or(false),
                reason: f.string("reason")?.and_then(ResetReason::parse),
            },
            "change" => ServerMessage::Change {
                sub: f.required_string("sub")?.to_owned(),
                n: f.required_u64("n")?,
                change: Box::new(WireChange::read(
                    f.required("change")?,
                    &at.child("change"),
                )?),
                resume: f.string("resume")?.map(text),
            },
            "snapshot" => ServerMessage::Snapshot {
                sub: f.string("sub")?.map(text),
                reference: f.string("ref")?.map(text),
                contexts: read_contexts(&mut f)?,
                last: f.bool("last")?.unwrap_or(false),
                cursor: f.string("cursor")?.map(text),
            },
            "enter" => ServerMessage::Enter {
                sub: f.required_string("sub")?.to_owned(),
                n: f.required_u64("n")?,
                context: Box::new(ContextView::read(
                    f.required("context")?,
                    &at.child("context"),
                )?),
                cursor: f.string("cursor")?.map(text),
            },
            "leave" => ServerMessage::Leave {
                sub: f.required_string("sub")?.to_owned(),
                n: f.required_u64("n")?,
                address: f.required_parse("context", Address::parse)?,
                cursor: f.string("cursor")?.map(text),
            },
            "begin" => ServerMessage::Begin {
                sub: f.required_string("sub")?.to_owned(),
                bulk: f.required_parse("bulk", ChangeId::parse)?,
            },
            "end" => ServerMessage::End {
                sub: f.required_string("sub")?.to_owned(),
                bulk: f.required_parse("bulk", ChangeId::parse)?,
                cursor: f.required_string("cursor")?.to_owned(),
            },
            "heartbeat" => ServerMessage::Heartbeat {
                subs: read_subs(&mut f)?,
            },
            "receipt" => ServerMessage::Receipt {
                reference: f.required_string("ref")?.to_owned(),
                bulk: f.parse("bulk", ChangeId::parse)?,
                receipts: read_receipts(&mut f)?,
            },
            "lagging" => ServerMessage::Lagging {
                sub: f.required_string("sub")?.to_owned(),
            },
            "reset" => ServerMessage::Reset {
                sub: f.required_string("sub")?.to_owned(),
                reason: f.string("reason")?.and_then(ResetReason::parse),
            },
            "error" => ServerMessage::Error(read_error(&mut f)?),
            other => ServerMessage::Other {
                kind: other.to_owned(),
            },
        })
    }
}

fn read_contexts(f: &mut Fields<'_>) -> Result<Vec<ContextView>, FieldError> {
    let at = f.at("contexts");
    let contexts = f.array("contexts")?.unwrap_or_default().iter().enumerate();
    contexts
        .map(|(index, context)| ContextView::read(context, &at.index(index)))
        .collect()
}

fn read_receipts(f: &mut Fields<'_>) -> Result<Vec<ReceiptOrProblem>, FieldError> {
    let at = f.at("receipts");
    let receipts = f.array("receipts")?.unwrap_or_default().iter().enumerate();
    receipts
        .map(|(index, receipt)| ReceiptOrProblem::read(receipt, &at.index(index)))
        .collect()
}

fn read_subs(f: &mut Fields<'_>) -> Result<BTreeMap<String, String>, FieldError> {
    let empty = Object::new();
    let subs = f.object("subs")?.unwrap_or(&empty);
    let cursor = |(id, cursor): (&str, &Json)| Some((id.to_owned(), cursor.as_str()?.to_owned()));
    Ok(subs.iter().filter_map(cursor).collect())
}

/// Writes `welcome`.
pub fn write_welcome(w: &mut JsonWriter, welcome: &Welcome) {
    w.begin_object();
    w.field_str("type", "welcome");
    w.field_str("connection", &welcome.connection);
    w.field_str("epoch", &welcome.epoch);
    w.field_str("cursor", &welcome.cursor);
    w.field_u64("heartbeat_s", welcome.heartbeat_s);
    w.field_json("limits", &welcome.limits);
    optional(w, "token_expires_at", welcome.token_expires_at.as_deref());
    w.end_object();
}

/// Writes `subscribed`.
pub fn write_subscribed(
    w: &mut JsonWriter,
    id: &str,
    cursor: &str,
    recovered: bool,
    reason: Option<ResetReason>,
) {
    w.begin_object();
    w.field_str("type", "subscribed");
    w.field_str("id", id);
    w.field_str("cursor", cursor);
    w.field_bool("recovered", recovered);
    optional(w, "reason", reason.map(ResetReason::as_str));
    w.end_object();
}

/// Writes `change` round a change that was encoded before; `resume` is the cursor to keep instead
/// of the change's own.
pub fn write_change_message(
    w: &mut JsonWriter,
    sub: &str,
    n: u64,
    change: &str,
    resume: Option<&str>,
) {
    w.begin_object();
    w.field_str("type", "change");
    w.field_str("sub", sub);
    w.field_u64("n", n);
    w.field_raw("change", change);
    optional(w, "resume", resume);
    w.end_object();
}

/// Writes `snapshot`: a page of a subscription, or the answer to a `resync`. `contexts` writes the
/// items.
pub fn write_snapshot(
    w: &mut JsonWriter,
    sub: Option<&str>,
    reference: Option<&str>,
    contexts: impl FnOnce(&mut JsonWriter),
    last: bool,
    cursor: Option<&str>,
) {
    w.begin_object();
    w.field_str("type", "snapshot");
    optional(w, "sub", sub);
    optional(w, "ref", reference);
    w.key("contexts");
    w.begin_array();
    contexts(w);
    w.end_array();
    w.field_bool("last", last);
    optional(w, "cursor", cursor);
    w.end_object();
}

/// Writes `enter`; `context` writes the context.
pub fn write_enter(
    w: &mut JsonWriter,
    sub: &str,
    n: u64,
    context: impl FnOnce(&mut JsonWriter),
    cursor: Option<&str>,
) {
    w.begin_object();
    w.field_str("type", "enter");
    w.field_str("sub", sub);
    w.field_u64("n", n);
    w.key("context");
    context(w);
    optional(w, "cursor", cursor);
    w.end_object();
}

/// Writes `leave`.
pub fn write_leave(w: &mut JsonWriter, sub: &str, n: u64, address: &Address, cursor: Option<&str>) {
    w.begin_object();
    w.field_str("type", "leave");
    w.field_str("sub", sub);
    w.field_u64("n", n);
    w.field_str("context", address.as_str());
    optional(w, "cursor", cursor);
    w.end_object();
}

/// Writes `begin`.
pub fn write_begin(w: &mut JsonWriter, sub: &str, bulk: ChangeId) {
    w.begin_object();
    w.field_str("type", "begin");
    w.field_str("sub", sub);
    w.field_str("bulk", &bulk.to_string());
    w.end_object();
}

/// Writes `end`.
pub fn write_end(w: &mut JsonWriter, sub: &str, bulk: ChangeId, cursor: &str) {
    w.begin_object();
    w.field_str("type", "end");
    w.field_str("sub", sub);
    w.field_str("bulk", &bulk.to_string());
    w.field_str("cursor", cursor);
    w.end_object();
}

/// Writes `heartbeat` with each subscription's high-water cursor.
pub fn write_heartbeat<'a>(w: &mut JsonWriter, subs: impl Iterator<Item = (&'a str, String)>) {
    w.begin_object();
    w.field_str("type", "heartbeat");
    w.key("subs");
    w.begin_object();
    subs.for_each(|(id, cursor)| w.field_str(id, &cursor));
    w.end_object();
    w.end_object();
}

/// Writes `receipt`.
pub fn write_receipts(
    w: &mut JsonWriter,
    reference: &str,
    bulk: Option<ChangeId>,
    receipts: &[ReceiptOrProblem],
) {
    w.begin_object();
    w.field_str("type", "receipt");
    w.field_str("ref", reference);
    optional(w, "bulk", bulk.map(|id| id.to_string()).as_deref());
    w.key("receipts");
    w.begin_array();
    receipts.iter().for_each(|receipt| receipt.write(w));
    w.end_array();
    w.end_object();
}

/// Writes `lagging`.
pub fn write_lagging(w: &mut JsonWriter, sub: &str) {
    w.begin_object();
    w.field_str("type", "lagging");
    w.field_str("sub", sub);
    w.end_object();
}

/// Writes `reset`.
pub fn write_reset(w: &mut JsonWriter, sub: &str, reason: ResetReason) {
    w.begin_object();
    w.field_str("type", "reset");
    w.field_str("sub", sub);
    w.field_str("reason", reason.as_str());
    w.end_object();
}

/// Writes `error`.
pub fn write_error(w: &mut JsonWriter, error: &ErrorMessage) {
    w.begin_object();
    write_error_members(w, error);
    w.end_object();
}
