//! What is promised of conflicts, and of branches.

use syncline_model::conflict::{Conflict, ConflictState};
use syncline_model::ids::{Seq, Version};

use super::lists::{all_heads, forest, random_query};
use super::oracle;
use super::scribe::{
    Dice, Form, Scribe, Shared, address, branch, change_id, check_shown, conflict, line, shown,
};
use super::subtrees::whole;
use crate::{Append, ConflictQuery, ContextList, HeadRow, ListQuery, Sort, Store, replay};

const BODILESS: Form = Form {
    without_body: true,
    snapshot: false,
};

/// Returns the conflict as its next change leaves it.
fn moved(conflict: &Conflict, state: ConflictState) -> Conflict {
    let ended = state != ConflictState::Open;
    Conflict {
        version: conflict.version + 1,
        theirs: conflict.ours.clone().filter(|_| !ended),
        state,
        closed: ended.then_some(Version(9)),
        settled_by: (state == ConflictState::Settled).then(|| change_id(999)),
        ..conflict.clone()
    }
}

/// Writes a change that tells of conflicts, and appends it.
async fn tell(store: &dyn Store, scribe: &mut Scribe, at: &str, conflicts: Vec<Conflict>) {
    let mut batch = scribe.batch();
    batch.conflicts = conflicts;
    batch.put(at, r#"{"title":"told"}"#, BODILESS);
    batch.send(store).await;
}

async fn assert_well(store: &dyn Store) {
    let report = store.verify(&|_| ()).await.expect("a report");
    assert_eq!(report.problems, Vec::<String>::new());
}

/// A conflict is what the last change that told of it said, also of several in one append.
pub async fn p4_conflicts_are_kept_as_their_changes_left_them(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let a = address("task/a");
    let (first, second) = (conflict(7, &a, "/data/x"), conflict(3, &a, ""));
    scribe.put(&*store, "task/a", "{}").await;
    let both = vec![first.clone(), second.clone()];
    tell(&*store, &mut scribe, "task/a", both.clone()).await;
    check_shown(&*store, &scribe).await;
    let head = store.heads(&scribe.id, &[a]).await.expect("a head");
    assert_eq!(head[0].as_ref().map(|h| h.conflicts.to_vec()), Some(both));

    let mut batch = scribe.batch();
    let later = moved(&first, ConflictState::Open);
    let settled = moved(&later, ConflictState::Settled);
    for change in [later, settled.clone()] {
        batch.conflicts = vec![change];
        batch.put("task/a", "{}", Form::default());
    }
    // Records that tell of nothing lie between those that do.
    for number in 0..300 {
        if number % 100 == 50 {
            batch.conflicts = vec![moved(&second, ConflictState::Open)];
            batch.conflicts[0].version = number;
        }
        batch.put("task/a", &format!(r#"{{"title":"{number}"}}"#), BODILESS);
        batch.put("task/b", &format!(r#"{{"title":"{number}"}}"#), BODILESS);
    }
    batch.send(&*store).await;
    let found = store.conflict(&scribe.id, &first.id).await;
    assert_eq!(found.expect("a conflict"), Some(settled));
    let unknown = conflict(7, &address("task/a"), "/data/y").id;
    let found = store.conflict(&scribe.id, &unknown).await;
    assert_eq!(found.expect("no conflict"), None);
    check_shown(&*store, &scribe).await;
    assert_well(&*store).await;
}

/// A head keeps the conflicts that wait in it, whatever else of it is written, and whatever the
/// store still remembers.
pub async fn p4_a_head_keeps_its_conflicts(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let lines = [address("task/a"), line("task/a", "x"), address("task/none")];
    for (number, line) in (1..).zip(&lines) {
        let (_, branch) = line.of_line();
        let mut batch = scribe.batch();
        batch.branch = branch;
        if number < 3 {
            batch.conflicts = vec![conflict(number, line, "/a"), conflict(number, line, "/b")];
        }
        batch.put(
            line.of_line().0.as_str(),
            r#"{"parent":"project/p"}"#,
            Form::default(),
        );
        batch.send(&*store).await;
    }
    for round in 0..6 {
        if round % 2 == 0 {
            store.recover().await.expect("it opens again");
        }
        let mut batch = scribe.batch();
        batch.branch = (round >= 3).then(|| branch("x"));
        match round {
            // One ends, and the other stays.
            1 | 4 => {
                let line = &lines[usize::from(round == 4)];
                let ended = conflict(if round == 4 { 2 } else { 1 }, line, "/a");
                batch.conflicts = vec![moved(&ended, ConflictState::Agreed)];
                batch.put("task/a", r#"{"parent":"project/p"}"#, BODILESS);
            }
            2 => batch.delete("task/a"),
            _ => batch.put("task/a", r#"{"parent":"project/p","state":"x"}"#, BODILESS),
        }
        batch.send(&*store).await;
        check_shown(&*store, &scribe).await;
    }
    for line in &lines {
        let waiting = scribe.contexts[line].head.conflicts.len();
        assert_eq!(waiting, usize::from(line.as_str() != "task/none"));
    }
    scribe
        .put(&*store, "task/a", r#"{"parent":"project/p"}"#)
        .await;
    let listed = store.list(&scribe.id, &everything()).await.expect("a list");
    let walked = whole(&*store, &scribe.id, "project/p", 9).await;
    let expected = oracle::list(&all_heads(&scribe), &everything());
    assert_eq!((&listed.heads, &walked), (&expected, &expected));
    assert_well(&*store).await;
}

fn everything() -> ListQuery {
    ListQuery {
        contexts: ContextList::default(),
        sort: Sort::default(),
        after: None,
        limit: 1_000,
        bodies: false,
    }
}

/// Conflicts are written with their append or not at all, and follow what a lost commit leaves.
pub async fn p1_a_failing_append_leaves_no_conflict(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let a = address("task/a");
    let known = conflict(1, &a, "/data");
    tell(&*store, &mut scribe, "task/a", vec![known.clone()]).await;
    let before = shown(&*store, &scribe).await;
    type Break = fn(&mut Append);
    let breaks: [Break; 4] = [
        |append| append.ids.push(append.ids[0].clone()),
        |append| append.versions[0].version = Version(7),
        |append| append.conflicts.push(append.conflicts[0].clone()),
        |append| {
            let conflicts = std::mem::take(&mut append.conflicts);
            *append = Append {
                conflicts,
                ..Append::default()
            };
        },
    ];
    for (number, broken) in breaks.into_iter().enumerate() {
        let mut twin = scribe.clone();
        let mut batch = twin.batch();
        batch.conflicts = vec![
            moved(&known, ConflictState::Settled),
            conflict(2, &a, "/data"),
        ];
        batch.put("task/a", "{}", Form::default());
        broken(&mut batch.append);
        let answer = store.append(&scribe.id, batch.after, batch.append).await;
        assert!(answer.is_err(), "break {number}: {answer:?}");
        assert_eq!(shown(&*store, &scribe).await, before, "break {number}");
    }
    // The same again, whole: what was undone is not taken for written.
    let both = vec![
        moved(&known, ConflictState::Settled),
        conflict(2, &a, "/data"),
    ];
    tell(&*store, &mut scribe, "task/a", both).await;
    check_shown(&*store, &scribe).await;
    assert_well(&*store).await;
}

/// Writes some hundred conflicts of several contexts and lines, many of them ended.
async fn many(store: &dyn Store, name: &str, seed: u64) -> Scribe {
    let mut scribe = Scribe::start(store, name).await;
    let mut dice = Dice(seed);
    let (places, names) = (
        ["task/a", "task/a-b", "task/b"],
        [None, Some("x"), Some("y/z")],
    );
    for _ in 0..40 {
        let mut batch = scribe.batch();
        for _ in 0..6 {
            let (at, name) = (dice.pick(&places), dice.pick(&names));
            batch.branch = name.map(branch);
            let line = address(at).line(batch.branch.as_ref());
            // Proposals come in another order than they were made in.
            let number = 1_000 + dice.roll(500) as u64;
            let new = conflict(number, &line, dice.pick(&["", "/a", "/a/b"]));
            let state = dice.pick(ConflictState::ALL);
            if !batch.knows(&new.id) {
                batch.conflicts = vec![moved(&new, state)];
            }
            batch.put(at, &format!(r#"{{"title":"{number}"}}"#), BODILESS);
        }
        batch.send(store).await;
    }
    scribe
}

/// Pages of any size hold the conflicts asked for, by id, each once.
pub async fn conflicts_come_in_pages_by_id(store: Shared) {
    let scribe = many(&*store, "alpha", 9).await;
    // Another workspace has conflicts with the same ids.
    let other = many(&*store, "beta", 10).await;
    for scribe in [&scribe, &other] {
        assert!(scribe.conflicts.len() > 100);
        check_shown(&*store, scribe).await;
        let contexts = ["task/a", "task/a-b", "task/b", "task/none"].map(address);
        for context in contexts.into_iter().map(Some).chain([None]) {
            for open in [false, true] {
                for limit in [1, 7, 1_000] {
                    let query = ConflictQuery {
                        context: context.clone(),
                        open,
                        after: None,
                        limit,
                    };
                    check_pages(&*store, scribe, query).await;
                }
            }
        }
    }
    let none = ConflictQuery::default();
    let found = store.conflicts(&scribe.id, &none).await;
    assert_eq!(found.expect("nothing"), []);
    assert_well(&*store).await;
}

async fn check_pages(store: &dyn Store, scribe: &Scribe, mut query: ConflictQuery) {
    let wanted = |c: &&Conflict| {
        let context = query.context.as_ref().is_none_or(|of| *of == c.context);
        context && (!query.open || c.state == ConflictState::Open)
    };
    let expected: Vec<_> = scribe.conflicts.values().filter(wanted).cloned().collect();
    let mut found: Vec<Conflict> = Vec::new();
    for _ in 0..=expected.len() {
        let page = store.conflicts(&scribe.id, &query).await.expect("a page");
        assert!(page.len() <= query.limit);
        let Some(last) = page.last() else {
            break;
        };
        query.after = Some(last.id);
        found.extend(page);
    }
    assert_eq!(found, expected, "{query:?}");
}

/// A branch shows in no list, subtree, height, label or count, also where it alone is left.
pub async fn branches_never_show_in_lists_and_subtrees(store: Shared) {
    let mut scribe = forest(&*store, 11).await;
    let heights = heights(&*store, &scribe).await;
    let mains = scribe.addresses();
    let mut dice = Dice(12);
    for (number, main) in mains.iter().enumerate() {
        let mut batch = scribe.batch();
        batch.branch = Some(branch(dice.pick(&["x", "conflict/1"])));
        let text = format!(
            r#"{{"title":"a","parent":"{}","labels":{{"k":"x","l":"é"}},"owner":"agent/b"}}"#,
            dice.pick(&mains)
        );
        batch.put(main.as_str(), &text, Form::default());
        batch.put(main.as_str(), &text.replace('x', "y"), Form::default());
        if number % 5 == 0 {
            batch.delete(main.as_str());
        }
        batch.send(&*store).await;
    }
    let mut alone = scribe.batch();
    alone.branch = Some(branch("x"));
    alone.put("task/alone", r#"{"parent":"task/a0"}"#, Form::default());
    alone.send(&*store).await;
    check_shown(&*store, &scribe).await;

    let heads = all_heads(&scribe);
    assert_eq!(heads.len(), mains.len());
    for number in 0..200 {
        let query = random_query(&mut dice);
        let page = store.list(&scribe.id, &query).await.expect("a page");
        let expected = oracle::list(&heads, &query);
        assert_eq!(page.heads, expected, "query {number}: {query:?}");
    }
    let mut query = everything();
    query.contexts.addresses = Some(scribe.addresses());
    let listed = store.list(&scribe.id, &query).await.expect("a page");
    assert_eq!(listed.heads, oracle::list(&heads, &query));
    for line in scribe.addresses() {
        let found = whole(&*store, &scribe.id, line.as_str(), 50).await;
        let shown = |head: &HeadRow| head.address.of_line().1.is_none();
        assert!(found.iter().all(shown), "below {line}");
    }
    assert_eq!(self::heights(&*store, &scribe).await, heights);
    assert_well(&*store).await;
}

async fn heights(store: &dyn Store, scribe: &Scribe) -> Vec<usize> {
    let mut heights = Vec::new();
    for head in all_heads(scribe) {
        let height = store.height(&scribe.id, &head.address, 32).await;
        heights.push(height.expect("a height"));
    }
    heights
}

/// A branch counts its own versions, each of which is found and rebuilt beside those of main.
pub async fn branches_have_versions_of_their_own(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let mut dice = Dice(13);
    for number in 0..200 {
        let mut batch = scribe.batch();
        batch.branch = dice.pick(&[None, Some("x"), Some("x/y")]).map(branch);
        let line = address("task/a").line(batch.branch.as_ref());
        let live = batch.lives(&line);
        if live && dice.roll(12) == 0 {
            batch.delete("task/a");
        } else {
            let text = format!(r#"{{"data":{{"n":{number},"k{}":1}}}}"#, dice.roll(5));
            let form = Form {
                without_body: dice.roll(3) > 0,
                snapshot: dice.roll(9) == 0,
            };
            batch.put("task/a", &text, form);
        }
        batch.send(&*store).await;
    }
    check_shown(&*store, &scribe).await;
    assert_eq!(scribe.contexts.len(), 3);
    for (line, history) in &scribe.contexts {
        assert!(history.versions.len() > 40);
        for (row, document) in history.versions.iter().zip(&history.documents) {
            let rebuild = store.rebuild(&scribe.id, line, row.version).await;
            let (found, _) = replay(&rebuild.expect("a rebuild"))
                .expect("a replay")
                .expect("a document");
            assert_eq!(&found, document, "{line:?} v{}", row.version);
            let found = store.version(&scribe.id, line, row.version).await;
            assert_eq!(found.expect("a version").as_ref(), Some(row));
        }
        for seq in (0..=scribe.last.0).map(Seq) {
            let found = store.version_at(&scribe.id, line, seq).await;
            let expected = history.versions.iter().rev().find(|row| row.seq <= seq);
            assert_eq!(found.expect("a version").as_ref(), expected);
        }
    }
    assert_well(&*store).await;
}

/// The branches of a context come by name, without bodies, deleted ones too, and none of others.
pub async fn branches_come_by_name(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let mut other = Scribe::start(&*store, "beta").await;
    let places = [
        "task/a", "task/a-b", "task/a.b", "task/a0", "task/ab", "tas/a", "task/A",
    ];
    let names = ["x", "B", "a", "a-b", "a/b", "a.b", "0", "conflict/1", "z~"];
    for at in places {
        scribe.put(&*store, at, "{}").await;
        for name in names
            .into_iter()
            .filter(|name| at != "task/a" || *name != "z~")
        {
            let mut batch = scribe.batch();
            batch.branch = branch(name).into();
            batch.put(at, &format!(r#"{{"title":"{name}"}}"#), Form::default());
            if name == "a/b" {
                batch.delete(at);
            }
            batch.send(&*store).await;
        }
    }
    let mut batch = other.batch();
    batch.branch = Some(branch("x"));
    batch.put("task/a", "{}", Form::default());
    batch.send(&*store).await;
    for at in places.map(address) {
        let heads = scribe.contexts.values().map(|history| &history.head);
        let mut expected: Vec<HeadRow> = heads
            .filter(|head| head.address.of_line().0 == at)
            .filter(|head| head.address.of_line().1.is_some())
            .cloned()
            .collect();
        expected.iter_mut().for_each(|head| head.body = None);
        expected.sort_by_key(|head| head.address.of_line().1);
        assert!(expected.iter().any(|head| head.deleted) && expected.len() > 7);
        let found = store.branches(&scribe.id, &at).await.expect("branches");
        assert_eq!(found, expected, "{at}");
    }
    for nothing in [address("task/nobody"), line("task/a", "x")] {
        let found = store.branches(&scribe.id, &nothing).await;
        assert_eq!(found.expect("no branches"), []);
    }
}

/// What a row says of a conflict, or a head of what waits in it, is compared with the records.
pub async fn a_conflict_that_is_not_as_it_was_told_is_found(store: Shared) {
    type Twist = fn(&mut Append);
    let twists: [(&str, Twist); 5] = [
        ("conflict", |append| append.conflicts[0].ours = None),
        ("conflict", |append| append.conflicts.truncate(1)),
        ("task/a", |append| append.heads[0].conflicts = [].into()),
        ("task/a", |append| {
            let twice = append.heads[0].conflicts[0].clone();
            append.heads[0].conflicts = [twice.clone(), twice].into();
        }),
        ("conflict", |append| {
            let extra = conflict(77, &address("task/a"), "");
            append.conflicts.push(moved(&extra, ConflictState::Agreed));
        }),
    ];
    for (number, (what, twist)) in twists.into_iter().enumerate() {
        let name = format!("w{number}");
        let mut scribe = Scribe::start(&*store, &name).await;
        let a = address("task/a");
        let mut batch = scribe.batch();
        batch.conflicts = vec![conflict(1, &a, "/a"), conflict(2, &a, "/b")];
        batch.put("task/a", "{}", Form::default());
        twist(&mut batch.append);
        batch.send(&*store).await;
        let report = store.verify(&|_| ()).await.expect("a report");
        let start = format!("workspace {name}: ");
        let mut of_this = report.problems.iter().filter(|p| p.starts_with(&start));
        assert!(of_this.any(|p| p.contains(what)), "{number}: {report:#?}");
    }
}
