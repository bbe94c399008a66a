//! The data directory's lock: one process has a directory, and others are told which.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use syncline_store::StoreError;

/// Bounds what is read of another process's words about itself.
const HOLDER_LENGTH_MAX: u64 = 1_000;

/// Held for as long as anything may touch the data directory; dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Lock {
    file: Mutex<File>,
}

impl Lock {
    /// Takes the lock, or tells who has it.
    pub(crate) fn take(dir: &Path) -> Result<Lock, StoreError> {
        let path = dir.join("lock");
        let failed = |error: io::Error| StoreError::Read(format!("{}: {error}", path.display()));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse {
                    path: dir.to_owned(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let lock = Lock {
            file: Mutex::new(file),
        };
        lock.tell("").map_err(failed)?;
        Ok(lock)
    }

    /// Writes who holds the lock: the process, and what it says of itself.
    pub(crate) fn tell(&self, more: &str) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let separator = if more.is_empty() { "" } else { ", " };
        let text = format!("process {}{separator}{more}\n", std::process::id());
        file.seek(SeekFrom::Start(0))?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)
    }
}

/// Closing alone would leave the lock to a child process that is being started just then.
impl Drop for Lock {
    fn drop(&mut self) {
        let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Whoever takes it only to look leaves the words of the one before: better none.
        let _ = file.set_len(0);
        // If this fails, closing the file is what is left.
        let _ = file.unlock();
    }
}

/// Reads who holds the lock of this file.
pub(crate) fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // Where the lock also keeps readers out, nobody can say who has it.
    let read = file.take(HOLDER_LENGTH_MAX).read_to_string(&mut text);
    match (read, text.lines().next()) {
        (Ok(_), Some(line)) if !line.is_empty() => line.to_owned(),
        _ => "another process".to_owned(),
    }
}
