//! The writer: one thread that takes everything that waits, and commits it with one sync.
//!
//! Where nothing waits, whoever has a little to write may borrow the writer and commit on its own
//! thread ([`Writer::write_here`]): two hops between threads take longer than the sync.
//!
//! Each write of a group has a savepoint, so it fails alone. From COMMIT on, an error leaves the
//! outcome unknown (P1): the page cache, and so a reopened database, may hold what the disk does
//! not. Then nothing more is written until [`Writer::recover`] has made true what it finds.

use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use syncline_model::ids::{Epoch, Seq, WorkspaceId};
use syncline_store::{
    Append, Appended, Framed, Kept, NewWorkspace, StoreError, Thinned, Thinning, WorkspaceRow,
};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::append;
use crate::connection;
use crate::errors::writing;
use crate::framing::{self, Framing};
use crate::kept;
use crate::memory::Memory;
use crate::open::sync_dir;
use crate::readers::Readers;
use crate::shared::Shared;
use crate::thin;

/// Bounds the writes that wait; whoever comes later waits outside.
pub(crate) const WAITING_MAX: usize = 1_024;
/// Bounds a group: 4 MiB take some 20 ms to sync.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// Bounds a group of small writes.
const GROUP_WRITES_MAX: usize = 1_024;
/// What a full disk is tried with: more than a usual commit takes.
const PROBE_BYTES: i64 = 64 << 10;

/// Bounds what is committed on the caller's thread, in records and bytes.
const HERE_RECORDS_MAX: u64 = 2;
const HERE_BYTES_MAX: usize = 16 << 10;

/// Something to write.
pub(crate) enum Write {
    Append {
        workspace: WorkspaceId,
        after: Seq,
        batch: Box<Append>,
    },
    Create(Box<NewWorkspace>),
    Epoch(WorkspaceId, Epoch),
    Keep(WorkspaceId, Vec<Kept>),
    Thin(WorkspaceId, Box<Thinning>),
    Frame(WorkspaceId, Box<Framing>),
}

/// What came of it.
pub(crate) enum Written {
    Appended(Appended),
    Created(Box<WorkspaceRow>),
    Thinned(Thinned),
    Framed(Framed),
    Done,
}

/// Something for the writer to do.
pub(crate) enum Job {
    Write(Write, oneshot::Sender<Result<Written, StoreError>>),
    Recover(oneshot::Sender<Result<Vec<WorkspaceRow>, StoreError>>),
    Probe,
    Close(oneshot::Sender<Result<(), StoreError>>),
}

type Waiting = (Write, oneshot::Sender<Result<Written, StoreError>>);

impl Write {
    fn weight(&self) -> usize {
        match self {
            Write::Append { batch, .. } => batch.weight(),
            Write::Create(_) | Write::Epoch(..) => 300,
            Write::Keep(_, values) => values.iter().map(Kept::weight).sum(),
            Write::Thin(_, thinning) => thinning.weight(),
            Write::Frame(_, framing) => framing.weight(),
        }
    }

    fn records(&self) -> u64 {
        match self {
            Write::Append { batch, .. } => batch.records.len() as u64,
            Write::Create(_)
            | Write::Epoch(..)
            | Write::Keep(..)
            | Write::Thin(..)
            | Write::Frame(..) => 0,
        }
    }

    /// Says whether it is so little that its sync is most of what it takes.
    pub(crate) fn is_little(&self) -> bool {
        let may = matches!(self, Write::Append { .. } | Write::Keep(..));
        may && self.records() <= HERE_RECORDS_MAX && self.weight() <= HERE_BYTES_MAX
    }
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    /// Absent while the outcome of a commit is unknown and reopening failed.
    conn: Option<Connection>,
    memory: Memory,
    /// Why nothing is written any more.
    unknown: Option<String>,
    commits_begun: u64,
    /// The group before had several writes: then they wait for each other again.
    crowded: bool,
    closed: bool,
}

impl Writer {
    pub(crate) fn open(shared: Arc<Shared>, readers: Arc<Readers>) -> Result<Writer, StoreError> {
        let (conn, memory) = connect(&shared)?;
        let conn = Some(conn);
        Ok(Writer {
            shared,
            readers,
            conn,
            memory,
            unknown: None,
            commits_begun: 0,
            crowded: false,
            closed: false,
        })
    }

    /// Runs until the store is closed or gone. The writer is free while nothing waits.
    pub(crate) fn run(writer: &Mutex<Writer>, mut jobs: mpsc::Receiver<Job>) {
        let mut next = jobs.blocking_recv();
        while let Some(job) = next.take() {
            let mut writer = lock(writer);
            match job {
                Job::Write(write, reply) => next = writer.gather(&mut jobs, (write, reply)),
                Job::Recover(reply) => drop(reply.send(writer.recover())),
                Job::Probe => writer.probe(),
                Job::Close(reply) => {
                    jobs.close();
                    while let Ok(job) = jobs.try_recv() {
                        drop(job);
                    }
                    return drop(reply.send(writer.close()));
                }
            }
            drop(writer);
            if next.is_none() {
                next = jobs.blocking_recv();
            }
        }
        // Nobody is left who could be told.
        if let Err(error) = lock(writer).close() {
            warn!(%error, "the store was not closed cleanly");
        }
    }

    /// Commits one write on the caller's thread, if the writer is free; else gives it back.
    pub(crate) fn write_here(
        writer: &Mutex<Writer>,
        write: Write,
    ) -> Result<Result<Written, StoreError>, Write> {
        let Ok(mut writer) = writer.try_lock() else {
            return Err(write);
        };
        if writer.crowded || writer.closed {
            return Err(write);
        }
        let (reply, mut answer) = oneshot::channel();
        writer.write(vec![(write, reply)]);
        Ok(answer.try_recv().unwrap_or(Err(StoreError::Closed)))
    }

    /// Commits what waits together with `first`; returns the job that ended the group.
    fn gather(&mut self, jobs: &mut mpsc::Receiver<Job>, first: Waiting) -> Option<Job> {
        let mut bytes = first.0.weight();
        let mut group = vec![first];
        let mut rest = None;
        while bytes < GROUP_BYTES_MAX && group.len() < GROUP_WRITES_MAX {
            match jobs.try_recv() {
                Ok(Job::Write(write, reply)) => {
                    bytes += write.weight();
                    group.push((write, reply));
                }
                Ok(other) => {
                    rest = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.crowded = group.len() > 1;
        self.write(group);
        rest
    }

    fn write(&mut self, group: Vec<Waiting>) {
        let (writes, replies): (Vec<Write>, Vec<_>) = group.into_iter().unzip();
        let records = writes.iter().map(Write::records).collect::<Vec<_>>();
        let mut results = self.group(writes);
        let wanted = results.iter().any(Result::is_ok);
        let mut replies: Vec<_> = replies.into_iter().map(Some).collect();
        if self.shared.faults.answer_before_commit {
            for (reply, result) in replies.iter_mut().zip(&mut results) {
                let answer = std::mem::replace(result, Ok(Written::Done));
                reply.take().map(|reply| reply.send(answer).is_ok());
            }
            thread::sleep(Duration::from_millis(5));
        }
        if wanted {
            self.shared.commit_began();
            let committed = self.commit();
            self.shared.commit_ended();
            match committed {
                Ok(()) => {
                    let written = results
                        .iter()
                        .zip(&records)
                        .filter(|(result, _)| result.is_ok());
                    self.shared.count(written.map(|(_, records)| records).sum());
                    self.shared.set_full(false);
                }
                Err(error) => {
                    let failed = results.iter_mut().filter(|result| result.is_ok());
                    failed.for_each(|result| *result = Err(again(&error)));
                }
            }
        }
        if results
            .iter()
            .any(|result| matches!(result, Err(StoreError::Full)))
        {
            self.shared.set_full(true);
            // Moving the write-ahead log into the database may make room in it.
            self.shared.want_checkpoint();
        }
        for (reply, result) in replies.into_iter().zip(results) {
            // Whoever asked may have gone; what was written stays.
            reply.map(|reply| reply.send(result).is_ok());
        }
    }

    /// Runs a group up to its COMMIT; without a result that is good, nothing is open any more.
    fn group(&mut self, writes: Vec<Write>) -> Vec<Result<Written, StoreError>> {
        let all =
            |count: usize, error: StoreError| (0..count).map(|_| Err(again(&error))).collect();
        let count = writes.len();
        let conn = match (&self.unknown, &self.conn) {
            (None, Some(conn)) => conn,
            (why, _) => {
                let why = why
                    .clone()
                    .unwrap_or_else(|| "the database is not open".to_owned());
                return all(count, StoreError::Unknown(why));
            }
        };
        if let Err(error) = execute(conn, "BEGIN IMMEDIATE") {
            return all(count, writing(error));
        }
        let mut results = Vec::with_capacity(count);
        for write in writes {
            let result = if count == 1 {
                apply(conn, &mut self.memory, write)
            } else {
                in_savepoint(conn, &mut self.memory, write)
            };
            // Some errors (a full disk, a failed read) end the whole transaction: then those
            // before it in the group were not written either.
            if conn.is_autocommit() {
                let error = match result {
                    Err(StoreError::Full) => StoreError::Full,
                    Err(error) => StoreError::NotWritten(error.to_string()),
                    Ok(_) => StoreError::NotWritten("the transaction ended early".to_owned()),
                };
                self.memory.undo_to(0);
                return all(count, error);
            }
            results.push(result);
        }
        if !results.iter().any(Result::is_ok) {
            self.memory.undo_to(0);
            if let Err(error) = execute(conn, "ROLLBACK") {
                warn!(%error, "a rollback failed");
                self.conn = None;
                self.stop(format!("a rollback failed: {error}"));
            }
        }
        results
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.commits_begun += 1;
        let Some(conn) = &self.conn else {
            return Err(StoreError::Closed);
        };
        let fault = self
            .shared
            .faults
            .fail_commit
            .filter(|fault| fault.at == self.commits_begun);
        let ended = match fault {
            Some(fault) if !fault.written => execute(conn, "ROLLBACK"),
            _ => execute(conn, "COMMIT"),
        };
        match (ended, fault) {
            (Ok(()), None) => {
                self.memory.committed();
                return Ok(());
            }
            (Err(error), None) if no_room(&error) && rolled_back(conn) => {
                self.memory.undo_to(0);
                return Err(StoreError::Full);
            }
            (Ok(()), Some(_)) => self.stop("a fault that a test asked for".to_owned()),
            (Err(error), _) => self.stop(error.to_string()),
        }
        Err(StoreError::Unknown(
            self.unknown.clone().unwrap_or_default(),
        ))
    }

    /// From here on nothing is written: what is true is unknown.
    fn stop(&mut self, why: String) {
        error!(%why, "the outcome of a commit is unknown; the store is read-only until it recovers");
        self.shared.set_unknown(Some(why.clone()));
        self.unknown = Some(why);
    }

    /// Makes true what is found: drops every connection, reopens, and moves the write-ahead log
    /// into the database, which writes and syncs all of it anew.
    fn recover(&mut self) -> Result<Vec<WorkspaceRow>, StoreError> {
        if self.unknown.is_none() {
            return Ok(self.memory.rows());
        }
        let shared = self.shared.clone();
        let _gate = shared
            .checkpointing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let paused = self.readers.pause();
        self.conn = None;
        let found = if paused {
            reopen(&shared)
        } else {
            Err("a read did not end".to_owned())
        };
        self.readers.resume();
        match found {
            Ok((conn, memory)) => {
                (self.conn, self.memory) = (Some(conn), memory);
                self.unknown = None;
                self.shared.set_unknown(None);
                info!("the store recovered: what was unknown is known");
                Ok(self.memory.rows())
            }
            Err(why) => Err(StoreError::Unknown(format!(
                "the store did not recover: {why}"
            ))),
        }
    }

    /// Tries whether a full disk has room again.
    fn probe(&mut self) {
        const WRITE: &str =
            "INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', zeroblob(?1))";
        const REMOVE: &str = "DELETE FROM meta WHERE key = 'probe'";
        if self.shared.is_full() && self.try_write(WRITE, PROBE_BYTES) && self.try_write(REMOVE, 0)
        {
            self.shared.set_full(false);
        }
    }

    /// Commits one statement; `false` if that did not work.
    fn try_write(&mut self, sql: &str, bytes: i64) -> bool {
        let (None, Some(conn)) = (&self.unknown, &self.conn) else {
            return false;
        };
        let written = execute(conn, "BEGIN IMMEDIATE").and_then(|()| {
            let mut statement = conn.prepare(sql)?;
            let bytes = (statement.parameter_count() > 0).then_some(bytes);
            statement.execute(rusqlite::params_from_iter(bytes))
        });
        let written = match written {
            Ok(_) => self.commit().is_ok(),
            Err(error) if !rolled_back(conn) => {
                self.stop(error.to_string());
                false
            }
            Err(_) => false,
        };
        if !written {
            self.shared.want_checkpoint();
        }
        written
    }

    /// Empties the write-ahead log and removes it, so that one file is everything.
    fn close(&mut self) -> Result<(), StoreError> {
        use rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        self.closed = true;
        self.readers.close();
        let _gate = self
            .shared
            .checkpointing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(conn) = self.conn.take() else {
            return Ok(());
        };
        if self.unknown.is_some() {
            // What is found at the next start decides; nothing is thrown away here.
            return Ok(());
        }
        connection::checkpoint(&conn, "TRUNCATE").map_err(writing)?;
        conn.set_db_config(SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
            .map_err(writing)?;
        conn.close().map_err(|(_, error)| writing(error))
    }
}

fn lock(writer: &Mutex<Writer>) -> MutexGuard<'_, Writer> {
    writer
        .lock()
        .expect("whoever panicked while writing left the store as it is: nothing more is written")
}

fn connect(shared: &Arc<Shared>) -> Result<(Connection, Memory), StoreError> {
    let mut conn = connection::writer(&shared.dir, &shared.faults).map_err(writing)?;
    let told = shared.clone();
    let hook = move |_: &mut _, pages| {
        told.wal_grew(pages);
        Ok(())
    };
    conn.wal_hook(Some(hook)).map_err(writing)?;
    let memory = Memory::load(&conn)?;
    Ok((conn, memory))
}

fn reopen(shared: &Arc<Shared>) -> Result<(Connection, Memory), String> {
    let (conn, memory) = connect(shared).map_err(|error| error.to_string())?;
    let moved = connection::checkpoint(&conn, "TRUNCATE").map_err(|error| error.to_string())?;
    if !moved.whole {
        return Err("the write-ahead log could not be emptied".to_owned());
    }
    let synced = File::open(connection::database(&shared.dir))
        .and_then(|file| file.sync_all())
        .and_then(|()| sync_dir(&shared.dir));
    synced.map_err(|error| error.to_string())?;
    Ok((conn, memory))
}

fn execute(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

/// Says whether COMMIT failed because the write-ahead log found no room.
///
/// SQLite says so only when a write came back short, and the page that ends a commit is written
/// last and checked by its sum: so nothing of this group can appear later. What a sync could not
/// store is another error, and unknown.
fn no_room(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Ends a transaction that failed before or in COMMIT.
fn rolled_back(conn: &Connection) -> bool {
    conn.is_autocommit() || execute(conn, "ROLLBACK").is_ok()
}

fn in_savepoint(
    conn: &Connection,
    memory: &mut Memory,
    write: Write,
) -> Result<Written, StoreError> {
    let mark = memory.mark();
    execute(conn, "SAVEPOINT one").map_err(writing)?;
    let result = apply(conn, memory, write);
    if result.is_err() {
        memory.undo_to(mark);
        if !conn.is_autocommit() {
            execute(conn, "ROLLBACK TO one").map_err(writing)?;
        }
    }
    if !conn.is_autocommit() {
        execute(conn, "RELEASE one").map_err(writing)?;
    }
    result
}

fn apply(conn: &Connection, memory: &mut Memory, write: Write) -> Result<Written, StoreError> {
    match write {
        Write::Append {
            workspace,
            after,
            batch,
        } => append::append(conn, memory, &workspace, after, &batch).map(Written::Appended),
        Write::Create(new) => {
            let row = append::create_workspace(conn, memory, *new)?;
            Ok(Written::Created(Box::new(row)))
        }
        Write::Epoch(id, epoch) => {
            append::set_epoch(conn, memory, &id, epoch).map(|()| Written::Done)
        }
        Write::Keep(id, values) => kept::keep(conn, memory, &id, &values).map(|()| Written::Done),
        Write::Thin(id, thinning) => overwriting(conn, || {
            thin::thin(conn, memory, &id, &thinning).map(Written::Thinned)
        }),
        Write::Frame(id, framing) => overwriting(conn, || {
            framing::put(conn, memory, &id, &framing).map(Written::Framed)
        }),
    }
}

/// Has SQLite write zeros over what is taken away: a text that was thinned is not to be found in
/// the file, not where it was before it was framed either.
fn overwriting<T>(
    conn: &Connection,
    write: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let set = |on: bool| conn.pragma_update(None, "secure_delete", on);
    set(true).map_err(writing)?;
    let written = write();
    set(false).map_err(writing)?;
    written
}

/// Tells another of the group the same.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full => StoreError::Full,
        StoreError::Unknown(why) => StoreError::Unknown(why.clone()),
        StoreError::NotWritten(why) => StoreError::NotWritten(why.clone()),
        other => StoreError::NotWritten(other.to_string()),
    }
}
