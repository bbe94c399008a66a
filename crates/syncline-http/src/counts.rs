//! What the doors count of deliveries: once for each page, never for each delivery.

use std::sync::atomic::{AtomicU64, Ordering};

use syncline_delivery::Item;
use syncline_engine::Principal;
use syncline_model::json::{Json, JsonWriter, Limits};

use crate::doors::Shared;

/// Counts since the start of the node.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pages: AtomicU64,
    changes: AtomicU64,
    bytes: AtomicU64,
    resets: AtomicU64,
    failed: AtomicU64,
}

impl Sent {
    /// Counts a page that is handed to a reader.
    pub fn page(&self, items: &[Item]) {
        if items.is_empty() {
            return;
        }
        let told = |item: &&Item| {
            matches!(
                item,
                Item::Change(_) | Item::Enter { .. } | Item::Leave { .. }
            )
        };
        let add = |to: &AtomicU64, count: usize| to.fetch_add(count as u64, Ordering::Relaxed);
        add(&self.pages, 1);
        add(&self.changes, items.iter().filter(told).count());
        add(&self.bytes, items.iter().map(Item::weight).sum());
        let resets = items.iter().filter(|item| matches!(item, Item::Reset(_)));
        add(&self.resets, resets.count());
    }

    /// Counts a reader that could not be served on.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns what is counted of deliveries, for who may read everything.
pub(crate) fn of_delivery(node: &Shared, principal: &Principal) -> Option<Json> {
    if !principal.reads_all() {
        return None;
    }
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
    let sent = &node.sent;
    let durable = node.durables.counts();
    let mut w = JsonWriter::with_capacity(512);
    w.begin_object();
    w.field_u64("live_subscriptions", node.seats.count() as u64);
    w.field_u64("pages_sent", count(&sent.pages));
    w.field_u64("changes_sent", count(&sent.changes));
    w.field_u64("bytes_sent", count(&sent.bytes));
    w.field_u64("resets", count(&sent.resets));
    w.field_u64("failed", count(&sent.failed));
    w.field_u64("delivered", durable.iter().map(|one| one.delivered).sum());
    w.field_u64(
        "redelivered",
        durable.iter().map(|one| one.redelivered).sum(),
    );
    w.field_u64("acked", durable.iter().map(|one| one.acked).sum());
    w.field_u64("dead", durable.iter().map(|one| one.dead as u64).sum());
    w.key("subscriptions");
    w.begin_array();
    for one in &durable {
        w.begin_object();
        w.field_str("workspace", one.workspace.as_str());
        w.field_str("name", &one.name);
        w.field_u64("behind", one.behind);
        w.field_u64("in_flight", one.in_flight as u64);
        w.field_u64("waiting", one.waiting as u64);
        w.field_u64("delivered", one.delivered);
        w.field_u64("redelivered", one.redelivered);
        w.field_u64("acked", one.acked);
        w.field_u64("dead", one.dead as u64);
        w.end_object();
    }
    w.end_array();
    w.end_object();
    let text = w.into_string();
    Some(Json::parse(text.as_bytes(), &Limits::default()).expect("what was written is JSON"))
}
