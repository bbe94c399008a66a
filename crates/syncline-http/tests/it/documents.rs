//! The node's documents as judges: every call that a test makes, and every message and event that
//! it hears, must be as they say, and hold no member that they do not name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use syncline_model::json::{Json, Limits, Object};
use syncline_schema::{Schema, SchemaLimits};

use crate::node::Reply;

/// Where the documents keep their schemas, and where a schema keeps its own.
const KEPT: (&str, &str) = ("#/components/schemas/", "#/$defs/");

/// Checks a call: what was sent, if the node took it, and what it answered.
#[track_caller]
pub fn check_call(
    (method, target): (&str, &str),
    (headers, body): (&[(&str, &str)], &str),
    reply: &Reply,
) {
    // An answer to HEAD is that to GET, without its body.
    if method == "HEAD" {
        return;
    }
    let openapi = Documents::get();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some((template, operation)) = openapi.operation(method, path) else {
        // What is no call of ours is answered with a problem, if with a body at all.
        assert!(reply.status >= 400, "{method} {target} is in no document");
        return;
    };
    let call = format!("{method} {template}");
    if (200..300).contains(&reply.status) {
        let kind = headers.iter().find(|(name, _)| *name == "content-type");
        check_sent(&call, operation, kind.map(|(_, kind)| *kind), body);
        check_query(&call, operation, query);
    }
    let kind = reply.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/") || reply.body.is_empty() {
        return;
    }
    let answers = operation.get("responses").unwrap();
    let status = reply.status.to_string();
    let answer = answers.get(&status).or_else(|| answers.get("default"));
    let schema = answer.and_then(|answer| answer.get("content")?.get(kind)?.get("schema"));
    let Some(schema) = schema else {
        panic!("{call} is not said to answer {status} with {kind}");
    };
    let key = format!("{call} answers {status} {kind}");
    openapi.check(&key, schema, &openapi.openapi, &read(&reply.body));
}

#[track_caller]
fn check_sent(call: &str, operation: &Json, kind: Option<&str>, body: &str) {
    let Some(known) = operation.get("requestBody") else {
        assert!(body.is_empty(), "{call} takes no body, and took one");
        return;
    };
    if body.is_empty() {
        let must = known.get("required") == Some(&Json::from(true));
        assert!(!must, "{call} is said to need a body, and took none");
        return;
    }
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    let kind = kind.split(';').next().unwrap_or_default();
    let schema = known
        .get("content")
        .and_then(|all| all.get(kind)?.get("schema"));
    let Some(schema) = schema else {
        panic!("{call} is not said to take {kind}");
    };
    let documents = Documents::get();
    let key = format!("{call} takes {kind}");
    documents.check(&key, schema, &documents.openapi, &read(body));
}

#[track_caller]
fn check_query(call: &str, operation: &Json, query: &str) {
    let known = operation
        .get("parameters")
        .and_then(Json::as_array)
        .unwrap();
    for member in query.split('&').filter(|member| !member.is_empty()) {
        let (name, value) = member.split_once('=').unwrap_or((member, ""));
        let is = |parameter: &&Json| {
            let says = |key| parameter.get(key).and_then(Json::as_str);
            (says("in"), says("name")) == (Some("query"), Some(name))
        };
        let Some(parameter) = known.iter().find(is) else {
            panic!("{call} is not said to take {name} in its query");
        };
        let schema = parameter.get("schema").unwrap();
        let fits = match schema.get("type").and_then(Json::as_str) {
            Some("integer") => value.parse::<u64>().is_ok(),
            Some("boolean") => ["true", "false", ""].contains(&value),
            _ => true,
        };
        assert!(
            fits,
            "{call} took {member}, which is no {}",
            schema.to_text()
        );
    }
}

/// Checks a message of a WebSocket.
#[track_caller]
pub fn check_message(message: &Json) {
    let kind = message.get("type").and_then(Json::as_str).unwrap_or("none");
    let documents = Documents::get();
    let names = [kind.to_owned(), format!("node_{kind}")];
    let found = names.iter().find_map(|name| documents.payload(name));
    let Some(payload) = found else {
        panic!("{kind} is in no document: {}", message.to_text());
    };
    documents.check(
        &format!("message {kind}"),
        payload,
        &documents.asyncapi,
        message,
    );
}

/// Checks an event of a stream.
#[track_caller]
pub fn check_event(kind: &str, data: &Json) {
    let documents = Documents::get();
    let Some(payload) = documents.payload(&format!("event_{kind}")) else {
        panic!("the event {kind} is in no document: {}", data.to_text());
    };
    documents.check(&format!("event {kind}"), payload, &documents.asyncapi, data);
}

/// Says whether a client's message is as the document says.
pub fn fits(name: &str, message: &Json) -> bool {
    let documents = Documents::get();
    let payload = documents.payload(name).unwrap();
    let compiled = documents.compiled(name, payload, &documents.asyncapi);
    compiled.check(message).fits()
}

#[test]
fn a_judge_knows_what_is_wrong() {
    let right = r#"{"type":"reset","sub":"s","reason":"access"}"#;
    check_message(&read(right));
    for wrong in [
        r#"{"type":"reset","sub":"s"}"#,
        r#"{"type":"reset","sub":1,"reason":"access"}"#,
        r#"{"type":"reset","sub":"s","reason":"whim"}"#,
        r#"{"type":"reset","sub":"s","reason":"access","more":1}"#,
        r#"{"type":"nothing"}"#,
    ] {
        let judged = std::panic::catch_unwind(|| check_message(&read(wrong)));
        assert!(judged.is_err(), "{wrong}");
    }
    let event = r#"{"type":"reset","sub":"s","reason":"access"}"#;
    let judged = std::panic::catch_unwind(|| check_event("reset", &read(event)));
    assert!(judged.is_err(), "an event has no subscription");
}

/// Returns the messages that a node may send.
pub fn node_messages() -> Vec<String> {
    let operations = Documents::get().asyncapi.get("operations").unwrap();
    let operations = operations.as_object().unwrap();
    let told = operations
        .keys()
        .filter_map(|name| name.strip_prefix("tell_"));
    told.map(str::to_owned).collect()
}

struct Documents {
    openapi: Json,
    asyncapi: Json,
    schemas: Mutex<HashMap<String, Arc<Schema>>>,
}

impl Documents {
    fn get() -> &'static Documents {
        static DOCUMENTS: OnceLock<Documents> = OnceLock::new();
        DOCUMENTS.get_or_init(|| Documents {
            openapi: strict(&read(
                &syncline_http::openapi_document().replace(KEPT.0, KEPT.1),
            )),
            asyncapi: strict(&read(
                &syncline_http::asyncapi_document().replace(KEPT.0, KEPT.1),
            )),
            schemas: Mutex::default(),
        })
    }

    /// Finds what a path calls: of those whose form it has, the one with the fewest names.
    fn operation(&self, method: &str, path: &str) -> Option<(&str, &Json)> {
        let paths = self.openapi.get("paths").unwrap().as_object().unwrap();
        let fitting = paths
            .iter()
            .filter(|(template, _)| has_form(path, template));
        let (template, found) =
            fitting.min_by_key(|(template, _)| template.matches('{').count())?;
        Some((template, found.get(&method.to_ascii_lowercase())?))
    }

    fn payload(&self, name: &str) -> Option<&Json> {
        let messages = self.asyncapi.get("components").unwrap().get("messages");
        messages.unwrap().get(name)?.get("payload")
    }

    #[track_caller]
    fn check(&self, key: &str, schema: &Json, document: &Json, value: &Json) {
        let report = self.compiled(key, schema, document).check(value);
        let text: String = value.to_text().chars().take(2_000).collect();
        assert!(report.fits(), "{key}: {:#?}\n{text}", report.failures);
    }

    fn compiled(&self, key: &str, schema: &Json, document: &Json) -> Arc<Schema> {
        if let Some(known) = self.schemas.lock().unwrap().get(key) {
            return known.clone();
        }
        let kept = document.get("components").unwrap().get("schemas").unwrap();
        let mut whole = Object::new();
        whole.insert("allOf", Json::from(vec![schema.clone()]));
        whole.insert("$defs", kept.clone());
        let limits = SchemaLimits {
            // Some tests send large documents.
            steps_max: u64::MAX,
            checks_per_value_max: u64::MAX,
            ..SchemaLimits::default()
        };
        let compiled = Schema::compile(&Json::Object(whole), limits);
        let compiled = Arc::new(compiled.unwrap_or_else(|error| panic!("{key}: {error}")));
        let mut schemas = self.schemas.lock().unwrap();
        schemas.insert(key.to_owned(), compiled.clone());
        compiled
    }
}

/// Says whether a path has a template's form; the last name of one may hold slashes.
fn has_form(path: &str, template: &str) -> bool {
    let (path, known): (Vec<_>, Vec<_>) =
        (path.split('/').collect(), template.split('/').collect());
    let is_name = |part: &str| part.starts_with('{');
    let open = known.len() > 6 && known.last().is_some_and(|last| is_name(last));
    let long = path.len() == known.len() || (open && path.len() > known.len());
    let parts = path.iter().zip(&known);
    long && parts
        .into_iter()
        .all(|(part, known)| is_name(known) || part == known)
}

/// Refuses what a schema does not name, wherever it names members and says nothing of others.
fn strict(value: &Json) -> Json {
    match value {
        Json::Object(members) => {
            let each = members.iter().map(|(name, value)| (name, strict(value)));
            let mut made: Object = each.collect();
            let is_schema = members
                .get("properties")
                .is_some_and(|all| all.as_object().is_some());
            if is_schema && !made.contains_key("additionalProperties") {
                made.insert("additionalProperties", Json::from(false));
            }
            Json::Object(made)
        }
        Json::Array(items) => items.iter().map(strict).collect(),
        other => other.clone(),
    }
}

#[track_caller]
fn read(text: &str) -> Json {
    let limits = Limits {
        bytes_max: 64 << 20,
        depth_max: 200,
    };
    Json::parse(text.as_bytes(), &limits).unwrap_or_else(|error| panic!("{error}: {text}"))
}
