//! Bad input: each gets a precise error or a bounded wait, nothing is changed, nothing panics, and
//! the node goes on.

pub mod corpus;
mod http;
mod limits;
mod mcp;
mod slow;
mod socket;
mod strings;

use syncline_model::json::Json;
use syncline_testkit::node::assert_no_panic;
use syncline_testkit::raw::{self, Answer};
use syncline_testkit::{Access, Node, NodeOptions};

/// A node that must not change.
struct Still {
    node: Node,
    records: u64,
}

impl Still {
    /// Starts a node with one context, `task/there`.
    async fn start() -> Still {
        Still::start_with(NodeOptions::default()).await
    }

    async fn start_with(options: NodeOptions) -> Still {
        let node = Node::start(options).await.unwrap();
        let body = br#"{"title":"T","data":{"n":1,"list":[1,2]}}"#;
        let made = raw::send(
            node.access(),
            "PUT",
            "/v1/contexts/task/there",
            &[JSON],
            body,
        )
        .await;
        assert_eq!(made.unwrap().status, 201);
        let records = records(&node).await;
        Still { node, records }
    }

    fn access(&self) -> &Access {
        self.node.access()
    }

    /// The node answers, nothing was written, nothing panicked.
    async fn check(&self, after: &str) {
        assert_eq!(
            records(&self.node).await,
            self.records,
            "after {after} something was written"
        );
        assert_no_panic(&self.node);
    }

    /// From now on, what has been written counts as there.
    async fn settle(&mut self) {
        self.records = records(&self.node).await;
    }
}

const JSON: &str = "Content-Type: application/json";
const MERGE: &str = "Content-Type: application/merge-patch+json";
const PATCH: &str = "Content-Type: application/json-patch+json";

async fn records(node: &Node) -> u64 {
    let stats = node.http().stats().await.expect("the node answers");
    stats
        .get("records")
        .and_then(Json::as_u64)
        .expect("stats count the records")
}

/// A refusal is a problem with a code, a detail, and no word about our insides.
fn assert_problem(answer: &Answer, statuses: &[u16], code: &str, case: &str) {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(
        statuses.contains(&answer.status),
        "{case}: {} {text}",
        answer.status
    );
    assert!(
        answer.head.contains("application/problem+json"),
        "{case}: {}",
        answer.head
    );
    let problem = answer
        .json()
        .unwrap_or_else(|| panic!("{case}: no JSON: {text}"));
    let member = |name: &str| {
        problem
            .get(name)
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(member("code"), code, "{case}: {text}");
    assert!(!member("detail").is_empty(), "{case}: {text}");
    assert!(!text.contains(".rs:"), "{case}: {text}");
    assert!(
        text.len() < 20_000,
        "{case}: an error of {} bytes",
        text.len()
    );
}
