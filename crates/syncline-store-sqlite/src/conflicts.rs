//! Conflicts as rows: written with the append that tells of them, read in pages by id.
//!
//! Ids are kept as text, whose order is that of the ids.

use rusqlite::types::Value;
use rusqlite::{Connection, Row};
use sha2::{Digest as _, Sha256};
use syncline_model::conflict::{Conflict, ConflictId, write_all};
use syncline_model::ids::{Address, BranchName, Seq};
use syncline_model::json::{JsonWriter, Pointer};
use syncline_model::record::{pack, unpack_json};
use syncline_store::{ConflictQuery, HeadRow, StoreError};

use crate::errors::{reading, rot};
use crate::rows::{self, blob};
use crate::{append, read};

/// What a head's conflicts were when they were written last, without keeping them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

/// Returns what the column of a head holds, and its fingerprint; nothing when nothing waits.
pub(crate) fn column(conflicts: &[Conflict]) -> Option<(String, Fingerprint)> {
    if conflicts.is_empty() {
        return None;
    }
    let mut w = JsonWriter::with_capacity(512 * conflicts.len());
    write_all(&mut w, conflicts);
    let text = w.into_string();
    let fingerprint = Fingerprint(Sha256::digest(text.as_bytes()).into());
    Some((text, fingerprint))
}

/// Writes a conflict that the records of an append from `first` to `last` tell of.
pub(crate) fn put(
    conn: &Connection,
    ws: i64,
    conflict: &Conflict,
    (first, last): (Seq, Seq),
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO conflict \
        (ws, id, address, branch, state, first_seq, last_seq, body) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
        ON CONFLICT (ws, id) DO UPDATE SET address = excluded.address, \
            branch = excluded.branch, state = excluded.state, first_seq = excluded.first_seq, \
            last_seq = excluded.last_seq, body = excluded.body";
    let params = rusqlite::params![
        ws,
        conflict.id.to_string(),
        conflict.context.as_str(),
        conflict.branch.as_ref().map(BranchName::as_str),
        conflict.state.as_str(),
        first.0.cast_signed(),
        last.0.cast_signed(),
        &*pack(&conflict.to_text()),
    ];
    append::run(conn, SQL, params)
}

/// Reads a conflict from its body.
pub(crate) fn from_body(row: &Row<'_>, at: usize) -> Result<Conflict, StoreError> {
    let json = unpack_json(&blob(row, at)?)?;
    Conflict::read(&json, &Pointer::root()).map_err(|error| rot(format!("a conflict: {error}")))
}

/// Returns one conflict.
pub(crate) fn one(
    conn: &Connection,
    ws: i64,
    id: &ConflictId,
) -> Result<Option<Conflict>, StoreError> {
    const SQL: &str = "SELECT body FROM conflict WHERE ws = ?1 AND id = ?2";
    read::first(conn, SQL, (ws, id.to_string()), |row| from_body(row, 0))
}

/// Returns those that wait in one line of a context, by id.
pub(crate) fn open_of(
    conn: &Connection,
    ws: i64,
    line: &Address,
) -> Result<Vec<Conflict>, StoreError> {
    const SQL: &str = "SELECT body FROM conflict INDEXED BY conflict_context_open \
        WHERE ws = ?1 AND address = ?2 AND branch IS ?3 AND state = 'open' ORDER BY id";
    let (context, branch) = line.of_line();
    let params = (
        ws,
        context.as_str(),
        branch.as_ref().map(BranchName::as_str),
    );
    read::all(conn, SQL, params, |row| from_body(row, 0))
}

/// Counts those that wait, along an index of nothing else.
pub(crate) fn count_open(conn: &Connection, ws: i64) -> Result<u64, StoreError> {
    const SQL: &str = "SELECT count(*) FROM conflict INDEXED BY conflict_open \
        WHERE ws = ?1 AND state = 'open'";
    let count = read::first(conn, SQL, [ws], |row| row.get::<_, i64>(0).map_err(reading))?;
    Ok(count.unwrap_or(0).cast_unsigned())
}

/// Returns a page; each form of query is a range of an index of its own.
pub(crate) fn page(
    conn: &Connection,
    ws: i64,
    query: &ConflictQuery,
) -> Result<Vec<Conflict>, StoreError> {
    let index = match (&query.context, query.open) {
        (None, false) => "",
        (None, true) => "INDEXED BY conflict_open",
        (Some(_), false) => "INDEXED BY conflict_context",
        (Some(_), true) => "INDEXED BY conflict_context_open",
    };
    let mut sql = format!("SELECT body FROM conflict {index} WHERE ws = ?");
    let mut params = vec![Value::Integer(ws)];
    if let Some(context) = &query.context {
        sql.push_str(" AND address = ?");
        params.push(Value::Text(context.as_str().to_owned()));
    }
    if query.open {
        sql.push_str(" AND state = 'open'");
    }
    if let Some(after) = &query.after {
        sql.push_str(" AND id > ?");
        params.push(Value::Text(after.to_string()));
    }
    sql.push_str(" ORDER BY id LIMIT ?");
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    params.push(Value::Integer(limit));
    let params = rusqlite::params_from_iter(params);
    read::all(conn, &sql, params, |row| from_body(row, 0))
}

/// Returns the heads of a context's branches, without their bodies.
pub(crate) fn branches(
    conn: &Connection,
    ws: i64,
    address: &Address,
) -> Result<Vec<HeadRow>, StoreError> {
    // The key of a branch is the address, a character below the space, and the branch's name; of
    // an address no character stands below the space.
    let sql = format!(
        "SELECT {} FROM context c WHERE c.ws = ?1 AND c.address > ?2 AND c.address < ?2 || ' ' \
            ORDER BY c.address",
        rows::HEAD
    );
    let found = read::all(conn, &sql, (ws, address.as_str()), rows::head)?;
    Ok(found.into_iter().map(|(_, head)| head).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use syncline_model::ids::ChangeId;

    use super::*;

    /// Returns a store of conflicts of two contexts in turn, of which each 1,000th waits, written
    /// without the store, and a count of SQLite's steps.
    fn written(many: u64) -> (Connection, Arc<AtomicU64>) {
        let mut conn = Connection::open_in_memory().unwrap();
        for migration in crate::open::MIGRATIONS {
            conn.execute_batch(migration).unwrap();
        }
        let insert = "INSERT INTO conflict VALUES (1, ?1, ?2, NULL, ?3, 1, 1, ?4)";
        let tx = conn.transaction().unwrap();
        for number in 0..many {
            let id = ConflictId::new(ChangeId::from_parts(number, &[7; 10]), "");
            let address = ["task/a", "task/b"][usize::from(number % 1_000 < 500)];
            let state = ["settled", "open"][usize::from(number % 1_000 == 999)];
            let body = format!(
                r#"{{"id":"{id}","version":1,"context":"{address}","kind":"data","state":"{state}",
                    "strategy":"manual","created_at":"2026-01-01T00:00:00Z",
                    "deadline":"2026-01-01T00:00:00Z",
                    "by":{{"ours":{{"id":"person/a"}},"theirs":{{"id":"person/b"}}}}}}"#
            );
            let mut statement = tx.prepare_cached(insert).unwrap();
            statement
                .execute((id.to_string(), address, state, &*pack(&body)))
                .unwrap();
        }
        tx.commit().unwrap();
        let steps = Arc::new(AtomicU64::new(0));
        let counted = steps.clone();
        let count = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        };
        conn.progress_handler(1, Some(count)).unwrap();
        (conn, steps)
    }

    /// Returns how many conflicts a query finds in pages of 10, and the most steps of one page.
    fn steps_a_page(conn: &Connection, steps: &AtomicU64, query: &ConflictQuery) -> (usize, u64) {
        let mut query = query.clone();
        let (mut found, mut most) = (0, 0);
        loop {
            steps.store(0, Ordering::Relaxed);
            let page = page(conn, 1, &query).unwrap();
            most = most.max(steps.load(Ordering::Relaxed));
            found += page.len();
            match page.last() {
                Some(last) => query.after = Some(last.id),
                None => return (found, most),
            }
        }
    }

    #[test]
    fn p9_a_page_of_conflicts_costs_a_page_however_many_have_ended() {
        let (conn, steps) = written(20_000);
        let a = Some(Address::parse("task/a").unwrap());
        let b = Some(Address::parse("task/b").unwrap());
        for (context, open, many) in [
            (None, false, 20_000),
            (None, true, 20),
            (a.clone(), false, 10_000),
            (a, true, 20),
            (b, true, 0),
        ] {
            let query = ConflictQuery {
                context,
                open,
                after: None,
                limit: 10,
            };
            let (found, most) = steps_a_page(&conn, &steps, &query);
            assert_eq!(found, many, "{query:?}");
            assert!(most < 200, "{query:?} takes {most} steps");
        }
    }
}
