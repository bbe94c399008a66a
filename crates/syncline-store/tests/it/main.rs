//! The memory store keeps the promises.

use std::sync::Arc;

use syncline_store::{CommitFault, MemoryStore, Store};

async fn make(fault: Option<CommitFault>) -> (Arc<dyn Store>, ()) {
    let store = match fault {
        Some(fault) => MemoryStore::with_fault(fault),
        None => MemoryStore::new(),
    };
    (Arc::new(store), ())
}

syncline_store::conformance_tests!(make);
