//! Checkpoints: a thread moves the write-ahead log into the database, so that no commit waits for it.

use std::sync::PoisonError;
use std::time::Duration;

use tracing::warn;

use crate::connection;
use crate::shared::{RESTART_PAGES, Shared};

/// With nothing to write for this long, the write-ahead log is emptied.
const IDLE: Duration = Duration::from_secs(3);
/// The least time between two checkpoints, when a reader keeps them from ending.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a restart of the log waits for readers, while the writer waits for it.
const RESTART_WAIT: Duration = Duration::from_secs(2);
/// How long emptying an idle log waits.
const IDLE_WAIT: Duration = Duration::from_millis(50);

/// Runs until the store is closed.
pub(crate) fn run(shared: &Shared) {
    let mut failing = false;
    while let Some(due) = wait(shared) {
        let _gate = shared
            .checkpointing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let done = match due {
            Due::Nothing => continue,
            // Under load the file keeps its length: overwriting it in place syncs in half the time
            // that growing it again takes.
            Due::Wanted if shared.wal_pages() >= RESTART_PAGES => {
                checkpoint(shared, Some("RESTART"), RESTART_WAIT)
            }
            Due::Wanted => checkpoint(shared, None, RESTART_WAIT),
            Due::Idle => checkpoint(shared, Some("TRUNCATE"), IDLE_WAIT),
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
    // A restarted file is still long: emptying it is left to an idle moment.
    Ok(done.whole && mode == "TRUNCATE")
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
