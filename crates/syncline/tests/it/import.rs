//! `import` on real material.

use std::path::Path;

use syncline_model::json::{Json, Pointer};

use crate::node::{Node, Said, test_data};

fn import(node: &Node, file: &Path, more: &[&str]) -> Said {
    let mut arguments = vec!["import", file.to_str().unwrap()];
    arguments.extend(more);
    node.run(&arguments)
}

fn check(node: &Node, file: &Path, more: &[&str], expected: &str) {
    let said = import(node, file, more);
    assert_eq!(said.out.trim_end(), expected, "{said:?}");
}

#[test]
fn a_history_becomes_versions_and_importing_again_changes_nothing() {
    let Some(data) = test_data() else { return };
    let file = data.join("histories/exercism-python-config.jsonl.zst");
    let node = Node::start();
    check(
        &node,
        &file,
        &["--limit", "20"],
        "1 created, 19 changed, 0 unchanged, 0 refused",
    );
    check(
        &node,
        &file,
        &["--limit", "20"],
        "0 created, 0 changed, 20 unchanged, 0 refused",
    );
    check(
        &node,
        &file,
        &["--limit", "50"],
        "0 created, 30 changed, 20 unchanged, 0 refused",
    );
    check(
        &node,
        &file,
        &["--limit", "5", "--as", "document/copy"],
        "1 created, 4 changed, 0 unchanged, 0 refused",
    );

    let at = |json: &Json, pointer: &str| {
        json.pointer(&Pointer::parse(pointer).unwrap())
            .unwrap()
            .to_text()
    };
    let first = node
        .run(&[
            "get",
            "document/exercism-python-config",
            "--version",
            "1",
            "--json",
        ])
        .json();
    assert_eq!(at(&first, "/data/slug"), "\"python\"");
    assert_eq!(at(&first, "/metadata/source/author"), "\"author/1\"");
    assert_eq!(
        at(&first, "/metadata/source/at"),
        "\"2014-05-19T08:36:08-06:00\""
    );
    let log = node.ok(&["log", "document/exercism-python-config", "--limit", "1"]);
    assert!(log.starts_with("●  v50"), "{log}");

    // An edit on top is never overwritten: what was made on the version before is merged.
    node.ok(&["patch", "document/exercism-python-config", "data.mine=1"]);
    let said = import(&node, &file, &["--limit", "51"]);
    assert_eq!(said.code, 0, "{said:?}");
    let head = node.run(&["get", "document/exercism-python-config", "--json"]);
    assert_eq!(at(&head.json(), "/data/mine"), "1");
    assert_eq!(
        said.out.trim_end(),
        "0 created, 1 changed, 50 unchanged, 0 refused"
    );
}

#[test]
fn events_replay_with_their_actors() {
    let Some(data) = test_data() else { return };
    let file = data.join("agents/beads-events.jsonl.zst");
    let node = Node::start();
    let said = import(&node, &file, &["--limit", "800", "--json"]).json();
    let count = |name: &str| said.get(name).and_then(Json::as_u64).unwrap();
    assert_eq!(count("refused"), 0);
    assert_eq!(count("created") + count("changed"), 800);
    check(
        &node,
        &file,
        &["--limit", "800"],
        "0 created, 0 changed, 800 unchanged, 0 refused",
    );
    let head = node
        .run(&["get", "task/bd-1", "--version", "1", "--json"])
        .json();
    assert_eq!(
        head.get("title").and_then(Json::as_str),
        Some("Add export/import commands")
    );
    assert!(head.get("data").unwrap().get("title").is_none());
    assert!(
        head.get("actor")
            .unwrap()
            .get("agent")
            .unwrap()
            .as_str()
            .unwrap()
            .starts_with("agent/")
    );
}

#[test]
fn steps_and_hooks_become_sessions() {
    let Some(data) = test_data() else { return };
    let node = Node::start();
    let steps = data.join("agents/swe-agent-steps.jsonl.zst");
    check(
        &node,
        &steps,
        &[],
        "16 created, 227 changed, 0 unchanged, 0 refused",
    );
    let hooks = data.join("agents/claude-code-hooks.jsonl.zst");
    check(
        &node,
        &hooks,
        &["--limit", "60"],
        "1 created, 60 changed, 0 unchanged, 0 refused",
    );
    check(
        &node,
        &hooks,
        &["--limit", "60"],
        "0 created, 0 changed, 61 unchanged, 0 refused",
    );
    let sessions = node.run(&["ls", "--kind", "session", "--json"]).json();
    assert_eq!(
        sessions.get("contexts").unwrap().as_array().unwrap().len(),
        17
    );
}

#[test]
fn other_rows_are_refused_by_name() {
    let Some(data) = test_data() else { return };
    let node = Node::start();
    let said = import(&node, &data.join("merges/atom.jsonl.zst"), &[]);
    assert_eq!(said.code, 2);
    assert!(
        said.err
            .contains("row 1 cannot be imported: it is a recorded merge"),
        "{said:?}"
    );
    let said = node.with_input(&["import", "-"], "{\"context\":\"task/a\"}\n[1]\n");
    assert_eq!(said.code, 2);
    assert!(said.err.contains("row 2 cannot be imported"), "{said:?}");
    let said = node.with_input(&["import", "-"], "{\"context\":\"task/b\",\n");
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
fn rows_of_no_known_format_are_refused_before_any_is_sent() {
    let node = Node::start();
    let before = node.ok(&["ls"]);
    let rows = "{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"name\":\"b\"}\n";
    let said = node.with_input(&["import", "-", "--as", "document/rows"], rows);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err
            .contains("neither it nor row 1 is of a known format")
            && said
                .err
                .contains("hint: import reads contexts as `syncline export`"),
        "{said:?}"
    );
    assert_eq!(node.ok(&["ls"]), before);
    let one = "{\"id\":1,\"name\":\"a\"}\n\n";
    let said = node.with_input(&["import", "-", "--as", "document/row"], one);
    assert_eq!(
        said.out.trim_end(),
        "1 created, 0 changed, 0 unchanged, 0 refused"
    );
}

#[test]
fn contexts_that_differ_are_left_unless_told() {
    let node = Node::start();
    let rows =
        "{\"context\":\"task/a\",\"title\":\"A\"}\n{\"context\":\"task/b\",\"title\":\"B\"}\n";
    let import = |more: &[&str]| {
        let mut arguments = vec!["import", "-"];
        arguments.extend(more);
        let said = node.with_input(&arguments, rows);
        (said.code, said.out.trim_end().to_owned())
    };
    assert_eq!(
        import(&[]),
        (0, "2 created, 0 changed, 0 unchanged, 0 refused".into())
    );
    node.ok(&["patch", "task/a", "title=Mine"]);
    assert_eq!(
        import(&[]),
        (0, "0 created, 0 changed, 2 unchanged, 0 refused".into())
    );
    let other = "{\"context\":\"task/a\",\"title\":\"Theirs\"}\n";
    let said = node.with_input(&["import", "-"], other);
    assert_eq!(said.code, 3);
    assert!(said.err.contains("--overwrite"), "{said:?}");
    let said = node.with_input(&["import", "-", "--overwrite"], other);
    assert_eq!(
        said.out.trim_end(),
        "0 created, 1 changed, 0 unchanged, 0 refused"
    );
    assert!(node.ok(&["get", "task/a"]).contains("Theirs"));
}
