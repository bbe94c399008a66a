//! Webhooks of the real binary: killed in the middle of attempts, and received by the programs of
//! the documentation with the public libraries.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use syncline_model::json::Json;
use syncline_testkit::Fault;
use syncline_testkit::binary::workspace_root;
use syncline_testkit::prove::webhooks::{make_webhook, set_number, start_node};
use syncline_testkit::prove::{Plan, webhooks};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

use crate::{run, side_by_side};

#[test]
fn webhooks_survive_kills_in_the_middle_of_attempts() {
    let _beside = side_by_side();
    run(webhooks::run(Plan::runs(1))).assert_kept();
}

#[test]
fn webhooks_harness_catches_drop_event() {
    let _beside = side_by_side();
    run(webhooks::run(Plan::runs(1).with(Fault::DropEvent))).assert_caught();
}

fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name).and_then(Json::as_str).unwrap()
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
    let node = start_node(None).await.unwrap();
    let client = node.http();
    let url = format!("http://127.0.0.1:{port}/");
    let made = make_webhook(&client, &url).await.unwrap();
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
        set_number(&client, "task/a", n).await.unwrap();
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
    let _beside = side_by_side();
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
    let _beside = side_by_side();
    let program = program("js");
    run(received(
        "node",
        &["-e", &program],
        ("NODE_PATH", libraries),
    ));
}
