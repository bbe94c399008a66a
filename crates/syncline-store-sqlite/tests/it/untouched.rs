//! Verifying a directory changes no byte of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use syncline_store::conformance::scribe::Scribe;
use syncline_store::{Store, StoreError, VerifyReport};
use syncline_store_sqlite::{Opened, SqliteOptions, SqliteStore, Untouched};

use crate::open;

const RECORDS: u64 = 21;

async fn written(store: &SqliteStore) -> Scribe {
    let mut scribe = Scribe::start(store, "alpha").await;
    for number in 0..RECORDS {
        let text = format!(r#"{{"title":"{number}","data":{{"text":"{number}"}}}}"#);
        scribe
            .put(store, &format!("task/t{}", number % 3), &text)
            .await;
    }
    scribe
}

/// Every file with its bytes and the time of its last change, the lock too.
fn everything(dir: &Path) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let changed = fs::metadata(&path).unwrap().modified().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, (fs::read(&path).unwrap(), changed))
    };
    fs::read_dir(dir).unwrap().map(entry).collect()
}

fn copy(from: &Path, names: &[&str]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in names {
        fs::copy(from.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

/// Verifies a directory, and expects that nothing of it changed, whether it was a copy or not.
async fn check_untouched(dir: &Path) -> (bool, VerifyReport) {
    let before = everything(dir);
    let found = Untouched::open(dir).unwrap();
    let report = found.verify(&|_| ()).await.unwrap();
    let copy = found.is_copy();
    drop(found);
    assert_eq!(everything(dir), before);
    (copy, report)
}

fn assert_whole(report: &VerifyReport) {
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.workspaces, report.records), (1, RECORDS));
}

#[tokio::test]
async fn what_was_closed_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    written(&store).await;
    store.close().await.unwrap();
    drop(store);
    let (copy, report) = check_untouched(dir.path()).await;
    assert!(!copy);
    assert_whole(&report);
    assert_eq!(open(dir.path()).opened(), Opened::default());
}

#[tokio::test]
async fn a_copy_stays_one_until_a_node_starts_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    written(&store).await;
    store.close().await.unwrap();
    let epoch = store.workspaces().await.ok();
    drop(store);
    let copied = copy(dir.path(), &["syncline.db"]);
    for _ in 0..2 {
        let (copy, report) = check_untouched(copied.path()).await;
        assert!(copy);
        assert_whole(&report);
    }
    assert!(everything(copied.path()).keys().eq(["syncline.db"]));
    let store = open(copied.path());
    assert!(store.opened().restored);
    assert_ne!(store.workspaces().await.ok(), epoch);
}

/// The newest commits are in the write-ahead log alone, and its index may be there or not.
#[tokio::test]
async fn p1_what_a_killed_node_left_is_read_whole_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut scribe = written(&store).await;
    let names = ["syncline.db", "syncline.db-wal", "syncline.db-shm", "lock"];
    for kept in [&names[..], &names[..2]] {
        let killed = copy(dir.path(), kept);
        let log = killed.path().join("syncline.db-wal");
        assert!(fs::metadata(&log).unwrap().len() > 0);
        let (_, report) = check_untouched(killed.path()).await;
        assert_whole(&report);
        // Without the log most of it is gone: what was verified above was read from there.
        fs::remove_file(&log).unwrap();
        let found = Untouched::open(killed.path()).unwrap();
        let less = found.verify(&|_| ()).await.unwrap();
        assert!(less.records < RECORDS, "{less:?}");
    }
    // What was verified is what a node finds.
    let killed = copy(dir.path(), &names[..2]);
    check_untouched(killed.path()).await;
    scribe
        .put(&open(killed.path()), "task/t0", r#"{"title":"on"}"#)
        .await;
    let (_, report) = check_untouched(killed.path()).await;
    assert_eq!((report.records, report.problems.len()), (RECORDS + 1, 0));
}

#[tokio::test]
async fn rot_in_the_write_ahead_log_s_database_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    written(&store).await;
    let killed = copy(dir.path(), &["syncline.db", "syncline.db-wal"]);
    crate::tamper(killed.path(), "UPDATE log SET salt = zeroblob(16)");
    let before = everything(killed.path());
    let found = Untouched::open(killed.path()).unwrap();
    let report = found.verify(&|_| ()).await.unwrap();
    assert_eq!(report.problems.len() as u64, RECORDS, "{report:?}");
    assert_eq!(everything(killed.path()), before);
}

/// A log's frames: whether each belongs to what is written now, and ends a commit.
fn frames(log: &[u8]) -> Vec<(bool, bool)> {
    let page = u32::from_be_bytes(log[8..12].try_into().unwrap()) as usize;
    let frame = |frame: &[u8]| (frame[8..16] == log[16..24], frame[4..8] != [0; 4]);
    log[32..].chunks_exact(24 + page).map(frame).collect()
}

/// Where the frame of a number from 0 begins.
fn frame_at(log: &[u8], number: usize) -> usize {
    let page = u32::from_be_bytes(log[8..12].try_into().unwrap()) as usize;
    32 + number * (24 + page)
}

/// Opens a directory that nobody has. A process that another test starts has our locks, too, for
/// the moment until it is its own program.
fn alone<T>(open: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for _ in 0..100 {
        match open() {
            Err(StoreError::InUse { .. }) => std::thread::sleep(Duration::from_millis(10)),
            opened => return opened,
        }
    }
    open()
}

#[tokio::test]
async fn p1_rot_within_the_write_ahead_log_is_not_taken_for_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    written(&store).await;
    let killed = copy(dir.path(), &["syncline.db", "syncline.db-wal"]);
    let path = killed.path().join("syncline.db-wal");
    let whole = fs::read(&path).unwrap();
    let frames = frames(&whole);
    let live = frames.iter().take_while(|(ours, _)| *ours).count();
    let commits: Vec<_> = (0..live).filter(|number| frames[*number].1).collect();
    assert!(commits.len() as u64 >= RECORDS, "{frames:?}");
    // The newest commit's first frame: from there on rot is like what a power cut tears.
    let newest = commits[commits.len() - 2] + 1;
    let in_header = [0, 9, 17, 25];
    let in_frames = (0..newest).step_by(7).chain([newest - 1]);
    let in_frames = in_frames.flat_map(|number| {
        let at = frame_at(&whole, number);
        [at + 2, at + 17, at + 24 + 700]
    });
    for at in in_header.into_iter().chain(in_frames) {
        let mut rotten = whole.clone();
        rotten[at] ^= 4;
        fs::write(&path, &rotten).unwrap();
        let before = everything(killed.path());
        for open in [
            |dir: &Path| Untouched::open(dir).map(drop),
            |dir: &Path| SqliteStore::open(SqliteOptions::new(dir)).map(drop),
        ] {
            let found = alone(|| open(killed.path()));
            let Err(StoreError::Damaged(why)) = found else {
                panic!("the bit at {at} went unseen: {found:?}");
            };
            assert!(why.contains("syncline.db-wal is rotten"), "{why}");
        }
        let mut after = everything(killed.path());
        // A node that tries takes the lock.
        after.remove("lock");
        assert!(before.iter().filter(|(name, _)| *name != "lock").eq(&after));
    }
    // Torn anywhere within the newest commit, all before it is there.
    for torn in newest..live {
        for keep in [0, 30, 24 + 700] {
            let mut cut = whole.clone();
            cut[frame_at(&whole, torn) + keep..frame_at(&whole, live)].fill(0);
            fs::write(&path, &cut).unwrap();
            let found = alone(|| Untouched::open(killed.path())).unwrap();
            let report = found.verify(&|_| ()).await.unwrap();
            assert_eq!((report.records, report.problems.len()), (RECORDS - 1, 0));
        }
    }
}

#[tokio::test]
async fn a_node_and_a_verification_keep_each_other_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    written(&store).await;
    store.set_holder("http://127.0.0.1:4321").unwrap();
    let Err(StoreError::InUse { holder, .. }) = Untouched::open(dir.path()) else {
        panic!("it was opened beside a node");
    };
    assert!(holder.ends_with("http://127.0.0.1:4321"), "{holder}");
    store.close().await.unwrap();
    drop(store);
    let (one, two) = (Untouched::open(dir.path()), Untouched::open(dir.path()));
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    drop(one);
    let Err(StoreError::InUse { holder, .. }) = SqliteStore::open(SqliteOptions::new(dir.path()))
    else {
        panic!("a node opened what is being verified");
    };
    // Not the node of before, which is long gone.
    assert_eq!(holder, "another process");
    drop(two);
    open(dir.path());
}

#[tokio::test]
async fn a_node_that_starts_meanwhile_voids_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    written(&store).await;
    store.close().await.unwrap();
    drop(store);
    let copied = copy(dir.path(), &["syncline.db"]);
    let found = Untouched::open(copied.path()).unwrap();
    let node = open(copied.path());
    let answer = found.verify(&|_| ()).await;
    assert!(
        matches!(answer, Err(StoreError::InUse { .. })),
        "{answer:?}"
    );
    drop(node);
}

#[test]
fn an_empty_directory_holds_nothing_to_verify() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        Untouched::open(dir.path()),
        Err(StoreError::Damaged(_))
    ));
    assert_eq!(everything(dir.path()).len(), 0);
}
