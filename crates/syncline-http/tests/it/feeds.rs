//! The log over HTTP: pull, long-poll, server-sent events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_model::ids::Seq;
use syncline_model::json::Json;
use syncline_store::{MemoryStore, ReadFault};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::documents;
use crate::node::{KEY, Node, json, text};

const A: &str = "/v1/contexts/task/a";

async fn write(node: &Node, n: u64) {
    node.merge(
        &format!("{A}?create=true"),
        &[],
        &format!(r#"{{"data":{{"n":{n}}}}}"#),
    )
    .await
    .ok();
}

pub async fn pull(node: &Node, query: &str) -> (Vec<Json>, String) {
    let answer = node.get(&format!("/v1/changes{query}")).await.ok().json();
    (
        answer.get("changes").unwrap().as_array().unwrap().to_vec(),
        text(&answer, "cursor").to_owned(),
    )
}

#[tokio::test]
async fn pull_goes_from_the_beginning_to_the_end_and_on() {
    let node = Node::start().await;
    for n in 0..5 {
        write(&node, n).await;
    }
    let (mut seen, mut after) = pull(&node, "?limit=2").await;
    loop {
        let (more, cursor) = pull(&node, &format!("?limit=2&after={after}")).await;
        after = cursor;
        if more.is_empty() {
            break;
        }
        seen.extend(more);
    }
    // The log begins with global/main.
    let seqs: Vec<_> = seen
        .iter()
        .map(|c| c.get("seq").unwrap().as_u64().unwrap())
        .collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    assert_eq!(text(&seen[1], "enc"), "snapshot");
    assert_eq!(text(&seen[2], "enc"), "patch");
    // A change's own cursor goes on after it.
    let (rest, _) = pull(&node, &format!("?after={}", text(&seen[3], "cursor"))).await;
    assert_eq!(rest, seen[4..]);
    write(&node, 9).await;
    let (news, _) = pull(&node, &format!("?after={after}")).await;
    assert_eq!(news.len(), 1);
    let (thin, _) = pull(&node, &format!("?mode=thin&after={after}")).await;
    assert_eq!(
        (text(&thin[0], "enc"), thin[0].get("patch")),
        ("thin", None)
    );
    let (old, _) = pull(&node, &format!("?old=true&after={after}")).await;
    assert_eq!(old[0].get("old"), Some(&json(r#"{"/data/n":4}"#)));
    node.get("/v1/changes?after=garbage")
        .await
        .problem(400, "bad_cursor");
}

#[tokio::test]
async fn a_long_poll_waits_and_no_longer() {
    let node = Node::start().await;
    let (_, after) = pull(&node, "").await;
    let started = Instant::now();
    let (none, _) = pull(&node, &format!("?after={after}&wait_ms=200")).await;
    assert!(none.is_empty() && started.elapsed() >= Duration::from_millis(200));
    let started = Instant::now();
    let path = format!("?after={after}&wait_ms=30000");
    let (waited, ()) = tokio::join!(pull(&node, &path), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        write(&node, 1).await;
    });
    assert_eq!(waited.0.len(), 1);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn scopes_choose_and_tell_who_came_and_went() {
    let node = Node::start().await;
    for p in ["p", "q"] {
        node.put(&format!("/v1/contexts/project/{p}"), &[], "{}")
            .await
            .ok();
    }
    node.put(A, &[], r#"{"parent":"project/q"}"#).await.ok();
    let (_, after) = pull(&node, "").await;
    node.merge(A, &[], r#"{"parent":"project/p"}"#).await.ok();
    node.merge(A, &[], r#"{"title":"inside"}"#).await.ok();
    node.merge(A, &[], r#"{"parent":"project/q"}"#).await.ok();
    node.merge(A, &[], r#"{"title":"outside"}"#).await.ok();
    let scope = "%5B%7B%22subtree%22%3A%22project%2Fp%22%7D%5D";
    let (items, cursor) = pull(&node, &format!("?after={after}&scope={scope}")).await;
    let kinds: Vec<_> = items.iter().map(|item| text(item, "type")).collect();
    assert_eq!(kinds, ["enter", "update", "leave"]);
    assert_eq!(
        text(items[0].get("context").unwrap(), "parent"),
        "project/p"
    );
    assert_eq!(text(&items[2], "context"), "task/a");
    let (none, _) = pull(&node, &format!("?after={cursor}&scope={scope}")).await;
    assert!(none.is_empty());
    node.get("/v1/changes?scope=x")
        .await
        .problem(400, "bad_request");
    node.get("/v1/changes?scope=%5B%5D")
        .await
        .problem(422, "invalid");
}

#[tokio::test]
async fn a_bulk_is_never_cut() {
    let node = Node::start().await;
    let (_, after) = pull(&node, "").await;
    let parts: Vec<_> = (0..5)
        .map(|n| format!(r#"{{"context":"task/b{n}","op":"create","body":{{}}}}"#))
        .collect();
    let body = format!(r#"{{"mode":"atomic","proposals":[{}]}}"#, parts.join(","));
    node.post("/v1/contexts:batch", &[], &body).await.ok();
    let (items, cursor) = pull(&node, &format!("?after={after}&limit=1")).await;
    let kinds: Vec<_> = items.iter().map(|item| text(item, "type")).collect();
    assert_eq!(
        kinds,
        [
            "begin", "create", "create", "create", "create", "create", "end"
        ]
    );
    assert!(items[1..6].iter().all(|part| part.get("cursor").is_none()));
    assert!(items[6].get("cursor").is_some());
    assert!(pull(&node, &format!("?after={cursor}")).await.0.is_empty());
}

pub struct Stream {
    lines: BufReader<TcpStream>,
}

#[derive(Debug, PartialEq)]
pub struct Event {
    pub kind: String,
    pub id: Option<String>,
    pub data: Json,
}

impl Stream {
    pub async fn open(node: &Node, path: &str, headers: &str) -> Stream {
        let mut stream = node.connect().await;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {KEY}\r\n{headers}\r\n",
            node.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            lines.read_line(&mut head).await.unwrap();
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        Stream { lines }
    }

    /// Returns the next line of the stream, the chunks' own lines apart.
    async fn line(&mut self) -> Option<String> {
        loop {
            let mut line = Vec::new();
            let read = self.lines.read_until(b'\n', &mut line);
            let read = tokio::time::timeout(Duration::from_secs(20), read)
                .await
                .unwrap()
                .unwrap();
            // The body's last chunk is empty.
            if read == 0 || line == b"0\r\n" {
                return None;
            }
            let line = String::from_utf8(line).unwrap();
            // Chunk sizes end with \r\n; lines of events end with \n alone.
            if !line.ends_with("\r\n") {
                return Some(line.trim_end_matches('\n').to_owned());
            }
        }
    }

    pub async fn event(&mut self) -> Option<Event> {
        let (mut kind, mut id, mut data) = (None, None, None);
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some(("event", value)) => kind = Some(value.to_owned()),
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("retry", value)) => assert!(value.parse::<u64>().is_ok()),
                Some(("data", value)) => data = Some(json(value)),
                _ if line.is_empty() => match (kind.take(), data.take()) {
                    (Some(kind), Some(data)) => {
                        documents::check_event(&kind, &data);
                        return Some(Event { kind, id, data });
                    }
                    _ => continue,
                },
                _ if line.starts_with(':') => {}
                _ => panic!("{line:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_stream_follows_and_resumes() {
    let node = Node::start().await;
    write(&node, 0).await;
    let mut stream = Stream::open(&node, "/v1/changes/stream", "").await;
    for n in 1..4 {
        write(&node, n).await;
    }
    let mut seen = Vec::new();
    for _ in 1..4 {
        seen.push(stream.event().await.unwrap());
    }
    let versions: Vec<_> = seen
        .iter()
        .map(|e| e.data.get("version").unwrap().as_u64().unwrap())
        .collect();
    assert_eq!(versions, [2, 3, 4]);
    assert!(
        seen.iter()
            .all(|e| e.kind == "change" && e.id.as_deref() == Some(text(&e.data, "cursor")))
    );
    drop(stream);
    write(&node, 4).await;
    let last = format!("last-event-id: {}\r\n", seen[0].id.clone().unwrap());
    let mut stream = Stream::open(&node, "/v1/changes/stream?after=garbage", &last).await;
    assert_eq!(stream.event().await.unwrap(), seen[1]);
    assert_eq!(stream.event().await.unwrap(), seen[2]);
    let news = stream.event().await.unwrap();
    assert_eq!(news.data.get("version"), Some(&Json::from(5)));
    node.get("/v1/changes/stream?after=garbage")
        .await
        .problem(400, "bad_cursor");
}

#[tokio::test]
async fn a_cursor_of_another_life_is_told_and_given_a_snapshot() {
    let (first, second) = (Node::start().await, Node::start().await);
    write(&first, 1).await;
    write(&second, 1).await;
    // Another node's cursors are sealed with another key, so they are garbage here.
    let (_, foreign) = pull(&first, "").await;
    second
        .get(&format!("/v1/changes?after={foreign}"))
        .await
        .problem(400, "bad_cursor");
    // One of this log, but of a place that it never reached, is what a restored backup looks like.
    let workspace = second.engine.workspaces().remove(0);
    let mut ahead = workspace.tail();
    ahead.seq.0 += 10;
    let ahead = workspace.seal(&ahead);
    let reset = second
        .get(&format!("/v1/changes?after={ahead}"))
        .await
        .problem(410, "reset");
    assert_eq!(text(&reset, "reason"), "rewound");
    let mut stream = Stream::open(&second, &format!("/v1/changes/stream?after={ahead}"), "").await;
    let reset = stream.event().await.unwrap();
    assert_eq!(
        (reset.kind.as_str(), text(&reset.data, "reason")),
        ("reset", "epoch")
    );
    let snapshot = stream.event().await.unwrap();
    assert_eq!(snapshot.kind, "snapshot");
    assert_eq!(
        snapshot
            .data
            .get("contexts")
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    write(&second, 2).await;
    assert_eq!(stream.event().await.unwrap().kind, "change");
}

fn shown(event: &Event) -> Vec<&str> {
    let contexts = event.data.get("contexts").unwrap().as_array().unwrap();
    contexts.iter().map(|c| text(c, "context")).collect()
}

#[tokio::test]
async fn a_stream_that_is_reset_goes_on_with_a_snapshot() {
    let node = Node::start().await;
    for (context, parent) in [
        ("project/a", "global/main"),
        ("project/z", "global/main"),
        ("branch/b", "project/a"),
        ("task/c", "branch/b"),
    ] {
        let body = format!(r#"{{"parent":"{parent}"}}"#);
        let path = format!("/v1/contexts/{context}");
        node.put(&path, &[], &body).await.ok();
    }
    let path = "/v1/changes/stream?scope=%5B%7B%22subtree%22:%22project/a%22%7D%5D";
    let mut first = Stream::open(&node, &format!("{path}&since=snapshot"), "").await;
    let snapshot = first.event().await.unwrap();
    assert_eq!(shown(&snapshot), ["project/a", "branch/b", "task/c"]);
    let id = snapshot.id.clone().unwrap();
    node.get(&format!("{path}&since=snapshot&after={id}"))
        .await
        .problem(400, "bad_request");
    let moved = r#"{"parent":"project/z"}"#;
    node.merge("/v1/contexts/branch/b", &[], moved).await.ok();
    // Whoever comes back by the event before is reset as well, and goes on as well.
    let last = format!("last-event-id: {id}\r\n");
    let mut second = Stream::open(&node, path, &last).await;
    for stream in [&mut first, &mut second] {
        let reset = stream.event().await.unwrap();
        assert_eq!(
            (reset.kind.as_str(), text(&reset.data, "reason")),
            ("reset", "access")
        );
        let snapshot = stream.event().await.unwrap();
        assert_eq!(shown(&snapshot), ["project/a"]);
        assert!(snapshot.id.is_some_and(|now| now != id));
    }
    let titled = r#"{"title":"on"}"#;
    node.merge("/v1/contexts/project/a", &[], titled).await.ok();
    for stream in [&mut first, &mut second] {
        assert_eq!(stream.event().await.unwrap().kind, "change");
    }
}

/// A stream that cannot be read on says why before it ends, and when to come back.
#[tokio::test]
async fn a_stream_says_why_it_ends() {
    let store = Arc::new(MemoryStore::new());
    let node = Node::over(&store).await;
    for n in 1..=5 {
        write(&node, n).await;
    }
    store.set_read_fault(Some(ReadFault::Rot(Seq(4))));
    let mut stream = Stream::open(&node, "/v1/changes/stream?since=start", "").await;
    let mut last = None;
    for _ in 0..3 {
        last = stream.event().await.unwrap().id;
    }
    let error = stream.event().await.unwrap();
    assert_eq!((error.kind.as_str(), error.id), ("error", None));
    assert_eq!(text(&error.data, "code"), "rot");
    assert_eq!(error.data.get("retry"), Some(&Json::from(false)));
    assert!(text(&error.data, "hint").contains("syncline verify"));
    assert!(stream.event().await.is_none());
    store.set_read_fault(None);
    let last = format!("last-event-id: {}\r\n", last.unwrap());
    let mut stream = Stream::open(&node, "/v1/changes/stream", &last).await;
    let next = stream.event().await.unwrap();
    assert_eq!(next.data.get("version"), Some(&Json::from(3)));
}

#[tokio::test]
async fn events_hold_any_text_on_one_line() {
    let node = Node::start().await;
    let mut stream = Stream::open(&node, "/v1/changes/stream", "").await;
    let odd = "a\u{2028}b\u{2029}c\r\nd\ne\u{85}f\u{0}g";
    let body = format!(r#"{{"title":{}}}"#, Json::from(odd).to_text());
    node.put(A, &[], &body).await.ok();
    let event = stream.event().await.unwrap();
    assert_eq!(text(event.data.get("snapshot").unwrap(), "title"), odd);
}

#[tokio::test]
async fn a_silent_stream_hears_comments_and_ends_at_shutdown() {
    let mut node = Node::with(|doors| doors.limits.comment = Duration::from_millis(50)).await;
    let mut stream = Stream::open(&node, "/v1/changes/stream", "").await;
    let mut comments = 0;
    while comments < 3 {
        comments += usize::from(stream.line().await.unwrap().starts_with(':'));
    }
    let started = Instant::now();
    let poll = {
        let (_, after) = pull(&node, "").await;
        let path = format!("/v1/changes?after={after}&wait_ms=30000");
        let mut stream = node.connect().await;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {KEY}\r\n\r\n",
            node.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        BufReader::new(stream)
    };
    node.stop().await;
    assert!(started.elapsed() < Duration::from_secs(5));
    while stream.line().await.is_some() {}
    let mut poll = poll;
    let answer = crate::node::read_reply(&mut poll, false).await.unwrap();
    assert_eq!(answer.status, 200, "what was being answered is finished");
}

/// What is written while a reader goes from page to page is in the log behind the pages' cursor.
#[tokio::test]
async fn p5_the_pages_of_a_list_and_the_log_behind_their_cursor_miss_nothing() {
    let node = Node::start().await;
    let path = |n: u32| format!("/v1/contexts/task/t{n}?create=true");
    for n in 0..4 {
        node.merge(&path(n), &[], r#"{"data":{"n":1}}"#).await.ok();
    }
    let (mut next, mut cursors, mut read) = (String::new(), Vec::new(), 0);
    loop {
        let list = node.get(&format!("/v1/contexts?limit=2{next}")).await;
        let list = list.ok().json();
        cursors.push(text(&list, "cursor").to_owned());
        read += list.get("contexts").unwrap().as_array().unwrap().len();
        // Behind the reader and before it.
        node.merge(&path(0), &[], &format!(r#"{{"data":{{"n":{read}0}}}}"#))
            .await
            .ok();
        match list.get("next").and_then(Json::as_str) {
            Some(page) => next = format!("&page={page}"),
            None => break,
        }
    }
    assert_eq!((read, cursors.len()), (5, 3));
    assert!(cursors.iter().all(|cursor| *cursor == cursors[0]));
    let after = node.get(&format!("/v1/changes?after={}", cursors[2])).await;
    let changes = after.ok().json();
    let changes = changes.get("changes").unwrap().as_array().unwrap();
    let versions = changes.iter().map(|c| c.get("version").unwrap().as_u64());
    assert_eq!(versions.collect::<Vec<_>>(), [Some(2), Some(3), Some(4)]);
    let foreign = text_of_page(r#"{"v":"x","a":"task/x","c":"x"}"#);
    let (sum, _) = next.split_once('.').unwrap();
    let problem = node.get(&format!("/v1/contexts?{sum}.{foreign}")).await;
    let problem = problem.problem(400, "bad_request");
    assert!(text(&problem, "detail").contains("as it was received"));
}

/// Large answers are packed for whoever asks for it, and say what they depend on; what has an ETag,
/// small answers and streams come as they are.
#[tokio::test]
async fn large_answers_are_packed_for_those_who_ask() {
    let node = Node::start().await;
    let title = "the same again ".repeat(20);
    for n in 0..40 {
        let body = format!(r#"{{"title":"{title}","data":{{"n":{n}}}}}"#);
        node.put(&format!("/v1/contexts/task/t{n}"), &[], &body)
            .await
            .ok();
    }
    let ask = |path: &'static str, coding: &'static str| {
        let node = &node;
        async move {
            let headers = [("accept-encoding", coding)];
            node.send("GET", path, &headers, "").await.ok()
        }
    };
    for path in ["/v1/changes", "/v1/contexts", "/v1/changes?digest=true"] {
        let plain = node.get(path).await.ok();
        assert_eq!(plain.header("content-encoding"), None);
        assert_eq!(plain.header("vary"), Some("accept-encoding"));
        for coding in ["zstd", "gzip"] {
            let reply = ask(path, coding).await;
            assert_eq!(reply.header("content-encoding"), Some(coding), "{path}");
            assert_eq!(reply.header("vary"), Some("accept-encoding"));
            assert!(reply.packed.len() * 4 < plain.body.len());
            if coding == "zstd" {
                let bytes = zstd::bulk::decompress(&reply.packed, 1 << 20).unwrap();
                let text = String::from_utf8(bytes).unwrap();
                // The last cursor is sealed anew each time.
                assert_eq!(text.len(), plain.body.len());
                assert_eq!(text[..4_000], plain.body[..4_000]);
            }
        }
    }
    node.put(
        A,
        &[],
        &format!(r#"{{"data":{{"t":"{}"}}}}"#, title.repeat(40)),
    )
    .await
    .ok();
    for (path, coding) in [
        (A, "zstd"),
        ("/v1/status", "zstd"),
        ("/v1/changes", "zstd;q=0, br"),
        ("/v1/changes", "gzip;q=0.5, identity"),
    ] {
        let plain = ask(path, coding).await;
        assert_eq!(plain.header("content-encoding"), None, "{path} {coding}");
        assert!(!plain.body.is_empty());
    }
    let wants = "accept-encoding: zstd\r\n";
    let mut stream = Stream::open(&node, "/v1/changes/stream?since=start", wants).await;
    assert_eq!(stream.event().await.unwrap().kind, "change");
}

fn text_of_page(json: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json)
}
