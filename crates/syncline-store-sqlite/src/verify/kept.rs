//! The walk over the values that are kept beside the log: each is compared with its sum.

use rusqlite::{Connection, Row};
use syncline_store::StoreError;

use super::{Findings, Workspaces};
use crate::errors::reading;
use crate::kept::checked;
use crate::read;

/// Bounds one step: some megabytes at most.
const CHUNK_ROWS: i64 = 64;

/// Checks the next rows.
pub(super) fn chunk(
    conn: &Connection,
    workspaces: &Workspaces,
    after: i64,
    findings: &mut Findings,
) -> Result<Option<i64>, StoreError> {
    const SQL: &str = "SELECT rowid, ws, space, key, sum, value FROM kept \
        WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
    let number = |row: &Row<'_>, at| row.get::<_, i64>(at).map_err(reading);
    let found = read::all(conn, SQL, (after, CHUNK_ROWS), |row| {
        Ok((number(row, 0)?, number(row, 1)?, sound(row)))
    })?;
    let mut last = None;
    for (rowid, ws, sound) in found {
        last = Some(rowid);
        if let (Some(row), Err(error)) = (workspaces.get(&ws), sound) {
            findings.failed(&row.id, "kept values", &error);
        }
    }
    Ok(last)
}

fn sound(row: &Row<'_>) -> Result<(), StoreError> {
    let space: String = row.get(2).map_err(reading)?;
    let key: String = row.get(3).map_err(reading)?;
    checked(row, 4, &space, &key).map(drop)
}
