//! Small values beside the log.

use std::sync::Arc;

use syncline_engine::{Engine, ManualClock, Settings, Workspace};
use syncline_model::ids::WorkspaceId;
use syncline_model::proposal::Operation;
use syncline_model::time::Timestamp;
use syncline_store::{CommitFault, Kept, KeptQuery, MemoryStore, Store, StoreHealth};

use crate::Bench;

async fn shown(workspace: &Workspace) -> String {
    let query = KeptQuery {
        space: "acks".to_owned(),
        prefix: String::new(),
        after: None,
        limit: 10,
    };
    let kept = workspace.kept(&query).await.unwrap();
    let each = kept
        .iter()
        .map(|(key, value)| format!("{key}={}", String::from_utf8_lossy(value)));
    each.collect::<Vec<_>>().join(" ")
}

fn put(key: &str, value: &str) -> Kept {
    Kept::put("acks", key, value.as_bytes().to_vec())
}

/// The node has nothing to do but to keep a value, and the commit of that fails.
async fn check_keep(written: bool) {
    let store = Arc::new(MemoryStore::with_fault(CommitFault { at: 2, written }));
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
    let engine = Engine::open(store.clone(), clock.clone(), Settings::default());
    let engine = engine.await.unwrap();
    let workspace = engine.workspace(&WorkspaceId::default_workspace()).unwrap();
    workspace.keep(vec![put("a", "1")]).await.unwrap();
    let values = vec![put("a", "2"), put("b", "1")];
    workspace.keep(values).await.unwrap();
    assert_eq!(shown(&workspace).await, "a=2 b=1");
    assert_eq!(store.health(), StoreHealth::Good);
    assert!(engine.health().ready, "{:?}", engine.health());
    // Nobody who writes hears of it.
    let bench = Bench {
        engine,
        workspace,
        clock,
    };
    let proposal = bench.proposal("task/a", Operation::Create, r#"{"data":{"n":1}}"#);
    bench.submit(proposal).await.unwrap();
}

#[tokio::test]
async fn p10_a_keep_leaves_no_store_that_takes_no_writes() {
    check_keep(true).await;
    check_keep(false).await;
}
