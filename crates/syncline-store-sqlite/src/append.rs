//! The statements of one write, and what the writer remembers of the tables meanwhile.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, params};
use syncline_model::document::Level;
use syncline_model::ids::{Address, Epoch, Seq, Version, WorkspaceId};
use syncline_model::json::Object;
use syncline_model::record::{IdRow, RecordHash, StoredRecord};
use syncline_store::{
    Append, Appended, HeadRow, NewWorkspace, StoreError, VersionRow, WorkspaceRow, check_append,
};

use crate::errors::writing;
use crate::history::{History, Seqs, chunk_before};
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
#[derive(PartialEq)]
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

    /// Says whether they are a head's, without a copy of it.
    fn are_of(&self, head: &HeadRow) -> bool {
        self.parent == head.parent
            && self.state == head.state
            && self.level == head.level
            && self.owner == head.owner
            && self.title == head.title
            && self.labels == head.labels
    }
}

#[derive(Clone)]
struct Known {
    ctx: i64,
    version: Version,
    deleted: bool,
    recent: Seqs,
    columns: Arc<Columns>,
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
            let history = History::of(conn, ctx).map_err(unread)?;
            let known = Known {
                ctx,
                version: head.version,
                deleted: head.deleted,
                recent: history.into_recent(),
                columns: Arc::new(Columns::of(&head)),
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

/// A batch that does not fit what is stored.
fn refused(why: String) -> StoreError {
    StoreError::NotWritten(why)
}

fn run(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<(), StoreError> {
    conn.prepare_cached(sql)
        .and_then(|mut s| s.execute(params))
        .map_err(writing)?;
    Ok(())
}

/// A statement that a batch runs often: it is looked up once.
struct Often<'a> {
    conn: &'a Connection,
    sql: &'static str,
    found: Option<CachedStatement<'a>>,
}

impl<'a> Often<'a> {
    fn new(conn: &'a Connection, sql: &'static str) -> Often<'a> {
        Often {
            conn,
            sql,
            found: None,
        }
    }

    fn run(&mut self, params: impl rusqlite::Params) -> Result<(), StoreError> {
        let statement = match &mut self.found {
            Some(statement) => statement,
            none => none.insert(self.conn.prepare_cached(self.sql).map_err(writing)?),
        };
        statement.execute(params).map_err(writing)?;
        Ok(())
    }
}

const UPDATE_HEAD: &str = "UPDATE context SET version = ?2, seq = ?3, change_id = ?4, hash = ?5, \
    deleted = ?6, actor = ?7, updated_at = ?8, created_at = ?9, recent_seqs = ?10 WHERE ctx = ?1";
const PUT_BODY: &str = "INSERT INTO body (ctx, version, bytes) VALUES (?1, ?2, ?3) \
    ON CONFLICT DO UPDATE SET version = excluded.version, bytes = excluded.bytes";
const INSERT_RECORD: &str = "INSERT INTO log \
    (pos, header, ctx, version, change_id, hash, whole, salt, body) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const INSERT_ID: &str = "INSERT INTO change_id (ws, id, digest, outcome) VALUES (?1, ?2, ?3, ?4)";

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
        touched: Vec::with_capacity(batch.heads.len()),
        update_head: Often::new(conn, UPDATE_HEAD),
        put_body: Often::new(conn, PUT_BODY),
        insert_record: Often::new(conn, INSERT_RECORD),
        insert_id: Often::new(conn, INSERT_ID),
    };
    let places = writing.plan(batch)?;
    for (head, at) in batch.heads.iter().zip(0..) {
        writing.head(head, at)?;
    }
    for ((record, version), at) in batch.records.iter().zip(&batch.versions).zip(places) {
        let ctx = writing.touched[at].ctx;
        writing.record(record, version, ctx)?;
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
    /// One for each head of the batch, in its order.
    touched: Vec<Touched>,
    update_head: Often<'a>,
    put_body: Often<'a>,
    insert_record: Often<'a>,
    insert_id: Often<'a>,
}

/// What the batch makes of one context.
struct Touched {
    /// 0 until a new one has its row.
    ctx: i64,
    before: Option<Known>,
    version: Version,
    recent: Seqs,
    /// Chunks that were whole when a later version came, with their numbers.
    chunks: Vec<(i64, Seqs)>,
}

impl<'a> Writing<'a> {
    /// Finds the batch's contexts and their histories after it; returns each version's place
    /// among them.
    fn plan(&mut self, batch: &'a Append) -> Result<Vec<usize>, StoreError> {
        let mut at = HashMap::with_capacity(batch.heads.len());
        for head in &batch.heads {
            if at.insert(&head.address, self.touched.len()).is_some() {
                return Err(refused(format!("two heads of {}", head.address)));
            }
            let key = (self.ws, head.address.clone());
            self.memory.know(self.conn, &key)?;
            let before = self.memory.contexts.get(&key).cloned();
            let (ctx, version, recent) = match &before {
                Some(known) => (known.ctx, known.version, known.recent.clone()),
                None => (0, Version::ZERO, Seqs::default()),
            };
            self.touched.push(Touched {
                ctx,
                before,
                version,
                recent,
                chunks: Vec::new(),
            });
        }
        let place = |row: &VersionRow| {
            let Some(&at) = at.get(&row.address) else {
                return Err(refused(format!("no head for {}", row.address)));
            };
            let touched = &mut self.touched[at];
            if row.version != touched.version.next() {
                let (address, before) = (&row.address, touched.version);
                return Err(refused(format!(
                    "{address} v{} does not follow v{before}",
                    row.version
                )));
            }
            touched.version = row.version;
            if let Some(whole) = touched.recent.push(row.seq) {
                touched.chunks.push((chunk_before(row.version), whole));
            }
            Ok(at)
        };
        let places = batch.versions.iter().map(place).collect::<Result<_, _>>()?;
        let newest = self.touched.iter().map(|touched| touched.version);
        match batch
            .heads
            .iter()
            .zip(newest)
            .find(|(head, newest)| head.version != *newest)
        {
            Some((head, _)) => Err(refused(format!(
                "the head of {} is not its newest version",
                head.address
            ))),
            None => Ok(places),
        }
    }

    fn head(&mut self, head: &HeadRow, at: usize) -> Result<(), StoreError> {
        const CHUNK: &str = "INSERT INTO version_chunk (ctx, chunk, seqs) VALUES (?1, ?2, ?3)";
        let before = self.touched[at].before.take();
        let recent = std::mem::take(&mut self.touched[at].recent);
        let ctx = match &before {
            None => self.insert_head(head, &recent)?,
            Some(known) => {
                self.update_head(known.ctx, head, &recent)?;
                known.ctx
            }
        };
        self.touched[at].ctx = ctx;
        for (number, seqs) in &self.touched[at].chunks {
            run(self.conn, CHUNK, (ctx, number, seqs.as_bytes()))?;
        }
        let columns = self.columns(ctx, head, before.as_ref())?;
        if let Some(body) = &head.body {
            let version = body.version.0.cast_signed();
            self.put_body.run((ctx, version, &*body.bytes))?;
        }
        let live = before.is_some_and(|known| !known.deleted);
        self.row.contexts = self.row.contexts + u64::from(!head.deleted) - u64::from(live);
        let known = Known {
            ctx,
            version: head.version,
            deleted: head.deleted,
            recent,
            columns,
        };
        self.memory
            .set_context((self.ws, head.address.clone()), known);
        Ok(())
    }

    /// Writes what changed of the columns that seldom do, and returns all of them.
    fn columns(
        &self,
        ctx: i64,
        head: &HeadRow,
        before: Option<&Known>,
    ) -> Result<Arc<Columns>, StoreError> {
        match before {
            Some(known) if known.columns.are_of(head) => Ok(known.columns.clone()),
            Some(known) => {
                let columns = Columns::of(head);
                self.update_columns(ctx, &known.columns, &columns)?;
                self.update_labels(ctx, &known.columns.labels, &columns.labels)?;
                Ok(Arc::new(columns))
            }
            None => {
                self.update_labels(ctx, &Object::new(), &head.labels)?;
                Ok(Arc::new(Columns::of(head)))
            }
        }
    }

    fn insert_head(&self, head: &HeadRow, recent: &Seqs) -> Result<i64, StoreError> {
        run(
            self.conn,
            "INSERT INTO context (ws, address, parent, state, level, owner, title, labels, \
                created_at, version, seq, change_id, hash, deleted, actor, updated_at, \
                recent_seqs) VALUES \
                (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
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
                recent.as_bytes(),
            ],
        )?;
        Ok(self.conn.last_insert_rowid())
    }

    fn update_head(&mut self, ctx: i64, head: &HeadRow, recent: &Seqs) -> Result<(), StoreError> {
        self.update_head.run(params![
            ctx,
            head.version.0.cast_signed(),
            head.seq.0.cast_signed(),
            head.change.as_bytes(),
            head.hash.0,
            head.deleted,
            actor_text(&head.actor),
            head.updated_at.0,
            head.created_at.0,
            recent.as_bytes(),
        ])
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

    fn record(
        &mut self,
        record: &StoredRecord,
        row: &VersionRow,
        ctx: i64,
    ) -> Result<(), StoreError> {
        const SNAPSHOT: &str = "INSERT INTO snapshot (ctx, version, bytes) VALUES (?1, ?2, ?3)";
        let version = row.version.0.cast_signed();
        self.insert_record.run(params![
            pos(self.ws, record.header.seq),
            record.header.to_bytes(),
            ctx,
            version,
            row.change.as_bytes(),
            row.hash.0,
            row.whole,
            record.salt,
            &*record.body,
        ])?;
        match &row.snapshot {
            Some(snapshot) => run(self.conn, SNAPSHOT, (ctx, version, &**snapshot)),
            None => Ok(()),
        }
    }

    fn id(&mut self, row: &IdRow) -> Result<(), StoreError> {
        let (ws, id) = (self.ws, row.id.as_bytes());
        self.insert_id.run((ws, id, row.digest, &*row.outcome))
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
