//! The WebSocket's messages.
//!
//! Clients' messages are read strictly; a node's are read leniently. A node writes with the
//! `write_*` functions, so that what many receivers share is encoded once and passed on as it is.

mod client;
mod server;
mod subscribe;

use syncline_model::json::{FieldError, Fields, JsonWriter, Pointer};

pub use client::{BulkMode, ClientMessage, Hello, ID_LENGTH_MAX, Resync, Submit};
pub use server::{
    ServerMessage, Welcome, change_opening, write_begin, write_change_message, write_end,
    write_enter, write_heartbeat, write_lagging, write_leave, write_line, write_receipts,
    write_reset, write_snapshot, write_subscribed, write_welcome,
};
pub use subscribe::{COALESCE_MS_MAX, FIELDS_MAX, From, Subscribe};

use crate::problem::{Code, MetLimit, Problem};

/// After how long a client comes back to a subscription that could not be read on.
const SUBSCRIBE_AGAIN_MS: u64 = 1_000;

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
    /// The limit that was met.
    pub limit: Option<Box<MetLimit>>,
    /// The subscription that it names is over.
    pub ended: bool,
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
            limit: problem.limit.clone(),
            ended: false,
        }
    }

    /// Tells that a subscription is over, since it could not be read on. Where `retry` is true, its
    /// client may subscribe again, from the cursor that it holds.
    pub fn ended(subscription: Option<&str>, problem: &Problem) -> ErrorMessage {
        let error = ErrorMessage::from_problem(subscription, problem);
        let after_ms = error.after_ms.unwrap_or(SUBSCRIBE_AGAIN_MS);
        ErrorMessage {
            after_ms: error.retry.then_some(after_ms),
            ended: true,
            ..error
        }
    }

    /// Returns it as a problem.
    pub fn to_problem(&self) -> Problem {
        let mut problem = Problem::new(self.code, self.text.clone());
        problem.pointer = self.pointer.clone();
        problem.hint = self.hint.clone();
        problem.limit = self.limit.clone();
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
        limit: MetLimit::read(f)?,
        ended: f.bool("ended")?.unwrap_or(false),
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
    if let Some(met) = &error.limit {
        met.write(w);
    }
    if error.ended {
        w.field_bool("ended", true);
    }
}

/// Writes `error`.
pub fn write_error(w: &mut JsonWriter, error: &ErrorMessage) {
    w.begin_object();
    write_error_members(w, error);
    w.end_object();
}

fn optional(w: &mut JsonWriter, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        w.field_str(key, text);
    }
}
