//! Pages: bulks are whole, limits hold, and an ended feed stays ended.

use std::sync::Arc;

use syncline_api::{BulkMode, Filters, From, Mode, ResetReason, Scope, ScopeTerm, write_leave};
use syncline_delivery::{Digester, Feed, FeedRequest, Item};
use syncline_engine::{ManualClock, Principal, Settings, TestFaults};
use syncline_model::ids::BranchName;
use syncline_model::json::{Json, JsonWriter, Pointer};
use syncline_model::proposal::Operation;
use syncline_model::time::Timestamp;
use syncline_rules::{Retention, Then};

use crate::{Node, address, json};

fn request(scope: Scope, from: From) -> FeedRequest {
    FeedRequest::new(scope, from)
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
        Item::Change(change) => Some(change.body().contains("\"cursor\"")),
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

/// Who follows gets a bulk in parts, and who goes on from between them gets it whole.
#[tokio::test]
async fn a_bulk_comes_in_parts_where_its_reader_follows() {
    let node = Node::start(TestFaults::default()).await;
    let mut feed = open(&node, Scope::workspace(), From::Now).await;
    let part = |n: u32| node.proposal(&format!("task/t{n}"), Operation::Create, "{}");
    let owner = Principal::owner();
    for first in [0, 10] {
        let parts = (first..first + 4).map(part).collect();
        node.workspace
            .submit_bulk(&owner, BulkMode::Atomic, None, parts)
            .await
            .unwrap();
    }
    let mut next = async || words(&feed.next_part(3, 1 << 20).await.unwrap());
    assert_eq!(next().await, ["begin", "change", "change"]);
    let words_of_both = ["change", "change", "end", "begin", "change"];
    assert_eq!(next().await, words_of_both);
    feed.pass_over();
    let cursor = feed.cursor();
    let mut next = async || {
        (
            feed.is_hungry(),
            words(&feed.next_part(3, 1 << 20).await.unwrap()),
        )
    };
    assert_eq!(next().await, (true, vec!["change", "change", "change"]));
    assert_eq!(next().await, (true, vec!["end"]));
    assert_eq!(next().await, (false, vec![]));
    let mut again = open(&node, Scope::workspace(), From::Cursor(cursor)).await;
    assert_eq!(
        words(&again.next_page(2, 1 << 20).await.unwrap()),
        ["begin", "change", "change", "change", "change", "end"]
    );
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
async fn a_branch_that_leaves_takes_main_with_it_nowhere() {
    let node = Node::start(TestFaults::default()).await;
    node.write("task/a", Operation::Create, r#"{"labels":{"area":"u"}}"#)
        .await
        .unwrap();
    let on_branch = |operation, body| {
        let mut proposal = node.proposal("task/a", operation, body);
        proposal.branch = Some(BranchName::parse("try").unwrap());
        proposal
    };
    let owner = Principal::owner();
    let begin = on_branch(Operation::Create, "{}");
    node.workspace
        .create_branch(&owner, begin, None)
        .await
        .unwrap();
    let labels = json(r#"[{"label":{"area":"u"}}]"#);
    let scope = Scope::read(&labels, &Pointer::root()).unwrap();
    let mut feed = open(&node, scope, From::Now).await;
    let away = on_branch(Operation::Merge, r#"{"labels":{"area":"v"}}"#);
    node.workspace.submit(&owner, away).await.unwrap();
    let items = feed.next_page(9, 1 << 20).await.unwrap();
    assert_eq!(words(&items), ["leave"]);
    let Item::Leave { entry, .. } = &items[0] else {
        panic!("{items:?}")
    };
    assert_eq!(entry.change.branch, Some(BranchName::parse("try").unwrap()));
    let mut w = JsonWriter::new();
    write_leave(&mut w, "s", 1, &entry.change.line(), None);
    let written = json(&w.into_string());
    assert_eq!(written.get("branch"), Some(&Json::from("try")));
    assert_eq!(written.get("context"), Some(&Json::from("task/a")));
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

/// P9: a bulk is one push, but its parts may be small and the documents that they show large.
#[tokio::test]
async fn p9_a_bulk_of_large_snapshots_is_a_reset() {
    let node = Node::start(TestFaults::default()).await;
    let text = "x".repeat(1 << 20);
    node.write(
        "note/a",
        Operation::Create,
        &format!(r#"{{"data":{{"t":"{text}"}}}}"#),
    )
    .await
    .unwrap();
    let mut snapshots = request(Scope::workspace(), From::Now);
    snapshots.mode = Mode::Snapshot;
    let owner = Principal::owner();
    let (mut feed, _) = Feed::open(node.workspace.clone(), owner.clone(), snapshots)
        .await
        .unwrap();
    let part = |n: u32| {
        node.proposal(
            "note/a",
            Operation::Merge,
            &format!(r#"{{"data":{{"n":{n}}}}}"#),
        )
    };
    let parts = (0..100).map(part).collect();
    node.workspace
        .submit_bulk(&owner, BulkMode::Atomic, None, parts)
        .await
        .unwrap();
    let items = feed.next_page(64, 64 << 10).await.unwrap();
    let bytes: usize = items.iter().map(Item::weight).sum();
    assert!(bytes < 40 << 20, "{bytes} bytes on one page");
    assert!(matches!(
        items.last(),
        Some(Item::Reset(ResetReason::Limit))
    ));
    assert!(feed.is_over());
}

/// P9: whoever gives all bulks one name does not make them one push.
#[tokio::test]
async fn p9_bulks_of_one_name_are_not_one_page() {
    let node = Node::start(TestFaults::default()).await;
    let mut feed = open(&node, Scope::workspace(), From::Now).await;
    let owner = Principal::owner();
    // A bulk that is not named goes by its first part, which may have come before.
    let first = node.proposal("note/first", Operation::Create, "{}");
    for round in 0..4 {
        let part = |n: u32| node.proposal(&format!("note/n{round}-{n}"), Operation::Create, "{}");
        let parts = std::iter::once(first.clone())
            .chain((0..900).map(part))
            .collect();
        node.workspace
            .submit_bulk(&owner, BulkMode::Atomic, None, parts)
            .await
            .unwrap();
    }
    let mut changes = 0;
    loop {
        let items = feed.next_page(2, 64 << 10).await.unwrap();
        if items.is_empty() {
            break;
        }
        assert!(items.len() <= 2_002, "{} items", items.len());
        changes += words(&items)
            .iter()
            .filter(|word| **word == "change")
            .count();
    }
    assert_eq!(changes, 3_601);
}

/// Moves `branch/b` with `task/t` below it out of the scope while nobody reads, then does what
/// makes `branch/b` look as if it never had had a child: the reader must not keep the task.
async fn check_reset_after(changes: &[(&str, Operation, &str)]) {
    let node = Node::start(TestFaults::default()).await;
    let create = |context, parent| node.write(context, Operation::Create, parent);
    create("branch/b", r#"{"parent":"project/p"}"#)
        .await
        .unwrap();
    create("task/t", r#"{"parent":"branch/b"}"#).await.unwrap();
    let scope = Scope(vec![ScopeTerm::Subtree(address("project/p"))]);
    let mut feed = open(&node, scope, From::Now).await;
    for (context, operation, body) in changes {
        node.write(context, *operation, body).await.unwrap();
    }
    let mut items = Vec::new();
    loop {
        let page = feed.next_page(64, 1 << 20).await.unwrap();
        if page.is_empty() {
            break;
        }
        items.extend(page);
    }
    let reset = matches!(items.last(), Some(Item::Reset(ResetReason::Access)));
    assert!(reset, "{:?}", words(&items));
}

#[tokio::test]
async fn p5_a_child_that_went_with_its_parent_is_told_by_a_reset() {
    use Operation::{Create, Delete, Merge};
    let moved = ("branch/b", Merge, r#"{"parent":"project/q"}"#);
    check_reset_after(&[moved]).await;
    check_reset_after(&[moved, ("task/t", Delete, "null")]).await;
    check_reset_after(&[moved, ("task/t", Merge, r#"{"parent":"project/q"}"#)]).await;
    // A context that was deleted keeps its children, and takes them along when it is made again.
    let again = ("branch/b", Create, r#"{"parent":"project/q"}"#);
    check_reset_after(&[("branch/b", Delete, "null"), again]).await;
}

/// Opens a snapshot of `project/p` and reads it, a context a page; `moved` happens once `note/a1`
/// was read. Returns what the snapshot held, and what followed it.
async fn snapshot_while(node: &Node, moved: &[(&str, &str)]) -> (Vec<String>, Vec<&'static str>) {
    for (note, parent) in [
        ("note/a", "project/p"),
        ("note/a1", "note/a"),
        ("note/z", "project/p"),
        ("note/a0", "note/z"),
        ("note/a00", "note/a0"),
    ] {
        let body = format!(r#"{{"parent":"{parent}"}}"#);
        node.write(note, Operation::Create, &body).await.unwrap();
    }
    let scope = Scope(vec![ScopeTerm::Subtree(address("project/p"))]);
    let mut feed = open(node, scope, From::Snapshot).await;
    let (mut held, mut over) = (Vec::new(), false);
    while !over {
        for item in feed.next_page(1, 1 << 20).await.unwrap() {
            let Item::Snapshot { contexts, last, .. } = item else {
                panic!("a snapshot first")
            };
            held.extend(contexts.iter().map(|head| head.address.to_string()));
            over = last;
        }
        if held.last().is_some_and(|held| held == "note/a1") {
            for (note, parent) in moved {
                let body = format!(r#"{{"parent":"{parent}"}}"#);
                node.write(note, Operation::Merge, &body).await.unwrap();
            }
        }
    }
    let after = feed.next_page(64, 1 << 20).await.unwrap();
    (held, words(&after))
}

#[tokio::test]
async fn p5_what_moves_inside_a_subtree_is_not_left_out_of_its_snapshot() {
    let all = ["project/p", "note/a", "note/a1"];
    let node = Node::start(TestFaults::default()).await;
    let (held, after) = snapshot_while(&node, &[]).await;
    assert_eq!(
        held,
        [&all[..], &["note/z", "note/a0", "note/a00"]].concat()
    );
    assert!(after.is_empty());

    // To where the snapshot had been already, with what lies below it.
    let node = Node::start(TestFaults::default()).await;
    let (held, after) = snapshot_while(&node, &[("note/a0", "note/a")]).await;
    assert_eq!(
        held,
        [&all[..], &["note/z", "note/a0", "note/a00"]].concat()
    );
    assert_eq!(after, ["change"]);

    // Two of them, one below the other.
    let node = Node::start(TestFaults::default()).await;
    let moved = [("note/a0", "note/a"), ("note/z", "note/a0")];
    let (mut held, after) = snapshot_while(&node, &moved).await;
    held.sort();
    held.dedup();
    assert_eq!(
        held,
        [
            "note/a",
            "note/a0",
            "note/a00",
            "note/a1",
            "note/z",
            "project/p"
        ]
    );
    assert_eq!(after, ["change", "change"]);

    // What left is told of by the log: alone as such, with others by a reset.
    let node = Node::start(TestFaults::default()).await;
    let (held, after) = snapshot_while(&node, &[("note/a00", "project/q")]).await;
    assert_eq!(held, [&all[..], &["note/z", "note/a0"]].concat());
    assert_eq!(after, ["leave"]);
}

/// Whoever gets the same form gets the same bytes, not a copy of them; another form is another.
#[tokio::test]
async fn each_form_is_encoded_once_and_shared() {
    let node = Node::start(TestFaults::default()).await;
    let forms = [
        (Mode::Delta, false),
        (Mode::Delta, true),
        (Mode::Snapshot, false),
        (Mode::Thin, false),
    ];
    let mut feeds = Vec::new();
    for (mode, old) in forms.into_iter().chain(forms) {
        let request = FeedRequest {
            mode,
            old,
            ..request(Scope::workspace(), From::Now)
        };
        let owner = Principal::owner();
        let opened = Feed::open(node.workspace.clone(), owner, request).await;
        feeds.push(opened.unwrap().0);
    }
    let body = r#"{"data":{"n":1}}"#;
    node.write("task/t", Operation::Merge, body).await.unwrap();
    let body = r#"{"data":{"n":2}}"#;
    node.write("task/t", Operation::Merge, body).await.unwrap();
    let mut bodies = Vec::new();
    for feed in &mut feeds {
        let items = feed.next_page(2, 1 << 20).await.unwrap();
        match items.last() {
            Some(Item::Change(change)) => bodies.push(change.clone()),
            other => panic!("a feed gave {other:?}"),
        }
    }
    let (first, second) = bodies.split_at(forms.len());
    for (index, (one, other)) in first.iter().zip(second).enumerate() {
        let (one, other) = (one.body(), other.body());
        assert!(std::ptr::eq(one, other), "form {index}");
        let same = first.iter().filter(|other| other.body() == one).count();
        assert_eq!(same, 1, "form {index} is another's: {one}");
    }
}

/// A node that keeps of each context what is tagged and what is new, with a context that was
/// written long ago and deleted today.
async fn with_an_old_context() -> (Node, Feed) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
    let mut settings = Settings::default();
    settings.rules.retention = Some(Retention::new(30, Then::Tagged).unwrap());
    let node = Node::start_at(clock.clone(), settings).await;
    for n in 0..3 {
        let body = format!(r#"{{"state":"active","data":{{"n":{n}}}}}"#);
        node.write("task/old", Operation::Merge, &body)
            .await
            .unwrap();
    }
    clock.advance_ms(60 * 86_400_000);
    let feed = open(&node, Scope::workspace(), From::Now).await;
    (node, feed)
}

#[tokio::test]
async fn p5_a_deletion_whose_version_before_was_thinned_is_told() {
    let (node, feed) = with_an_old_context().await;
    let (cursor, owner) = (feed.cursor(), Principal::owner());
    node.write("task/old", Operation::Delete, "null")
        .await
        .unwrap();
    node.write("task/new", Operation::Create, r#"{"state":"active"}"#)
        .await
        .unwrap();
    let thinned = node.workspace.compact(&owner, false).await.unwrap();
    assert_eq!(thinned.thinned, 3);
    let filter = json(r#"{"exact":{"state":"active"}}"#);
    let filtered = FeedRequest {
        filter: Filters::read(&filter, &Pointer::root()).unwrap(),
        ..request(Scope::workspace(), From::Cursor(cursor))
    };
    let opened = Feed::open(node.workspace.clone(), owner, filtered).await;
    let (mut feed, opening) = opened.unwrap();
    assert!(opening.recovered);
    let items = feed.next_page(9, 1 << 20).await.unwrap();
    assert_eq!(words(&items), ["change", "change"]);
    let context = |item: &Item| item.entry().unwrap().change.context.to_string();
    assert_eq!(
        items.iter().map(context).collect::<Vec<_>>(),
        ["task/old", "task/new"]
    );
}

#[tokio::test]
async fn p5_a_digest_from_a_version_that_was_thinned_shows_all() {
    let (node, feed) = with_an_old_context().await;
    let (cursor, owner) = (feed.cursor(), Principal::owner());
    node.write("task/old", Operation::Merge, r#"{"data":{"n":9}}"#)
        .await
        .unwrap();
    let thinned = node.workspace.compact(&owner, false).await.unwrap();
    assert_eq!(thinned.thinned, 3);
    let asked = request(Scope::workspace(), From::Cursor(cursor));
    let digester = Digester::new(node.workspace.clone(), owner, &asked).unwrap();
    let texts = digester
        .digest(asked, 10_000, usize::MAX)
        .await
        .unwrap()
        .fitting
        .contexts;
    let shown = json(&texts[0]);
    let n = shown.get("snapshot").and_then(|s| s.get("data")?.get("n"));
    assert_eq!(n, Some(&Json::from(9u64)), "{texts:?}");
}

/// What a filter left out may have changed the parts that are shown: who resumes hears of it with
/// the next change that is wanted, though that one touches none of them.
#[tokio::test]
async fn p5_parts_that_an_unwanted_change_moved_come_with_the_next_wanted_one() {
    let node = Node::start(TestFaults::default()).await;
    node.write("task/a", Operation::Create, r#"{"data":{"n":1}}"#)
        .await
        .unwrap();
    let feed = open(&node, Scope::workspace(), From::Now).await;
    for body in [r#"{"data":{"n":2}}"#, r#"{"title":"wanted"}"#] {
        node.write("task/a", Operation::Merge, body).await.unwrap();
    }
    let filter = json(r#"{"changed":"/title"}"#);
    let asked = FeedRequest {
        filter: Filters::read(&filter, &Pointer::root()).unwrap(),
        fields: vec![Pointer::from_static("/data/n")],
        ..request(Scope::workspace(), From::Cursor(feed.cursor()))
    };
    let opened = Feed::open(node.workspace.clone(), Principal::owner(), asked).await;
    let (mut feed, _) = opened.unwrap();
    let items = feed.next_page(9, 1 << 20).await.unwrap();
    let [Item::Change(change)] = &items[..] else {
        panic!("{items:?}");
    };
    let told = json(change.body());
    let n = told.get("snapshot").and_then(|s| s.get("data")?.get("n"));
    assert_eq!(n.and_then(Json::as_u64), Some(2), "{}", change.body());
}
