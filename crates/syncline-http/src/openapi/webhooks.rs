//! The schemas of webhooks.

use super::shapes::{Members, Named, or_null, page, record, with_member};

/// Returns the schemas by name.
pub(super) fn schemas() -> Named {
    definitions().into_iter().chain(acts()).collect()
}

fn definitions() -> Named {
    let changed = with_member(record(CHANGE), "filter", or_null("Filters"));
    let mut made = CHANGE.to_vec();
    made.retain(|(name, _)| *name != "url?");
    made.extend([("url", "string"), ("secret?", "string")]);
    vec![
        (
            "WebhookDefinition",
            with_member(record(&made), "filter", or_null("Filters")),
        ),
        ("WebhookChange", changed),
        (
            "NewWebhook",
            record(&[
                ("id", "string"),
                ("secret?", "string"),
                ("receipt", "Receipt"),
            ]),
        ),
        ("Webhook", record(&[DEFINITION, STANDING].concat())),
        (
            "Disabled",
            record(&[("at", "string"), ("reason", "string")]),
        ),
        ("Webhooks", record(&[("webhooks", "[Webhook]")])),
    ]
}

fn acts() -> Named {
    vec![
        (
            "WebhookTest",
            record(&[("status?", "count"), ("error?", "string")]),
        ),
        ("GivenSecret", record(&[("secret?", "string")])),
        (
            "WebhookSecret",
            record(&[("secret", "string"), ("old_signs_until?", "string")]),
        ),
        ("Again", record(AGAIN)),
        (
            "WebhookReplay",
            record(&[("events?", "count"), ("reading?", "boolean")]),
        ),
        ("Attempt", record(ATTEMPT)),
        ("WebhookAttempts", record(&[("attempts", "[Attempt]")])),
        ("DeadEvent", record(DEAD)),
        ("DeadEvents", page("dead", "[DeadEvent]")),
    ]
}

const DEFINITION: &Members = &[
    ("url", "string"),
    ("scope", "Scope"),
    ("filter?", "Filters"),
    ("where?", "string"),
    ("mode", "Mode"),
    ("enabled", "boolean"),
    ("description?", "string"),
];
/// What is sent of a definition: what is null is taken away.
const CHANGE: &Members = &[
    ("url?", "string"),
    ("scope?", "Scope"),
    ("filter?", "Filters"),
    ("where?", "string|null"),
    ("mode?", "Mode"),
    ("enabled?", "boolean"),
    ("description?", "string|null"),
];
const STANDING: &Members = &[
    ("id", "string"),
    ("version", "count"),
    ("etag", "string"),
    ("created_at", "string"),
    ("status", "WebhookStatus"),
    ("verified", "boolean"),
    ("circuit", "Circuit"),
    ("lag?", "count"),
    ("outstanding", "count"),
    ("in_flight", "count"),
    ("delivered", "count"),
    ("failed", "count"),
    ("dead", "count"),
    ("failures", "count"),
    ("failing_since?", "string"),
    ("next_probe_at?", "string"),
    ("paused_until?", "string"),
    ("last_success_at?", "string"),
    ("disabled?", "Disabled"),
    ("last_error?", "string"),
    ("replaying?", "boolean"),
];
const AGAIN: &Members = &[
    ("change?", "string"),
    ("dead?", "boolean"),
    ("after?", "string"),
    ("since?", "string"),
    ("until?", "string"),
];
const ATTEMPT: &Members = &[
    ("change", "string"),
    ("context?", "string"),
    ("attempt", "count"),
    ("at", "string"),
    ("outcome", "AttemptOutcome"),
    ("status?", "count"),
    ("error?", "string"),
];
const DEAD: &Members = &[
    ("change", "string"),
    ("context?", "string"),
    ("attempts", "count"),
    ("at", "string"),
    ("error?", "string"),
];
