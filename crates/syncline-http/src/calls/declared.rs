//! Calls for what is kept beside contexts: conflicts, schemas, tags.

use http::Method;

use super::{Call, JSON, MERGE_PATCH, READ_HEADERS, WRITE_HEADERS, WRITE_PROBLEMS, handler, plain};
use crate::{conflicts, rules, schemas, tags};

/// What names its version in the body, or is set and not merged, has no base beside.
const CHOICE_HEADERS: &[&str] = &[
    "Idempotency-Key",
    "Syncline-Message",
    "Syncline-Confirm",
    "Syncline-Tool-Call",
];

/// Returns the calls.
pub(super) fn calls() -> Vec<Call> {
    let parts = [conflicts(), schemas(), rules(), tags()];
    parts.into_iter().flatten().collect()
}

fn conflicts() -> Vec<Call> {
    vec![
        Call {
            query: &["context", "open", "limit", "page"],
            headers: READ_HEADERS,
            answers: &[(200, "Conflicts")],
            problems: &[422],
            ..plain(
                Method::GET,
                "/v1/conflicts",
                "List conflicts, those that wait unless open=false asks for all",
                handler!(conflicts::list),
            )
        },
        Call {
            headers: READ_HEADERS,
            answers: &[(200, "Conflict")],
            problems: &[404, 422],
            ..plain(
                Method::GET,
                "/v1/conflicts/{id}",
                "Read a conflict, waiting or ended",
                handler!(conflicts::get),
            )
        },
        Call {
            headers: CHOICE_HEADERS,
            body: &[JSON],
            answers: &[(200, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::POST,
                "/v1/conflicts/{id}",
                "Settle a conflict: choose a side, or give the value",
                handler!(conflicts::settle),
            )
        },
    ]
}

fn schemas() -> Vec<Call> {
    vec![
        Call {
            query: &["limit", "page"],
            headers: READ_HEADERS,
            answers: &[(200, "Schemas")],
            ..plain(
                Method::GET,
                "/v1/schemas",
                "List the kinds that are declared, without their schemas",
                handler!(schemas::list),
            )
        },
        Call {
            query: &["version"],
            headers: &["If-None-Match", "Syncline-Min-Cursor"],
            answers: &[(200, "Schema"), (304, "")],
            problems: &[404, 410, 422],
            ..plain(
                Method::GET,
                "/v1/schemas/{kind}",
                "Read what is declared for a kind",
                handler!(schemas::get),
            )
        },
        Call {
            headers: WRITE_HEADERS,
            body: &[JSON],
            answers: &[(200, "Receipt"), (201, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::PUT,
                "/v1/schemas/{kind}",
                "Declare a kind: its schema, how its fields merge, its strategies",
                handler!(schemas::put),
            )
        },
        Call {
            headers: WRITE_HEADERS,
            answers: &[(200, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::DELETE,
                "/v1/schemas/{kind}",
                "Take back what is declared for a kind",
                handler!(schemas::remove),
            )
        },
    ]
}

fn rules() -> Vec<Call> {
    vec![
        Call {
            headers: READ_HEADERS,
            answers: &[(200, "Rules")],
            ..plain(
                Method::GET,
                "/v1/rules",
                "Read what is declared for the workspace, and what is in force",
                handler!(rules::get),
            )
        },
        Call {
            headers: WRITE_HEADERS,
            body: &[JSON],
            answers: &[(200, "Receipt"), (201, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::PUT,
                "/v1/rules",
                "Declare for the workspace: strategies, ranks, deadlines, retention",
                handler!(rules::put),
            )
        },
        Call {
            headers: WRITE_HEADERS,
            body: &[MERGE_PATCH, JSON],
            answers: &[(200, "Receipt"), (201, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::PATCH,
                "/v1/rules",
                "Declare some rules for the workspace, and take back those that are null",
                handler!(rules::patch),
            )
        },
        Call {
            headers: WRITE_HEADERS,
            answers: &[(200, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::DELETE,
                "/v1/rules",
                "Take back what is declared for the workspace",
                handler!(rules::remove),
            )
        },
    ]
}

fn tags() -> Vec<Call> {
    vec![
        Call {
            headers: READ_HEADERS,
            answers: &[(200, "Tags")],
            problems: &[404, 410, 422],
            ..plain(
                Method::GET,
                "/v1/contexts/{kind}/{id}/tags",
                "List a context's tags: names of versions",
                handler!(tags::list),
            )
        },
        Call {
            headers: CHOICE_HEADERS,
            body: &[JSON],
            answers: &[(200, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::POST,
                "/v1/contexts/{kind}/{id}/tags",
                "Name a version, by default the newest",
                handler!(tags::put),
            )
        },
        Call {
            headers: CHOICE_HEADERS,
            answers: &[(200, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::DELETE,
                "/v1/contexts/{kind}/{id}/tags/{*name}",
                "Take a name away",
                handler!(tags::remove),
            )
        },
    ]
}
