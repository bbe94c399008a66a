//! Branches in feeds: snapshots show `main`, so another line comes whole first.

use syncline_api::{From, Scope};
use syncline_delivery::{Digester, Feed, FeedRequest, Item};
use syncline_engine::{Principal, TestFaults};
use syncline_model::ids::BranchName;
use syncline_model::json::Json;
use syncline_model::proposal::Operation;

use crate::{Node, address, json};

async fn write(node: &Node, n: u32) {
    let body = format!(r#"{{"data":{{"n":{n}}}}}"#);
    node.write_branch("task/t", &body).await;
}

/// A node with a branch of `task/t` that was written.
async fn with_a_branch() -> Node {
    let node = Node::start(TestFaults::default()).await;
    node.write("task/t", Operation::Create, "{}").await.unwrap();
    node.begin_branch("task/t").await;
    write(&node, 1).await;
    node
}

async fn open(node: &Node, from: From) -> Feed {
    let request = FeedRequest::new(Scope::workspace(), from);
    let opened = Feed::open(node.workspace.clone(), Principal::owner(), request).await;
    opened.unwrap().0
}

/// Returns how the changes of a page are encoded.
async fn forms(feed: &mut Feed) -> Vec<String> {
    let items = feed.next_page(64, 1 << 20).await.unwrap();
    let form = |item: &Item| match item {
        Item::Change(change) => {
            let shown = json(change.body());
            shown.get("enc").and_then(Json::as_str).map(str::to_owned)
        }
        _ => None,
    };
    items.iter().filter_map(form).collect()
}

#[tokio::test]
async fn p5_a_branch_comes_whole_after_a_snapshot() {
    let node = with_a_branch().await;
    let mut feed = open(&node, From::Snapshot).await;
    while let Some(Item::Snapshot { last: false, .. }) =
        feed.next_page(64, 1 << 20).await.unwrap().first()
    {}
    let cursor = feed.cursor();
    write(&node, 3).await;
    write(&node, 4).await;
    let body = r#"{"data":{"n":9}}"#;
    node.write("task/t", Operation::Merge, body).await.unwrap();
    assert_eq!(forms(&mut feed).await, ["snapshot", "patch", "patch"]);
    // Its cursor does not tell from what it goes on.
    let mut again = open(&node, From::Cursor(cursor)).await;
    assert_eq!(forms(&mut again).await, ["snapshot", "patch", "patch"]);
    // A reader that asks for the branch holds it.
    let mut asked = open(&node, From::Now).await;
    let line = address("task/t").line(BranchName::parse("try").ok().as_ref());
    let head = node.workspace.head_if_any(&line).await.unwrap().unwrap();
    asked.note_shown(&head);
    write(&node, 5).await;
    assert_eq!(forms(&mut asked).await, ["patch"]);
}

#[tokio::test]
async fn p5_a_digest_shows_a_branch_whole() {
    let node = with_a_branch().await;
    let cursor = node.workspace.seal(&node.workspace.tail());
    write(&node, 3).await;
    let request = FeedRequest::new(Scope::workspace(), From::Cursor(cursor));
    let owner = Principal::owner();
    let digester = Digester::new(node.workspace.clone(), owner, &request).unwrap();
    let digest = digester.digest(request, 10_000, usize::MAX).await.unwrap();
    let shown = json(&digest.fitting.contexts[0]);
    let n = shown.get("snapshot").and_then(|s| s.get("data")?.get("n"));
    assert_eq!(n, Some(&Json::from(3u64)), "{shown:?}");
}
