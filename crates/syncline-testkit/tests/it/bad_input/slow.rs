//! Slow, half-open and very many connections.

use std::time::{Duration, Instant};

use syncline_testkit::raw;
use syncline_testkit::{Door, NodeOptions, sys};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{JSON, Still};
use crate::{alone, run};

/// Connections that are opened at once.
const MANY: usize = 10_000;

#[test]
fn a_head_that_drips_is_cut_off() {
    run(async {
        let env = vec![("SYNCLINE_MAX_HEAD_S".to_owned(), "2".into())];
        let still = Still::start_with(NodeOptions {
            env,
            ..NodeOptions::default()
        })
        .await;
        let mut stream = TcpStream::connect(still.access().authority())
            .await
            .unwrap();
        let begun = Instant::now();
        let head = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
        for byte in head.iter().cycle() {
            let closed = stream.write_all(&[*byte]).await.is_err();
            let mut buffer = [0u8; 1_024];
            let read =
                tokio::time::timeout(Duration::from_millis(50), stream.read(&mut buffer)).await;
            if closed || matches!(read, Ok(Ok(0) | Err(_))) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "still open");
        }
        assert!(
            begun.elapsed() >= Duration::from_millis(1_500),
            "closed after {:?}",
            begun.elapsed()
        );
        still.check("a dripping head").await;
    });
}

#[test]
fn a_body_that_stands_still_is_given_up() {
    run(async {
        let still = Still::start().await;
        let access = still.access();
        let mut stream = TcpStream::connect(access.authority()).await.unwrap();
        let request = format!(
            "PUT /v1/contexts/task/new HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n{JSON}\r\n\
             Content-Length: 1000\r\n\r\n{{\"data\"",
            access.authority(),
            access.key
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let begun = Instant::now();
        let answer =
            tokio::time::timeout(Duration::from_secs(45), raw::read_answer(&mut stream)).await;
        let answer = answer.expect("the wait is bounded");
        assert!(
            answer.as_ref().map_or(true, |a| a.status == 408),
            "{answer:?}"
        );
        assert!(
            begun.elapsed() > Duration::from_secs(5),
            "given up after {:?}",
            begun.elapsed()
        );
        still.check("a body that stands still").await;
    });
}

#[test]
fn half_open_connections_are_answered_or_forgotten() {
    run(async {
        let still = Still::start().await;
        let access = still.access();
        // The writing side is closed, the reading side waits for the answer.
        let mut stream = TcpStream::connect(access.authority()).await.unwrap();
        let request = raw::request(access, "GET", "/v1/status", &[], b"");
        stream.write_all(&request).await.unwrap();
        stream.shutdown().await.unwrap();
        match raw::read_answer(&mut stream).await {
            Ok(answer) => assert_eq!(answer.status, 200),
            // Closing is an answer too: who shuts half a connection may mean the whole.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof),
        }
        // Half a request, and gone; many of them.
        for _ in 0..200 {
            let mut stream = TcpStream::connect(access.authority()).await.unwrap();
            stream
                .write_all(&request[..request.len() / 2])
                .await
                .unwrap();
        }
        // A body that ends early is no body.
        let whole = raw::request(
            access,
            "PUT",
            "/v1/contexts/task/half",
            &[JSON],
            br#"{"data":{}}"#,
        );
        let mut stream = TcpStream::connect(access.authority()).await.unwrap();
        stream.write_all(&whole[..whole.len() - 3]).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = raw::read_answer(&mut stream).await;
        assert!(
            answer.as_ref().map_or(true, |answer| answer.status >= 400),
            "{answer:?}"
        );
        still.check("half requests").await;
    });
}

#[test]
fn ten_thousand_connections_are_bounded_and_do_no_harm() {
    let _alone = alone();
    run(async {
        let still = Still::start().await;
        // The node raised its own limit at its start; now we raise ours.
        let descriptors = sys::raise_descriptors().unwrap();
        assert!(
            descriptors > MANY as u64 + 500,
            "this process may hold {descriptors} descriptors, which is too few to try"
        );
        let before = still.node.memory_bytes();
        let mut held = Vec::with_capacity(MANY + 200);
        let mut turned_away = 0u32;
        for _ in 0..MANY + 200 {
            let connected = TcpStream::connect(still.access().authority());
            match tokio::time::timeout(Duration::from_secs(10), connected).await {
                Ok(Ok(stream)) => held.push(stream),
                _ => turned_away += 1,
            }
        }
        let each = still.node.memory_bytes().saturating_sub(before) / held.len() as u64;
        // The Unix socket has room of its own, so the owner can always come in.
        let status = still.access().client(Door::HttpSocket).status().await;
        assert!(status.is_ok(), "{status:?}");
        // The last ones were told that the house is full.
        let mut told = 0;
        for stream in held.iter_mut().rev().take(200) {
            let answer = tokio::time::timeout(Duration::from_millis(200), raw::read_answer(stream));
            told += u32::from(matches!(answer.await, Ok(Ok(answer)) if answer.status == 503));
        }
        eprintln!(
            "{} connections held, {turned_away} failed, {told} of 200 were told, {each} bytes each",
            held.len()
        );
        assert!(
            told + turned_away >= 100,
            "{told} were told, {turned_away} failed"
        );
        assert!(each < 20_000, "an idle connection costs {each} bytes");
        drop(held);
        assert!(
            still.access().answers(Duration::from_secs(20)).await,
            "the node goes on"
        );
        still.check("ten thousand connections").await;
    });
}
