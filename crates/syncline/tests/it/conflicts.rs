//! Two writers clash: the write says so, the queue holds it, somebody settles it.

use std::io::Write as _;
use std::process::Stdio;

use syncline_model::json::{Json, Pointer};

use crate::node::{Node, Said, finish, parse};

fn at<'a>(json: &'a Json, pointer: &str) -> &'a Json {
    json.pointer(&Pointer::parse(pointer).unwrap())
        .unwrap_or_else(|| panic!("{pointer} in {}", json.to_text()))
}

/// Starts a node on which two agents have written the plan of `task/auth-42` from version 1.
fn clashed() -> (Node, Said) {
    let node = Node::start();
    node.ok(&[
        "put",
        "task/auth-42",
        "data.plan=keep the old cookie",
        "data.status=open",
    ]);
    patch(&node, "claude-1", &["data.plan=keep the signed cookie"]);
    let said = patch(
        &node,
        "codex-2",
        &["data.plan=drop the cookie, use tokens", "data.status=done"],
    );
    (node, said)
}

fn patch(node: &Node, agent: &str, more: &[&str]) -> Said {
    let mut arguments = vec!["patch", "task/auth-42", "--base", "1", "--agent", agent];
    arguments.extend(more);
    let said = node.run(&arguments);
    assert!(said.code == 0 || more.contains(&"--strict"), "{said:?}");
    said
}

fn only_conflict(node: &Node) -> String {
    let list = node.run(&["conflicts", "--json"]).json();
    let conflicts = at(&list, "/conflicts").as_array().unwrap();
    assert_eq!(conflicts.len(), 1, "{list:?}");
    at(&conflicts[0], "/id").as_str().unwrap().to_owned()
}

#[test]
fn a_clash_is_told_listed_shown_and_settled() {
    let (node, said) = clashed();
    let id = only_conflict(&node);
    let short = format!("{}…{}", &id[..13], &id[id.len() - 4..]);
    assert_eq!(
        said.out,
        format!(
            "task/auth-42  v3  conflict  (where it clashes, the head stays and yours waits)\n  \
             × /data/plan  conflict {short}\n"
        )
    );
    assert!(
        said.err.contains(&format!("syncline conflicts {id}")),
        "{}",
        said.err
    );

    let list = node.ok(&["conflicts", "task/auth-42"]);
    assert!(list.starts_with(&format!("× {short}")), "{list}");
    assert!(list.contains("task/auth-42  /data/plan  data"), "{list}");
    assert!(list.contains("codex-2 against claude-1"), "{list}");
    assert_eq!(node.ok(&["conflicts", "task/other"]), "");
    assert!(node.ok(&["status"]).contains("   1 conflict open\n"));
    assert!(
        node.ok(&["get", "task/auth-42"])
            .contains("conflicts   × 1 conflict open\n")
    );

    let view = node.ok(&["conflicts", &short]);
    let lines: Vec<_> = view.lines().collect();
    assert!(
        lines[0].starts_with("task/auth-42  /data/plan  data   open ")
            && lines[0].ends_with("merge → manual"),
        "{view}"
    );
    assert_eq!(lines[1], "  base   v1                keep the old cookie");
    assert_eq!(
        lines[2],
        "  theirs v2   claude-1     keep the {signed} cookie   is the head"
    );
    assert_eq!(
        lines[3],
        "  ours        codex-2      {drop} the cookie{, use tokens}"
    );
    assert!(lines[4].starts_with("  reason "), "{view}");
    assert_eq!(lines[5], "  merged already: /data/status");

    node.ok(&["settle", &short, "--ours", "-m", "tokens it is"]);
    let head = node.run(&["get", "task/auth-42", "--json"]).json();
    assert_eq!(
        at(&head, "/data/plan").as_str(),
        Some("drop the cookie, use tokens")
    );
    assert_eq!(at(&head, "/conflicts").as_array().unwrap().len(), 0);
    assert_eq!(node.ok(&["conflicts"]), "");
    assert!(node.ok(&["status"]).contains("   0 conflicts open\n"));
    let log = node.ok(&["log", "task/auth-42"]);
    let lines: Vec<_> = log.lines().collect();
    assert!(
        lines[0].ends_with(&format!("tokens it is, settled /data/plan ({short})")),
        "{log}"
    );
    assert!(
        lines[1].contains(&format!("× /data/plan ({short}) clashes")),
        "{log}"
    );
    assert!(lines[1].ends_with("merged from v1"), "{log}");
    let ended = node.ok(&["conflicts", &id]);
    assert!(
        ended.lines().next().unwrap().contains("settled in v4"),
        "{ended}"
    );
    assert_eq!(node.run(&["settle", &id, "--theirs"]).code, 3);
}

#[test]
fn a_clash_is_an_exit_code_where_that_is_asked_for() {
    let (node, _) = clashed();
    let said = patch(&node, "ana", &["data.plan=sleep", "--strict"]);
    assert_eq!(said.code, 1, "{said:?}");
    let said = patch(&node, "ana", &["data.plan=eat", "--strict", "--json"]);
    assert_eq!((said.code, said.err.as_str()), (1, ""), "{said:?}");
    assert_eq!(at(&parse(&said.out), "/outcome").as_str(), Some("conflict"));
    let said = patch(&node, "ana", &["data.other=1", "--strict"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out.contains("merged  (with what others wrote"),
        "{said:?}"
    );
    let wins = ["data.plan=tea", "--strict", "--strategy", "latest_wins"];
    let said = patch(&node, "ana", &wins);
    assert_eq!(said.code, 0, "{said:?}");
    let blamed = node.ok(&["blame", "task/auth-42", "/data/plan"]);
    assert!(
        blamed.contains("ana") && blamed.contains("beat \"keep the signed cookie\""),
        "{blamed}"
    );
}

#[test]
fn a_choice_is_made_on_what_was_seen() {
    let (node, _) = clashed();
    let id = only_conflict(&node);
    let said = node.run(&["settle", &id, "--value", "{\"by\":[1.0]}", "--version", "7"]);
    assert_eq!(said.code, 3, "{said:?}");
    let said = node.run(&["settle", &id]);
    assert_eq!(said.code, 2, "{said:?}");
    let said = node.run(&["settle", &id, "--ours", "--theirs"]);
    assert_eq!(said.code, 2, "{said:?}");
    let said = node.run(&[
        "settle",
        &id,
        "--value",
        "{\"by\":[1.0]}",
        "--version",
        "1",
        "--json",
    ]);
    assert_eq!(at(&said.json(), "/version").as_u64(), Some(4));
    let head = node.run(&["get", "task/auth-42", "--json"]).json();
    assert_eq!(at(&head, "/data/plan").to_text(), "{\"by\":[1.0]}");
}

#[test]
fn conflicts_are_named_by_their_ends() {
    let (node, _) = clashed();
    let id = only_conflict(&node);
    let end = &id[id.len() - 6..];
    assert!(node.ok(&["conflicts", end, "--json"]).contains(&id));
    assert_eq!(node.run(&["conflicts", "0000"]).code, 2);
    assert_eq!(node.run(&["conflicts", "nothing like it"]).code, 2);
    let unknown = "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f.0000000000000000";
    assert_eq!(node.run(&["conflicts", unknown]).code, 3);
    assert_eq!(node.run(&["settle", "task/other", "--theirs"]).code, 2);
    patch(&node, "ana", &["data.plan=sleep"]);
    let said = node.run(&["settle", &id[..4], "--theirs"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("2 conflicts wait that are "), "{said:?}");
    let named = format!("{id} (task/auth-42 /data/plan)");
    assert!(said.err.contains(&named), "{said:?}");
}

#[test]
fn the_message_of_what_waits_says_why() {
    let (node, _) = clashed();
    patch(
        &node,
        "codex-3",
        &["data.status=cancelled", "-m", "nobody needs\nit any more"],
    );
    let list = node.run(&["conflicts", "--json"]).json();
    let conflicts = at(&list, "/conflicts").as_array().unwrap();
    let whys = |flag: &[&str]| -> String {
        let shown = conflicts.iter().map(|conflict| {
            let id = at(conflict, "/id").as_str().unwrap();
            node.ok(&[&["conflicts", id], flag].concat())
        });
        shown.collect()
    };
    let columns = whys(&[]);
    assert_eq!(columns.matches("why").count(), 1, "{columns}");
    let why = "\n  why    ours: nobody needs it any more\n";
    assert!(columns.contains(why), "{columns}");
    let words = whys(&["--plain"]);
    assert!(
        words.contains("\nwhy ours: nobody needs it any more\n"),
        "{words}"
    );
}

#[test]
fn words_alone_where_they_are_asked_for() {
    let (node, _) = clashed();
    let id = only_conflict(&node);
    let mut command = node.command(&["conflicts", &id]);
    command.env("ACCESSIBLE", "1");
    let said = crate::node::finish(command);
    let lines: Vec<_> = said.out.lines().collect();
    assert!(lines[0].starts_with(&format!("conflict {id} in task/auth-42 at /data/plan")));
    assert_eq!(lines[1], "base, version 1: keep the old cookie");
    assert_eq!(
        lines[2],
        "theirs, what the head holds, by claude-1, version 2: keep the signed cookie"
    );
    assert_eq!(
        lines[3],
        "ours, what waits, by codex-2: drop the cookie, use tokens"
    );
}

#[test]
fn sides_of_any_kind_are_shown_whole() {
    let node = Node::start();
    node.ok(&["put", "task/a", "data.x={\"a\":1}", "data.y=1"]);
    node.ok(&[
        "patch",
        "task/a",
        "data.x=null",
        "data.y=two\nlines",
        "--base",
        "1",
    ]);
    node.ok(&["patch", "task/a", "data.x.a=2", "data.y=3", "--base", "1"]);
    let list = node.run(&["conflicts", "--json"]).json();
    let mut views = String::new();
    for conflict in at(&list, "/conflicts").as_array().unwrap() {
        views += &node.ok(&["conflicts", at(conflict, "/id").as_str().unwrap()]);
    }
    assert!(views.contains("(nothing)"), "{views}");
    assert!(
        views.contains("{\"a\":{+2+}}") || views.contains("{+2+}"),
        "{views}"
    );
    assert!(views.contains("\"two\\nlines\""), "{views}");
    node.ok(&["watch", "--from", "snapshot", "--count", "0"]);
}

#[test]
fn a_watcher_sees_where_it_clashes() {
    let node = Node::start();
    let cursor = node.run(&["status", "--json"]).json();
    let cursor = at(&cursor, "/cursor").as_str().unwrap().to_owned();
    node.ok(&["put", "task/auth-42", "data.plan=a"]);
    patch(&node, "one", &["data.plan=b"]);
    patch(&node, "two", &["data.plan=c"]);
    let id = only_conflict(&node);
    node.ok(&["settle", "task/auth-42", "--theirs"]);
    let seen = node.ok(&["watch", "--since", &cursor, "--count", "4"]);
    let lines: Vec<_> = seen.lines().collect();
    assert_eq!(lines.len(), 4, "{seen}");
    let short = format!("{}…{}", &id[..13], &id[id.len() - 4..]);
    assert!(
        lines[2].contains(" × ~ ") && lines[2].ends_with(&format!("conflict {short}")),
        "{seen}"
    );
    assert!(
        !lines[3].contains('×') && lines[3].ends_with(&format!("settled {short}")),
        "{seen}"
    );
}

/// Runs a command on a terminal of its own, types, and returns what it shows.
fn typed(node: &Node, arguments: &[&str], input: &str, editor: &str) -> Option<String> {
    let command = node.command(arguments);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted: Vec<_> = words
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let mut child = std::process::Command::new("script")
        .args(["-qec", &quoted.join(" "), "/dev/null"])
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .env("HOME", node.home.dir.path())
        .env("VISUAL", editor)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_person_at_the_terminal_is_asked() {
    let (node, _) = clashed();
    let id = only_conflict(&node);
    let Some(shown) = typed(&node, &["conflicts", &id], "?\ns\n", "true") else {
        return;
    };
    assert!(
        shown.contains("[t]") && shown.contains("[e]dit [s]kip [?]"),
        "{shown:?}"
    );
    assert!(
        shown.contains("theirs: leave the head as it is"),
        "{shown:?}"
    );
    assert_eq!(only_conflict(&node), id);
    let unchanged = typed(&node, &["conflicts", &id], "e\nq\n", "true").unwrap();
    assert!(unchanged.contains("nothing was changed"), "{unchanged:?}");
    let broken = typed(&node, &["conflicts", &id], "e\nq\n", "false").unwrap();
    assert!(broken.contains("error: false ended with"), "{broken:?}");
    let editor = r#"sed -i 's/"value": .*/"value": "both"/'"#;
    let edited = typed(&node, &["conflicts", &id], "e\n", editor).unwrap();
    assert!(edited.contains("task/auth-42  v4"), "{edited:?}");
    let head = node.run(&["get", "task/auth-42", "--json"]).json();
    assert_eq!(at(&head, "/data/plan").as_str(), Some("both"));
    patch(&node, "ana", &["data.plan=sleep"]);
    patch(&node, "bob", &["data.plan=eat"]);
    typed(&node, &["conflicts", "--each"], "t\no\n", "true").unwrap();
    assert_eq!(node.ok(&["conflicts"]), "");
    assert_eq!(node.run(&["conflicts", "--each"]).code, 2);
}

#[test]
fn one_rule_of_the_workspace_is_taken_back_alone() {
    let node = Node::start();
    node.ok(&[
        "rules",
        "set",
        "--strategy",
        "latest_wins",
        "--deadline",
        "60",
    ]);
    let declared = || {
        let rules = node.run(&["rules", "show", "--json"]).json();
        let named = ["strategy", "conflict_deadline_s"];
        named.map(|name| rules.get(name).map(Json::to_text))
    };
    let latest_wins = Some(r#""latest_wins""#.to_owned());
    assert_eq!(declared(), [latest_wins.clone(), Some("60".to_owned())]);
    node.ok(&["rules", "rm", "conflict_deadline_s"]);
    assert_eq!(declared(), [latest_wins, None]);
    let said = node.run(&["rules", "rm", "conflict_deadline_s"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("is not declared"), "{said:?}");
    node.ok(&["rules", "rm", "strategy"]);
    assert_eq!(declared(), [None, None]);
}

/// After a lost answer the same command is sent again, and must hear the first one (P3).
#[test]
fn p3_a_choice_and_a_rule_that_are_sent_again_hear_the_first_answer() {
    let node = Node::start();
    node.ok(&["put", "task/a", "data.x=0"]);
    node.ok(&["patch", "task/a", "data.x=1"]);
    let twice = |number: u8, command: &[&str]| {
        let id = format!("0199aaaa-4b2a-7c3d-8e4f-5a6b7c8d9e{number:02x}");
        let mut command = command.to_vec();
        command.extend(["--id", &id]);
        let first = node.ok(&command);
        assert_eq!(node.ok(&command), first, "{command:?}");
        (command.join(" "), first)
    };
    let clash = |value: &str| {
        node.run(&["patch", "task/a", &format!("data.x={value}"), "--base", "1"]);
        let list = node.run(&["conflicts", "--json"]).json();
        let id = list.pointer(&Pointer::parse("/conflicts/0/id").unwrap());
        id.and_then(Json::as_str).unwrap().to_owned()
    };
    clash("2");
    let (_, settled) = twice(0, &["settle", "task/a", "--ours"]);
    assert!(settled.contains("v4  applied"), "{settled}");
    let id = clash("3");
    twice(1, &["settle", &id, "--value", "{\"q\":1}"]);
    let id = clash("4");
    twice(
        2,
        &[
            "settle",
            &format!("{}…{}", &id[..24], &id[50..]),
            "--theirs",
        ],
    );
    // Another one waits there now: it is not settled in its stead.
    let id = clash("5");
    twice(2, &["settle", "task/a", "--theirs"]);
    // What one id stands for, no other choice does.
    let other = node.run(&[
        "settle",
        &id,
        "--ours",
        "--id",
        "0199aaaa-4b2a-7c3d-8e4f-5a6b7c8d9e02",
    ]);
    assert_eq!(other.code, 3, "{other:?}");
    assert!(node.ok(&["conflicts"]).contains("task/a"));

    twice(
        10,
        &[
            "rules",
            "set",
            "--strategy",
            "latest_wins",
            "--rank",
            "agent/ci=3",
        ],
    );
    twice(
        11,
        &["rules", "set", "--deadline", "60", "--rank", "agent/ci="],
    );
    twice(12, &["rules", "rm", "strategy"]);
    twice(13, &["rules", "rm", "conflict_deadline_s"]);
    twice(14, &["rules", "rm"]);
    twice(15, &["rules", "set", "--deadline", "7"]);
    let rules = node.run(&["rules", "show", "--json"]).json();
    assert_eq!(rules.get("strategy"), None);
    assert_eq!(rules.get("conflict_deadline_s"), Some(&Json::from(7)));
}

#[test]
fn long_sides_are_shown_where_they_differ() {
    let node = Node::start();
    let text = |word: &str| {
        let line = |n: usize| format!("line {n} {}", if n == 80 { word } else { "is" });
        let lines: Vec<_> = (1..=100).map(line).collect();
        format!("data.text={}", Json::from(lines.join("\n")).to_text())
    };
    node.ok(&["put", "task/a", &text("was")]);
    node.ok(&["patch", "task/a", &text("becomes"), "--base", "1"]);
    node.ok(&["patch", "task/a", &text("remains"), "--base", "1"]);
    let id = only_conflict(&node);
    let mut in_words = node.command(&["conflicts", &id]);
    in_words.env("ACCESSIBLE", "1");
    for shown in [node.ok(&["conflicts", &id]), finish(in_words).out] {
        for word in ["line 80 was", "becomes", "remains"] {
            assert!(shown.contains(word), "{word} in {shown}");
        }
        assert!(!shown.contains("line 30 is"), "{shown}");
        assert_eq!(shown.matches("… 40 lines before").count(), 3, "{shown}");
    }
    // What differs early is cut behind.
    let early = |word: &str| text("was").replace("line 20 is", word);
    node.ok(&["put", "task/b", &text("was")]);
    node.ok(&["patch", "task/b", &early("tea"), "--base", "1"]);
    node.ok(&["patch", "task/b", &early("rum"), "--base", "1"]);
    let list = node.run(&["conflicts", "task/b", "--json"]).json();
    let id = at(&list, "/conflicts/0/id").as_str().unwrap();
    let shown = node.ok(&["conflicts", id]);
    assert!(shown.contains("tea") && shown.contains("rum"), "{shown}");
    assert_eq!(shown.matches("… 9 lines before").count(), 3, "{shown}");
    assert_eq!(shown.matches("… 31 lines after").count(), 3, "{shown}");
}
