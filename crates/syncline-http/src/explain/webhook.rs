//! What became of a change with a webhook.

use syncline_api::{Code, Problem};
use syncline_delivery::Terms;
use syncline_delivery::webhook::machine::{End, Logged};
use syncline_delivery::webhook::{Trace, WEBHOOK_KIND};
use syncline_model::json::JsonWriter;
use syncline_model::time::Timestamp;

use super::found::Found;
use crate::ask::Ask;
use crate::webhooks::{write_dead, write_logged};

/// Explains one webhook, as JSON.
pub(super) async fn explain(ask: &Ask, found: &Found, id: &str) -> Result<String, Problem> {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let webhooks = ask.node.doors.webhooks.as_ref();
    let webhooks =
        webhooks.ok_or_else(|| Problem::new(Code::NotBuilt, "this node calls no endpoints"))?;
    let trace = webhooks
        .trace(&workspace, &principal, id, &found.entry)
        .await?;
    let definition = &trace.shown.definition;
    let (scope, filter) = (&definition.scope, &definition.filter);
    let terms = Terms::of(&workspace, scope, filter, definition.condition.as_ref()).await?;
    let judged = found.judge(&terms);
    let hidden = found.entry.change.context.kind() == WEBHOOK_KIND;
    let now = workspace.now();
    let back = trace.shown.standing.holds_back(definition, now);
    let because = match judged.refusal() {
        Some(refusal) => refusal.to_owned(),
        None if hidden => "a webhook is told nothing of webhooks".to_owned(),
        None => judged.told(&because(found, &trace, back.as_ref())),
    };
    let standing = &trace.shown.standing;
    let mut w = JsonWriter::with_capacity(512);
    w.begin_object();
    w.field_str("webhook", id);
    w.field_bool("wanted", judged.wanted && !hidden);
    w.field_str("because", &because);
    found.write(&mut w, &terms, &judged);
    w.field_str("status", standing.word(definition, now));
    w.field_str("circuit", standing.circuit(now));
    w.field_str("cursor", &standing.state.cursor);
    if principal.reads_all() {
        w.field_u64("behind", standing.behind);
    }
    let wanted = judged.wanted && !hidden;
    // What was read by an earlier definition may wait still.
    if wanted || trace.event.is_some() || trace.dead.is_some() {
        write_queue(&mut w, found, &trace, back.as_ref());
    }
    w.key("attempts");
    w.begin_array();
    trace.attempts.iter().for_each(|l| write_logged(&mut w, l));
    w.end_array();
    if let Some(letter) = &trace.dead {
        w.key("dead");
        write_dead(&mut w, letter);
    }
    w.end_object();
    Ok(w.into_string())
}

fn arrived(logged: &Logged) -> bool {
    matches!(logged.end, End::Delivered(_))
}

/// Why nothing is sent, and until when.
type HeldBack = (String, Option<Timestamp>);

/// Says in words what came of it.
fn because(found: &Found, trace: &Trace, back: Option<&HeldBack>) -> String {
    let in_words = match (&trace.event, &trace.dead) {
        (Some(event), _) if event.begun => "an attempt is under way",
        (Some(_), _) => return waiting(trace, back),
        (None, Some(_)) => "it was given up: see the dead letter",
        _ if trace.attempts.iter().any(arrived) => "it arrived",
        _ => return unsent(found, trace, back),
    };
    in_words.to_owned()
}

/// Says why an event waits.
fn waiting(trace: &Trace, back: Option<&HeldBack>) -> String {
    match (back, &trace.event) {
        (Some((why, Some(until))), _) => format!("it waits until {until}: {why}"),
        (Some((why, None)), _) => format!("it waits: {why}"),
        (None, _) if trace.behind => "it waits behind an earlier change of its context".to_owned(),
        (None, Some(event)) if event.was_tried() => "it waits for its next attempt".to_owned(),
        (None, _) => "it waits for its first attempt".to_owned(),
    }
}

/// Says why nothing waits, where nothing arrived and nothing was given up.
fn unsent(found: &Found, trace: &Trace, back: Option<&HeldBack>) -> String {
    if let Some(End::Skipped(why)) = trace.attempts.first().map(|logged| &logged.end) {
        return format!("when it was to be sent, there was nothing to send: {why}");
    }
    let reads = trace.shown.definition.enabled && trace.shown.standing.state.disabled.is_none();
    let in_words = match back {
        _ if is_before(found, trace) => "it was committed before the webhook was made",
        _ if trace.read && trace.shown.head.version.0 > 1 => {
            "it is settled, or was not wanted when it was read; no attempt at it is logged any more"
        }
        _ if trace.read => "it is settled, and its attempts are logged no more",
        Some((why, _)) if !reads => return format!("it was not read: {why}"),
        Some((why, _)) => return format!("the webhook has not read so far, and {why}"),
        None => "the webhook has not read so far",
    };
    in_words.to_owned()
}

/// Says whether a change was committed before the webhook was made, and sent by no replay since.
fn is_before(found: &Found, trace: &Trace) -> bool {
    let earlier = found.entry.change.committed_at < trace.shown.head.created_at;
    earlier && trace.attempts.is_empty()
}

fn write_queue(w: &mut JsonWriter, found: &Found, trace: &Trace, back: Option<&HeldBack>) {
    w.key("queue");
    w.begin_object();
    let state = match (&trace.event, &trace.dead) {
        (Some(event), _) if event.begun => "in_flight",
        (Some(event), _) if event.attempts > 0 => "delayed",
        (Some(_), _) => "waiting",
        (None, Some(_)) => "dead",
        (None, None) if is_before(found, trace) => "before",
        (None, None) if trace.read => "done",
        (None, None) => "not_read",
    };
    w.field_str("state", state);
    if let Some(event) = &trace.event {
        w.field_u64("failures", event.attempts.into());
        // Nothing is due while nothing is sent, or before what comes first.
        let due = match back {
            Some((_, until)) => until.map(|until| until.max(event.due_at)),
            None => Some(event.due_at),
        };
        if let Some(due) = due.filter(|_| !trace.behind && !event.begun) {
            w.field_str("due_at", &due.to_string());
        }
        if let Some(error) = &event.last_error {
            w.field_str("last_error", error);
        }
    }
    w.end_object();
}
