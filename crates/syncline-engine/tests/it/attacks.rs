//! What somebody may send, or what may happen at the wrong moment, and what must then still hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use syncline_api::{BulkMode, Code};
use syncline_engine::{Engine, ManualClock, Principal, Settings, When};
use syncline_model::conflict::{Conflict, ConflictId};
use syncline_model::ids::{Address, ChangeId, Epoch, Seq, Version, WorkspaceId};
use syncline_model::proposal::{Base, Operation, Precondition};
use syncline_model::record::{IdRow, RecordHeader, StoredRecord};
use syncline_model::time::Timestamp;
use syncline_store::{
    Append, Appended, CommitFault, ConflictQuery, HeadRow, ListPage, ListQuery, MemoryStore,
    NewWorkspace, Rebuild, Store, StoreError, StoreHealth, StoreStats, SubtreePage, Thinned,
    Thinning, TreePlace, VerifyReport, VerifyStep, VersionRow, WorkspaceRow,
};

use crate::{Bench, address, based, choosing, code, json, when};

#[tokio::test]
async fn a_delete_never_makes_a_context() {
    let bench = Bench::new().await;
    bench.create("task/a", r#"{"title":"A"}"#).await;
    let delete = || {
        let mut delete = bench.proposal("task/a", Operation::Delete, "null");
        delete.create = true;
        delete
    };
    bench.submit(based(delete(), "1")).await.unwrap();
    assert_eq!(
        code(bench.submit(based(delete(), "2")).await),
        Code::Deleted
    );
    assert_eq!(
        code(
            bench
                .workspace
                .get(&Principal::owner(), &address("task/a"), When::Head)
                .await
        ),
        Code::Deleted
    );
}

#[tokio::test]
async fn p3_a_refusal_is_heard_again_with_its_sides() {
    let bench = Bench::new().await;
    bench.create("task/a", r#"{"title":"A"}"#).await;
    let etag = bench.head("task/a").await.etag();
    let body = r#"{"title":"B"}"#;
    let refused = [
        when(
            bench.proposal("task/b", Operation::Replace, body),
            Precondition::Match(vec![etag]),
        ),
        when(
            bench.proposal("task/b", Operation::Merge, body),
            Precondition::MatchAny,
        ),
        when(
            bench.proposal("task/a", Operation::Replace, body),
            Precondition::NoneMatchAny,
        ),
        based(bench.proposal("task/b", Operation::Replace, body), "7"),
        bench.proposal(
            "task/a",
            Operation::Patch,
            r#"[{"op":"test","path":"/title","value":"B"}]"#,
        ),
        bench.proposal("task/a", Operation::Replace, body),
        bench.proposal("task/c", Operation::Create, r#"{"parent":"task/none"}"#),
        bench.proposal("task/c", Operation::Create, r#"{"titel":"x"}"#),
    ];
    for proposal in refused {
        let first = bench.submit(proposal.clone()).await.unwrap_err();
        assert_eq!(bench.submit(proposal).await.unwrap_err(), first);
    }
}

#[tokio::test]
async fn p3_a_refusal_is_heard_again_within_its_own_batch() {
    let bench = Bench::new().await;
    bench.create("task/a", r#"{"data":{"n":1}}"#).await;
    let n = |n: u8| {
        bench.proposal(
            "task/a",
            Operation::Replace,
            &format!(r#"{{"data":{{"n":{n}}}}}"#),
        )
    };
    let stale = choosing(based(n(3), "2"));
    let parts = vec![
        based(n(2), "1"),
        based(n(9), "2"),
        stale.clone(),
        stale.clone(),
    ];
    let answer = bench
        .workspace
        .submit_bulk(&Principal::owner(), BulkMode::Independent, None, parts)
        .await
        .unwrap();
    let heard: Vec<_> = answer
        .answers
        .into_iter()
        .map(|(_, answer)| answer)
        .collect();
    // The base is a version that the same batch made.
    assert_eq!(code(heard[2].clone()), Code::StaleBase);
    assert_eq!(heard[2], heard[3]);
    assert_eq!(bench.submit(stale).await, heard[2]);
    let sides = heard[2].clone().unwrap_err().sides.unwrap();
    assert_eq!(sides.base.unwrap().get("data"), Some(&json(r#"{"n":2}"#)));
    assert_eq!(sides.theirs.unwrap().get("data"), Some(&json(r#"{"n":9}"#)));
}

#[tokio::test]
async fn p3_the_id_of_a_derived_parent_is_kept() {
    let bench = Bench::new().await;
    let mut child = bench.proposal("task/a", Operation::Create, r#"{"parent":"project/p"}"#);
    child.create_parents = true;
    bench.submit(child.clone()).await.unwrap();
    let derived = bench.head("project/p").await.change;
    let mut again = bench.proposal("task/b", Operation::Create, "{}");
    again.id = derived;
    assert_eq!(code(bench.submit(again).await), Code::ChangeIdReused);
    let mut update = bench.proposal("project/p", Operation::Merge, r#"{"title":"P"}"#);
    update.base = Some(Base::Change(derived));
    bench.submit(update).await.unwrap();
}

#[tokio::test]
async fn p3_a_derived_id_that_was_taken_harms_only_its_own_proposal() {
    let bench = Bench::new().await;
    let mut child = bench.proposal("task/a", Operation::Create, r#"{"parent":"project/p"}"#);
    child.create_parents = true;
    let mut squatter = bench.proposal("task/b", Operation::Create, "{}");
    squatter.id = child.id.derive("project/p");
    bench.submit(squatter).await.unwrap();
    let parts = vec![
        child.clone(),
        bench.proposal("task/c", Operation::Create, "{}"),
    ];
    let answer = bench
        .workspace
        .submit_bulk(&Principal::owner(), BulkMode::Independent, None, parts)
        .await
        .unwrap();
    assert_eq!(code(answer.answers[0].1.clone()), Code::ChangeIdReused);
    answer.answers[1].1.clone().unwrap();
}

#[tokio::test]
async fn p3_the_id_of_a_subtrees_deletion_stands_for_it() {
    let bench = Bench::new().await;
    for (context, parent) in [("project/p", "global/main"), ("task/a", "project/p")] {
        let body = format!(r#"{{"parent":"{parent}"}}"#);
        bench.create(context, &body).await;
    }
    let delete = based(bench.proposal("project/p", Operation::Delete, "null"), "1");
    let owner = Principal::owner();
    let first = bench
        .workspace
        .delete_subtree(&owner, delete.clone())
        .await
        .unwrap();
    let again = bench
        .workspace
        .delete_subtree(&owner, delete.clone())
        .await
        .unwrap();
    assert_eq!(first.answers, again.answers);
    let mut other = bench.proposal("task/z", Operation::Create, "{}");
    other.id = delete.id;
    assert_eq!(code(bench.submit(other).await), Code::ChangeIdReused);
    let mut elsewhere = delete;
    elsewhere.context = address("task/a");
    assert_eq!(
        code(bench.workspace.delete_subtree(&owner, elsewhere).await),
        Code::ChangeIdReused
    );
}

#[tokio::test]
async fn p3_a_bulk_that_is_sent_again_has_its_name_again() {
    let bench = Bench::new().await;
    let parts = vec![bench.proposal("task/a", Operation::Create, "{}")];
    let owner = Principal::owner();
    let send = || {
        let parts = parts.clone();
        bench
            .workspace
            .submit_bulk(&owner, BulkMode::Independent, None, parts)
    };
    let first = send().await.unwrap();
    assert_eq!(send().await.unwrap().bulk, first.bulk);
}

/// A head that no longer fits the cache must not leave its old self there.
#[tokio::test]
async fn p2_a_head_that_outgrows_the_cache_is_not_shown_old() {
    let settings = Settings {
        cache_bytes_max: 64 << 10,
        ..Settings::default()
    };
    let bench = Bench::with(settings).await;
    bench.create("note/a", r#"{"title":"A"}"#).await;
    assert_eq!(bench.head("note/a").await.version.0, 1);
    let grown = format!(r#"{{"data":{{"t":"{}"}}}}"#, "x".repeat(1 << 20));
    bench.merge("note/a", &grown).await.unwrap();
    assert_eq!(bench.head("note/a").await.version.0, 2);
    bench.merge("note/a", r#"{"title":"B"}"#).await.unwrap();
    assert_eq!(bench.head("note/a").await.version.0, 3);
    assert_eq!(bench.head("note/a").await.document.title(), Some("B"));
}

/// A long list that gets an item at its front keeps its old self in each record.
#[tokio::test]
async fn p9_the_recent_records_are_bounded_with_what_their_intents_hold() {
    let settings = Settings {
        recent_bytes_max: 1 << 20,
        ..Settings::default()
    };
    let bench = Bench::with(settings).await;
    let items = vec!["\"0123456789\""; 10_000].join(",");
    let first = bench
        .create("note/a", &format!(r#"{{"data":{{"l":[{items}]}}}}"#))
        .await;
    for _ in 0..50 {
        let grow = r#"[{"op":"add","path":"/data/l/0","value":"x"}]"#;
        bench
            .submit(bench.proposal("note/a", Operation::Patch, grow))
            .await
            .unwrap();
    }
    let after = Seq(first.seq.unwrap().0 + 1);
    assert!(bench.workspace.recent(after, 1).is_none());
}

/// Text that compresses a thousandfold must not fill the memory when the log is read.
#[tokio::test]
async fn p9_a_read_of_the_log_is_bounded_in_what_it_unpacks() {
    let settings = Settings {
        recent_bytes_max: 1,
        ..Settings::default()
    };
    let bench = Bench::with(settings).await;
    let body = format!(r#"{{"data":{{"t":"{}"}}}}"#, "x".repeat(2 << 20));
    for number in 0..8 {
        bench.create(&format!("note/n{number}"), &body).await;
    }
    let entries = bench.workspace.read_log(Seq(1), 256).await.unwrap();
    assert!((1..=4).contains(&entries.len()), "{}", entries.len());
    let mut after = Seq(1);
    for _ in 0..8 {
        let entries = bench.workspace.read_log(after, 256).await.unwrap();
        after = entries.last().map_or(after, |entry| entry.seq);
    }
    assert_eq!(
        after,
        bench.workspace.tail().seq,
        "all can be read in steps"
    );
}

/// A thousand stale parts of a few bytes must not be answered with three large documents each.
#[tokio::test]
async fn p9_the_sides_in_the_answers_to_a_bulk_are_bounded() {
    let bench = Bench::new().await;
    let body = format!(r#"{{"data":{{"t":"{}"}}}}"#, "x".repeat(1 << 20));
    bench.create("note/a", &body).await;
    bench.merge("note/a", r#"{"data":{"n":1}}"#).await.unwrap();
    let stale = || {
        choosing(based(
            bench.proposal("note/a", Operation::Merge, r#"{"data":{"n":2}}"#),
            "1",
        ))
    };
    let parts: Vec<_> = (0..30).map(|_| stale()).collect();
    let owner = Principal::owner();
    let mut heard = Vec::new();
    for _ in 0..2 {
        let answer = bench
            .workspace
            .submit_bulk(&owner, BulkMode::Independent, None, parts.clone())
            .await
            .unwrap();
        let problems = answer
            .answers
            .into_iter()
            .map(|(_, part)| part.unwrap_err());
        heard.push(problems.collect::<Vec<_>>());
    }
    assert!(
        heard[0]
            .iter()
            .all(|problem| problem.code == Code::StaleBase)
    );
    let sided = heard[0].iter().filter(|problem| problem.sides.is_some());
    assert_eq!(sided.count(), 5, "16 MiB hold five times three documents");
    assert_eq!(heard[0], heard[1]);
}

/// A store whose recovery waits until it is let.
struct Stuck {
    inner: MemoryStore,
    stuck: AtomicBool,
}

/// P1: what was written by a commit whose outcome is not known is not shown before it is.
#[tokio::test]
async fn p1_reads_end_at_what_was_acknowledged() {
    let fault = CommitFault {
        at: 3,
        written: true,
    };
    let store = Arc::new(Stuck {
        inner: MemoryStore::with_fault(fault),
        stuck: AtomicBool::new(true),
    });
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
    // Nothing stays in the cache, so that heads are read from the store.
    let settings = Settings {
        cache_bytes_max: 1,
        ..Settings::default()
    };
    let engine = Engine::open(store.clone(), clock.clone(), settings)
        .await
        .unwrap();
    let workspace = engine.workspace(&WorkspaceId::default_workspace()).unwrap();
    let bench = Bench {
        engine,
        workspace,
        clock,
    };
    bench.create("task/a", r#"{"title":"A"}"#).await;
    let parts = vec![
        bench.proposal("task/a", Operation::Merge, r#"{"title":"B"}"#),
        bench.proposal("task/b", Operation::Create, "{}"),
    ];
    let owner = Principal::owner();
    let answer = bench
        .workspace
        .submit_bulk(&owner, BulkMode::Independent, None, parts)
        .await
        .unwrap();
    assert_eq!(code(answer.answers[0].1.clone()), Code::UnknownOutcome);

    let check = async |title: &str, contexts: &[&str]| {
        let head = bench.head("task/a").await;
        assert_eq!(head.document.title(), Some(title));
        let query = ListQuery {
            contexts: Default::default(),
            sort: Default::default(),
            after: None,
            limit: 10,
            bodies: true,
        };
        let page = bench.workspace.list(&owner, query).await.unwrap();
        let found: Vec<_> = page
            .heads
            .iter()
            .map(|head| head.address.as_str())
            .collect();
        assert_eq!(found, contexts);
        let listed = page
            .heads
            .iter()
            .find(|head| head.address == address("task/a"));
        assert_eq!(listed.unwrap().document.title(), Some(title));
    };
    check("A", &["global/main", "task/a"]).await;
    let b = bench
        .workspace
        .get(&owner, &address("task/b"), When::Head)
        .await;
    assert_eq!(code(b), Code::NotFound);
    let diff = bench
        .workspace
        .diff(
            &owner,
            [
                (&address("task/a"), Some(Version(1))),
                (&address("task/a"), Some(Version(2))),
            ],
        )
        .await;
    assert_eq!(code(diff), Code::NotFound);

    store.stuck.store(false, Ordering::SeqCst);
    for _ in 0..200 {
        if bench.workspace.tail().seq == Seq(4) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    check("B", &["global/main", "task/a", "task/b"]).await;
}

#[async_trait]
impl Store for Stuck {
    async fn workspaces(&self) -> Result<Vec<WorkspaceRow>, StoreError> {
        self.inner.workspaces().await
    }
    async fn create_workspace(&self, new: NewWorkspace) -> Result<WorkspaceRow, StoreError> {
        self.inner.create_workspace(new).await
    }
    async fn set_epoch(&self, workspace: &WorkspaceId, epoch: Epoch) -> Result<(), StoreError> {
        self.inner.set_epoch(workspace, epoch).await
    }
    async fn append(
        &self,
        workspace: &WorkspaceId,
        after: Seq,
        batch: Append,
    ) -> Result<Appended, StoreError> {
        self.inner.append(workspace, after, batch).await
    }
    async fn keep(
        &self,
        workspace: &WorkspaceId,
        values: Vec<syncline_store::Kept>,
    ) -> Result<(), StoreError> {
        self.inner.keep(workspace, values).await
    }
    async fn kept(
        &self,
        workspace: &WorkspaceId,
        query: &syncline_store::KeptQuery,
    ) -> Result<Vec<syncline_store::KeptValue>, StoreError> {
        self.inner.kept(workspace, query).await
    }
    async fn recover(&self) -> Result<Vec<WorkspaceRow>, StoreError> {
        match self.stuck.load(Ordering::SeqCst) {
            true => Err(StoreError::Unknown("not yet".to_owned())),
            false => self.inner.recover().await,
        }
    }
    async fn ids(
        &self,
        workspace: &WorkspaceId,
        ids: &[ChangeId],
    ) -> Result<Vec<Option<IdRow>>, StoreError> {
        self.inner.ids(workspace, ids).await
    }
    async fn conflict(
        &self,
        workspace: &WorkspaceId,
        id: &ConflictId,
    ) -> Result<Option<Conflict>, StoreError> {
        self.inner.conflict(workspace, id).await
    }
    async fn conflicts(
        &self,
        workspace: &WorkspaceId,
        query: &ConflictQuery,
    ) -> Result<Vec<Conflict>, StoreError> {
        self.inner.conflicts(workspace, query).await
    }
    async fn conflicts_open(&self, workspace: &WorkspaceId) -> Result<u64, StoreError> {
        self.inner.conflicts_open(workspace).await
    }
    async fn branches(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
    ) -> Result<Vec<HeadRow>, StoreError> {
        self.inner.branches(workspace, address).await
    }
    async fn newest_id(&self, workspace: &WorkspaceId) -> Result<Option<ChangeId>, StoreError> {
        self.inner.newest_id(workspace).await
    }
    async fn record(
        &self,
        workspace: &WorkspaceId,
        seq: Seq,
    ) -> Result<Option<StoredRecord>, StoreError> {
        self.inner.record(workspace, seq).await
    }
    async fn header(
        &self,
        workspace: &WorkspaceId,
        seq: Seq,
    ) -> Result<Option<RecordHeader>, StoreError> {
        self.inner.header(workspace, seq).await
    }
    async fn thin(
        &self,
        workspace: &WorkspaceId,
        thinning: Thinning,
    ) -> Result<Thinned, StoreError> {
        self.inner.thin(workspace, thinning).await
    }
    async fn heads(
        &self,
        workspace: &WorkspaceId,
        addresses: &[Address],
    ) -> Result<Vec<Option<HeadRow>>, StoreError> {
        self.inner.heads(workspace, addresses).await
    }
    async fn list(
        &self,
        workspace: &WorkspaceId,
        query: &ListQuery,
    ) -> Result<ListPage, StoreError> {
        self.inner.list(workspace, query).await
    }
    async fn subtree(
        &self,
        workspace: &WorkspaceId,
        root: &Address,
        after: Option<TreePlace>,
        limit: usize,
    ) -> Result<SubtreePage, StoreError> {
        self.inner.subtree(workspace, root, after, limit).await
    }
    async fn height(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        levels_max: usize,
    ) -> Result<usize, StoreError> {
        self.inner.height(workspace, address, levels_max).await
    }
    async fn records(
        &self,
        workspace: &WorkspaceId,
        after: Seq,
        until: Seq,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        self.inner
            .records(workspace, after, until, limit, bytes_max)
            .await
    }
    async fn seq_at(&self, workspace: &WorkspaceId, at: Timestamp) -> Result<Seq, StoreError> {
        self.inner.seq_at(workspace, at).await
    }
    async fn versions(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        below: Option<Version>,
        limit: usize,
    ) -> Result<Vec<VersionRow>, StoreError> {
        self.inner.versions(workspace, address, below, limit).await
    }
    async fn version(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        version: Version,
    ) -> Result<Option<VersionRow>, StoreError> {
        self.inner.version(workspace, address, version).await
    }
    async fn version_at(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        seq: Seq,
    ) -> Result<Option<VersionRow>, StoreError> {
        self.inner.version_at(workspace, address, seq).await
    }
    async fn rebuild(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        version: Version,
    ) -> Result<Rebuild, StoreError> {
        self.inner.rebuild(workspace, address, version).await
    }
    fn health(&self) -> StoreHealth {
        self.inner.health()
    }
    fn note_rot(&self, why: &str) {
        self.inner.note_rot(why);
    }
    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.inner.stats().await
    }
    async fn verify(
        &self,
        progress: &(dyn Fn(VerifyStep) + Send + Sync),
    ) -> Result<VerifyReport, StoreError> {
        self.inner.verify(progress).await
    }
    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
