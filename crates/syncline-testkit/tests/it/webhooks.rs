//! Webhooks of the real binary: killed in the middle of attempts, and received by the programs of
//! the documentation with the public libraries.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use syncline_client::{Client, Write};
use syncline_model::ids::Address;
use syncline_model::json::{Json, Limits};
use syncline_testkit::binary::workspace_root;
use syncline_testkit::rng::Rng;
use syncline_testkit::{Node, NodeOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::{alone, run};

/// What came to an endpoint, in the order in which it was answered.
#[derive(Clone, Debug)]
struct Came {
    id: String,
    context: String,
    version: u64,
    accepted: bool,
}

type Log = Arc<Mutex<Vec<Came>>>;

/// An endpoint that takes its time, and now and then fails.
async fn endpoint(seed: u64) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let log = Log::default();
    let keep = log.clone();
    tokio::spawn(async move {
        let mut rng = Rng::new(seed);
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, rng.fork(rng.clone().next()), keep.clone()));
            rng.next();
        }
    });
    (url, log)
}

async fn serve(mut stream: TcpStream, mut rng: Rng, log: Log) {
    let (mut bytes, mut buffer) = (Vec::new(), [0u8; 16 * 1024]);
    let event = loop {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return,
        }
        if let Some(event) = event_of(&bytes) {
            break event;
        }
    };
    if let Some(challenge) = member(&event, &["data", "challenge"]) {
        let _ = answer(&mut stream, 200, challenge.as_str().unwrap()).await;
        return;
    }
    tokio::time::sleep(Duration::from_millis(rng.between(0, 60))).await;
    let accepted = !rng.chance(2);
    log.lock().unwrap().push(Came {
        id: event.get("id").and_then(Json::as_str).unwrap().to_owned(),
        context: event
            .get("subject")
            .and_then(Json::as_str)
            .unwrap()
            .to_owned(),
        version: member(&event, &["data", "version"])
            .and_then(Json::as_u64)
            .unwrap(),
        accepted,
    });
    let status = if accepted { 200 } else { 500 };
    let _ = answer(&mut stream, status, "").await;
}

fn event_of(bytes: &[u8]) -> Option<Json> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    Json::parse(body.as_bytes(), &Limits::wire()).ok()
}

fn member<'a>(json: &'a Json, path: &[&str]) -> Option<&'a Json> {
    path.iter().try_fold(json, |json, name| json.get(name))
}

async fn answer(stream: &mut TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(head.as_bytes()).await
}

async fn node() -> Node {
    let env = [
        ("SYNCLINE_WEBHOOKS_ALLOW", "127.0.0.1"),
        ("SYNCLINE_WEBHOOKS_ALLOW_HTTP", "true"),
    ];
    let options = NodeOptions {
        env: env
            .map(|(name, value)| (name.to_owned(), value.into()))
            .to_vec(),
        ..NodeOptions::default()
    };
    Node::start(options).await.unwrap()
}

async fn webhook(client: &Client, url: &str) -> Json {
    let text = format!(r#"{{"url":"{url}","filter":{{"exact":{{"kind":"task"}}}}}}"#);
    let wanted = Json::parse(text.as_bytes(), &Limits::wire()).unwrap();
    client
        .create_webhook(&wanted, &Write::default())
        .await
        .unwrap()
}

fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name).and_then(Json::as_str).unwrap()
}

/// Writes until it is known to be written, under one id.
async fn set(client: &Client, context: &str, n: u64) {
    let body = Json::parse(
        format!(r#"{{"data":{{"n":{n}}}}}"#).as_bytes(),
        &Limits::wire(),
    );
    let write = Write {
        id: Some(syncline_client::fresh_id()),
        create: true,
        ..Write::default()
    };
    let (context, body) = (Address::parse(context).unwrap(), body.unwrap());
    for _ in 0..600 {
        match client.patch(&context, &body, &write).await {
            Ok(_) => return,
            Err(problem) if problem.code.retry() => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(problem) => panic!("{context} was refused: {problem}"),
        }
    }
    panic!("{context} could not be written");
}

const CONTEXTS: u64 = 6;
const WRITES: u64 = 240;
const KILLS: u64 = 8;

#[test]
fn webhooks_survive_kills_in_the_middle_of_attempts() {
    let _alone = alone();
    run(async {
        let mut rng = Rng::new(5);
        let mut node = node().await;
        let (url, log) = endpoint(7).await;
        let made = webhook(&node.http(), &url).await;
        let writer = node.http();
        let writing = tokio::spawn(async move {
            for n in 0..WRITES {
                set(&writer, &format!("task/t{}", n % CONTEXTS), n).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(rng.between(150, 900))).await;
            node.kill().await;
            node.restart().await.unwrap();
        }
        writing.await.unwrap();
        let begun = Instant::now();
        let client = node.http();
        loop {
            let shown = client.webhook(text(&made, "id")).await.unwrap();
            let left =
                ["lag", "outstanding"].map(|name| shown.get(name).unwrap().as_u64().unwrap());
            if left == [0, 0] {
                assert_eq!(
                    shown.get("dead").and_then(Json::as_u64),
                    Some(0),
                    "{shown:?}"
                );
                break;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(90),
                "{}",
                shown.to_pretty()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        check(&log.lock().unwrap());
        let status = node.stop().await;
        assert_eq!(status.and_then(|status| status.code()), Some(0));
    });
}

/// Each change was accepted, under one id, after all before it of its context.
fn check(log: &[Came]) {
    let mut ids: BTreeMap<(&str, u64), &str> = BTreeMap::new();
    let mut accepted: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    let mut sends: BTreeMap<&str, usize> = BTreeMap::new();
    for came in log {
        let id = ids.entry((&came.context, came.version)).or_insert(&came.id);
        assert_eq!(*id, came.id, "one id for ever");
        *sends.entry(&came.id).or_default() += 1;
        let before = accepted.entry(&came.context).or_default();
        // What was accepted may come again: the node did not live to hear of it.
        let next = before.last().map_or(1, |last| last + 1);
        assert!(came.version <= next, "{came:?} came before {next}");
        if came.accepted {
            before.insert(came.version);
        }
    }
    for (context, versions) in &accepted {
        let all = 1..=WRITES / CONTEXTS;
        assert!(versions.iter().copied().eq(all), "{context}: {versions:?}");
    }
    assert_eq!(accepted.len() as u64, CONTEXTS);
    let most = sends.values().max().copied().unwrap_or(0);
    assert!(most <= 10, "{most} attempts at one event");
    let again = sends.values().filter(|sends| **sends > 1).count();
    eprintln!("{} events, {again} of them sent again", sends.len());
}

/// Returns a program of the documentation.
fn program(language: &str) -> String {
    let page = std::fs::read_to_string(workspace_root().join("docs/webhooks.md")).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Runs a receiver of the documentation against a real node.
async fn received(program: &str, args: &[&str], env: (&str, PathBuf)) {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let node = node().await;
    let client = node.http();
    let made = webhook(&client, &format!("http://127.0.0.1:{port}/")).await;
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .env(env.0, env.1)
        .env("PORT", port.to_string())
        .env("WEBHOOK_SECRET", text(&made, "secret"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for n in 1..=3 {
        set(&client, "task/a", n).await;
    }
    let within = Duration::from_secs(60);
    for expected in ["created", "updated", "updated"] {
        let line = tokio::time::timeout(within, lines.next_line()).await;
        let line = line.expect("the receiver hears in time").unwrap().unwrap();
        assert_eq!(line, format!("dev.syncline.context.{expected} task/a"));
    }
    // With another secret nothing is believed.
    client.rotate_webhook(text(&made, "id")).await.unwrap();
    client.rotate_webhook(text(&made, "id")).await.unwrap();
    let told = client.test_webhook(text(&made, "id")).await.unwrap();
    assert_eq!(
        told.get("status").and_then(Json::as_u64),
        Some(401),
        "{told:?}"
    );
}

/// Says where the libraries are that a receiver needs, or skips it with a word.
fn libraries(folder: &str, what: &str) -> Option<PathBuf> {
    let found = workspace_root().join("target/webhooks").join(folder);
    if found.join("cloudevents").exists() && found.join("standardwebhooks").exists() {
        return Some(found);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "`cargo xtask test` installs {what}"
    );
    eprintln!("skipped: `cargo xtask test` installs {what}");
    None
}

#[test]
fn the_receiver_in_python_verifies_and_parses() {
    let Some(libraries) = libraries("python", "the libraries for Python") else {
        return;
    };
    let _alone = alone();
    let program = program("python");
    run(received(
        "python3",
        &["-c", &program],
        ("PYTHONPATH", libraries),
    ));
}

#[test]
fn the_receiver_in_node_verifies_and_parses() {
    let Some(libraries) = libraries("node_modules", "the libraries for Node") else {
        return;
    };
    let _alone = alone();
    let program = program("js");
    run(received(
        "node",
        &["-e", &program],
        ("NODE_PATH", libraries),
    ));
}
