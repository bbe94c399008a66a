//! Checkpoints: a thread moves the write-ahead log into the database, so that no commit waits for it.
//!
//! It also keeps the log's file at some length: overwriting it in place syncs in half the time that
//! growing it takes, since a file that grows syncs its length and its blocks too.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::Duration;

use tracing::{debug, warn};

use crate::connection;
use crate::shared::{RESTART_PAGES, Shared};
use crate::writer::Writer;

/// With nothing to write for this long, the write-ahead log is emptied.
const IDLE: Duration = Duration::from_secs(3);
/// The least time between two checkpoints, when a reader keeps them from ending.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a restart of the log waits for readers, while the writer waits for it.
const RESTART_WAIT: Duration = Duration::from_secs(2);
/// How long emptying an idle log waits.
const IDLE_WAIT: Duration = Duration::from_millis(50);

/// What the log's file keeps when it is idle: a burst of some thousand small updates.
const READY_BYTES: u64 = 8 << 20;
/// What is made ready at once, while the writer waits.
const READY_STEP: u64 = 1 << 20;
/// On a disk with less room than this, no room is set aside.
const READY_ROOM_MIN: u64 = 1 << 30;

/// Runs until the store is closed.
pub(crate) fn run(shared: &Shared, writer: &Mutex<Writer>) {
    let mut failing = false;
    make_ready_if_roomy(shared, writer);
    while let Some(due) = wait(shared) {
        let _gate = shared
            .checkpointing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let done = match due {
            Due::Nothing => continue,
            Due::Wanted if shared.wal_pages() >= RESTART_PAGES => {
                checkpoint(shared, Some("RESTART"), RESTART_WAIT)
            }
            Due::Wanted => checkpoint(shared, None, RESTART_WAIT),
            Due::Idle => {
                let done = checkpoint(shared, Some(rest_mode(shared)), IDLE_WAIT);
                make_ready_if_roomy(shared, writer);
                done
            }
        };
        if !matches!(done, Ok(true)) {
            shared
                .checkpoints
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .behind = true;
        }
        match done {
            Ok(_) => failing = false,
            // The pages stay in the write-ahead log, and the next round writes all of them again.
            Err(error) if !failing => {
                warn!(%error, "checkpoint failed");
                failing = true;
            }
            Err(_) => {}
        }
    }
}

enum Due {
    Nothing,
    Wanted,
    Idle,
}

/// Returns whether nothing is left in the write-ahead log, which only a `begin_anew` can bring about.
fn checkpoint(shared: &Shared, begin_anew: Option<&str>, wait: Duration) -> rusqlite::Result<bool> {
    let conn = connection::checkpointer(&shared.dir, &shared.faults, wait)?;
    connection::checkpoint(&conn, "PASSIVE")?;
    let Some(mode) = begin_anew else {
        return Ok(false);
    };
    // The bulk was moved beside the writer; what is left is short.
    let done = connection::checkpoint(&conn, mode)?;
    // A file that stayed long is left to an idle moment.
    Ok(done.whole && (mode == "TRUNCATE" || wal_bytes(shared) <= READY_BYTES))
}

/// Returns how an idle log is emptied: a file that is long gives its room back.
fn rest_mode(shared: &Shared) -> &'static str {
    match wal_bytes(shared) <= READY_BYTES {
        true => "RESTART",
        false => "TRUNCATE",
    }
}

fn wal_bytes(shared: &Shared) -> u64 {
    let found = std::fs::metadata(connection::write_ahead_log(&shared.dir));
    found.map_or(0, |found| found.len())
}

fn make_ready_if_roomy(shared: &Shared, writer: &Mutex<Writer>) {
    let room = rustix::fs::statvfs(&shared.dir).map(|disk| disk.f_bavail * disk.f_frsize);
    if shared.is_full() || room.is_ok_and(|room| room < READY_ROOM_MIN) {
        return;
    }
    if let Err(error) = make_ready(shared, writer) {
        debug!(%error, "the write-ahead log grows as it is written");
    }
}

/// Writes zeros from the end of the log's file on. They are no frames: where SQLite finds one whose
/// salt is not the log's, the log ends.
fn make_ready(shared: &Shared, writer: &Mutex<Writer>) -> io::Result<()> {
    if wal_bytes(shared) >= READY_BYTES {
        return Ok(());
    }
    let path = connection::write_ahead_log(&shared.dir);
    let file = OpenOptions::new().write(true).open(path)?;
    let zeros = vec![0; usize::try_from(READY_STEP).unwrap_or(0)];
    while extend(&file, &zeros, writer)? {
        // Here, so that no commit has to.
        file.sync_data()?;
    }
    Ok(())
}

/// Extends the file by one step; false when it is long enough, or the writer is busy. Whoever
/// writes waits meanwhile, for its frames would be overwritten.
///
/// It never waits for the writer, who waits for the end of this checkpoint where the store closes
/// or recovers.
fn extend(file: &File, zeros: &[u8], writer: &Mutex<Writer>) -> io::Result<bool> {
    let _kept_out = match writer.try_lock() {
        Ok(kept_out) => kept_out,
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Poisoned(_)) => return Err(io::Error::other("the writer is gone")),
    };
    let end = file.metadata()?.len();
    if end >= READY_BYTES {
        return Ok(false);
    }
    match file.write_all_at(zeros, end) {
        Ok(()) => Ok(true),
        Err(error) => {
            // A frame may need the room more.
            file.set_len(end)?;
            Err(error)
        }
    }
}

/// Waits until there may be something to do; `None` when the store is closed.
fn wait(shared: &Shared) -> Option<Due> {
    let state = shared
        .checkpoints
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    // Even when the next is wanted at once, let commits through first.
    let (state, _) = shared
        .checkpoint_wanted
        .wait_timeout_while(state, PAUSE, |state| !state.closed)
        .unwrap_or_else(PoisonError::into_inner);
    let (mut state, _) = shared
        .checkpoint_wanted
        .wait_timeout_while(state, IDLE, |state| !state.closed && !state.wanted)
        .unwrap_or_else(PoisonError::into_inner);
    if state.closed {
        return None;
    }
    let wanted = std::mem::take(&mut state.wanted);
    let behind = std::mem::take(&mut state.behind);
    Some(match (wanted, behind) {
        (true, _) => Due::Wanted,
        (false, true) => Due::Idle,
        (false, false) => Due::Nothing,
    })
}
