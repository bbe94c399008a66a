//! The checked-in AsyncAPI document is the one that the code makes, and leads nowhere empty.

use syncline_model::json::{Json, Limits, Pointer};

use crate::node::{Node, text};

#[test]
fn the_checked_in_document_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/asyncapi.json");
    let made = syncline_http::asyncapi_document();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/asyncapi.json is stale: run the test once with UPDATE=1"
    );
}

#[test]
fn each_reference_leads_somewhere() {
    let text = syncline_http::asyncapi_document();
    let document = Json::parse(text.as_bytes(), &Limits::default()).unwrap();
    let mut count = 0;
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        match value {
            Json::Object(members) => open.extend(members.values()),
            Json::Array(items) => open.extend(items.iter()),
            _ => {}
        }
        if let Some(name) = value.get("$ref").and_then(Json::as_str) {
            let pointer = Pointer::parse(name.strip_prefix('#').unwrap()).unwrap();
            assert!(document.pointer(&pointer).is_some(), "{name}");
            count += 1;
        }
    }
    assert!(count > 50);
}

#[tokio::test]
async fn the_node_serves_it() {
    let node = Node::start().await;
    let served = node.get("/asyncapi.json").await.ok();
    assert_eq!(served.body, syncline_http::asyncapi_document());
}

/// What a durable subscription delivers over a socket holds what the document says, and no more.
#[tokio::test]
async fn durable_messages_are_as_the_document_says() {
    let made = syncline_http::asyncapi_document();
    let document = Json::parse(made.as_bytes(), &Limits::default()).unwrap();
    let node = Node::start().await;
    let define = r#"{"name":"ci","scope":[{"label":{"area":"a"}}]}"#;
    node.post("/v1/subscriptions", &[], define).await.ok();
    let mut socket = node.hello().await;
    socket
        .say(r#"{"type":"subscribe","id":"s","durable":"ci"}"#)
        .await;
    socket.hear_type("subscribed").await;
    let path = "/v1/contexts/task/a?create=true";
    for area in ["a", "b", "a"] {
        let body = format!(r#"{{"labels":{{"area":"{area}"}}}}"#);
        node.merge(path, &[], &body).await.ok();
    }
    let bulk = r#"{"mode":"atomic","proposals":[
        {"context":"task/b","op":"create","body":{"labels":{"area":"a"}}},
        {"context":"task/c","op":"create","body":{"labels":{"area":"a"}}}]}"#;
    node.post("/v1/contexts:batch", &[], bulk).await.ok();
    let mut heard = std::collections::BTreeSet::new();
    while !heard.contains("end") {
        let message = socket.hear().await;
        let kind = text(&message, "type").to_owned();
        let place = format!("/components/messages/{kind}/payload/properties");
        let known = document.pointer(&Pointer::parse(&place).unwrap()).unwrap();
        assert!(message.get("delivery").is_some(), "{message:?}");
        for (name, _) in message.as_object().unwrap().iter() {
            assert!(known.get(name).is_some(), "{kind} has {name}: {known:?}");
        }
        heard.insert(kind);
        let cursor = message
            .get("cursor")
            .or(message.get("change").and_then(|c| c.get("cursor")));
        if let Some(cursor) = cursor.and_then(Json::as_str) {
            let ack = format!(r#"{{"type":"ack","sub":"s","cursor":"{cursor}"}}"#);
            socket.say(&ack).await;
        }
    }
    let all = ["begin", "change", "end", "enter", "leave"];
    assert_eq!(heard.iter().map(String::as_str).collect::<Vec<_>>(), all);
}
