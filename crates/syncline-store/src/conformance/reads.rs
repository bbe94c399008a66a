//! What is promised of reading, lists apart.

use syncline_model::ids::{Seq, Version};
use syncline_model::record::pack;
use syncline_model::time::Timestamp;

use super::scribe::{Dice, Form, START, Scribe, Shared, address, check_shown, whole_log};
use crate::{HeadBody, StoreError, VerifyReport, replay};

/// A head shows its newest version, in each column; its body stays until another is written.
pub async fn heads_follow_their_versions(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let texts = [
        r#"{"title":"é ' \" \u0000","parent":"project/p","owner":"person/ana","labels":{"a":"1","b":"2"}}"#,
        r#"{"title":"A","labels":{"a":"1","c":"3"},"state":"blocked","level":"confidential"}"#,
        r#"{"parent":"project/q","labels":{"a":"","c":"4"}}"#,
        "{}",
    ];
    for (number, text) in texts.iter().enumerate() {
        scribe.now.0 += 10;
        let form = Form {
            without_body: number == 2,
            snapshot: false,
        };
        scribe.put_as(&*store, "task/a", text, form).await;
        check_shown(&*store, &scribe).await;
    }
    scribe.delete(&*store, "task/a").await;
    check_shown(&*store, &scribe).await;
    scribe.put(&*store, "task/a", r#"{"title":"again"}"#).await;
    check_shown(&*store, &scribe).await;
    let addresses = [address("task/z"), address("task/a"), address("task/a")];
    let heads = store.heads(&scribe.id, &addresses).await.expect("heads");
    assert_eq!(heads, scribe.heads(&addresses));
    assert_eq!(heads[1].as_ref().map(|head| head.version), Some(Version(6)));
}

/// Records after a place come in order, at most so many, and no more once they weigh enough.
pub async fn p2_records_come_without_a_gap_and_within_limits(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let mut batch = scribe.batch();
    for number in 0..30 {
        batch.put(
            "task/a",
            &format!(r#"{{"data":{{"n":{number}}}}}"#),
            Form::default(),
        );
    }
    batch.send(&*store).await;
    assert_eq!(whole_log(&*store, &scribe.id).await, scribe.records);
    let weight = scribe.records[4].body.len();
    for (after, until, limit, bytes_max, count) in [
        (0, 30, 7, usize::MAX, 7),
        (0, 30, 0, usize::MAX, 0),
        (3, 30, 99, 0, 1),
        (3, 30, 99, 1, 1),
        (4, 30, 99, weight + 1, 2),
        (10, 12, 99, usize::MAX, 2),
        (10, 10, 99, usize::MAX, 0),
        (12, 10, 99, usize::MAX, 0),
        (29, 99, 99, usize::MAX, 1),
        (30, 99, 99, usize::MAX, 0),
        (99, 120, 99, usize::MAX, 0),
    ] {
        let found = store
            .records(&scribe.id, Seq(after), Seq(until), limit, bytes_max)
            .await;
        let found = found.expect("records");
        let from = usize::try_from(after).expect("a small number").min(30);
        assert_eq!(
            found,
            scribe.records[from..from + count],
            "{after}..={until}, {limit}, {bytes_max}"
        );
    }
}

/// Versions are found by number, by the place in the log, and newest first.
pub async fn versions_are_found_by_number_and_place(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let mut dice = Dice(1);
    for number in 0..60 {
        let at = dice.pick(&["task/a", "task/b", "task/c"]);
        scribe
            .put(&*store, at, &format!(r#"{{"data":{{"n":{number}}}}}"#))
            .await;
    }
    // A context that begins with many versions at once, and others that go on with many.
    for (records, of) in [(70, &["task/d"][..]), (99, &["task/a", "task/b", "task/d"])] {
        let mut batch = scribe.batch();
        for number in 0..records {
            let text = format!(r#"{{"data":{{"m":{number}}}}}"#);
            batch.put(dice.pick(of), &text, Form::default());
        }
        batch.send(&*store).await;
    }
    scribe.put(&*store, "task/d", "{}").await;
    check_shown(&*store, &scribe).await;
    for (address, history) in &scribe.contexts {
        let rows = &history.versions;
        for row in rows {
            let found = store
                .version(&scribe.id, address, row.version)
                .await
                .expect("a version");
            assert_eq!(found.as_ref(), Some(row));
        }
        for seq in 0..=scribe.last.0 + 1 {
            let found = store
                .version_at(&scribe.id, address, Seq(seq))
                .await
                .expect("a version");
            assert_eq!(
                found.as_ref(),
                rows.iter().rev().find(|row| row.seq <= Seq(seq)),
                "at {seq}"
            );
        }
        let page = store
            .versions(&scribe.id, address, Some(Version(5)), 3)
            .await
            .expect("versions");
        assert_eq!(page, [rows[3].clone(), rows[2].clone(), rows[1].clone()]);
        let beyond = Version(rows.len() as u64 + 1);
        assert_eq!(
            store
                .version(&scribe.id, address, beyond)
                .await
                .expect("none"),
            None
        );
        assert_eq!(
            store
                .version(&scribe.id, address, Version(0))
                .await
                .expect("none"),
            None
        );
    }
    let nobody = address("task/nobody");
    assert_eq!(
        store
            .versions(&scribe.id, &nobody, None, 9)
            .await
            .expect("none"),
        []
    );
    assert_eq!(
        store
            .version(&scribe.id, &nobody, Version(1))
            .await
            .expect("none"),
        None
    );
    assert_eq!(
        store
            .version_at(&scribe.id, &nobody, Seq(9))
            .await
            .expect("none"),
        None
    );
}

/// A time leads to the last record that was committed by then.
pub async fn a_time_leads_to_its_place(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    assert_eq!(
        store.seq_at(&scribe.id, START).await.expect("a place"),
        Seq::ZERO
    );
    let mut times = Vec::new();
    let mut dice = Dice(2);
    for number in 0..50 {
        scribe.now.0 += i64::try_from(dice.roll(4)).expect("a small number") * 10;
        scribe
            .put(
                &*store,
                "task/a",
                &format!(r#"{{"data":{{"n":{number}}}}}"#),
            )
            .await;
        times.push(scribe.now);
    }
    for offset in -5..2_000 {
        let at = Timestamp(START.0 + offset);
        let expected = times.iter().filter(|time| **time <= at).count() as u64;
        let found = store.seq_at(&scribe.id, at).await.expect("a place");
        assert_eq!(found, Seq(expected), "at {offset}");
        if expected == 50 {
            break;
        }
    }
    assert_eq!(
        store
            .seq_at(&scribe.id, Timestamp(i64::MAX))
            .await
            .expect("a place"),
        Seq(50)
    );
    assert_eq!(
        store
            .seq_at(&scribe.id, Timestamp(i64::MIN))
            .await
            .expect("a place"),
        Seq::ZERO
    );
}

/// Each version is rebuilt to the document that was written, wherever bodies and snapshots lie.
pub async fn every_version_is_rebuilt(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let mut dice = Dice(3);
    for number in 0..120 {
        let at = dice.pick(&["task/a", "task/b", "task/c"]);
        let live = scribe
            .contexts
            .get(&address(at))
            .is_some_and(|history| !history.head.deleted);
        if live && dice.roll(10) == 0 {
            scribe.delete(&*store, at).await;
            continue;
        }
        let text = format!(
            r#"{{"title":"{}","data":{{"n":{number},"k{}":[{},{{"x":{number}}}]}}}}"#,
            dice.roll(3),
            dice.roll(5),
            dice.roll(9),
        );
        let form = Form {
            without_body: dice.roll(3) > 0,
            snapshot: dice.roll(6) == 0,
        };
        scribe.put_as(&*store, at, &text, form).await;
    }
    for (address, history) in &scribe.contexts {
        for (row, document) in history.versions.iter().zip(&history.documents) {
            let rebuild = store
                .rebuild(&scribe.id, address, row.version)
                .await
                .expect("a rebuild");
            assert_eq!(rebuild.hash, Some(row.hash));
            if let Some(start) = &rebuild.start {
                assert!(start.version <= row.version);
            }
            let (found, last) = replay(&rebuild).expect("a replay").expect("a document");
            assert_eq!(&found, document, "{address} v{}", row.version);
            let newest = last.map_or(rebuild.start.map(|body| body.version), |last| {
                Some(last.version)
            });
            assert_eq!(newest, Some(row.version));
        }
        let beyond = Version(history.versions.len() as u64 + 1);
        for none in [Version(0), beyond] {
            let rebuild = store
                .rebuild(&scribe.id, address, none)
                .await
                .expect("a rebuild");
            assert!(rebuild.start.is_none() && rebuild.records.is_empty());
        }
    }
    let nobody = store
        .rebuild(&scribe.id, &address("task/nobody"), Version(1))
        .await;
    assert!(
        replay(&nobody.expect("a rebuild"))
            .expect("nothing")
            .is_none()
    );
}

/// A stored document that is not the one that was recorded is not served by `replay`.
pub async fn a_stored_document_is_checked(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let mut batch = scribe.batch();
    batch.put("task/a", r#"{"title":"true"}"#, Form::default());
    batch.append.heads[0].body = Some(HeadBody {
        version: Version(1),
        bytes: pack(r#"{"title":"false"}"#),
    });
    batch.send(&*store).await;
    let rebuild = store
        .rebuild(&scribe.id, &address("task/a"), Version(1))
        .await;
    assert!(rebuild.is_ok_and(|rebuild| replay(&rebuild).is_err()));
    let report = store.verify(&|_| ()).await.expect("a report");
    assert!(
        report.problems.iter().any(|line| line.contains("task/a")),
        "{report:?}"
    );
}

/// Verifying what is whole counts it and finds no problem.
pub async fn all_is_well_when_nothing_is_rotten(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let mut other = Scribe::start(&*store, "beta").await;
    let empty = Scribe::start(&*store, "empty").await;
    for number in 0..40 {
        let text =
            format!(r#"{{"title":"T","labels":{{"a":"{number}"}},"data":{{"n":{number}}}}}"#);
        let form = Form {
            without_body: number % 3 > 0,
            snapshot: number % 7 == 0,
        };
        scribe.put_as(&*store, "task/a", &text, form).await;
        other.put_as(&*store, "task/b", &text, form).await;
    }
    other.delete(&*store, "task/b").await;
    let mut batch = other.batch();
    batch.keep_id();
    batch.send(&*store).await;
    let steps = std::sync::Mutex::new(Vec::new());
    let note = |step| steps.lock().expect("no step panics").push(step);
    let report = store.verify(&note).await.expect("a report");
    let VerifyReport {
        workspaces,
        records,
        contexts,
        documents,
        problems,
    } = report;
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!((workspaces, records, contexts), (3, 81, 2));
    assert!(documents >= 2, "{documents}");
    let steps = steps.into_inner().expect("no step panics");
    assert!(
        steps
            .iter()
            .any(|step| step.workspace == scribe.id && step.checked == 40)
    );
    assert!(steps.iter().all(|step| step.checked <= step.total));
    let low = store.records(&empty.id, Seq::ZERO, Seq(1), 1, 1).await;
    assert!(!matches!(low, Err(StoreError::Compacted { .. })));
}
