//! Schemas of durable subscriptions.

use super::reference;
use super::schemas::{Members, Named, array, integer, object_schema, page, record, text};

const DEFINITION: [(&str, &str); 9] = [
    ("name", "string"),
    ("scope", "array"),
    ("filter", "any"),
    ("where", "string"),
    ("from", "any"),
    ("mode", "string"),
    ("window", "integer"),
    ("ack_wait_s", "integer"),
    ("max_deliveries", "integer"),
];
const STANDING: [(&str, &str); 14] = [
    ("version", "integer"),
    ("etag", "string"),
    ("acknowledged", "string"),
    ("behind", "integer"),
    ("behind_s", "integer"),
    ("in_flight", "integer"),
    ("waiting", "integer"),
    ("deferred", "integer"),
    ("delivered", "integer"),
    ("redelivered", "integer"),
    ("acked", "integer"),
    ("dead", "integer"),
    ("dead_forgotten", "integer"),
    ("consumers", "array"),
];
const LETTER: [(&str, &str); 6] = [
    ("cursor", "string"),
    ("contexts", "array"),
    ("changes", "integer"),
    ("deliveries", "integer"),
    ("reason", "string"),
    ("at", "string"),
];
const ACK: [(&str, &str); 3] = [
    ("cursor", "string"),
    ("cursors", "array"),
    ("consumer", "string"),
];
const NACK: [(&str, &str); 3] = [
    ("cursor", "string"),
    ("delay_ms", "integer"),
    ("reason", "string"),
];
const EXPLANATION: [(&str, &str); 6] = [
    ("change", "string"),
    ("context", "string"),
    ("version", "integer"),
    ("type", "string"),
    ("committed_at", "string"),
    ("subscribers", "array"),
];
const BROADCAST: [(&str, &str); 9] = [
    ("change", "string"),
    ("context", "string"),
    ("version", "integer"),
    ("type", "string"),
    ("committed_at", "string"),
    ("targets", "integer"),
    ("delivered", "integer"),
    ("failed", "integer"),
    ("conflicts", "array"),
];
const SEEK: [(&str, &str); 4] = [
    ("cursor", "string"),
    ("time", "string"),
    ("start", "boolean"),
    ("now", "boolean"),
];

/// Returns the schemas by name.
pub(super) fn schemas() -> Named {
    let whole: Vec<_> = [&DEFINITION[..], &STANDING[..]].concat();
    let one = |name: &'static str| record(&[(name, "integer")], &[name]);
    let named: &Members = &[("cursor", "string"), ("consumer", "string")];
    vec![
        ("NewSubscription", record(&DEFINITION, &["name"])),
        ("Subscription", record(&whole, &["name", "acknowledged"])),
        ("Subscriptions", page("subscriptions", "Subscription")),
        (
            "Delivery",
            object_schema([
                ("cursor", text()),
                ("delivery", integer()),
                ("changes", integer()),
            ]),
        ),
        (
            "Deliveries",
            object_schema([
                ("changes", array(reference("Change"))),
                ("deliveries", array(reference("Delivery"))),
                ("cursor", text()),
            ]),
        ),
        ("DeadLetter", record(&LETTER, &["cursor", "reason"])),
        ("DeadLetters", page("dead", "DeadLetter")),
        ("Ack", record(&ACK, &[])),
        ("Nack", record(&NACK, &["cursor"])),
        ("Extend", record(named, &[])),
        ("Seek", record(&SEEK, &[])),
        (
            "Explanation",
            record(&EXPLANATION, &["change", "subscribers"]),
        ),
        ("Broadcast", record(&BROADCAST, &["change", "targets"])),
        (
            "Broadcasts",
            object_schema([("broadcasts", array(reference("Broadcast")))]),
        ),
        ("Acked", one("acked")),
        ("Nacked", one("nacked")),
        ("Extended", one("extended")),
        ("Replayed", one("replayed")),
    ]
}
