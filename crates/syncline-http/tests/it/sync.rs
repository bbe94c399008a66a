//! The WebSocket, message by message.

use std::time::{Duration, Instant};

use futures_util::SinkExt as _;
use syncline_model::json::{Json, Pointer};
use tokio_tungstenite::tungstenite::Message;

use crate::node::{KEY, Node, Socket, json, text};

const A: &str = "/v1/contexts/task/a";

fn submit(id: &str, body: &str) -> String {
    format!(
        r#"{{"type":"submit","id":"{id}","proposals":[{{"context":"task/a","op":"merge","create":true,"body":{body}}}]}}"#
    )
}

async fn subscribe(socket: &mut Socket, id: &str, rest: &str) -> Json {
    socket
        .say(&format!(r#"{{"type":"subscribe","id":"{id}",{rest}}}"#))
        .await;
    socket.hear_type("subscribed").await
}

#[tokio::test]
async fn the_protocols_exchange() {
    let node = Node::start().await;
    node.put(A, &[], r#"{"data":{"n":0}}"#).await.ok();
    let mut socket = node.socket().await;
    socket
        .say(&format!(
            r#"{{"type":"hello","token":"{KEY}","client":"demo/1"}}"#
        ))
        .await;
    let welcome = socket.hear().await;
    assert_eq!(text(&welcome, "type"), "welcome");
    assert_eq!(welcome.get("heartbeat_s"), Some(&Json::from(25)));
    assert!(
        welcome
            .get("limits")
            .unwrap()
            .get("subscriptions")
            .is_some()
    );
    assert!(!text(&welcome, "connection").is_empty() && !text(&welcome, "epoch").is_empty());
    let subscribed = subscribe(
        &mut socket,
        "s1",
        r#""scope":[{"context":"task/a"},{"subtree":"project/web"}],"from":"now""#,
    )
    .await;
    assert_eq!(subscribed.get("recovered"), Some(&Json::from(true)));
    socket
        .say(r#"{"type":"submit","id":"r1","proposals":[{"change_id":"01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f","context":"task/a","op":"merge","base":1,"body":{"data":{"n":1}}}]}"#)
        .await;
    let (mut receipt, mut change) = (None, None);
    while receipt.is_none() || change.is_none() {
        let message = socket.hear().await;
        match text(&message, "type") {
            "receipt" => receipt = Some(message),
            "change" => change = Some(message),
            other => panic!("{other}"),
        }
    }
    let receipt = receipt.unwrap();
    assert_eq!(text(&receipt, "ref"), "r1");
    let first = receipt
        .pointer(&Pointer::from_static("/receipts/0"))
        .unwrap();
    assert_eq!(
        text(first, "change_id"),
        "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f"
    );
    let change = change.unwrap();
    assert_eq!(
        (text(&change, "sub"), change.get("n")),
        ("s1", Some(&Json::from(1)))
    );
    let change = change.get("change").unwrap();
    assert_eq!(
        change.get("patch"),
        Some(&json(r#"[{"op":"replace","path":"/data/n","value":1}]"#))
    );
    assert_eq!(text(change, "cursor"), text(first, "cursor"));
    socket
        .say(&format!(
            r#"{{"type":"ack","sub":"s1","cursor":"{}"}}"#,
            text(change, "cursor")
        ))
        .await;
    // It keeps no place for its reader: only what is no cursor is answered.
    for (say, at) in [
        (r#"{"type":"ack","sub":"s1","cursor":"x"}"#, "/cursor"),
        (r#"{"type":"extend","sub":"s1"}"#, "/sub"),
    ] {
        socket.say(say).await;
        let error = socket.hear().await;
        assert_eq!((text(&error, "ref"), text(&error, "pointer")), ("s1", at));
    }
    socket.say(r#"{"type":"unsubscribe","id":"s1"}"#).await;
    socket.say(&submit("r2", r#"{"data":{"n":2}}"#)).await;
    assert_eq!(text(&socket.hear().await, "ref"), "r2");
}

#[tokio::test]
async fn hello_comes_first_and_in_time() {
    let node = Node::start().await;
    let mut socket = node.socket().await;
    let started = Instant::now();
    assert_eq!(socket.hear_close().await.0, 4509);
    assert!(started.elapsed() >= Duration::from_millis(450));
    for (hello, code) in [
        (r#"{"type":"hello","token":"wrong"}"#, 4501),
        (r#"{"type":"hello"}"#, 4501),
        (r#"{"type":"heartbeat"}"#, 4509),
        (r#"{"type":"hello","tokn":"x"}"#, 4509),
        (r#"[]"#, 4509),
        (r#"nonsense"#, 4509),
    ] {
        let mut socket = node.socket().await;
        socket.say(hello).await;
        let (closed, errors) = socket.hear_close().await;
        assert_eq!(closed, code, "{hello}");
        assert_eq!(errors.len(), 1, "{hello}");
    }
    let mut socket = node.socket().await;
    socket
        .say(&format!(
            r#"{{"type":"hello","token":"{KEY}","workspace":"nowhere"}}"#
        ))
        .await;
    let (code, errors) = socket.hear_close().await;
    assert_eq!((code, text(&errors[0], "code")), (4503, "not_found"));
    let mut socket = node.hello().await;
    socket
        .say(&format!(r#"{{"type":"hello","token":"{KEY}"}}"#))
        .await;
    assert_eq!(socket.hear_close().await.0, 4509);
}

#[tokio::test]
async fn a_frame_may_hold_many_messages() {
    let node = Node::start().await;
    let mut socket = node.socket().await;
    let messages = [
        format!(r#"{{"type":"hello","token":"{KEY}"}}"#),
        r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}]}"#.to_owned(),
        submit("r1", r#"{"title":"1"}"#),
        submit("r2", r#"{"title":"2"}"#),
    ];
    socket.say(&format!("[{}]", messages.join(","))).await;
    assert_eq!(text(&socket.hear().await, "type"), "welcome");
    assert_eq!(text(&socket.hear().await, "type"), "subscribed");
    let (mut receipts, mut versions) = (Vec::new(), Vec::new());
    while receipts.len() + versions.len() < 4 {
        let message = socket.hear().await;
        match text(&message, "type") {
            "receipt" => receipts.push(text(&message, "ref").to_owned()),
            _ => versions.push(
                message
                    .pointer(&Pointer::from_static("/change/version"))
                    .unwrap()
                    .as_u64()
                    .unwrap(),
            ),
        }
    }
    receipts.sort();
    assert_eq!(
        (receipts, versions),
        (vec!["r1".to_owned(), "r2".to_owned()], vec![1, 2])
    );
}

#[tokio::test]
async fn submits_of_one_connection_keep_their_order() {
    let node = Node::start().await;
    let mut socket = node.hello().await;
    for n in 0..500 {
        socket
            .socket
            .feed(Message::text(submit(
                &format!("r{n}"),
                &format!(r#"{{"data":{{"n":{n}}}}}"#),
            )))
            .await
            .unwrap();
    }
    socket.socket.flush().await.unwrap();
    for _ in 0..500 {
        let receipt = socket.hear_type("receipt").await;
        let n: u64 = text(&receipt, "ref")[1..].parse().unwrap();
        let version = receipt
            .pointer(&Pointer::from_static("/receipts/0/version"))
            .unwrap();
        assert_eq!(version.as_u64(), Some(n + 1));
    }
}

#[tokio::test]
async fn what_is_wrong_is_answered_by_its_id() {
    let node = Node::start().await;
    let mut socket = node.hello().await;
    for (message, reference, code, pointer) in [
        (
            r#"{"type":"submit","id":"r1","proposals":[]}"#,
            Some("r1"),
            "invalid",
            Some("/proposals"),
        ),
        (
            r#"{"type":"submit","id":"r2","proposals":[{"context":"task/a","op":"fly"}]}"#,
            Some("r2"),
            "invalid",
            Some("/proposals/0/op"),
        ),
        (
            r#"{"type":"submit","id":"r3","propsals":[]}"#,
            Some("r3"),
            "invalid",
            Some("/proposals"),
        ),
        (
            r#"{"type":"subscribe","id":"s1"}"#,
            Some("s1"),
            "invalid",
            Some("/scope"),
        ),
        (
            r#"{"type":"subscribe","id":"s2","scope":[{"workspace":true}],"filter":{"exat":{}}}"#,
            Some("s2"),
            "invalid",
            Some("/filter/exat"),
        ),
        (
            r#"{"type":"subscribe","id":"s3","scope":[{"workspace":true}],"from":{"cursor":"x"}}"#,
            Some("s3"),
            "bad_cursor",
            Some("/from/cursor"),
        ),
        (
            r#"{"type":"subscribe","id":"s4","durable":"a b","scope":[]}"#,
            Some("s4"),
            "invalid",
            Some("/durable"),
        ),
        (
            r#"{"type":"subscribe","id":"s5","durable":"nobody"}"#,
            Some("s5"),
            "not_found",
            Some("/durable"),
        ),
        (
            r#"{"type":"unsubscribe","id":"none"}"#,
            Some("none"),
            "not_found",
            None,
        ),
        (
            r#"{"type":"ack","sub":"none","cursor":"x"}"#,
            Some("none"),
            "not_found",
            None,
        ),
        (
            r#"{"type":"ack","sub":"none"}"#,
            Some("none"),
            "invalid",
            Some("/cursor"),
        ),
        (
            r#"{"type":"resync","id":"q","context":"task/none"}"#,
            Some("q"),
            "not_found",
            None,
        ),
        (
            r#"{"type":"lease","id":"l1","what":1}"#,
            Some("l1"),
            "not_built",
            Some("/type"),
        ),
        (
            r#"{"type":"sing","id":"x1"}"#,
            Some("x1"),
            "bad_request",
            Some("/type"),
        ),
        (r#"{"type":7}"#, None, "invalid", Some("/type")),
        (r#"42"#, None, "invalid", Some("")),
    ] {
        socket.say(message).await;
        let error = socket.hear().await;
        assert_eq!(text(&error, "type"), "error", "{message}");
        assert_eq!(
            error.get("ref").and_then(Json::as_str),
            reference,
            "{message}"
        );
        assert_eq!(text(&error, "code"), code, "{message}");
        assert_eq!(
            error.get("pointer").and_then(Json::as_str),
            pointer,
            "{message}"
        );
    }
    let refused = r#"{"type":"submit","id":"r9","proposals":[{"context":"task/none","op":"merge","body":{}}]}"#;
    socket.say(refused).await;
    let receipt = socket.hear().await;
    let error = receipt
        .pointer(&Pointer::from_static("/receipts/0/error"))
        .unwrap();
    assert_eq!(text(error, "code"), "not_found");
    // The connection goes on after all of it.
    socket.say(&submit("ok", "{}")).await;
    assert_eq!(text(&socket.hear().await, "ref"), "ok");
}

#[tokio::test]
async fn frames_that_cannot_be_read_end_the_connection() {
    let node = Node::start().await;
    let too_many = format!("[{}]", vec!["1"; 1_025].join(","));
    let deep = "[".repeat(10_000);
    for frame in [
        "{",
        "{\"type\":\"heartbeat\",\"type\":\"x\"}",
        "",
        &too_many,
        &deep,
    ] {
        let mut socket = node.hello().await;
        socket.say(frame).await;
        let (code, errors) = socket.hear_close().await;
        assert_eq!((code, errors.len()), (4509, 1), "{:.40}", frame);
    }
    let mut socket = node.hello().await;
    socket
        .socket
        .send(Message::binary(vec![1, 2, 3]))
        .await
        .unwrap();
    assert_eq!(socket.hear_close().await.0, 4509);
}

#[tokio::test]
async fn a_subscription_begins_with_a_snapshot_and_goes_on() {
    let node = Node::start().await;
    for n in 0..120 {
        node.put(&format!("/v1/contexts/task/t{n}"), &[], "{}")
            .await
            .ok();
    }
    let mut socket = node.hello().await;
    let subscribed = subscribe(
        &mut socket,
        "s",
        r#""scope":[{"workspace":true}],"from":"snapshot""#,
    )
    .await;
    assert_eq!(subscribed.get("recovered"), Some(&Json::from(true)));
    let mut contexts = 0;
    let cursor = loop {
        let page = socket.hear_type("snapshot").await;
        contexts += page.get("contexts").unwrap().as_array().unwrap().len();
        if page.get("last") == Some(&Json::from(true)) {
            break text(&page, "cursor").to_owned();
        }
    };
    assert_eq!(contexts, 121);
    node.put(A, &[], "{}").await.ok();
    let change = socket.hear_type("change").await;
    assert_eq!(change.get("n"), Some(&Json::from(1)));

    // The same place again, by its cursor, on another connection.
    let mut other = node.hello().await;
    let from = format!(r#""scope":[{{"workspace":true}}],"from":{{"cursor":"{cursor}"}}"#);
    let resumed = subscribe(&mut other, "s", &from).await;
    assert_eq!(resumed.get("recovered"), Some(&Json::from(true)));
    assert_eq!(
        other.hear_type("change").await.get("change"),
        change.get("change")
    );
}

#[tokio::test]
async fn a_place_that_is_no_more_is_answered_with_a_snapshot() {
    let node = Node::start().await;
    let workspace = node.engine.workspaces().remove(0);
    let mut ahead = workspace.tail();
    ahead.seq.0 += 10;
    let mut socket = node.hello().await;
    let live = subscribe(&mut socket, "live", r#""scope":[{"workspace":true}]"#).await;
    assert_eq!(live.get("recovered"), Some(&Json::from(true)));
    let from = format!(
        r#""scope":[{{"workspace":true}}],"from":{{"cursor":"{}"}}"#,
        workspace.seal(&ahead)
    );
    let subscribed = subscribe(&mut socket, "s", &from).await;
    assert_eq!(subscribed.get("recovered"), Some(&Json::from(false)));
    assert_eq!(text(&subscribed, "reason"), "rewound");
    // The log has a new epoch now, so who was live before is told to start again.
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let message = socket.hear().await;
        seen.push((
            text(&message, "type").to_owned(),
            text(&message, "sub").to_owned(),
        ));
    }
    seen.sort();
    assert_eq!(
        seen,
        [
            ("reset".to_owned(), "live".to_owned()),
            ("snapshot".to_owned(), "s".to_owned())
        ]
    );
    // That subscription is over, so its id is free again.
    subscribe(&mut socket, "live", r#""scope":[{"workspace":true}]"#).await;
}

#[tokio::test]
async fn bulks_scopes_modes_and_ones_own_changes() {
    let node = Node::start().await;
    node.put("/v1/contexts/project/p", &[], "{}").await.ok();
    let mut socket = node.hello().await;
    subscribe(
        &mut socket,
        "all",
        r#""scope":[{"workspace":true}],"mode":"thin""#,
    )
    .await;
    subscribe(
        &mut socket,
        "p",
        r#""scope":[{"subtree":"project/p"}],"mode":"snapshot","old":true"#,
    )
    .await;
    subscribe(
        &mut socket,
        "others",
        r#""scope":[{"workspace":true}],"exclude_self":true"#,
    )
    .await;
    socket
        .say(r#"{"type":"submit","id":"b","mode":"atomic","proposals":[{"context":"task/in","op":"create","body":{"parent":"project/p","data":{"n":1}}},{"context":"task/out","op":"create","body":{}}]}"#)
        .await;
    let mut heard: Vec<(String, String)> = Vec::new();
    let mut bulk = String::new();
    while heard.len() < 8 {
        let message = socket.hear().await;
        let kind = text(&message, "type").to_owned();
        if kind == "receipt" {
            bulk = text(&message, "bulk").to_owned();
        }
        let sub = message
            .get("sub")
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned();
        if kind == "change" && sub == "p" {
            let change = message.get("change").unwrap();
            assert_eq!(
                (text(change, "context"), text(change, "enc")),
                ("task/in", "snapshot")
            );
            assert_eq!(change.get("cursor"), None);
        }
        if kind == "end" {
            assert!(message.get("cursor").is_some() && !text(&message, "bulk").is_empty());
        }
        heard.push((sub, kind));
    }
    let of = |sub: &str| -> Vec<&str> {
        heard
            .iter()
            .filter(|(s, _)| s == sub)
            .map(|(_, k)| k.as_str())
            .collect()
    };
    assert_eq!(of("all"), ["begin", "change", "change", "end"]);
    assert_eq!(of("p"), ["begin", "change", "end"]);
    assert_eq!(of("others"), Vec::<&str>::new());
    assert!(!bulk.is_empty());
    // Another actor's change reaches all three.
    node.merge("/v1/contexts/task/in", &[], r#"{"data":{"n":2}}"#)
        .await
        .ok();
    let mut subs = Vec::new();
    while subs.len() < 3 {
        let message = socket.hear_type("change").await;
        let change = message.get("change").unwrap();
        if text(&message, "sub") == "p" {
            assert_eq!(
                change.pointer(&Pointer::from_static("/snapshot/data/n")),
                Some(&Json::from(2))
            );
            assert_eq!(change.get("old"), Some(&json(r#"{"/data/n":1}"#)));
        }
        subs.push(text(&message, "sub").to_owned());
    }
    subs.sort();
    assert_eq!(subs, ["all", "others", "p"]);
    socket
        .say(r#"{"type":"resync","id":"q1","sub":"p","context":"task/in"}"#)
        .await;
    let snapshot = socket.hear_type("snapshot").await;
    assert_eq!(
        (text(&snapshot, "ref"), text(&snapshot, "sub")),
        ("q1", "p")
    );
    assert_eq!(
        snapshot.pointer(&Pointer::from_static("/contexts/0/data/n")),
        Some(&Json::from(2))
    );
}

#[tokio::test]
async fn silence_is_broken_by_heartbeats() {
    let node = Node::with(|doors| doors.limits.heartbeat = Duration::from_millis(100)).await;
    let mut socket = node.hello().await;
    subscribe(&mut socket, "s", r#""scope":[{"context":"task/none"}]"#).await;
    node.put(A, &[], "{}").await.ok();
    let beat = socket.hear_type("heartbeat").await;
    let cursor = text(beat.get("subs").unwrap(), "s").to_owned();
    // The mark has passed what the scope does not hold.
    let after = node
        .get(&format!("/v1/changes?after={cursor}"))
        .await
        .ok()
        .json();
    assert_eq!(after.get("changes"), Some(&json("[]")));
    socket.say(r#"{"type":"heartbeat"}"#).await;
    let again = socket.hear_type("heartbeat").await;
    assert_ne!(
        text(again.get("subs").unwrap(), "s"),
        cursor,
        "freshly sealed"
    );
}

#[tokio::test]
async fn subscriptions_are_bounded_and_named_once() {
    let node = Node::with(|doors| doors.limits.subscriptions_max = 3).await;
    let mut socket = node.hello().await;
    for n in 0..3 {
        subscribe(
            &mut socket,
            &format!("s{n}"),
            r#""scope":[{"workspace":true}]"#,
        )
        .await;
    }
    socket
        .say(r#"{"type":"subscribe","id":"s3","scope":[{"workspace":true}]}"#)
        .await;
    let refused = socket.hear().await;
    assert_eq!(text(&refused, "code"), "too_many");
    assert_eq!(text(&refused, "setting"), "max_subscriptions");
    assert_eq!(refused.get("limit"), Some(&Json::from(3)));
    socket.say(r#"{"type":"unsubscribe","id":"s0"}"#).await;
    socket
        .say(r#"{"type":"subscribe","id":"s1","scope":[{"workspace":true}]}"#)
        .await;
    assert_eq!(text(&socket.hear().await, "code"), "invalid");
    subscribe(&mut socket, "s0", r#""scope":[{"workspace":true}]"#).await;
}

#[tokio::test]
async fn a_stopping_node_says_when_to_come_back() {
    let mut node = Node::start().await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(node.hello().await);
    }
    let started = Instant::now();
    let stopped = node.tell_to_stop();
    for socket in &mut sockets {
        let (code, errors) = socket.hear_close().await;
        assert_eq!(code, 4000);
        assert_eq!(text(&errors[0], "code"), "unavailable");
        assert!(errors[0].get("after_ms").unwrap().as_u64().unwrap() >= 500);
    }
    stopped.await.unwrap().unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}
