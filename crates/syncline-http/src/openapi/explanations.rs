//! Schemas of what became of a change with a subscriber, and why.

use super::shapes::{Members, Named, one_of, record, with_member, words};

/// Returns the schemas by name.
pub(super) fn schemas() -> Named {
    let of = |own: &Members| {
        let all: Vec<_> = [own, JUDGED].concat();
        let scopes = ["outside", "inside", "enters", "leaves"];
        with_member(record(&all), "scope", words(scopes))
    };
    let queue = |members: &Members, states: &[&'static str]| {
        with_member(record(members), "state", words(states.iter().copied()))
    };
    vec![
        (
            "Explanation",
            record(&[
                ("change", "string"),
                ("context", "string"),
                ("version", "count"),
                ("type", "ChangeType"),
                ("committed_at", "string"),
                ("subscribers", "[Explained]"),
            ]),
        ),
        (
            "Explained",
            one_of(&["ExplainedDurable", "ExplainedWebhook", "ExplainedLive"]),
        ),
        ("ExplainedDurable", of(DURABLE)),
        ("ExplainedWebhook", of(WEBHOOK)),
        ("ExplainedLive", of(LIVE)),
        (
            "JudgedTerm",
            record(&[("term", "Scope"), ("holds", "boolean")]),
        ),
        ("JudgedClause", record(CLAUSE)),
        ("JudgedWhere", record(WHERE)),
        ("DurableQueue", queue(DURABLE_QUEUE, &DURABLE_STATES)),
        ("WebhookQueue", queue(WEBHOOK_QUEUE, &WEBHOOK_STATES)),
        ("LiveQueue", queue(LIVE_QUEUE, &LIVE_STATES)),
    ]
}

/// What each says: what its terms say of the change.
const JUDGED: &Members = &[
    ("wanted", "boolean"),
    ("because", "string"),
    ("scope", "string"),
    ("terms", "[JudgedTerm]"),
    ("filter", "[JudgedClause]"),
    ("where?", "JudgedWhere"),
    ("excluded?", "boolean"),
    ("visible", "boolean"),
    ("rule", "string"),
];
const CLAUSE: &Members = &[
    ("clause", "Filter"),
    ("holds", "boolean"),
    ("wrong?", "string"),
    ("of?", "[JudgedClause]"),
];
const WHERE: &Members = &[
    ("expression", "string"),
    ("holds", "boolean"),
    ("wrong?", "string"),
];
const DURABLE: &Members = &[
    ("subscription", "string"),
    ("acknowledged?", "boolean"),
    ("cursor", "string"),
    ("behind?", "count"),
    ("queue?", "DurableQueue"),
    ("dead?", "DeadLetter"),
];
const DURABLE_STATES: [&str; 9] = [
    "before",
    "not_read",
    "deferred",
    "waiting",
    "delayed",
    "in_flight",
    "acknowledged",
    "done",
    "dead",
];
const DURABLE_QUEUE: &Members = &[
    ("state", "string"),
    ("attempts?", "count"),
    ("failures?", "count"),
    ("consumer?", "string"),
    ("until?", "string"),
];
const WEBHOOK: &Members = &[
    ("webhook", "string"),
    ("status", "WebhookStatus"),
    ("circuit", "Circuit"),
    ("cursor", "string"),
    ("behind?", "count"),
    ("queue?", "WebhookQueue"),
    ("attempts", "[Attempt]"),
    ("dead?", "DeadEvent"),
];
const WEBHOOK_STATES: [&str; 7] = [
    "before",
    "not_read",
    "waiting",
    "delayed",
    "in_flight",
    "done",
    "dead",
];
const WEBHOOK_QUEUE: &Members = &[
    ("state", "string"),
    ("failures?", "count"),
    ("due_at?", "string"),
    ("last_error?", "string"),
];
const LIVE: &Members = &[
    ("connection", "string"),
    ("sub", "string"),
    ("queue?", "LiveQueue"),
];
const LIVE_STATES: [&str; 5] = ["before", "waiting", "held", "sent", "unshown"];
const LIVE_QUEUE: &Members = &[
    ("state", "string"),
    ("until?", "string"),
    ("lagging", "boolean"),
    ("behind?", "count"),
];
