//! A first session, as a newcomer has it.

use syncline_model::json::{Json, Pointer};

use crate::node::{Node, parse};

fn at<'a>(json: &'a Json, pointer: &str) -> &'a Json {
    json.pointer(&Pointer::parse(pointer).unwrap())
        .unwrap_or_else(|| panic!("{pointer} in {}", json.to_text()))
}

#[test]
fn a_context_lives_from_put_to_restore() {
    let node = Node::start();
    node.ok(&["put", "project/web", "title=Web"]);
    let out = node.ok(&[
        "put",
        "task/auth-42",
        "title=Fix login",
        "data.status=open",
        "parent=project/web",
        "labels.area=auth",
    ]);
    assert_eq!(out, "task/auth-42  v1  applied\n");
    let out = node.ok(&[
        "patch",
        "task/auth-42",
        "data.status=done",
        "-m",
        "login works",
        "--base",
        "1",
        "--agent",
        "claude-1",
    ]);
    assert_eq!(out, "task/auth-42  v2  applied\n");

    let head = node.run(&["get", "task/auth-42", "--json"]).json();
    assert_eq!(at(&head, "/data/status").as_str(), Some("done"));
    assert_eq!(at(&head, "/actor/agent").as_str(), Some("claude-1"));
    assert_eq!(at(&head, "/labels/area").as_str(), Some("auth"));
    let first = node
        .run(&["get", "task/auth-42", "--version", "1", "--json"])
        .json();
    assert_eq!(at(&first, "/data/status").as_str(), Some("open"));
    let text = node.ok(&["get", "task/auth-42"]);
    assert!(
        text.starts_with("task/auth-42  v2  active  private"),
        "{text}"
    );
    assert!(
        text.contains("title       Fix login\n") && text.contains("\"status\": \"done\""),
        "{text}"
    );

    let log = node.ok(&["log", "task/auth-42"]);
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].contains("v2")
            && lines[0].contains("claude-1")
            && lines[0].ends_with("login works"),
        "{log}"
    );

    let diff = node.run(&["diff", "task/auth-42", "1..2"]);
    assert_eq!(diff.code, 1);
    assert!(
        diff.out.starts_with("task/auth-42  v1 → v2   1 change\n"),
        "{}",
        diff.out
    );
    assert!(
        diff.out.contains("/data/status") && diff.out.contains("\"open\""),
        "{}",
        diff.out
    );
    assert_eq!(node.run(&["diff", "task/auth-42", "2..2"]).code, 0);
    assert_eq!(node.run(&["diff", "task/auth-42", "1.."]).code, 1);

    let table = node.ok(&["ls", "--kind", "task", "--label", "area=auth"]);
    assert!(table.starts_with("task/auth-42  v2  active"), "{table}");
    assert_eq!(node.ok(&["ls", "--label", "area=web"]), "");

    node.ok(&["rm", "task/auth-42"]);
    assert_eq!(node.run(&["get", "task/auth-42"]).code, 3);
    node.ok(&["restore", "task/auth-42"]);
    let back = node.run(&["get", "task/auth-42", "--json"]).json();
    assert_eq!(at(&back, "/version").as_u64(), Some(4));
    assert_eq!(at(&back, "/data"), at(&head, "/data"));
}

#[test]
fn bodies_come_from_files_and_stdin() {
    let node = Node::start();
    let file = node.home.dir.path().join("task.json");
    std::fs::write(
        &file,
        r#"{"title":"From a file","data":{"n":12345678901234567890123}}"#,
    )
    .unwrap();
    node.ok(&["put", "task/a", "-f", file.to_str().unwrap()]);
    let said = node.with_input(
        &["patch", "task/a", "--json-patch", "-f", "-"],
        r#"[{"op":"add","path":"/data/l","value":[1]}]"#,
    );
    assert_eq!(said.code, 0, "{said:?}");
    let said = node.with_input(&["patch", "task/a", "-"], r#"{"data":{"x":null,"y":1.0}}"#);
    assert_eq!(said.code, 0, "{said:?}");
    let head = node.run(&["get", "task/a", "--json"]).json();
    assert_eq!(
        at(&head, "/data").to_text(),
        r#"{"l":[1],"n":12345678901234567890123,"y":1.0}"#
    );
    let said = node.with_input(&["put", "task/b", "-f", "-"], r#"{"title":1}"#);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("at \"/title\""), "{}", said.err);
    let said = node.with_input(&["put", "task/b", "-f", "-"], "{\"a\":1,\n\"a\":2}");
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("line 2 column"), "{}", said.err);
}

#[test]
fn existing_contexts_are_not_overwritten_unseen() {
    let node = Node::start();
    node.ok(&["put", "task/a", "data.n=1"]);
    let said = node.run(&["put", "task/a", "data.n=2"]);
    assert_eq!(said.code, 3);
    assert!(said.err.contains("hint: it exists"), "{}", said.err);
    node.ok(&["put", "task/a", "data.n=2", "--overwrite"]);
    node.ok(&["put", "task/a", "data.n=3", "--base", "2"]);
    let late = node.run(&["put", "task/a", "data.n=4", "--base", "1", "--strict"]);
    assert_eq!(late.code, 1, "{late:?}");
    assert_eq!(node.run(&["put", "task/a", "data.n=4", "--new"]).code, 3);
    let etag = node.run(&["get", "task/a", "--json"]).json();
    let etag = at(&etag, "/etag").as_str().unwrap().to_owned();
    node.ok(&["put", "task/a", "data.n=5", "--if-match", &etag]);
    assert_eq!(
        node.run(&["put", "task/a", "data.n=6", "--if-match", &etag])
            .code,
        3
    );
}

#[test]
fn the_same_change_id_takes_effect_once() {
    let node = Node::start();
    let id = "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f";
    node.ok(&["put", "task/a", "data.n=1"]);
    let first = node.run(&["patch", "task/a", "data.n=2", "--id", id, "--json"]);
    let again = node.run(&["patch", "task/a", "data.n=2", "--id", id, "--json"]);
    assert_eq!(first.out, again.out);
    let other = node.run(&["patch", "task/a", "data.n=3", "--id", id, "--json"]);
    assert_eq!(
        (other.code, other.problem().as_str()),
        (3, "change_id_reused")
    );
}

#[test]
fn what_is_exported_reads_back_the_same() {
    let node = Node::start();
    node.ok(&["put", "project/p", "title=P"]);
    node.ok(&[
        "put",
        "task/b",
        "title=B",
        "parent=project/p",
        "data.deep.x=[1,2.50,1e400]",
    ]);
    node.ok(&["put", "task/a", "title=A", "parent=project/p"]);
    // Moved below something that was made later: it is imported in a second round.
    node.ok(&["put", "project/later", "title=Later"]);
    node.ok(&["patch", "task/b", "parent=project/later"]);
    let exported = node.ok(&["export"]);
    assert_eq!(exported.lines().count(), 4);
    let other = Node::start();
    let said = other.with_input(&["import", "-"], &exported);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.out, "4 created, 0 changed, 0 unchanged, 0 refused\n");
    for line in exported.lines() {
        let row = parse(line);
        let copy = other
            .run(&["get", at(&row, "/context").as_str().unwrap(), "--json"])
            .json();
        assert_eq!(at(&copy, "/hash"), at(&row, "/hash"));
    }
    let changes = node.ok(&["export", "--changes"]);
    let types: Vec<_> = changes
        .lines()
        .map(|line| at(&parse(line), "/type").to_text())
        .collect();
    assert_eq!(types.len(), 6);
    assert_eq!(types[5], "\"update\"");
}
