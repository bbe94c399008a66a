//! Calls for lines of versions: rolling back, branches, merging, blame.

use http::Method;

use super::{Call, JSON, READ_HEADERS, WRITE_HEADERS, WRITE_PROBLEMS, handler, plain};
use crate::lines;

/// What a typed call finds out itself, its base, is not sent with it.
const CALL_HEADERS: &[&str] = &[
    "Idempotency-Key",
    "If-Match",
    "Syncline-Strategy",
    "Syncline-Priority",
    "Syncline-Message",
    "Syncline-Confirm",
    "Syncline-Tool-Call",
];

/// Returns the calls.
pub(super) fn calls() -> Vec<Call> {
    let parts = [versions(), branches()];
    parts.into_iter().flatten().collect()
}

fn versions() -> Vec<Call> {
    vec![
        Call {
            query: &["branch"],
            headers: WRITE_HEADERS,
            body: &[JSON],
            answers: &[(200, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::POST,
                "/v1/contexts/{kind}/{id}/rollback",
                "Make the document what it was at a version, as a change like any other",
                handler!(lines::rollback),
            )
        },
        Call {
            query: &["branch"],
            headers: CALL_HEADERS,
            answers: &[(200, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::POST,
                "/v1/contexts/{kind}/{id}/undo",
                "Take back the newest change that the caller made",
                handler!(lines::undo),
            )
        },
        Call {
            query: &["path", "branch"],
            headers: READ_HEADERS,
            answers: &[(200, "Blame")],
            problems: &[404, 410, 422],
            ..plain(
                Method::GET,
                "/v1/contexts/{kind}/{id}/blame",
                "Say which change last set a field",
                handler!(lines::blame),
            )
        },
    ]
}

fn branches() -> Vec<Call> {
    vec![
        Call {
            query: &["limit", "page"],
            headers: READ_HEADERS,
            answers: &[(200, "Branches")],
            problems: &[404, 410, 422],
            ..plain(
                Method::GET,
                "/v1/contexts/{kind}/{id}/branches",
                "List a context's branches",
                handler!(lines::branches),
            )
        },
        Call {
            headers: CALL_HEADERS,
            body: &[JSON],
            answers: &[(201, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::POST,
                "/v1/contexts/{kind}/{id}/branches",
                "Begin a branch as a version was",
                handler!(lines::create_branch),
            )
        },
        Call {
            headers: WRITE_HEADERS,
            answers: &[(200, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::DELETE,
                "/v1/contexts/{kind}/{id}/branches/{*name}",
                "Delete a branch; its history stays",
                handler!(lines::delete_branch),
            )
        },
        Call {
            headers: CALL_HEADERS,
            body: &[JSON],
            answers: &[(200, "Merged")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::POST,
                "/v1/contexts/{kind}/{id}/merge",
                "Merge a line into another (a branch into main, or main into a branch), or with dry_run say what that would come to",
                handler!(lines::merge),
            )
        },
    ]
}
