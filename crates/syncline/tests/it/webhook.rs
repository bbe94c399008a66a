//! `webhook`: made, listed, tested and ended from the command line, against an endpoint of this
//! test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::time::{Duration, Instant};

use syncline_model::json::Json;

use crate::node::{Home, Node, PATIENCE};

/// Answers each request with its own challenge, if it has one, and 200.
fn endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let (mut text, mut buffer) = (String::new(), [0u8; 16 * 1024]);
            while !text.contains("\r\n\r\n{") || !text.ends_with('}') {
                match stream.read(&mut buffer) {
                    Ok(read) if read > 0 => text += std::str::from_utf8(&buffer[..read]).unwrap(),
                    _ => break,
                }
            }
            let challenge = text.split(r#""challenge":""#).nth(1).unwrap_or_default();
            let challenge = challenge.split('"').next().unwrap_or_default();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                challenge.len()
            );
            let _ = stream.write_all((head + challenge).as_bytes());
        }
    });
    url
}

fn node() -> Node {
    let home = Home::new();
    let settings = home.dir.path().join(".config/syncline");
    std::fs::create_dir_all(&settings).unwrap();
    let text = "webhooks_allow = [\"127.0.0.1\"]\nwebhooks_allow_http = true\n";
    std::fs::write(settings.join("config.toml"), text).unwrap();
    home.start()
}

fn wait_for(node: &Node, id: &str, delivered: u64) {
    let begun = Instant::now();
    loop {
        let shown = node.run(&["webhook", "show", id, "--json"]).json();
        if shown.get("delivered").and_then(Json::as_u64) == Some(delivered) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", shown.to_pretty());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_webhook_is_made_tested_turned_off_and_on_replayed_and_ended() {
    let node = node();
    let url = endpoint();
    let made = node
        .run(&["webhook", "add", &url, "--context", "task/a", "--json"])
        .json();
    let id = made.get("id").and_then(Json::as_str).unwrap();
    assert!(
        made.get("secret")
            .and_then(Json::as_str)
            .unwrap()
            .starts_with("whsec_")
    );
    node.ok(&["put", "task/a", "data.n=1"]);
    wait_for(&node, id, 1);
    let list = node.ok(&["webhook", "ls"]);
    assert!(
        list.starts_with(id) && list.contains("active") && list.contains(&url),
        "{list}"
    );
    assert_eq!(
        node.ok(&["webhook", "test", id]),
        "the endpoint answered 200\n"
    );
    let log = node.ok(&["webhook", "log", id]);
    assert!(log.contains("delivered") && log.contains("task/a"), "{log}");
    assert_eq!(node.ok(&["webhook", "dead", id]), "");
    let change = node.run(&["webhook", "log", id, "--json"]).json();
    let attempts = change.get("attempts").and_then(Json::as_array).unwrap();
    let change = attempts[0].get("change").and_then(Json::as_str).unwrap();
    let again = node.ok(&["webhook", "replay", id, "--change", change]);
    assert_eq!(again, "1 event is sent again\n");
    wait_for(&node, id, 2);
    let again = node.ok(&["webhook", "replay", id, "--from", "1h"]);
    assert_eq!(again, "what lies there is sent again\n");
    wait_for(&node, id, 3);
    let wrong = node.run(&["webhook", "replay", id, "--from", "yesterday"]);
    assert!(
        wrong.code == 2 && wrong.err.contains("how long ago"),
        "{}",
        wrong.err
    );
    // What is missing is named whole, not the first of three.
    let wrong = node.run(&["webhook", "replay", id]);
    let names_all = ["--dead", "--change", "--from"]
        .iter()
        .all(|flag| wrong.err.contains(flag));
    assert!(wrong.code == 2 && names_all, "{}", wrong.err);
    let wrong = node.run(&["subscription", "replay", "ci"]);
    let names_all = ["CURSOR", "--from"]
        .iter()
        .all(|flag| wrong.err.contains(flag));
    assert!(wrong.code == 2 && names_all, "{}", wrong.err);

    node.ok(&["webhook", "disable", id, "-m", "they move house"]);
    node.ok(&["put", "task/a", "data.n=2", "--if-match", "*"]);
    assert!(node.ok(&["webhook", "ls"]).contains("off"));
    node.ok(&["webhook", "enable", id]);
    wait_for(&node, id, 4);
    let rotated = node.ok(&["webhook", "rotate", id]);
    assert!(rotated.starts_with("secret  whsec_"), "{rotated}");
    node.ok(&["webhook", "rm", id]);
    assert_eq!(node.ok(&["webhook", "ls"]), "");
    assert_eq!(node.run(&["webhook", "show", id]).code, 3);
}

/// The endpoint is not the node: wherever the node's address comes from, the endpoint gets no call
/// with the owner's key.
#[test]
fn the_endpoint_is_never_taken_for_the_node() {
    let node = node();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let by_data = |command: &mut std::process::Command| {
        command.env("SYNCLINE_DATA", node.home.data());
    };
    let by_url = |command: &mut std::process::Command| {
        command.env("SYNCLINE_URL", &node.url);
        command.env("SYNCLINE_KEY", node.ok(&["key"]).trim());
    };
    let by_flag = |command: &mut std::process::Command| {
        by_url(command);
        command.args(["--url", &node.url]);
    };
    let all: [&dyn Fn(&mut std::process::Command); 3] = [&by_data, &by_url, &by_flag];
    for (made, tell) in (1..).zip(all) {
        let mut command = node.home.command(&["webhook", "add", &url]);
        tell(&mut command);
        let said = crate::node::finish(command);
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(node.ok(&["webhook", "ls"]).lines().count(), made);
    }
    // What calls is the node, with an event and without the key.
    node.ok(&["put", "task/a", "data.n=1"]);
    let begun = Instant::now();
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(_) => assert!(begun.elapsed() < PATIENCE),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    stream.set_nonblocking(false).unwrap();
    let mut heard = [0; 4_096];
    let read = stream.read(&mut heard).unwrap();
    let heard = String::from_utf8_lossy(&heard[..read]).to_lowercase();
    assert!(heard.starts_with("post /hook http/1.1"), "{heard}");
    assert!(!heard.contains("authorization"), "{heard}");
}

#[test]
fn what_may_not_be_reached_is_refused_with_a_hint() {
    let node = Node::start();
    let said = node.run(&["webhook", "add", "http://169.254.169.254/latest"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("webhooks_allow_http"), "{}", said.err);
    let said = node.run(&["webhook", "add", "https://169.254.169.254/latest"]);
    assert!(
        said.err.contains("link-local") && said.err.contains("webhooks_allow"),
        "{}",
        said.err
    );
}

#[test]
fn a_wrong_setting_keeps_the_node_from_starting() {
    let home = Home::new();
    let mut command = home.command(&["up", "--listen", "127.0.0.1:0"]);
    command.env("SYNCLINE_WEBHOOKS_ALLOW", "10.0.0.0/33");
    command.arg("--data").arg(home.data());
    let said = crate::node::finish(command);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("10.0.0.0/33"), "{}", said.err);
}

/// Starts a receiver, and returns where it listens.
fn receiver(node: &Node, secret_file: &str, more: &[&str]) -> (Child, String) {
    let arguments = ["webhook", "listen", "--listen", "127.0.0.1:0", "--json"];
    let mut command = node.home.command(&arguments);
    command.args(["--secret-file", secret_file]).args(more);
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let url = loop {
        let mut line = String::new();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended");
        if let Some(url) = line.trim_end().strip_prefix("listening on ") {
            break url.to_owned();
        }
    };
    // What it says later must not fill the pipe.
    std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
    (child, url)
}

fn posted(url: &str, headers: &str, body: &str) -> String {
    let authority = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(authority).unwrap();
    let length = body.len();
    let text =
        format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_receiver_shows_what_the_node_signed_and_nothing_else() {
    let node = node();
    let (child, url) = receiver(&node, "hook.secret", &["--count", "2"]);
    let forged = r#"{"type":"dev.syncline.context.updated","subject":"task/forged"}"#;
    for headers in [
        "",
        "webhook-id: a\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,AAAA\r\n",
        "webhook-id: a\r\nwebhook-timestamp: soon\r\nwebhook-signature: v1,AAAA\r\n",
    ] {
        let answer = posted(&url, headers, forged);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{headers}: {answer}");
    }
    // The file was made, for this user alone, and the node signs with it.
    let file = node.home.dir.path().join("hook.secret");
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let add = ["webhook", "add", &url, "--context", "task/a"];
    node.ok(&[&add[..], &["--secret-file", "hook.secret"]].concat());
    node.ok(&["put", "task/a", "data.n=1", "-m", "begun"]);
    node.ok(&["patch", "task/a", "data.n=2"]);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let out = String::from_utf8(ended.stdout).unwrap();
    let events: Vec<Json> = out.lines().map(crate::node::parse).collect();
    let types: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!(event.get("subject").and_then(Json::as_str), Some("task/a"));
            event.get("type").and_then(Json::as_str).unwrap()
        })
        .collect();
    let wanted = [
        "dev.syncline.context.created",
        "dev.syncline.context.updated",
    ];
    assert_eq!(types, wanted);
}

#[test]
fn a_receiver_without_a_good_secret_does_not_start() {
    let home = Home::new();
    std::fs::write(home.dir.path().join("short"), "whsec_AAAA\n").unwrap();
    let said = home.run(&["webhook", "listen", "--secret-file", "short"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("short: a secret is whsec_"),
        "{}",
        said.err
    );
}

#[test]
fn p10_a_webhook_that_reaches_nobody_is_not_called_up_to_date() {
    let node = node();
    // Nobody listens there.
    let url = "http://127.0.0.1:1/hook";
    let made = node
        .run(&["webhook", "add", url, "--context", "task/a", "--json"])
        .json();
    let id = made.get("id").and_then(Json::as_str).unwrap();
    let put = node.run(&["put", "task/a", "data.n=1", "--json"]).json();
    let change = put.get("change_id").and_then(Json::as_str).unwrap();
    let stats = |begin: &str| {
        let begun = Instant::now();
        loop {
            let told = node.ok(&["stats"]);
            let line = told.lines().find(|line| line.contains(id));
            if line.is_some_and(|line| line.contains(begin)) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{told}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    stats(" failing, 1 outstanding, 1 failed");
    let explain = ["explain", "delivery", change, "--webhook", id];
    let told = node.ok(&explain);
    assert!(
        told.contains("status        failing, circuit closed"),
        "{told}"
    );
    node.ok(&["webhook", "disable", id]);
    stats(" off, 1 outstanding, 1 failed");
    let told = node.ok(&explain);
    let off = "wanted      it waits: the webhook is turned off";
    assert!(told.contains(off), "{told}");
    let put = node.run(&["put", "task/b", "data.n=1", "--json"]).json();
    let change = put.get("change_id").and_then(Json::as_str).unwrap();
    let refused = node.run(&["webhook", "replay", id, "--change", change]);
    assert!(
        refused.code != 0 && refused.err.contains("its context is outside of the scope"),
        "{}",
        refused.err
    );
}
