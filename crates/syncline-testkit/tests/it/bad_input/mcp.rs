//! Through MCP: what an agent's program may send over stdio.

use std::process::Stdio;
use std::time::Duration;

use syncline_model::json::{Json, JsonWriter};
use syncline_testkit::binary::binary;
use syncline_testkit::node::assert_no_panic;
use syncline_testkit::raw;
use syncline_testkit::{Node, NodeOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::corpus::{corpus, meaning};
use super::strings::naughty;
use crate::run;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// `syncline mcp` as an agent's program runs it.
struct Agent {
    _child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    id: u64,
}

impl Agent {
    async fn start(node: &Node) -> Agent {
        let mut command = Command::new(binary());
        command.args(["mcp", "--data"]).arg(node.dir());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut agent = Agent {
            _child: child,
            input,
            lines,
            id: 0,
        };
        let hello = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}"#;
        let welcome = agent.call("initialize", hello.as_bytes()).await.unwrap();
        assert!(welcome.get("result").is_some(), "{}", welcome.to_text());
        agent
            .say(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
            .await;
        agent
    }

    async fn say(&mut self, line: &[u8]) {
        self.input.write_all(line).await.unwrap();
        self.input.write_all(b"\n").await.unwrap();
        self.input.flush().await.unwrap();
    }

    /// Sends a request whose parameters are any bytes, and returns its answer, if there is one
    /// before that of a `ping` behind it.
    async fn call(&mut self, method: &str, params: &[u8]) -> Option<Json> {
        self.id += 2;
        let (id, ping) = (self.id, self.id + 1);
        let head = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":"#);
        self.say(&[head.as_bytes(), params, b"}"].concat()).await;
        if method != "initialize" {
            self.say(format!(r#"{{"jsonrpc":"2.0","id":{ping},"method":"ping"}}"#).as_bytes())
                .await;
        }
        let mut answer = None;
        let mut ponged = method == "initialize";
        // Answers may come in any order; garbage may be answered without an id.
        while answer.is_none() || !ponged {
            let wait = if ponged {
                Duration::from_millis(700)
            } else {
                PATIENCE
            };
            let line = match tokio::time::timeout(wait, self.lines.next_line()).await {
                Err(_) if ponged => return None,
                line => line
                    .expect("an answer")
                    .unwrap()
                    .expect("the server goes on"),
            };
            let json = raw::parse(line.as_bytes()).expect("an answer is JSON");
            match json.get("id").and_then(Json::as_u64) {
                Some(got) if got == id => answer = Some(json),
                Some(got) if got == ping => ponged = true,
                _ if json.get("error").is_some() => answer = Some(json),
                _ => {}
            }
        }
        answer
    }

    async fn write(&mut self, context: &str, body: &[u8]) -> Option<Json> {
        let head = format!(
            r#"{{"name":"context_write","arguments":{{"context":"{context}","op":"create","body":"#
        );
        self.call("tools/call", &[head.as_bytes(), body, b"}}"].concat())
            .await
    }
}

fn failed(answer: &Json) -> bool {
    let result = answer.get("result");
    answer.get("error").is_some()
        || result
            .and_then(|r| r.get("isError"))
            .and_then(Json::as_bool)
            == Some(true)
}

fn quoted(text: &str) -> Vec<u8> {
    let mut w = JsonWriter::new();
    w.string(text);
    w.into_string().into_bytes()
}

async fn stored(node: &Node, context: &str) -> Option<Json> {
    let path = format!("/v1/contexts/{context}");
    let read = raw::send(node.access(), "GET", &path, &[], b"")
        .await
        .unwrap();
    read.json()?
        .get("data")
        .cloned()
        .filter(|_| read.status == 200)
}

#[test]
fn the_parsing_corpus_through_mcp_as_text() {
    let Some(corpus) = corpus() else { return };
    run(async {
        let node = Node::start(NodeOptions::default()).await.unwrap();
        let mut agent = Agent::start(&node).await;
        for (number, text) in corpus.iter().enumerate() {
            let Ok(raw) = std::str::from_utf8(&text.bytes) else {
                continue;
            };
            let context = format!("note/mcp-{number}");
            let body = quoted(&format!(r#"{{"data":{{"v":{raw}}}}}"#));
            let answer = agent.write(&context, &body).await.expect("an answer");
            let kept = !failed(&answer);
            assert!(
                text.must().is_none_or(|must| must == kept),
                "{}: {}",
                text.name,
                answer.to_text()
            );
            let there = stored(&node, &context)
                .await
                .and_then(|data| data.get("v").cloned());
            assert_eq!(there, meaning(text).filter(|_| kept), "{}", text.name);
        }
        assert_no_panic(&node);
    });
}

#[test]
fn the_parsing_corpus_through_mcp_as_it_is() {
    let Some(corpus) = corpus() else { return };
    run(async {
        let node = Node::start(NodeOptions::default()).await.unwrap();
        let mut agent = Agent::start(&node).await;
        let mut unanswered = 0;
        for (number, text) in corpus.iter().enumerate() {
            // Lines are the protocol's frames: no line holds a line break.
            if text.bytes.contains(&b'\n') || text.bytes.len() > 50_000 {
                continue;
            }
            let context = format!("note/mcp-{number}");
            let body = [br#"{"data":{"v":"#, text.bytes.as_slice(), b"}}"].concat();
            let answer = agent.write(&context, &body).await;
            unanswered += u32::from(answer.is_none());
            let there = stored(&node, &context).await;
            if text.must() == Some(false) {
                assert_eq!(there, None, "{} was stored", text.name);
            }
        }
        eprintln!("{unanswered} lines that are no JSON were passed over without a word");
        assert_no_panic(&node);
    });
}

#[test]
fn naughty_strings_through_mcp() {
    let Some(strings) = naughty() else { return };
    run(async {
        let node = Node::start(NodeOptions::default()).await.unwrap();
        let mut agent = Agent::start(&node).await;
        for (number, text) in strings.iter().enumerate() {
            let context = format!("note/mcp-{number}");
            let value = String::from_utf8(quoted(text)).unwrap();
            let body = format!(r#"{{"data":{{"value":{value}}}}}"#);
            let answer = agent
                .write(&context, body.as_bytes())
                .await
                .expect("an answer");
            assert!(!failed(&answer), "{text:?}: {}", answer.to_text());
            let there = stored(&node, &context)
                .await
                .and_then(|data| data.get("value").cloned());
            assert_eq!(there, Some(Json::from(text.as_str())), "{text:?}");
        }
        assert_no_panic(&node);
    });
}
