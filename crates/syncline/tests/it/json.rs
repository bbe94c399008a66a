//! `--json` everywhere, and help that ends with an example.

use clap::CommandFactory as _;
use syncline::args::Cli;
use syncline_model::json::Json;

use crate::node::{Node, parse};

/// Every command with arguments that answer; what runs for long or starts nodes is tested apart.
const CALLS: [&[&str]; 46] = [
    &["key"],
    &["put", "task/j", "title=J", "data.n=1"],
    &["patch", "task/j", "data.n=2"],
    &["get", "task/j"],
    &["ls"],
    &["log", "task/j"],
    &["diff", "task/j", "2..2"],
    &["blame", "task/j", "/data/n"],
    &["conflicts"],
    &["checkpoint", "task/j", "here"],
    &["tag", "add", "task/j", "first", "1"],
    &["tag", "ls", "task/j"],
    &["tag", "rm", "task/j", "first"],
    &["branch", "add", "task/j", "b"],
    &["branch", "ls", "task/j"],
    &["merge", "task/j", "b", "--dry-run"],
    &["merge", "task/j", "b"],
    &["branch", "rm", "task/j", "b"],
    &["rollback", "task/j", "1"],
    &["undo", "task/j"],
    &["schema", "add", "k", "--strategy", "merge"],
    &["schema", "ls"],
    &["schema", "show", "k", "--version", "1"],
    &["schema", "log", "k"],
    &["rules", "set", "--strategy", "merge"],
    &["rules", "show"],
    &["rules", "log"],
    &["rules", "rm"],
    &["rm", "task/j"],
    &["restore", "task/j"],
    &["watch", "--from", "snapshot", "--count", "0"],
    &["webhook", "ls"],
    &["subscription", "add", "j"],
    &["subscription", "ls"],
    &["import", "one.json"],
    &["export"],
    &["status"],
    &["stats"],
    &["compact", "--dry-run"],
    &["config"],
    &["config", "listen"],
    &["completions", "bash"],
    &["help"],
    &["help", "exit-codes"],
    &["help", "settings"],
    &["help", "put"],
];

/// Tested in files of their own.
const APART: [&str; 8] = [
    "explain",
    "settle",
    "up",
    "demo",
    "mcp",
    "verify",
    "demo-agent",
    "fixture",
];

#[test]
fn every_command_answers_in_json() {
    let node = Node::start();
    std::fs::write(node.home.dir.path().join("one.json"), r#"{"a":1}"#).unwrap();
    for call in CALLS {
        let mut arguments = call.to_vec();
        arguments.push("--json");
        let said = node.run(&arguments);
        assert_eq!(said.code, 0, "{call:?}: {said:?}");
        match call[0] {
            "export" | "watch" => said.out.lines().for_each(|line| drop(parse(line))),
            _ => drop(parse(&said.out)),
        }
    }
    let mut command = Cli::command();
    command.build();
    for name in command.get_subcommands().map(clap::Command::get_name) {
        let called = CALLS.iter().any(|call| call[0] == name) || APART.contains(&name);
        assert!(called, "{name} is not called with --json");
    }
}

#[test]
fn every_error_is_a_problem_in_json() {
    let node = Node::start();
    for (call, code) in [
        (vec!["get", "task/none"], "not_found"),
        (vec!["get", "none"], "bad_request"),
        (vec!["nonsense"], "bad_request"),
        (vec!["patch", "task/none", "a"], "bad_request"),
        (vec!["put", "task/a", "colour=red"], "invalid"),
        (vec!["diff", "task/none", "1..2"], "not_found"),
        (vec!["import", "missing.jsonl"], "bad_request"),
    ] {
        let mut arguments = call.clone();
        arguments.push("--json");
        let said = node.run(&arguments);
        assert_eq!(said.problem(), code, "{call:?}");
        assert_ne!(said.code, 0);
        assert_eq!(said.out, "");
    }
}

#[test]
fn the_tree_is_whole() {
    let mut command = Cli::command();
    command.build();
    command.clone().debug_assert();
    let nested = command
        .get_subcommands()
        .flat_map(clap::Command::get_subcommands);
    for command in command.get_subcommands().chain(nested) {
        let name = command.get_name();
        let flag = command
            .get_arguments()
            .find(|argument| argument.get_id() == "json");
        assert!(flag.is_some(), "{name} has no --json");
        let about = command.get_about().unwrap().to_string();
        assert!(about.starts_with(char::is_uppercase), "{name}: {about}");
        assert!(!about.contains('\n'), "{name}: {about}");
        let example = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(
            example.starts_with("Example") || name == "demo-agent",
            "{name} has no example"
        );
    }
}

/// What comes in pages says how to go on, and from where the log goes on behind them.
#[test]
fn what_comes_in_pages_says_how_to_go_on() {
    let node = Node::start();
    for name in ["a", "b", "c"] {
        node.ok(&["put", &format!("task/{name}")]);
        node.ok(&["subscription", "add", name]);
    }
    let json = |arguments: &[&str]| parse(&node.ok(&[arguments, &["--json"]].concat()));
    let text = |json: &Json, name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
    let count = |json: &Json, name: &str| json.get(name).unwrap().as_array().unwrap().len();
    let first = json(&["ls", "--kind", "task", "--limit", "2"]);
    let (next, cursor) = (text(&first, "next").unwrap(), text(&first, "cursor"));
    assert_eq!(count(&first, "contexts"), 2);
    assert!(cursor.is_some());
    let last = json(&["ls", "--kind", "task", "--page", &next]);
    assert_eq!(count(&last, "contexts"), 1);
    assert_eq!((text(&last, "next"), text(&last, "cursor")), (None, cursor));
    assert!(text(&json(&["ls", "--all"]), "cursor").is_some());
    // A page of one list is none of another.
    let other = node.run(&["ls", "--kind", "note", "--page", &next]);
    assert_eq!(other.code, 2, "{}", other.err);
    let log = json(&["log", "task/a", "--limit", "1"]);
    assert_eq!((count(&log, "versions"), text(&log, "next")), (1, None));
    assert_eq!(count(&json(&["subscription", "ls"]), "subscriptions"), 3);
    assert_eq!(count(&json(&["subscription", "dead", "a"]), "dead"), 0);
}
