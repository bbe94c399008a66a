//! Through the WebSocket.

use std::time::{Duration, Instant};

use syncline_model::json::Json;
use syncline_testkit::raw::RawSocket;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;

use super::Still;
use crate::run;

async fn open(still: &Still) -> RawSocket {
    RawSocket::hello(still.access().authority(), &still.access().key)
        .await
        .unwrap()
        .0
}

fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name).and_then(Json::as_str).unwrap_or_default()
}

#[test]
fn first_messages_that_are_wrong_end_the_connection() {
    run(async {
        let still = Still::start().await;
        let (authority, key) = (still.access().authority(), still.access().key.as_str());
        let cases = [
            ("no JSON", "x".to_owned(), 4509),
            ("nothing", String::new(), 4509),
            (
                "another message",
                r#"{"type":"heartbeat"}"#.to_owned(),
                4509,
            ),
            ("an unknown message", r#"{"type":"frob"}"#.to_owned(), 4509),
            (
                "a wrong token",
                r#"{"type":"hello","token":"x"}"#.to_owned(),
                4501,
            ),
            (
                "an unknown field",
                format!(r#"{{"type":"hello","token":"{key}","x":1}}"#),
                4509,
            ),
            ("depth 10,000", "[".repeat(10_000), 4509),
        ];
        for (name, first, code) in cases {
            let mut socket = RawSocket::connect(authority, key).await.unwrap();
            socket.send(&first).await.unwrap();
            assert_eq!(socket.close_code().await, Some(code), "{name}");
            still.check(name).await;
        }
        // Without a key in the upgrade and without a token in `hello` nobody comes in.
        let mut socket = RawSocket::connect(authority, "").await.unwrap();
        socket.send(r#"{"type":"hello"}"#).await.unwrap();
        assert_eq!(socket.close_code().await, Some(4501));
    });
}

#[test]
fn a_connection_without_hello_is_closed_soon() {
    run(async {
        let still = Still::start().await;
        let begun = Instant::now();
        let mut socket = RawSocket::connect(still.access().authority(), &still.access().key)
            .await
            .unwrap();
        let closed = tokio::time::timeout(Duration::from_secs(10), socket.close_code()).await;
        assert!(closed.is_ok(), "still open after {:?}", begun.elapsed());
        assert!(
            begun.elapsed() > Duration::from_secs(3),
            "closed after {:?}",
            begun.elapsed()
        );
    });
}

#[test]
fn messages_that_are_wrong_are_answered_and_the_connection_goes_on() {
    run(async {
        let still = Still::start().await;
        let mut socket = open(&still).await;
        let cases = [
            ("an unknown type", r#"{"type":"frob","id":"q"}"#),
            ("no type", r#"{"id":"q"}"#),
            (
                "an unknown field",
                r#"{"type":"subscribe","id":"q","scope":[{"workspace":true}],"from":"now","x":1}"#,
            ),
            ("no scope", r#"{"type":"subscribe","id":"q","from":"now"}"#),
            (
                "an empty scope",
                r#"{"type":"subscribe","id":"q","scope":[],"from":"now"}"#,
            ),
            (
                "a scope of two terms in one",
                r#"{"type":"subscribe","id":"q","scope":[{"workspace":true,"context":"task/a"}]}"#,
            ),
            (
                "an unknown mode",
                r#"{"type":"subscribe","id":"q","scope":[{"workspace":true}],"mode":"x"}"#,
            ),
            (
                "a garbage cursor",
                r#"{"type":"subscribe","id":"q","scope":[{"workspace":true}],"from":{"cursor":"x"}}"#,
            ),
            (
                "from nowhere",
                r#"{"type":"subscribe","id":"q","scope":[{"workspace":true}],"from":"then"}"#,
            ),
            (
                "proposals that are none",
                r#"{"type":"submit","id":"q","proposals":{}}"#,
            ),
            (
                "an unknown mode of bulk",
                r#"{"type":"submit","id":"q","proposals":[],"mode":"x"}"#,
            ),
            (
                "a resync of nothing",
                r#"{"type":"resync","id":"q","context":"nope"}"#,
            ),
            (
                "what is not built",
                r#"{"type":"lease","id":"q","context":"task/there","do":"acquire"}"#,
            ),
            ("what is not built either", r#"{"type":"push","id":"q"}"#),
        ];
        for (name, message) in cases {
            socket.send(message).await.unwrap();
            let answer = socket
                .next()
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                text(&answer, "type"),
                "error",
                "{name}: {}",
                answer.to_text()
            );
            assert!(
                !text(&answer, "code").is_empty(),
                "{name}: {}",
                answer.to_text()
            );
            assert!(
                !text(&answer, "text").is_empty(),
                "{name}: {}",
                answer.to_text()
            );
            still.check(name).await;
        }
    });
}

#[test]
fn proposals_that_are_wrong_are_refused_one_by_one() {
    run(async {
        let still = Still::start().await;
        let mut socket = open(&still).await;
        let proposals = [
            r#"{}"#,
            r#"{"context":"task/x","op":"frob"}"#,
            r#"{"context":"Task/x","op":"merge","body":{}}"#,
            r#"{"context":"task/x","op":"merge"}"#,
            r#"{"context":"task/x","op":"merge","body":[],"create":true}"#,
            r#"{"context":"task/x","op":"merge","body":{"dta":1},"create":true}"#,
            r#"{"change_id":"42","context":"task/x","op":"merge","body":{},"create":true}"#,
            r#"{"context":"task/there","op":"delete","body":{},"if_match":"*"}"#,
            r#"{"context":"task/there","op":"patch","body":[{"op":"remove","path":"/data/x"}]}"#,
            r#"{"context":"task/there","op":"merge","body":{"title":"x"},"base":"yesterday"}"#,
            r#"{"context":"task/there","op":"merge","body":{"title":"x"},"if_match":"garbage"}"#,
            r#"{"context":"task/there","op":"merge","body":{"title":"x"},"priority":9}"#,
            r#"{"context":"task/there","op":"merge","body":{"title":"x"},"unknown":1}"#,
        ];
        for proposal in proposals {
            let message = format!(r#"{{"type":"submit","id":"q","proposals":[{proposal}]}}"#);
            socket.send(&message).await.unwrap();
            let answer = socket.next().await.unwrap();
            // What cannot be read is an error about the message, what is decided a receipt.
            let receipts = answer.get("receipts").and_then(Json::as_array);
            let error = match receipts {
                Some(receipts) => receipts[0].get("error").cloned(),
                None => Some(answer.clone()),
            };
            let error = error.unwrap_or_else(|| panic!("{proposal}: {}", answer.to_text()));
            assert!(
                !text(&error, "code").is_empty(),
                "{proposal}: {}",
                answer.to_text()
            );
            assert!(
                answer.to_text().len() < 2_000,
                "{proposal}: {}",
                answer.to_text()
            );
        }
        still.check("wrong proposals").await;
    });
}

#[test]
fn frames_that_are_wrong_end_the_connection() {
    run(async {
        let still = Still::start().await;
        let large = format!(r#"{{"type":"hello","x":"{}"}}"#, "x".repeat(17 << 20));
        let many = format!("[{}]", vec![r#"{"type":"heartbeat"}"#; 2_000].join(","));
        let cases: Vec<(&str, Message)> = vec![
            ("no JSON", Message::text("{")),
            ("bytes", Message::binary(vec![1u8, 2, 3])),
            ("17 MiB", Message::text(large)),
            ("2,000 messages in a frame", Message::text(many)),
            ("depth 10,000", Message::text("[".repeat(10_000))),
        ];
        for (name, frame) in cases {
            let mut socket = open(&still).await;
            // The node may close before it has read all.
            let _ = socket.send_message(frame).await;
            let closed = tokio::time::timeout(Duration::from_secs(10), socket.close_code()).await;
            assert!(closed.is_ok(), "{name}: still open");
            still.check(name).await;
        }
        // Bytes that are no frame, text that is no UTF-8, a frame that is not masked.
        for (name, bytes) in [
            ("no frame", &[0xff; 40][..]),
            ("no UTF-8", &b"\x81\x82\0\0\0\0\xff\xfe"[..]),
            ("not masked", &b"\x81\x02{}"[..]),
            (
                "a length of 2^63",
                &b"\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0"[..],
            ),
        ] {
            let mut socket = open(&still).await;
            socket.stream().write_all(bytes).await.unwrap();
            let closed = tokio::time::timeout(Duration::from_secs(10), socket.close_code()).await;
            assert!(closed.is_ok(), "{name}: still open");
            still.check(name).await;
        }
    });
}

#[test]
fn subscriptions_of_a_connection_are_bounded() {
    run(async {
        let still = Still::start().await;
        let mut socket = open(&still).await;
        let mut refused = 0;
        for number in 0..110 {
            let message = format!(
                r#"{{"type":"subscribe","id":"s{number}","scope":[{{"workspace":true}}],"from":"now"}}"#
            );
            socket.send(&message).await.unwrap();
            let answer = socket.next().await.unwrap();
            refused += u32::from(text(&answer, "type") == "error");
        }
        assert_eq!(refused, 10, "100 are allowed");
        socket
            .send(r#"{"type":"subscribe","id":"s1","scope":[{"workspace":true}]}"#)
            .await
            .unwrap();
        assert_eq!(
            text(&socket.next().await.unwrap(), "type"),
            "error",
            "the same id twice"
        );
        still.check("many subscriptions").await;
    });
}
