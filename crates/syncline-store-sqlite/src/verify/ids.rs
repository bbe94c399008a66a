//! The walk over change ids: what each stands for is what was written.

use rusqlite::{Connection, Row};
use syncline_model::ids::ChangeId;
use syncline_store::StoreError;

use super::{Findings, Workspaces};
use crate::errors::{reading, rot};
use crate::read;
use crate::rows::array;

/// Bounds the rows of one read transaction.
const CHUNK_ROWS: i64 = 1_024;

/// A workspace's number and a change id of it.
pub(super) type Key = (i64, [u8; 16]);

/// Before all of them.
pub(super) const START: Key = (i64::MIN, [0; 16]);

/// Checks the next rows.
pub(super) fn chunk(
    conn: &Connection,
    workspaces: &Workspaces,
    (ws, id): Key,
    findings: &mut Findings,
) -> Result<Option<Key>, StoreError> {
    const SQL: &str = "SELECT ws, id, digest, outcome, sum FROM change_id \
        WHERE (ws, id) > (?1, ?2) ORDER BY ws, id LIMIT ?3";
    let found = read::all(conn, SQL, (ws, id, CHUNK_ROWS), |row| {
        let key: Key = (row.get(0).map_err(reading)?, array(row, 1)?);
        Ok((key, sound(row, key.1)))
    })?;
    let last = found.last().map(|(key, _)| *key);
    for ((ws, _), sound) in found {
        if let (Some(row), Err(error)) = (workspaces.get(&ws), sound) {
            findings.failed(&row.id, "change ids", &error);
        }
    }
    Ok(last)
}

fn sound(row: &Row<'_>, id: [u8; 16]) -> Result<(), StoreError> {
    let id = ChangeId::from_bytes(id).map_err(rot)?;
    read::id_row(row, 2, id).map(drop)
}
