//! Coalescing and places: whoever resumes where something was held back can use what it gets.

use std::time::Duration;

use syncline_api::{From, Scope, ScopeTerm};
use syncline_delivery::{Feed, FeedRequest, Item};
use syncline_engine::{Principal, TestFaults};
use syncline_model::proposal::{Operation, Priority};

use crate::{Node, address};

async fn coalescing(node: &Node, from: From) -> Feed {
    let scope = Scope(vec![ScopeTerm::Subtree(address("project/p"))]);
    let request = FeedRequest {
        coalesce: Some(Duration::from_secs(60)),
        ..FeedRequest::new(scope, from)
    };
    let opened = Feed::open(node.workspace.clone(), Principal::owner(), request).await;
    opened.unwrap().0
}

/// What is told again of a context that left meanwhile stands alone: its reader let the context go.
#[tokio::test]
async fn p5_what_comes_again_after_a_context_left_stands_alone() {
    let node = Node::start(TestFaults::default()).await;
    let write = async |context, operation, body: &str, priority| {
        let mut proposal = node.proposal(context, operation, body);
        proposal.priority = Priority::new(priority).unwrap();
        let owner = Principal::owner();
        node.workspace.submit(&owner, proposal).await.unwrap();
    };
    let inside = r#"{"parent":"project/p","data":{"n":0}}"#;
    write("task/waits", Operation::Create, inside, 3).await;
    write("task/leaves", Operation::Create, inside, 3).await;
    let mut feed = coalescing(&node, From::Now).await;
    // The first is held back; of the second all is told at once.
    let written = r#"{"data":{"n":1}}"#;
    write("task/waits", Operation::Merge, written, 3).await;
    write("task/leaves", Operation::Merge, written, 1).await;
    let away = r#"{"parent":"global/main"}"#;
    write("task/leaves", Operation::Merge, away, 3).await;
    let items = feed.next_page(9, 1 << 20).await.unwrap();
    let [Item::Change(told), Item::Leave { cursor, .. }] = &items[..] else {
        panic!("{items:?}")
    };
    assert!(told.body().contains(r#""enc":"patch""#), "{}", told.body());
    let cursor = cursor.clone().unwrap();
    assert_eq!(told.cursor(), Some(cursor.as_str()));

    let mut again = coalescing(&node, From::Cursor(cursor)).await;
    let items = again.next_page(9, 1 << 20).await.unwrap();
    let [Item::Change(told), Item::Leave { .. }] = &items[..] else {
        panic!("{items:?}")
    };
    assert!(
        told.body().contains(r#""enc":"snapshot""#),
        "{}",
        told.body()
    );
}
