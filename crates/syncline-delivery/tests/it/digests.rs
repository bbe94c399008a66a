//! Digests: whoever applies them in turn holds what there is.

use std::collections::BTreeMap;

use syncline_api::{BulkMode, From, Scope, ScopeTerm};
use syncline_delivery::{Digester, Exclude, FeedRequest};
use syncline_engine::{Principal, TestFaults};
use syncline_merge::{ApplyLimits, Patch};
use syncline_model::ids::{Address, Name, PrincipalId, Version};
use syncline_model::json::{Json, Limits, Pointer};
use syncline_model::proposal::Operation;

use crate::p5::held_by;
use crate::{Dice, Node, address, json};

/// What a reader of digests holds, by the line of each context.
type Held = BTreeMap<Address, (Version, Json)>;

fn apply(held: &mut Held, text: &str, thin: &mut bool) {
    let item = Json::parse(text.as_bytes(), &Limits::default()).unwrap();
    let word = |name: &str| item.get(name).and_then(Json::as_str);
    let line = address(word("context").unwrap());
    let number = |name: &str| Version(item.get(name).unwrap().as_u64().unwrap());
    match (word("type").unwrap(), word("enc")) {
        ("delete" | "leave", _) => drop(held.remove(&line)),
        (_, Some("snapshot")) => {
            let document = item.get("snapshot").unwrap().clone();
            held.insert(line, (number("version"), document));
        }
        (_, Some("patch")) => {
            let (version, before) = held.get(&line).unwrap_or_else(|| panic!("{line}: {text}"));
            assert_eq!(*version, number("from"), "{text}");
            let patch = Patch::from_json(item.get("patch").unwrap(), &Pointer::root(), usize::MAX);
            let limits = ApplyLimits {
                depth_max: 200,
                weight_max: usize::MAX,
            };
            let after = patch.unwrap().apply(before, &limits).unwrap();
            held.insert(line, (number("version"), after));
        }
        (_, Some("thin")) => *thin = true,
        other => panic!("{other:?}"),
    }
}

async fn run(seed: u64, scope: Scope, budget_bytes: usize) {
    let mut dice = Dice(seed);
    let node = Node::start(TestFaults::default()).await;
    let owner = Principal::owner();
    let mut held = Held::new();
    let mut from = From::Start;
    for _ in 0..30 {
        for _ in 0..=dice.roll(8) {
            node.act(&mut dice).await;
        }
        loop {
            let request = FeedRequest::new(scope.clone(), from.clone());
            let digester = Digester::new(node.workspace.clone(), owner.clone(), &request).unwrap();
            let digest = match digester.digest(request, budget_bytes, usize::MAX).await {
                Ok(digest) => digest,
                // Others moved with a context: the reader starts again.
                Err(_) => {
                    held = held_by(&node, &scope).await;
                    from = From::Cursor(node.workspace.seal(&node.workspace.tail()));
                    continue;
                }
            };
            let mut thin = false;
            digest
                .fitting
                .contexts
                .iter()
                .for_each(|text| apply(&mut held, text, &mut thin));
            let bytes: usize = digest.fitting.contexts.iter().map(String::len).sum();
            assert!(
                bytes <= budget_bytes || digest.fitting.changes == 1 || thin,
                "{bytes} bytes"
            );
            assert!(!thin, "what is small fits");
            from = From::Cursor(digest.cursor);
            if !digest.more {
                break;
            }
        }
        assert_eq!(held, held_by(&node, &scope).await, "seed {seed}");
    }
}

#[tokio::test]
async fn p5_digests_that_are_applied_give_the_heads() {
    let scopes = [
        Scope::workspace(),
        Scope(vec![ScopeTerm::Context(address("task/t1"))]),
        Scope(vec![ScopeTerm::Subtree(address("project/p"))]),
    ];
    for seed in 0..4 {
        for scope in &scopes {
            for budget_bytes in [4_000, 1 << 20] {
                run(seed, scope.clone(), budget_bytes).await;
            }
        }
    }
}

#[tokio::test]
async fn a_bulk_that_is_larger_than_the_budget_is_told_in_few_words() {
    let node = Node::start(TestFaults::default()).await;
    let owner = Principal::owner();
    let tail = node.workspace.seal(&node.workspace.tail());
    let proposals: Vec<_> = (0..50)
        .map(|n| {
            let body = format!(r#"{{"data":{{"n":{n}}}}}"#);
            let context = format!("task/t{}", n % 5);
            let mut proposal = node.proposal(&context, Operation::Merge, &body);
            proposal.create = true;
            proposal
        })
        .collect();
    let mode = BulkMode::Independent;
    let written = node.workspace.submit_bulk(&owner, mode, None, proposals);
    written.await.unwrap();
    let request = FeedRequest::new(Scope::workspace(), From::Cursor(tail));
    let digester = Digester::new(node.workspace.clone(), owner, &request).unwrap();
    let digest = digester.digest(request, 2_000, usize::MAX).await.unwrap();
    assert_eq!(
        (digest.fitting.contexts.len(), digest.fitting.changes),
        (5, 50)
    );
    let bytes: usize = digest.fitting.contexts.iter().map(String::len).sum();
    assert!(bytes <= 2_000, "{bytes} bytes");
    let last = json(&digest.fitting.contexts[4]);
    assert_eq!(last.get("changes"), Some(&Json::from(10)));
    let by = last.get("by").and_then(Json::as_array).unwrap();
    assert_eq!(by.len(), 1, "the newest");
    assert_eq!(by[0].get("version"), Some(&Json::from(10)));
}

/// What the reader did itself it is not told, so a patch from there would be one from nothing.
#[tokio::test]
async fn p5_a_digest_without_ones_own_changes_shows_all() {
    let node = Node::start(TestFaults::default()).await;
    let owner = Principal::owner();
    node.write("task/t", Operation::Create, "{}").await.unwrap();
    let tail = node.workspace.seal(&node.workspace.tail());
    for (agent, n) in [("me", 1), ("other", 2)] {
        let body = format!(r#"{{"data":{{"n":{n}}}}}"#);
        let mut proposal = node.proposal("task/t", Operation::Merge, &body);
        proposal.actor.agent = Name::parse(agent).ok();
        node.workspace.submit(&owner, proposal).await.unwrap();
    }
    let mut request = FeedRequest::new(Scope::workspace(), From::Cursor(tail));
    request.exclude_self = Some(Exclude {
        id: PrincipalId::owner(),
        agent: Name::parse("me").ok(),
        session: None,
    });
    let digester = Digester::new(node.workspace.clone(), owner, &request).unwrap();
    let digest = digester.digest(request, 10_000, usize::MAX).await.unwrap();
    let shown = json(&digest.fitting.contexts[0]);
    let n = shown.get("snapshot").and_then(|s| s.get("data")?.get("n"));
    assert_eq!(n, Some(&Json::from(2u64)), "{shown:?}");
}
