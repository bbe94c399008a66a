//! Routing: from the table of calls to handlers.

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams};
use axum::routing::{MethodFilter, any, on};
use http::{Request, Response};
use syncline_api::{Code, Problem};

use crate::answer;
use crate::ask::{Answer, Ask, Handler};
use crate::calls::calls;
use crate::doors::Node;
use crate::packing;
use crate::query::Query;

/// Members of a query that may come more than once.
const REPEATABLE: [&str; 1] = ["label"];

/// What PROTOCOL names and no node can do yet.
const NOT_BUILT: &[&str] = &[
    "/",
    "/mcp",
    "/graphql",
    "/docs",
    "/metrics",
    "/v1/contexts/{kind}/{id}/lease",
    "/v1/contexts/{kind}/{id}/presence",
    "/v1/contexts/{kind}/{id}/permissions",
    "/v1/delegations",
    "/v1/delegations/{*rest}",
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
    let coding = packing::asked_for(request.headers());
    let answer = call(node.clone(), known, handler, request).await;
    match answer {
        Ok(response) => {
            tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
            packing::packed(coding, &node.packing, response).await
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
