//! Values that are kept beside the log.
//!
//! No record vouches for them, so each row has a sum of its own: rot is found when it is read.

use std::sync::Arc;

use rusqlite::{Connection, Row};
use sha2::{Digest as _, Sha256};
use syncline_model::ids::WorkspaceId;
use syncline_store::{KEPT_PAGE_BYTES_MAX, Kept, KeptQuery, KeptValue, StoreError, check_kept};

use crate::append::run;
use crate::errors::{reading, rot};
use crate::memory::Memory;
use crate::rows::{array, blob};

/// Writes and forgets values; part of a group.
pub(crate) fn keep(
    conn: &Connection,
    memory: &Memory,
    id: &WorkspaceId,
    values: &[Kept],
) -> Result<(), StoreError> {
    const PUT: &str = "INSERT INTO kept (ws, space, key, sum, value) VALUES (?1, ?2, ?3, ?4, ?5) \
        ON CONFLICT DO UPDATE SET sum = excluded.sum, value = excluded.value";
    const FORGET: &str = "DELETE FROM kept WHERE ws = ?1 AND space = ?2 AND key = ?3";
    let (ws, _) = memory.workspace(id)?;
    check_kept(values)?;
    for kept in values {
        match &kept.value {
            Some(value) => {
                let sum = sum(&kept.space, &kept.key, value);
                run(conn, PUT, (ws, &kept.space, &kept.key, sum, &value[..]))?;
            }
            None => run(conn, FORGET, (ws, &kept.space, &kept.key))?,
        }
    }
    Ok(())
}

/// Reads a page of a space.
pub(crate) fn page(
    conn: &Connection,
    ws: i64,
    query: &KeptQuery,
) -> Result<Vec<KeptValue>, StoreError> {
    const SQL: &str = "SELECT key, sum, value FROM kept WHERE ws = ?1 AND space = ?2 \
        AND key >= ?3 AND (?4 IS NULL OR key > ?4) ORDER BY key LIMIT ?5";
    // Where the page begins after a key, that key bounds the search in the index too.
    let from = match &query.after {
        Some(after) if *after > query.prefix => after,
        _ => &query.prefix,
    };
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(SQL).map_err(reading)?;
    let params = (ws, &query.space, from, &query.after, limit);
    let mut rows = statement.query(params).map_err(reading)?;
    let mut page = Vec::new();
    let mut bytes = 0;
    while bytes < KEPT_PAGE_BYTES_MAX
        && let Some(row) = rows.next().map_err(reading)?
    {
        let key: String = row.get(0).map_err(reading)?;
        if !key.starts_with(&query.prefix) {
            break;
        }
        let value = checked(row, 1, &query.space, &key)?;
        bytes += value.len();
        page.push((key, value));
    }
    Ok(page)
}

/// Reads a value behind its sum, and compares the two.
pub(crate) fn checked(
    row: &Row<'_>,
    at: usize,
    space: &str,
    key: &str,
) -> Result<Arc<[u8]>, StoreError> {
    let stored: [u8; 8] = array(row, at)?;
    let value = blob(row, at + 1)?;
    match stored == sum(space, key, &value) {
        true => Ok(value),
        false => Err(rot(format!(
            "the kept value {space}/{key} is not what was written"
        ))),
    }
}

fn sum(space: &str, key: &str, value: &[u8]) -> [u8; 8] {
    let lengths = [space, key].map(|name| (name.len() as u64).to_be_bytes());
    let [first, second] = &lengths;
    sum_of(&[first, second, space.as_bytes(), key.as_bytes(), value])
}

/// Returns the sum of what is kept without a record that vouches for it.
pub(crate) fn sum_of(parts: &[&[u8]]) -> [u8; 8] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let mut sum = [0u8; 8];
    sum.copy_from_slice(&hash.finalize()[..8]);
    sum
}
