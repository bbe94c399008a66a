//! Schemas of messages and events, from the table of messages.

use syncline_api::catalog::{Kind, MESSAGES, Member, MessageType, Sender};
use syncline_model::json::Json;

use super::log::CHANGE;
use super::shapes::{about, record, typed, with_member};
use super::{list, object, reference};

/// What of a message is the WebSocket's alone. Streams are never those of durable subscriptions.
const OF_SOCKET: [(&str, &str); 5] = [
    ("", "sub"),
    ("", "n"),
    ("", "ref"),
    ("", "delivery"),
    ("reset", "cursor"),
];

/// Finds the message that an event is named after.
pub(crate) fn event_message(name: &str) -> Option<&'static MessageType> {
    MESSAGES
        .iter()
        .find(|message| message.sender == Sender::Node && message.name == name)
}

/// Returns the schema of a message.
pub(crate) fn payload(message: &MessageType) -> Json {
    payload_of(message, message.members.iter())
}

/// Returns the schema of an event: the message without what only a connection of several
/// subscriptions needs. A change is an event as it is.
pub(crate) fn event_payload(name: &str) -> Json {
    if name == "change" {
        let resume = "The event's id: the cursor to keep instead of the change's own, while \
            something older waits (`coalesce_ms`)";
        let resume = about(typed("string"), resume);
        return with_member(record(CHANGE), "resume", resume);
    }
    let message = event_message(name).expect("events are named after messages");
    let of_socket = |member: &&Member| {
        let is = |(of, name): &(&str, &str)| {
            *name == member.name && (of.is_empty() || *of == message.name)
        };
        OF_SOCKET.iter().any(is)
    };
    let members = message.members.iter();
    payload_of(message, members.filter(|member| !of_socket(member)))
}

fn payload_of<'a>(
    message: &MessageType,
    members: impl Iterator<Item = &'a Member> + Clone,
) -> Json {
    let kind = ("type", object([("const", Json::from(message.name))]));
    let properties = members
        .clone()
        .map(|member| (member.name, schema_of(member)));
    let required = members.filter(|member| member.required);
    let required = required.map(|member| Json::from(member.name));
    let mut payload = vec![
        ("type", Json::from("object")),
        ("properties", object([kind].into_iter().chain(properties))),
        (
            "required",
            [Json::from("type")].into_iter().chain(required).collect(),
        ),
    ];
    // What a client misspells is refused.
    if message.sender == Sender::Client {
        payload.push(("additionalProperties", Json::from(false)));
    }
    if !message.one_of.is_empty() {
        let each = message.one_of.iter();
        let each = each.map(|name| object([("required", list([Json::from(*name)]))]));
        payload.push(("oneOf", each.collect()));
    }
    object(payload)
}

fn schema_of(member: &Member) -> Json {
    let schema = match member.kind {
        Kind::Text => typed("string"),
        Kind::Flag => typed("boolean"),
        Kind::Any => typed("any"),
        Kind::Count => typed("count"),
        // What stands beside a reference is overlooked by some generators.
        Kind::Is(name) => object([("allOf", list([reference(name)]))]),
        Kind::ListOf(name) => typed(&format!("[{name}]")),
        Kind::Texts => typed("[string]"),
        Kind::TextsByName => typed("{string}"),
    };
    about(schema, member.about)
}
