//! The OpenAPI document, made from the table of calls.

use syncline_api::Code;
use syncline_model::json::{Json, Object};

use crate::answer;
use crate::ask::{Answer, Ask};
use crate::routes::{Call, calls};

/// `GET /openapi.json`
pub(crate) async fn get(_ask: Ask) -> Answer {
    Ok(answer::json(http::StatusCode::OK, document()))
}

/// Returns the document.
pub fn document() -> String {
    let mut paths = Object::new();
    for call in calls() {
        if !paths.contains_key(call.path) {
            paths.insert(call.path, Json::Object(Object::new()));
        }
        if let Some(Json::Object(methods)) = paths.get_mut(call.path) {
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

const DESCRIPTION: &str = "\
Every TCP request carries `Authorization: Bearer` (`/healthz`, `/readyz` and the upgrade to \
`/v1/sync` may go without). `Syncline-Workspace` names the workspace (default `default`); \
`Syncline-Agent` and `Syncline-Session` name who acts under the key. Any call may answer 400 \
(a query, header or cursor that is not understood), 401, 403 (a foreign Origin), 408, 413, 421 \
(a foreign Host), 429, 431, 500, 501 (not built yet) and 503, always as RFC 9457 problems. An \
address, kind or owner that is wrong is 422, in a path as in a query. A flag of a query is \
`true`, `false`, or its name alone; unknown members of a query are refused. `label` is \
`key:value`, `key=value`, or a key alone, and may come several times. `sort` is `address`, \
`updated`, `created` or `title`, with `-` for the largest first. `page` is `next` of the page \
before. A batch answers 200 even where parts, or in an atomic one all, were refused: each says \
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
            .map(|kind| (*kind, media(body_schema(kind, call.path))));
        let body = object([("required", Json::from(true)), ("content", object(content))]);
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

const EVERY_CALL: [&str; 3] = ["Syncline-Workspace", "Syncline-Agent", "Syncline-Session"];

fn parameters(call: &Call) -> Json {
    let in_path = call
        .path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    let mut all: Vec<Json> = in_path.map(|name| parameter(name, "path")).collect();
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
        "limit" | "wait_ms" | "max_tokens" | "version" | "from" | "to" => "integer",
        "create" | "create_parents" | "subtree" | "deleted" | "resolved" | "old"
        | "exclude_self" => "boolean",
        "label" => "array",
        _ => "string",
    };
    let schema = match kind {
        "array" => object([
            ("type", Json::from("array")),
            ("items", object([("type", Json::from("string"))])),
        ]),
        kind => object([("type", Json::from(kind))]),
    };
    object([
        ("name", Json::from(name)),
        ("in", Json::from(place)),
        ("required", Json::from(place == "path")),
        ("schema", schema),
    ])
}

fn body_schema(kind: &str, path: &str) -> Json {
    match (kind, path) {
        (crate::ask::JSON_PATCH, _) => reference("JsonPatch"),
        (_, "/v1/contexts:batch") => reference("Batch"),
        (_, "/v1/workspaces") => reference("NewWorkspace"),
        _ => reference("Document"),
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

fn schemas() -> Json {
    let codes: Json = Code::all().map(|code| Json::from(code.name())).collect();
    object([
        ("Any", empty()),
        ("Document", record(&DOCUMENT, &[])),
        (
            "Context",
            record(
                &[&CONTEXT[..], &DOCUMENT[..]].concat(),
                &["context", "version", "etag"],
            ),
        ),
        ("Contexts", page("contexts", "Context")),
        ("Receipt", record(&RECEIPT, &["change_id", "outcome"])),
        (
            "Refusal",
            object_schema([("change_id", text()), ("error", reference("Problem"))]),
        ),
        (
            "Receipts",
            object_schema([
                ("bulk", text()),
                (
                    "receipts",
                    array(object([(
                        "anyOf",
                        list([reference("Receipt"), reference("Refusal")]),
                    )])),
                ),
            ]),
        ),
        (
            "Change",
            record(
                &CHANGE,
                &["id", "type", "context", "version", "actor", "enc"],
            ),
        ),
        ("Versions", page("versions", "Change")),
        (
            "Changes",
            object_schema([("changes", array(reference("Change"))), ("cursor", text())]),
        ),
        (
            "Diff",
            object_schema([
                ("from", integer()),
                ("to", integer()),
                ("patch", reference("JsonPatch")),
                ("text", text()),
            ]),
        ),
        ("JsonPatch", array(object([("type", Json::from("object"))]))),
        (
            "Batch",
            object_schema([
                (
                    "mode",
                    object([(
                        "enum",
                        list([Json::from("atomic"), Json::from("independent")]),
                    )]),
                ),
                ("proposals", array(reference("Proposal"))),
            ]),
        ),
        ("Proposal", record(&PROPOSAL, &["context", "op"])),
        ("NewWorkspace", record(&[("name", "string")], &["name"])),
        (
            "Workspace",
            record(&[("name", "string"), ("epoch", "string")], &["name"]),
        ),
        (
            "Workspaces",
            object_schema([("workspaces", array(reference("Workspace")))]),
        ),
        ("Status", record(&STATUS, &["node", "healthy", "reasons"])),
        ("Stats", object([("type", Json::from("object"))])),
        (
            "Verification",
            object_schema([
                ("sound", boolean()),
                ("workspaces", integer()),
                ("records", integer()),
                ("contexts", integer()),
                ("documents", integer()),
                ("problems", array(text())),
            ]),
        ),
        (
            "Probe",
            object_schema([
                ("healthy", boolean()),
                ("ready", boolean()),
                ("reasons", array(text())),
            ]),
        ),
        (
            "Problem",
            object_schema(
                [("code", object([("enum", codes)]))]
                    .into_iter()
                    .chain(PROBLEM.map(|(name, kind)| (name, typed(kind)))),
            ),
        ),
    ])
}

type Members = [(&'static str, &'static str)];

const DOCUMENT: [(&str, &str); 11] = [
    ("title", "string"),
    ("description", "string"),
    ("parent", "string"),
    ("labels", "object"),
    ("level", "string"),
    ("state", "string"),
    ("owner", "string"),
    ("collaborators", "array"),
    ("permissions", "object"),
    ("data", "object"),
    ("metadata", "object"),
];
const CONTEXT: [(&str, &str); 12] = [
    ("context", "string"),
    ("version", "integer"),
    ("seq", "integer"),
    ("etag", "string"),
    ("hash", "string"),
    ("actor", "object"),
    ("created_at", "string"),
    ("updated_at", "string"),
    ("conflicts", "array"),
    ("pending", "integer"),
    ("deleted", "boolean"),
    ("partial", "object"),
];
const RECEIPT: [(&str, &str); 9] = [
    ("change_id", "string"),
    ("seq", "integer"),
    ("version", "integer"),
    ("outcome", "string"),
    ("conflicts", "array"),
    ("cursor", "string"),
    ("etag", "string"),
    ("blind", "boolean"),
    ("bulk", "string"),
];
const CHANGE: [(&str, &str); 26] = [
    ("id", "string"),
    ("seq", "integer"),
    ("cursor", "string"),
    ("type", "string"),
    ("context", "string"),
    ("branch", "string"),
    ("parent", "string"),
    ("project", "string"),
    ("labels", "object"),
    ("version", "integer"),
    ("from", "integer"),
    ("base", "integer"),
    ("bulk", "string"),
    ("actor", "object"),
    ("hlc", "string"),
    ("committed_at", "string"),
    ("priority", "integer"),
    ("message", "string"),
    ("changed", "array"),
    ("enc", "string"),
    ("patch", "array"),
    ("snapshot", "object"),
    ("old", "object"),
    ("outcome", "string"),
    ("blind", "boolean"),
    ("hash", "string"),
];
const PROPOSAL: [(&str, &str); 14] = [
    ("change_id", "string"),
    ("context", "string"),
    ("op", "string"),
    ("base", "any"),
    ("body", "any"),
    ("if_match", "string"),
    ("if_none_match", "string"),
    ("create", "boolean"),
    ("create_parents", "boolean"),
    ("strategy", "string"),
    ("message", "string"),
    ("hlc", "string"),
    ("priority", "integer"),
    ("branch", "string"),
];
const STATUS: [(&str, &str); 10] = [
    ("node", "string"),
    ("version", "string"),
    ("started_at", "string"),
    ("now", "string"),
    ("workspace", "string"),
    ("epoch", "string"),
    ("cursor", "string"),
    ("healthy", "boolean"),
    ("ready", "boolean"),
    ("reasons", "array"),
];
const PROBLEM: [(&str, &str); 13] = [
    ("type", "string"),
    ("title", "string"),
    ("status", "integer"),
    ("detail", "string"),
    ("pointer", "string"),
    ("hint", "string"),
    ("limit", "integer"),
    ("setting", "string"),
    ("reason", "string"),
    ("retry_after_ms", "integer"),
    ("base", "any"),
    ("ours", "any"),
    ("theirs", "any"),
];

fn record(members: &Members, required: &[&str]) -> Json {
    let mut schema = object_schema(members.iter().map(|(name, kind)| (*name, typed(kind))));
    if let (Some(schema), false) = (schema.as_object_mut(), required.is_empty()) {
        schema.insert(
            "required",
            required.iter().map(|name| Json::from(*name)).collect(),
        );
    }
    schema
}

fn page(name: &'static str, item: &str) -> Json {
    object_schema([(name, array(reference(item))), ("next", text())])
}

fn object_schema(members: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    object([
        ("type", Json::from("object")),
        ("properties", object(members)),
    ])
}

fn typed(kind: &str) -> Json {
    match kind {
        "any" => empty(),
        kind => object([("type", Json::from(kind))]),
    }
}

fn empty() -> Json {
    Json::Object(Object::new())
}

fn text() -> Json {
    typed("string")
}

fn integer() -> Json {
    typed("integer")
}

fn boolean() -> Json {
    typed("boolean")
}

fn array(items: Json) -> Json {
    object([("type", Json::from("array")), ("items", items)])
}

fn media(schema: Json) -> Json {
    object([("schema", schema)])
}

fn reference(name: &str) -> Json {
    object([("$ref", Json::from(format!("#/components/schemas/{name}")))])
}

fn security() -> Json {
    let key = object([
        ("type", Json::from("http")),
        ("scheme", Json::from("bearer")),
    ]);
    object([("key", key)])
}

fn list<const N: usize>(items: [Json; N]) -> Json {
    Json::from(Vec::from(items))
}

fn object<K: Into<syncline_model::json::Key>>(
    members: impl IntoIterator<Item = (K, Json)>,
) -> Json {
    Json::Object(members.into_iter().collect())
}
