//! The AsyncAPI document, made from the table of messages and from the events of the stream.

use std::collections::BTreeSet;

use syncline_api::catalog::{MESSAGES, MessageType, Sender};
use syncline_model::json::{Json, Object};

use crate::answer;
use crate::ask::{Answer, Ask};
use crate::openapi::{list, messages, object, schemas};

/// `GET /asyncapi.json`
pub(crate) async fn get(_ask: Ask) -> Answer {
    Ok(answer::json(http::StatusCode::OK, document()))
}

const DESCRIPTION: &str = "\
Two ways to follow a workspace's log: a WebSocket, which also takes proposals, and server-sent \
events. A frame of the WebSocket holds one message or an array of at most 64; what a client sends \
is read strictly, unknown fields are refused, and what a node sends must be read leniently. Close \
codes 4000 to 4499 mean to come back after a moment, 4500 to 4999 are final. A cursor that one way \
gave goes on on the other, and on `GET /v1/changes`.";

/// What the stream of events tells; the names are those of the WebSocket's messages.
const EVENTS: [&str; 8] = [
    "change", "snapshot", "enter", "leave", "begin", "end", "reset", "error",
];

/// Returns the document.
pub fn document() -> String {
    let title = [
        ("title", Json::from("Syncline")),
        ("version", Json::from(env!("CARGO_PKG_VERSION"))),
        ("description", Json::from(DESCRIPTION)),
        (
            "license",
            object([
                ("name", Json::from("Apache-2.0")),
                (
                    "url",
                    Json::from("https://www.apache.org/licenses/LICENSE-2.0"),
                ),
            ]),
        ),
    ];
    let document = object([
        ("asyncapi", Json::from("3.0.0")),
        ("info", object(title)),
        ("defaultContentType", Json::from("application/json")),
        (
            "servers",
            object([("socket", server("ws")), ("stream", server("http"))]),
        ),
        ("channels", object([("sync", sync()), ("stream", stream())])),
        ("operations", operations()),
        ("components", components()),
    ]);
    document.to_pretty() + "\n"
}

fn server(protocol: &str) -> Json {
    object([
        ("host", Json::from("127.0.0.1:7420")),
        ("protocol", Json::from(protocol)),
        ("security", list([at("securitySchemes", "key")])),
    ])
}

fn sync() -> Json {
    let messages = MESSAGES
        .iter()
        .filter(|message| message.built)
        .map(|message| {
            let name = message_name(message);
            (name.clone(), at("messages", &name))
        });
    object([
        ("address", Json::from("/v1/sync")),
        ("title", Json::from("WebSocket")),
        (
            "description",
            Json::from("Subprotocol `syncline.v1`; the first message is `hello`."),
        ),
        ("servers", list([pointer("#/servers/socket")])),
        ("messages", object(messages)),
        (
            "bindings",
            object([("ws", object([("method", Json::from("GET"))]))]),
        ),
    ])
}

fn stream() -> Json {
    let messages = EVENTS.map(|name| (name, at("messages", &event_name(name))));
    let description = "Server-sent events: `event` is the name of the message, `id` the cursor to \
        go on from (as `Last-Event-ID`), `data` the message.";
    object([
        ("address", Json::from("/v1/changes/stream")),
        ("title", Json::from("Server-sent events")),
        ("description", Json::from(description)),
        ("servers", list([pointer("#/servers/stream")])),
        ("messages", object(messages)),
    ])
}

/// Two messages may share a type, where one answers the other in kind.
fn message_name(message: &MessageType) -> String {
    let twice = MESSAGES
        .iter()
        .filter(|other| other.name == message.name)
        .count()
        > 1;
    match (twice, message.sender) {
        (true, Sender::Client) => format!("client_{}", message.name),
        (true, Sender::Node) => format!("node_{}", message.name),
        (false, _) => message.name.to_owned(),
    }
}

fn event_name(name: &str) -> String {
    format!("event_{name}")
}

fn operations() -> Json {
    let mut all = Object::new();
    for message in MESSAGES.iter().filter(|message| message.built) {
        let (action, verb) = match message.sender {
            Sender::Client => ("receive", "take"),
            Sender::Node => ("send", "tell"),
        };
        let mut operation = vec![
            ("action", Json::from(action)),
            ("channel", pointer("#/channels/sync")),
            ("summary", Json::from(message.about)),
            ("messages", list([in_channel(message)])),
        ];
        let answers: Json = MESSAGES
            .iter()
            .filter(|other| other.sender == Sender::Node && message.answers.contains(&other.name))
            .map(in_channel)
            .collect();
        if !message.answers.is_empty() {
            let reply = [
                ("channel", pointer("#/channels/sync")),
                ("messages", answers),
            ];
            operation.push(("reply", object(reply)));
        }
        all.insert(format!("{verb}_{}", message.name), object(operation));
    }
    let events = EVENTS.map(|name| pointer(&format!("#/channels/stream/messages/{name}")));
    let follow = [
        ("action", Json::from("send")),
        ("channel", pointer("#/channels/stream")),
        (
            "summary",
            Json::from("Tell what happens as server-sent events"),
        ),
        ("messages", list(events)),
    ];
    all.insert("stream_events", object(follow));
    Json::Object(all)
}

fn in_channel(message: &MessageType) -> Json {
    pointer(&format!(
        "#/channels/sync/messages/{}",
        message_name(message)
    ))
}

fn components() -> Json {
    let messages = MESSAGES.iter().filter(|message| message.built);
    let messages = messages.map(|message| {
        let payload = messages::payload(message);
        (message_name(message), message_of(message, payload))
    });
    let events = EVENTS.iter().filter_map(|name| {
        let message = messages::event_message(name)?;
        let payload = messages::event_payload(name);
        Some((event_name(name), message_of(message, payload)))
    });
    let messages: Object = messages.chain(events).collect();
    let named = named_schemas(&messages);
    let key = object([
        ("type", Json::from("http")),
        ("scheme", Json::from("bearer")),
        (
            "description",
            Json::from("A key; a WebSocket may bring it in `hello` instead."),
        ),
    ]);
    object([
        ("messages", Json::Object(messages)),
        ("schemas", Json::Object(named)),
        ("securitySchemes", object([("key", key)])),
    ])
}

fn message_of(message: &MessageType, payload: Json) -> Json {
    object([
        ("name", Json::from(message.name)),
        ("summary", Json::from(message.about)),
        ("payload", payload),
    ])
}

/// Returns the schemas that the messages name, and those that these name in turn.
fn named_schemas(messages: &Object) -> Object {
    let all = schemas();
    let mut wanted = BTreeSet::new();
    messages
        .values()
        .for_each(|message| references(message, &mut wanted));
    let mut named = Object::new();
    while let Some(name) = wanted.pop_first() {
        let Some(schema) = all.get(&name).filter(|_| !named.contains_key(&name)) else {
            continue;
        };
        references(schema, &mut wanted);
        named.insert(name, schema.clone());
    }
    named
}

fn references(value: &Json, into: &mut BTreeSet<String>) {
    match value {
        Json::Object(members) => members.iter().for_each(|(key, value)| {
            let name = value.as_str().filter(|_| key == "$ref");
            let name = name.and_then(|text| text.strip_prefix("#/components/schemas/"));
            into.extend(name.map(str::to_owned));
            references(value, into);
        }),
        Json::Array(items) => items.iter().for_each(|item| references(item, into)),
        _ => {}
    }
}

fn at(group: &str, name: &str) -> Json {
    pointer(&format!("#/components/{group}/{name}"))
}

fn pointer(text: &str) -> Json {
    object([("$ref", Json::from(text))])
}
