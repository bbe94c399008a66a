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
}
