//! What clients send, read strictly.

use std::str::FromStr;

use syncline_model::change::parse_hash;
use syncline_model::document::DocumentHash;
use syncline_model::ids::{Address, BranchName, Name, Version, WorkspaceId};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Pointer};
use syncline_model::words;

use super::subscribe::{Subscribe, read_subscribe, write_subscribe};
use super::{ErrorMessage, optional, read_error, write_error_members};
use crate::problem::Problem;
use crate::proposal::parse_branch;

/// Bounds the ids that clients give their subscriptions and requests, in characters.
pub const ID_LENGTH_MAX: usize = 100;

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
    /// Whose model or service it is, by its own word.
    pub provider: Option<Name>,
    /// What the client can do; nothing is defined yet.
    pub capabilities: Json,
}

words! {
    /// Whether a bulk's parts stand and fall together.
    pub enum BulkMode {
        /// One refusal refuses all.
        Atomic = "atomic",
        /// Each is decided on its own.
        Independent = "independent",
    }
}

impl FromStr for BulkMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<BulkMode, &'static str> {
        BulkMode::of_word(text).ok_or("a bulk's mode is atomic or independent")
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

pub(super) fn required_id(f: &mut Fields<'_>, name: &'static str) -> Result<String, FieldError> {
    f.required_parse(name, parse_id)
}

fn read_hello(f: &mut Fields<'_>) -> Result<Hello, FieldError> {
    Ok(Hello {
        token: f.string("token")?.map(str::to_owned),
        client: f.string("client")?.map(str::to_owned),
        workspace: f.parse("workspace", WorkspaceId::parse)?,
        agent: f.parse("agent", Name::parse)?,
        session: f.parse("session", Name::parse)?,
        provider: f.parse("provider", Name::parse)?,
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
    optional(w, "provider", hello.provider.as_ref().map(Name::as_str));
    if !hello.capabilities.is_null() {
        w.field_json("capabilities", &hello.capabilities);
    }
}
