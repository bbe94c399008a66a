//! The checked-in AsyncAPI document is the one that the code makes, and leads nowhere empty.

use syncline_model::json::{Json, Limits, Pointer};

use crate::documents;
use crate::node::{Node, json, text};

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

/// The document and the node agree on what a subscription must name.
#[tokio::test]
async fn a_subscription_names_a_scope_or_a_durable_one() {
    let node = Node::start().await;
    let define = r#"{"name":"ci"}"#;
    node.post("/v1/subscriptions", &[], define).await.ok();
    let mut socket = node.hello().await;
    let scope = r#","scope":[{"workspace":true}]"#;
    let durable = r#","durable":"ci""#;
    for (named, fits) in [
        (String::new(), false),
        (scope.to_owned(), true),
        (durable.to_owned(), true),
        (format!("{scope}{durable}"), false),
    ] {
        let message = format!(r#"{{"type":"subscribe","id":"s"{named}}}"#);
        assert_eq!(
            documents::fits("subscribe", &json(&message)),
            fits,
            "{message}"
        );
        socket.say(&message).await;
        let answer = socket.hear().await;
        let taken = text(&answer, "type") == "subscribed";
        assert_eq!(taken, fits, "{}", answer.to_text());
        if taken {
            socket.say(r#"{"type":"unsubscribe","id":"s"}"#).await;
        }
    }
}
