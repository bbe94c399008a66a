//! Text from contexts reaches a terminal as text, never as what it would do there.

use crate::node::{Node, parse};

const HOSTILE: &str =
    "\u{1b}]0;owned\u{7}\u{1b}[31mred\u{9b}2J \u{202e}txt.exe\u{2028}next\r\nline\u{0}\u{7f}";

fn quoted(text: &str) -> String {
    syncline_model::json::Json::from(text).to_text()
}

/// Removes the colours that the program itself uses.
fn without_colours(text: &str) -> String {
    let mut text = text.to_owned();
    for code in ["0", "1", "2", "31", "32", "33", "36"] {
        text = text.replace(&format!("\u{1b}[{code}m"), "");
    }
    text
}

/// A body that clashes with what stands at each place of it.
fn clash(hostile: &str) -> String {
    format!(r#"{{"data":{{"x":{{{hostile}:1}},{hostile}:3}}}}"#)
}

#[test]
fn control_characters_never_reach_a_terminal() {
    let node = Node::start();
    let hostile = quoted(HOSTILE);
    let body = format!(
        r#"{{"title":{hostile},"description":{hostile},"labels":{{"a":{hostile}}},"data":{{"x":{hostile},{hostile}:1}}}}"#
    );
    let said = node.with_input(&["put", "task/a", "-f", "-", "-m", "why\u{1b}[2J"], &body);
    assert_eq!(said.code, 0, "{said:?}");
    let said = node.with_input(
        &["patch", "task/a", "-", "-m", "\u{202e}why"],
        &format!(r#"{{"data":{{"y":{hostile}}}}}"#),
    );
    assert_eq!(said.code, 0, "{said:?}");
    let said = node.with_input(
        &["patch", "task/a", "-", "--base", "1"],
        &format!(r#"{{"data":{{"x":[{hostile}],"y":{hostile},{hostile}:2}}}}"#),
    );
    assert_eq!(said.code, 0, "{said:?}");
    let said = node.with_input(&["patch", "task/a", "-", "--base", "1"], &clash(&hostile));
    assert_eq!(said.code, 0, "{said:?}");
    let clashes = node.run(&["conflicts", "--json"]).json();
    let clashes = clashes.get("conflicts").unwrap().as_array().unwrap();
    let ids: Vec<_> = clashes
        .iter()
        .map(|clash| clash.get("id").unwrap().as_str().unwrap())
        .collect();
    assert!(ids.len() > 1, "{ids:?}");
    for call in [
        vec!["conflicts", ids[0]],
        vec!["conflicts", ids[1]],
        vec!["conflicts", ids[1], "--plain"],
        vec!["conflicts", ids[1], "--json"],
        vec!["conflicts"],
        vec!["get", "task/a"],
        vec!["ls"],
        vec!["log", "task/a"],
        vec!["diff", "task/a", "1..2"],
        vec!["export"],
        vec!["export", "--changes"],
        vec!["watch", "--from", "snapshot", "--count", "0", "-v"],
        vec!["get", "task/a", "--json"],
        vec!["log", "task/a", "--json"],
        vec!["diff", "task/a", "1..2", "--json"],
    ] {
        for color in ["always", "never"] {
            let mut arguments = call.clone();
            arguments.extend(["--color", color]);
            let said = node.run(&arguments);
            let shown = without_colours(&format!("{}{}", said.out, said.err));
            let bad = shown
                .chars()
                .find(|c| *c != '\n' && syncline::clean::is_unsafe(*c));
            assert_eq!(bad, None, "{call:?}: {shown:?}");
            assert!(!shown.is_empty());
        }
    }
    let head = node.run(&["get", "task/a", "--json"]).json();
    assert_eq!(head.get("title").unwrap().as_str(), Some(HOSTILE));
}

#[test]
fn colours_are_for_terminals() {
    let node = Node::start();
    assert!(!node.ok(&["ls"]).contains('\u{1b}'));
    assert!(node.ok(&["ls", "--color", "always"]).contains('\u{1b}'));
    let mut command = node.command(&["get", "task/none", "--color", "always"]);
    command.env("NO_COLOR", "1");
    assert!(
        crate::node::finish(command).err.contains('\u{1b}'),
        "a flag is nearer than NO_COLOR"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let node = Node::start();
    let rows: String = (0..3_000)
        .map(|n| {
            format!(
                "{{\"context\":\"task/t{n}\",\"title\":\"{}\"}}\n",
                "x".repeat(200)
            )
        })
        .collect();
    assert_eq!(node.with_input(&["import", "-"], &rows).code, 0);
    let mut child = node.command(&["export"]).spawn().unwrap();
    let mut first = [0u8; 100];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
}

#[test]
fn lines_of_ndjson_end_at_newlines_only() {
    let node = Node::start();
    let said = node.with_input(
        &["import", "-"],
        "{\"context\":\"task/a\",\"title\":\"one\u{2028}two\u{85}three\"}\n",
    );
    assert_eq!(said.code, 0, "{said:?}");
    let exported = node.ok(&["export"]);
    let row = exported
        .lines()
        .find(|line| line.contains("task/a"))
        .map(parse)
        .unwrap();
    assert_eq!(
        row.get("title").unwrap().as_str(),
        Some("one\u{2028}two\u{85}three")
    );
}

/// Runs a command on a terminal of its own, if the machine can make one.
fn on_a_terminal(node: &Node, arguments: &[&str], variables: &[(&str, &str)]) -> Option<String> {
    let command = node.command(arguments);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted: Vec<_> = words
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let mut script = std::process::Command::new("script");
    script
        .args(["-qec", &quoted.join(" "), "/dev/null"])
        .stdin(std::process::Stdio::null());
    script
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .env("HOME", node.home.dir.path())
        .envs(variables.iter().copied());
    script
        .output()
        .ok()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_terminal_gets_colours_and_pages_unless_told_otherwise() {
    let node = Node::start();
    node.ok(&["put", "task/a", "title=\u{1b}[31mA"]);
    let Some(shown) = on_a_terminal(&node, &["ls"], &[]) else {
        return;
    };
    assert!(
        shown.contains("\u{1b}[36mtask/a") && shown.contains("\\u{1b}[31mA"),
        "{shown:?}"
    );
    for plain in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let shown = on_a_terminal(&node, &["ls"], &[plain]).unwrap();
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
    let paged = on_a_terminal(&node, &["log", "task/a"], &[("PAGER", "sed s/^/paged:/")]).unwrap();
    assert!(paged.starts_with("paged:●"), "{paged:?}");
    let plain = on_a_terminal(
        &node,
        &["log", "task/a", "--plain"],
        &[("PAGER", "sed s/^/paged:/")],
    )
    .unwrap();
    assert!(plain.starts_with('●'), "{plain:?}");
}
