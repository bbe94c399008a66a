//! The walk over the values that are kept beside the log: each is compared with its sum.

use std::collections::HashMap;

use rusqlite::{Connection, Row};
use syncline_store::{StoreError, WorkspaceRow};

use super::Findings;
use crate::errors::reading;
use crate::kept::checked;
use crate::read;

/// Bounds one step: some megabytes at most.
const CHUNK_ROWS: i64 = 64;

/// How far the walk is.
pub(super) struct Walk {
    workspaces: HashMap<i64, WorkspaceRow>,
    checked: i64,
    done: bool,
}

impl Walk {
    pub(super) fn new(workspaces: HashMap<i64, WorkspaceRow>) -> Walk {
        Walk {
            workspaces,
            checked: i64::MIN,
            done: false,
        }
    }
}

impl super::Walking for Walk {
    fn is_done(&self) -> bool {
        self.done
    }

    fn give_up(&mut self, error: &StoreError, findings: &mut Findings) {
        findings.problem(format!("kept values: {error}"));
        self.done = true;
    }

    /// Checks the next rows.
    fn chunk(&mut self, conn: &Connection, findings: &mut Findings) -> Result<(), StoreError> {
        const SQL: &str = "SELECT rowid, ws, space, key, sum, value FROM kept \
            WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
        let number = |row: &Row<'_>, at| row.get::<_, i64>(at).map_err(reading);
        let found = read::all(conn, SQL, (self.checked, CHUNK_ROWS), |row| {
            Ok((number(row, 0)?, number(row, 1)?, sound(row)))
        })?;
        self.done = found.is_empty();
        for (rowid, ws, sound) in found {
            self.checked = rowid;
            if let (Some(row), Err(error)) = (self.workspaces.get(&ws), sound) {
                findings.failed(&row.id, "kept values", &error);
            }
        }
        Ok(())
    }
}

fn sound(row: &Row<'_>) -> Result<(), StoreError> {
    let space: String = row.get(2).map_err(reading)?;
    let key: String = row.get(3).map_err(reading)?;
    checked(row, 4, &space, &key).map(drop)
}
