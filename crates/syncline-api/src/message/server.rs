//! What a node sends, read leniently.

use std::collections::BTreeMap;

use syncline_model::ids::{Address, BranchName, ChangeId};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Object, Pointer};

use super::{ErrorMessage, optional, read_error};
use crate::change::WireChange;
use crate::context::ContextView;
use crate::problem::ResetReason;
use crate::receipt::ReceiptOrProblem;

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
        /// Which of its branches; absent is `main`.
        branch: Option<BranchName>,
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
                reason: f.string("reason")?.and_then(ResetReason::of_word),
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
                branch: f.parse("branch", BranchName::parse)?,
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
                reason: f.string("reason")?.and_then(ResetReason::of_word),
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

/// Returns what each `change` of a subscription begins with.
pub fn change_opening(sub: &str) -> String {
    let mut w = JsonWriter::new();
    w.begin_object();
    w.field_str("type", "change");
    w.field_str("sub", sub);
    w.key("n");
    w.into_string()
}

/// Writes `change` round a change that was encoded before. `opening` is the subscription's
/// ([`change_opening`]); `resume` is the cursor to keep instead of the change's own.
pub fn write_change_message(
    w: &mut JsonWriter,
    opening: &str,
    n: u64,
    change: &str,
    resume: Option<&str>,
) {
    w.begun(opening);
    w.u64(n);
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

/// Writes which context something is about, and which of its branches, as members.
pub fn write_line(w: &mut JsonWriter, line: &Address) {
    let (context, branch) = line.of_line();
    w.field_str("context", context.as_str());
    if let Some(branch) = branch {
        w.field_str("branch", branch.as_str());
    }
}

/// Writes `leave`.
pub fn write_leave(w: &mut JsonWriter, sub: &str, n: u64, line: &Address, cursor: Option<&str>) {
    w.begin_object();
    w.field_str("type", "leave");
    w.field_str("sub", sub);
    w.field_u64("n", n);
    write_line(w, line);
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
