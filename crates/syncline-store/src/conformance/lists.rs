//! What is promised of lists.

use syncline_model::ids::Kind;
use syncline_model::time::Timestamp;

use super::oracle;
use super::scribe::{Dice, Form, START, Scribe, Shared, address};
use crate::{ContextList, HeadRow, ListPage, ListQuery, Sort, SortBy, Store};

const KINDS: [&str; 4] = ["task", "task_2", "project", "tas"];
const ORDERS: [SortBy; 4] = [
    SortBy::Address,
    SortBy::Updated,
    SortBy::Created,
    SortBy::Title,
];

/// Writes some hundred contexts that share parents, labels, titles and times.
pub(super) async fn forest(store: &dyn Store, seed: u64) -> Scribe {
    let mut scribe = Scribe::start(store, "alpha").await;
    let mut dice = Dice(seed);
    for _ in 0..12 {
        let mut batch = scribe.batch();
        for _ in 0..15 {
            let at = format!("{}/{}", dice.pick(&KINDS), dice.pick(&ids()));
            let text = random_document(&mut dice);
            batch.later(i64::try_from(dice.roll(3)).expect("a small number"));
            batch.put(
                &at,
                &text,
                Form {
                    without_body: dice.roll(4) == 0,
                    snapshot: false,
                },
            );
            if dice.roll(8) == 0 {
                batch.delete(&at);
            }
        }
        batch.send(store).await;
    }
    scribe
}

fn ids() -> Vec<String> {
    (0..30)
        .map(|number| format!("{}{number}", ["a", "B", "z-", "0"][number % 4]))
        .collect()
}

fn random_document(dice: &mut Dice) -> String {
    let mut members = Vec::new();
    if dice.roll(3) > 0 {
        members.push(format!(
            r#""title":"{}""#,
            dice.pick(&["", "a", "A", "b c", "é", "\u{10FFFF}", "%_"])
        ));
    }
    if dice.roll(3) > 0 {
        members.push(format!(
            r#""parent":"{}/{}""#,
            dice.pick(&KINDS),
            dice.pick(&ids())
        ));
    }
    if dice.roll(2) > 0 {
        members.push(format!(r#""state":"{}""#, dice.pick(&["active", "done"])));
    }
    if dice.roll(2) > 0 {
        members.push(format!(
            r#""owner":"{}""#,
            dice.pick(&["person/ana", "agent/b"])
        ));
    }
    if dice.roll(2) > 0 {
        let (first, second) = (dice.pick(&["x", "y", ""]), dice.pick(&["x", "é"]));
        members.push(format!(r#""labels":{{"k":"{first}","l":"{second}"}}"#));
    }
    format!("{{{}}}", members.join(","))
}

pub(super) fn random_query(dice: &mut Dice) -> ListQuery {
    let some_address = |dice: &mut Dice| {
        let text = format!("{}/{}", dice.pick(&KINDS), dice.pick(&ids()));
        address(&text)
    };
    let mut contexts = ContextList {
        deleted: dice.roll(3) == 0,
        ..ContextList::default()
    };
    for _ in 0..dice.roll(3) {
        match dice.roll(8) {
            0 => contexts.kind = Kind::parse(dice.pick(&KINDS)).ok(),
            1 => contexts.parent = Some(some_address(dice)),
            2 => contexts.within = Some(some_address(dice)),
            3 => {
                contexts.addresses = Some((0..dice.roll(20)).map(|_| some_address(dice)).collect())
            }
            4 => {
                let value = dice.pick(&[
                    None,
                    Some("x"),
                    Some("y"),
                    Some(""),
                    Some("é"),
                    Some("none"),
                ]);
                contexts.labels.push((
                    dice.pick(&["k", "l", "m"]).to_owned(),
                    value.map(str::to_owned),
                ));
            }
            5 => contexts.state = Some(dice.pick(&["active", "done", "other"]).to_owned()),
            6 => {
                contexts.owner = Some(dice.pick(&["person/ana", "agent/b", "person/c"]).to_owned())
            }
            _ => {
                let after = i64::try_from(dice.roll(250)).expect("a small number");
                contexts.updated_since = Some(Timestamp(START.0 + after));
            }
        }
    }
    ListQuery {
        contexts,
        sort: Sort {
            by: dice.pick(&ORDERS),
            descending: dice.roll(2) == 0,
        },
        after: None,
        limit: 1_000,
        bodies: dice.roll(3) == 0,
    }
}

/// Returns the heads of main lines, with their bodies.
pub(super) fn all_heads(scribe: &Scribe) -> Vec<HeadRow> {
    let heads = scribe.contexts.values().map(|history| &history.head);
    let mains = heads.filter(|head| head.address.of_line().1.is_none());
    mains.cloned().collect()
}

/// Lists with any filter, in any order, hold what a plain walk over all heads finds.
pub async fn lists_agree_with_an_oracle(store: Shared) {
    let scribe = forest(&*store, 4).await;
    let heads = all_heads(&scribe);
    let mut dice = Dice(5);
    for number in 0..400 {
        let query = random_query(&mut dice);
        let page = store.list(&scribe.id, &query).await.expect("a page");
        assert_eq!(
            page.heads,
            oracle::list(&heads, &query),
            "query {number}: {query:?}"
        );
        assert_eq!(page.next, None);
    }
}

/// Pages of any size, one after the other, are the whole list.
pub async fn pages_neither_skip_nor_repeat(store: Shared) {
    let scribe = forest(&*store, 6).await;
    let heads = all_heads(&scribe);
    let mut dice = Dice(7);
    for by in ORDERS {
        for descending in [false, true] {
            let mut query = random_query(&mut dice);
            query.contexts = ContextList {
                deleted: true,
                ..ContextList::default()
            };
            query.sort = Sort { by, descending };
            let whole = oracle::list(&heads, &query);
            for limit in [1, 7, whole.len(), whole.len() + 1] {
                query.limit = limit;
                query.after = None;
                let mut found = Vec::new();
                loop {
                    let page = store.list(&scribe.id, &query).await.expect("a page");
                    let ListPage { heads, next } = page;
                    assert!(heads.len() <= limit);
                    found.extend(heads);
                    match next {
                        Some(_) if found.len() >= whole.len() => panic!("a page after the last"),
                        Some(key) => query.after = Some(key),
                        None => break,
                    }
                }
                assert_eq!(
                    found, whole,
                    "{by:?}, descending {descending}, pages of {limit}"
                );
            }
        }
    }
}

/// A subtree reaches through deleted contexts and parents that are not there, and ends in a cycle.
pub async fn a_subtree_is_found_through_what_was_deleted(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    for (at, parent) in [
        ("project/p", "global/main"),
        ("task/a", "project/p"),
        ("task/b", "task/a"),
        ("task/c", "task/b"),
        ("task/other", "global/main"),
        ("task/x", "task/y"),
        ("task/y", "task/x"),
        ("task/lost", "task/nowhere"),
        ("task/found", "task/lost"),
    ] {
        scribe
            .put(&*store, at, &format!(r#"{{"parent":"{parent}"}}"#))
            .await;
    }
    scribe.delete(&*store, "task/b").await;
    for (root, expected) in [
        ("project/p", vec!["project/p", "task/a", "task/c"]),
        ("task/b", vec!["task/c"]),
        ("task/x", vec!["task/x", "task/y"]),
        ("task/nowhere", vec!["task/found", "task/lost"]),
        ("task/nobody", vec![]),
    ] {
        let contexts = ContextList {
            within: Some(address(root)),
            ..ContextList::default()
        };
        let sort = Sort::default();
        let query = ListQuery {
            contexts,
            sort,
            after: None,
            limit: 99,
            bodies: false,
        };
        let page = store.list(&scribe.id, &query).await.expect("a page");
        let found: Vec<&str> = page
            .heads
            .iter()
            .map(|head| head.address.as_str())
            .collect();
        assert_eq!(found, expected, "within {root}");
    }
}

/// Labels are found by key and by value, also after they changed, whatever their text is.
pub async fn labels_of_every_kind_are_found(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    scribe
        .put(&*store, "task/a", r#"{"labels":{"a b":"é'\"","%":"_"}}"#)
        .await;
    scribe
        .put(&*store, "task/b", r#"{"labels":{"a b":"","same":"same"}}"#)
        .await;
    scribe
        .put(&*store, "task/b", r#"{"labels":{"same":"same","new":"1"}}"#)
        .await;
    scribe
        .put(&*store, "task/c", r#"{"labels":{"new":"1"}}"#)
        .await;
    scribe
        .put(&*store, "task/c", r#"{"labels":{"new":"2"}}"#)
        .await;
    scribe.delete(&*store, "task/c").await;
    for (key, value, deleted, expected) in [
        ("a b", None, false, vec!["task/a"]),
        ("a b", Some("é'\""), false, vec!["task/a"]),
        ("%", Some("_"), false, vec!["task/a"]),
        ("%", Some("%"), false, vec![]),
        ("same", Some("same"), false, vec!["task/b"]),
        ("new", None, false, vec!["task/b"]),
        ("new", None, true, vec!["task/b", "task/c"]),
        ("new", Some("1"), true, vec!["task/b"]),
        ("new", Some("2"), true, vec!["task/c"]),
    ] {
        let labels = vec![(key.to_owned(), value.map(str::to_owned))];
        let contexts = ContextList {
            labels,
            deleted,
            ..ContextList::default()
        };
        let sort = Sort::default();
        let query = ListQuery {
            contexts,
            sort,
            after: None,
            limit: 99,
            bodies: false,
        };
        let page = store.list(&scribe.id, &query).await.expect("a page");
        let found: Vec<&str> = page
            .heads
            .iter()
            .map(|head| head.address.as_str())
            .collect();
        assert_eq!(found, expected, "label {key:?} {value:?}");
    }
}
