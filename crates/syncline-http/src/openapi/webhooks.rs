//! The schemas of webhooks.

use super::reference;
use super::schemas::{Members, Named, array, object_schema, page, record, text};

/// Returns the schemas by name.
pub(super) fn schemas() -> Named {
    vec![
        (
            "WebhookDefinition",
            record(&[&DEFINITION[..], &[("secret", "string")]].concat(), &[]),
        ),
        (
            "NewWebhook",
            object_schema([
                ("id", text()),
                ("secret", text()),
                ("receipt", reference("Receipt")),
            ]),
        ),
        (
            "Webhook",
            record(
                &[&DEFINITION[..], &STANDING[..]].concat(),
                &["id", "url", "scope", "mode", "enabled", "status"],
            ),
        ),
        (
            "Webhooks",
            object_schema([("webhooks", array(reference("Webhook")))]),
        ),
        (
            "WebhookTest",
            record(&[("status", "integer"), ("error", "string")], &[]),
        ),
        ("GivenSecret", record(&[("secret", "string")], &[])),
        (
            "WebhookSecret",
            record(
                &[("secret", "string"), ("old_signs_until", "string")],
                &["secret"],
            ),
        ),
        (
            "Again",
            record(
                &[
                    ("change", "string"),
                    ("dead", "boolean"),
                    ("after", "string"),
                    ("since", "string"),
                    ("until", "string"),
                ],
                &[],
            ),
        ),
        (
            "WebhookReplay",
            record(&[("events", "integer"), ("reading", "boolean")], &[]),
        ),
        (
            "Attempt",
            record(&ATTEMPT, &["change", "attempt", "at", "outcome"]),
        ),
        (
            "WebhookAttempts",
            object_schema([("attempts", array(reference("Attempt")))]),
        ),
        ("DeadLetter", record(DEAD, &["change", "attempts", "at"])),
        ("WebhookDead", page("dead", "DeadLetter")),
    ]
}

const DEFINITION: [(&str, &str); 7] = [
    ("url", "string"),
    ("scope", "array"),
    ("filter", "any"),
    ("where", "string"),
    ("mode", "string"),
    ("enabled", "boolean"),
    ("description", "string"),
];
const STANDING: [(&str, &str); 21] = [
    ("id", "string"),
    ("version", "integer"),
    ("etag", "string"),
    ("created_at", "string"),
    ("status", "string"),
    ("verified", "boolean"),
    ("circuit", "string"),
    ("lag", "integer"),
    ("outstanding", "integer"),
    ("in_flight", "integer"),
    ("delivered", "integer"),
    ("failed", "integer"),
    ("dead", "integer"),
    ("failures", "integer"),
    ("failing_since", "string"),
    ("next_probe_at", "string"),
    ("paused_until", "string"),
    ("last_success_at", "string"),
    ("disabled", "object"),
    ("last_error", "string"),
    ("replaying", "boolean"),
];
const ATTEMPT: [(&str, &str); 7] = [
    ("change", "string"),
    ("context", "string"),
    ("attempt", "integer"),
    ("at", "string"),
    ("outcome", "string"),
    ("status", "integer"),
    ("error", "string"),
];
const DEAD: &Members = &[
    ("change", "string"),
    ("context", "string"),
    ("attempts", "integer"),
    ("at", "string"),
    ("error", "string"),
];
