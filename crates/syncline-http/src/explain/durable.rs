//! What became of a change with a durable subscription.

use syncline_api::Problem;
use syncline_delivery::Terms;
use syncline_delivery::durable::{Began, Standing};
use syncline_model::json::JsonWriter;

use super::found::Found;
use crate::ask::Ask;
use crate::subscriptions::write_letter;

/// Explains one durable subscription, as JSON.
pub(super) async fn explain(ask: &Ask, found: &Found, name: &str) -> Result<String, Problem> {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let durable = ask.node.durables.find(&workspace, &principal, name).await?;
    let definition = durable.definition()?;
    let (scope, filter) = (&definition.scope, &definition.filter);
    let terms = Terms::of(&workspace, scope, filter, definition.condition.as_ref()).await?;
    let judged = found.judge(&terms);
    let (standing, letter) = durable.standing(&found.entry).await?;
    let inspection = durable.inspect().await?;
    let because = match judged.refusal() {
        Some(refusal) => refusal,
        None => because(letter.is_some(), &standing),
    };
    let mut w = JsonWriter::with_capacity(512);
    w.begin_object();
    w.field_str("subscription", name);
    w.field_bool("wanted", judged.wanted);
    w.field_str("because", &judged.told(because));
    found.write(&mut w, &terms, &judged);
    let acknowledged = acknowledged(letter.is_some(), &standing);
    if let Some(acknowledged) = acknowledged.filter(|_| judged.wanted) {
        w.field_bool("acknowledged", acknowledged);
    }
    w.field_str("cursor", &workspace.seal_fresh(&inspection.acknowledged));
    // How many records there are tells how many are hidden.
    if principal.reads_all() {
        w.field_u64("behind", inspection.behind);
    }
    if judged.wanted {
        write_standing(&mut w, letter.is_some(), &standing);
    }
    if let Some(letter) = &letter {
        let place = letter.unit.place(workspace.epoch());
        w.key("dead");
        write_letter(&mut w, &workspace.seal(&place), letter);
    }
    w.end_object();
    Ok(w.into_string())
}

/// Says whether it was acknowledged, where that is known.
fn acknowledged(dead: bool, standing: &Standing) -> Option<bool> {
    match standing {
        _ if dead => Some(false),
        Standing::Done => Some(true),
        Standing::Held { acked, .. } => Some(*acked),
        Standing::NotRead | Standing::Deferred | Standing::NotReadAgain(Some(_)) => Some(false),
        // What lies before a place was done by then, or passed over: only what lies before the
        // very first was delivered to nobody.
        Standing::Before(Began::Made) => Some(false),
        Standing::NotReadAgain(None) | Standing::Before(_) => None,
    }
}

/// Says in words what came of it.
fn because(dead: bool, standing: &Standing) -> &'static str {
    match standing {
        _ if dead => "it was given up: see the dead letter",
        Standing::NotRead => "nobody has asked for it yet",
        Standing::NotReadAgain(Some(counts)) if counts.deliveries > 0 => {
            "it was delivered and is not done; it was not read again since the node started"
        }
        Standing::NotReadAgain(_) => "it was not read again since the node started",
        Standing::Before(began) => before(*began),
        Standing::Deferred => "it waits behind an earlier change of its context",
        Standing::Held { acked: true, .. } => {
            "it is acknowledged, and an earlier change of its context is not"
        }
        Standing::Held {
            consumer: Some(_), ..
        } => "a consumer has it",
        Standing::Held { until: Some(_), .. } => "it was given back, and comes again",
        Standing::Held { first: false, .. } => "it waits for an earlier change of its context",
        Standing::Held { full: true, .. } => {
            "it waits for an acknowledgement: as much is delivered as the window holds"
        }
        Standing::Held { deliveries: 0, .. } => "it waits for a consumer",
        Standing::Held { .. } => "it was delivered and not acknowledged, and waits for a consumer",
        Standing::Done => "it was delivered and acknowledged",
    }
}

/// Says why it is not known what became of a change, or why nothing did.
fn before(began: Began) -> &'static str {
    match began {
        Began::Made => "it lies before the place where the subscription began",
        Began::Moved => "it lies before the place that the subscription was moved to",
        Began::Defined => {
            "it lies before the place from which the subscription goes by its present definition"
        }
        Began::Reset => "it lies before the place from which all went on after a reset",
        Began::Unknown => "it was delivered and acknowledged, or lies before the beginning",
    }
}

fn write_standing(w: &mut JsonWriter, dead: bool, standing: &Standing) {
    w.key("queue");
    w.begin_object();
    match standing {
        _ if dead => w.field_str("state", "dead"),
        Standing::NotRead => w.field_str("state", "not_read"),
        Standing::Deferred => w.field_str("state", "deferred"),
        Standing::NotReadAgain(counts) => {
            w.field_str("state", "not_read");
            if let Some(counts) = counts {
                w.field_u64("attempts", counts.deliveries.into());
                w.field_u64("failures", counts.failures.into());
            }
        }
        Standing::Before(_) => w.field_str("state", "before"),
        Standing::Done => w.field_str("state", "done"),
        Standing::Held {
            deliveries,
            failures,
            acked,
            until,
            consumer,
            ..
        } => {
            let state = match (acked, consumer, until) {
                (true, ..) => "acknowledged",
                (_, Some(_), _) => "in_flight",
                (_, None, Some(_)) => "delayed",
                (_, None, None) => "waiting",
            };
            w.field_str("state", state);
            w.field_u64("attempts", (*deliveries).into());
            w.field_u64("failures", (*failures).into());
            if let Some(consumer) = consumer {
                w.field_str("consumer", consumer);
            }
            if let Some(until) = until {
                w.field_str("until", &until.to_string());
            }
        }
    }
    w.end_object();
}
