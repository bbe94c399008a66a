//! Opening: what is there is kept, and what is not ours is not touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use syncline_model::ids::Epoch;
use syncline_store::conformance::scribe::{Form, Scribe, address, branch, check_shown, conflict};
use syncline_store::{Store, StoreError};
use syncline_store_sqlite::{Opened, SqliteOptions, SqliteStore, Untouched};

use crate::{open, tamper};

async fn written(dir: &Path) -> Scribe {
    let store = open(dir);
    let mut scribe = Scribe::start(&store, "alpha").await;
    for number in 0..20 {
        let text = format!(r#"{{"title":"{number}","labels":{{"k":"{number}"}}}}"#);
        let form = Form {
            without_body: number % 2 == 0,
            snapshot: number % 5 == 0,
        };
        scribe
            .put_as(&store, &format!("task/t{}", number % 3), &text, form)
            .await;
    }
    scribe.delete(&store, "task/t1").await;
    for name in [None, Some("x")] {
        let mut batch = scribe.batch();
        batch.branch = name.map(branch);
        let line = address("task/t0").line(batch.branch.as_ref());
        batch.conflicts = vec![
            conflict(1, &line, "/a"),
            conflict(2, &line, name.unwrap_or("")),
        ];
        batch.put("task/t0", r#"{"title":"disputed"}"#, Form::default());
        batch.send(&store).await;
    }
    store.close().await.unwrap();
    scribe
}

/// All files but the lock, with their bytes.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let named = entries.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap())
    });
    named.filter(|(name, _)| name != "lock").collect()
}

async fn epoch(store: &SqliteStore) -> Epoch {
    store.workspaces().await.unwrap()[0].epoch
}

#[tokio::test]
async fn p1_reopening_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut scribe = written(dir.path()).await;
    assert_eq!(
        files(dir.path()).into_keys().collect::<Vec<_>>(),
        ["syncline.db"]
    );
    for round in 0..3 {
        let store = open(dir.path());
        assert_eq!(store.opened(), Opened::default());
        check_shown(&store, &scribe).await;
        scribe
            .put(
                &store,
                "task/t0",
                &format!(r#"{{"title":"round {round}"}}"#),
            )
            .await;
        // Dropped, not closed.
    }
    check_shown(&open(dir.path()), &scribe).await;
}

#[tokio::test]
async fn p1_what_was_answered_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(store.opened().fresh);
    let mut scribe = Scribe::start(&store, "alpha").await;
    for number in 0..10 {
        scribe
            .put(&store, "task/a", &format!(r#"{{"data":{{"n":{number}}}}}"#))
            .await;
        // The files as a process that is killed now would leave them.
        let copy = tempfile::tempdir().unwrap();
        for (name, bytes) in files(dir.path()) {
            if name != "syncline.db-shm" {
                fs::write(copy.path().join(name), bytes).unwrap();
            }
        }
        check_shown(&open(copy.path()), &scribe).await;
    }
}

#[tokio::test]
async fn a_directory_in_use_says_by_whom() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.set_holder("listening on 127.0.0.1:4321").unwrap();
    let Err(StoreError::InUse { path, holder }) = SqliteStore::open(SqliteOptions::new(dir.path()))
    else {
        panic!("opened twice");
    };
    assert_eq!(path, dir.path());
    assert_eq!(
        holder,
        format!(
            "process {}, listening on 127.0.0.1:4321",
            std::process::id()
        )
    );
    store.close().await.unwrap();
    drop(store);
    open(dir.path());
}

#[tokio::test]
async fn a_newer_database_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    tamper(dir.path(), "PRAGMA user_version = 99");
    let conn = rusqlite::Connection::open(dir.path().join("syncline.db")).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(conn);
    let before = files(dir.path());
    let answer = SqliteStore::open(SqliteOptions::new(dir.path()));
    assert!(matches!(
        answer,
        Err(StoreError::Newer {
            found: 99,
            known: 5
        })
    ));
    assert_eq!(files(dir.path()), before);
}

#[tokio::test]
async fn a_newer_database_that_was_killed_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    // The new schema is in the write-ahead log only.
    let conn = rusqlite::Connection::open(dir.path().join("syncline.db")).unwrap();
    conn.execute_batch("PRAGMA user_version = 99").unwrap();
    let copy = tempfile::tempdir().unwrap();
    for name in ["syncline.db", "syncline.db-wal"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let before = files(copy.path());
    let answer = SqliteStore::open(SqliteOptions::new(copy.path()));
    assert!(matches!(
        answer,
        Err(StoreError::Newer {
            found: 99,
            known: 5
        })
    ));
    assert_eq!(files(copy.path()), before);
}

/// Breaks a good data directory, and expects that it is refused and left as it is.
async fn check_damaged(what: &str, damage: impl FnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    damage(dir.path());
    let before = files(dir.path());
    let looked = Untouched::open(dir.path());
    assert!(
        matches!(&looked, Err(StoreError::Damaged(why)) if why.contains(what)),
        "{looked:?}"
    );
    assert_eq!(files(dir.path()), before, "{what}");
    let answer = SqliteStore::open(SqliteOptions::new(dir.path()));
    match answer {
        Err(StoreError::Damaged(why)) => assert!(why.contains(what), "{why:?} lacks {what:?}"),
        Err(other) => panic!("{what}: {other:?}"),
        Ok(_) => panic!("{what}: it was opened"),
    }
    assert_eq!(files(dir.path()), before, "{what}");
}

#[tokio::test]
async fn what_is_damaged_is_not_touched() {
    let database = |dir: &Path| dir.join("syncline.db");
    check_damaged("0 bytes", |dir| fs::write(database(dir), b"").unwrap()).await;
    check_damaged("50 bytes", |dir| {
        fs::write(database(dir), [b'x'; 50]).unwrap()
    })
    .await;
    check_damaged("not a SQLite file", |dir| {
        fs::write(database(dir), vec![b'x'; 50_000]).unwrap();
    })
    .await;
    check_damaged("another program's", |dir| {
        fs::remove_file(database(dir)).unwrap();
        tamper(dir, "CREATE TABLE other (a)");
    })
    .await;
    check_damaged("cut short", |dir| {
        let bytes = fs::read(database(dir)).unwrap();
        fs::write(database(dir), &bytes[..bytes.len() / 2]).unwrap();
    })
    .await;
    check_damaged("malformed", |dir| {
        let mut bytes = fs::read(database(dir)).unwrap();
        bytes[100..4096].fill(0xAB);
        fs::write(database(dir), bytes).unwrap();
    })
    .await;
    check_damaged("missing beside its write-ahead log", |dir| {
        fs::rename(database(dir), dir.join("syncline.db-wal")).unwrap();
    })
    .await;
    check_damaged("migration 1", |dir| {
        let other = "UPDATE migration SET sha256 = zeroblob(32) WHERE version = 1";
        assert_eq!(tamper(dir, other), 1);
    })
    .await;
    check_damaged("migrations do not lead", |dir| {
        tamper(dir, "DELETE FROM migration");
    })
    .await;
    check_damaged("no such table", |dir| {
        tamper(dir, "DROP TABLE workspace");
    })
    .await;
    check_damaged("does not end where it should", |dir| {
        assert_eq!(
            tamper(
                dir,
                "DELETE FROM log WHERE pos = (SELECT max(pos) FROM log)"
            ),
            1
        );
    })
    .await;
    check_damaged("does not end where it should", |dir| {
        assert_eq!(
            tamper(dir, "UPDATE workspace SET last_hash = zeroblob(32)"),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn a_half_made_database_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("syncline.db.new"), b"half").unwrap();
    let store = open(dir.path());
    assert!(store.opened().fresh);
    store.close().await.unwrap();
    assert_eq!(
        files(dir.path()).into_keys().collect::<Vec<_>>(),
        ["syncline.db"]
    );
}

#[tokio::test]
async fn a_copy_that_was_put_back_gets_new_epochs() {
    let dir = tempfile::tempdir().unwrap();
    let mut scribe = written(dir.path()).await;
    let store = open(dir.path());
    let first = epoch(&store).await;
    store.close().await.unwrap();
    drop(store);
    let database = dir.path().join("syncline.db");
    let backup = fs::read(&database).unwrap();
    let late = open(dir.path());
    scribe.clone().put(&late, "task/lost", "{}").await;
    drop(late);
    fs::remove_file(&database).unwrap();
    fs::write(&database, backup).unwrap();

    let restored = open(dir.path());
    assert_eq!(
        restored.opened(),
        Opened {
            restored: true,
            ..Opened::default()
        }
    );
    let second = epoch(&restored).await;
    assert_ne!(second, first);
    check_shown(&restored, &scribe).await;
    scribe.put(&restored, "task/new", "{}").await;
    drop(restored);

    let again = open(dir.path());
    assert_eq!(again.opened(), Opened::default());
    assert_eq!(epoch(&again).await, second);
    check_shown(&again, &scribe).await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_data_directory_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("a/b");
    drop(open(&made));
    assert_eq!(
        fs::metadata(&made).unwrap().permissions().mode() & 0o777,
        0o700
    );
}
