//! The JSON parsing corpus, through every door: what must parse does, what must not is refused,
//! and neither harms.

use std::io::Write as _;

use base64::Engine as _;
use syncline_model::json::{Json, Limits};
use syncline_testkit::binary::test_data;
use syncline_testkit::raw::{self, RawSocket};
use syncline_testkit::{Node, NodeOptions};
use tokio_tungstenite::tungstenite::Message;

use super::{JSON, Still};
use crate::run;

/// A text of the corpus; its name says whether it must parse: `y_`, `n_`, or either, `i_`.
pub struct Text {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Text {
    pub fn must(&self) -> Option<bool> {
        // Two equal keys are refused on purpose.
        match &self.name[..2] {
            "y_" => Some(!self.name.contains("duplicated_key")),
            "n_" => Some(false),
            _ => None,
        }
    }
}

pub fn corpus() -> Option<Vec<Text>> {
    let Some(folder) = test_data() else {
        eprintln!("NOT RUN: SYNCLINE_TEST_DATA names no test data");
        return None;
    };
    let packed = std::fs::read(folder.join("standards/json-parsing.jsonl.zst")).unwrap();
    let lines = zstd::decode_all(packed.as_slice()).unwrap();
    let rows = lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let text = |line: &[u8]| {
        let row = raw::parse(line).expect("a row is JSON");
        let member = |name: &str| row.get(name).and_then(Json::as_str).unwrap().to_owned();
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(member("base64"))
            .unwrap();
        Text {
            name: member("name"),
            bytes,
        }
    };
    Some(rows.map(text).collect())
}

fn wrapped(before: &str, text: &Text, after: &str) -> Vec<u8> {
    [before.as_bytes(), &text.bytes, after.as_bytes()].concat()
}

/// What the text means, as far as it is JSON within our limits.
pub fn meaning(text: &Text) -> Option<Json> {
    Json::parse(&text.bytes, &Limits::default()).ok()
}

#[test]
fn the_parsing_corpus_as_a_document_over_http() {
    let Some(corpus) = corpus() else { return };
    run(async {
        let mut still = Still::start().await;
        let (mut taken, mut refused) = (0, 0);
        for (number, text) in corpus.iter().enumerate() {
            let path = format!("/v1/contexts/note/corpus-{number}");
            let body = wrapped(r#"{"data":{"v":"#, text, "}}");
            let answer = raw::send(still.access(), "PUT", &path, &[JSON], &body)
                .await
                .unwrap();
            match answer.status {
                201 => {
                    taken += 1;
                    assert_ne!(text.must(), Some(false), "{} was taken", text.name);
                    let read = raw::send(still.access(), "GET", &path, &[], b"")
                        .await
                        .unwrap();
                    let shown = read.json().unwrap();
                    let value = shown.get("data").and_then(|data| data.get("v")).cloned();
                    assert_eq!(value, meaning(text), "{}", text.name);
                    still.settle().await;
                }
                status => {
                    refused += 1;
                    assert_ne!(
                        text.must(),
                        Some(true),
                        "{} was refused: {answer:?}",
                        text.name
                    );
                    assert_eq!(
                        (status, answer.code().as_str()),
                        (400, "bad_json"),
                        "{}",
                        text.name
                    );
                    still.check(&text.name).await;
                }
            }
        }
        eprintln!(
            "{} texts: {taken} taken and read back, {refused} refused",
            corpus.len()
        );
        assert!(
            taken >= 90 && refused >= 188,
            "{taken} taken, {refused} refused"
        );
    });
}

#[test]
fn the_parsing_corpus_as_a_whole_body() {
    let Some(corpus) = corpus() else { return };
    run(async {
        let mut still = Still::start().await;
        for text in &corpus {
            let path = "/v1/contexts/task/there";
            let headers = [super::MERGE, "If-Match: *"];
            let answer = raw::send(still.access(), "PATCH", path, &headers, &text.bytes)
                .await
                .unwrap();
            // Some happen to be good patches (`{}`, `{"title": …}`); the others have fields that
            // no context has.
            match text.must() {
                Some(false) => assert_eq!(answer.code(), "bad_json", "{}: {answer:?}", text.name),
                Some(true) => {
                    assert!(
                        [200, 422].contains(&answer.status),
                        "{}: {answer:?}",
                        text.name
                    );
                }
                None => assert!([200, 400, 422].contains(&answer.status), "{}", text.name),
            }
            if answer.status == 200 {
                still.settle().await;
            }
            still.check(&text.name).await;
        }
    });
}

#[test]
fn the_parsing_corpus_over_the_websocket() {
    let Some(corpus) = corpus() else { return };
    run(async {
        let mut still = Still::start().await;
        let (authority, key) = (
            still.access().authority().to_owned(),
            still.access().key.clone(),
        );
        let (mut socket, _) = RawSocket::hello(&authority, &key).await.unwrap();
        for (number, text) in corpus.iter().enumerate() {
            let before = format!(
                r#"{{"type":"submit","id":"q","proposals":[{{"context":"note/ws-{number}","op":"create","body":{{"data":{{"v":"#
            );
            let frame = wrapped(&before, text, "}}}]}");
            let Ok(frame) = String::from_utf8(frame) else {
                // No text frame may hold it: a client that sends it as bytes is let go.
                assert_ne!(text.must(), Some(true), "{}", text.name);
                continue;
            };
            let _ = socket.send_message(Message::text(frame)).await;
            match socket.next().await {
                Ok(answer) if answer.get("receipts").is_some() => {
                    let receipt =
                        answer.get("receipts").and_then(Json::as_array).unwrap()[0].clone();
                    let kept = receipt.get("error").is_none();
                    assert!(
                        text.must().is_none_or(|must| must == kept),
                        "{}: {}",
                        text.name,
                        receipt.to_text()
                    );
                    still.settle().await;
                }
                answer => {
                    assert_ne!(text.must(), Some(true), "{}: {answer:?}", text.name);
                    still.check(&text.name).await;
                    // A text that is not JSON has no end that we could trust: the connection goes.
                    socket = RawSocket::hello(&authority, &key).await.unwrap().0;
                }
            }
        }
    });
}

#[test]
fn the_parsing_corpus_through_import() {
    let Some(corpus) = corpus() else { return };
    run(async {
        let node = Node::start(NodeOptions::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (number, text) in corpus.iter().enumerate() {
            let path = folder.path().join(format!("corpus-{number}.json"));
            let mut file = std::fs::File::create(&path).unwrap();
            file.write_all(&wrapped(r#"{"v":"#, text, "}")).unwrap();
            let name = path.to_str().unwrap();
            // A process each: some of all kinds say enough.
            if number % 6 != 0 {
                continue;
            }
            let address = format!("note/import-{number}");
            let output = node.run(&["import", name, "--as", &address]).await.unwrap();
            let kept = output.status.code() == Some(0);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                text.must().is_none_or(|must| must == kept),
                "{}: {said}",
                text.name
            );
            assert!(!said.contains("panicked"), "{}: {said}", text.name);
            if kept {
                let path = format!("/v1/contexts/{address}");
                let read = raw::send(node.access(), "GET", &path, &[], b"")
                    .await
                    .unwrap();
                let shown = read.json().unwrap();
                let value = shown.get("data").and_then(|data| data.get("v")).cloned();
                assert_eq!(value, meaning(text), "{}", text.name);
            }
        }
        syncline_testkit::node::assert_no_panic(&node);
    });
}
