//! Frames on disk: kill -9 between any two steps, rot in them, and what is left of a text that was
//! thinned.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use syncline_model::ids::{Seq, Version};
use syncline_model::record::unpack;
use syncline_store::conformance::frame_all;
use syncline_store::conformance::scribe::{
    Dice, Form, Scribe, address, check_shown, whole_log, workspace_id,
};
use syncline_store::{Framed, Store, StoreError, StoreHealth, replay, thin};
use syncline_store_sqlite::SqliteStore;

use crate::faults::{at_each_sync, killed_at_sync};
use crate::rot::flip;
use crate::{open, tamper};

const DIR: &str = "SYNCLINE_TEST_FRAMING_DIR";
const VERSIONS: u64 = 200;
const STRETCHES: usize = 3;
const AT: &str = "task/a";

/// Returns letters that do not compress well and that no other number gives.
fn noise(number: u64, count: usize) -> String {
    let mut dice = Dice(number);
    let letter = |_| char::from(b'a' + u8::try_from(dice.roll(26)).unwrap());
    (0..count).map(letter).collect()
}

fn text(version: u64) -> String {
    let note = noise(version, 40);
    format!(r#"{{"data":{{"n":{version},"note":"{note}"}},"title":"version {version}"}}"#)
}

async fn written(store: &SqliteStore) -> Scribe {
    let mut scribe = Scribe::start(store, "alpha").await;
    let mut batch = scribe.batch();
    for version in 1..=VERSIONS {
        let form = Form {
            without_body: version % 3 > 0,
            snapshot: version % 32 == 0,
        };
        batch.put(AT, &text(version), form);
    }
    batch.send(store).await;
    scribe
}

/// Writes a line, frames it, and closes the store.
async fn framed(dir: &Path) -> Scribe {
    let store = open(dir);
    let scribe = written(&store).await;
    let framed = frame_all(&store, &scribe.id, false).await;
    assert_eq!(framed.records, 64 * STRETCHES as u64);
    store.close().await.unwrap();
    scribe
}

async fn problems(store: &SqliteStore) -> Vec<String> {
    store.verify(&|_| ()).await.unwrap().problems
}

fn count(dir: &Path, sql: &str) -> i64 {
    let conn = Connection::open(dir.join("syncline.db")).unwrap();
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_copy_of_a_framed_file_shows_the_same() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let scribe = framed(dir.path()).await;
    assert_eq!(count(dir.path(), "SELECT count(*) FROM frame"), 3);
    fs::copy(
        dir.path().join("syncline.db"),
        copy.path().join("syncline.db"),
    )
    .unwrap();
    let store = open(copy.path());
    check_shown(&store, &scribe).await;
    check_documents(&store, |_| false).await;
    assert_eq!(problems(&store).await, Vec::<String>::new());
    let again = frame_all(&store, &scribe.id, false).await;
    assert_eq!(again, Framed::default());
}

/// Checks the document of each version but those that are gone.
async fn check_documents(store: &SqliteStore, gone: impl Fn(Version) -> bool) {
    let (id, at) = (workspace_id("alpha"), address(AT));
    for version in (1..=VERSIONS).map(Version) {
        match store.rebuild(&id, &at, version).await {
            Err(StoreError::Compacted { .. }) => assert!(gone(version), "{version}"),
            rebuild => {
                assert!(!gone(version), "{version}");
                let (document, _) = replay(&rebuild.unwrap()).unwrap().unwrap();
                let title = format!("version {version}");
                assert_eq!(document.title(), Some(title.as_str()));
            }
        }
    }
}

/// Each frame by itself, and between them a thinning that takes from what is framed and what is not.
#[tokio::test]
#[ignore = "a part of the test below"]
async fn the_script() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let dir = Path::new(&dir);
    let store = open(&dir.join("data"));
    written(&store).await;
    fs::write(dir.join("written"), "").unwrap();
    for step in 0..=STRETCHES {
        take_step(&store, step).await;
    }
    fs::write(dir.join("done"), "").unwrap();
}

async fn take_step(store: &SqliteStore, step: usize) {
    let (id, at) = (workspace_id("alpha"), address(AT));
    if step == 1 {
        let versions = (40..80).map(Version).collect();
        let thinning = thin::ready(store, &id, &at, versions).await.unwrap();
        store.thin(&id, thinning).await.unwrap();
    } else {
        store.frame(&id, &at, Version::ZERO, false).await.unwrap();
    }
}

/// Runs the script, killed at a sync; says whether it came to its end.
async fn check_killed(when: u32) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let output = killed_at_sync("framing::the_script", (DIR, dir.path()), when);
    if !dir.path().join("written").exists() {
        assert!(!output.status.success());
        return false;
    }
    let store = open(&dir.path().join("data"));
    let thinned = store.workspaces().await.unwrap()[0].low_water > Seq::ZERO;
    check_documents(&store, |version| thinned && (40..80).contains(&version.0)).await;
    assert_eq!(problems(&store).await, Vec::<String>::new());
    // Whoever comes next goes on, whatever was done.
    take_step(&store, 1).await;
    frame_all(&store, &workspace_id("alpha"), false).await;
    check_documents(&store, |version| (40..80).contains(&version.0)).await;
    assert_eq!(problems(&store).await, Vec::<String>::new());
    store.close().await.unwrap();
    let led = "SELECT count(*) FROM log WHERE substr(body, 1, 1) = x'03'";
    let held = 64 * STRETCHES as i64 - 40;
    assert_eq!(count(&dir.path().join("data"), led), held, "{when}");
    dir.path().join("done").exists()
}

#[tokio::test]
async fn p1_a_process_killed_while_it_frames_leaves_whole_steps() {
    at_each_sync(40, check_killed).await;
}

/// Changes a row of a framed file, and expects that `verify` says each of `lines`.
async fn check_rot(sql: &str, lines: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    framed(dir.path()).await;
    assert_eq!(tamper(dir.path(), sql), 1, "{sql}");
    let store = open(dir.path());
    let found = problems(&store).await;
    for line in lines {
        let named = found.iter().any(|problem| problem.contains(line));
        assert!(named, "{sql}: no {line:?} in {found:#?}");
    }
    assert!(matches!(store.health(), StoreHealth::Damaged(_)), "{sql}");
}

#[tokio::test]
async fn p1_rot_in_frames_is_named() {
    let second = "frame = 2";
    let no_text = "workspace alpha: record 70 cannot be read from its frame: it does not hold";
    let body_70 = "pos & 0xFFFFFFFF = 70";
    let body = |blob: &str| format!("UPDATE log SET body = CAST({blob} AS BLOB) WHERE {body_70}");
    let unled = "workspace alpha: frame 2 of task/a: stored bytes do not decode: no record leads";
    for (sql, lines) in [
        (
            format!("UPDATE frame SET bytes = x'07' WHERE {second}"),
            vec![
                "record 65 cannot be read from its frame: stored bytes have the unknown format",
                "record 128 cannot be read from its frame",
                "frame 2 of task/a: stored bytes have the unknown format",
            ],
        ),
        (
            format!("DELETE FROM frame WHERE {second}"),
            vec![
                "workspace alpha: record 65 cannot be read from its frame: it is missing",
                "workspace alpha: record 128 cannot be read from its frame: it is missing",
            ],
        ),
        (
            format!("UPDATE frame SET first = 66 WHERE {second}"),
            vec![unled],
        ),
        (
            format!("UPDATE frame SET ctx = 77 WHERE {second}"),
            vec!["frame 2: stored bytes do not decode: it is of no context"],
        ),
        // The index of another text of the same length or not, another length, no frame at all.
        (body("x'03060001' || substr(body, 5)"), vec![no_text, unled]),
        (body("x'03ff' || substr(body, 3)"), vec![no_text, unled]),
        (
            body("x'030601'"),
            vec!["record 70 cannot be read from its frame: stored bytes do not decode"],
        ),
        (
            format!("UPDATE log SET salt = zeroblob(16) WHERE {body_70}"),
            vec!["workspace alpha: record 70 does not match its commitment"],
        ),
        (
            "INSERT INTO frame (ctx, first, bytes) SELECT ctx, first, bytes FROM frame \
                WHERE frame = 1"
                .to_owned(),
            vec!["workspace alpha: frame 4 of task/a: stored bytes do not decode: no record leads"],
        ),
    ] {
        check_rot(&sql, &lines).await;
    }
    // Any bit of a frame: something is named, whatever it hits.
    for from_end in [1, 300, 900] {
        check_rot(&flip("frame", "bytes", from_end, second), &["record "]).await;
    }
}

#[tokio::test]
async fn p1_rot_in_a_frame_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let scribe = framed(dir.path()).await;
    tamper(dir.path(), "UPDATE frame SET bytes = x'07' WHERE frame = 2");
    let store = open(dir.path());
    let read = async |after, until| {
        let (id, all) = (&scribe.id, usize::MAX);
        store.records(id, Seq(after), Seq(until), all, all).await
    };
    for (after, until) in [(69, 70), (0, 65), (127, 200)] {
        let found = read(after, until).await;
        assert!(matches!(found, Err(StoreError::Rot(_))), "{found:?}");
    }
    assert_eq!(read(0, 64).await.unwrap(), scribe.records[..64]);
    assert_eq!(read(128, 200).await.unwrap(), scribe.records[128..]);
    let one = store.record(&scribe.id, Seq(70)).await;
    let why = one.unwrap_err().to_string();
    assert!(
        why.contains("record 70 cannot be read from its frame"),
        "{why}"
    );
    assert!(matches!(store.health(), StoreHealth::Damaged(_)));
    let rebuild = store.rebuild(&scribe.id, &address(AT), Version(75)).await;
    assert!(matches!(rebuild, Err(StoreError::Rot(_))));
    // What is rotten is in nobody's way.
    let thinning = thin::ready(&store, &scribe.id, &address(AT), vec![Version(5)]).await;
    store.thin(&scribe.id, thinning.unwrap()).await.unwrap();
}

/// Returns the pieces of a blob that would show it in a file.
fn pieces(blob: &[u8]) -> Vec<&[u8]> {
    blob.windows(16).step_by(48).collect()
}

fn shows(file: &[u8], piece: &[u8]) -> bool {
    file.windows(piece.len()).any(|window| window == piece)
}

#[tokio::test]
async fn what_was_thinned_is_gone_from_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let scribe = framed(dir.path()).await;
    let path = dir.path().join("syncline.db");
    let frames = || -> Vec<Vec<u8>> {
        let conn = Connection::open(&path).unwrap();
        let sql = "SELECT bytes FROM frame ORDER BY frame";
        let mut statement = conn.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let before = frames();
    let file = fs::read(&path).unwrap();
    // Where records were before they were framed, nothing is left of them: the newest alone are
    // there as they are. (Each 32nd has a whole document.)
    for version in [1, 63, 100, 191] {
        assert!(!shows(&file, noise(version, 40).as_bytes()), "{version}");
    }
    assert!(shows(&file, noise(VERSIONS, 40).as_bytes()));
    // What lies across two pages of the file is not found in one piece.
    let all: Vec<_> = before.iter().flat_map(|frame| pieces(frame)).collect();
    let found = all.iter().filter(|piece| shows(&file, piece)).count();
    assert!(found * 10 > all.len() * 9, "{found} of {}", all.len());
    let store = open(dir.path());
    // All of the first frame, the middle of the second.
    let goes = |version: u64| (1..=64).contains(&version) || (80..90).contains(&version);
    let versions = (1..=VERSIONS).filter(|version| goes(*version));
    let versions = versions.map(Version).collect();
    let thinning = thin::ready(&store, &scribe.id, &address(AT), versions).await;
    let thinned = store.thin(&scribe.id, thinning.unwrap()).await.unwrap();
    assert_eq!(thinned.versions, 74);
    assert!(thinned.bytes > before[0].len() as u64, "{thinned:?}");
    check_documents(&store, |version| goes(version.0)).await;
    assert_eq!(problems(&store).await, Vec::<String>::new());
    store.close().await.unwrap();
    let after = frames();
    assert_eq!((after.len(), &after[1]), (2, &before[2]));
    let file = fs::read(&path).unwrap();
    for piece in pieces(&before[0]).into_iter().chain(pieces(&before[1])) {
        assert!(
            shows(&after[0], piece) || !shows(&file, piece),
            "{piece:x?}"
        );
    }
}

#[tokio::test]
async fn texts_of_all_lengths_are_framed_or_left() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut scribe = Scribe::start(&store, "alpha").await;
    let lengths = [10, 2_500, 7_500, 7_500, 7_500, 7_500, 7_500, 300_000];
    for version in 0..130 {
        let note = noise(
            version,
            lengths[usize::try_from(version).unwrap() % lengths.len()],
        );
        let text = format!(r#"{{"data":{{"note":"{note}"}}}}"#);
        let form = Form {
            without_body: version > 0,
            snapshot: false,
        };
        scribe.put_as(&store, AT, &text, form).await;
    }
    let framed = frame_all(&store, &scribe.id, false).await;
    assert!((64..=112).contains(&framed.records), "{framed:?}");
    let records = whole_log(&store, &scribe.id).await;
    for (found, before) in records.iter().zip(&scribe.records) {
        assert_eq!((found.header, found.salt), (before.header, before.salt));
        assert_eq!(unpack(&found.body).unwrap(), unpack(&before.body).unwrap());
        assert_eq!(found.open().unwrap(), before.open().unwrap());
    }
    assert_eq!(problems(&store).await, Vec::<String>::new());
    store.close().await.unwrap();
    let frames = count(dir.path(), "SELECT count(*) FROM frame");
    assert!(frames > 2, "{frames} frames");
    let longest = count(dir.path(), "SELECT max(length(bytes)) FROM frame");
    assert!(longest < 256 << 10, "{longest}");
}

#[tokio::test]
async fn two_who_frame_one_line_frame_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let scribe = written(&store).await;
    let at = address(AT);
    let one = || store.frame(&scribe.id, &at, Version::ZERO, false);
    let mut framed = 0;
    for _ in 0..8 {
        let (a, b, c) = tokio::join!(one(), one(), one());
        for answer in [a, b, c] {
            match answer {
                Ok(done) => framed += done.records,
                Err(error) => assert!(matches!(error, StoreError::NotWritten(_)), "{error}"),
            }
        }
    }
    assert_eq!(framed, 64 * STRETCHES as u64);
    check_shown(&store, &scribe).await;
    assert_eq!(problems(&store).await, Vec::<String>::new());
}
