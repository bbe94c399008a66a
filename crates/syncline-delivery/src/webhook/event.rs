//! What is posted: CloudEvents 1.0 in JSON, structured mode.

use syncline_api::{Mode, ResetReason, write_change, write_line};
use syncline_engine::Entry;
use syncline_model::change::{Change, ChangeType};
use syncline_model::head::Head;
use syncline_model::ids::{Address, WorkspaceId};
use syncline_model::json::JsonWriter;
use syncline_model::time::Timestamp;

/// The content type of what is posted.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";
/// Bounds what is posted: above this a change travels without its body (PROTOCOL, "Webhooks").
pub const BODY_BYTES_MAX: usize = 20 * 1024;

/// The type of the event that asks an endpoint whether it wants to hear of anything.
pub const VERIFICATION: &str = "dev.syncline.webhook.verification";
/// The type of the event that `test` fires.
pub const TEST: &str = "dev.syncline.webhook.test";
/// The type of the event that says that the receiver must read a snapshot.
pub const RESET: &str = "dev.syncline.reset";

/// An event that is ready to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `webhook-id`, and the event's id: the same at each attempt.
    pub id: String,
    /// The event, as JSON.
    pub body: String,
}

/// The circumstances of an event.
struct Envelope<'a> {
    id: &'a str,
    workspace: &'a WorkspaceId,
    kind: &'a str,
    subject: Option<&'a Address>,
    time: Timestamp,
}

impl Envelope<'_> {
    fn with(&self, data: &str) -> Message {
        let mut w = JsonWriter::with_capacity(data.len() + 300);
        w.begin_object();
        w.field_str("specversion", "1.0");
        w.field_str("id", self.id);
        w.field_str("source", &format!("/workspaces/{}", self.workspace));
        w.field_str("type", self.kind);
        if let Some(subject) = self.subject {
            w.field_str("subject", subject.as_str());
        }
        w.field_str("time", &self.time.to_string());
        w.field_str("datacontenttype", "application/json");
        w.field_raw("data", data);
        w.end_object();
        Message {
            id: self.id.to_owned(),
            body: w.into_string(),
        }
    }
}

/// Makes the event of a change in the scope: `body` is the wire change, which is left out where
/// the whole would be too large.
pub fn of_change(workspace: &WorkspaceId, entry: &Entry, body: &str) -> Message {
    let change = &entry.change;
    let kind = match change.kind {
        ChangeType::Create => "dev.syncline.context.created",
        ChangeType::Update => "dev.syncline.context.updated",
        ChangeType::Delete => "dev.syncline.context.deleted",
        ChangeType::Restore => "dev.syncline.context.restored",
    };
    within(workspace, change, kind, body, || {
        let mut w = JsonWriter::with_capacity(512);
        // Without the seq too: thin or not, nobody is told more than in the feed's own form.
        let cursor = change.bulk.is_none().then(|| entry.cursor());
        write_change(&mut w, change, None, cursor, Mode::Thin, true, false);
        w.into_string()
    })
}

/// Makes the event of a context that came into the scope; `context` is it, as the wire has it.
pub fn of_enter(workspace: &WorkspaceId, change: &Change, head: &Head, context: &str) -> Message {
    let kind = "dev.syncline.context.entered";
    let data = format!(r#"{{"type":"enter","context":{context}}}"#);
    within(workspace, change, kind, &data, || {
        let mut w = JsonWriter::with_capacity(256);
        w.begin_object();
        w.field_str("type", "enter");
        w.key("context");
        w.begin_object();
        write_line(&mut w, &head.address);
        w.field_u64("version", head.version.0);
        w.field_str("etag", &head.etag().to_string());
        w.end_object();
        w.end_object();
        w.into_string()
    })
}

/// Makes the event of a context that left the scope: which one, and nothing of why.
pub fn of_leave(workspace: &WorkspaceId, change: &Change) -> Message {
    let mut w = JsonWriter::with_capacity(128);
    w.begin_object();
    w.field_str("type", "leave");
    write_line(&mut w, &change.line());
    w.end_object();
    let kind = "dev.syncline.context.left";
    within(workspace, change, kind, &w.into_string(), String::new)
}

fn within(
    workspace: &WorkspaceId,
    change: &Change,
    kind: &str,
    data: &str,
    thin: impl FnOnce() -> String,
) -> Message {
    let id = change.id.to_string();
    let envelope = Envelope {
        id: &id,
        workspace,
        kind,
        subject: Some(&change.context),
        time: change.committed_at,
    };
    if data.len() <= BODY_BYTES_MAX {
        let whole = envelope.with(data);
        if whole.body.len() <= BODY_BYTES_MAX {
            return whole;
        }
    }
    envelope.with(&thin())
}

/// Makes the event that tells the receiver to read a snapshot: what lies before `cursor` was not
/// told, or not in full.
pub fn of_reset(
    workspace: &WorkspaceId,
    id: &str,
    reason: ResetReason,
    cursor: &str,
    now: Timestamp,
) -> Message {
    let mut w = JsonWriter::with_capacity(128);
    w.begin_object();
    w.field_str("type", "reset");
    w.field_str("reason", reason.as_str());
    w.field_str("cursor", cursor);
    w.end_object();
    plain(workspace, id, RESET, &w.into_string(), now)
}

/// Makes the event that asks for an answer with the challenge.
pub fn of_challenge(workspace: &WorkspaceId, id: &str, challenge: &str, now: Timestamp) -> Message {
    let mut w = JsonWriter::with_capacity(128);
    w.begin_object();
    w.field_str("challenge", challenge);
    w.end_object();
    plain(workspace, id, VERIFICATION, &w.into_string(), now)
}

/// Makes the event that `test` fires.
pub fn of_test(workspace: &WorkspaceId, id: &str, now: Timestamp) -> Message {
    plain(workspace, id, TEST, "{}", now)
}

fn plain(workspace: &WorkspaceId, id: &str, kind: &str, data: &str, time: Timestamp) -> Message {
    let envelope = Envelope {
        id,
        workspace,
        kind,
        subject: None,
        time,
    };
    envelope.with(data)
}

/// Says whether an answer brings the challenge back: as the whole text, or as the member
/// `challenge` of a JSON object.
pub fn echoes(answer: &[u8], challenge: &str) -> bool {
    use syncline_model::json::{Json, Limits};
    let Ok(text) = std::str::from_utf8(answer) else {
        return false;
    };
    if text.trim() == challenge {
        return true;
    }
    let limits = Limits {
        bytes_max: 16 * 1024,
        depth_max: 8,
    };
    Json::parse(answer, &limits)
        .is_ok_and(|json| json.get("challenge").and_then(Json::as_str) == Some(challenge))
}
