//! `demo`: it adds up, and leaves nothing behind.

use syncline_model::json::Json;

use crate::node::{Home, parse, test_data};

fn summary(home: &Home, arguments: &[&str]) -> Json {
    let mut all = vec!["demo", "--json"];
    all.extend(arguments);
    let mut command = home.command(&all);
    let temporary = home.dir.path().join("tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    command.env("TMPDIR", &temporary);
    let said = crate::node::finish(command);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        std::fs::read_dir(&temporary).unwrap().count(),
        0,
        "the folder is gone"
    );
    parse(said.out.lines().last().unwrap())
}

fn count(summary: &Json, name: &str) -> u64 {
    summary.get(name).and_then(Json::as_u64).unwrap()
}

#[test]
fn the_scenario_adds_up() {
    let home = Home::new();
    let summary = summary(&home, &["--speed", "20"]);
    assert_eq!(summary.get("equal").and_then(Json::as_bool), Some(true));
    assert_eq!(count(&summary, "acknowledged"), 39);
    assert_eq!(count(&summary, "stored"), 39);
    assert_eq!(count(&summary, "delivered"), 39);
    assert!(
        count(&summary, "clashes") >= 1,
        "one agent meets a moved head"
    );
    assert!(count(&summary, "http") > 0 && count(&summary, "websocket") > 0);
}

#[test]
fn recorded_events_are_replayed() {
    let Some(data) = test_data() else { return };
    let home = Home::new();
    let input = data.join("agents/beads-events.jsonl.zst");
    let arguments = [
        "--input",
        input.to_str().unwrap(),
        "--agents",
        "3",
        "--speed",
        "0",
        "--limit",
        "400",
    ];
    let summary = summary(&home, &arguments);
    assert_eq!(count(&summary, "acknowledged"), 400);
    assert_eq!(count(&summary, "delivered"), 400);
}

#[test]
fn a_fault_is_noticed() {
    let home = Home::new();
    let mut command = home.command(&["demo", "--json", "--speed", "0"]);
    command
        .env("TMPDIR", home.dir.path())
        .env("SYNCLINE_TEST_FAULT", "drop_event");
    command
        .args(["--input"])
        .arg("events.jsonl")
        .args(["--limit", "200"]);
    let rows: String = (1..=120)
        .map(|n| format!("{{\"seq\":{n},\"op\":\"create\",\"context\":\"task/t{n}\",\"doc\":{{\"n\":{n}}}}}\n"))
        .collect();
    std::fs::write(home.dir.path().join("events.jsonl"), rows).unwrap();
    let said = crate::node::finish(command);
    assert_eq!(said.code, 1, "{said:?}");
    let summary = parse(said.out.lines().last().unwrap());
    assert!(
        !summary
            .get("faults")
            .unwrap()
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_file_that_cannot_be_replayed_is_told_before_anything_starts() {
    let Some(data) = test_data() else { return };
    let home = Home::new();
    let merges = data.join("merges/atom.jsonl.zst");
    let said = crate::node::finish(home.command(&["demo", "--input", merges.to_str().unwrap()]));
    assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
    assert!(said.err.contains("cannot be replayed"), "{said:?}");
    assert!(!said.err.contains("a node at"), "{said:?}");
}
