//! What became of a change with a webhook.

use syncline_api::{Code, Problem};
use syncline_delivery::Terms;
use syncline_delivery::webhook::machine::{End, Logged};
use syncline_delivery::webhook::{Trace, WEBHOOK_KIND};
use syncline_model::json::JsonWriter;

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
    let because = match judged.refusal() {
        Some(refusal) => refusal,
        None if hidden => "a webhook is told nothing of webhooks",
        None => because(found, &trace),
    };
    let standing = &trace.shown.standing;
    let mut w = JsonWriter::with_capacity(512);
    w.begin_object();
    w.field_str("webhook", id);
    w.field_bool("wanted", judged.wanted && !hidden);
    w.field_str("because", because);
    found.write(&mut w, &terms, &judged);
    let now = workspace.now();
    w.field_str("status", standing.word(definition, now));
    w.field_str("circuit", standing.circuit(now));
    w.field_str("cursor", &standing.state.cursor);
    if principal.reads_all() {
        w.field_u64("behind", standing.behind);
    }
    write_queue(&mut w, &trace);
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

/// Says in words what came of it.
fn because(found: &Found, trace: &Trace) -> &'static str {
    let standing = &trace.shown.standing;
    let disabled = standing.state.disabled.is_some();
    let skipped = |logged: &Logged| matches!(logged.end, End::Skipped(_));
    match (&trace.event, &trace.dead) {
        (Some(event), _) if event.begun => "an attempt is under way",
        (Some(_), _) if disabled => "it waits, and the webhook is disabled",
        (Some(event), _) if event.attempts > 0 => "it waits for its next attempt",
        (Some(_), _) => "it waits for its first attempt, or behind a change of its context",
        (None, Some(_)) => "it was given up: see the dead letter",
        _ if trace.attempts.iter().any(arrived) => "it arrived",
        _ if trace.attempts.first().is_some_and(skipped) => "nothing was left to send",
        _ if found.entry.change.committed_at < trace.shown.head.created_at => {
            "it was committed before the webhook was made"
        }
        _ if trace.read => "it is settled, and its attempts are logged no more",
        _ if disabled => "the webhook is disabled, and reads no further",
        _ => "the webhook has not read so far",
    }
}

fn write_queue(w: &mut JsonWriter, trace: &Trace) {
    w.key("queue");
    w.begin_object();
    let state = match (&trace.event, &trace.dead) {
        (Some(event), _) if event.begun => "in_flight",
        (Some(event), _) if event.attempts > 0 => "delayed",
        (Some(_), _) => "waiting",
        (None, Some(_)) => "dead",
        (None, None) if trace.read => "done",
        (None, None) => "not_read",
    };
    w.field_str("state", state);
    if let Some(event) = &trace.event {
        w.field_u64("failures", event.attempts.into());
        w.field_str("due_at", &event.due_at.to_string());
        if let Some(error) = &event.last_error {
            w.field_str("last_error", error);
        }
    }
    w.end_object();
}
