//! The OpenAPI document, made from the table of calls.

mod contexts;
mod explanations;
mod lines;
mod log;
pub(crate) mod messages;
mod node;
mod shapes;
mod subscriptions;
#[cfg(test)]
mod tests;
mod webhooks;
mod words;

use http::Method;
use syncline_api::Code;
use syncline_model::json::{Json, Object};

use crate::answer;
use crate::ask::{Answer, Ask};
use crate::calls::{Call, calls};
use shapes::{Named, empty, typed};

/// `GET /openapi.json`
pub(crate) async fn get(_ask: Ask) -> Answer {
    Ok(answer::json(http::StatusCode::OK, document()))
}

/// Returns the document.
pub fn document() -> String {
    let mut paths = Object::new();
    for call in calls() {
        // What may hold slashes is a parameter like others, percent-encoded.
        let path = call.path.replace("{*", "{");
        if !paths.contains_key(&path) {
            paths.insert(path.as_str(), Json::Object(Object::new()));
        }
        if let Some(Json::Object(methods)) = paths.get_mut(&path) {
            methods.insert(call.method.as_str().to_ascii_lowercase(), operation(&call));
        }
    }
    let document = object([
        ("openapi", Json::from("3.1.0")),
        (
            "info",
            object([
                ("title", Json::from("Syncline")),
                ("version", Json::from(env!("CARGO_PKG_VERSION"))),
                (
                    "license",
                    object([
                        ("name", Json::from("Apache-2.0")),
                        ("identifier", Json::from("Apache-2.0")),
                    ]),
                ),
                ("description", Json::from(DESCRIPTION)),
            ]),
        ),
        ("security", list([object([("key", list([]))])])),
        ("paths", Json::Object(paths)),
        (
            "components",
            object([("schemas", schemas()), ("securitySchemes", security())]),
        ),
    ]);
    document.to_pretty() + "\n"
}

/// Returns all schemas by name.
pub(crate) fn schemas() -> Json {
    object(named())
}

fn named() -> Named {
    let parts = [
        words::schemas(),
        contexts::schemas(),
        log::schemas(),
        lines::schemas(),
        node::schemas(),
        subscriptions::schemas(),
        explanations::schemas(),
        webhooks::schemas(),
    ];
    parts.into_iter().flatten().collect()
}

const DESCRIPTION: &str = "\
Every TCP request carries `Authorization: Bearer` (`/healthz`, `/readyz` and the upgrade to \
`/v1/sync` may go without). `Syncline-Workspace` names the workspace (default `default`); \
`Syncline-Agent`, `Syncline-Session` and `Syncline-Provider` name who acts under the key. Any call may answer 400 \
(a query, header or cursor that is not understood), 401, 403 (a foreign Origin), 408, 413, 421 \
(a foreign Host), 429, 431, 500, 501 (not built yet) and 503, always as RFC 9457 problems. An \
address, kind or owner that is wrong is 422, in a path as in a query. A flag of a query is \
`true`, `false`, or its name alone; unknown members of a query are refused. `label` is \
`key:value`, `key=value`, or a key alone, and may come several times. `sort` is `address`, \
`updated`, `created` or `title`, with `-` for the largest first. `page` is `next` of the page \
before. `branch` names a line of versions beside `main`. A node \
that is newer than this may send more members, and more of the words that an `enum` lists. A batch answers 200 even where parts, or in an atomic one all, were refused: each says \
so at its place. A WebSocket that closes with 4000 said before in an `error` message, as \
`after_ms`, when to come back.";

fn operation(call: &Call) -> Json {
    let mut operation = Object::new();
    operation.insert("summary", Json::from(call.summary));
    operation.insert("operationId", Json::from(operation_id(call)));
    operation.insert("parameters", parameters(call));
    if !call.body.is_empty() {
        let content = call
            .body
            .iter()
            .map(|kind| (*kind, media(reference(body_schema(kind, call)))));
        let body = object([
            ("required", Json::from(!call.body_may_miss)),
            ("content", object(content)),
        ]);
        operation.insert("requestBody", body);
    }
    operation.insert("responses", responses(call));
    if matches!(call.path, "/healthz" | "/readyz") {
        operation.insert("security", list([]));
    }
    Json::Object(operation)
}

/// Makes an id such as `put_contexts_kind_id`.
fn operation_id(call: &Call) -> String {
    let words = call.path.split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty() && *word != "v1");
    let method = call.method.as_str().to_ascii_lowercase();
    words.fold(method, |id, word| format!("{id}_{word}"))
}

const EVERY_CALL: [&str; 4] = [
    "Syncline-Workspace",
    "Syncline-Agent",
    "Syncline-Session",
    "Syncline-Provider",
];

fn parameters(call: &Call) -> Json {
    let in_path = call
        .path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    let mut all: Vec<Json> = in_path
        .map(|name| parameter(name.trim_start_matches('*'), "path"))
        .collect();
    all.extend(call.query.iter().map(|name| parameter(name, "query")));
    let headers = EVERY_CALL
        .iter()
        .chain(call.headers)
        .filter(|_| call.path.starts_with("/v1/"));
    all.extend(headers.map(|name| parameter(name, "header")));
    Json::from(all)
}

fn parameter(name: &str, place: &str) -> Json {
    let kind = match name {
        "limit" | "wait_ms" | "batch_ms" | "max_bytes" | "budget_bytes" | "max_tokens"
        | "coalesce_ms" | "version" | "from" | "to" => "count",
        "create" | "create_parents" | "subtree" | "deleted" | "resolved" | "old"
        | "exclude_self" | "open" | "digest" => "boolean",
        "label" => "[string]",
        "mode" => "Mode",
        "Syncline-Strategy" => "Strategy",
        "Syncline-Priority" => "Priority",
        _ => "string",
    };
    object([
        ("name", Json::from(name)),
        ("in", Json::from(place)),
        ("required", Json::from(place == "path")),
        ("schema", typed(kind)),
    ])
}

/// Returns the name of the schema of a body.
fn body_schema(kind: &str, call: &Call) -> &'static str {
    match (kind, call.path) {
        (crate::ask::JSON_PATCH, _) => "JsonPatch",
        (_, "/v1/contexts:batch") => "Batch",
        (_, "/v1/workspaces") => "NewWorkspace",
        (_, "/v1/compact") => "CompactionAsked",
        (_, "/v1/conflicts/{id}") => "Settlement",
        (_, "/v1/schemas/{kind}") => "Declaration",
        (_, "/v1/rules") if call.method == Method::PUT => "DeclaredRules",
        (_, "/v1/subscriptions") => "NewSubscription",
        (_, "/v1/subscriptions/{name}/ack") => "Ack",
        (_, "/v1/subscriptions/{name}/nack") => "Nack",
        (_, "/v1/subscriptions/{name}/extend") => "Extend",
        (_, "/v1/subscriptions/{name}/seek") => "Seek",
        (_, "/v1/webhooks") => "WebhookDefinition",
        (_, "/v1/webhooks/{id}") => "WebhookChange",
        (_, "/v1/webhooks/{id}/rotate") => "GivenSecret",
        (_, "/v1/webhooks/{id}/replay") => "Again",
        (_, path) if path.ends_with("/branches") => "NewBranch",
        (_, path) if path.ends_with("/merge") => "Merge",
        (_, path) if path.ends_with("/rollback") => "Rollback",
        (_, path) if path.ends_with("/tags") => "NewTag",
        _ if call.method == Method::PATCH => "MergePatch",
        _ => "SentContext",
    }
}

fn responses(call: &Call) -> Json {
    let mut responses = Object::new();
    for (status, schema) in call.answers {
        let mut response = Object::new();
        response.insert("description", Json::from(describe(*status)));
        match *schema {
            "" => {}
            "EventStream" => {
                response.insert("content", object([("text/event-stream", empty())]));
            }
            name => {
                response.insert(
                    "content",
                    object([("application/json", media(reference(name)))]),
                );
            }
        }
        responses.insert(status.to_string(), Json::Object(response));
    }
    for status in call.problems {
        responses.insert(
            status.to_string(),
            problem_response(describe_problem(*status)),
        );
    }
    responses.insert(
        "default",
        problem_response("A problem (RFC 9457)".to_owned()),
    );
    Json::Object(responses)
}

fn describe(status: u16) -> &'static str {
    match status {
        101 => "The connection is a WebSocket now",
        201 => "Made",
        304 => "The reader's copy is still right",
        503 => "Not now, and why",
        _ => "All is well",
    }
}

/// Names the problems that have this status.
fn describe_problem(status: u16) -> String {
    let names: Vec<_> = Code::all()
        .filter(|code| code.status() == status)
        .map(Code::name)
        .collect();
    names.join(", ")
}

fn problem_response(description: String) -> Json {
    let content = object([("application/problem+json", media(reference("Problem")))]);
    object([
        ("description", Json::from(description)),
        ("content", content),
    ])
}

fn media(schema: Json) -> Json {
    object([("schema", schema)])
}

pub(crate) fn reference(name: &str) -> Json {
    object([("$ref", Json::from(format!("#/components/schemas/{name}")))])
}

fn security() -> Json {
    let key = object([
        ("type", Json::from("http")),
        ("scheme", Json::from("bearer")),
    ]);
    object([("key", key)])
}

pub(crate) fn list<const N: usize>(items: [Json; N]) -> Json {
    Json::from(Vec::from(items))
}

pub(crate) fn object<K: Into<syncline_model::json::Key>>(
    members: impl IntoIterator<Item = (K, Json)>,
) -> Json {
    Json::Object(members.into_iter().collect())
}
