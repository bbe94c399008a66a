//! How a WebSocket begins and ends, byte by byte.

use std::time::{Duration, Instant};

use syncline_model::json::Pointer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::node::{KEY, Node, frame};

#[tokio::test]
async fn other_subprotocols_are_refused() {
    let node = Node::start().await;
    node.raw(node.upgrade("sec-websocket-protocol: syncline.v9\r\n"))
        .await
        .problem(400, "bad_request");
    assert_eq!(node.raw(node.upgrade("")).await.status, 101);
    let plain = node.get("/v1/sync").await;
    plain.problem(400, "bad_request");
}

/// RFC 6455, sections 4.2.1 and 4.4.
#[tokio::test]
async fn a_handshake_has_a_key_and_a_known_version() {
    let node = Node::start().await;
    let ask = async |protocols: &str, headers: &str| {
        let request = format!(
            "GET /v1/sync HTTP/1.1\r\nhost: {}\r\nupgrade: {protocols}\r\n\
             connection: upgrade\r\n{headers}\r\n",
            node.address
        );
        node.raw(request).await
    };
    let upgrade = async |headers: &str| ask("websocket", headers).await;
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for wrong in [
        "",
        "short",
        "dGhlIHNhbXBsZSBub25j",
        "?GhlIHNhbXBsZSBub25jZQ==",
    ] {
        let headers = format!("sec-websocket-version: 13\r\nsec-websocket-key: {wrong}\r\n");
        upgrade(&headers).await.problem(400, "bad_request");
    }
    let twice = format!("sec-websocket-version: 13\r\n{key}{key}");
    upgrade(&twice).await.problem(400, "bad_request");
    let good = format!("sec-websocket-version: 13\r\n{key}");
    let several = "h2c, WebSocket\r\nupgrade: foo";
    assert_eq!(ask(several, &good).await.status, 101);
    ask("websocketish, h2c", &good)
        .await
        .problem(400, "bad_request");
    for version in ["sec-websocket-version: 12\r\n", ""] {
        let reply = upgrade(&format!("{version}{key}")).await;
        reply.problem(426, "upgrade_required");
        assert_eq!(reply.header("sec-websocket-version"), Some("13"));
    }
}

/// A peer that is gone without a word is found by its silence; one that only has nothing to say
/// answers the pings.
#[tokio::test]
async fn a_peer_that_is_gone_is_let_go() {
    let node = Node::with(|doors| doors.limits.heartbeat = Duration::from_millis(100)).await;
    let mut gone = node.connect().await;
    gone.write_all(node.upgrade("").as_bytes()).await.unwrap();
    let hello = format!(r#"{{"type":"hello","token":"{KEY}"}}"#);
    gone.write_all(&frame(&hello)).await.unwrap();
    let mut quiet = node.hello().await;
    let mut heard = Vec::new();
    let started = Instant::now();
    let read = gone.read_to_end(&mut heard);
    let listen = async {
        while started.elapsed() < Duration::from_millis(1_000) {
            quiet.hear_type("heartbeat").await;
        }
    };
    let (read, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(10), read), listen);
    read.unwrap().unwrap();
    // The close frame says 4008.
    assert!(heard.windows(2).any(|bytes| bytes == 4008u16.to_be_bytes()));
}

/// RFC 6455, section 5.5.1: after the answer to the peer's close nothing is sent, and what followed
/// the log for it ends at once.
#[tokio::test]
async fn nothing_follows_the_answer_to_a_close() {
    let node = Node::start().await;
    let text = "x".repeat(8_000);
    for bulk in 0..4 {
        let part = |n| {
            format!(
                r#"{{"context":"task/t{bulk}-{n}","op":"create","body":{{"data":{{"t":"{text}"}}}}}}"#
            )
        };
        let parts: Vec<String> = (0..250).map(part).collect();
        let body = format!(r#"{{"mode":"atomic","proposals":[{}]}}"#, parts.join(","));
        node.post("/v1/contexts:batch", &[], &body).await.ok();
    }
    let mut peer = node.connect().await;
    peer.write_all(node.upgrade("").as_bytes()).await.unwrap();
    let hello = format!(r#"{{"type":"hello","token":"{KEY}"}}"#);
    let subscribe = r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"from":"start"}"#;
    for text in [hello.as_str(), subscribe] {
        peer.write_all(&frame(text)).await.unwrap();
    }
    let subscriptions = async || {
        let stats = node.get("/v1/stats").await.ok().json();
        let live = Pointer::from_static("/delivery/live_subscriptions");
        stats.pointer(&live).unwrap().as_u64().unwrap()
    };
    let started = Instant::now();
    while subscriptions().await == 0 && started.elapsed() < Duration::from_secs(10) {}
    assert_eq!(
        subscriptions().await,
        1,
        "it takes nothing, and so is fed for long"
    );
    let close = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
    peer.write_all(&close).await.unwrap();
    let started = Instant::now();
    while subscriptions().await > 0 && started.elapsed() < Duration::from_secs(1) {}
    assert_eq!(subscriptions().await, 0);
    let mut heard = Vec::new();
    peer.read_to_end(&mut heard).await.unwrap();
    let head = heard.windows(4).position(|four| four == b"\r\n\r\n");
    let mut rest = &heard[head.unwrap() + 4..];
    let mut kinds = Vec::new();
    while let [first, length, ..] = *rest {
        let long = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |all, byte| all << 8 | usize::from(*byte))
        };
        let (head, length) = match length {
            126 => (4, long(&rest[2..4])),
            127 => (10, long(&rest[2..10])),
            short => (2, usize::from(short)),
        };
        kinds.push(first);
        rest = &rest[head + length..];
    }
    let closed = kinds.iter().position(|kind| *kind == 0x88);
    assert_eq!(closed, Some(kinds.len() - 1), "{} frames", kinds.len());
    assert!(heard.len() < 7_000_000, "{}", heard.len());
}
