//! What is counted of deliveries, and why a live subscription heard of a change or did not.

use syncline_model::json::Json;

use crate::feeds::Stream;
use crate::node::{Node, Reply, Socket, json, text};

const A: &str = "/v1/contexts/task/a";

async fn merge(node: &Node, body: &str) -> String {
    let path = format!("{A}?create=true");
    let receipt = node.merge(&path, &[("syncline-agent", "a1")], body).await;
    text(&receipt.ok().json(), "change_id").to_owned()
}

async fn subscribe(socket: &mut Socket, rest: &str) {
    let scope = r#""scope":[{"workspace":true}]"#;
    let message = format!(r#"{{"type":"subscribe","id":"s",{scope}{rest}}}"#);
    socket.say(&message).await;
    socket.hear_type("subscribed").await;
}

async fn broadcasts(node: &Node) -> Vec<Json> {
    let answer = node.get("/v1/stats/broadcasts?limit=10").await.ok().json();
    answer
        .get("broadcasts")
        .unwrap()
        .as_array()
        .unwrap()
        .to_vec()
}

async fn delivery(node: &Node) -> Json {
    let stats = node.get("/v1/stats").await.ok().json();
    stats.get("delivery").unwrap().clone()
}

fn number(json: &Json, name: &str) -> u64 {
    json.get(name).and_then(Json::as_u64).unwrap()
}

async fn explain(node: &Node, change: &str, rest: &str) -> Reply {
    let path = format!("/v1/explain/delivery?change={change}{rest}");
    node.get(&path).await
}

fn subscribers(reply: &Reply) -> Vec<Json> {
    let answer = json(&reply.body);
    answer
        .get("subscribers")
        .unwrap()
        .as_array()
        .unwrap()
        .to_vec()
}

#[tokio::test]
async fn broadcasts_say_whom_a_change_was_for() {
    let node = Node::start().await;
    let body = r#"{"name":"ci","filter":{"exact":{"kind":"task"}}}"#;
    node.post("/v1/subscriptions", &[], body).await.ok();
    let mut socket = node.hello().await;
    subscribe(&mut socket, "").await;
    let long = "x".repeat(4_000);
    let first = merge(&node, &format!(r#"{{"data":{{"n":1,"t":"{long}"}}}}"#)).await;
    let second = merge(&node, r#"{"data":{"n":2}}"#).await;
    socket.hear_type("change").await;
    socket.hear_type("change").await;
    let told = broadcasts(&node).await;
    assert_eq!(text(&told[0], "change"), second, "the newest comes first");
    assert_eq!(
        (number(&told[0], "targets"), number(&told[0], "delivered")),
        (1, 1)
    );
    // Who takes part in a durable subscription only now is a target only now.
    node.get("/v1/subscriptions/ci/next").await.ok();
    let told = broadcasts(&node).await;
    assert_eq!(text(&told[1], "change"), first);
    for one in &told[..2] {
        assert_eq!((number(one, "targets"), number(one, "delivered")), (2, 2));
        assert_eq!(number(one, "failed"), 0);
    }
    let counted = delivery(&node).await;
    assert_eq!(number(&counted, "changes_broadcast"), 2);
    assert_eq!(number(&counted, "subscribers_notified"), 4);
    assert_eq!(number(&counted, "patches_sent"), 1, "the first came whole");
    let saved = number(&counted, "patch_bytes_saved");
    assert!((4_000..5_000).contains(&saved), "{saved}");
    let live = &counted.get("live").unwrap().as_array().unwrap()[0];
    assert_eq!(
        (
            text(live, "sub"),
            number(live, "behind"),
            number(live, "sent")
        ),
        ("s", 0, 2)
    );
    drop(socket);
    for _ in 0..200 {
        if delivery(&node)
            .await
            .get("live")
            .unwrap()
            .as_array()
            .unwrap()
            .is_empty()
        {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("a connection that went is still listed");
}

#[tokio::test]
async fn a_live_subscription_is_explained() {
    let node = Node::start().await;
    let created = merge(&node, r#"{"data":{"n":-1}}"#).await;
    let before = merge(&node, r#"{"data":{"n":0}}"#).await;
    let mut socket = node.hello().await;
    // Any of two filters lets a change pass.
    let filter = r#","filter":[{"exact":{"kind":"note"}},{"exact":{"type":"update"}}]"#;
    subscribe(&mut socket, filter).await;
    let change = merge(&node, r#"{"data":{"n":1}}"#).await;
    socket.hear_type("change").await;
    let counted = delivery(&node).await;
    let live = &counted.get("live").unwrap().as_array().unwrap()[0];
    let named = format!("&connection={}&sub=s", text(live, "connection"));
    let found = &subscribers(&explain(&node, &change, &named).await.ok())[0];
    assert_eq!(found.get("wanted"), Some(&Json::from(true)));
    assert_eq!(text(found.get("queue").unwrap(), "state"), "sent");
    let clauses = found.get("filter").unwrap().as_array().unwrap();
    assert_eq!(clauses[0].get("holds"), Some(&Json::from(false)));
    assert_eq!(clauses[1].get("holds"), Some(&Json::from(true)));
    let found = &subscribers(&explain(&node, &before, &named).await.ok())[0];
    assert_eq!(found.get("wanted"), Some(&Json::from(true)));
    assert_eq!(text(found.get("queue").unwrap(), "state"), "before");
    let found = &subscribers(&explain(&node, &created, &named).await.ok())[0];
    assert_eq!(found.get("wanted"), Some(&Json::from(false)));
    assert_eq!(found.get("queue"), None, "it waits nowhere");
    // Without a subscriber, all of one's own are shown; and nobody else's name is found.
    assert_eq!(
        subscribers(&explain(&node, &change, "").await.ok()).len(),
        1
    );
    explain(&node, &change, "&connection=c1&sub=s")
        .await
        .problem(404, "not_found");
    explain(&node, &change, "&connection=c1")
        .await
        .problem(400, "bad_request");
}

#[tokio::test]
async fn a_stream_names_its_connection() {
    let node = Node::start().await;
    let stream = Stream::open(
        &node,
        "/v1/changes/stream?exclude_self=true",
        "syncline-agent: a1\r\n",
    )
    .await;
    let change = merge(&node, r#"{"data":{"n":1}}"#).await;
    let counted = delivery(&node).await;
    let live = &counted.get("live").unwrap().as_array().unwrap()[0];
    assert_eq!(text(live, "sub"), "stream");
    let named = format!("&connection={}&sub=stream", text(live, "connection"));
    let found = &subscribers(&explain(&node, &change, &named).await.ok())[0];
    assert_eq!(
        text(found, "because"),
        "it is the subscriber's own, which it leaves out"
    );
    assert_eq!(found.get("excluded"), Some(&Json::from(true)));
    drop(stream);
}
