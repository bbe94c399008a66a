//! The table of calls: what each may be sent and what it answers, for routing and for the OpenAPI
//! document.

mod contexts;
mod declared;
mod lines;
mod node;
mod subscriptions;
mod webhooks;

use http::Method;

use crate::ask::Handler;

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
    /// It means something without a body, too.
    pub body_may_miss: bool,
    /// What it answers with when all is well: status and schema.
    pub answers: &'static [(u16, &'static str)],
    /// The problems that are its own, beside those of every call.
    pub problems: &'static [u16],
    pub handler: Handler,
}

const CONTEXT: &str = "/v1/contexts/{kind}/{id}";
const WRITE_HEADERS: &[&str] = &[
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Syncline-Base",
    "Syncline-Strategy",
    "Syncline-Priority",
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
use handler;

/// Returns all calls that are built.
pub(crate) fn calls() -> Vec<Call> {
    let parts = [
        contexts::calls(),
        lines::calls(),
        declared::calls(),
        webhooks::calls(),
        node::calls(),
        subscriptions::calls(),
    ];
    parts.into_iter().flatten().collect()
}

/// Returns a call that takes nothing and answers something.
fn plain(method: Method, path: &'static str, summary: &'static str, handler: Handler) -> Call {
    Call {
        method,
        path,
        summary,
        query: &[],
        headers: &[],
        body: &[],
        body_may_miss: false,
        answers: &[(200, "Any")],
        problems: &[],
        handler,
    }
}
