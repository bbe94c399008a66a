//! `watch`: live, resumed, and never with a hole.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use syncline_model::json::Json;

use crate::node::{Node, PATIENCE, parse, wait};

struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(node: &Node, arguments: &[&str]) -> Watching {
        let mut child = node
            .command(arguments)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out: ChildStdout = child.stdout.take().unwrap();
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Watching { child, lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    fn next_context(&self) -> String {
        parse(&self.next())
            .get("context")
            .and_then(Json::as_str)
            .unwrap()
            .to_owned()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes until the watcher has shown a change, since it may still be connecting.
fn until_live(node: &Node, watching: &Watching) {
    for n in 0.. {
        node.ok(&["put", &format!("task/warm-{n}"), "data.n=1"]);
        if watching
            .lines
            .recv_timeout(Duration::from_millis(200))
            .is_ok()
        {
            break;
        }
        assert!(n < 100, "the watcher shows nothing");
    }
    while watching
        .lines
        .recv_timeout(Duration::from_millis(200))
        .is_ok()
    {}
}

#[test]
fn changes_are_shown_a_line_each() {
    let node = Node::start();
    let watching = Watching::start(&node, &["watch"]);
    until_live(&node, &watching);
    node.ok(&[
        "put",
        "task/a",
        "title=A",
        "--agent",
        "claude-1",
        "-m",
        "first\nand more",
    ]);
    node.ok(&["patch", "task/a", "data.status=done"]);
    node.ok(&["rm", "task/a"]);
    let lines = [watching.next(), watching.next(), watching.next()];
    assert_eq!(
        &lines[0][8..],
        "  task/a  v1  claude-1   + under global/main   first"
    );
    assert_eq!(&lines[1][8..], "  task/a  v2  owner      ~ /data/status");
    assert_eq!(&lines[2][8..], "  task/a  v3  owner      - deleted");
}

#[test]
fn a_scope_is_kept() {
    let node = Node::start();
    node.ok(&["put", "project/in", "title=In"]);
    node.ok(&["put", "project/out", "title=Out"]);
    let watching = Watching::start(
        &node,
        &["watch", "project/in", "--from", "snapshot", "--json"],
    );
    let snapshot = parse(&watching.next());
    assert_eq!(
        snapshot.get("type").and_then(Json::as_str),
        Some("snapshot")
    );
    node.ok(&["put", "task/out", "parent=project/out"]);
    node.ok(&["put", "task/in", "parent=project/in"]);
    assert_eq!(watching.next_context(), "task/in");
    node.ok(&["patch", "task/in", "parent=project/out"]);
    let left = parse(&watching.next());
    assert_eq!(left.get("type").and_then(Json::as_str), Some("leave"));
    assert_eq!(left.get("context").and_then(Json::as_str), Some("task/in"));
}

#[test]
fn a_watch_survives_its_node_and_misses_nothing() {
    let mut node = Node::start();
    let watching = Watching::start(&node, &["watch", "--json"]);
    until_live(&node, &watching);
    for round in 0..3 {
        let name = format!("task/r{round}");
        node.ok(&["put", &name, "data.n=1"]);
        // Whether it falls over or says that it stops.
        if round == 1 {
            assert_eq!(node.stop(), 0);
        } else {
            node.kill();
        }
        node.start_again();
        node.ok(&["put", &format!("{name}-after"), "data.n=1"]);
    }
    let seen: Vec<_> = (0..6).map(|_| watching.next_context()).collect();
    assert_eq!(
        seen,
        [
            "task/r0",
            "task/r0-after",
            "task/r1",
            "task/r1-after",
            "task/r2",
            "task/r2-after"
        ]
    );
}

#[test]
fn at_last_goes_on_where_the_last_watch_stopped() {
    let node = Node::start();
    let mut watching = Watching::start(&node, &["watch", "--json"]);
    until_live(&node, &watching);
    node.ok(&["put", "task/a", "data.n=1"]);
    assert_eq!(watching.next_context(), "task/a");
    crate::node::signal(watching.child.id(), "INT");
    assert_eq!(wait(&mut watching.child).code(), Some(130));
    node.ok(&["put", "task/b", "data.n=1"]);
    node.ok(&["put", "task/c", "data.n=1"]);
    let out = node.ok(&["watch", "--since", "@last", "--json", "--count", "2"]);
    let seen: Vec<_> = out
        .lines()
        .map(|line| parse(line).get("context").unwrap().to_text())
        .collect();
    assert_eq!(seen, ["\"task/b\"", "\"task/c\""]);
}

#[test]
fn a_garbage_cursor_is_refused() {
    let node = Node::start();
    let said = node.run(&["watch", "--since", "garbage", "--json"]);
    assert_eq!((said.code, said.problem().as_str()), (2, "bad_cursor"));
}
