//! Rot: what was changed on disk is named by `verify`, and never served as if it were true.

use std::path::Path;

use syncline_model::conflict::{Conflict, ConflictState};
use syncline_model::ids::{Seq, Version};
use syncline_store::conformance::scribe::{
    Form, Scribe, address, branch, conflict, line, workspace_id,
};
use syncline_store::{
    ConflictQuery, Kept, KeptQuery, Store, StoreError, StoreHealth, VerifyReport, replay, thin,
};
use syncline_store_sqlite::SqliteStore;

use crate::{open, tamper};

async fn written(dir: &Path) -> Scribe {
    let store = open(dir);
    let mut scribe = Scribe::start(&store, "alpha").await;
    for number in 0..30 {
        let text = format!(
            r#"{{"title":"{number}","labels":{{"k":"{number}"}},"data":{{"n":{number}}}}}"#
        );
        let form = Form {
            without_body: number >= 20,
            snapshot: number % 5 == 0,
        };
        scribe
            .put_as(&store, &format!("task/t{}", number % 2), &text, form)
            .await;
    }
    // More versions than one part of a history holds.
    let mut batch = scribe.batch();
    let form = Form {
        without_body: true,
        snapshot: false,
    };
    for number in 30..70 {
        let text = format!(r#"{{"title":"{number}","labels":{{"k":"{number}"}}}}"#);
        batch.put(&format!("task/t{}", number % 2), &text, form);
    }
    batch.send(&store).await;
    store.close().await.unwrap();
    scribe
}

async fn verified(store: &SqliteStore) -> VerifyReport {
    store.verify(&|_| ()).await.unwrap()
}

/// Changes one row, and expects that `verify` says each of `lines` (a part of it suffices).
async fn check_rot(sql: &str, lines: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    assert_eq!(tamper(dir.path(), sql), 1, "{sql}");
    let store = open(dir.path());
    let report = verified(&store).await;
    for line in lines {
        let found = report.problems.iter().any(|problem| problem.contains(line));
        assert!(found, "{sql}: no {line:?} in {:#?}", report.problems);
    }
    assert!(matches!(store.health(), StoreHealth::Damaged(_)), "{sql}");
    // The walk went on to the end.
    assert!(report.contexts == 2 && report.workspaces == 1, "{report:?}");
}

/// SQL that flips one bit of a blob's last byte but `from_end`.
pub fn flip(table: &str, column: &str, from_end: usize, which: &str) -> String {
    let last = format!("length({column}) - {from_end}");
    let low = (0..16).map(|n| {
        let (is, becomes) = (format!("{n:X}"), format!("{:X}", n ^ 1));
        format!("WHEN '{is}' THEN '{becomes}'")
    });
    // The low half of the byte, as its hex digit.
    let digit = format!("substr(hex(substr({column}, {last}, 1)), 2, 1)");
    let high = format!("substr(hex(substr({column}, {last}, 1)), 1, 1)");
    let cases: String = low.collect::<Vec<_>>().join(" ");
    format!(
        "UPDATE {table} SET {column} = CAST(substr({column}, 1, {last} - 1) || \
            unhex({high} || CASE {digit} {cases} END) || substr({column}, {last} + 1) AS BLOB) \
            WHERE {which}"
    )
}

const RECORD_17: &str = "pos & 0xFFFFFFFF = 17";

#[tokio::test]
async fn p1_rot_in_the_log_is_named() {
    let no_commitment = "workspace alpha: record 17 does not match its commitment";
    check_rot(&flip("log", "body", 10, RECORD_17), &[no_commitment]).await;
    check_rot(&flip("log", "salt", 3, RECORD_17), &[no_commitment]).await;
    let no_chain = "workspace alpha: record 17 does not follow from the one before it";
    // The last byte is the hash's; the 40th from the end is the commitment's.
    check_rot(&flip("log", "header", 0, RECORD_17), &[no_chain]).await;
    check_rot(
        &flip("log", "header", 40, RECORD_17),
        &[no_chain, no_commitment],
    )
    .await;
    // A time is in the header alone, and the record before alone vouches for it; the first one's
    // is the beginning of the log.
    for seq in [1, 17, 70] {
        let which = format!("pos & 0xFFFFFFFF = {seq}");
        let no_chain = format!("workspace alpha: record {seq} does not follow from the one before");
        check_rot(&flip("log", "header", 70, &which), &[&no_chain]).await;
    }
    check_rot(
        &format!("UPDATE log SET body = x'07' WHERE {RECORD_17}"),
        &["record 17: stored bytes"],
    )
    .await;
    check_rot(
        &format!("UPDATE log SET header = x'01' WHERE {RECORD_17}"),
        &["record 17: stored bytes"],
    )
    .await;
    check_rot(
        &format!("UPDATE log SET salt = x'01' WHERE {RECORD_17}"),
        &["record 17: "],
    )
    .await;
    let missing = [
        "workspace alpha: record 17 is missing",
        "version 9 has no record 17",
    ];
    check_rot(&format!("DELETE FROM log WHERE {RECORD_17}"), &missing).await;
}

#[tokio::test]
async fn p1_rot_in_the_views_is_named() {
    let t0 = "ctx = (SELECT ctx FROM context WHERE address = 'task/t0')";
    let names_t0 = "workspace alpha: context task/t0: ";
    for (sql, lines) in [
        (flip("context", "hash", 0, t0), vec!["context task/t0: its head is not its newest version"]),
        (flip("context", "change_id", 0, t0), vec!["its head is not its newest version"]),
        (format!("UPDATE context SET title = 'x' WHERE {t0}"), vec!["its head's columns"]),
        (format!("UPDATE context SET labels = '{{' WHERE {t0}"), vec![names_t0]),
        (format!("UPDATE context SET actor = 'x' WHERE {t0}"), vec![names_t0]),
        (format!("UPDATE context SET version = 14 WHERE {t0}"), vec!["its head is not its newest"]),
        (format!("UPDATE context SET address = 'no' WHERE {t0}"), vec!["workspace alpha: context no: "]),
        (flip("body", "bytes", 3, t0), vec!["the stored body of version 10: "]),
        (flip("snapshot", "bytes", 3, &format!("{t0} AND version = 6")), vec!["the snapshot of version 6: "]),
        (flip("log", "hash", 0, RECORD_17), vec!["record 17: the row of task/t0 v9 says something else"]),
        (flip("log", "change_id", 0, RECORD_17), vec!["record 17: the row of task/t0 v9 says something else"]),
        (format!("UPDATE log SET version = 8 WHERE {RECORD_17}"), vec!["version 9: ", "record 17 is not that of task/t0 v9"]),
        (format!("UPDATE log SET whole = 1 WHERE {RECORD_17}"), vec!["record 17: the row of task/t0 v9 says something else"]),
        (flip("context", "recent_seqs", 0, t0), vec!["version 35: stored bytes do not decode: record 68 is not", "its head is not its newest version", "record 69: "]),
        (format!("UPDATE context SET recent_seqs = x'01' WHERE {t0}"), vec!["a chunk of seqs has 1 bytes", "record 17: "]),
        (flip("version_chunk", "seqs", 0, t0), vec!["version 32: ", "record 63: "]),
        (format!("UPDATE version_chunk SET chunk = 1 WHERE {t0}"), vec!["the history of versions 1 to 32 is broken", "record 17: "]),
        (format!("DELETE FROM version_chunk WHERE {t0}"), vec!["the history of versions 1 to 32 is broken", "more or fewer parts"]),
        (format!("DELETE FROM label WHERE {t0}"), vec!["it is not found by its label \"k\""]),
        ("UPDATE change_id SET outcome = x'09', sum = NULL WHERE id = (SELECT change_id FROM log WHERE pos & 0xFFFFFFFF = 17)".to_owned(), vec!["record 17: the outcome of change"]),
        ("DELETE FROM change_id WHERE id = (SELECT change_id FROM log WHERE pos & 0xFFFFFFFF = 17)".to_owned(), vec!["record 17: change", "is not among the ids"]),
        ("UPDATE workspace SET contexts = 5".to_owned(), vec!["it counts 5 contexts"]),
    ] {
        check_rot(&sql, &lines).await;
    }
}

/// Two conflicts that wait, one of them on a branch, and one that has ended.
async fn disputed(dir: &Path) -> [Conflict; 3] {
    let store = open(dir);
    let mut scribe = Scribe::start(&store, "alpha").await;
    let (main, other) = (address("task/a"), line("task/a", "x"));
    let waits = conflict(1, &main, "/data/a");
    let ends = conflict(2, &main, "/data/b");
    let aside = conflict(3, &other, "");
    let ended = Conflict {
        state: ConflictState::Settled,
        ..ends.clone()
    };
    for (name, told) in [
        (None, vec![waits.clone(), ends]),
        (Some("x"), vec![aside.clone()]),
        (None, vec![ended.clone()]),
    ] {
        let mut batch = scribe.batch();
        batch.branch = name.map(branch);
        batch.conflicts = told;
        batch.put("task/a", r#"{"labels":{"k":"v"}}"#, Form::default());
        batch.send(&store).await;
    }
    let report = verified(&store).await;
    assert_eq!((report.problems, report.contexts), (Vec::new(), 1));
    store.close().await.unwrap();
    [waits, aside, ended]
}

#[tokio::test]
async fn p1_rot_in_conflicts_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let [waits, aside, ended] = disputed(dir.path()).await.map(|conflict| conflict.id);
    let row = |id| format!("id = '{id}'");
    let main = "address = 'task/a'";
    let aside_line = "address LIKE 'task/a_x'";
    let not_as_told =
        |id| format!("workspace alpha: conflict {id}: it is not what the last record");
    let not_waiting = "context task/a: its head's conflicts are not those that wait";
    let on_branch = "context task/a on branch x: its head's conflicts are not those that wait";
    let columns = |id| format!("conflict {id}: its columns do not show it");
    for (sql, lines) in [
        // A letter of a side, a digit of a time, a brace.
        (
            flip("conflict", "body", 40, &row(waits)),
            vec![not_as_told(waits)],
        ),
        (
            flip("conflict", "body", 40, &row(ended)),
            vec![not_as_told(ended)],
        ),
        (
            flip("conflict", "body", 0, &row(waits)),
            vec![
                not_as_told(waits),
                format!("conflict {waits}: stored bytes"),
            ],
        ),
        (
            format!("UPDATE conflict SET body = x'07' WHERE {}", row(ended)),
            vec![
                not_as_told(ended),
                format!("conflict {ended}: stored bytes"),
            ],
        ),
        (
            format!("DELETE FROM conflict WHERE {}", row(aside)),
            vec![
                format!("record 2: conflict {aside} is not among"),
                on_branch.to_owned(),
            ],
        ),
        (
            format!("UPDATE conflict SET id = 'x' WHERE {}", row(ended)),
            vec![
                format!("record 1: conflict {ended} is not among"),
                "conflict x: its columns".to_owned(),
            ],
        ),
        (
            format!(
                "UPDATE conflict SET id = CAST(x'ff' AS TEXT) WHERE {}",
                row(ended)
            ),
            vec![
                format!("record 1: conflict {ended} is not among"),
                "conflict number 2: ".to_owned(),
            ],
        ),
        (
            format!("UPDATE conflict SET state = 'open' WHERE {}", row(ended)),
            vec![columns(ended), not_waiting.to_owned()],
        ),
        (
            format!("UPDATE conflict SET state = 'agreed' WHERE {}", row(waits)),
            vec![columns(waits), not_waiting.to_owned()],
        ),
        (
            format!("UPDATE conflict SET branch = NULL WHERE {}", row(aside)),
            vec![columns(aside), not_waiting.to_owned(), on_branch.to_owned()],
        ),
        (
            format!(
                "UPDATE conflict SET address = 'task/b' WHERE {}",
                row(waits)
            ),
            vec![columns(waits), not_waiting.to_owned()],
        ),
        (
            format!("UPDATE conflict SET last_seq = 2 WHERE {}", row(ended)),
            vec![
                format!("record 3: the row of conflict {ended} is of other records"),
                format!("conflict {ended}: it is of no record"),
            ],
        ),
        (
            format!("UPDATE conflict SET last_seq = 9 WHERE {}", row(waits)),
            vec![format!(
                "record 1: the row of conflict {waits} is of other records"
            )],
        ),
        (
            format!(
                "UPDATE conflict SET first_seq = 9, last_seq = 9 WHERE {}",
                row(waits)
            ),
            vec![format!("conflict {waits}: it is of no record")],
        ),
        (
            format!(
                "UPDATE conflict SET first_seq = 2, last_seq = 3 WHERE {}",
                row(waits)
            ),
            vec!["no record tells of 1 of its conflicts".to_owned()],
        ),
        (
            format!("UPDATE context SET conflicts = NULL WHERE {main}"),
            vec![not_waiting.to_owned()],
        ),
        (
            format!("UPDATE context SET conflicts = '[]' WHERE {aside_line}"),
            vec![on_branch.to_owned()],
        ),
        (
            format!("UPDATE context SET conflicts = '[{{' WHERE {main}"),
            vec!["context task/a: stored bytes".to_owned()],
        ),
        (
            format!("UPDATE context SET conflicts = replace(conflicts, 'é', 'e') WHERE {main}"),
            vec![not_waiting.to_owned()],
        ),
        (
            format!("UPDATE context SET branch = NULL WHERE {aside_line}"),
            vec![
                "context task/a on branch x: its branch is not".to_owned(),
                "it counts 1 contexts, and has Some(2)".to_owned(),
            ],
        ),
        (
            format!("UPDATE context SET branch = 'x' WHERE {main}"),
            vec!["context task/a: its branch is not".to_owned()],
        ),
        (
            format!("UPDATE context SET address = 'task/b' WHERE {aside_line}"),
            vec![
                format!("conflict {aside}: it waits in task/a on branch x, which is gone"),
                "record 2: task/a on branch x v1 is not in the history".to_owned(),
            ],
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        disputed(dir.path()).await;
        assert_eq!(tamper(dir.path(), &sql), 1, "{sql}");
        let store = open(dir.path());
        let report = verified(&store).await;
        for line in &lines {
            let found = report.problems.iter().any(|problem| problem.contains(line));
            assert!(found, "{sql}: no {line:?} in {:#?}", report.problems);
        }
        assert_eq!(report.records, 3, "{sql}");
    }
}

#[tokio::test]
async fn p1_rot_in_a_conflict_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let [waits, aside, _] = disputed(dir.path()).await;
    let row = format!("id = '{}'", waits.id);
    assert_eq!(tamper(dir.path(), &flip("conflict", "body", 0, &row)), 1);
    let store = open(dir.path());
    let alpha = workspace_id("alpha");
    let found = store.conflict(&alpha, &waits.id).await;
    assert!(matches!(found, Err(StoreError::Rot(_))), "{found:?}");
    assert!(matches!(store.health(), StoreHealth::Damaged(_)));
    let all = ConflictQuery {
        limit: 9,
        ..ConflictQuery::default()
    };
    let found = store.conflicts(&alpha, &all).await;
    assert!(matches!(found, Err(StoreError::Rot(_))), "{found:?}");
    let found = store.conflict(&alpha, &aside.id).await.unwrap();
    assert_eq!(found, Some(aside));
}

#[tokio::test]
async fn p1_rot_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    assert_eq!(tamper(dir.path(), &flip("log", "body", 10, RECORD_17)), 1);
    let t1 = "ctx = (SELECT ctx FROM context WHERE address = 'task/t1')";
    assert_eq!(tamper(dir.path(), &flip("body", "bytes", 8, t1)), 1);
    let store = open(dir.path());
    let scribe = syncline_store::conformance::scribe::workspace_id("alpha");
    let records = store
        .records(&scribe, Seq(16), Seq(17), 9, 9_999)
        .await
        .unwrap();
    assert!(records[0].open().is_err());
    // v9 of t0 is record 17.
    let rebuild = store
        .rebuild(&scribe, &address("task/t0"), Version(9))
        .await
        .unwrap();
    assert!(replay(&rebuild).is_err());
    let rebuild = store
        .rebuild(&scribe, &address("task/t1"), Version(10))
        .await
        .unwrap();
    assert!(rebuild.start.is_some() && replay(&rebuild).is_err());
}

/// A time is in a record's header alone: the record after it and the one before vouch for it.
#[tokio::test]
async fn p1_a_rotten_header_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let scribe = written(dir.path()).await;
    let now = scribe.records[69].header.committed_at;
    for (seq, version) in [(1, 1), (17, 9)] {
        // A byte of the time, which the format byte comes before.
        let rot = flip("log", "header", 70, &format!("pos & 0xFFFFFFFF = {seq}"));
        assert_eq!(tamper(dir.path(), &rot), 1);
        let (alpha, t0) = (&scribe.id, address("task/t0"));
        let store = open(dir.path());
        let before = Seq(seq - 1);
        for found in [
            store
                .records(alpha, before, Seq(70), 9, 9_999)
                .await
                .map(drop),
            store.record(alpha, Seq(seq)).await.map(drop),
            store.version(alpha, &t0, Version(version)).await.map(drop),
            store.versions(alpha, &t0, None, 99).await.map(drop),
        ] {
            assert!(matches!(found, Err(StoreError::Rot(_))), "{seq}: {found:?}");
        }
        assert!(matches!(store.health(), StoreHealth::Damaged(_)));
        // Whoever asks for another time is not led astray.
        assert_eq!(store.seq_at(alpha, now).await.unwrap(), Seq(70));
        store.close().await.unwrap();
        assert_eq!(tamper(dir.path(), &rot), 1);
    }
}

#[tokio::test]
async fn p3_change_ids_that_rot_are_named_and_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let scribe = written(dir.path()).await;
    let id = scribe.records[16].open().unwrap().id;
    let which = format!("id = x'{}'", hex(id.as_bytes()));
    let line = format!("workspace alpha: change ids: stored bytes do not decode: change id {id}");
    for (column, from_end) in [("digest", 0), ("digest", 31), ("outcome", 0), ("sum", 3)] {
        check_rot(&flip("change_id", column, from_end, &which), &[&line]).await;
    }
    tamper(dir.path(), &flip("change_id", "digest", 0, &which));
    let store = open(dir.path());
    let found = store.ids(&scribe.id, &[id]).await;
    assert!(matches!(found, Err(StoreError::Rot(_))), "{found:?}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn p1_kept_values_that_rot_are_named_and_not_served() {
    for sql in [
        &flip("kept", "value", 0, "key = 'b'"),
        &flip("kept", "sum", 2, "key = 'b'"),
        "UPDATE kept SET key = 'bb' WHERE key = 'b'",
        "UPDATE kept SET space = 'others' WHERE key = 'b'",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let id = Scribe::start(&store, "alpha").await.id;
        let kept = |key: &str| Kept::put("acks", key, key.as_bytes());
        let values = vec![kept("a"), kept("b"), kept("c")];
        store.keep(&id, values).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        assert_eq!(tamper(dir.path(), sql), 1, "{sql}");
        let store = open(dir.path());
        let report = verified(&store).await;
        assert_eq!(report.problems.len(), 1, "{sql}: {:?}", report.problems);
        assert!(report.problems[0].starts_with("workspace alpha: kept values"));
        for space in ["acks", "others"] {
            let query = KeptQuery {
                space: space.to_owned(),
                limit: 9,
                ..KeptQuery::default()
            };
            let found = store.kept(&id, &query).await;
            let moved = sql.contains("others");
            let rotten = moved == (space == "others");
            assert_eq!(rotten, matches!(found, Err(StoreError::Rot(_))), "{sql}");
        }
    }
}

#[tokio::test]
async fn what_thinning_left_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut scribe = Scribe::start(&store, "alpha").await;
    for number in 1..=9 {
        let text = format!(r#"{{"data":{{"n":{number}}}}}"#);
        let form = Form {
            without_body: number > 1,
            snapshot: false,
        };
        scribe.put_as(&store, "task/a", &text, form).await;
    }
    let versions = vec![Version(2), Version(3), Version(6)];
    let thinning = thin::ready(&store, &scribe.id, &address("task/a"), versions).await;
    store.thin(&scribe.id, thinning.unwrap()).await.unwrap();
    let problems = store.verify(&|_| ()).await.unwrap().problems;
    assert_eq!(problems, Vec::<String>::new());
    store.close().await.unwrap();
    drop(store);
    // An empty body says that its record was thinned only below the mark; and what follows a
    // thinned version needs its document.
    assert_eq!(
        tamper(dir.path(), "UPDATE log SET body = x'' WHERE version = 8"),
        1
    );
    assert_eq!(
        tamper(dir.path(), "DELETE FROM snapshot WHERE version = 4"),
        1
    );
    let problems = open(dir.path()).verify(&|_| ()).await.unwrap().problems;
    for found in [
        "context task/a: version 8 has an empty record 8",
        "context task/a: version 4 has no document to be rebuilt from",
        "record 8: stored bytes have the unknown format None",
    ] {
        let line = format!("workspace alpha: {found}");
        assert!(problems.contains(&line), "{problems:#?}");
    }
}
