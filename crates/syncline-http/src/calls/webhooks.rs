//! Calls for webhooks.

use http::Method;

use super::{Call, JSON, MERGE_PATCH, READ_HEADERS, WRITE_HEADERS, WRITE_PROBLEMS, handler, plain};
use crate::webhooks;

const WEBHOOK: &str = "/v1/webhooks/{id}";

/// Returns the calls.
pub(super) fn calls() -> Vec<Call> {
    let parts = [definitions(), acts(), records()];
    parts.into_iter().flatten().collect()
}

fn definitions() -> Vec<Call> {
    vec![
        Call {
            headers: WRITE_HEADERS,
            body: &[JSON],
            answers: &[(201, "NewWebhook"), (200, "NewWebhook")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::POST,
                "/v1/webhooks",
                "Make a webhook; its secret is shown once",
                handler!(webhooks::create),
            )
        },
        Call {
            headers: READ_HEADERS,
            answers: &[(200, "Webhooks")],
            ..plain(
                Method::GET,
                "/v1/webhooks",
                "List webhooks, and how they stand",
                handler!(webhooks::list),
            )
        },
        Call {
            headers: READ_HEADERS,
            answers: &[(200, "Webhook")],
            problems: &[404],
            ..plain(
                Method::GET,
                WEBHOOK,
                "Read a webhook, and how it stands",
                handler!(webhooks::get),
            )
        },
        Call {
            headers: WRITE_HEADERS,
            body: &[JSON, MERGE_PATCH],
            answers: &[(200, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::PATCH,
                WEBHOOK,
                "Change a webhook in part; enabled=true calls an endpoint again that was given up",
                handler!(webhooks::change),
            )
        },
        Call {
            headers: WRITE_HEADERS,
            answers: &[(200, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::DELETE,
                WEBHOOK,
                "End a webhook",
                handler!(webhooks::remove),
            )
        },
    ]
}

fn acts() -> Vec<Call> {
    vec![
        Call {
            answers: &[(200, "WebhookTest")],
            problems: &[404],
            ..plain(
                Method::POST,
                "/v1/webhooks/{id}/test",
                "Post a test event, and tell the status of the answer",
                handler!(webhooks::test),
            )
        },
        Call {
            body: &[JSON],
            body_may_miss: true,
            answers: &[(200, "WebhookSecret")],
            problems: &[404, 415, 422],
            ..plain(
                Method::POST,
                "/v1/webhooks/{id}/rotate",
                "Make a new secret, or take the one given; the one before signs for a day beside it",
                handler!(webhooks::rotate),
            )
        },
        Call {
            body: &[JSON],
            answers: &[(200, "WebhookReplay")],
            problems: &[404, 410, 415, 422],
            ..plain(
                Method::POST,
                "/v1/webhooks/{id}/replay",
                "Send again: one change, all that was given up, or what lies after a cursor",
                handler!(webhooks::replay),
            )
        },
    ]
}

fn records() -> Vec<Call> {
    vec![
        Call {
            query: &["limit"],
            answers: &[(200, "WebhookAttempts")],
            problems: &[404],
            ..plain(
                Method::GET,
                "/v1/webhooks/{id}/attempts",
                "List the newest attempts",
                handler!(webhooks::attempts),
            )
        },
        Call {
            query: &["limit", "page"],
            answers: &[(200, "DeadEvents")],
            problems: &[404],
            ..plain(
                Method::GET,
                "/v1/webhooks/{id}/dead",
                "List the events that were given up",
                handler!(webhooks::dead),
            )
        },
    ]
}
