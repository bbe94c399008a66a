//! `explain delivery`: what an answer rests on, for a person too.

use syncline_model::json::Json;

use crate::node::Node;

fn delivered(node: &Node, consumer: &str) -> String {
    let next = [
        "subscription",
        "next",
        "ci",
        "--consumer",
        consumer,
        "--json",
    ];
    let given = node.run(&next).json();
    let deliveries = given.get("deliveries").unwrap().as_array().unwrap();
    let cursor = deliveries[0].get("cursor").and_then(Json::as_str);
    cursor.unwrap().to_owned()
}

#[test]
fn clauses_rule_queue_and_dead_letters_are_shown() {
    let node = Node::start();
    node.ok(&[
        "subscription",
        "add",
        "ci",
        "--filter",
        r#"{"exact":{"kind":"task","state":"done"}}"#,
        "--max-deliveries",
        "1",
    ]);
    node.ok(&["put", "task/a", "data.n=1"]);
    node.ok(&["patch", "task/a", "state=done"]);
    let log = node.run(&["log", "task/a", "--json"]).json();
    let versions = log.get("versions").unwrap().as_array().unwrap();
    let id = |at: usize| versions[at].get("id").unwrap().as_str().unwrap();
    let explain = |at: usize| {
        let explain = ["explain", "delivery", id(at), "--subscription", "ci"];
        node.ok(&explain)
    };
    let check = |told: &str, lines: &[&str]| {
        for line in lines {
            assert!(told.contains(line), "{line:?} in {told}");
        }
    };
    check(
        &explain(1),
        &[
            "not wanted  the filter does not let it pass",
            "\n  scope         holds  [{\"workspace\":true}]\n",
            "\n  filter        fails  ",
            "{\"exact\":{\"kind\":\"task\"}}",
            "\n  rule          the owner reads everything\n",
        ],
    );
    let cursor = delivered(&node, "x");
    check(
        &explain(0),
        &[
            "wanted      a consumer has it",
            "\n  filter        holds  ",
            "\n  queue         in_flight, attempts 1, ",
            "consumer x",
            "\n  acknowledged  no\n",
        ],
    );
    let nack = [
        "subscription",
        "nack",
        "ci",
        &cursor,
        "--reason",
        "it hurts",
    ];
    node.ok(&nack);
    check(
        &explain(0),
        &[
            "it was given up: see the dead letter",
            "\n  queue         dead\n",
            "\n  acknowledged  no\n",
            "\n  dead letter   ",
            "reason it hurts",
        ],
    );
    let status = node.ok(&["status"]);
    let dead = "   1 dead letter   subscription ci: 1\n";
    assert!(status.contains(dead), "{status}");
}

#[test]
fn live_subscriptions_are_called_by_their_connection_too() {
    let node = Node::start();
    let put = node.run(&["put", "task/a", "data.n=1", "--json"]).json();
    let change = put.get("change_id").and_then(Json::as_str).unwrap();
    let mut watch = node.command(&["watch"]);
    let mut watch = watch
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    let live = loop {
        let stats = node.run(&["stats", "--json"]).json();
        let live = stats.get("delivery").unwrap().get("live").unwrap().clone();
        if let Some(live) = live.as_array().unwrap().first() {
            break live.clone();
        }
        assert!(begun.elapsed() < crate::node::PATIENCE, "nobody watches");
    };
    let (stats, told) = (
        node.ok(&["stats"]),
        node.ok(&["explain", "delivery", change]),
    );
    watch.kill().unwrap();
    watch.wait().unwrap();
    let name = |name: &str| live.get(name).unwrap().as_str().unwrap().to_owned();
    let called = format!("{} of connection {} ", name("sub"), name("connection"));
    assert!(stats.contains(&called), "{stats}");
    let called = format!("live subscription {called}");
    assert!(told.contains(&called), "{told}");
}
