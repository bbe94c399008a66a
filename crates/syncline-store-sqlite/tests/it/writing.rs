//! Writing: groups, checkpoints, faults.

use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_model::conflict::{Conflict, ConflictState};
use syncline_model::ids::Seq;
use syncline_store::conformance::scribe::{Form, Scribe, address, check_shown, conflict, join_all};
use syncline_store::{Append, CommitFault, Kept, KeptQuery, Store, StoreError};
use syncline_store_sqlite::TestFaults;

use crate::{open, open_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_shares_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let mut scribes = Vec::new();
    for number in 0..64 {
        scribes.push(Scribe::start(&*store, &format!("w{number}")).await);
    }
    let before = store.stats().await.unwrap();
    for _ in 0..5 {
        let mut sent = Vec::new();
        for scribe in &mut scribes {
            let mut batch = scribe.batch();
            batch.put("task/a", r#"{"title":"A"}"#, Form::default());
            if batch.after > Seq::ZERO {
                batch.put("task/b", "{}", Form::default());
            }
            let (after, append) = (batch.after, batch.append);
            sent.push((scribe.id.clone(), after, append));
        }
        let calls = sent.into_iter().map(|(id, after, append)| {
            let store = store.clone();
            tokio::spawn(async move { store.append(&id, after, append).await })
        });
        // Tasks of their own, as connections are: while one commits by itself, others come to wait.
        for answer in join_all(calls.collect()).await {
            answer.unwrap().unwrap();
        }
    }
    let after = store.stats().await.unwrap();
    assert_eq!(after.records - before.records, 64 * 9);
    let commits = after.commits - before.commits;
    assert!(
        (5..100).contains(&commits),
        "{commits} commits for 320 appends"
    );
    for scribe in &scribes {
        check_shown(&*store, scribe).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_that_move_meanwhile_are_no_rot() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let told: Vec<_> = (0..20)
        .map(|number| conflict(number, &address("task/a"), ""))
        .collect();
    let tell = async |scribe: &mut Scribe, version: u64| {
        let mut batch = scribe.batch();
        // More records than one read transaction of the walk has.
        for number in 0..30 {
            let at = &told[usize::try_from((version + number) % 20).unwrap()];
            batch.conflicts = vec![Conflict {
                version: version + number,
                state: ConflictState::ALL[usize::from((version + number).is_multiple_of(7))],
                ..at.clone()
            }];
            batch.put(
                "task/a",
                &format!(r#"{{"title":"{number}"}}"#),
                Form::default(),
            );
        }
        batch.send(&*store).await;
    };
    for version in 0..12 {
        tell(&mut scribe, version).await;
    }
    let verifying = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut reports = Vec::new();
            for _ in 0..2 {
                reports.push(store.verify(&|_| ()).await.unwrap());
            }
            reports
        })
    };
    // Bounded, since a history that grows faster than it is checked has no end.
    for version in 12..40 {
        tell(&mut scribe, version).await;
    }
    for report in verifying.await.unwrap() {
        assert_eq!(report.problems, Vec::<String>::new());
    }
}

#[tokio::test]
async fn p1_an_unknown_commit_is_unknown_to_all_that_shared_it() {
    for written in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let fault = CommitFault { at: 3, written };
        let faults = TestFaults {
            fail_commit: Some(fault),
            ..TestFaults::default()
        };
        let store = open_with(dir.path(), faults).unwrap();
        let mut alpha = Scribe::start(&store, "alpha").await;
        let mut beta = Scribe::start(&store, "beta").await;
        let (a0, b0) = (alpha.clone(), beta.clone());
        let mut a = alpha.batch();
        a.put("task/a", "{}", Form::default());
        let a = (a.after, a.append);
        let mut b = beta.batch();
        b.put("task/b", "{}", Form::default());
        let b = (b.after, b.append);
        let calls = vec![
            store.append(&alpha.id, a.0, a.1),
            store.append(&beta.id, b.0, b.1),
        ];
        for answer in join_all(calls).await {
            assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
        }
        let rows = store.recover().await.unwrap();
        let told: Vec<_> = rows.iter().map(|row| row.last.0).collect();
        // They may have been in two groups; then the second was not written for certain.
        assert!(
            if written {
                told[0] == 1
            } else {
                told == [0, 0]
            },
            "{told:?}"
        );
        let alpha = if told[0] == 1 { alpha } else { a0 };
        let beta = if told[1] == 1 { beta } else { b0 };
        check_shown(&store, &alpha).await;
        check_shown(&store, &beta).await;
        // What was found is durable without the write-ahead log.
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(
            dir.path().join("syncline.db"),
            copy.path().join("syncline.db"),
        )
        .unwrap();
        let copied = open(copy.path());
        check_shown(&copied, &alpha).await;
        check_shown(&copied, &beta).await;
    }
}

#[tokio::test]
async fn the_write_ahead_log_does_not_grow_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut scribe = Scribe::start(&store, "alpha").await;
    let text = format!(r#"{{"data":{{"text":"{}"}}}}"#, "x y ".repeat(300));
    let began = Instant::now();
    let mut largest = 0;
    while began.elapsed() < Duration::from_millis(1_500) {
        let mut batch = scribe.batch();
        for number in 0..50 {
            batch.put(
                &format!("task/t{number}"),
                &text,
                Form {
                    without_body: false,
                    snapshot: true,
                },
            );
        }
        batch.send(&store).await;
        largest = largest.max(
            std::fs::metadata(dir.path().join("syncline.db-wal"))
                .unwrap()
                .len(),
        );
    }
    assert!(largest < 96 << 20, "{largest} bytes");
    check_shown(&store, &scribe).await;
    // Idle, it gives its room back, but for what the next burst is written to in place.
    let began = Instant::now();
    while std::fs::metadata(dir.path().join("syncline.db-wal"))
        .unwrap()
        .len()
        > 8 << 20
    {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "it is still there"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    check_shown(&store, &scribe).await;
}

#[tokio::test]
async fn an_answer_before_the_commit_can_be_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let faults = TestFaults {
        answer_before_commit: true,
        skip_fsync: true,
        ..TestFaults::default()
    };
    let store = open_with(dir.path(), faults).unwrap();
    let mut scribe = Scribe::start(&store, "alpha").await;
    let mut batch = scribe.batch();
    batch.put("task/a", "{}", Form::default());
    let (after, append) = (batch.after, batch.append);
    store.append(&scribe.id, after, append).await.unwrap();
    // The answer came first: the commit is done by the next one.
    store
        .append(&scribe.id, scribe.last, Append::default())
        .await
        .unwrap();
    assert_eq!(store.workspaces().await.unwrap()[0].last, Seq(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_what_is_kept_shares_a_commit_and_survives() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let id = Scribe::start(&*store, "alpha").await.id;
    let before = store.stats().await.unwrap();
    let calls = (0..64).map(|n| {
        let (store, id) = (store.clone(), id.clone());
        let kept = Kept::put("acks", format!("{n:02}"), n.to_string().into_bytes());
        tokio::spawn(async move { store.keep(&id, vec![kept]).await })
    });
    for answer in join_all(calls.collect()).await {
        answer.unwrap().unwrap();
    }
    let commits = store.stats().await.unwrap().commits - before.commits;
    assert!((1..32).contains(&commits), "{commits} commits for 64 calls");
    // As a process that is killed leaves it: what is in the page cache stays.
    let copy = tempfile::tempdir().unwrap();
    for name in ["syncline.db", "syncline.db-wal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let query = KeptQuery {
        space: "acks".to_owned(),
        limit: 100,
        ..KeptQuery::default()
    };
    let killed = open(copy.path());
    assert_eq!(killed.kept(&id, &query).await.unwrap().len(), 64);
    store.close().await.unwrap();
    drop(store);
    let again = open(dir.path());
    let found = again.kept(&id, &query).await.unwrap();
    assert_eq!(found.len(), 64);
    assert_eq!((&*found[7].0, &found[7].1[..]), ("07", &b"7"[..]));
}
