//! Durable subscriptions over a node: whoever acknowledges gets everything at least once, in the
//! order of each context, however often the node stops in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use syncline_api::{BulkMode, From, ResetReason, Scope, ScopeTerm};
use syncline_delivery::Item;
use syncline_delivery::durable::{Asked, Definition, Durable, Durables, Given};
use syncline_engine::{ManualClock, Principal, Settings, TestFaults};
use syncline_model::cursor::Position;
use syncline_model::ids::{Address, Seq};
use syncline_model::json::Json;
use syncline_model::proposal::Operation;
use syncline_model::time::Timestamp;
use syncline_rules::{Retention, Then};
use tokio::time::Instant;

use crate::{Dice, Node, address};

async fn define(node: &Node, name: &str, definition: &Definition) {
    let proposal = node.proposal("syncline_subscription/x", Operation::Replace, "null");
    node.workspace
        .put_subscription(&Principal::owner(), name, &definition.to_json(), proposal)
        .await
        .unwrap();
}

async fn define_with(node: &Node, durables: &Durables, name: &str, definition: &Definition) {
    let proposal = node.proposal("syncline_subscription/x", Operation::Replace, "null");
    let (owner, workspace) = (Principal::owner(), &node.workspace);
    let receipt = durables.define(workspace, &owner, (name, definition), proposal, 9);
    receipt.await.unwrap();
}

async fn find(node: &Node, durables: &Durables, name: &str) -> Durable {
    let owner = Principal::owner();
    durables.find(&node.workspace, &owner, name).await.unwrap()
}

fn asked(consumer: &str, changes_max: usize) -> Asked {
    Asked {
        consumer: consumer.into(),
        changes_max,
        bytes_max: 1 << 20,
    }
}

async fn take(durable: &Durable, consumer: &str, max: usize) -> Vec<Given> {
    durable
        .next(&asked(consumer, max), Instant::now())
        .await
        .unwrap()
}

fn place(node: &Node, given: &Given) -> Position {
    node.workspace.position_of(&given.cursor).unwrap()
}

/// Returns what a delivery is about: seqs and contexts.
fn told(given: &Given) -> Vec<(Seq, Address)> {
    let told = given.items.iter().filter_map(|item| match item {
        Item::Change(change) => Some(&change.entry),
        Item::Enter { entry, .. } | Item::Leave { entry, .. } => Some(entry),
        _ => None,
    });
    told.map(|entry| (entry.seq, entry.change.context.clone()))
        .collect()
}

fn n(given: &Given) -> u64 {
    let Item::Change(change) = &given.items[0] else {
        panic!("a change")
    };
    let patch = Json::parse(change.body().as_bytes(), &Default::default()).unwrap();
    patch.get("seq").unwrap().as_u64().unwrap()
}

#[tokio::test]
async fn a_subscription_begins_with_its_definition_and_goes_on_after_a_restart() {
    let node = Node::start(TestFaults::default()).await;
    node.write("task/a", Operation::Create, "{}").await.unwrap();
    define(&node, "s", &Definition::new(Scope::workspace())).await;
    for number in 0..4 {
        let body = format!(r#"{{"data":{{"n":{number}}}}}"#);
        node.write("task/a", Operation::Merge, &body).await.unwrap();
    }
    let durables = Durables::default();
    let durable = find(&node, &durables, "s").await;
    let given = take(&durable, "x", 3).await;
    assert_eq!(
        given.iter().map(|g| g.delivery).collect::<Vec<_>>(),
        [1, 1, 1]
    );
    let first = n(&given[0]);
    let acked = durable
        .ack(&"x".into(), Some(place(&node, &given[0])), &[])
        .await;
    assert_eq!(acked.unwrap(), 1);
    // The node stops: what was delivered and not acknowledged comes again, and is counted.
    let durables = Durables::default();
    let durable = find(&node, &durables, "s").await;
    // What has failed before goes alone.
    let mut given = Vec::new();
    for expected in [vec![(first + 1, 2)], vec![(first + 2, 1), (first + 3, 1)]] {
        given = take(&durable, "y", 9).await;
        let seqs = given.iter().map(|given| (n(given), given.delivery));
        assert_eq!(seqs.collect::<Vec<_>>(), expected);
        let each: Vec<_> = given.iter().map(|given| place(&node, given)).collect();
        let acked = durable.ack(&"y".into(), None, &each).await.unwrap();
        assert_eq!(acked, expected.len());
    }
    let found = durable.inspect().await.unwrap();
    assert_eq!((found.behind, found.in_flight, found.waiting), (0, 0, 0));
    assert_eq!(found.acknowledged, node.workspace.tail());
    // It is moved, and all comes again from there.
    durable
        .seek(&From::Cursor(given[0].cursor.clone()))
        .await
        .unwrap();
    assert_eq!(take(&durable, "y", 9).await.len(), 1);
    durable.seek(&From::Start).await.unwrap();
    assert!(take(&durable, "y", 99).await.len() >= 8);
}

#[tokio::test]
async fn nothing_is_left_of_one_that_was_taken_back_halfway() {
    let node = Node::start(TestFaults::default()).await;
    let durables = Durables::default();
    let from_start = Definition {
        from: From::Start,
        max_deliveries: 1,
        ..Definition::new(Scope::workspace())
    };
    for (name, restarts) in [("s", false), ("t", true)] {
        define_with(&node, &durables, name, &from_start).await;
        let old = find(&node, &durables, name).await;
        let given = take(&old, "x", 9).await;
        let nacked = old.nack(place(&node, &given[0]), 0, "poison").await;
        assert!(nacked.unwrap());
        let each: Vec<_> = given[1..].iter().map(|given| place(&node, given)).collect();
        old.ack(&"x".into(), None, &each).await.unwrap();
        assert_eq!(old.inspect().await.unwrap().dead, 1);
        // Its definition is taken back, and the call ends there.
        let proposal = node.proposal("syncline_subscription/x", Operation::Delete, "null");
        let owner = Principal::owner();
        let receipt = node.workspace.remove_subscription(&owner, name, proposal);
        receipt.await.unwrap();
        let fresh = Durables::default();
        let after = if restarts { &fresh } else { &durables };
        define_with(&node, after, name, &from_start).await;
        let new = find(&node, after, name).await;
        assert_eq!(told(&take(&new, "x", 1).await[0]), told(&given[0]));
        if !restarts {
            // The first call goes on late.
            after.remove(old).await.unwrap();
        }
        let found = find(&node, after, name).await.inspect().await.unwrap();
        assert_eq!((found.dead, found.acked, found.in_flight), (0, 0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_woken_by_news() {
    let node = Node::start(TestFaults::default()).await;
    define(&node, "s", &Definition::new(Scope::workspace())).await;
    let durables = Durables::default();
    let durable = find(&node, &durables, "s").await;
    let asked = asked("x", 9);
    let deadline = Instant::now() + Duration::from_secs(60);
    let (given, ()) = tokio::join!(durable.next(&asked, deadline), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        node.write("task/a", Operation::Create, "{}").await.unwrap();
    });
    assert_eq!(given.unwrap().len(), 1);
    assert!(Instant::now() < deadline);
    // What is given back at once wakes another.
    let (given, nacked) = tokio::join!(durable.next(&asked, deadline), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let tail = node.workspace.tail();
        durable.nack(tail, 0, "not mine").await
    });
    assert!(nacked.unwrap());
    assert_eq!(given.unwrap()[0].delivery, 2);
    assert!(Instant::now() < deadline);
}

#[tokio::test]
async fn what_is_given_up_is_kept_with_the_reason_and_can_be_delivered_once_more() {
    let node = Node::start(TestFaults::default()).await;
    let definition = Definition {
        max_deliveries: 2,
        ..Definition::new(Scope::workspace())
    };
    define(&node, "s", &definition).await;
    node.write("task/a", Operation::Create, "{}").await.unwrap();
    node.write("task/b", Operation::Create, "{}").await.unwrap();
    let mut durables = Durables::default();
    for delivery in 1..=2 {
        // Counts hold over restarts.
        durables = Durables::default();
        let durable = find(&node, &durables, "s").await;
        let given = take(&durable, "x", 1).await;
        assert_eq!(given[0].delivery, delivery);
        let at = place(&node, &given[0]);
        assert!(durable.nack(at, 0, "it hurts").await.unwrap());
    }
    let durable = find(&node, &durables, "s").await;
    let letters = durable.dead(None, 9).await.unwrap();
    let (cursor, letter) = &letters[0];
    assert_eq!(
        (letters.len(), letter.deliveries, &*letter.reason),
        (1, 2, "it hurts")
    );
    let given = take(&durable, "x", 9).await;
    assert_eq!(given.len(), 1, "the rest goes on");
    durable
        .ack(&"x".into(), Some(place(&node, &given[0])), &[])
        .await
        .unwrap();
    assert_eq!(durable.inspect().await.unwrap().dead, 1);
    let at = node.workspace.position_of(cursor).unwrap();
    durable.replay(at).await.unwrap();
    assert!(durable.replay(at).await.is_err());
    // What was taken back is not lost if the node stops now.
    let durables = Durables::default();
    let durable = find(&node, &durables, "s").await;
    let given = take(&durable, "x", 9).await;
    assert_eq!(
        (given.len(), &given[0].cursor, given[0].delivery),
        (1, cursor, 3)
    );
    assert_eq!(durable.ack(&"x".into(), None, &[at]).await.unwrap(), 1);
    let found = durable.inspect().await.unwrap();
    assert_eq!(
        (found.dead, found.waiting, found.acknowledged),
        (0, 0, node.workspace.tail())
    );
}

/// A node on which versions older than 30 days are thinned, and its clock.
pub async fn forgetful() -> (Arc<ManualClock>, Node) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
    let mut settings = Settings::default();
    settings.rules.retention = Some(Retention::new(30, Then::Tagged).unwrap());
    // What was compacted away is not at hand either.
    settings.recent_bytes_max = 1;
    let node = Node::start_at(clock.clone(), settings).await;
    (clock, node)
}

/// Writes a context three times.
pub async fn grow_old(node: &Node) {
    for n in 0..3 {
        let body = format!(r#"{{"data":{{"n":{n}}}}}"#);
        node.write("task/old", Operation::Merge, &body)
            .await
            .unwrap();
    }
}

/// Compacts what [`grow_old`] wrote, once it is old and something newer stands there.
pub async fn compact(clock: &ManualClock, node: &Node) {
    clock.advance_ms(60 * 86_400_000);
    node.write("task/old", Operation::Merge, r#"{"data":{"n":9}}"#)
        .await
        .unwrap();
    let owner = Principal::owner();
    let thinned = node.workspace.compact(&owner, false).await.unwrap();
    assert_eq!(thinned.thinned, 3);
}

#[tokio::test]
async fn p5_what_is_compacted_while_a_consumer_has_it_is_told_as_a_reset() {
    let (clock, node) = forgetful().await;
    define(&node, "s", &Definition::new(Scope::workspace())).await;
    grow_old(&node).await;
    let durables = Durables::default();
    let durable = find(&node, &durables, "s").await;
    assert_eq!(take(&durable, "x", 2).await.len(), 2);
    compact(&clock, &node).await;
    // How it stands can be told, whoever has taken it up.
    for durables in [&durables, &Durables::default()] {
        let found = find(&node, durables, "s").await.inspect().await.unwrap();
        assert_eq!((found.behind, found.behind_ms), (4, None));
    }
    let given = take(&durable, "x", 9).await;
    let items: Vec<&Item> = given.iter().flat_map(|given| &given.items).collect();
    assert!(
        matches!(items[..], [Item::Reset(ResetReason::Compacted)]),
        "{items:?}"
    );
    // It comes again with its reason.
    let at = place(&node, &given[0]);
    assert!(durable.nack(at, 0, "not yet").await.unwrap());
    let again = take(&durable, "x", 9).await;
    assert!(matches!(
        again[0].items[..],
        [Item::Reset(ResetReason::Compacted)]
    ));
    // It is acknowledged like all else, and what follows comes after it.
    assert_eq!(durable.ack(&"x".into(), Some(at), &[]).await.unwrap(), 1);
    node.write("task/new", Operation::Create, "{}")
        .await
        .unwrap();
    let given = take(&durable, "x", 9).await;
    assert_eq!(told(&given[0])[0].1, address("task/new"));
}

#[tokio::test]
async fn p5_a_bulk_that_came_to_take_others_along_is_told_as_a_reset() {
    let node = Node::start(TestFaults::default()).await;
    let create = |context: &'static str, parent: &str| {
        let body = format!(r#"{{"parent":"{parent}"}}"#);
        let node = &node;
        async move { node.write(context, Operation::Create, &body).await.unwrap() }
    };
    create("branch/b", "project/p").await;
    create("note/n", "project/p").await;
    let scope = Scope(vec![ScopeTerm::Subtree(address("project/p"))]);
    define(&node, "s", &Definition::new(scope)).await;
    let parts = vec![
        node.proposal("branch/b", Operation::Merge, r#"{"parent":"project/q"}"#),
        node.proposal("note/n", Operation::Merge, r#"{"data":{"n":1}}"#),
    ];
    let (owner, mode) = (Principal::owner(), BulkMode::Independent);
    let bulk = node.workspace.submit_bulk(&owner, mode, None, parts);
    bulk.await.unwrap();
    let durable = find(&node, &Durables::default(), "s").await;
    let given = take(&durable, "x", 9).await;
    assert_eq!(told(&given[0]).len(), 2, "nothing stands below it yet");
    // The node stops; what is read again says what the log says today.
    create("task/t", "branch/b").await;
    let durable = find(&node, &Durables::default(), "s").await;
    let given = take(&durable, "x", 9).await;
    let reset = |given: &Given| matches!(given.items[..], [Item::Reset(ResetReason::Access)]);
    assert!(given.iter().any(reset));
}

#[tokio::test]
async fn p5_a_dead_letter_that_cannot_be_read_stays_one() {
    let (clock, node) = forgetful().await;
    let definition = Definition {
        max_deliveries: 1,
        ..Definition::new(Scope::workspace())
    };
    define(&node, "s", &definition).await;
    grow_old(&node).await;
    let durables = Durables::default();
    let durable = find(&node, &durables, "s").await;
    let given = take(&durable, "x", 9).await;
    for given in &given {
        let at = place(&node, given);
        assert!(durable.nack(at, 0, "it hurts").await.unwrap());
    }
    let letters = durable.dead(None, 9).await.unwrap();
    let cursors: Vec<_> = letters.iter().map(|(cursor, _)| cursor).collect();
    let [first, second, _] = cursors[..] else {
        panic!("{letters:?}");
    };
    // One is taken back from the dead before its record goes, one is asked for after it.
    let at = node.workspace.position_of(first).unwrap();
    durable.replay(at).await.unwrap();
    compact(&clock, &node).await;
    let at = node.workspace.position_of(second).unwrap();
    let refused = durable.replay(at).await.unwrap_err();
    assert_eq!(refused.reason, Some(ResetReason::Compacted));
    let durables = Durables::default();
    let durable = find(&node, &durables, "s").await;
    let letters = durable.dead(None, 9).await.unwrap();
    assert_eq!(letters.len(), 3);
    assert_eq!(durable.inspect().await.unwrap().dead, 3);
    assert_eq!(letters[0].1.reason, "what it said was compacted away");
}

#[tokio::test]
async fn p5_what_is_back_from_the_dead_comes_wherever_its_subscription_is_moved() {
    let node = Node::start(TestFaults::default()).await;
    let definition = Definition {
        max_deliveries: 1,
        ..Definition::new(Scope::workspace())
    };
    define(&node, "s", &definition).await;
    node.write("task/a", Operation::Create, "{}").await.unwrap();
    let durables = Durables::default();
    let durable = find(&node, &durables, "s").await;
    let given = take(&durable, "x", 9).await;
    let at = place(&node, &given[0]);
    // Given up twice, it is one dead letter.
    for _ in 0..2 {
        assert!(durable.nack(at, 0, "it hurts").await.unwrap());
        assert_eq!(durable.inspect().await.unwrap().dead, 1);
        durable.seek(&From::Start).await.unwrap();
        while take(&durable, "x", 1).await[0].cursor != given[0].cursor {}
    }
    durable.seek(&From::Now).await.unwrap();
    let mut durables = durables;
    for (window, rests) in [(None, false), (Some(10), false), (Some(11), true)] {
        find(&node, &durables, "s").await.replay(at).await.unwrap();
        if rests {
            durables = Durables::default();
        }
        match window {
            None => durable.seek(&From::Now).await.unwrap(),
            Some(window) => {
                let other = Definition {
                    window,
                    ..definition.clone()
                };
                define(&node, "s", &other).await;
            }
        }
        let durable = find(&node, &durables, "s").await;
        let given = take(&durable, "x", 9).await;
        let came = given.iter().filter(|given| place(&node, given) == at);
        assert_eq!(came.count(), 1, "{window:?}");
        assert!(durable.nack(at, 0, "it hurts").await.unwrap());
    }
    // Moved back before it, it is read like all else, and comes once.
    let durable = find(&node, &durables, "s").await;
    durable.replay(at).await.unwrap();
    assert_eq!(take(&durable, "x", 9).await.len(), 1);
    durable.seek(&From::Start).await.unwrap();
    let given = take(&durable, "x", 9).await;
    let came = given.iter().filter(|given| place(&node, given) == at);
    assert_eq!(came.count(), 1);
}

/// Consumers, writers and stops at random; returns how many were delivered.
async fn run(seed: u64) -> usize {
    let mut dice = Dice(seed);
    let node = Node::start(TestFaults::default()).await;
    let definition = Definition {
        window: 1 + dice.roll(20),
        max_deliveries: 100,
        ..Definition::new(Scope::workspace())
    };
    define(&node, "s", &definition).await;
    let mut scanned = node.workspace.tail().seq;
    let mut durables = Durables::default();
    // Per context the highest that was acknowledged, and all that was delivered.
    let mut acked: BTreeMap<Address, Seq> = BTreeMap::new();
    let mut delivered = BTreeSet::new();
    for step in 0..400 {
        if step < 300 {
            node.act(&mut dice).await;
        }
        if dice.roll(30) == 0 {
            durables = Durables::default();
        }
        let consumer = ["x", "y", "z"][usize::try_from(dice.roll(3)).unwrap()];
        let durable = find(&node, &durables, "s").await;
        let given = take(
            &durable,
            consumer,
            1 + usize::try_from(dice.roll(9)).unwrap(),
        )
        .await;
        for one in &given {
            for (seq, context) in told(one) {
                delivered.insert(seq);
                let last = acked.get(&context).copied().unwrap_or_default();
                assert!(seq > last, "seed {seed}: {context} at {seq} after {last}");
            }
        }
        for one in given {
            let at = place(&node, &one);
            match dice.roll(5) {
                0 => drop(durable.nack(at, 0, "again").await.unwrap()),
                1 => durable.leave(&consumer.into()).await.unwrap(),
                _ => {
                    if durable.ack(&consumer.into(), None, &[at]).await.unwrap() == 0 {
                        continue;
                    }
                }
            }
        }
        let floor = durable.inspect().await.unwrap().acknowledged.seq;
        for (seq, context) in contexts_up_to(&node, scanned, floor).await {
            assert!(
                delivered.contains(&seq),
                "seed {seed}: {seq} was passed over"
            );
            acked.insert(context, seq);
        }
        scanned = floor;
        if step >= 300 && floor == node.workspace.tail().seq {
            return delivered.len();
        }
    }
    for _ in 0..2_000 {
        let durable = find(&node, &durables, "s").await;
        for one in take(&durable, "x", 99).await {
            delivered.extend(told(&one).into_iter().map(|(seq, _)| seq));
            durable
                .ack(&"x".into(), None, &[place(&node, &one)])
                .await
                .unwrap();
        }
        durable.leave(&"y".into()).await.unwrap();
        durable.leave(&"z".into()).await.unwrap();
        let found = durable.inspect().await.unwrap();
        if found.acknowledged.seq == node.workspace.tail().seq {
            return delivered.len();
        }
    }
    panic!("seed {seed}: it does not come to the end");
}

async fn contexts_up_to(node: &Node, after: Seq, until: Seq) -> Vec<(Seq, Address)> {
    let mut found = Vec::new();
    let mut at = after;
    while at < until {
        let entries = node.workspace.read_log(at, 256).await.unwrap();
        at = entries.last().unwrap().seq;
        let until = entries.into_iter().filter(|entry| entry.seq <= until);
        found.extend(until.map(|entry| (entry.seq, entry.change.context.clone())));
    }
    found
}

#[tokio::test]
async fn p5_durable_subscriptions_lose_nothing_whenever_the_node_stops() {
    for seed in 0..6 {
        assert!(run(seed).await > 50);
    }
}
