//! Connections, and how they are set.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::options::TestFaults;

/// The database's file in the data directory.
pub(crate) fn database(dir: &Path) -> PathBuf {
    dir.join("syncline.db")
}

/// Its write-ahead log.
pub(crate) fn write_ahead_log(dir: &Path) -> PathBuf {
    dir.join("syncline.db-wal")
}

/// The writer waits this long for a checkpoint that holds the lock.
const WRITER_BUSY: Duration = Duration::from_secs(30);
/// Readers wait only while a log is recovered.
const READER_BUSY: Duration = Duration::from_secs(10);
/// Heads and index pages of a busy workspace stay in memory.
const WRITER_CACHE_KIB: i64 = 32 << 10;
/// For each reader.
const READER_CACHE_KIB: i64 = 8 << 10;
/// More than the statements of one role.
const STATEMENTS_MAX: usize = 64;
/// What a restarted write-ahead log keeps on disk.
const WAL_KEPT_BYTES: i64 = 64 << 20;

fn open(dir: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(database(dir), flags)?;
    // Nothing happens behind our back: after a failed commit, what a closing connection would
    // checkpoint or throw away decides what is true.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // A mapped file would turn a read error into a signal.
    conn.pragma_update(None, "mmap_size", 0)?;
    // Savepoints keep old pages: in memory, not in a file of their own.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(conn)
}

/// Opens a connection that writes: each commit is synced (P1).
pub(crate) fn writer(dir: &Path, faults: &TestFaults) -> rusqlite::Result<Connection> {
    let conn = open(dir)?;
    conn.busy_timeout(WRITER_BUSY)?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    conn.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    set_sync(&conn, faults)?;
    insist_on_wal(&conn)?;
    if let Some(pages) = faults.pages_max {
        conn.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(conn)
}

/// Makes the connection write ahead, and fails where it does not.
///
/// SQLite answers a change of mode that did not work with the old mode, not with an error; with
/// the old one, a power cut takes the last acknowledged commit back (P1).
pub(crate) fn insist_on_wal(conn: &Connection) -> rusqlite::Result<()> {
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    match mode.eq_ignore_ascii_case("wal") {
        true => Ok(()),
        false => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR),
            Some(format!(
                "the journal stays in mode {mode:?}, and has to be a write-ahead log"
            )),
        )),
    }
}

/// Opens a connection that reads only.
pub(crate) fn reader(dir: &Path) -> rusqlite::Result<Connection> {
    let conn = open(dir)?;
    conn.busy_timeout(READER_BUSY)?;
    conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// Opens a connection for one checkpoint; it waits at most `busy` for readers.
pub(crate) fn checkpointer(
    dir: &Path,
    faults: &TestFaults,
    busy: Duration,
) -> rusqlite::Result<Connection> {
    let conn = open(dir)?;
    conn.busy_timeout(busy)?;
    conn.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    set_sync(&conn, faults)?;
    Ok(conn)
}

fn set_sync(conn: &Connection, faults: &TestFaults) -> rusqlite::Result<()> {
    let synchronous = match faults {
        TestFaults {
            skip_fsync: true, ..
        } => "OFF",
        TestFaults {
            sync_normal: true, ..
        } => "NORMAL",
        _ => "FULL",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    // On macOS a plain fsync leaves the bytes in the drive's cache; elsewhere this says nothing.
    conn.pragma_update(None, "fullfsync", true)?;
    conn.pragma_update(None, "checkpoint_fullfsync", true)
}

/// What a checkpoint found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checkpointed {
    /// Every page of the write-ahead log is in the database.
    pub whole: bool,
}

/// Moves the write-ahead log's pages into the database, which SQLite syncs.
pub(crate) fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<Checkpointed> {
    conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (busy, pages, moved): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Checkpointed {
            whole: busy == 0 && pages == moved,
        })
    })
}
