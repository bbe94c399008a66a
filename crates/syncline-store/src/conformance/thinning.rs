//! What is promised of thinning.

use std::collections::BTreeSet;

use syncline_model::ids::{Address, Seq, Version};

use super::scribe::{
    Dice, Form, Scribe, Shared, address, branch, check_shown, conflict, line, shown,
};
use crate::thin::{Thinned, Thinning, ready};
use crate::{Store, StoreError, replay};

/// The versions of each line that were thinned.
pub(super) type Gone = BTreeSet<(Address, Version)>;

/// Writes a few lines with deletions, snapshots, bodies that lag behind, and conflicts.
pub(super) async fn write_lines(store: &dyn Store, changes: u64) -> Scribe {
    let mut scribe = Scribe::start(store, "alpha").await;
    let mut dice = Dice(5);
    for number in 0..changes {
        let form = Form {
            without_body: dice.roll(3) > 0,
            snapshot: dice.roll(8) == 0,
        };
        let at = dice.pick(&["task/a", "task/b"]);
        let mut batch = scribe.batch();
        batch.later(1_000);
        if dice.roll(10) == 0 {
            batch.branch = Some(branch("side"));
        }
        let here = address(at).line(batch.branch.as_ref());
        if dice.roll(12) == 0 && batch.lives(&here) {
            batch.delete(at);
        } else {
            if dice.roll(15) == 0 {
                batch.conflicts = vec![conflict(number, &here, "/data/n")];
            }
            batch.put(at, &format!(r#"{{"data":{{"n":{number}}}}}"#), form);
        }
        batch.send(store).await;
    }
    scribe
}

/// Checks that what was thinned is gone, and that all else reads as it did.
pub(super) async fn check_thinned(store: &dyn Store, scribe: &Scribe, gone: &Gone) {
    let mut newest = Seq::ZERO;
    for (line, history) in &scribe.contexts {
        let mut left = Vec::new();
        for (row, document) in history.versions.iter().zip(&history.documents) {
            let thinned = gone.contains(&(line.clone(), row.version));
            let found = store.version(&scribe.id, line, row.version).await;
            let found = found.expect("a version").expect("its row");
            assert_eq!(found.thinned, thinned, "{line} v{}", row.version);
            assert_eq!(
                (found.seq, found.hash, found.change),
                (row.seq, row.hash, row.change)
            );
            let header = store.header(&scribe.id, row.seq).await.expect("a header");
            let before = &scribe.records[usize::try_from(row.seq.0 - 1).expect("a small number")];
            assert_eq!(header, Some(before.header));
            let record = store.record(&scribe.id, row.seq).await.expect("a record");
            let rebuild = store.rebuild(&scribe.id, line, row.version).await;
            if thinned {
                newest = newest.max(row.seq);
                assert_eq!(record, None);
                assert!(matches!(rebuild, Err(StoreError::Compacted { .. })));
                continue;
            }
            left.push(row.version);
            assert_eq!(record.as_ref(), Some(before));
            let replayed = replay(&rebuild.expect("a version")).expect("it is sound");
            let (found, _) = replayed.expect("a document");
            assert_eq!(found.hash(), document.hash(), "{line} v{}", row.version);
        }
        let rows = store.versions(&scribe.id, line, None, usize::MAX).await;
        let mut rows: Vec<_> = rows.expect("rows").iter().map(|row| row.version).collect();
        rows.reverse();
        assert_eq!(rows, left, "{line}");
    }
    check_log(store, scribe, newest).await;
}

/// Checks that the log begins at the low-water mark, and that what else there is stayed.
async fn check_log(store: &dyn Store, scribe: &Scribe, low_water: Seq) {
    let rows = store.workspaces().await.expect("workspaces");
    assert_eq!(rows[0].low_water, low_water);
    let read = async |after| {
        let (until, all) = (scribe.last, usize::MAX);
        store.records(&scribe.id, after, until, all, all).await
    };
    let kept = usize::try_from(low_water.0).expect("a small number");
    assert_eq!(
        read(low_water).await.expect("the log"),
        scribe.records[kept..]
    );
    if let Some(below) = low_water.0.checked_sub(1) {
        let answer = read(Seq(below)).await;
        assert!(
            matches!(answer, Err(StoreError::Compacted { oldest }) if oldest == low_water.next())
        );
    }
    for (at, record) in scribe.records.iter().enumerate() {
        let seq = store.seq_at(&scribe.id, record.header.committed_at).await;
        assert_eq!(seq.expect("a place"), Seq(at as u64 + 1));
    }
    let ids: Vec<_> = scribe.ids.iter().map(|row| row.id).collect();
    let found = store.ids(&scribe.id, &ids).await.expect("ids");
    assert!(found.iter().flatten().eq(&scribe.ids));
    let query = super::scribe::all_conflicts();
    let conflicts = store
        .conflicts(&scribe.id, &query)
        .await
        .expect("conflicts");
    assert!(conflicts.iter().eq(scribe.conflicts.values()));
    let report = store.verify(&|_| ()).await.expect("a report");
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.records, scribe.last.0);
}

/// Thinning takes what is named and nothing else, however often, and the log goes on after it.
pub async fn p3_thinning_takes_what_is_named_alone(store: Shared) {
    let mut scribe = write_lines(&*store, 200).await;
    check_shown(&*store, &scribe).await;
    let (mut gone, mut dice) = (Gone::new(), Dice(9));
    for round in 0..12 {
        let at = dice.pick(&[
            address("task/a"),
            address("task/b"),
            line("task/a", "side"),
            line("task/b", "side"),
        ]);
        let newest = scribe.contexts[&at].head.version;
        let chosen = (1..newest.0).map(Version);
        let chosen: Vec<_> = chosen.filter(|_| dice.roll(4) < round / 3).collect();
        let fresh = chosen.iter().filter(|v| !gone.contains(&(at.clone(), **v)));
        let fresh = fresh.count() as u64;
        let thinning = ready(&*store, &scribe.id, &at, chosen.clone()).await;
        let thinning = thinning.expect("what stays can be read");
        let thinned = store.thin(&scribe.id, thinning.clone()).await;
        assert_eq!(thinned.expect("it is whole").versions, fresh);
        gone.extend(chosen.into_iter().map(|version| (at.clone(), version)));
        check_thinned(&*store, &scribe, &gone).await;
        let again = store.thin(&scribe.id, thinning).await.expect("it is whole");
        let low_water = again.low_water;
        assert_eq!(
            again,
            Thinned {
                low_water,
                ..Thinned::default()
            }
        );
        let text = format!(r#"{{"data":{{"round":{round}}}}}"#);
        scribe.now.0 += 1_000;
        scribe.put(&*store, "task/a", &text).await;
    }
    assert!(gone.len() > 50, "only {} versions went", gone.len());
    check_thinned(&*store, &scribe, &gone).await;
}

/// What would take a newest version, or leave one without a document, changes nothing.
pub async fn p2_a_thinning_that_would_harm_is_refused(store: Shared) {
    let scribe = write_lines(&*store, 200).await;
    let at = address("task/a");
    let newest = scribe.contexts[&at].head.version;
    let before = shown(&*store, &scribe).await;
    let bare = |versions: Vec<Version>| Thinning {
        line: at.clone(),
        versions,
        documents: Vec::new(),
    };
    let whole = |version: &Version| scribe.contexts[&at].versions[index(*version)].whole;
    let lone = (2..newest.0).map(Version);
    let lone = lone.into_iter().find(|version| !whole(&version.next()));
    let lone = lone.expect("a version is followed by an effect");
    let mut given = ready(&*store, &scribe.id, &at, vec![lone])
        .await
        .expect("a thinning");
    given.versions = vec![lone, lone.next()];
    for thinning in [
        bare(vec![newest]),
        bare(vec![newest.next()]),
        bare(vec![Version::ZERO]),
        bare(vec![Version(3), Version(2)]),
        bare(vec![Version(2), Version(2)]),
        given,
        Thinning {
            line: address("task/none"),
            ..bare(vec![Version(1)])
        },
    ] {
        let answer = store.thin(&scribe.id, thinning.clone()).await;
        assert!(
            matches!(answer, Err(StoreError::NotWritten(_))),
            "{thinning:?}"
        );
        assert_eq!(shown(&*store, &scribe).await, before);
    }
    // A version has a document of its own only where the scribe kept one.
    let mut refused = 0;
    for version in (1..newest.0 - 1).map(Version) {
        match store.thin(&scribe.id, bare(vec![version])).await {
            Ok(_) => break,
            Err(StoreError::NotWritten(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        assert_eq!(shown(&*store, &scribe).await, before);
    }
    assert!(refused > 0);
}

fn index(version: Version) -> usize {
    usize::try_from(version.0 - 1).expect("a small number")
}
