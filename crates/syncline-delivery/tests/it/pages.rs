//! Pages: bulks are whole, limits hold, and an ended feed stays ended.

use syncline_api::{BulkMode, From, Mode, ResetReason, Scope, ScopeTerm};
use syncline_delivery::{Feed, FeedRequest, Item};
use syncline_engine::{Principal, TestFaults};
use syncline_model::proposal::Operation;

use crate::{Node, address};

fn request(scope: Scope, from: From) -> FeedRequest {
    FeedRequest {
        scope,
        mode: Mode::Delta,
        from,
        exclude_self: None,
        old: false,
    }
}

async fn open(node: &Node, scope: Scope, from: From) -> Feed {
    let owner = Principal::owner();
    Feed::open(node.workspace.clone(), owner, request(scope, from))
        .await
        .unwrap()
        .0
}

fn words(items: &[Item]) -> Vec<&'static str> {
    let word = |item: &Item| match item {
        Item::Snapshot { .. } => "snapshot",
        Item::Change(_) => "change",
        Item::Enter { .. } => "enter",
        Item::Leave { .. } => "leave",
        Item::Begin { .. } => "begin",
        Item::End { .. } => "end",
        Item::Lagging => "lagging",
        Item::Reset(_) => "reset",
    };
    items.iter().map(word).collect()
}

#[tokio::test]
async fn a_bulk_is_one_push_whatever_the_limit() {
    let node = Node::start(TestFaults::default()).await;
    let mut feed = open(&node, Scope::workspace(), From::Now).await;
    let part = |n: u32| node.proposal(&format!("task/t{n}"), Operation::Create, "{}");
    let parts = (0..5).map(part).collect();
    let owner = Principal::owner();
    node.workspace
        .submit_bulk(&owner, BulkMode::Atomic, None, parts)
        .await
        .unwrap();
    node.write("task/after", Operation::Create, "{}")
        .await
        .unwrap();
    let items = feed.next_page(2, 1 << 20).await.unwrap();
    assert_eq!(
        words(&items),
        [
            "begin", "change", "change", "change", "change", "change", "end"
        ]
    );
    let parts = items.iter().filter_map(|item| match item {
        Item::Change(change) => Some(change.body.contains("\"cursor\"")),
        _ => None,
    });
    let parts = parts.collect::<Vec<_>>();
    assert_eq!(parts, [false; 5], "the parts carry no cursor, the end does");
    assert_eq!(
        words(&feed.next_page(2, 1 << 20).await.unwrap()),
        ["change"]
    );
    assert!(feed.next_page(2, 1 << 20).await.unwrap().is_empty());
}

#[tokio::test]
async fn contexts_enter_and_leave_a_scope() {
    let node = Node::start(TestFaults::default()).await;
    node.write("task/a", Operation::Create, r#"{"parent":"project/p"}"#)
        .await
        .unwrap();
    let scope = || Scope(vec![ScopeTerm::Subtree(address("project/p"))]);
    let mut feed = open(&node, scope(), From::Now).await;
    for (body, wanted) in [
        (r#"{"data":{"n":1}}"#, "change"),
        (r#"{"parent":"project/q"}"#, "leave"),
        (r#"{"parent":"project/p"}"#, "enter"),
        (r#"{"title":"x"}"#, "change"),
    ] {
        node.write("task/a", Operation::Merge, body).await.unwrap();
        assert_eq!(
            words(&feed.next_page(10, 1 << 20).await.unwrap()),
            [wanted],
            "{body}"
        );
    }
    node.write("task/a", Operation::Merge, r#"{"parent":"project/q"}"#)
        .await
        .unwrap();
    node.write("task/a", Operation::Merge, r#"{"title":"outside"}"#)
        .await
        .unwrap();
    assert_eq!(
        words(&feed.next_page(10, 1 << 20).await.unwrap()),
        ["leave"]
    );
}

#[tokio::test]
async fn moving_a_context_with_children_resets_what_it_touches() {
    let node = Node::start(TestFaults::default()).await;
    node.write("note/n", Operation::Create, r#"{"parent":"project/p"}"#)
        .await
        .unwrap();
    node.write("note/child", Operation::Create, r#"{"parent":"note/n"}"#)
        .await
        .unwrap();
    let scope = Scope(vec![ScopeTerm::Subtree(address("project/p"))]);
    let mut touched = open(&node, scope, From::Now).await;
    let other = Scope(vec![ScopeTerm::Context(address("note/child"))]);
    let mut untouched = open(&node, other, From::Now).await;
    node.write("note/n", Operation::Merge, r#"{"parent":"project/q"}"#)
        .await
        .unwrap();
    let items = touched.next_page(10, 1 << 20).await.unwrap();
    assert!(matches!(items[..], [Item::Reset(ResetReason::Access)]));
    assert!(touched.next_page(10, 1 << 20).await.unwrap().is_empty());
    assert!(untouched.next_page(10, 1 << 20).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lost_place_begins_with_a_snapshot_and_the_reason() {
    let node = Node::start(TestFaults::default()).await;
    let other = Node::start(TestFaults::default()).await;
    let cursor = node.workspace.seal(&node.workspace.tail());
    let owner = Principal::owner();
    let foreign = request(Scope::workspace(), From::Cursor(cursor.clone()));
    let refused = Feed::open(other.workspace.clone(), owner.clone(), foreign).await;
    assert!(refused.is_err(), "another node's cursor is no cursor here");

    let mut lost = node.workspace.tail();
    lost.seq = syncline_model::ids::Seq(1_000);
    let from = From::Cursor(node.workspace.seal(&lost));
    let (mut feed, opening) = Feed::open(
        node.workspace.clone(),
        owner,
        request(Scope::workspace(), from),
    )
    .await
    .unwrap();
    assert_eq!(
        (opening.recovered, opening.reason),
        (false, Some(ResetReason::Rewound))
    );
    assert_eq!(
        words(&feed.next_page(10, 1 << 20).await.unwrap()),
        ["snapshot"]
    );
}
