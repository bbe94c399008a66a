//! The statements of one write.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, params};
use syncline_model::ids::{Address, BranchName, Epoch, Seq, Version, WorkspaceId};
use syncline_model::json::Object;
use syncline_model::record::{IdRow, RecordHash, StoredRecord};
use syncline_store::{
    Append, Appended, HeadRow, NewWorkspace, StoreError, VersionRow, WorkspaceRow, check_append,
};

use crate::conflicts::{self, Fingerprint};
use crate::errors::writing;
use crate::history::{Seqs, chunk_before};
use crate::memory::{Columns, Known, Memory};
use crate::read::id_sum;
use crate::rows::{actor_text, labels_text, line_name, pos};

/// A batch that does not fit what is stored.
fn refused(why: String) -> StoreError {
    StoreError::NotWritten(why)
}

pub(crate) fn run(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<(), StoreError> {
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
const INSERT_ID: &str =
    "INSERT INTO change_id (ws, id, digest, outcome, sum) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Says whether a head is one of those that lists show, workspaces count and labels find.
fn is_main(head: &HeadRow) -> bool {
    head.address.of_line().1.is_none()
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
    writing.conflicts(after, batch)?;
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
                return Err(refused(format!(
                    "two heads of {}",
                    line_name(&head.address)
                )));
            }
            let key = (self.ws, head.address.clone());
            self.memory.know(self.conn, &key)?;
            let before = self.memory.context(&key).cloned();
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
                return Err(refused(format!("no head for {}", line_name(&row.address))));
            };
            let touched = &mut self.touched[at];
            if row.version != touched.version.next() {
                let (name, before) = (line_name(&row.address), touched.version);
                return Err(refused(format!(
                    "{name} v{} does not follow v{before}",
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
                line_name(&head.address)
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
        let conflicts = self.head_conflicts(ctx, head, before.as_ref())?;
        if let Some(body) = &head.body {
            let version = body.version.0.cast_signed();
            self.put_body.run((ctx, version, &*body.bytes))?;
        }
        if is_main(head) {
            let live = before.is_some_and(|known| !known.deleted);
            self.row.contexts = self.row.contexts + u64::from(!head.deleted) - u64::from(live);
        }
        let known = Known {
            ctx,
            version: head.version,
            deleted: head.deleted,
            recent,
            columns,
            conflicts,
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
                if is_main(head) {
                    self.update_labels(ctx, &known.columns.labels, &columns.labels)?;
                }
                Ok(Arc::new(columns))
            }
            None => {
                if is_main(head) {
                    self.update_labels(ctx, &Object::new(), &head.labels)?;
                }
                Ok(Arc::new(Columns::of(head)))
            }
        }
    }

    /// Writes the conflicts that wait in a head, where they are others than before. What they
    /// were is told from its fingerprint: they hold documents, and are not remembered.
    fn head_conflicts(
        &self,
        ctx: i64,
        head: &HeadRow,
        before: Option<&Known>,
    ) -> Result<Option<Fingerprint>, StoreError> {
        const SQL: &str = "UPDATE context SET conflicts = ?2 WHERE ctx = ?1";
        let (text, now) = conflicts::column(&head.conflicts).unzip();
        if before.and_then(|known| known.conflicts) != now {
            run(self.conn, SQL, (ctx, text))?;
        }
        Ok(now)
    }

    fn conflicts(&self, after: Seq, batch: &Append) -> Result<(), StoreError> {
        let Some(last) = batch.records.last() else {
            return Ok(());
        };
        let span = (after.next(), last.header.seq);
        let mut all = batch.conflicts.iter();
        all.try_for_each(|conflict| conflicts::put(self.conn, self.ws, conflict, span))
    }

    fn insert_head(&self, head: &HeadRow, recent: &Seqs) -> Result<i64, StoreError> {
        let (_, branch) = head.address.of_line();
        run(
            self.conn,
            "INSERT INTO context (ws, address, parent, state, level, owner, title, labels, \
                created_at, version, seq, change_id, hash, deleted, actor, updated_at, \
                recent_seqs, branch) VALUES \
                (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
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
                branch.as_ref().map(BranchName::as_str),
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
        let sum = id_sum(row);
        self.insert_id.run((ws, id, row.digest, &*row.outcome, sum))
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
