//! Branches, tags, rolling back, undoing, blame and schemas from the command line.

use syncline_model::json::{Json, Pointer};

use crate::node::{Node, parse};

fn at<'a>(json: &'a Json, pointer: &str) -> &'a Json {
    json.pointer(&Pointer::parse(pointer).unwrap())
        .unwrap_or_else(|| panic!("{pointer} in {}", json.to_text()))
}

fn data(node: &Node, more: &[&str]) -> String {
    let mut arguments = vec!["get", "task/a", "--json"];
    arguments.extend(more);
    at(&node.run(&arguments).json(), "/data").to_text()
}

fn first_conflict(node: &Node) -> String {
    let list = node.run(&["conflicts", "--json"]).json();
    at(&list, "/conflicts/0/id")
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_branch_is_written_tried_and_merged() {
    let node = Node::start();
    node.ok(&["put", "task/a", "data.plan=a", "data.n=1"]);
    node.ok(&["patch", "task/a", "data.n=2"]);
    node.ok(&["branch", "add", "task/a", "try-b", "--from", "1"]);
    node.ok(&[
        "patch",
        "task/a",
        "data.plan=b",
        "--branch",
        "try-b",
        "--base",
        "1",
    ]);
    assert_eq!(data(&node, &[]), r#"{"n":2,"plan":"a"}"#);
    assert_eq!(data(&node, &["--branch", "try-b"]), r#"{"n":1,"plan":"b"}"#);
    let list = node.ok(&["branch", "ls", "task/a"]);
    assert!(
        list.starts_with("try-b             v2    from v1"),
        "{list}"
    );
    let log = node.ok(&["log", "task/a", "--branch", "try-b"]);
    assert_eq!(log.lines().count(), 2, "{log}");
    let log = node.ok(&["log", "task/a"]);
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 4, "{log}");
    assert!(lines[1].starts_with("│ ○  v2"), "{log}");
    assert!(lines[1].ends_with("  try-b"), "{log}");
    assert_eq!(lines[2], "├─╯");
    assert!(lines[3].starts_with("●  v1"), "{log}");
    assert_eq!(
        node.run(&["diff", "task/a", "1..2", "--branch", "try-b"])
            .code,
        1
    );

    let said = node.run(&["diff", "task/a", "--to-branch", "try-b"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out
            .starts_with("task/a  main v2 → try-b v2   2 changes"),
        "{said:?}"
    );
    let tried = node.ok(&["merge", "task/a", "try-b", "--dry-run"]);
    assert_eq!(
        tried,
        "task/a  try-b would merge into main without a clash\n"
    );
    let stale = ["--if-match", "\"v1-0000000000000000\""];
    for more in [&["--dry-run"][..], &[]] {
        let mut command = vec!["merge", "task/a", "try-b"];
        command.extend(stale.iter().chain(more));
        let said = node.run(&command);
        assert_eq!(said.code, 3, "{said:?}");
        assert!(
            said.err.contains("--if-match") && !said.err.contains("--base"),
            "{said:?}"
        );
    }
    let help = node.ok(&["merge", "--help"]);
    assert!(
        help.contains("--if-match") && !help.contains("--base"),
        "{help}"
    );
    node.ok(&["merge", "task/a", "try-b", "-m", "b it is"]);
    assert_eq!(data(&node, &[]), r#"{"n":2,"plan":"b"}"#);
    let log = node.ok(&["log", "task/a"]);
    let merge = log.lines().next().unwrap_or_default();
    assert!(merge.ends_with("merged try-b v2"), "{log}");

    node.ok(&["patch", "task/a", "data.n=3", "--branch", "try-b"]);
    node.ok(&["patch", "task/a", "data.n=4"]);
    let tried = node.run(&["branch", "merge", "task/a", "try-b", "--dry-run"]);
    assert_eq!(tried.code, 1, "{tried:?}");
    assert_eq!(
        tried.out,
        "task/a  try-b would clash at 1 place\n  × /data/n\n"
    );
    let merged = node.run(&["merge", "task/a", "try-b", "--into", "main", "--strict"]);
    assert_eq!(merged.code, 1, "{merged:?}");
    assert_eq!(data(&node, &[]), r#"{"n":4,"plan":"b"}"#);
    // What the lines have in common is a version of neither.
    let shown = node.ok(&["conflicts", &first_conflict(&node)]);
    let side = |name: &str| shown.lines().find(|line| line.trim().starts_with(name));
    assert!(
        side("base").is_some_and(|line| !line.contains(" v")),
        "{shown}"
    );
    assert!(
        side("theirs").is_some_and(|line| line.contains(" v4 ")),
        "{shown}"
    );
    assert!(
        side("ours").is_some_and(|line| line.contains("of try-b v3")),
        "{shown}"
    );
    let tried = node.run(&["merge", "task/a", "main", "--into", "try-b", "--dry-run"]);
    assert_eq!(tried.code, 1, "{tried:?}");
    assert_eq!(
        tried.out,
        "task/a  main would clash at 1 place\n  × /data/n\n"
    );
    node.ok(&["settle", "task/a", "--theirs"]);
    let tried = node.ok(&["merge", "task/a", "main", "--into", "try-b", "--dry-run"]);
    assert_eq!(
        tried,
        "task/a  main would merge into try-b without a clash\n"
    );
    node.ok(&["merge", "task/a", "main", "--into", "try-b"]);
    assert_eq!(data(&node, &["--branch", "try-b"]), r#"{"n":4,"plan":"b"}"#);
    assert_eq!(node.run(&["merge", "task/a", "main"]).code, 3);
    node.ok(&["branch", "rm", "task/a", "try-b"]);
    assert_eq!(node.ok(&["branch", "ls", "task/a"]), "");
    // The main line may be named wherever a line is; it is no branch that could begin or end.
    assert_eq!(data(&node, &["--branch", "main"]), data(&node, &[]));
    node.ok(&["patch", "task/a", "data.n=5", "--branch", "main"]);
    assert_eq!(data(&node, &[]), r#"{"n":5,"plan":"b"}"#);
    assert_eq!(node.run(&["branch", "rm", "task/a", "main"]).code, 2);
}

#[test]
fn what_is_kept_beside_main_is_named() {
    let node = Node::start();
    node.ok(&["put", "task/a", "data.plan=a"]);
    node.ok(&["patch", "task/a", "data.plan=b", "--base", "1"]);
    let said = node.run(&[
        "patch",
        "task/a",
        "data.plan=c",
        "--base",
        "1",
        "--strategy",
        "keep_both",
    ]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out.contains("conflict/") && said.out.contains("kept_both"),
        "{said:?}"
    );
    assert!(
        said.err
            .contains("hint: yours is a branch: `syncline merge task/a conflict/"),
        "{said:?}"
    );
    let branches = node.run(&["branch", "ls", "task/a", "--json"]).json();
    let name = at(&branches, "/branches/0/name")
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(data(&node, &["--branch", &name]), r#"{"plan":"c"}"#);
    assert_eq!(data(&node, &[]), r#"{"plan":"b"}"#);
    node.ok(&["branch", "rm", "task/a", &name]);
    let chosen = node.run(&[
        "patch",
        "task/a",
        "data.plan=d",
        "--base",
        "1",
        "--strategy",
        "user_choice",
        "--json",
    ]);
    assert_eq!((chosen.code, chosen.problem().as_str()), (3, "stale_base"));
    assert!(parse(chosen.err.trim()).get("theirs").is_some());
    let told = [
        "patch",
        "task/a",
        "data.plan=e",
        "--base",
        "1",
        "--strategy",
        "user_choice",
    ];
    let told = node.run(&told).err;
    let sides = [
        "  × /data/plan",
        "    base    \"a\"",
        "    theirs  \"b\"",
        "    ours    \"e\"",
    ];
    assert!(told.contains(&sides.join("\n")), "{told}");
}

#[test]
fn versions_have_names_and_come_back() {
    let node = Node::start();
    node.ok(&["put", "task/a", "data.n=1"]);
    assert_eq!(
        node.ok(&["checkpoint", "task/a", "good one"]),
        "task/a  v1  tag:good one\n"
    );
    node.ok(&["patch", "task/a", "data.n=2"]);
    assert_eq!(
        node.ok(&["tag", "add", "task/a", "two"]),
        "task/a  v2  tag:two\n"
    );
    node.ok(&["tag", "add", "task/a", "first", "v1"]);
    assert_eq!(
        node.ok(&["tag", "ls", "task/a"]),
        "v1      tag:first\nv1      tag:good one\nv2      tag:two\n"
    );
    let log = node.ok(&["log", "task/a"]);
    assert!(log.lines().next().unwrap().ends_with("tag:two"), "{log}");
    // A tag stands wherever a version does, and is never mistaken for one.
    assert_eq!(data(&node, &["--version", "good one"]), r#"{"n":1}"#);
    assert_eq!(data(&node, &["--version", "2"]), r#"{"n":2}"#);
    assert_eq!(node.run(&["get", "task/a", "--version", "none"]).code, 2);
    assert_eq!(node.run(&["get", "task/a", "--version", "0"]).code, 2);
    for range in ["1..two", "good one..2", "first..", "tag:first..two"] {
        let said = node.run(&["diff", "task/a", range]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.out.contains("v1 → v2"), "{said:?}");
    }
    assert_eq!(node.run(&["diff", "task/a", "1..none"]).code, 2);
    assert_eq!(node.run(&["diff", "task/a", "..2"]).code, 2);
    for number in ["5", "v5", "0"] {
        let said = node.run(&["checkpoint", "task/a", number]);
        assert_eq!(said.code, 3, "{said:?}");
        assert!(said.err.contains("the number of a version"), "{said:?}");
    }
    node.ok(&["rollback", "task/a", "good one"]);
    assert_eq!(data(&node, &[]), r#"{"n":1}"#);
    node.ok(&["rollback", "task/a", "2"]);
    assert_eq!(data(&node, &[]), r#"{"n":2}"#);
    assert_eq!(node.run(&["rollback", "task/a", "nowhere"]).code, 2);
    assert_eq!(node.run(&["rollback", "task/a", "99"]).code, 3);
    node.ok(&["tag", "rm", "task/a", "two"]);
    assert!(!node.ok(&["tag", "ls", "task/a"]).contains("two"));
    assert_eq!(node.run(&["tag", "rm", "task/a", "two"]).code, 3);
}

#[test]
fn one_takes_back_what_one_wrote() {
    let node = Node::start();
    node.ok(&["put", "task/a", "data.n=1", "data.m=1", "--agent", "ana"]);
    node.ok(&["patch", "task/a", "data.n=2", "--agent", "one"]);
    node.ok(&[
        "patch",
        "task/a",
        "data.m=2",
        "--agent",
        "two",
        "-m",
        "two was here",
    ]);
    node.ok(&["undo", "task/a", "--agent", "one"]);
    assert_eq!(data(&node, &[]), r#"{"m":2,"n":1}"#);
    let blamed = node.ok(&["blame", "task/a", "/data/m"]);
    assert!(
        blamed.starts_with("/data/m  v3  two  ") && blamed.ends_with("two was here\n"),
        "{blamed}"
    );
    node.ok(&["patch", "task/a", "data.s=1", "--session", "monday"]);
    let blamed = node.ok(&["blame", "task/a", "/data/s"]);
    assert!(blamed.contains("\n  session monday\n"), "{blamed}");
    let blamed = node.run(&["blame", "task/a", "/data/n", "--json"]).json();
    assert_eq!(at(&blamed, "/version").as_u64(), Some(4));
    assert_eq!(node.run(&["blame", "task/a", "data.n"]).code, 2);
    assert_eq!(node.run(&["blame", "task/a", "/data/none"]).code, 3);
    assert_eq!(node.run(&["undo", "task/a", "--agent", "nobody"]).code, 3);
}

#[test]
fn kinds_say_what_fits_and_how_it_merges() {
    let node = Node::start();
    let schema = r#"{"properties":{"hits":{"type":"integer","x-merge":"counter"}}}"#;
    let said = node.with_input(
        &[
            "schema",
            "add",
            "rule",
            "-f",
            "-",
            "--fallback",
            "latest_wins",
        ],
        schema,
    );
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "schema rule  v1  applied\n"),
        "{said:?}"
    );
    assert!(
        node.ok(&["schema", "ls"])
            .starts_with("rule                    v1")
    );
    let shown = node.run(&["schema", "show", "rule", "--json"]).json();
    assert_eq!(at(&shown, "/fallback").as_str(), Some("latest_wins"));
    node.ok(&["put", "rule/a", "data.hits=1"]);
    let said = node.run(&["patch", "rule/a", "data.hits=many"]);
    assert_eq!(said.code, 3, "{said:?}");
    node.ok(&["patch", "rule/a", "data.hits=3", "--base", "1"]);
    node.ok(&["patch", "rule/a", "data.hits=2", "--base", "1", "--strict"]);
    let head = node.run(&["get", "rule/a", "--json"]).json();
    assert_eq!(at(&head, "/data/hits").as_u64(), Some(4));
    let vain = r#"{"properties":{"a":{"anyOf":[{"x-merge":"set"}]}}}"#;
    let said = node.with_input(&["schema", "add", "vain", "-f", "-"], vain);
    let named = "x-merge at /schema/properties/a/anyOf/0 has no effect";
    assert!(said.err.contains(named), "{said:?}");
    let said = node.run(&["schema", "show", "vain"]);
    assert!(said.err.contains(named), "{said:?}");
    node.ok(&["schema", "rm", "rule"]);
    node.ok(&["patch", "rule/a", "data.hits=many"]);
    node.ok(&["schema", "add", "rule", "--strategy", "merge"]);
    // What was declared before can be listed and read.
    let log = node.ok(&["schema", "log", "rule"]);
    let versions: Vec<_> = log.lines().map(|line| &line[..8]).collect();
    assert_eq!(versions, ["●  v3 ", "●  v2 ", "●  v1 "], "{log}");
    let was = ["schema", "show", "rule", "--version", "1", "--json"];
    assert_eq!(node.run(&was).json(), shown);
    let now = node.run(&["schema", "show", "rule", "--json"]).json();
    assert_eq!(now.get("fallback"), None);
    let none = node.run(&["schema", "show", "rule", "--version", "9"]);
    assert_eq!(none.code, 3);
    assert!(none.err.contains("syncline schema log rule"), "{none:?}");
}
