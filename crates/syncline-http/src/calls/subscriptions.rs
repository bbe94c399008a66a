//! Calls for durable subscriptions.

use http::Method;

use super::{Call, JSON, READ_HEADERS, handler, plain};
use crate::{explain, subscriptions};

const ONE: &str = "/v1/subscriptions/{name}";
const HEADERS: &[&str] = &["Idempotency-Key", "Syncline-Message", "Syncline-Tool-Call"];

/// Returns the calls.
pub(super) fn calls() -> Vec<Call> {
    let parts = [definitions(), deliveries(), dead_letters(), explanations()];
    parts.into_iter().flatten().collect()
}

fn definitions() -> Vec<Call> {
    vec![
        Call {
            query: &["limit", "page"],
            headers: READ_HEADERS,
            answers: &[(200, "Subscriptions")],
            ..plain(
                Method::GET,
                "/v1/subscriptions",
                "List durable subscriptions, each with how it is",
                handler!(subscriptions::list),
            )
        },
        Call {
            headers: HEADERS,
            body: &[JSON],
            answers: &[(200, "Subscription"), (201, "Subscription")],
            problems: &[410, 413, 415, 422, 507],
            ..plain(
                Method::POST,
                "/v1/subscriptions",
                "Define a durable subscription; defined anew, it goes on from what was acknowledged",
                handler!(subscriptions::create),
            )
        },
        Call {
            headers: READ_HEADERS,
            answers: &[(200, "Subscription")],
            problems: &[404, 422],
            ..plain(
                Method::GET,
                ONE,
                "Read a durable subscription: its definition, what is acknowledged, lag, consumers",
                handler!(subscriptions::get),
            )
        },
        Call {
            headers: HEADERS,
            answers: &[(200, "Receipt")],
            problems: &[404, 422, 507],
            ..plain(
                Method::DELETE,
                ONE,
                "Take a durable subscription back, with its dead letters",
                handler!(subscriptions::remove),
            )
        },
        Call {
            body: &[JSON],
            answers: &[(200, "Subscription")],
            problems: &[404, 410, 415, 422],
            ..plain(
                Method::POST,
                "/v1/subscriptions/{name}/seek",
                "Go to another place: a cursor, a time, the start, or now; all after it comes again",
                handler!(subscriptions::seek),
            )
        },
    ]
}

fn deliveries() -> Vec<Call> {
    vec![
        Call {
            query: &[
                "limit",
                "max_bytes",
                "wait_ms",
                "batch_ms",
                "consumer",
                "digest",
                "budget_bytes",
            ],
            headers: READ_HEADERS,
            answers: &[(200, "DeliveriesOrDigest")],
            problems: &[404, 422],
            ..plain(
                Method::GET,
                "/v1/subscriptions/{name}/next",
                "Take what is next in turn; it comes again unless it is acknowledged in time",
                handler!(subscriptions::next),
            )
        },
        Call {
            body: &[JSON],
            answers: &[(200, "Acked")],
            problems: &[404, 410, 415, 422],
            ..plain(
                Method::POST,
                "/v1/subscriptions/{name}/ack",
                "Acknowledge all that the consumer has up to a cursor, or single cursors",
                handler!(subscriptions::ack),
            )
        },
        Call {
            body: &[JSON],
            answers: &[(200, "Nacked")],
            problems: &[404, 410, 415, 422],
            ..plain(
                Method::POST,
                "/v1/subscriptions/{name}/nack",
                "Give one delivery back, to come again after a delay",
                handler!(subscriptions::nack),
            )
        },
        Call {
            body: &[JSON],
            body_may_miss: true,
            answers: &[(200, "Extended")],
            problems: &[404, 410, 415, 422],
            ..plain(
                Method::POST,
                "/v1/subscriptions/{name}/extend",
                "Take the whole ack wait again for one delivery, or for all that the consumer has",
                handler!(subscriptions::extend),
            )
        },
    ]
}

fn dead_letters() -> Vec<Call> {
    vec![
        Call {
            query: &["limit", "after"],
            answers: &[(200, "DeadLetters")],
            problems: &[404, 410, 422],
            ..plain(
                Method::GET,
                "/v1/subscriptions/{name}/dead",
                "List what was given up, with the reasons",
                handler!(subscriptions::dead),
            )
        },
        Call {
            answers: &[(200, "Replayed")],
            problems: &[404, 410, 422],
            ..plain(
                Method::POST,
                "/v1/subscriptions/{name}/dead/{cursor}/replay",
                "Deliver a dead letter once more",
                handler!(subscriptions::replay),
            )
        },
    ]
}

fn explanations() -> Vec<Call> {
    vec![Call {
        query: &["change", "subscription", "webhook", "connection", "sub"],
        headers: READ_HEADERS,
        answers: &[(200, "Explanation")],
        problems: &[404, 422],
        ..plain(
            Method::GET,
            "/v1/explain/delivery",
            "Why a change was delivered to a subscriber, or was not; without one, who gets it",
            handler!(explain::delivery),
        )
    }]
}
