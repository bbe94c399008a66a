//! `up`: start, stop, locks, files, and what it says when it cannot.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use crate::node::{Home, Node, finish, ready};

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_node_starts_fast_and_ends_cleanly() {
    let begin = Instant::now();
    let mut node = Node::start();
    assert!(begin.elapsed() < Duration::from_secs(10));
    let data = node.home.data();
    assert_eq!(mode(&data.join("owner.key")), 0o600);
    assert_eq!(mode(&data.join("node.sock")), 0o600);
    assert_eq!(mode(&data.join("syncline.db")), 0o600);
    node.ok(&["put", "task/a", "data.n=1"]);
    // A watcher that stays connected does not hold the node up.
    let mut watching = node.command(&["watch"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let begin = Instant::now();
    assert_eq!(node.stop(), 0);
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    assert!(!data.join("node.sock").exists());
    watching.kill().unwrap();
    watching.wait().unwrap();
    let key = node.ok(&["key"]);
    node.start_again();
    assert_eq!(node.ok(&["key"]), key);
    assert!(node.ok(&["get", "task/a"]).starts_with("task/a  v1"));
}

#[test]
fn ready_is_the_last_line_and_the_rest_is_talk() {
    let home = Home::new();
    let mut command = home.command(&["up", "--listen", "127.0.0.1:0"]);
    command.arg("--data").arg(home.data());
    let mut child = command.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    crate::node::signal(child.id(), "INT");
    crate::node::wait(&mut child);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let out = String::from_utf8(ended.stdout).unwrap();
    assert!(
        out.starts_with("ready http://127.0.0.1:") && out.lines().count() == 1,
        "{out}"
    );
    let err = String::from_utf8(ended.stderr).unwrap();
    assert!(
        err.starts_with("Syncline ") && err.contains("SQLite, 1 context\n"),
        "{err}"
    );
}

#[test]
fn the_second_on_a_directory_is_told_who_has_it() {
    let node = Node::start();
    let said = node.run(&["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(said.code, 5);
    let process = node.child.as_ref().unwrap().id();
    assert!(
        said.err
            .contains(&format!("is in use by process {process}, {}", node.url)),
        "{said:?}"
    );
    // The first one's socket still works.
    assert_eq!(node.run(&["status"]).code, 0);
}

#[test]
fn a_killed_node_leaves_nothing_in_the_way() {
    let mut node = Node::start();
    node.ok(&["put", "task/a", "data.n=1"]);
    node.kill();
    assert!(node.home.data().join("node.sock").exists());
    let said = node.run(&["status"]);
    assert_eq!(said.code, 5);
    assert!(said.err.contains("nobody listens"), "{said:?}");
    node.start_again();
    assert!(node.ok(&["get", "task/a"]).starts_with("task/a  v1"));
}

#[test]
fn a_long_path_gets_its_socket_elsewhere() {
    let home = Home::new();
    let data = home.dir.path().join("d".repeat(60)).join("e".repeat(60));
    let runtime = home.dir.path().join("run");
    let with = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command
            .arg("--data")
            .arg(&data)
            .env("XDG_RUNTIME_DIR", &runtime);
        command
    };
    let (mut child, _) = ready(with(&["up", "--listen", "127.0.0.1:0"]));
    let said = finish(with(&["status"]));
    let sockets: Vec<_> = std::fs::read_dir(runtime.join("syncline"))
        .unwrap()
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(sockets.len(), 1);
}

#[test]
fn what_cannot_be_opened_is_said_and_not_touched() {
    let home = Home::new();
    let data = home.data();
    std::fs::create_dir(&data).unwrap();
    let garbage = b"this is no database, and it is longer than a header of one hundred bytes, which every database has at least".repeat(50);
    std::fs::write(data.join("syncline.db"), &garbage).unwrap();
    let mut command = home.command(&["up", "--listen", "127.0.0.1:0"]);
    command.arg("--data").arg(&data);
    let said = finish(command);
    assert_eq!(said.code, 70, "{said:?}");
    assert!(
        said.err.contains("it was not touched") && said.err.contains("hint: "),
        "{said:?}"
    );
    assert_eq!(std::fs::read(data.join("syncline.db")).unwrap(), garbage);
}

#[test]
fn an_address_in_use_is_said() {
    let node = Node::start();
    let taken = node.url.trim_start_matches("http://");
    let home = Home::new();
    let mut command = home.command(&["up", "--listen", taken]);
    command.arg("--data").arg(home.data());
    let said = finish(command);
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains(&format!("cannot listen on {taken}")) && said.err.contains("hint: "),
        "{said:?}"
    );
}

#[test]
fn the_echo_fixture_says_where_it_listens() {
    let node = Node::start();
    let fixture = ["fixture", "ws-echo", "--listen", "127.0.0.1:0"];
    let mut child = node.command(&fixture).spawn().unwrap();
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    let address = line.trim().strip_prefix("ready ws://").unwrap();
    assert!(std::net::TcpStream::connect(address).is_ok(), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}
