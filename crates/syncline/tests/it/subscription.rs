//! `subscription` from the command line.

use syncline_model::json::Json;

use crate::node::Node;

#[test]
fn next_acknowledges_what_it_shows_and_nothing_else() {
    let node = Node::start();
    let filter = r#"{"exact":{"kind":"task"}}"#;
    node.ok(&["subscription", "add", "ci", "--filter", filter]);
    for name in ["task/a", "task/b", "task/c"] {
        node.ok(&["put", name, "data.n=1"]);
    }
    let next = ["subscription", "next", "ci", "--limit", "1"];
    assert!(node.ok(&next).contains("task/a"));
    // Somebody else takes the next and is done with it; the first is still in hand.
    assert!(
        node.ok(&[&next[..], &["--ack"]].concat())
            .contains("task/b")
    );
    let shown = node.run(&["subscription", "show", "ci", "--json"]).json();
    let number = |name: &str| shown.get(name).and_then(Json::as_u64);
    assert_eq!((number("in_flight"), number("acked")), (Some(1), Some(1)));
}

#[test]
fn where_it_begins_is_read_as_everywhere() {
    let node = Node::start();
    node.ok(&["put", "task/a", "data.n=1"]);
    node.ok(&["subscription", "add", "ci", "task/a", "--from", "2h"]);
    assert!(node.ok(&["subscription", "next", "ci"]).contains("task/a"));
    let said = node.run(&["subscription", "add", "ci", "--from", "2199-01-01"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("in the future"), "{}", said.err);
    let said = node.run(&["subscription", "add", "ci", "--from", "snapshot"]);
    assert_eq!(said.code, 2, "{said:?}");
}
