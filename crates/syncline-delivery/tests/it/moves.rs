//! Moves of contexts that have others below them: what no record tells is told by a reset, and
//! what pages were read around is read once more.

use std::collections::BTreeMap;

use syncline_api::{BulkMode, From, ResetReason, Scope, ScopeTerm};
use syncline_delivery::{Feed, FeedRequest, Item};
use syncline_engine::{Principal, TestFaults};
use syncline_model::change::{ChangeType, Effect};
use syncline_model::ids::{Address, Version};
use syncline_model::proposal::Operation;

use crate::{Node, address};

fn subtree(root: &str) -> ScopeTerm {
    ScopeTerm::Subtree(address(root))
}

fn labelled() -> ScopeTerm {
    ScopeTerm::Label([("a".to_owned(), "x".to_owned())].into())
}

async fn open(node: &Node, terms: Vec<ScopeTerm>, from: From) -> Feed {
    let request = FeedRequest::new(Scope(terms), from);
    let opened = Feed::open(node.workspace.clone(), Principal::owner(), request).await;
    opened.unwrap().0
}

async fn all_of(feed: &mut Feed) -> Vec<Item> {
    let mut items = Vec::new();
    loop {
        let page = feed.next_page(64, 1 << 20).await.unwrap();
        if page.is_empty() {
            return items;
        }
        items.extend(page);
    }
}

fn is_reset(items: &[Item]) -> bool {
    matches!(items.last(), Some(Item::Reset(ResetReason::Access)))
}

async fn create(node: &Node, context: &str, body: &str) {
    node.write(context, Operation::Create, body).await.unwrap();
}

/// A node on which `branch/b`, with a label and `task/t` below it, stands in `project/p`.
async fn with_a_child() -> Node {
    let node = Node::start(TestFaults::default()).await;
    let body = r#"{"parent":"project/p","labels":{"a":"x"}}"#;
    create(&node, "branch/b", body).await;
    create(&node, "task/t", r#"{"parent":"branch/b"}"#).await;
    node
}

/// Moves `branch/b` with its task to `project/q` and back, and says of both whether the scope's
/// readers start again.
async fn check_there_and_back(terms: Vec<ScopeTerm>, starts_again: bool) {
    let node = with_a_child().await;
    for parent in ["project/q", "project/p"] {
        let mut feed = open(&node, terms.clone(), From::Now).await;
        let body = format!(r#"{{"parent":"{parent}"}}"#);
        let moved = node.write("branch/b", Operation::Merge, &body);
        moved.await.unwrap();
        let items = all_of(&mut feed).await;
        assert_eq!(is_reset(&items), starts_again, "{parent} {terms:?}");
    }
}

#[tokio::test]
async fn p5_what_moves_with_its_parent_is_told_whatever_else_holds_the_parent() {
    let itself = || ScopeTerm::Context(address("branch/b"));
    check_there_and_back(vec![subtree("project/p")], true).await;
    check_there_and_back(vec![subtree("project/p"), itself()], true).await;
    check_there_and_back(vec![labelled(), subtree("project/p")], true).await;
    check_there_and_back(vec![itself(), labelled()], false).await;
    check_there_and_back(vec![subtree("project/p"), subtree("project/q")], false).await;
    check_there_and_back(vec![subtree("project/p"), subtree("global/main")], false).await;
    check_there_and_back(vec![subtree("branch/b")], false).await;
    check_there_and_back(vec![ScopeTerm::Workspace, subtree("project/p")], false).await;
}

/// Only `main` says where a context stands: a branch of it that moves takes nobody along.
#[tokio::test]
async fn a_branch_that_moves_resets_nobody() {
    let node = with_a_child().await;
    let terms = vec![
        subtree("project/p"),
        ScopeTerm::Inherited(address("branch/b")),
    ];
    let mut feed = open(&node, terms, From::Now).await;
    node.begin_branch("branch/b").await;
    let body = r#"{"parent":"project/q"}"#;
    node.write_branch("branch/b", body).await;
    assert!(!is_reset(&all_of(&mut feed).await));
}

/// Deletes `branch/b`, brings it back in `project/q` or where it stood, and says whether those who
/// follow either project start again.
async fn check_brought_back(node: &Node, moved: bool) {
    let begun = node.workspace.seal(&node.workspace.tail());
    let deleted = node.write("branch/b", Operation::Delete, "null");
    deleted.await.unwrap();
    let body = match moved {
        true => r#"{"parent":"project/q"}"#,
        false => r#"{"title":"again"}"#,
    };
    // An edit of what was there meets the deletion, and brings the context back.
    node.meet_deletion("branch/b", body).await;
    for project in ["project/p", "project/q"] {
        let from = From::Cursor(begun.clone());
        let mut feed = open(node, vec![subtree(project)], from).await;
        let items = all_of(&mut feed).await;
        assert_eq!(is_reset(&items), moved, "{project}");
        let restored = |item: &Item| {
            let entry = item.entry();
            entry.is_some_and(|entry| entry.change.kind == ChangeType::Restore)
        };
        let told = !moved && project == "project/p";
        assert_eq!(items.iter().any(restored), told, "{project}");
    }
}

#[tokio::test]
async fn p5_what_is_brought_back_elsewhere_takes_its_children_along() {
    check_brought_back(&with_a_child().await, true).await;
    check_brought_back(&with_a_child().await, false).await;
}

/// A child that was deleted and brought back elsewhere went from below its parent, too.
#[tokio::test]
async fn p5_a_child_that_was_brought_back_elsewhere_had_gone_with_its_parent() {
    let node = with_a_child().await;
    let mut feed = open(&node, vec![subtree("project/p")], From::Now).await;
    let body = r#"{"parent":"project/q"}"#;
    let moved = node.write("branch/b", Operation::Merge, body);
    moved.await.unwrap();
    let deleted = node.write("task/t", Operation::Delete, "null");
    deleted.await.unwrap();
    node.meet_deletion("task/t", body).await;
    assert!(is_reset(&all_of(&mut feed).await));
}

/// Reads a snapshot in pages; once `at` was read, each of the writes happens. Returns what
/// its reader holds once it read on to the tail.
async fn held_after(
    node: &Node,
    terms: Vec<ScopeTerm>,
    at: &str,
    writes: &[(&str, &str)],
) -> BTreeMap<Address, Version> {
    let mut feed = open(node, terms, From::Snapshot).await;
    let (mut held, mut over) = (BTreeMap::new(), false);
    while !over {
        for item in feed.next_page(64, 1 << 20).await.unwrap() {
            let Item::Snapshot { contexts, last, .. } = item else {
                panic!("a snapshot first")
            };
            let read = contexts.iter().any(|head| head.address.as_str() == at);
            held.extend(contexts.iter().map(|h| (h.address.clone(), h.version)));
            for (context, body) in writes.iter().filter(|_| read) {
                let written = node.write(context, Operation::Merge, body);
                written.await.unwrap();
            }
            over = last;
        }
    }
    for item in all_of(&mut feed).await {
        let Item::Change(change) = &item else {
            panic!("{item:?}")
        };
        let change = &change.entry.change;
        let known = held.get(&change.context).copied();
        if known.is_some_and(|known| known >= change.version) {
            continue;
        }
        assert!(
            matches!(change.effect, Effect::Snapshot(_)) || known == Some(change.from),
            "{} v{} is a patch, and {known:?} is held",
            change.context,
            change.version
        );
        held.insert(change.context.clone(), change.version);
    }
    held
}

#[tokio::test]
async fn p5_what_moves_between_the_subtrees_of_a_scope_is_not_left_out_of_its_snapshot() {
    let terms = || {
        vec![
            subtree("project/q"),
            ScopeTerm::Context(address("note/n")),
            subtree("project/p"),
        ]
    };
    let node = with_a_child().await;
    create(&node, "note/n", "{}").await;
    let moved = [("branch/b", r#"{"parent":"project/q"}"#)];
    let held = held_after(&node, terms(), "note/n", &moved).await;
    let names: Vec<_> = held.keys().map(Address::as_str).collect();
    let all = ["branch/b", "note/n", "project/p", "project/q", "task/t"];
    assert_eq!(names, all);
    assert_eq!(held[&address("branch/b")], Version(2));
}

#[tokio::test]
async fn p5_what_moves_from_one_label_of_a_scope_to_another_is_not_left_out_of_its_snapshot() {
    let label = |value: &str| ScopeTerm::Label([("a".to_owned(), value.to_owned())].into());
    let node = with_a_child().await;
    create(&node, "note/n", r#"{"labels":{"a":"y"}}"#).await;
    let writes = [("branch/b", r#"{"labels":{"a":"y"}}"#)];
    let terms = vec![label("y"), label("x")];
    let held = held_after(&node, terms, "note/n", &writes).await;
    let names: Vec<_> = held.keys().map(Address::as_str).collect();
    assert_eq!(names, ["branch/b", "note/n"]);
    // What is labelled as it would be found, but came with its parent to where pages were read.
    let node = with_a_child().await;
    let labels = r#"{"labels":{"a":"x"}}"#;
    node.write("task/t", Operation::Merge, labels)
        .await
        .unwrap();
    create(&node, "note/n", "{}").await;
    let terms = vec![
        subtree("project/q"),
        ScopeTerm::Context(address("note/n")),
        labelled(),
        subtree("project/p"),
    ];
    let moved = [("branch/b", r#"{"parent":"project/q"}"#)];
    let held = held_after(&node, terms, "note/n", &moved).await;
    assert!(held.contains_key(&address("task/t")), "{held:?}");
}

/// With more moves than are noted, all is read once more.
#[tokio::test]
async fn p5_a_snapshot_during_which_much_moves_is_whole() {
    let node = with_a_child().await;
    create(&node, "note/n", "{}").await;
    let names: Vec<String> = (0..1_010).map(|n| format!("note/n{n}")).collect();
    let part = |name| node.proposal(name, Operation::Create, r#"{"parent":"project/p"}"#);
    for some in names.chunks(1_000) {
        let parts = some.iter().map(|name| part(name)).collect();
        let owner = Principal::owner();
        let made = node
            .workspace
            .submit_bulk(&owner, BulkMode::Atomic, None, parts);
        made.await.unwrap();
    }
    let body = r#"{"parent":"project/q"}"#;
    let mut moved: Vec<_> = names.iter().map(|name| (name.as_str(), body)).collect();
    moved.push(("branch/b", body));
    let terms = vec![
        subtree("project/q"),
        ScopeTerm::Context(address("note/n")),
        subtree("project/p"),
    ];
    let held = held_after(&node, terms, "note/n", &moved).await;
    assert_eq!(held.len(), 1_010 + 5);
}
