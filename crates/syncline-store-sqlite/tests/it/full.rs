//! A full disk: writes are refused and leave nothing, reads go on, and room is noticed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use syncline_store::conformance::scribe::{Form, Scribe, check_shown};
use syncline_store::{Store, StoreError, StoreHealth};
use syncline_store_sqlite::{SqliteStore, TestFaults};

use crate::{open, open_with};

/// A document that does not compress.
fn noise(number: u64, bytes: usize) -> String {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let letters = (0..bytes).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + u8::try_from((state >> 20) % 26).unwrap())
    });
    format!(
        r#"{{"data":{{"noise":"{}"}}}}"#,
        letters.collect::<String>()
    )
}

/// Writes until the disk is full; what was refused is not remembered.
async fn fill(store: &SqliteStore, scribe: &mut Scribe) {
    for number in 0..10_000 {
        let mut next = scribe.clone();
        let mut batch = next.batch();
        batch.put(
            &format!("task/t{number}"),
            &noise(number, 20_000),
            Form::default(),
        );
        match store.append(&scribe.id, batch.after, batch.append).await {
            Ok(_) => *scribe = next,
            Err(StoreError::Full) => return,
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("it never was full");
}

#[tokio::test]
async fn p1_a_full_database_refuses_and_serves() {
    let dir = tempfile::tempdir().unwrap();
    let faults = TestFaults {
        pages_max: Some(200),
        ..TestFaults::default()
    };
    let store = open_with(dir.path(), faults).unwrap();
    let mut scribe = Scribe::start(&store, "alpha").await;
    let mut beta = Scribe::start(&store, "beta").await;
    fill(&store, &mut scribe).await;
    assert_eq!(store.health(), StoreHealth::Full);
    check_shown(&store, &scribe).await;

    // In a group, one that does not fit fails; it does not take the others' outcome with it.
    let mut large = scribe.clone();
    let mut batch = large.batch();
    batch.put("task/large", &noise(1, 200_000), Form::default());
    let mut small = beta.batch();
    small.put("task/small", "{}", Form::default());
    let sent = (scribe.id.clone(), batch.after, batch.append);
    let small = (small.after, small.append);
    let (refused, other) = tokio::join!(
        store.append(&sent.0, sent.1, sent.2),
        store.append(&beta.id, small.0, small.1),
    );
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    match other {
        Ok(_) => check_shown(&store, &beta).await,
        Err(StoreError::Full) => assert!(store.workspaces().await.unwrap()[1].last.0 == 0),
        Err(other) => panic!("{other:?}"),
    }
    check_shown(&store, &scribe).await;
    store.close().await.unwrap();
    drop(store);
    check_shown(&open(dir.path()), &scribe).await;
}

/// A small disk of its own, where that is allowed.
struct SmallDisk {
    path: PathBuf,
    /// Removed after the disk is unmounted.
    _dir: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(&path)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(SmallDisk { path, _dir: dir })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.path).output();
    }
}

fn copy_of(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["syncline.db", "syncline.db-wal"] {
        fs::copy(dir.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[tokio::test]
async fn p1_a_full_disk_refuses_serves_and_recovers() {
    // Only root may mount; elsewhere the test above stands for this one.
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let dir = disk.path.join("data");
    let store = open(&dir);
    let mut scribe = Scribe::start(&store, "alpha").await;
    let ballast = disk.path.join("ballast");
    // More than the write-ahead log will have: a checkpoint that runs before the store tries the
    // disk takes the room that comes free, and gives it back only when all of it was moved.
    fs::write(&ballast, vec![0; 1_100_000]).unwrap();
    for round in 0..3 {
        fill(&store, &mut scribe).await;
        assert_eq!(store.health(), StoreHealth::Full, "round {round}");
        check_shown(&store, &scribe).await;
        // What was refused does not appear when the files are opened again.
        check_shown(&open(copy_of(&dir).path()), &scribe).await;
    }
    fs::remove_file(&ballast).unwrap();
    let mut waited = 0;
    while store.health() == StoreHealth::Full {
        tokio::time::sleep(Duration::from_millis(50)).await;
        waited += 1;
        assert!(waited < 100, "room was not noticed");
    }
    scribe.put(&store, "task/after", &noise(7, 20_000)).await;
    check_shown(&store, &scribe).await;
    // There may be too little room to move the write-ahead log; then it stays, and is read.
    let closed = store.close().await;
    assert!(
        matches!(closed, Ok(()) | Err(StoreError::Full)),
        "{closed:?}"
    );
    drop(store);
    check_shown(&open(&dir), &scribe).await;
}
