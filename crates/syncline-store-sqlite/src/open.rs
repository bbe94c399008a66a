//! Opening a data directory: look before touching, then create, migrate, notice a restored copy.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};
use syncline_model::ids::Seq;
use syncline_model::record::RecordHeader;
use syncline_store::StoreError;

use crate::connection::{self, database, write_ahead_log};
use crate::errors::writing;
use crate::options::{Opened, TestFaults};
use crate::rows::{array, pos, seq_of};
use crate::untouched;
use crate::wal::{self, WalRot};

/// The schema's history: number n at n - 1. What was released is never changed.
pub(crate) const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
];
/// The schema that this program writes.
#[expect(
    clippy::cast_possible_truncation,
    reason = "there are a few migrations"
)]
pub(crate) const SCHEMA: u32 = MIGRATIONS.len() as u32;
/// `SYNL` in a SQLite header tells our files from others.
const APPLICATION_ID: i32 = 0x5359_4E4C;
const HEADER_LENGTH: usize = 100;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Makes the directory's database ready to be opened. The lock is held by now.
pub(crate) fn prepare(dir: &Path, faults: &TestFaults) -> Result<Opened, StoreError> {
    let Some(schema) = inspect(dir)? else {
        create(dir)?;
        return Ok(Opened {
            fresh: true,
            ..Opened::default()
        });
    };
    let mut conn = connection::writer(dir, faults).map_err(writing)?;
    let mut opened = Opened::default();
    if schema < SCHEMA {
        migrate(&mut conn, schema)?;
        opened.schema_from = Some(schema);
    }
    opened.restored = notice_restored(&mut conn, dir)?;
    Ok(opened)
}

/// Reads what is there without changing a byte of it, and returns its schema; `None` if nothing
/// is there.
///
/// What cannot be read is never replaced by something blank: it may be all that there is.
pub(crate) fn inspect(dir: &Path) -> Result<Option<u32>, StoreError> {
    let path = database(dir);
    let wal_bytes = fs::metadata(write_ahead_log(dir)).map_or(0, |found| found.len());
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match wal_bytes {
                0 => Ok(None),
                _ => Err(damaged("syncline.db is missing beside its write-ahead log")),
            };
        }
        Err(error) => return Err(StoreError::Read(format!("{}: {error}", path.display()))),
    };
    check_header(&mut file, wal_bytes > 0)?;
    drop(file);
    if wal_bytes > 0 {
        check_log(&write_ahead_log(dir))?;
    }
    let conn = untouched::connect(dir).map_err(looking)?;
    let schema: u32 = conn
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(looking)?;
    if schema > SCHEMA {
        return Err(StoreError::Newer {
            found: schema,
            known: SCHEMA,
        });
    }
    check_migrations(&conn, schema)?;
    check_tails(&conn)?;
    Ok(Some(schema))
}

fn damaged(why: impl ToString) -> StoreError {
    StoreError::Damaged(why.to_string())
}

fn looking(error: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
    match error.sqlite_error_code() {
        // A table that is missing is an SQL error of no further code.
        None | Some(DatabaseCorrupt | NotADatabase | Unknown) => damaged(error),
        Some(_) => StoreError::Read(error.to_string()),
    }
}

fn check_header(file: &mut File, has_wal: bool) -> Result<(), StoreError> {
    let read = |error: io::Error| StoreError::Read(error.to_string());
    let length = file.metadata().map_err(read)?.len();
    let mut header = [0u8; HEADER_LENGTH];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(damaged(format!("syncline.db has {length} bytes")));
        }
        Err(error) => return Err(read(error)),
    }
    if &header[..16] != MAGIC {
        return Err(damaged("syncline.db is not a SQLite file"));
    }
    let word = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if word(68) != APPLICATION_ID.cast_unsigned() {
        return Err(damaged("syncline.db is another program's SQLite file"));
    }
    if word(60) > SCHEMA {
        return Err(StoreError::Newer {
            found: word(60),
            known: SCHEMA,
        });
    }
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    // With a write-ahead log, the header may run ahead of the pages that follow it.
    if !has_wal && word(24) == word(92) && length < u64::from(word(28)) * page {
        return Err(damaged(format!(
            "syncline.db is cut short: {length} bytes of {}",
            u64::from(word(28)) * page
        )));
    }
    Ok(())
}

/// Checks that the write-ahead log ends where SQLite will say that it does.
fn check_log(path: &Path) -> Result<(), StoreError> {
    let log = File::open(path).map(|file| BufReader::with_capacity(1 << 20, file));
    let rot = log.and_then(wal::rot_in);
    let rot = rot.map_err(|error| StoreError::Read(format!("{}: {error}", path.display())))?;
    match rot {
        None => Ok(()),
        Some(WalRot::Header) => Err(damaged("the header of syncline.db-wal is rotten")),
        Some(WalRot::Frame(number)) => Err(damaged(format!(
            "frame {number} of syncline.db-wal is rotten, and later commits are behind it"
        ))),
    }
}

fn checksum(version: u32) -> [u8; 32] {
    Sha256::digest(MIGRATIONS[version as usize - 1].as_bytes()).into()
}

fn check_migrations(conn: &Connection, schema: u32) -> Result<(), StoreError> {
    let mut statement = conn
        .prepare("SELECT version, sha256 FROM migration ORDER BY version")
        .map_err(looking)?;
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(looking)?;
    let applied: Vec<(u32, Vec<u8>)> = rows.collect::<Result<_, _>>().map_err(looking)?;
    if applied.is_empty() || !applied.iter().map(|(version, _)| *version).eq(1..=schema) {
        return Err(damaged(format!(
            "its migrations do not lead to schema {schema}"
        )));
    }
    match applied
        .iter()
        .find(|(version, sha256)| sha256[..] != checksum(*version))
    {
        Some((version, _)) => Err(damaged(format!(
            "migration {version} is not the one that we know"
        ))),
        None => Ok(()),
    }
}

/// Checks that each log ends where its workspace says: a write-ahead log that belongs to another
/// copy of the file would show here.
fn check_tails(conn: &Connection) -> Result<(), StoreError> {
    const TAILS: &str = "SELECT ws, name, last_seq, last_hash, low_water FROM workspace";
    let mut statement = conn.prepare(TAILS).map_err(looking)?;
    let mut rows = statement.query([]).map_err(looking)?;
    while let Some(row) = rows.next().map_err(looking)? {
        let ws: i64 = row.get(0).map_err(looking)?;
        let name: String = row.get(1).map_err(looking)?;
        let last = Seq(row.get::<_, i64>(2).map_err(looking)?.cast_unsigned());
        let hash: [u8; 32] = array(row, 3).map_err(damaged)?;
        let low_water: i64 = row.get(4).map_err(looking)?;
        let newest: Option<(i64, Vec<u8>)> = conn
            .query_row(
                "SELECT pos, header FROM log WHERE pos BETWEEN ?1 AND ?2 ORDER BY pos DESC LIMIT 1",
                [pos(ws, Seq(1)), pos(ws + 1, Seq::ZERO) - 1],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(looking)?;
        let fits = match newest {
            Some((pos, header)) => {
                let found = RecordHeader::from_bytes(last, &header);
                seq_of(pos) == last && found.is_ok_and(|header| header.hash.0 == hash)
            }
            None => last.0.cast_signed() == low_water,
        };
        if !fits {
            return Err(damaged(format!(
                "the log of workspace {name} does not end where it should"
            )));
        }
    }
    Ok(())
}

/// Makes a database under another name, and gives it its own when it is whole: so what bears
/// the name is never half made.
fn create(dir: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull => StoreError::Full,
        _ => StoreError::NotWritten(error.to_string()),
    };
    let path = dir.join("syncline.db.new");
    for leftover in [path.clone(), dir.join("syncline.db.new-journal")] {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    let mut conn = Connection::open(&path).map_err(writing)?;
    conn.pragma_update(None, "page_size", 4096)
        .map_err(writing)?;
    conn.pragma_update(None, "synchronous", "FULL")
        .map_err(writing)?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(writing)?;
    migrate(&mut conn, 0)?;
    remember_identity(&conn, &identity(&path).map_err(failed)?).map_err(writing)?;
    connection::insist_on_wal(&conn).map_err(writing)?;
    conn.close().map_err(|(_, error)| writing(error))?;
    File::open(&path)
        .and_then(|file| file.sync_all())
        .map_err(failed)?;
    fs::rename(&path, database(dir)).map_err(failed)?;
    sync_dir(dir).map_err(failed)
}

/// Makes the directory's names durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(dir)?.sync_all()
    } else {
        Ok(())
    }
}

fn migrate(conn: &mut Connection, from: u32) -> Result<(), StoreError> {
    for version in from + 1..=SCHEMA {
        let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate);
        let tx = tx.map_err(writing)?;
        tx.execute_batch(MIGRATIONS[version as usize - 1])
            .map_err(writing)?;
        tx.execute(
            "INSERT INTO migration (version, sha256) VALUES (?1, ?2)",
            (version, checksum(version)),
        )
        .map_err(writing)?;
        tx.pragma_update(None, "user_version", version)
            .map_err(writing)?;
        tx.commit().map_err(writing)?;
    }
    Ok(())
}

/// Returns what tells this file from a copy of it.
///
/// The inode alone is often used again by the file that replaces it, so its birth counts too; the
/// device counts only where births are unknown, since its number may change when a machine starts.
fn identity(path: &Path) -> io::Result<String> {
    let found = fs::metadata(path)?;
    let born = found
        .created()
        .ok()
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let born = born.map(|since| since.as_nanos());
    #[cfg(unix)]
    let file = {
        use std::os::unix::fs::MetadataExt as _;
        match born {
            Some(_) => format!("inode {}", found.ino()),
            None => format!("device {} inode {}", found.dev(), found.ino()),
        }
    };
    #[cfg(not(unix))]
    let file = "";
    Ok(format!("{file} born {}", born.unwrap_or(0)))
}

fn remember_identity(conn: &Connection, identity: &str) -> rusqlite::Result<()> {
    conn.execute(
        "INSERT OR REPLACE INTO meta (key, value) VALUES ('file', ?1)",
        [identity],
    )?;
    Ok(())
}

/// Says whether the file is a copy of the one that was written last, put back.
pub(crate) fn is_copy(conn: &Connection, dir: &Path) -> Result<bool, StoreError> {
    let found = identity(&database(dir)).map_err(|error| StoreError::Read(error.to_string()))?;
    let known: Option<String> = conn
        .query_row("SELECT value FROM meta WHERE key = 'file'", [], |row| {
            row.get(0)
        })
        .optional()
        .map_err(looking)?;
    Ok(known.as_deref() != Some(&*found))
}

/// Gives each workspace a new epoch if the file is a copy that was put back: what readers saw
/// after it was copied is not in it.
fn notice_restored(conn: &mut Connection, dir: &Path) -> Result<bool, StoreError> {
    if !is_copy(conn, dir)? {
        return Ok(false);
    }
    let found = identity(&database(dir)).map_err(|error| StoreError::Read(error.to_string()))?;
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate);
    let tx = tx.map_err(writing)?;
    let workspaces: Vec<i64> = tx
        .prepare("SELECT ws FROM workspace")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(writing)?;
    for ws in workspaces {
        let drawn = getrandom::u64().map_err(|error| StoreError::NotWritten(error.to_string()))?;
        let epoch = Value::Integer(drawn.cast_signed());
        tx.execute("UPDATE workspace SET epoch = ?2 WHERE ws = ?1", (ws, epoch))
            .map_err(writing)?;
    }
    remember_identity(&tx, &found).map_err(writing)?;
    tx.commit().map_err(writing)?;
    Ok(true)
}
