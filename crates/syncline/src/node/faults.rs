//! Deliberate faults from `SYNCLINE_TEST_FAULT`: each breaks a promise, and the harness that
//! watches over the promise must notice. No user sets them, and help does not name them.

use std::ffi::OsString;

use syncline_store::CommitFault;

use crate::failure::{Failure, Result};

/// The faults of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The store's.
    pub store: syncline_store_sqlite::TestFaults,
    /// The engine's.
    pub engine: syncline_engine::TestFaults,
}

/// Reads a list such as `skip_fsync,fail_commit=3:written`.
pub fn read(environment: &[(OsString, OsString)]) -> Result<Faults> {
    let mut faults = Faults::default();
    let set = environment
        .iter()
        .find(|(name, _)| name == "SYNCLINE_TEST_FAULT");
    let Some(text) = set.and_then(|(_, value)| value.to_str()) else {
        return Ok(faults);
    };
    for word in text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "skip_fsync" => faults.store.skip_fsync = true,
            "sync_normal" => faults.store.sync_normal = true,
            "answer_before_commit" => faults.store.answer_before_commit = true,
            "fail_commit" => faults.store.fail_commit = Some(commit_fault(value)?),
            "pages_max" => faults.store.pages_max = Some(number(word, value)?),
            "forget_id" => faults.engine.forget_id = true,
            "ignore_base" => faults.engine.ignore_base = true,
            "drop_event" => faults.engine.drop_event = true,
            "live_before_listen" => faults.engine.live_before_listen = true,
            "ack_before_send" => faults.engine.ack_before_send = true,
            _ => return Err(unknown(word)),
        }
    }
    Ok(faults)
}

/// Reads `3`, or `3:written`.
fn commit_fault(value: &str) -> Result<CommitFault> {
    let (at, rest) = value.split_once(':').unwrap_or((value, ""));
    Ok(CommitFault {
        at: number(value, at)?,
        written: rest == "written",
    })
}

fn number<T: std::str::FromStr>(word: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| unknown(word))
}

fn unknown(word: &str) -> Failure {
    Failure::usage(format!("SYNCLINE_TEST_FAULT: {word:?} is no fault"))
}
