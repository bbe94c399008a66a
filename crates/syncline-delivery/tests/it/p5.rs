//! P5: whoever drops and resumes gets each change once, in order, or a reset.

use std::collections::BTreeMap;

use syncline_api::{Scope, ScopeTerm};
use syncline_engine::{Principal, TestFaults};
use syncline_model::ids::{Address, Version};
use syncline_model::json::Json;
use syncline_rules::place_in;
use syncline_store::{ContextList, ListQuery, Sort};

use crate::follower::Follower;
use crate::{Dice, Node, address};

fn scopes() -> Vec<Scope> {
    let label = || ScopeTerm::Label([("area".to_owned(), "auth".to_owned())].into());
    let subtree = |root| ScopeTerm::Subtree(address(root));
    vec![
        Scope::workspace(),
        Scope(vec![
            ScopeTerm::Context(address("task/t1")),
            ScopeTerm::Context(address("task/t2")),
        ]),
        Scope(vec![subtree("project/p")]),
        Scope(vec![label(), subtree("project/q")]),
        Scope(vec![
            subtree("project/p"),
            ScopeTerm::Context(address("branch/b")),
        ]),
        Scope(vec![subtree("project/q"), label(), subtree("project/p")]),
        Scope(vec![ScopeTerm::Inherited(address("task/t3"))]),
    ]
}

/// Returns what a scope holds, by reading everything.
pub async fn held_by(node: &Node, scope: &Scope) -> BTreeMap<Address, (Version, Json)> {
    let query = ListQuery {
        contexts: ContextList::default(),
        sort: Sort::default(),
        after: None,
        limit: 1_000,
        bodies: true,
    };
    let page = node
        .workspace
        .list(&Principal::owner(), query)
        .await
        .unwrap();
    let mut lines = Vec::new();
    for term in &scope.0 {
        if let ScopeTerm::Inherited(context) = term {
            let head = node.workspace.head_if_any(context).await.unwrap();
            lines.push(match head {
                Some(head) => node
                    .workspace
                    .place(&head)
                    .await
                    .unwrap()
                    .ancestors
                    .to_vec(),
                None => Vec::new(),
            });
        }
    }
    let mut held = BTreeMap::new();
    for head in page.heads {
        let place = node.workspace.place(&head).await.unwrap();
        if place_in(scope, &lines, &head.address, &place) {
            held.insert(
                head.address.clone(),
                (head.version, head.document.to_json()),
            );
        }
    }
    held
}

/// Runs writers and followers from a seed, and returns what was wrong.
async fn run(seed: u64, faults: TestFaults) -> Vec<String> {
    let node = Node::start(faults).await;
    let mut dice = Dice(seed);
    let mut followers: Vec<_> = scopes().into_iter().map(Follower::new).collect();
    for _ in 0..150 {
        node.act(&mut dice).await;
        for follower in &mut followers {
            if dice.roll(4) == 0 {
                follower.follow(&node, &mut dice).await;
            }
        }
    }
    let mut wrong = Vec::new();
    for follower in &mut followers {
        for _ in 0..200 {
            follower.follow(&node, &mut dice).await;
        }
        wrong.append(&mut follower.wrong());
        let truth = held_by(&node, &follower.scope).await;
        if follower.held != truth {
            let held: Vec<_> = follower
                .held
                .iter()
                .map(|(a, (v, _))| format!("{a} v{v}"))
                .collect();
            let right: Vec<_> = truth
                .iter()
                .map(|(a, (v, _))| format!("{a} v{v}"))
                .collect();
            wrong.push(format!(
                "{:?} holds {held:?} and should hold {right:?}",
                follower.scope
            ));
        }
    }
    wrong
}

#[tokio::test]
async fn p5_followers_that_drop_and_resume_end_with_the_truth() {
    for seed in 0..100 {
        let wrong = run(seed, TestFaults::default()).await;
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    }
}

async fn caught(faults: TestFaults) -> usize {
    let mut caught = 0;
    for seed in 0..20 {
        caught += usize::from(!run(seed, faults).await.is_empty());
    }
    caught
}

#[tokio::test]
async fn p5_a_dropped_event_is_caught() {
    let faults = TestFaults {
        drop_event: true,
        ..TestFaults::default()
    };
    assert!(caught(faults).await >= 10);
}

#[tokio::test]
async fn p5_going_live_before_listening_is_caught() {
    let faults = TestFaults {
        live_before_listen: true,
        ..TestFaults::default()
    };
    assert!(caught(faults).await >= 5);
}
