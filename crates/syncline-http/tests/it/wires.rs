//! All forms of what a node tells, provoked: `documents` checks each by the node's own documents as
//! it is heard, so these tests only see to it that it is.

use std::collections::BTreeSet;
use std::time::Duration;

use syncline_model::json::Json;

use crate::documents;
use crate::feeds::Stream;
use crate::live::encoded;
use crate::node::{Node, Socket, json, text};
use crate::webhooks;

const SUBTREE: &str = r#"[{"subtree":"project/p"}]"#;

async fn put(node: &Node, context: &str, body: &str) {
    let path = format!("/v1/contexts/{context}?create=true&create_parents=true");
    node.merge(&path, &[], body).await.ok();
}

/// A context enters, changes, and leaves the scope; a bulk is made in it; a parent moves within it.
async fn provoke(node: &Node) {
    for context in ["project/p", "project/q"] {
        put(node, context, "{}").await;
    }
    for body in [
        r#"{"parent":"project/q","data":{"n":1}}"#,
        r#"{"parent":"project/p","labels":{"area":"x"}}"#,
        r#"{"data":{"n":2}}"#,
        r#"{"parent":"project/q"}"#,
    ] {
        put(node, "task/a", body).await;
    }
    let bulk = r#"{"mode":"atomic","proposals":[
        {"context":"branch/b","op":"create","body":{"parent":"project/p"}},
        {"context":"task/c","op":"create","body":{"parent":"branch/b"}}]}"#;
    node.post("/v1/contexts:batch", &[], bulk).await.ok();
    put(node, "branch/b", r#"{"parent":"project/q"}"#).await;
}

/// Returns a list of an answer.
fn list<'a>(answer: &'a Json, name: &str) -> &'a [Json] {
    answer.get(name).and_then(Json::as_array).unwrap()
}

fn types(items: &[Json]) -> BTreeSet<&str> {
    items.iter().map(|item| text(item, "type")).collect()
}

#[tokio::test]
async fn what_a_page_of_the_log_tells() {
    let node = Node::start().await;
    put(&node, "project/p", "{}").await;
    let define = format!(r#"{{"name":"ci","scope":{SUBTREE},"from":"start"}}"#);
    node.post("/v1/subscriptions", &[], &define).await.ok();
    provoke(&node).await;
    let query = format!("/v1/changes?scope={}", encoded(SUBTREE));
    let page = node.get(&format!("{query}&old=true")).await.ok().json();
    let told = [
        "begin", "create", "end", "enter", "leave", "reset", "update",
    ];
    assert_eq!(types(list(&page, "changes")), told.into());
    let digest = node.get(&format!("{query}&digest=true")).await;
    let digest = digest.ok().json();
    assert_eq!(digest.get("more"), Some(&Json::from(true)));
    assert_eq!(types(list(&digest, "digest")), ["create", "leave"].into());
    let small = format!("{query}&digest=true&budget_bytes=200");
    let digest = node.get(&small).await.ok().json();
    assert!(digest.get("left_out").is_some(), "{}", digest.to_text());
    let query = "/v1/changes?digest=true&after=".to_owned() + text(&page, "cursor");
    put(&node, "task/a", r#"{"data":{"n":3}}"#).await;
    let digest = node.get(&query).await.ok().json();
    let entry = list(&digest, "digest")
        .iter()
        .find(|e| text(e, "context") == "task/a");
    assert_eq!(text(entry.unwrap(), "enc"), "patch");
}

#[tokio::test]
async fn what_a_durable_subscription_delivers() {
    let node = Node::start().await;
    put(&node, "project/p", "{}").await;
    for name in ["ci", "digested"] {
        let define =
            format!(r#"{{"name":"{name}","scope":{SUBTREE},"from":"start","max_deliveries":1}}"#);
        node.post("/v1/subscriptions", &[], &define).await.ok();
    }
    provoke(&node).await;
    let mut told = BTreeSet::new();
    for _ in 0..20 {
        let next = node.get("/v1/subscriptions/ci/next?consumer=c").await;
        let next = next.ok().json();
        let kinds = list(&next, "changes").iter();
        told.extend(kinds.map(|item| text(item, "type").to_owned()));
        node.get("/v1/subscriptions/ci").await.ok();
        // The first is given up, and the rest acknowledged.
        for (given, act) in list(&next, "deliveries")
            .iter()
            .zip(["nack"].into_iter().chain(["ack"; 1_000]))
        {
            let body = format!(r#"{{"cursor":"{}"}}"#, text(given, "cursor"));
            node.post(&format!("/v1/subscriptions/ci/{act}"), &[], &body)
                .await;
        }
    }
    let all = ["create", "enter", "leave", "reset", "update"];
    assert_eq!(
        told.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        all.into()
    );
    let dead = node.get("/v1/subscriptions/ci/dead").await.ok().json();
    let letter = &list(&dead, "dead")[0];
    let replay = format!(
        "/v1/subscriptions/ci/dead/{}/replay",
        text(letter, "cursor")
    );
    node.post(&replay, &[], "").await.ok();
    node.post("/v1/subscriptions/ci/extend", &[], "").await.ok();
    let digest = "/v1/subscriptions/digested/next?digest=true";
    let digest = node.get(digest).await.ok().json();
    assert!(!list(&digest, "digest").is_empty());
    let seek = r#"{"start":true}"#;
    node.post("/v1/subscriptions/ci/seek", &[], seek).await.ok();
    node.get("/v1/subscriptions").await.ok();
}

#[tokio::test]
async fn what_a_stream_tells() {
    let node = Node::start().await;
    put(&node, "project/p", "{}").await;
    let path = format!(
        "/v1/changes/stream?since=snapshot&scope={}",
        encoded(SUBTREE)
    );
    let mut stream = Stream::open(&node, &path, "").await;
    assert_eq!(stream.event().await.unwrap().kind, "snapshot");
    provoke(&node).await;
    let mut heard = BTreeSet::new();
    while !heard.contains("reset") {
        heard.insert(stream.event().await.unwrap().kind);
    }
    let all = ["begin", "change", "end", "enter", "leave", "reset"];
    assert_eq!(
        heard.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        all.into()
    );
    assert_eq!(stream.event().await.unwrap().kind, "snapshot");
}

/// Hears messages until one of a type came.
async fn hear(socket: &mut Socket, until: &str, heard: &mut BTreeSet<String>) {
    loop {
        let message = socket.hear().await;
        let kind = text(&message, "type").to_owned();
        heard.insert(kind.clone());
        // What a durable subscription delivered is done with.
        let cursor = message.get("change").unwrap_or(&message).get("cursor");
        if let (Some(_), Some(cursor)) = (message.get("delivery"), cursor.and_then(Json::as_str)) {
            let ack = format!(r#"{{"type":"ack","sub":"d","cursor":"{cursor}"}}"#);
            socket.say(&ack).await;
        }
        if kind == until {
            return;
        }
    }
}

#[tokio::test]
async fn what_a_socket_tells() {
    let silence = Duration::from_millis(300);
    let node = Node::with(|doors| doors.limits.heartbeat = silence).await;
    put(&node, "project/p", "{}").await;
    let define = format!(r#"{{"name":"ci","scope":{SUBTREE}}}"#);
    node.post("/v1/subscriptions", &[], &define).await.ok();
    let mut heard = BTreeSet::from(["welcome".to_owned()]);
    for subscribe in [
        format!(r#""id":"s","scope":{SUBTREE},"from":"snapshot""#),
        r#""id":"d","durable":"ci""#.to_owned(),
    ] {
        let mut socket = node.hello().await;
        socket
            .say(&format!(r#"{{"type":"subscribe",{subscribe}}}"#))
            .await;
        hear(&mut socket, "subscribed", &mut heard).await;
        provoke(&node).await;
        hear(&mut socket, "reset", &mut heard).await;
        let submit = r#"{"type":"submit","id":"r","proposals":[
            {"context":"task/new","op":"create","body":{}},
            {"context":"task/c","op":"create","body":{}}]}"#;
        socket.say(submit).await;
        hear(&mut socket, "receipt", &mut heard).await;
        socket.say(r#"{"type":"resync","context":"task/a"}"#).await;
        hear(&mut socket, "snapshot", &mut heard).await;
        socket.say(r#"{"type":"subscribe","id":"x"}"#).await;
        hear(&mut socket, "error", &mut heard).await;
        hear(&mut socket, "heartbeat", &mut heard).await;
        for context in ["branch/b", "task/c", "task/new"] {
            node.send(
                "DELETE",
                &format!("/v1/contexts/{context}"),
                &[("if-match", "*")],
                "",
            )
            .await;
        }
    }
    let mut all: BTreeSet<_> = documents::node_messages().into_iter().collect();
    // It takes a reader that falls behind by thousands; `syncline-api` checks how it is written.
    all.remove("lagging");
    assert_eq!(heard, all);
}

/// A change is explained with a live, a durable subscription and a webhook; stats count them.
#[tokio::test]
async fn what_a_node_says_of_itself_and_of_a_change() {
    let node = webhooks::node().await;
    let choice = r#""filter":{"all":[{"exact":{"kind":"task"}},{"not":{"exact":{"kind":"note"}}}]},"where":"change.version > 0""#;
    let hook = format!(r#"{{"url":"https://127.0.0.1:1/hook",{choice}}}"#);
    let made = node.post("/v1/webhooks", &[], &hook).await.ok().json();
    let define = format!(r#"{{"name":"ci",{choice}}}"#);
    node.post("/v1/subscriptions", &[], &define).await.ok();
    let mut socket = node.hello().await;
    let subscribe = r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}]}"#;
    socket.say(subscribe).await;
    socket.hear_type("subscribed").await;
    put(&node, "task/a", r#"{"data":{"n":1}}"#).await;
    socket.hear_type("change").await;
    node.get("/v1/subscriptions/ci/next").await.ok();
    let log = node.get("/v1/contexts/task/a/versions").await.ok().json();
    let change = text(&list(&log, "versions")[0], "id").to_owned();
    let hook = format!("/v1/webhooks/{}", text(&made, "id"));
    let mut tried = false;
    for _ in 0..200 {
        let attempts = node.get(&format!("{hook}/attempts")).await.ok().json();
        tried = !list(&attempts, "attempts").is_empty();
        if tried {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let path = format!("/v1/explain/delivery?change={change}");
    let explained = node.get(&path).await.ok().json();
    assert!(tried, "{}", explained.to_text());
    assert_eq!(
        list(&explained, "subscribers").len(),
        3,
        "{}",
        explained.to_text()
    );
    let stats = node.get("/v1/stats").await.ok().json();
    let delivery = stats.get("delivery").unwrap();
    for name in ["live", "subscriptions", "webhooks"] {
        assert_eq!(list(delivery, name).len(), 1, "{name}");
    }
    for path in [
        "/v1/stats/broadcasts",
        "/v1/status",
        "/healthz",
        "/readyz",
        "/v1/webhooks",
    ] {
        node.get(path).await.ok();
    }
    node.post("/v1/verify", &[], "").await.ok();
    node.post("/v1/compact", &[], "").await.ok();
    assert!(
        node.get("/v1/status")
            .await
            .ok()
            .json()
            .get("compaction")
            .is_some()
    );
    let kind = [("content-type", "application/json")];
    node.send(
        "PATCH",
        &hook,
        &kind,
        r#"{"where":null,"filter":null,"description":"d"}"#,
    )
    .await
    .ok();
    node.send("POST", &format!("{hook}/rotate"), &[], "")
        .await
        .ok();
    node.post(&format!("{hook}/replay"), &[], r#"{"dead":true}"#)
        .await
        .ok();
    for rest in ["", "/dead"] {
        node.get(&format!("{hook}{rest}")).await.ok();
    }
    let tried = node
        .send("POST", &format!("{hook}/test"), &[], "")
        .await
        .ok();
    assert!(json(&tried.body).get("error").is_some());
}
