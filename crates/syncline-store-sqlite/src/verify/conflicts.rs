//! Conflicts: each row is what the last record that tells of it says.
//!
//! A row does not name that record, but the records of the append that wrote it. So the walk
//! along the log waits until it has passed them, and remembers one append's conflicts at a time.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};
use syncline_model::change::Change;
use syncline_model::conflict::{Conflict, ConflictId};
use syncline_model::ids::{BranchName, Seq, WorkspaceId};
use syncline_store::{StoreError, WorkspaceRow};

use super::{Findings, Workspaces};
use crate::conflicts::from_body;
use crate::errors::reading;
use crate::read;
use crate::rows::line_name;

/// Bounds the rows of one read transaction.
const CHUNK_ROWS: i64 = 256;

/// What the records of one log tell of conflicts, as far as the walk along it has come.
#[derive(Default)]
pub(super) struct Told {
    waiting: BTreeMap<ConflictId, Waiting>,
    matched: i64,
}

/// A conflict of which a record of the append told that wrote its row.
struct Waiting {
    /// The append's first record.
    first: Seq,
    /// Its last: until then a later record may tell of it again.
    last: Seq,
    /// The row is what the record said that told of it last.
    same: bool,
}

impl Told {
    /// Compares what a record tells with the rows; returns what is wrong.
    pub(super) fn record(
        &mut self,
        conn: &Connection,
        (ws, row): (i64, &WorkspaceRow),
        (seq, change): (Seq, &Change),
    ) -> Result<Vec<String>, StoreError> {
        let mut problems = Vec::new();
        for conflict in &change.conflicts {
            let id = conflict.id;
            let Some(found) = Found::of(conn, ws, &id)? else {
                problems.push(format!("conflict {id} is not among the conflicts"));
                continue;
            };
            if found.last < seq || found.last > row.last && found.first <= seq {
                problems.push(format!("the row of conflict {id} is of other records"));
            } else if found.first > seq {
                // A later append tells of it.
                self.waiting.remove(&id);
            } else if found.first > row.low_water {
                let waiting = Waiting {
                    first: found.first,
                    last: found.last,
                    same: found.conflict.is_ok_and(|stored| stored == *conflict),
                };
                self.waiting.insert(id, waiting);
            }
        }
        Ok(problems)
    }

    /// Forgets the conflicts of which a thinned record may have told last.
    pub(super) fn thinned(&mut self, low_water: Seq) {
        self.waiting.retain(|_, waiting| waiting.first > low_water);
    }

    /// Ends the waiting for conflicts that no record after `seq` tells of in the same append.
    pub(super) fn passed(&mut self, seq: Seq, id: &WorkspaceId, findings: &mut Findings) {
        let matched = &mut self.matched;
        self.waiting.retain(|conflict, waiting| {
            if waiting.last > seq {
                return true;
            }
            *matched += 1;
            if !waiting.same {
                let what = format!("conflict {conflict}");
                findings.failed(id, &what, &"it is not what the last record of it says");
            }
            false
        });
    }

    /// Says so if there are rows of these records that none of them told of.
    pub(super) fn end(
        &mut self,
        conn: &Connection,
        (ws, row): (i64, &WorkspaceRow),
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        const COUNT: &str =
            "SELECT count(*) FROM conflict WHERE ws = ?1 AND first_seq > ?2 AND last_seq <= ?3";
        self.passed(row.last, &row.id, findings);
        let span = (row.low_water.0.cast_signed(), row.last.0.cast_signed());
        let rows = read::first(conn, COUNT, (ws, span.0, span.1), |row| {
            row.get::<_, i64>(0).map_err(reading)
        })?;
        // Fewer are no problem: what was written meanwhile is of later records.
        let more = rows.unwrap_or(0) - self.matched;
        if more > 0 {
            let line = format!(
                "workspace {}: no record tells of {more} of its conflicts",
                row.id
            );
            findings.problem(line);
        }
        Ok(())
    }
}

/// A conflict's row, whose body may be rotten.
struct Found {
    first: Seq,
    last: Seq,
    conflict: Result<Conflict, StoreError>,
}

impl Found {
    fn of(conn: &Connection, ws: i64, id: &ConflictId) -> Result<Option<Found>, StoreError> {
        const SQL: &str =
            "SELECT first_seq, last_seq, body FROM conflict WHERE ws = ?1 AND id = ?2";
        read::first(conn, SQL, (ws, id.to_string()), |row| Found::read(row, 0))
    }

    fn read(row: &Row<'_>, at: usize) -> Result<Found, StoreError> {
        let seq = |at| row.get::<_, i64>(at).map(|seq| Seq(seq.cast_unsigned()));
        Ok(Found {
            first: seq(at).map_err(reading)?,
            last: seq(at + 1).map_err(reading)?,
            conflict: from_body(row, at + 2),
        })
    }
}

/// What the columns of a row say.
struct Columns {
    id: String,
    address: String,
    branch: Option<String>,
    state: String,
}

/// Checks the next rows: each can be read, and its columns show what is in it.
pub(super) fn chunk(
    conn: &Connection,
    workspaces: &Workspaces,
    after: i64,
    findings: &mut Findings,
) -> Result<Option<i64>, StoreError> {
    const SQL: &str = "SELECT rowid, ws, id, address, branch, state, first_seq, last_seq, body \
        FROM conflict WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
    let number = |row: &Row<'_>, at| row.get::<_, i64>(at).map_err(reading);
    let found = read::all(conn, SQL, (after, CHUNK_ROWS), |row| {
        let columns = columns(row).map_err(reading);
        let both = columns.and_then(|columns| Ok((columns, Found::read(row, 6)?)));
        Ok((number(row, 0)?, number(row, 1)?, both))
    })?;
    let mut last = None;
    for (rowid, ws, both) in found {
        last = Some(rowid);
        // A workspace that was made after the walk began is left for the next.
        let Some(row) = workspaces.get(&ws) else {
            continue;
        };
        match both {
            Ok((columns, found)) => {
                if let Some(why) = wrong(conn, (ws, &row.id), &columns, &found)? {
                    findings.failed(&row.id, &format!("conflict {}", columns.id), &why);
                }
            }
            Err(error) => findings.failed(&row.id, &format!("conflict number {rowid}"), &error),
        }
    }
    Ok(last)
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        id: row.get(2)?,
        address: row.get(3)?,
        branch: row.get(4)?,
        state: row.get(5)?,
    })
}

/// Says what is wrong with a row by itself.
fn wrong(
    conn: &Connection,
    (ws, id): (i64, &WorkspaceId),
    row: &Columns,
    found: &Found,
) -> Result<Option<String>, StoreError> {
    let conflict = match &found.conflict {
        Ok(conflict) => conflict,
        Err(error) => return Ok(Some(error.to_string())),
    };
    let shown = conflict.id.to_string() == row.id
        && conflict.context.as_str() == row.address
        && conflict.branch.as_ref().map(BranchName::as_str) == row.branch.as_deref()
        && conflict.state.as_str() == row.state;
    if !shown {
        return Ok(Some("its columns do not show it".to_owned()));
    }
    // As the log is now: the row may have been written since the walk began.
    let (_, workspace) = read::workspace(conn, id)?;
    if found.first > found.last || found.last > workspace.last {
        return Ok(Some("it is of no record".to_owned()));
    }
    let line = conflict.context.line(conflict.branch.as_ref());
    if conflict.is_open() && read::context(conn, ws, &line)?.is_none() {
        return Ok(Some(format!(
            "it waits in {}, which is gone",
            line_name(&line)
        )));
    }
    Ok(None)
}
