//! Old files still read: each format that was released has one here, made once and kept.

use std::fs;
use std::path::{Path, PathBuf};

use syncline_model::ids::{Seq, Version};
use syncline_store::conformance::frame_all;
use syncline_store::conformance::scribe::{
    Form, Scribe, address, all_conflicts, branch, check_shown, conflict, document, whole_log,
    workspace_id,
};
use syncline_store::{Framed, Kept, KeptQuery, ListQuery, Store, replay, thin};
use syncline_store_sqlite::SqliteStore;

use crate::open;

fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/formats")
        .join(name)
}

/// Writes what `v1.db` holds. Run once, with this program as it was when the format was new:
/// `cargo test -p syncline-store-sqlite -- --ignored writes_format_1`.
#[tokio::test]
#[ignore = "writes a file that is kept"]
async fn writes_format_1() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut scribe = Scribe::start(&store, "default").await;
    let mut other = Scribe::start(&store, "other").await;
    let bodiless = Form {
        without_body: true,
        snapshot: false,
    };
    let long = "Long enough to be compressed. ".repeat(100);
    scribe
        .put(
            &store,
            "task/a",
            r#"{"title":"A","labels":{"k":"v"},"data":{"n":1.0,"é":"ü"}}"#,
        )
        .await;
    scribe
        .put_as(
            &store,
            "task/a",
            r#"{"title":"B","data":{"n":12345678901234567890}}"#,
            bodiless,
        )
        .await;
    scribe
        .put(
            &store,
            "task/b",
            &format!(r#"{{"parent":"task/a","data":{{"long":"{long}"}}}}"#),
        )
        .await;
    scribe.delete(&store, "task/a").await;
    let snapshot = Form {
        without_body: false,
        snapshot: true,
    };
    scribe
        .put_as(
            &store,
            "task/a",
            r#"{"title":"C","owner":"person/ana","level":"public"}"#,
            snapshot,
        )
        .await;
    let mut batch = scribe.batch();
    batch.keep_id();
    batch.send(&store).await;
    other.put(&store, "project/p", "{}").await;
    store.close().await.unwrap();
    fs::copy(dir.path().join("syncline.db"), stored("v1.db")).unwrap();
}

/// Writes what `v2.db` holds: what format 2 added: a branch, and conflicts that wait.
#[tokio::test]
#[ignore = "writes a file that is kept"]
async fn writes_format_2() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut scribe = Scribe::start(&store, "default").await;
    write_lines(&store, &mut scribe).await;
    store.close().await.unwrap();
    fs::copy(dir.path().join("syncline.db"), stored("v2.db")).unwrap();
}

/// Writes a context, a branch of it, and conflicts that wait in both.
async fn write_lines(store: &SqliteStore, scribe: &mut Scribe) {
    let a = address("task/a");
    scribe.put(store, "task/a", r#"{"title":"A"}"#).await;
    let mut batch = scribe.batch();
    batch.conflicts = vec![conflict(1, &a, "/title"), conflict(2, &a, "/data")];
    batch.put("task/a", r#"{"title":"B"}"#, Form::default());
    batch.send(store).await;
    let mut batch = scribe.batch();
    batch.branch = Some(branch("x"));
    batch.conflicts = vec![conflict(3, &a.line(batch.branch.as_ref()), "")];
    batch.put("task/a", r#"{"title":"X"}"#, Form::default());
    batch.send(store).await;
}

/// Writes what `v4.db` holds: what format 4 added: frames. (Format 3 added values that are kept
/// beside the log; they are in no frame and no record.)
#[tokio::test]
#[ignore = "writes a file that is kept"]
async fn writes_format_4() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut scribe = Scribe::start(&store, "default").await;
    write_long_line(&store, &mut scribe).await;
    frame_all(&store, &scribe.id, false).await;
    store.close().await.unwrap();
    fs::copy(dir.path().join("syncline.db"), stored("v4.db")).unwrap();
}

/// Writes a line that has a stretch to frame, in one batch.
async fn write_long_line(store: &SqliteStore, scribe: &mut Scribe) {
    let mut batch = scribe.batch();
    for version in 1..=66 {
        let form = Form {
            without_body: version > 1,
            snapshot: false,
        };
        let text = format!(r#"{{"data":{{"n":{version},"é":"ü"}}}}"#);
        batch.put("task/a", &text, form);
    }
    batch.send(store).await;
}

/// Writes what `v5.db` holds: change ids with sums.
#[tokio::test]
#[ignore = "writes a file that is kept"]
async fn writes_format_5() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write_lines(&store, &mut Scribe::start(&store, "default").await).await;
    store.close().await.unwrap();
    fs::copy(dir.path().join("syncline.db"), stored("v5.db")).unwrap();
}

#[tokio::test]
async fn format_1_still_reads() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(stored("v1.db"), dir.path().join("syncline.db")).unwrap();
    let store = open(dir.path());
    assert_eq!(store.opened().schema_from, Some(1));
    let workspaces = store.workspaces().await.unwrap();
    let ends: Vec<_> = workspaces
        .iter()
        .map(|row| (row.id.as_str(), row.last, row.contexts))
        .collect();
    assert_eq!(ends, [("default", Seq(5), 2), ("other", Seq(1), 1)]);
    for row in &workspaces {
        let records = whole_log(&store, &row.id).await;
        assert_eq!(records.len() as u64, row.last.0);
        for record in &records {
            let change = record.open().unwrap();
            let ids = store.ids(&row.id, &[change.id]).await.unwrap();
            assert!(ids[0].is_some());
            let rebuild = store
                .rebuild(&row.id, &change.context, change.version)
                .await
                .unwrap();
            let (document, _) = replay(&rebuild).unwrap().unwrap();
            assert_eq!(document.hash(), change.hash);
        }
    }
    let query = ListQuery {
        contexts: Default::default(),
        sort: Default::default(),
        after: None,
        limit: 9,
        bodies: true,
    };
    let page = store.list(&workspace_id("default"), &query).await.unwrap();
    let shown: Vec<_> = page
        .heads
        .iter()
        .map(|head| (head.address.as_str(), head.hash))
        .collect();
    let a = document(r#"{"title":"C","owner":"person/ana","level":"public"}"#).hash();
    assert_eq!(shown[0], ("task/a", a));
    assert_eq!(shown[1].0, "task/b");
    let report = store.verify(&|_| ()).await.unwrap();
    assert_eq!((report.problems, report.records), (Vec::new(), 6));
    check_written_on(&store).await;
    check_kept_on(&store).await;
}

#[tokio::test]
async fn format_2_still_reads() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(stored("v2.db"), dir.path().join("syncline.db")).unwrap();
    let store = open(dir.path());
    assert_eq!(store.opened().schema_from, Some(2));
    // The same again, written by this program: what the old file shows must be equal.
    let fresh_dir = tempfile::tempdir().unwrap();
    let fresh = open(fresh_dir.path());
    let mut scribe = Scribe::start(&fresh, "default").await;
    write_lines(&fresh, &mut scribe).await;
    check_shown(&store, &scribe).await;
    let report = store.verify(&|_| ()).await.unwrap();
    assert_eq!((report.problems, report.records), (Vec::new(), 3));
    check_kept_on(&store).await;
}

#[tokio::test]
async fn format_4_still_reads() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(stored("v4.db"), dir.path().join("syncline.db")).unwrap();
    let store = open(dir.path());
    assert!(matches!(store.opened().schema_from, None | Some(4)));
    // The same again, written by this program and not framed: what the old file shows must be equal.
    let fresh_dir = tempfile::tempdir().unwrap();
    let fresh = open(fresh_dir.path());
    let mut scribe = Scribe::start(&fresh, "default").await;
    write_long_line(&fresh, &mut scribe).await;
    check_shown(&store, &scribe).await;
    let id = scribe.id.clone();
    assert_eq!(frame_all(&store, &id, false).await, Framed::default());
    let report = store.verify(&|_| ()).await.unwrap();
    assert_eq!((report.problems, report.records), (Vec::new(), 66));
    let at = address("task/a");
    let versions = (5..40).map(Version).collect();
    let thinning = thin::ready(&store, &id, &at, versions).await.unwrap();
    assert_eq!(store.thin(&id, thinning).await.unwrap().versions, 35);
    let report = store.verify(&|_| ()).await.unwrap();
    assert_eq!((report.problems, report.records), (Vec::new(), 66));
}

#[tokio::test]
async fn format_5_still_reads() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(stored("v5.db"), dir.path().join("syncline.db")).unwrap();
    let store = open(dir.path());
    assert!(matches!(store.opened().schema_from, None | Some(5)));
    let fresh_dir = tempfile::tempdir().unwrap();
    let fresh = open(fresh_dir.path());
    let mut scribe = Scribe::start(&fresh, "default").await;
    write_lines(&fresh, &mut scribe).await;
    check_shown(&store, &scribe).await;
    let id = scribe.records[0].open().unwrap().id;
    let found = store.ids(&scribe.id, &[id]).await.unwrap();
    assert_eq!(found, fresh.ids(&scribe.id, &[id]).await.unwrap());
    assert!(found[0].is_some());
    let report = store.verify(&|_| ()).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

/// An older file is framed like any other, once there is enough to frame.
#[tokio::test]
async fn an_older_format_is_framed() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(stored("v2.db"), dir.path().join("syncline.db")).unwrap();
    let store = open(dir.path());
    let fresh_dir = tempfile::tempdir().unwrap();
    let fresh = open(fresh_dir.path());
    let mut scribe = Scribe::start(&fresh, "default").await;
    write_lines(&fresh, &mut scribe).await;
    write_long_line(&store, &mut scribe).await;
    assert_eq!(frame_all(&store, &scribe.id, false).await.records, 64);
    check_shown(&store, &scribe).await;
    let report = store.verify(&|_| ()).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

/// What came with format 3 is empty in an old file, and can be written beside what is old.
async fn check_kept_on(store: &SqliteStore) {
    let id = workspace_id("default");
    let query = KeptQuery {
        space: "acks".to_owned(),
        limit: 9,
        ..KeptQuery::default()
    };
    assert_eq!(store.kept(&id, &query).await.unwrap(), []);
    let kept = Kept::put("acks", "a", b"1".as_slice());
    store.keep(&id, vec![kept]).await.unwrap();
    assert_eq!(store.kept(&id, &query).await.unwrap().len(), 1);
    let report = store.verify(&|_| ()).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

/// What came with format 2 is empty in an old file, and can be written beside what is old.
async fn check_written_on(store: &SqliteStore) {
    let (id, a) = (workspace_id("default"), address("task/a"));
    let below = store.subtree(&id, &a, None, 9).await.unwrap();
    let below: Vec<_> = below.heads.iter().map(|(head, _)| &head.address).collect();
    assert_eq!(below, [&a, &address("task/b")]);
    assert_eq!(store.branches(&id, &a).await.unwrap(), []);
    assert_eq!(store.conflicts(&id, &all_conflicts()).await.unwrap(), []);
    let mut scribe = Scribe::start(store, "new").await;
    scribe.put(store, "task/a", "{}").await;
    let mut batch = scribe.batch();
    batch.branch = Some(branch("x"));
    batch.conflicts = vec![conflict(1, &a.line(batch.branch.as_ref()), "")];
    batch.put("task/a", "{}", Form::default());
    batch.send(store).await;
    check_shown(store, &scribe).await;
    let report = store.verify(&|_| ()).await.unwrap();
    assert_eq!((report.problems, report.records), (Vec::new(), 8));
}
