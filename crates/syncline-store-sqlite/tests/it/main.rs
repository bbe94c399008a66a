//! The SQLite store: the promises of every store, and its own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use syncline_store::{CommitFault, Store};
use syncline_store_sqlite::{SqliteOptions, SqliteStore, TestFaults};
use tempfile::TempDir;

async fn make(fault: Option<CommitFault>) -> (Arc<dyn Store>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let faults = TestFaults { fail_commit: fault, ..TestFaults::default() };
    let options = SqliteOptions { faults, ..SqliteOptions::new(dir.path()) };
    (Arc::new(SqliteStore::open(options).unwrap()), dir)
}

syncline_store::conformance_tests!(make);
