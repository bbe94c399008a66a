//! What the doors count of deliveries: once for each page, never for each delivery.

use std::sync::atomic::{AtomicU64, Ordering};

use syncline_delivery::Item;
use syncline_delivery::durable::SubscriptionCounts;
use syncline_delivery::webhook::WebhookCounts;
use syncline_engine::{Principal, ToldTotals, Workspace};
use syncline_model::json::{Json, JsonWriter, Limits};

use crate::doors::Shared;
use crate::live::LiveSub;

/// Bounds each list of subscribers: those that lie furthest behind are shown.
const LISTED_MAX: usize = 100;

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
    pub fn page(&self, workspace: &Workspace, items: &[Item]) {
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
        let saved = items.iter().filter_map(|item| match item {
            Item::Change(change) => change.saved,
            _ => None,
        });
        let (patches, bytes) = saved.fold((0, 0), |(n, sum), bytes| (n + 1, sum + bytes as u64));
        if patches > 0 {
            workspace.count_patches(patches, bytes);
        }
    }

    /// Counts a reader that could not be served on.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// All that is counted of deliveries at one moment.
struct Counted {
    told: ToldTotals,
    live: Vec<std::sync::Arc<LiveSub>>,
    durable: Vec<SubscriptionCounts>,
    webhooks: Vec<WebhookCounts>,
}

impl Counted {
    fn of(node: &Shared) -> Counted {
        let workspaces = node.doors.engine.workspaces();
        // The totals are those of all workspaces, whichever is asked.
        let told = workspaces.first().map(Workspace::told_totals);
        let webhooks = node.doors.webhooks.as_ref();
        Counted {
            told: told.unwrap_or_default(),
            live: node.live.all(),
            durable: node.durables.counts(),
            webhooks: webhooks.map_or_else(Vec::new, |webhooks| webhooks.counts()),
        }
    }

    fn write_totals(&self, w: &mut JsonWriter) {
        let (told, durable, webhooks) = (&self.told, &self.durable, &self.webhooks);
        w.field_u64("changes_broadcast", told.records);
        w.field_u64("subscribers_notified", told.told.delivered);
        w.field_u64("deliveries_failed", told.told.failed);
        w.field_u64("patches_sent", told.patches);
        w.field_u64("patch_bytes_saved", told.patch_bytes_saved);
        let waiting: usize = durable.iter().map(|one| one.waiting).sum();
        let outstanding: usize = webhooks.iter().map(|one| one.outstanding).sum();
        w.field_u64("waiting", (waiting + outstanding) as u64);
        let redelivered: u64 = durable.iter().map(|one| one.redelivered).sum();
        let retried: u64 = webhooks.iter().map(|one| one.retried).sum();
        w.field_u64("retries", redelivered + retried);
        let wheres = durable.iter().map(|one| one.where_failed);
        let wheres = wheres.chain(webhooks.iter().map(|one| one.where_failed));
        let live = self.live.iter().map(|sub| sub.terms.matcher.failed());
        w.field_u64("where_failed", wheres.chain(live).sum());
    }
}

/// Returns what is counted of deliveries, for who may read everything.
pub(crate) fn of_delivery(node: &Shared, principal: &Principal) -> Option<Json> {
    if !principal.reads_all() {
        return None;
    }
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
    let sent = &node.sent;
    let counted = Counted::of(node);
    let durable = &counted.durable;
    let mut w = JsonWriter::with_capacity(512);
    w.begin_object();
    w.field_u64("live_subscriptions", node.seats.count() as u64);
    w.field_u64("pages_sent", count(&sent.pages));
    w.field_u64("changes_sent", count(&sent.changes));
    w.field_u64("bytes_sent", count(&sent.bytes));
    w.field_u64("resets", count(&sent.resets));
    w.field_u64("failed", count(&sent.failed));
    counted.write_totals(&mut w);
    w.field_u64("delivered", durable.iter().map(|one| one.delivered).sum());
    w.field_u64(
        "redelivered",
        durable.iter().map(|one| one.redelivered).sum(),
    );
    w.field_u64("acked", durable.iter().map(|one| one.acked).sum());
    w.field_u64("dead", durable.iter().map(|one| one.dead as u64).sum());
    write_list(
        &mut w,
        "live",
        &counted.live,
        |sub| sub.behind(),
        write_live,
    );
    write_list(
        &mut w,
        "subscriptions",
        durable,
        |one| one.behind,
        write_durable,
    );
    write_list(
        &mut w,
        "webhooks",
        &counted.webhooks,
        |one| one.behind,
        write_webhook,
    );
    w.end_object();
    let text = w.into_string();
    Some(Json::parse(text.as_bytes(), &Limits::default()).expect("what was written is JSON"))
}

/// Writes a list of subscribers, those that lie furthest behind first.
fn write_list<T>(
    w: &mut JsonWriter,
    name: &str,
    all: &[T],
    behind: impl Fn(&T) -> u64,
    write: impl Fn(&mut JsonWriter, &T, u64),
) {
    let mut all: Vec<_> = all.iter().map(|one| (behind(one), one)).collect();
    all.sort_by_key(|(behind, _)| std::cmp::Reverse(*behind));
    w.key(name);
    w.begin_array();
    for (behind, one) in all.into_iter().take(LISTED_MAX) {
        w.begin_object();
        write(w, one, behind);
        w.end_object();
    }
    w.end_array();
}

fn write_live(w: &mut JsonWriter, sub: &std::sync::Arc<LiveSub>, behind: u64) {
    w.field_str("workspace", sub.workspace.id().as_str());
    w.field_str("connection", &sub.connection);
    w.field_str("sub", &sub.sub);
    w.field_str("principal", sub.principal.as_str());
    w.field_u64("behind", behind);
    w.field_bool("lagging", sub.is_lagging());
    w.field_u64("sent", sub.sent());
    w.field_u64("where_failed", sub.terms.matcher.failed());
}

fn write_durable(w: &mut JsonWriter, one: &SubscriptionCounts, behind: u64) {
    w.field_str("workspace", one.workspace.as_str());
    w.field_str("name", &one.name);
    w.field_u64("behind", behind);
    w.field_u64("in_flight", one.in_flight as u64);
    w.field_u64("waiting", one.waiting as u64);
    w.field_u64("delivered", one.delivered);
    w.field_u64("redelivered", one.redelivered);
    w.field_u64("acked", one.acked);
    w.field_u64("dead", one.dead as u64);
    w.field_u64("where_failed", one.where_failed);
}

fn write_webhook(w: &mut JsonWriter, one: &WebhookCounts, behind: u64) {
    w.field_str("workspace", one.workspace.as_str());
    w.field_str("id", &one.id);
    w.field_str("status", one.status);
    w.field_u64("behind", behind);
    w.field_u64("outstanding", one.outstanding as u64);
    w.field_u64("in_flight", one.in_flight as u64);
    w.field_u64("delivered", one.delivered);
    w.field_u64("failed", one.failed);
    w.field_u64("retried", one.retried);
    w.field_u64("dead", one.dead);
    w.field_u64("where_failed", one.where_failed);
}
