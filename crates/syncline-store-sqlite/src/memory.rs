//! What the writer remembers of the tables, so that a write reads next to nothing.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;
use syncline_model::document::Level;
use syncline_model::ids::{Address, Version, WorkspaceId};
use syncline_model::json::Object;
use syncline_store::{HeadRow, StoreError, WorkspaceRow};

use crate::conflicts::{self, Fingerprint};
use crate::history::{History, Seqs};
use crate::read;

/// Bounds the contexts whose columns are remembered: some 20 MiB.
const CONTEXTS_MAX: usize = 32_768;

/// It is as the open transaction has left the tables; [`Memory::undo_to`] follows a rollback.
#[derive(Default)]
pub(crate) struct Memory {
    workspaces: HashMap<WorkspaceId, (i64, WorkspaceRow)>,
    contexts: HashMap<(i64, Address), Known>,
    undo: Vec<Undo>,
}

enum Undo {
    Workspace(WorkspaceId, Option<(i64, WorkspaceRow)>),
    Context((i64, Address), Option<Known>),
}

/// The columns of a context that seldom change.
#[derive(PartialEq)]
pub(crate) struct Columns {
    pub parent: Option<Address>,
    pub state: String,
    pub level: Level,
    pub owner: Option<String>,
    pub title: Option<String>,
    pub labels: Object,
}

impl Columns {
    pub(crate) fn of(head: &HeadRow) -> Columns {
        Columns {
            parent: head.parent.clone(),
            state: head.state.clone(),
            level: head.level,
            owner: head.owner.clone(),
            title: head.title.clone(),
            labels: head.labels.clone(),
        }
    }

    /// Says whether they are a head's, without a copy of it.
    pub(crate) fn are_of(&self, head: &HeadRow) -> bool {
        self.parent == head.parent
            && self.state == head.state
            && self.level == head.level
            && self.owner == head.owner
            && self.title == head.title
            && self.labels == head.labels
    }
}

/// What is remembered of one line of a context.
#[derive(Clone)]
pub(crate) struct Known {
    pub ctx: i64,
    pub version: Version,
    pub deleted: bool,
    pub recent: Seqs,
    pub columns: Arc<Columns>,
    pub conflicts: Option<Fingerprint>,
}

impl Memory {
    pub(crate) fn load(conn: &Connection) -> Result<Memory, StoreError> {
        let rows = read::workspaces(conn)?;
        let workspaces = rows
            .into_iter()
            .map(|(ws, row)| (row.id.clone(), (ws, row)));
        Ok(Memory {
            workspaces: workspaces.collect(),
            ..Memory::default()
        })
    }

    pub(crate) fn rows(&self) -> Vec<WorkspaceRow> {
        let mut rows: Vec<_> = self
            .workspaces
            .values()
            .map(|(_, row)| row.clone())
            .collect();
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows
    }

    /// Returns the place to go back to if what follows is rolled back.
    pub(crate) fn mark(&self) -> usize {
        self.undo.len()
    }

    pub(crate) fn undo_to(&mut self, mark: usize) {
        for step in self.undo.drain(mark..).rev() {
            match step {
                Undo::Workspace(id, Some(row)) => drop(self.workspaces.insert(id, row)),
                Undo::Workspace(id, None) => drop(self.workspaces.remove(&id)),
                Undo::Context(key, Some(known)) => drop(self.contexts.insert(key, known)),
                Undo::Context(key, None) => drop(self.contexts.remove(&key)),
            }
        }
    }

    /// What was written stays: nothing before this can be undone.
    pub(crate) fn committed(&mut self) {
        self.undo.clear();
        if self.contexts.len() > CONTEXTS_MAX {
            self.contexts.clear();
        }
    }

    pub(crate) fn workspace(&self, id: &WorkspaceId) -> Result<&(i64, WorkspaceRow), StoreError> {
        self.workspaces
            .get(id)
            .ok_or_else(|| StoreError::NoWorkspace(id.to_string()))
    }

    pub(crate) fn set_workspace(&mut self, ws: i64, row: WorkspaceRow) {
        let id = row.id.clone();
        let before = self.workspaces.insert(id.clone(), (ws, row));
        self.undo.push(Undo::Workspace(id, before));
    }

    pub(crate) fn context(&self, key: &(i64, Address)) -> Option<&Known> {
        self.contexts.get(key)
    }

    pub(crate) fn set_context(&mut self, key: (i64, Address), known: Known) {
        let before = self.contexts.insert(key.clone(), known);
        self.undo.push(Undo::Context(key, before));
    }

    /// Fills in a context that is in the table but not remembered.
    pub(crate) fn know(
        &mut self,
        conn: &Connection,
        key: &(i64, Address),
    ) -> Result<(), StoreError> {
        if self.contexts.contains_key(key) {
            return Ok(());
        }
        if let Some((ctx, head)) = read::head_alone(conn, key.0, &key.1).map_err(unread)? {
            let history = History::of(conn, ctx).map_err(unread)?;
            let known = Known {
                ctx,
                version: head.version,
                deleted: head.deleted,
                recent: history.into_recent(),
                columns: Arc::new(Columns::of(&head)),
                conflicts: conflicts::column(&head.conflicts).map(|(_, now)| now),
            };
            self.contexts.insert(key.clone(), known);
        }
        Ok(())
    }
}

/// A read that a write needed has failed: nothing was written.
fn unread(error: StoreError) -> StoreError {
    StoreError::NotWritten(error.to_string())
}
