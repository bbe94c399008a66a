//! The router: it rings those alone who may want to hear, and nothing gets lost on the way.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use syncline_api::{Filters, From, Scope, ScopeTerm};
use syncline_delivery::{Feed, FeedRequest, Item, Router};
use syncline_engine::{Principal, TestFaults};
use syncline_model::ids::{Address, Seq, Version};
use syncline_model::json::Pointer;
use syncline_model::proposal::Operation;
use tokio::sync::Notify;

use crate::{Node, address, json};

struct Listener {
    feed: Feed,
    bell: Arc<Notify>,
}

impl Listener {
    async fn open(node: &Node, router: &Router, scope: ScopeTerm, filter: &str) -> Listener {
        let request = FeedRequest {
            filter: Filters::read(&json(filter), &Pointer::root()).unwrap(),
            ..FeedRequest::new(Scope(vec![scope]), From::Now)
        };
        let owner = Principal::owner();
        let opened = Feed::open(node.workspace.clone(), owner, request);
        let (mut feed, _) = opened.await.unwrap();
        let bell = Arc::new(Notify::new());
        router.follow(&mut feed, &bell);
        // New ones read the log first.
        assert!(feed.next_page(10, 1 << 20).await.unwrap().is_empty());
        Listener { feed, bell }
    }

    fn is_rung(&self) -> bool {
        self.bell.notified().now_or_never().is_some()
    }

    async fn read_all(&mut self) -> Vec<Item> {
        let mut all = Vec::new();
        loop {
            let items = self.feed.next_page(64, 1 << 20).await.unwrap();
            if items.is_empty() && !self.feed.is_hungry() {
                return all;
            }
            all.extend(items);
        }
    }
}

/// Lets the router's task go on.
async fn routed() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn changes(items: &[Item]) -> Vec<(Address, Version)> {
    let change = |item: &Item| match item {
        Item::Change(change) => {
            let change = &change.entry.change;
            Some((change.context.clone(), change.version))
        }
        _ => None,
    };
    items.iter().filter_map(change).collect()
}

#[tokio::test]
async fn only_those_are_woken_who_may_want_to_hear() {
    let node = Node::start(TestFaults::default()).await;
    let router = Router::default();
    let mut listeners = Vec::new();
    for n in 0..200 {
        let scope = ScopeTerm::Context(address(&format!("task/t{n}")));
        listeners.push(Listener::open(&node, &router, scope, "[]").await);
    }
    let kind = r#"{"exact":{"kind":"note"}}"#;
    let mut notes = Listener::open(&node, &router, ScopeTerm::Workspace, kind).await;
    for (context, expected) in [
        ("task/t7", vec![7]),
        ("note/n", vec![]),
        ("task/t9", vec![9]),
    ] {
        node.write(context, Operation::Create, "{}").await.unwrap();
        routed().await;
        let rung = |(n, listener): (usize, &Listener)| listener.is_rung().then_some(n);
        let rung: Vec<_> = listeners.iter().enumerate().filter_map(rung).collect();
        assert_eq!(rung, expected, "{context}");
        assert_eq!(notes.is_rung(), context == "note/n");
    }
    assert_eq!(
        changes(&notes.read_all().await),
        [(address("note/n"), Version(1))]
    );
    assert_eq!(
        changes(&listeners[7].read_all().await),
        [(address("task/t7"), Version(1))]
    );
    assert!(!listeners[8].feed.is_hungry());
    // Who heard nothing is as far as all others, once it is asked.
    listeners[8].feed.pass_over();
    assert_eq!(listeners[8].feed.behind(), 0);
}

#[tokio::test]
async fn a_feed_that_takes_everything_listens_to_the_tail() {
    let node = Node::start(TestFaults::default()).await;
    let router = Router::default();
    let mut all = Listener::open(&node, &router, ScopeTerm::Workspace, "[]").await;
    assert!(all.feed.takes_everything());
    node.write("task/a", Operation::Create, "{}").await.unwrap();
    routed().await;
    assert!(!all.is_rung() && all.feed.is_hungry());
    assert_eq!(changes(&all.read_all().await).len(), 1);
}

/// A queue that overflowed is made good by the log, in order and without a double.
#[tokio::test]
async fn p5_an_overflowed_queue_falls_back_to_the_log() {
    let node = Node::start(TestFaults::default()).await;
    let router = Router::default();
    let scope = ScopeTerm::Context(address("task/a"));
    let mut listener = Listener::open(&node, &router, scope, "[]").await;
    let total = 4_096 + 300;
    for n in 0..total {
        let body = format!(r#"{{"data":{{"n":{n}}}}}"#);
        node.write("task/a", Operation::Merge, &body).await.unwrap();
    }
    routed().await;
    let items = listener.read_all().await;
    assert!(items.iter().any(|item| matches!(item, Item::Lagging)));
    let versions: Vec<_> = changes(&items)
        .iter()
        .map(|(_, version)| version.0)
        .collect();
    assert_eq!(versions, (1..=total).collect::<Vec<_>>());
    node.write("task/a", Operation::Merge, r#"{"title":"T"}"#)
        .await
        .unwrap();
    routed().await;
    assert!(listener.is_rung());
    assert_eq!(changes(&listener.read_all().await).len(), 1);
}

/// What a slow reader has waiting becomes one by context, once its queue is half full.
#[tokio::test]
async fn a_slow_readers_queue_becomes_less() {
    let node = Node::start(TestFaults::default()).await;
    let router = Router::default();
    let mut listener = Listener::open(&node, &router, ScopeTerm::Workspace, "[]").await;
    for n in 0..2_100 {
        let body = format!(r#"{{"data":{{"n":{n}}}}}"#);
        let context = format!("task/t{}", n % 3);
        node.write(&context, Operation::Merge, &body).await.unwrap();
    }
    listener.feed.note_slow_reader();
    let items = listener.read_all().await;
    let told = changes(&items);
    assert!(told.len() < 40, "{}", told.len());
    let newest: BTreeSet<_> = told.iter().rev().take(3).cloned().collect();
    let expected = (0..3).map(|n| (address(&format!("task/t{n}")), Version(700)));
    assert_eq!(newest, expected.collect());
    let seqs: Vec<Seq> = items
        .iter()
        .filter_map(|item| match item {
            Item::Change(change) => Some(change.entry.seq),
            _ => None,
        })
        .collect();
    assert_eq!(seqs.iter().max(), Some(&node.workspace.tail().seq));
    // Then it is as before.
    for _ in 0..2 {
        node.write("task/t0", Operation::Merge, r#"{"title":"T"}"#)
            .await
            .unwrap();
        node.write("task/t0", Operation::Merge, r#"{"title":"U"}"#)
            .await
            .unwrap();
    }
    assert_eq!(changes(&listener.read_all().await).len(), 4);
}
