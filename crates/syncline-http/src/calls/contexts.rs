//! Calls for contexts: read, write, history.

use http::Method;

use super::{
    CONTEXT, Call, JSON, JSON_PATCH, MERGE_PATCH, READ_HEADERS, WRITE_HEADERS, WRITE_PROBLEMS,
    handler, plain,
};
use crate::{contexts, lists};

/// Returns the calls.
pub(super) fn calls() -> Vec<Call> {
    let parts = [reads(), lists(), writes(), ends()];
    parts.into_iter().flatten().collect()
}

fn reads() -> Vec<Call> {
    vec![
        Call {
            query: &[
                "version",
                "at",
                "fields",
                "max_tokens",
                "branch",
                "resolved",
            ],
            headers: &["If-None-Match", "Syncline-Min-Cursor"],
            answers: &[(200, "Context"), (304, "")],
            problems: &[404, 410, 422],
            ..plain(
                Method::GET,
                CONTEXT,
                "Read a context",
                handler!(contexts::get),
            )
        },
        Call {
            query: &["limit", "page", "branch"],
            headers: READ_HEADERS,
            answers: &[(200, "Versions")],
            problems: &[404, 422],
            ..plain(
                Method::GET,
                "/v1/contexts/{kind}/{id}/versions",
                "List a context's versions, newest first",
                handler!(contexts::versions),
            )
        },
        Call {
            query: &["from", "to", "branch", "to_branch"],
            headers: READ_HEADERS,
            answers: &[(200, "Diff")],
            problems: &[404, 410, 422],
            ..plain(
                Method::GET,
                "/v1/contexts/{kind}/{id}/diff",
                "Compare two versions of a context, of one line or of two",
                handler!(contexts::diff),
            )
        },
    ]
}

fn lists() -> Vec<Call> {
    vec![Call {
        query: &[
            "kind",
            "parent",
            "within",
            "label",
            "state",
            "owner",
            "updated_since",
            "deleted",
            "sort",
            "limit",
            "page",
            "fields",
            "max_tokens",
            "where",
            "q",
        ],
        headers: READ_HEADERS,
        answers: &[(200, "Contexts")],
        problems: &[422],
        ..plain(
            Method::GET,
            "/v1/contexts",
            "List contexts; cursor is the log's place before the first page was read, to go on from",
            handler!(lists::list),
        )
    }]
}

fn writes() -> Vec<Call> {
    vec![
        Call {
            query: &["create", "create_parents", "branch"],
            headers: WRITE_HEADERS,
            body: &[JSON],
            answers: &[(200, "Receipt"), (201, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::PUT,
                CONTEXT,
                "Create or replace a context",
                handler!(contexts::put),
            )
        },
        Call {
            query: &["create", "create_parents", "branch"],
            headers: WRITE_HEADERS,
            body: &[MERGE_PATCH, JSON_PATCH],
            answers: &[(200, "Receipt"), (201, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::PATCH,
                CONTEXT,
                "Patch a context",
                handler!(contexts::patch),
            )
        },
        Call {
            headers: &["Idempotency-Key", "Syncline-Confirm", "Syncline-Tool-Call"],
            body: &[JSON],
            answers: &[(200, "Receipts")],
            problems: &[413, 415, 422, 507],
            ..plain(
                Method::POST,
                "/v1/contexts:batch",
                "Submit several proposals as one bulk; refused parts are told at their place",
                handler!(contexts::batch),
            )
        },
    ]
}

fn ends() -> Vec<Call> {
    vec![
        Call {
            query: &["subtree", "branch"],
            headers: WRITE_HEADERS,
            answers: &[(200, "ReceiptOrReceipts")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::DELETE,
                CONTEXT,
                "Delete a context, or with subtree=true all below it too, as one bulk",
                handler!(contexts::delete),
            )
        },
        Call {
            query: &["branch"],
            headers: WRITE_HEADERS,
            answers: &[(200, "Receipt")],
            problems: WRITE_PROBLEMS,
            ..plain(
                Method::POST,
                "/v1/contexts/{kind}/{id}/restore",
                "Bring a deleted context back",
                handler!(contexts::restore),
            )
        },
    ]
}
