//! What became of a change with a durable subscription.

use syncline_api::Problem;
use syncline_delivery::Terms;
use syncline_delivery::durable::Standing;
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
    let (standing, letter) = durable.standing(&found.entry.position()).await?;
    let inspection = durable.inspect().await?;
    let because = match judged.refusal() {
        Some(refusal) => refusal,
        None => because(letter.is_some(), &standing),
    };
    let mut w = JsonWriter::with_capacity(512);
    w.begin_object();
    w.field_str("subscription", name);
    w.field_bool("wanted", judged.wanted);
    w.field_str("because", because);
    found.write(&mut w, &terms, &judged);
    // The place moves over what was given up, too.
    let acknowledged = letter.is_none() && found.entry.seq <= inspection.acknowledged.seq;
    w.field_bool("acknowledged", acknowledged);
    w.field_str("cursor", &workspace.seal_fresh(&inspection.acknowledged));
    // How many records there are tells how many are hidden.
    if principal.reads_all() {
        w.field_u64("behind", inspection.behind);
    }
    if judged.wanted {
        write_standing(&mut w, letter.is_some(), &standing);
    }
    if let Some(letter) = &letter {
        w.key("dead");
        write_letter(&mut w, found.entry.cursor(), letter);
    }
    w.end_object();
    Ok(w.into_string())
}

/// Says in words what came of it.
fn because(dead: bool, standing: &Standing) -> &'static str {
    match standing {
        _ if dead => "it was given up: see the dead letter",
        Standing::NotRead => "nobody has asked for it yet",
        Standing::Deferred => "it waits behind an earlier change of its context",
        Standing::Held { acked: true, .. } => {
            "it is acknowledged, and an earlier change of its context is not"
        }
        Standing::Held {
            consumer: Some(_), ..
        } => "a consumer has it",
        Standing::Held { until: Some(_), .. } => "it was given back, and comes again",
        Standing::Held { .. } => "it waits for a consumer, or for an earlier change",
        Standing::Done => "it was delivered and acknowledged, or lies before the beginning",
    }
}

fn write_standing(w: &mut JsonWriter, dead: bool, standing: &Standing) {
    w.key("queue");
    w.begin_object();
    match standing {
        _ if dead => w.field_str("state", "dead"),
        Standing::NotRead => w.field_str("state", "not_read"),
        Standing::Deferred => w.field_str("state", "deferred"),
        Standing::Done => w.field_str("state", "done"),
        Standing::Held {
            deliveries,
            failures,
            acked,
            until,
            consumer,
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
