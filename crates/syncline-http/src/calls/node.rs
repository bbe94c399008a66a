//! Calls that follow the log, and those that ask the node about itself.

use http::Method;

use super::{Call, JSON, READ_HEADERS, handler, plain};
use crate::{asyncapi, broadcasts, feeds, node, openapi, socket};

/// Returns the calls.
pub(super) fn calls() -> Vec<Call> {
    let parts = [log(), workspaces(), health()];
    parts.into_iter().flatten().collect()
}

fn log() -> Vec<Call> {
    vec![
        Call {
            query: &[
                "after",
                "limit",
                "wait_ms",
                "scope",
                "mode",
                "old",
                "exclude_self",
                "filter",
                "where",
                "fields",
                "since",
                "digest",
                "budget_bytes",
            ],
            headers: READ_HEADERS,
            answers: &[(200, "ChangesOrDigest")],
            problems: &[410],
            ..plain(
                Method::GET,
                "/v1/changes",
                "Pull what follows a cursor, waiting for news if asked to",
                handler!(feeds::pull),
            )
        },
        Call {
            query: &[
                "after",
                "scope",
                "mode",
                "old",
                "exclude_self",
                "filter",
                "where",
                "fields",
                "coalesce_ms",
                "since",
            ],
            headers: &["Last-Event-ID", "Syncline-Min-Cursor"],
            answers: &[(200, "EventStream")],
            ..plain(
                Method::GET,
                "/v1/changes/stream",
                "Follow changes as server-sent events",
                handler!(feeds::stream),
            )
        },
        Call {
            answers: &[(101, "")],
            ..plain(
                Method::GET,
                "/v1/sync",
                "Open a WebSocket with the subprotocol syncline.v1",
                handler!(socket::upgrade),
            )
        },
    ]
}

fn workspaces() -> Vec<Call> {
    vec![
        Call {
            answers: &[(200, "Workspaces")],
            ..plain(
                Method::GET,
                "/v1/workspaces",
                "List workspaces",
                handler!(node::workspaces),
            )
        },
        Call {
            body: &[JSON],
            answers: &[(200, "Workspace"), (201, "Workspace")],
            problems: &[415, 422],
            ..plain(
                Method::POST,
                "/v1/workspaces",
                "Make a workspace",
                handler!(node::create_workspace),
            )
        },
    ]
}

fn health() -> Vec<Call> {
    vec![
        Call {
            answers: &[(200, "Status")],
            ..plain(
                Method::GET,
                "/v1/status",
                "How the node is",
                handler!(node::status),
            )
        },
        Call {
            answers: &[(200, "Stats")],
            ..plain(
                Method::GET,
                "/v1/stats",
                "The node's numbers",
                handler!(node::stats),
            )
        },
        Call {
            query: &["limit"],
            answers: &[(200, "Broadcasts")],
            problems: &[403],
            ..plain(
                Method::GET,
                "/v1/stats/broadcasts",
                "The newest changes: whom each was for, and what became of that",
                handler!(broadcasts::list),
            )
        },
        Call {
            answers: &[(200, "Verification")],
            ..plain(
                Method::POST,
                "/v1/verify",
                "Check all that is stored against its hashes, while the node runs; one at a time",
                handler!(node::verify),
            )
        },
        Call {
            body: &[JSON],
            body_may_miss: true,
            answers: &[(200, "Compaction")],
            problems: &[415, 422, 429],
            ..plain(
                Method::POST,
                "/v1/compact",
                "Thin old versions now, where a policy says so, and frame records of long histories, or with dry_run only count them",
                handler!(node::compact),
            )
        },
        Call {
            answers: &[(200, "Probe")],
            ..plain(
                Method::GET,
                "/healthz",
                "That the process lives; healthy and reasons say whether all is well, the status does not",
                handler!(node::healthz),
            )
        },
        Call {
            answers: &[(200, "Probe"), (503, "Probe")],
            ..plain(
                Method::GET,
                "/readyz",
                "Whether the node takes writes",
                handler!(node::readyz),
            )
        },
        plain(
            Method::GET,
            "/asyncapi.json",
            "The WebSocket's messages and the stream's events, as AsyncAPI",
            handler!(asyncapi::get),
        ),
        plain(
            Method::GET,
            "/openapi.json",
            "This document",
            handler!(openapi::get),
        ),
    ]
}
