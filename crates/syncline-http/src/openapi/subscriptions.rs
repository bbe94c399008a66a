//! Schemas of durable subscriptions.

use super::shapes::{Members, Named, about, one_of, page, record};

/// Returns the schemas by name.
pub(super) fn schemas() -> Named {
    let parts = [definitions(), deliveries(), acts()];
    parts.into_iter().flatten().collect()
}

fn definitions() -> Named {
    let whole: Vec<_> = [DEFINITION, STANDING].concat();
    vec![
        ("NewSubscription", record(NEW)),
        ("Subscription", record(&whole)),
        ("Subscriptions", page("subscriptions", "[Subscription]")),
        (
            "Consumer",
            record(&[("consumer", "string"), ("in_flight", "count")]),
        ),
    ]
}

fn deliveries() -> Named {
    let of_changes = [
        ("cursor", "string"),
        ("delivery", "count"),
        ("changes", "count"),
    ];
    vec![
        (
            "Delivery",
            about(
                record(&of_changes),
                "What is acknowledged as one, and how many of the answer's `changes` it is",
            ),
        ),
        ("DigestedDelivery", record(&of_changes[..2])),
        (
            "Deliveries",
            record(&[
                ("changes", "[DeliveredItem]"),
                ("deliveries", "[Delivery]"),
                ("cursor?", "string"),
            ]),
        ),
        (
            "DeliveredDigest",
            record(&[
                ("digest", "[DigestEntry]"),
                ("changes", "count"),
                ("left_out?", "LeftOut"),
                ("reset?", "ResetReason"),
                ("deliveries", "[DigestedDelivery]"),
                ("cursor?", "string"),
            ]),
        ),
        (
            "DeliveriesOrDigest",
            one_of(&["Deliveries", "DeliveredDigest"]),
        ),
        ("DeadLetter", record(LETTER)),
        ("DeadLetters", page("dead", "[DeadLetter]")),
    ]
}

fn acts() -> Named {
    vec![
        ("Ack", record(ACK)),
        ("Nack", record(NACK)),
        (
            "Extend",
            record(&[("cursor?", "string"), ("consumer?", "string")]),
        ),
        ("Seek", record(SEEK)),
        ("Acked", record(&[("acked", "count")])),
        ("Nacked", record(&[("nacked", "count")])),
        ("Extended", record(&[("extended", "count")])),
        ("Replayed", record(&[("replayed", "count")])),
    ]
}

const NEW: &Members = &[
    ("name", "string"),
    ("scope?", "Scope"),
    ("filter?", "Filters"),
    ("where?", "string"),
    ("from?", "Beginning"),
    ("mode?", "Mode"),
    ("window?", "count"),
    ("ack_wait_s?", "count"),
    ("max_deliveries?", "count"),
];
const DEFINITION: &Members = &[
    ("name", "string"),
    ("scope", "Scope"),
    ("filter?", "Filters"),
    ("where?", "string"),
    ("from", "Beginning"),
    ("mode", "Mode"),
    ("window", "count"),
    ("ack_wait_s", "count"),
    ("max_deliveries", "count"),
];
const STANDING: &Members = &[
    ("version", "count"),
    ("etag", "string"),
    ("acknowledged", "string"),
    ("behind?", "count"),
    ("behind_s?", "count"),
    ("in_flight", "count"),
    ("waiting", "count"),
    ("deferred", "count"),
    ("delivered", "count"),
    ("redelivered", "count"),
    ("acked", "count"),
    ("dead", "count"),
    ("dead_forgotten?", "count"),
    ("consumers", "[Consumer]"),
];
const LETTER: &Members = &[
    ("cursor", "string"),
    ("contexts?", "[string]"),
    ("changes", "count"),
    ("deliveries", "count"),
    ("reason", "string"),
    ("at", "string"),
];
const ACK: &Members = &[
    ("cursor?", "string"),
    ("cursors?", "[string]"),
    ("consumer?", "string"),
];
const NACK: &Members = &[
    ("cursor", "string"),
    ("delay_ms?", "count"),
    ("reason?", "string"),
];
const SEEK: &Members = &[
    ("cursor?", "string"),
    ("time?", "string"),
    ("start?", "boolean"),
    ("now?", "boolean"),
];
