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
fn a_text_of_ones_own_is_filled_from_snapshots_too() {
    let node = Node::start();
    node.ok(&["put", "task/a", "title=A"]);
    let format = "{type} {context} v{version} {parent}{priority}";
    let watching = Watching::start(
        &node,
        &["watch", "task/a", "--from", "snapshot", "--format", format],
    );
    assert_eq!(watching.next(), "snapshot task/a v1 global/main");
    node.ok(&["patch", "task/a", "data.n=1"]);
    assert_eq!(watching.next(), "update task/a v2 global/main3");
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
    let garbage = "garbage".repeat(8);
    let said = node.run(&["watch", "--since", &garbage, "--json"]);
    assert_eq!((said.code, said.problem().as_str()), (2, "bad_cursor"));
    // What is no cursor by its looks is a slip of the pen.
    let said = node.run(&["watch", "--from", "yesterday"]);
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains("--from \"yesterday\" says no place")
            && said
                .err
                .contains("hint: now, start, snapshot, @last, a cursor"),
        "{said:?}"
    );
    let said = node.run(&["watch", "--format", "{bogus}"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("it has actor, base, "), "{said:?}");
}

/// The contexts that a watch from the log's start shows.
fn chosen(node: &Node, options: &[&str]) -> Vec<String> {
    let mut arguments = vec!["watch", "--from", "start", "--format", "{context} {type}"];
    arguments.extend(options);
    let watching = Watching::start(node, &arguments);
    let mut seen = Vec::new();
    while let Ok(line) = watching.lines.recv_timeout(Duration::from_secs(2)) {
        seen.push(line);
        if seen
            .last()
            .is_some_and(|line| line.starts_with("task/last "))
        {
            break;
        }
    }
    seen
}

#[test]
fn options_choose_among_the_changes() {
    let node = Node::start();
    for arguments in [
        &[
            "put",
            "task/a",
            "title=A",
            "labels.area=auth",
            "--agent",
            "claude",
        ][..],
        &["patch", "task/a", "data.status=done", "--agent", "codex"],
        &["put", "note/b", "title=B", "data.points=5"],
        &["rm", "note/b"],
        &[
            "put",
            "task/last",
            "labels.area=auth",
            "data.status=x",
            "data.points=9",
            "--agent",
            "claude",
        ],
    ] {
        node.ok(arguments);
    }
    let last = "task/last create";
    for (options, expected) in [
        (
            &["--kind", "note", "--kind", "task", "--type", "create"][..],
            &["task/a create", "note/b create", last][..],
        ),
        (&["--by", "claude"], &["task/a create", last]),
        (
            &["--changed", "/data/status", "--label", "area=auth"],
            &["task/a create", "task/a update", last],
        ),
        (
            &[
                "--changed",
                "/data/points",
                "--kind",
                "note",
                "--kind",
                "task",
                "--by",
                "claude",
            ],
            &["task/a create", last],
        ),
        (
            &["--where", "has(data.points) && data.points > 4"],
            &["note/b create", "note/b delete", last],
        ),
        (
            &[
                "--filter",
                r#"{"exact":{"labels.area":"auth","agent":"claude"}}"#,
            ],
            &["task/a create", last],
        ),
        (
            &["global/main", "--label", "area=auth", "--type", "create"],
            &["task/a create", last],
        ),
    ] {
        assert_eq!(chosen(&node, options), expected, "{options:?}");
    }
}

#[test]
fn a_watch_says_where_it_can_go_on() {
    let node = Node::start();
    node.ok(&["put", "task/a", "data.n=1"]);
    let said = node.run(&["watch", "--from", "1h", "--kind", "task", "--count", "1"]);
    assert_eq!(said.code, 0);
    let hint = said
        .err
        .lines()
        .find(|line| line.contains("--from @last"))
        .unwrap();
    let cursor = hint.split(' ').rev().nth(1).unwrap();
    node.ok(&["put", "task/b", "data.n=1"]);
    let again = [
        "watch",
        "--from",
        cursor,
        "--count",
        "1",
        "--format",
        "{context}",
    ];
    assert_eq!(node.ok(&again), "task/b\n");
}

#[test]
fn what_cannot_be_chosen_is_refused() {
    let node = Node::start();
    for (options, why) in [
        (
            &["--filter", r#"{"exakt":{}}"#][..],
            "an operator is one of",
        ),
        (&["--filter", "{"], "--filter"),
        (&["--where", "chang.id == 1"], "is not known"),
        (&["--min-priority", "9"], "a priority is"),
        (&["--changed", "data"], "--changed"),
        (&["--type", "new"], "create, update"),
        (&["--kind", "Task"], "kind"),
        (&["--format", "xml"], "a format is"),
        (&["--coalesce-ms", "x"], "a whole number is meant"),
        (&["--only"], "--only is of an address"),
        (&["--label", "=x"], "is not KEY=VALUE"),
        (&["--label", "area"], "KEY=VALUE"),
    ] {
        let mut arguments = vec!["watch", "--count", "1"];
        arguments.extend(options);
        let said = node.run(&arguments);
        // What only the node can read is refused by it.
        let code = if options[0] == "--where" { 3 } else { 2 };
        assert_eq!(said.code, code, "{options:?}: {}", said.err);
        assert!(said.err.contains(why), "{options:?}: {}", said.err);
    }
}
