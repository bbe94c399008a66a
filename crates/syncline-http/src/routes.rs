//! The table of calls: routing, the names that a query may have, and the OpenAPI document.

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams};
use axum::routing::{MethodFilter, any, on};
use http::{Method, Request, Response};
use syncline_api::{Code, Problem};

use crate::ask::{Answer, Ask, Handler};
use crate::doors::Node;
use crate::query::Query;
use crate::{answer, contexts, feeds, lists, node, openapi, socket};

/// One call that the door answers.
pub(crate) struct Call {
    pub method: Method,
    pub path: &'static str,
    pub summary: &'static str,
    /// The members that its query may have.
    pub query: &'static [&'static str],
    /// The headers that it minds, beside those of every call.
    pub headers: &'static [&'static str],
    /// The content types that its body may have.
    pub body: &'static [&'static str],
    /// What it answers with when all is well: status and schema.
    pub answers: &'static [(u16, &'static str)],
    /// The problems that are its own, beside those of every call.
    pub problems: &'static [u16],
    pub handler: Handler,
}

/// Members of a query that may come more than once.
const REPEATABLE: [&str; 1] = ["label"];

const CONTEXT: &str = "/v1/contexts/{kind}/{id}";
const WRITE_HEADERS: &[&str] = &[
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Syncline-Base",
    "Syncline-Strategy",
    "Syncline-Message",
    "Syncline-Confirm",
    "Syncline-Tool-Call",
];
const READ_HEADERS: &[&str] = &["Syncline-Min-Cursor"];
const WRITE_PROBLEMS: &[u16] = &[404, 409, 410, 412, 413, 415, 422, 428, 507];
const MERGE_PATCH: &str = crate::ask::MERGE_PATCH;
const JSON_PATCH: &str = crate::ask::JSON_PATCH;
const JSON: &str = crate::ask::JSON;

/// Turns an async function into a handler.
macro_rules! handler {
    ($path:path) => {
        |ask| Box::pin($path(ask))
    };
}

/// Returns all calls that are built.
pub(crate) fn calls() -> Vec<Call> {
    let plain = |method, path, summary, handler| Call {
        method,
        path,
        summary,
        query: &[],
        headers: &[],
        body: &[],
        answers: &[(200, "Any")],
        problems: &[],
        handler,
    };
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
            query: &["subtree", "branch"],
            headers: WRITE_HEADERS,
            answers: &[(200, "Receipt")],
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
            query: &["from", "to", "branch"],
            headers: READ_HEADERS,
            answers: &[(200, "Diff")],
            problems: &[404, 422],
            ..plain(
                Method::GET,
                "/v1/contexts/{kind}/{id}/diff",
                "Compare two versions of a context",
                handler!(contexts::diff),
            )
        },
        Call {
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
                "List contexts",
                handler!(lists::list),
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
            ],
            headers: READ_HEADERS,
            answers: &[(200, "Changes")],
            problems: &[410],
            ..plain(
                Method::GET,
                "/v1/changes",
                "Pull what follows a cursor, waiting for news if asked to",
                handler!(feeds::pull),
            )
        },
        Call {
            query: &["after", "scope", "mode", "old", "exclude_self", "filter"],
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
            answers: &[(200, "Verification")],
            ..plain(
                Method::POST,
                "/v1/verify",
                "Check all that is stored against its hashes, while the node runs; one at a time",
                handler!(node::verify),
            )
        },
        Call {
            answers: &[(200, "Probe"), (503, "Probe")],
            ..plain(
                Method::GET,
                "/healthz",
                "Whether all is well",
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
            "/openapi.json",
            "This document",
            handler!(openapi::get),
        ),
    ]
}

/// What PROTOCOL names and no node can do yet.
const NOT_BUILT: &[&str] = &[
    "/",
    "/mcp",
    "/graphql",
    "/asyncapi.json",
    "/docs",
    "/metrics",
    "/v1/contexts/{kind}/{id}/blame",
    "/v1/contexts/{kind}/{id}/tags",
    "/v1/contexts/{kind}/{id}/rollback",
    "/v1/contexts/{kind}/{id}/branches",
    "/v1/contexts/{kind}/{id}/merge",
    "/v1/contexts/{kind}/{id}/lease",
    "/v1/contexts/{kind}/{id}/presence",
    "/v1/contexts/{kind}/{id}/permissions",
    "/v1/conflicts",
    "/v1/conflicts/{id}",
    "/v1/webhooks",
    "/v1/webhooks/{*rest}",
    "/v1/subscriptions",
    "/v1/subscriptions/{*rest}",
    "/v1/delegations",
    "/v1/delegations/{*rest}",
    "/v1/schemas",
    "/v1/schemas/{*rest}",
    "/v1/templates",
    "/v1/templates/{*rest}",
    "/v1/keys",
    "/v1/keys/{*rest}",
    "/v1/audit",
];

/// Makes the router of all calls.
pub(crate) fn router(node: Node) -> Router {
    let mut router = Router::new();
    for call in calls() {
        let filter = MethodFilter::try_from(call.method).expect("the table has usual methods");
        let (path, known, handler) = (call.path, call.query, call.handler);
        let node = node.clone();
        let serve = move |request| answer_call(node, path, known, handler, request);
        router = router.route(path, on(filter, serve));
    }
    for path in NOT_BUILT {
        let refuse = move || async move { answer::problem(&Problem::not_built(path)) };
        router = router.route(path, any(refuse));
    }
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
}

async fn answer_call(
    node: Node,
    path: &'static str,
    known: &'static [&'static str],
    handler: Handler,
    request: Request<Body>,
) -> Response<Body> {
    let method = request.method().clone();
    let answer = call(node, known, handler, request).await;
    match answer {
        Ok(response) => {
            tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
            response
        }
        Err(problem) => {
            let code = problem.code.name();
            match problem.code.status() {
                500.. if problem.code != Code::NotBuilt => {
                    tracing::warn!(%method, path, code, "a call failed");
                }
                _ => tracing::debug!(%method, path, code, "refused"),
            }
            answer::problem(&problem)
        }
    }
}

async fn call(
    node: Node,
    known: &'static [&'static str],
    handler: Handler,
    request: Request<Body>,
) -> Answer {
    let (mut parts, body) = request.into_parts();
    let query = Query::read(parts.uri.query(), known, &REPEATABLE)?;
    let params = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| Problem::new(Code::Invalid, "the path is not percent-encoded UTF-8"))?;
    let path = params.iter().map(|(_, value)| value.to_owned()).collect();
    handler(Ask {
        node,
        parts,
        body: body.into(),
        query,
        path,
    })
    .await
}

async fn unknown_path() -> Response<Body> {
    let problem =
        Problem::new(Code::NotFound, "there is no such path").hint("/openapi.json has all paths");
    answer::problem(&problem)
}

async fn wrong_method() -> Response<Body> {
    let problem = Problem::new(Code::MethodNotAllowed, "the path does not know this method")
        .hint("the header Allow has those that it knows");
    answer::problem(&problem)
}
