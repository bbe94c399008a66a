//! The schemas of what a node says of itself.

use syncline_model::conflict::ConflictKind;

use super::shapes::{Members, Named, record};

/// Returns the schemas by name.
pub(super) fn schemas() -> Named {
    let parts = [workspaces(), health(), stats()];
    parts.into_iter().flatten().collect()
}

fn workspaces() -> Named {
    vec![
        ("NewWorkspace", record(&[("name", "string")])),
        (
            "Workspace",
            record(&[("name", "string"), ("epoch", "string")]),
        ),
        ("Workspaces", record(&[("workspaces", "[Workspace]")])),
    ]
}

fn health() -> Named {
    let of_run = [
        ("began_at", "string"),
        ("ended_at?", "string"),
        ("failed?", "string"),
    ];
    vec![
        ("Status", record(STATUS)),
        (
            "DeadLetterCounts",
            record(&[
                ("total", "count"),
                ("subscriptions", "{count}"),
                ("webhooks", "{count}"),
            ]),
        ),
        ("CompactionRun", record(&[&of_run, COMPACTION].concat())),
        ("Verification", record(VERIFICATION)),
        ("CompactionAsked", record(&[("dry_run?", "boolean")])),
        (
            "Compaction",
            record(&[&[("dry_run", "boolean")], COMPACTION].concat()),
        ),
        ("Probe", record(PROBE)),
        ("ConnectionLimits", record(LIMITS)),
    ]
}

fn stats() -> Named {
    let met: Vec<_> = ConflictKind::ALL
        .iter()
        .map(|kind| (kind.as_str(), "count"))
        .collect();
    vec![
        ("Stats", record(STATS)),
        ("CacheStats", record(CACHE)),
        ("ConflictStats", record(&met)),
        ("DeliveryStats", record(DELIVERY)),
        ("LiveStats", record(LIVE)),
        ("SubscriptionStats", record(SUBSCRIPTION)),
        ("WebhookStats", record(WEBHOOK)),
        ("Broadcast", record(BROADCAST)),
        ("Broadcasts", record(&[("broadcasts", "[Broadcast]")])),
    ]
}

const STATUS: &Members = &[
    ("node", "string"),
    ("version", "string"),
    ("started_at", "string"),
    ("now", "string"),
    ("workspace", "string"),
    ("epoch", "string"),
    ("cursor", "string"),
    ("healthy", "boolean"),
    ("ready", "boolean"),
    ("reasons", "[string]"),
    ("conflicts_open?", "count"),
    ("dead_letters", "DeadLetterCounts"),
    ("compaction?", "CompactionRun"),
];
const PROBE: &Members = &[
    ("healthy?", "boolean"),
    ("ready?", "boolean"),
    ("reasons", "[string]"),
];
/// What `welcome` says.
const LIMITS: &Members = &[
    ("bulk", "count"),
    ("frame_bytes", "count"),
    ("frame_messages", "count"),
    ("inbound_bytes", "count"),
    ("inbound_messages", "count"),
    ("submits", "count"),
    ("subscriptions", "count"),
];
const COMPACTION: &Members = &[
    ("contexts", "count"),
    ("looked_at", "count"),
    ("thinned", "count"),
    ("bytes", "count"),
    ("framed", "count"),
    ("framed_bytes_before", "count"),
    ("framed_bytes_after", "count"),
];
const VERIFICATION: &Members = &[
    ("sound", "boolean"),
    ("workspaces", "count"),
    ("records", "count"),
    ("contexts", "count"),
    ("documents", "count"),
    ("problems", "[string]"),
];
const STATS: &Members = &[
    ("contexts", "count"),
    ("records", "count"),
    ("commits", "count"),
    ("changes", "count"),
    ("refusals", "count"),
    ("conflicts", "ConflictStats"),
    ("store_bytes", "count"),
    ("last_commit_us", "count"),
    ("cache", "CacheStats"),
    // For those alone who may read the whole workspace.
    ("delivery?", "DeliveryStats"),
];
const CACHE: &Members = &[
    ("hits", "count"),
    ("misses", "count"),
    ("hit_rate", "number"),
    ("heads", "count"),
    ("bytes", "count"),
];
const DELIVERY: &Members = &[
    ("live_subscriptions", "count"),
    ("pages_sent", "count"),
    ("changes_sent", "count"),
    ("bytes_sent", "count"),
    ("resets", "count"),
    ("failed", "count"),
    ("changes_broadcast", "count"),
    ("subscribers_notified", "count"),
    ("deliveries_failed", "count"),
    ("patches_sent", "count"),
    ("patch_bytes_saved", "count"),
    ("waiting", "count"),
    ("retries", "count"),
    ("where_failed", "count"),
    ("delivered", "count"),
    ("redelivered", "count"),
    ("acked", "count"),
    ("dead", "count"),
    ("live", "[LiveStats]"),
    ("subscriptions", "[SubscriptionStats]"),
    ("webhooks", "[WebhookStats]"),
];
const LIVE: &Members = &[
    ("workspace", "string"),
    ("connection", "string"),
    ("sub", "string"),
    ("principal", "string"),
    ("behind", "count"),
    ("lagging", "boolean"),
    ("sent", "count"),
    ("where_failed", "count"),
];
const SUBSCRIPTION: &Members = &[
    ("workspace", "string"),
    ("name", "string"),
    ("behind", "count"),
    ("in_flight", "count"),
    ("waiting", "count"),
    ("delivered", "count"),
    ("redelivered", "count"),
    ("acked", "count"),
    ("dead", "count"),
    ("where_failed", "count"),
];
const WEBHOOK: &Members = &[
    ("workspace", "string"),
    ("id", "string"),
    ("status", "WebhookStatus"),
    ("behind", "count"),
    ("outstanding", "count"),
    ("in_flight", "count"),
    ("delivered", "count"),
    ("failed", "count"),
    ("retried", "count"),
    ("dead", "count"),
    ("where_failed", "count"),
];
const BROADCAST: &Members = &[
    ("change", "string"),
    ("context", "string"),
    ("version", "count"),
    ("type", "ChangeType"),
    ("committed_at", "string"),
    ("targets", "count"),
    ("delivered", "count"),
    ("failed", "count"),
    ("conflicts", "[string]"),
];
