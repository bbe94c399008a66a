//! Bounds: sizes, counts, and peers that are slow or stop (P9).

use std::time::{Duration, Instant};

use futures_util::SinkExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_tungstenite::tungstenite::Message;

use crate::node::{KEY, Node, frame, read_reply, text};

const A: &str = "/v1/contexts/task/a";

fn head(node: &Node, more: &str) -> String {
    format!(
        "PUT {A} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n{more}\r\n\r\n",
        node.address
    )
}

#[tokio::test]
async fn large_bodies_are_refused_early() {
    let node = Node::start().await;
    // A length that says too much is refused before a byte of it is read.
    let reply = node.raw(head(&node, "content-length: 1073741824")).await;
    let problem = reply.problem(413, "too_large");
    assert_eq!(text(&problem, "setting"), "max_request_bytes");
    // One that says nothing is counted.
    let node = Node::with(|doors| doors.limits.request_bytes_max = 10_000).await;
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let body = chunk.repeat(4) + "0\r\n\r\n";
    let reply = node
        .raw(head(&node, "transfer-encoding: chunked") + &body)
        .await;
    reply.problem(413, "too_large");
    let most = format!(r#"{{"title":"{}"}}"#, "x".repeat(900));
    assert_eq!(node.put(A, &[], &most).await.status, 201);
}

#[tokio::test]
async fn a_large_document_is_refused_with_its_limit() {
    let node = Node::start().await;
    let body = format!(r#"{{"data":{{"x":"{}"}}}}"#, "x".repeat(11 << 20));
    let problem = node.put(A, &[], &body).await.problem(413, "too_large");
    assert_eq!(text(&problem, "setting"), "max_document_bytes");
}

#[tokio::test]
async fn slow_heads_and_bodies_are_cut_off() {
    let node = Node::with(|doors| {
        doors.limits.header_time_max = Duration::from_millis(200);
        doors.limits.body_stall_max = Duration::from_millis(200);
        doors.limits.body_time_max = Duration::from_millis(1_000);
    })
    .await;
    let started = Instant::now();
    // Connected and silent; half a head; half a body; a body that drips.
    let mut silent = node.connect().await;
    let mut half = node.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nhost: x").await.unwrap();
    for stream in [&mut silent, &mut half] {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    }
    let mut body = node.connect().await;
    body.write_all((head(&node, "content-length: 100") + "{").as_bytes())
        .await
        .unwrap();
    let reply = read_reply(&mut BufReader::new(body), false).await.unwrap();
    reply.problem(408, "request_timeout");
    let (read, mut write) = node.connect().await.into_split();
    write
        .write_all((head(&node, "content-length: 100")).as_bytes())
        .await
        .unwrap();
    let drip = tokio::spawn(async move {
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let reply = read_reply(&mut BufReader::new(read), false).await.unwrap();
    reply.problem(408, "request_timeout");
    drip.abort();
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn connections_are_bounded() {
    let node = Node::with(|doors| doors.limits.connections_max = 3).await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.push(node.hello().await);
    }
    let turned_away = node
        .raw(format!(
            "GET /readyz HTTP/1.1\r\nhost: {}\r\n\r\n",
            node.address
        ))
        .await;
    assert_eq!(turned_away.status, 503);
    assert_eq!(text(&turned_away.json(), "setting"), "max_connections");
    // The Unix socket has room of its own.
    let path = node.directory.path().join("node.sock");
    let mut stream = tokio::net::UnixStream::connect(path).await.unwrap();
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(
        read_reply(&mut BufReader::new(stream), false)
            .await
            .unwrap()
            .status,
        200
    );
    drop(kept);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let reply = node
            .raw(format!(
                "GET /readyz HTTP/1.1\r\nhost: {}\r\n\r\n",
                node.address
            ))
            .await;
        if reply.status == 200 {
            break;
        }
        assert!(Instant::now() < deadline, "room comes free again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A subscriber that stops reading neither slows the writer nor stays.
#[tokio::test]
async fn p9_a_reader_that_stops_slows_nobody_and_is_let_go() {
    let node = Node::with(|doors| doors.limits.write_stall_max = Duration::from_millis(500)).await;
    let mut stuck = node.hello().await;
    stuck
        .say(r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"mode":"snapshot"}"#)
        .await;
    stuck.hear_type("subscribed").await;
    let mut reader = node.hello().await;
    reader
        .say(r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"mode":"thin"}"#)
        .await;
    reader.hear_type("subscribed").await;
    let body = format!(r#"{{"data":{{"x":"{}"}}}}"#, "x".repeat(200_000));
    for n in 0..60 {
        let path = format!("/v1/contexts/task/t{n}");
        node.put(&path, &[], &body).await.ok();
        let change = reader.hear_type("change").await;
        assert_eq!(change.get("n").unwrap().as_u64(), Some(n + 1));
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    // It was cut while it took nothing: what it reads now ends without a hole.
    let mut n = 0;
    while let Ok(message) = stuck.hear_or_close().await {
        n += 1;
        assert_eq!(message.get("n").unwrap().as_u64(), Some(n));
    }
    assert!(n < 60, "{n}");
}

/// P9: a bulk is composed part by part, so that a peer that stops reading in the middle of it costs
/// no more than another.
#[tokio::test]
async fn p9_a_large_bulk_waits_in_the_log() {
    let node = Node::start().await;
    let text = "x".repeat(16_000);
    let part = |n| {
        format!(r#"{{"context":"task/t{n}","op":"create","body":{{"data":{{"t":"{text}"}}}}}}"#)
    };
    let parts: Vec<String> = (0..500).map(part).collect();
    let body = format!(r#"{{"mode":"atomic","proposals":[{}]}}"#, parts.join(","));
    node.post("/v1/contexts:batch", &[], &body).await.ok();
    let mut stuck = node.hello().await;
    stuck
        .say(r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"from":"start"}"#)
        .await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let stats = node.get("/v1/stats").await.ok().json();
    let sent = stats.get("delivery").unwrap().get("changes_sent").unwrap();
    let sent = sent.as_u64().unwrap();
    assert!((1..400).contains(&sent), "{sent} of 501");
    for _ in 0..501 {
        stuck.hear_type("change").await;
    }
    assert_eq!(crate::node::text(&stuck.hear().await, "type"), "end");
}

/// A client that writes all before it reads gets all its receipts, as long as they fit the
/// sockets' buffers.
#[tokio::test]
async fn submits_beyond_the_bound_wait_their_turn() {
    let node = Node::with(|doors| doors.limits.submits_max = 2).await;
    let mut socket = node.hello().await;
    for n in 0..300 {
        let text = format!(
            r#"{{"type":"submit","id":"r{n}","proposals":[{{"context":"task/t{n}","op":"create","body":{{}}}}]}}"#
        );
        socket.socket.feed(Message::text(text)).await.unwrap();
    }
    socket.socket.flush().await.unwrap();
    for _ in 0..300 {
        let receipt = socket.hear().await;
        assert_eq!(text(&receipt, "type"), "receipt");
    }
}

#[tokio::test]
async fn inbound_messages_are_bounded() {
    let node = Node::with(|doors| doors.limits.request_bytes_max = 10_000).await;
    let mut socket = node.hello().await;
    socket
        .say(&format!(
            r#"{{"type":"heartbeat","x":"{}"}}"#,
            "x".repeat(20_000)
        ))
        .await;
    let (code, _) = socket.hear_close().await;
    assert_eq!(code, 4509);
}

/// What an idle WebSocket costs, both of its ends' sockets apart.
#[tokio::test]
#[ignore = "measures the whole process, so it must run alone"]
async fn an_idle_connection_is_small() {
    const COUNT: usize = 1_000;
    let node = Node::start().await;
    let upgrade = node.upgrade("");
    let mut kept = Vec::with_capacity(2 * COUNT);
    let mut sizes = Vec::new();
    for _ in 0..2 {
        for _ in 0..COUNT {
            let mut stream = node.connect().await;
            stream.write_all(upgrade.as_bytes()).await.unwrap();
            let mut head = [0; 1_024];
            let read = stream.read(&mut head).await.unwrap();
            assert!(head[..read].starts_with(b"HTTP/1.1 101"));
            let hello = format!(r#"{{"type":"hello","token":"{KEY}"}}"#);
            stream.write_all(&frame(&hello)).await.unwrap();
            let subscribe = r#"{"type":"subscribe","id":"s","scope":[{"context":"task/a"}]}"#;
            let mut frame = vec![
                0x81,
                0x80 | u8::try_from(subscribe.len()).unwrap(),
                0,
                0,
                0,
                0,
            ];
            frame.extend_from_slice(subscribe.as_bytes());
            stream.write_all(&frame).await.unwrap();
            let read = stream.read(&mut head).await.unwrap();
            assert!(read > 0);
            kept.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        sizes.push(resident_bytes());
    }
    let each = (sizes[1] - sizes[0]) / COUNT;
    assert!(each < 10_000, "{each} bytes");
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    1_024
        * line
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<usize>()
            .unwrap()
}
