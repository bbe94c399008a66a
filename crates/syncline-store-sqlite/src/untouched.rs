//! Verifying a directory that no node has, without changing a byte of it: it may be the only
//! backup, lie on a medium that takes no writes, or be evidence.
//!
//! Nothing is copied, since a database may have many gigabytes. Without a write-ahead log SQLite
//! is told that the file never changes. With one, whose newest commits count, it keeps the index
//! of that log in its own memory instead of in a file beside it: it does so for whoever has the
//! database alone, and our own lock sees to that, so SQLite's locks, which ask for a file that can
//! be written, are left out.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use syncline_store::{StoreError, VerifyReport, VerifyStep};

use crate::connection::{database, write_ahead_log};
use crate::lock::holder;
use crate::open::{SCHEMA, inspect, is_copy};
use crate::readers::Readers;
use crate::verify;

/// A data directory that is looked at and left as it is.
#[derive(Debug)]
pub struct Untouched {
    dir: PathBuf,
    lock: Arc<Option<File>>,
    copy: bool,
}

impl Untouched {
    /// Looks at a data directory and keeps nodes out of it, as far as they left a lock to take.
    ///
    /// [`StoreError::InUse`]: a node has it. [`StoreError::Damaged`] and [`StoreError::Newer`] as
    /// for a store that is opened; nothing at all is damaged too.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Untouched, StoreError> {
        let dir = dir.into();
        let lock = Arc::new(take_lock(&dir)?);
        let Some(schema) = inspect(&dir)? else {
            return Err(StoreError::Damaged("there is no syncline.db".to_owned()));
        };
        if schema < SCHEMA {
            return Err(StoreError::Read(format!(
                "it has schema {schema}, and this program reads {SCHEMA}: start a node on it once"
            )));
        }
        let copy = is_copy(&connect(&dir).map_err(crate::errors::reading)?, &dir)?;
        Ok(Untouched { dir, lock, copy })
    }

    /// Says whether the files are a copy: a node that starts on them will take a new epoch.
    pub fn is_copy(&self) -> bool {
        self.copy
    }

    /// Checks everything, as [`syncline_store::Store::verify`] does.
    pub async fn verify(
        &self,
        progress: &(dyn Fn(VerifyStep) + Send + Sync),
    ) -> Result<VerifyReport, StoreError> {
        // One reader: whoever keeps the index of the log in memory is alone.
        let readers = Readers::start(self.dir.clone(), 1, connect, &self.lock);
        let report = verify::verify(&readers, progress).await?;
        readers.close();
        // Where no node ever ran there is no lock to take, and one may have begun to write.
        if self.lock.is_none() && lock_path(&self.dir).exists() {
            return Err(StoreError::InUse {
                path: self.dir.clone(),
                holder: "a node that started meanwhile".to_owned(),
            });
        }
        Ok(report)
    }
}

fn lock_path(dir: &Path) -> PathBuf {
    dir.join("lock")
}

/// Takes the directory's lock if there is one. It is shared with others who only look, and needs
/// no right to write.
fn take_lock(dir: &Path) -> Result<Option<File>, StoreError> {
    let path = lock_path(dir);
    let failed = |error: io::Error| StoreError::Read(format!("{}: {error}", path.display()));
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: dir.to_owned(),
            holder: holder(&mut file),
        }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Opens the database so that nothing of the directory changes, also not by closing it.
///
/// The directory's lock is held, and this is the only connection.
pub(crate) fn connect(dir: &Path) -> rusqlite::Result<Connection> {
    let has_log = fs::metadata(write_ahead_log(dir)).is_ok_and(|found| found.len() > 0);
    let path = database(dir);
    let name = path
        .to_str()
        .ok_or_else(|| rusqlite::Error::InvalidPath(path.clone()))?;
    let name = name
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    let how = match (has_log, cfg!(unix)) {
        (false, _) => "immutable=1",
        (true, true) => "mode=ro&vfs=unix-none",
        (true, false) => "mode=ro",
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(format!("file:{name}?{how}"), flags)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    if has_log {
        // Before anything is read: from then on the index of the log would be a file.
        conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    }
    Ok(conn)
}
