//! What explanations, counts and the status say is so (P10).

use std::sync::Arc;
use std::time::Duration;

use syncline_model::json::Json;
use syncline_model::time::Timestamp;
use syncline_store::MemoryStore;
use tokio::io::AsyncWriteExt as _;

use crate::feeds::Stream;
use crate::node::{KEY, Node, frame, text};

const S: &str = "/v1/subscriptions";

async fn define(node: &Node, body: &str) {
    node.post(S, &[], body).await.ok();
}

/// Writes a context, and returns the change's id.
async fn write(node: &Node, context: &str, body: &str) -> String {
    let path = format!("/v1/contexts/{context}?create=true");
    let receipt = node.merge(&path, &[], body).await.ok().json();
    text(&receipt, "change_id").to_owned()
}

async fn count(node: &Node, context: &str, n: u64) -> String {
    write(node, context, &format!(r#"{{"data":{{"n":{n}}}}}"#)).await
}

async fn explain(node: &Node, change: &str, named: &str) -> Json {
    let path = format!("/v1/explain/delivery?change={change}{named}");
    let answer = node.get(&path).await.ok().json();
    answer.get("subscribers").unwrap().as_array().unwrap()[0].clone()
}

async fn explain_ci(node: &Node, change: &str) -> Json {
    explain(node, change, "&subscription=ci").await
}

/// Says what is told of a durable subscription: why, the state, and whether it is acknowledged.
fn told(found: &Json) -> (&str, &str, Option<bool>) {
    (
        text(found, "because"),
        text(found.get("queue").unwrap(), "state"),
        found.get("acknowledged").and_then(Json::as_bool),
    )
}

async fn next(node: &Node, query: &str) -> Vec<String> {
    let answer = node.get(&format!("{S}/ci/next?{query}")).await.ok().json();
    let deliveries = answer.get("deliveries").unwrap().as_array().unwrap();
    deliveries
        .iter()
        .map(|given| text(given, "cursor").to_owned())
        .collect()
}

async fn ack(node: &Node, cursor: &str) {
    let body = format!(r#"{{"cursors":["{cursor}"]}}"#);
    node.post(&format!("{S}/ci/ack"), &[], &body).await.ok();
}

async fn seek(node: &Node, to: &str) {
    node.post(&format!("{S}/ci/seek"), &[], to).await.ok();
}

#[tokio::test]
async fn p10_what_was_never_delivered_is_not_called_acknowledged() {
    let node = Node::start().await;
    let before = count(&node, "task/a", 0).await;
    define(&node, r#"{"name":"ci"}"#).await;
    let first = "it lies before the place where the subscription began";
    let found = explain_ci(&node, &before).await;
    assert_eq!(told(&found), (first, "before", Some(false)));
    let change = count(&node, "task/a", 1).await;
    let cursors = next(&node, "").await;
    ack(&node, &cursors[0]).await;
    let found = explain_ci(&node, &change).await;
    let done = "it was delivered and acknowledged";
    assert_eq!(told(&found), (done, "done", Some(true)));
    // It was passed over, as far as is known: nothing says that the other was delivered once.
    let skipped = count(&node, "task/a", 2).await;
    seek(&node, r#"{"now":true}"#).await;
    let moved = "it lies before the place that the subscription was moved to";
    for change in [&skipped, &change, &before] {
        let found = explain_ci(&node, change).await;
        assert_eq!(told(&found), (moved, "before", None));
    }
    seek(&node, r#"{"start":true}"#).await;
    let found = explain_ci(&node, &skipped).await;
    let unread = "nobody has asked for it yet";
    assert_eq!(told(&found), (unread, "not_read", Some(false)));
    // What another definition left out was acknowledged by nobody.
    define(&node, r#"{"name":"ci","filter":{"exact":{"kind":"note"}}}"#).await;
    seek(&node, r#"{"now":true}"#).await;
    let change = count(&node, "task/a", 3).await;
    assert_eq!(next(&node, "").await.len(), 0);
    let found = explain_ci(&node, &change).await;
    assert_eq!(found.get("acknowledged"), None, "it is not wanted");
    define(&node, r#"{"name":"ci"}"#).await;
    let found = explain_ci(&node, &change).await;
    let defined =
        "it lies before the place from which the subscription goes by its present definition";
    assert_eq!(told(&found), (defined, "before", None));
}

#[tokio::test]
async fn what_waits_in_a_window_says_for_what() {
    let node = Node::start().await;
    define(&node, r#"{"name":"ci","window":2}"#).await;
    let first = count(&node, "task/a", 1).await;
    let second = count(&node, "task/a", 2).await;
    let aside = count(&node, "task/b", 1).await;
    let given = next(&node, "limit=1&consumer=x").await;
    let because = |found: &Json| text(found, "because").to_owned();
    assert_eq!(
        because(&explain_ci(&node, &first).await),
        "a consumer has it"
    );
    let behind = "it waits for an earlier change of its context";
    assert_eq!(because(&explain_ci(&node, &second).await), behind);
    let free = "it waits for a consumer";
    assert_eq!(because(&explain_ci(&node, &aside).await), free);
    let more = count(&node, "task/c", 1).await;
    next(&node, "consumer=x").await;
    let full = "it waits for an acknowledgement: as much is delivered as the window holds";
    assert_eq!(because(&explain_ci(&node, &aside).await), full);
    assert_eq!(because(&explain_ci(&node, &more).await), full);
    ack(&node, &given[0]).await;
    let found = explain_ci(&node, &first).await;
    assert_eq!(found.get("acknowledged"), Some(&Json::from(true)));
}

#[tokio::test]
async fn a_part_of_a_bulk_stands_as_the_bulk_does() {
    let node = Node::start().await;
    define(&node, r#"{"name":"ci","max_deliveries":1}"#).await;
    let body = r#"{"mode":"atomic","proposals":[{"context":"task/a","op":"create","body":{}},
        {"context":"task/b","op":"create","body":{}}]}"#;
    let answer = node.post("/v1/contexts:batch", &[], body).await.ok().json();
    let receipts = answer.get("receipts").unwrap().as_array().unwrap();
    let part = text(&receipts[0], "change_id");
    let given = next(&node, "").await;
    let found = explain_ci(&node, part).await;
    assert_eq!(
        told(&found),
        ("a consumer has it", "in_flight", Some(false))
    );
    let nack = format!(r#"{{"cursor":"{}"}}"#, given[0]);
    node.post(&format!("{S}/ci/nack"), &[], &nack).await.ok();
    let found = explain_ci(&node, part).await;
    let dead = "it was given up: see the dead letter";
    assert_eq!(told(&found), (dead, "dead", Some(false)));
}

#[tokio::test]
async fn p10_after_a_restart_it_says_what_is_known() {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::over(&store).await;
    define(&node, r#"{"name":"ci","max_deliveries":2}"#).await;
    let first = count(&node, "task/a", 1).await;
    let follows = count(&node, "task/a", 2).await;
    let given = next(&node, "limit=1").await;
    let nack = format!(r#"{{"cursor":"{}","delay_ms":60000}}"#, given[0]);
    node.post(&format!("{S}/ci/nack"), &[], &nack).await.ok();
    node.stop().await;
    let mut node = Node::over(&store).await;
    let found = explain_ci(&node, &first).await;
    let known = "it was delivered and is not done; it was not read again since the node started";
    assert_eq!(told(&found), (known, "not_read", Some(false)));
    let queue = found.get("queue").unwrap();
    assert_eq!(queue.get("attempts"), Some(&Json::from(1)));
    let found = explain_ci(&node, &follows).await;
    let unknown = "it was not read again since the node started";
    assert_eq!(told(&found), (unknown, "not_read", None));
    // The second delivery is the last, and a letter is told by a node that nobody asked for it.
    let given = next(&node, "limit=1").await;
    let nack = format!(r#"{{"cursor":"{}"}}"#, given[0]);
    node.post(&format!("{S}/ci/nack"), &[], &nack).await.ok();
    assert_eq!(dead_letters(&node).await, r#"{"ci":1}"#);
    node.stop().await;
    let node = Node::over(&store).await;
    assert_eq!(dead_letters(&node).await, r#"{"ci":1}"#);
    let dead = node.get(&format!("{S}/ci/dead")).await.ok().json();
    let cursor = text(&dead.get("dead").unwrap().as_array().unwrap()[0], "cursor").to_owned();
    let replay = format!("{S}/ci/dead/{cursor}/replay");
    node.post(&replay, &[], "").await.ok();
    assert_eq!(dead_letters(&node).await, "{}");
}

/// Returns what the status says of subscriptions that have dead letters.
async fn dead_letters(node: &Node) -> String {
    let status = node.get("/v1/status").await.ok().json();
    assert_eq!(status.get("healthy"), Some(&Json::from(true)));
    let dead = status.get("dead_letters").unwrap();
    dead.get("subscriptions").unwrap().to_text()
}

async fn subscribe(node: &Node, rest: &str) -> (crate::node::Socket, String) {
    let mut socket = node.hello().await;
    socket
        .say(&format!(r#"{{"type":"subscribe","id":"s",{rest}}}"#))
        .await;
    socket.hear_type("subscribed").await;
    let live = live(node).await;
    let named = format!("&connection={}&sub=s", text(&live, "connection"));
    (socket, named)
}

/// Returns what is counted of the only live subscription.
async fn live(node: &Node) -> Json {
    let stats = node.get("/v1/stats").await.ok().json();
    let live = stats.get("delivery").unwrap().get("live").unwrap();
    live.as_array().unwrap()[0].clone()
}

#[tokio::test]
async fn p10_what_waits_to_become_one_is_not_called_sent() {
    let node = Node::start().await;
    let rest = r#""scope":[{"workspace":true}],"coalesce_ms":60000"#;
    let (mut socket, named) = subscribe(&node, rest).await;
    count(&node, "task/a", 1).await;
    let held = count(&node, "task/a", 2).await;
    let newest = count(&node, "task/a", 3).await;
    let passes = count(&node, "task/b", 1).await;
    // What is made is not held back.
    while text(
        socket.hear_type("change").await.get("change").unwrap(),
        "id",
    ) != passes
    {}
    for change in [&held, &newest] {
        let found = explain(&node, change, &named).await;
        let why = "it waits to become one with later changes of its context";
        assert_eq!(text(&found, "because"), why);
        let queue = found.get("queue").unwrap();
        assert_eq!(text(queue, "state"), "held");
        let until = Timestamp::parse(text(queue, "until")).unwrap();
        let rest_ms = until.0 - node.engine.now().0;
        assert!((30_000..60_001).contains(&rest_ms), "{rest_ms}");
    }
    let found = explain(&node, &passes, &named).await;
    assert_eq!(text(found.get("queue").unwrap(), "state"), "sent");
    // Once it passed with what makes no one wait, it was sent.
    let urgent = [("syncline-priority", "1")];
    let body = r#"{"data":{"n":4}}"#;
    node.merge("/v1/contexts/task/a", &urgent, body).await.ok();
    socket.hear_type("change").await;
    let found = explain(&node, &held, &named).await;
    assert_eq!(text(found.get("queue").unwrap(), "state"), "sent");
}

#[tokio::test]
async fn p10_what_shows_nothing_to_a_subscription_is_not_called_sent() {
    let node = Node::start().await;
    let rest = r#""scope":[{"workspace":true}],"fields":["/data/m"]"#;
    let (mut socket, named) = subscribe(&node, rest).await;
    count(&node, "task/a", 1).await;
    let unshown = count(&node, "task/a", 2).await;
    let passes = count(&node, "task/b", 1).await;
    while text(
        socket.hear_type("change").await.get("change").unwrap(),
        "id",
    ) != passes
    {}
    let found = explain(&node, &unshown, &named).await;
    let why = "none of the fields that the subscription shows changed with it";
    assert_eq!(text(&found, "because"), why);
    for (change, state) in [(&unshown, "unshown"), (&passes, "sent")] {
        let found = explain(&node, change, &named).await;
        assert_eq!(text(found.get("queue").unwrap(), "state"), state);
    }
}

/// After a `reset` a stream goes on with a feed of its own, of which it is told from then on.
#[tokio::test]
async fn a_stream_that_began_again_is_explained_as_it_is() {
    let node = Node::start().await;
    write(&node, "project/p", "{}").await;
    write(&node, "project/q", "{}").await;
    write(&node, "branch/b", r#"{"parent":"project/p"}"#).await;
    write(&node, "task/a", r#"{"parent":"branch/b"}"#).await;
    let path =
        "/v1/changes/stream?coalesce_ms=60000&scope=%5B%7B%22subtree%22:%22project/q%22%7D%5D";
    let mut stream = Stream::open(&node, path, "").await;
    write(&node, "branch/b", r#"{"parent":"project/q"}"#).await;
    assert_eq!(stream.event().await.unwrap().kind, "reset");
    assert_eq!(stream.event().await.unwrap().kind, "snapshot");
    let held = count(&node, "task/a", 1).await;
    let connection = text(&live(&node).await, "connection").to_owned();
    let named = format!("&connection={connection}&sub=stream");
    for _ in 0..250 {
        let found = explain(&node, &held, &named).await;
        match text(found.get("queue").unwrap(), "state") {
            "held" => return,
            state => assert_eq!(state, "waiting"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it is not said to wait");
}

#[tokio::test]
async fn what_enters_and_leaves_is_told_and_what_is_outside_waits_nowhere() {
    let node = Node::start().await;
    let rest = r#""scope":[{"label":{"area":"x"}}],"filter":{"exact":{"state":"open"}}"#;
    let (mut socket, named) = subscribe(&node, rest).await;
    let outside = write(&node, "task/a", r#"{"state":"open"}"#).await;
    let enters = write(&node, "task/a", r#"{"labels":{"area":"x"}}"#).await;
    let leaves = write(&node, "task/a", r#"{"labels":{"area":"y"}}"#).await;
    write(&node, "task/b", r#"{"state":"done"}"#).await;
    let unwanted = write(&node, "task/b", r#"{"labels":{"area":"x"}}"#).await;
    socket.hear_type("leave").await;
    let found = explain(&node, &outside, &named).await;
    assert_eq!(found.get("queue"), None);
    for (change, begin) in [
        (
            &enters,
            "its context came into the scope, and that is told: it was handed",
        ),
        (
            &leaves,
            "its context left the scope, and that is told: it was handed",
        ),
    ] {
        let found = explain(&node, change, &named).await;
        assert_eq!(found.get("wanted"), Some(&Json::from(true)));
        let because = text(&found, "because");
        assert!(because.starts_with(begin), "{because}");
    }
    // The filter lets no such context in.
    let found = explain(&node, &unwanted, &named).await;
    let why = "its context came into the scope, and the filter lets no such context pass";
    assert_eq!(text(&found, "because"), why);
    assert_eq!(found.get("wanted"), Some(&Json::from(false)));
}

/// A reader that takes nothing asks for nothing, so nobody would note how far it fell behind.
#[tokio::test]
async fn p10_a_stalled_reader_is_said_to_lag() {
    // Nobody is let go in this test, however slow the machine is.
    let node = Node::with(|doors| doors.limits.write_stall_max = Duration::from_secs(120)).await;
    let mut socket = node.connect().await;
    socket.write_all(node.upgrade("").as_bytes()).await.unwrap();
    let hello = format!(r#"{{"type":"hello","token":"{KEY}"}}"#);
    socket.write_all(&frame(&hello)).await.unwrap();
    let subscribe = r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"from":"now"}"#;
    socket.write_all(&frame(subscribe)).await.unwrap();
    let listed = async {
        loop {
            let stats = node.get("/v1/stats").await.ok().json();
            let live = stats.get("delivery").unwrap().get("live").unwrap();
            if !live.as_array().unwrap().is_empty() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), listed)
        .await
        .unwrap();
    // More than the kernel takes for a peer that reads nothing.
    let large = format!(r#"{{"data":{{"t":"{}"}}}}"#, "x".repeat(4 << 20));
    write(&node, "task/a", &large).await;
    write(&node, "task/b", &large).await;
    assert_eq!(live(&node).await.get("lagging"), Some(&Json::from(false)));
    for bulk in 0..5 {
        let parts = (0..1_000)
            .map(|n| format!(r#"{{"context":"note/{bulk}-{n}","op":"create","body":{{}}}}"#));
        let parts: Vec<String> = parts.collect();
        let body = format!(r#"{{"mode":"atomic","proposals":[{}]}}"#, parts.join(","));
        node.post("/v1/contexts:batch", &[], &body).await.ok();
    }
    let stalled = live(&node).await;
    let behind = stalled.get("behind").and_then(Json::as_u64).unwrap();
    assert!(behind > 4_096, "{behind}");
    assert_eq!(stalled.get("lagging"), Some(&Json::from(true)));
}
