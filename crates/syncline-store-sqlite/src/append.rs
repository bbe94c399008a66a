//! The statements of one write, and what the writer remembers of the tables meanwhile.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use syncline_model::document::Level;
use syncline_model::ids::{Address, Epoch, Seq, Version, WorkspaceId};
use syncline_model::json::Object;
use syncline_model::record::{IdRow, RecordHash, StoredRecord};
use syncline_store::{
    Append, Appended, HeadRow, NewWorkspace, StoreError, VersionRow, WorkspaceRow, check_append,
};

use crate::errors::writing;
use crate::read;
use crate::rows::{actor_text, labels_text, pos};

/// Bounds the contexts whose columns are remembered: some 20 MiB.
const CONTEXTS_MAX: usize = 32_768;

/// What the writer remembers, so that a write reads next to nothing.
///
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
#[derive(Clone, PartialEq)]
struct Columns {
    parent: Option<Address>,
    state: String,
    level: Level,
    owner: Option<String>,
    title: Option<String>,
    labels: Object,
}

impl Columns {
    fn of(head: &HeadRow) -> Columns {
        Columns {
            parent: head.parent.clone(),
            state: head.state.clone(),
            level: head.level,
            owner: head.owner.clone(),
            title: head.title.clone(),
            labels: head.labels.clone(),
        }
    }
}

struct Known {
    ctx: i64,
    version: Version,
    deleted: bool,
    columns: Columns,
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

    fn workspace(&self, id: &WorkspaceId) -> Result<&(i64, WorkspaceRow), StoreError> {
        self.workspaces
            .get(id)
            .ok_or_else(|| StoreError::NoWorkspace(id.to_string()))
    }

    fn set_workspace(&mut self, ws: i64, row: WorkspaceRow) {
        let id = row.id.clone();
        let before = self.workspaces.insert(id.clone(), (ws, row));
        self.undo.push(Undo::Workspace(id, before));
    }

    fn set_context(&mut self, key: (i64, Address), known: Known) {
        let before = self.contexts.insert(key.clone(), known);
        self.undo.push(Undo::Context(key, before));
    }

    /// Fills in a context that is in the table but not remembered.
    fn know(&mut self, conn: &Connection, key: &(i64, Address)) -> Result<(), StoreError> {
        if self.contexts.contains_key(key) {
            return Ok(());
        }
        if let Some((ctx, head)) = read::head_alone(conn, key.0, &key.1).map_err(unread)? {
            let (version, deleted) = (head.version, head.deleted);
            let known = Known {
                ctx,
                version,
                deleted,
                columns: Columns::of(&head),
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

fn run(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<(), StoreError> {
    conn.prepare_cached(sql)
        .and_then(|mut s| s.execute(params))
        .map_err(writing)?;
    Ok(())
}

pub(crate) fn create_workspace(
    conn: &Connection,
    memory: &mut Memory,
    new: NewWorkspace,
) -> Result<WorkspaceRow, StoreError> {
    if let Ok((_, row)) = memory.workspace(&new.id) {
        return Ok(row.clone());
    }
    let row = WorkspaceRow {
        last: Seq::ZERO,
        last_hash: RecordHash::genesis(&new.log),
        last_committed_at: new.created_at,
        low_water: Seq::ZERO,
        contexts: 0,
        id: new.id,
        log: new.log,
        epoch: new.epoch,
        cursor_key: new.cursor_key,
    };
    run(
        conn,
        "INSERT INTO workspace (name, log, epoch, cursor_key, created_at, last_seq, last_hash, \
            last_committed_at, low_water, contexts) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?5, 0, 0)",
        params![
            row.id.as_str(),
            row.log,
            row.epoch.0.cast_signed(),
            row.cursor_key,
            new.created_at.0,
            row.last_hash.0,
        ],
    )?;
    memory.set_workspace(conn.last_insert_rowid(), row.clone());
    Ok(row)
}

pub(crate) fn set_epoch(
    conn: &Connection,
    memory: &mut Memory,
    id: &WorkspaceId,
    epoch: Epoch,
) -> Result<(), StoreError> {
    let (ws, row) = memory.workspace(id)?.clone();
    run(
        conn,
        "UPDATE workspace SET epoch = ?2 WHERE ws = ?1",
        (ws, epoch.0.cast_signed()),
    )?;
    memory.set_workspace(ws, WorkspaceRow { epoch, ..row });
    Ok(())
}

pub(crate) fn append(
    conn: &Connection,
    memory: &mut Memory,
    id: &WorkspaceId,
    after: Seq,
    batch: &Append,
) -> Result<Appended, StoreError> {
    let (ws, row) = memory.workspace(id)?.clone();
    check_append(row.last, &row.last_hash, after, batch)?;
    let mut writing = Writing {
        conn,
        memory,
        ws,
        row,
        touched: HashMap::new(),
    };
    for head in &batch.heads {
        writing.head(head)?;
    }
    for version in &batch.versions {
        writing.version(version)?;
    }
    writing.check_heads(&batch.heads)?;
    for record in &batch.records {
        writing.record(record)?;
    }
    for row in &batch.ids {
        writing.id(row)?;
    }
    writing.finish(batch.records.last())
}

struct Writing<'a> {
    conn: &'a Connection,
    memory: &'a mut Memory,
    ws: i64,
    row: WorkspaceRow,
    /// The batch's contexts with the newest version written so far.
    touched: HashMap<&'a Address, (i64, Version)>,
}

impl<'a> Writing<'a> {
    fn head(&mut self, head: &'a HeadRow) -> Result<(), StoreError> {
        let key = (self.ws, head.address.clone());
        self.memory.know(self.conn, &key)?;
        let columns = Columns::of(head);
        let before = self.memory.contexts.get(&key);
        let before = before.map(|known| {
            (
                known.ctx,
                known.version,
                known.deleted,
                known.columns.clone(),
            )
        });
        let ctx = match &before {
            None => self.insert_head(head)?,
            Some((ctx, _, _, old)) => {
                self.update_head(*ctx, head)?;
                if *old != columns {
                    self.update_columns(*ctx, old, &columns)?;
                }
                *ctx
            }
        };
        let no_labels = Object::new();
        let labels = before
            .as_ref()
            .map_or(&no_labels, |(_, _, _, old)| &old.labels);
        self.update_labels(ctx, labels, &columns.labels)?;
        if let Some(body) = &head.body {
            run(
                self.conn,
                "INSERT INTO body (ctx, version, bytes) VALUES (?1, ?2, ?3) \
                    ON CONFLICT DO UPDATE SET version = excluded.version, bytes = excluded.bytes",
                (ctx, body.version.0.cast_signed(), &*body.bytes),
            )?;
        }
        let (version, live) = match before {
            Some((_, version, deleted, _)) => (version, !deleted),
            None => (Version::ZERO, false),
        };
        self.row.contexts = self.row.contexts + u64::from(!head.deleted) - u64::from(live);
        self.touched.insert(&head.address, (ctx, version));
        let known = Known {
            ctx,
            version: head.version,
            deleted: head.deleted,
            columns,
        };
        self.memory.set_context(key, known);
        Ok(())
    }

    fn insert_head(&self, head: &HeadRow) -> Result<i64, StoreError> {
        run(
            self.conn,
            "INSERT INTO context (ws, address, parent, state, level, owner, title, labels, \
                created_at, version, seq, change_id, hash, deleted, actor, updated_at) VALUES \
                (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            params![
                self.ws,
                head.address.as_str(),
                head.parent.as_ref().map(Address::as_str),
                head.state,
                head.level.as_str(),
                head.owner,
                head.title,
                labels_text(&head.labels),
                head.created_at.0,
                head.version.0.cast_signed(),
                head.seq.0.cast_signed(),
                head.change.as_bytes(),
                head.hash.0,
                head.deleted,
                actor_text(&head.actor),
                head.updated_at.0,
            ],
        )?;
        Ok(self.conn.last_insert_rowid())
    }

    fn update_head(&self, ctx: i64, head: &HeadRow) -> Result<(), StoreError> {
        run(
            self.conn,
            "UPDATE context SET version = ?2, seq = ?3, change_id = ?4, hash = ?5, deleted = ?6, \
                actor = ?7, updated_at = ?8, created_at = ?9 WHERE ctx = ?1",
            params![
                ctx,
                head.version.0.cast_signed(),
                head.seq.0.cast_signed(),
                head.change.as_bytes(),
                head.hash.0,
                head.deleted,
                actor_text(&head.actor),
                head.updated_at.0,
                head.created_at.0,
            ],
        )
    }

    fn update_columns(&self, ctx: i64, old: &Columns, new: &Columns) -> Result<(), StoreError> {
        run(
            self.conn,
            "UPDATE context SET state = ?2, level = ?3, owner = ?4, title = ?5, labels = ?6 \
                WHERE ctx = ?1",
            params![
                ctx,
                new.state,
                new.level.as_str(),
                new.owner,
                new.title,
                labels_text(&new.labels)
            ],
        )?;
        if old.parent == new.parent {
            return Ok(());
        }
        // Apart, since it moves an index entry.
        let parent = new.parent.as_ref().map(Address::as_str);
        run(
            self.conn,
            "UPDATE context SET parent = ?2 WHERE ctx = ?1",
            (ctx, parent),
        )
    }

    fn update_labels(&self, ctx: i64, old: &Object, new: &Object) -> Result<(), StoreError> {
        if old == new {
            return Ok(());
        }
        const DELETE: &str =
            "DELETE FROM label WHERE ws = ?1 AND key = ?2 AND value = ?3 AND ctx = ?4";
        const INSERT: &str = "INSERT INTO label (ws, key, value, ctx) VALUES (?1, ?2, ?3, ?4)";
        let change = |sql: &str, from: &Object, unless: &Object| {
            let gone = from
                .iter()
                .filter(|(key, value)| unless.get(key) != Some(*value));
            for (key, value) in gone.filter_map(|(key, value)| Some((key, value.as_str()?))) {
                run(self.conn, sql, (self.ws, key, value, ctx))?;
            }
            Ok::<(), StoreError>(())
        };
        change(DELETE, old, new)?;
        change(INSERT, new, old)
    }

    fn version(&mut self, row: &VersionRow) -> Result<(), StoreError> {
        let Some((ctx, before)) = self.touched.get_mut(&row.address) else {
            return Err(StoreError::NotWritten(format!(
                "no head for {}",
                row.address
            )));
        };
        if row.version != before.next() {
            let why = format!("{} v{} does not follow v{before}", row.address, row.version);
            return Err(StoreError::NotWritten(why));
        }
        *before = row.version;
        let (ctx, version) = (*ctx, row.version.0.cast_signed());
        run(
            self.conn,
            "INSERT INTO version (ctx, version, seq, committed_at, change_id, hash, whole) \
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                ctx,
                version,
                row.seq.0.cast_signed(),
                row.committed_at.0,
                row.change.as_bytes(),
                row.hash.0,
                row.whole,
            ],
        )?;
        let Some(snapshot) = &row.snapshot else {
            return Ok(());
        };
        const SNAPSHOT: &str = "INSERT INTO snapshot (ctx, version, bytes) VALUES (?1, ?2, ?3)";
        run(self.conn, SNAPSHOT, (ctx, version, &**snapshot))
    }

    fn check_heads(&self, heads: &[HeadRow]) -> Result<(), StoreError> {
        let newest = |head: &HeadRow| self.touched.get(&head.address).map(|(_, version)| *version);
        match heads.iter().find(|head| newest(head) != Some(head.version)) {
            Some(head) => {
                let why = format!("the head of {} is not its newest version", head.address);
                Err(StoreError::NotWritten(why))
            }
            None => Ok(()),
        }
    }

    fn record(&self, record: &StoredRecord) -> Result<(), StoreError> {
        run(
            self.conn,
            "INSERT INTO log (pos, header, salt, body) VALUES (?1, ?2, ?3, ?4)",
            (
                pos(self.ws, record.header.seq),
                record.header.to_bytes(),
                record.salt,
                &*record.body,
            ),
        )
    }

    fn id(&self, row: &IdRow) -> Result<(), StoreError> {
        run(
            self.conn,
            "INSERT INTO change_id (ws, id, digest, outcome) VALUES (?1, ?2, ?3, ?4)",
            (self.ws, row.id.as_bytes(), row.digest, &*row.outcome),
        )
    }

    fn finish(mut self, last: Option<&StoredRecord>) -> Result<Appended, StoreError> {
        let Some(last) = last else {
            return Ok(Appended {
                last: self.row.last,
            });
        };
        self.row.last = last.header.seq;
        self.row.last_hash = last.header.hash;
        self.row.last_committed_at = last.header.committed_at;
        run(
            self.conn,
            "UPDATE workspace SET last_seq = ?2, last_hash = ?3, last_committed_at = ?4, \
                contexts = ?5 WHERE ws = ?1",
            params![
                self.ws,
                self.row.last.0.cast_signed(),
                self.row.last_hash.0,
                self.row.last_committed_at.0,
                self.row.contexts.cast_signed(),
            ],
        )?;
        let appended = Appended {
            last: self.row.last,
        };
        self.memory.set_workspace(self.ws, self.row);
        Ok(appended)
    }
}
