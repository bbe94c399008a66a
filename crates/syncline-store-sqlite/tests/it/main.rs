//! The SQLite store: the promises of every store, and its own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod faults;
mod formats;
mod framing;
mod full;
mod opening;
mod rot;
mod thinning;
mod untouched;
mod writing;

use std::path::Path;
use std::sync::Arc;

use syncline_store::{CommitFault, Store, StoreError};
use syncline_store_sqlite::{SqliteOptions, SqliteStore, TestFaults};
use tempfile::TempDir;

async fn make(fault: Option<CommitFault>) -> (Arc<dyn Store>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let faults = TestFaults {
        fail_commit: fault,
        ..TestFaults::default()
    };
    (Arc::new(open_with(dir.path(), faults).unwrap()), dir)
}

fn open(dir: &Path) -> SqliteStore {
    open_with(dir, TestFaults::default()).unwrap()
}

fn open_with(dir: &Path, faults: TestFaults) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(SqliteOptions {
        faults,
        ..SqliteOptions::new(dir)
    })
}

/// Changes the database behind the store's back; the store is closed.
fn tamper(dir: &Path, sql: &str) -> usize {
    let conn = rusqlite::Connection::open(dir.join("syncline.db")).unwrap();
    conn.execute(sql, [])
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

syncline_store::conformance_tests!(make);
