//! Makes batches as an engine would, and remembers what a store should answer.
//!
//! The suite uses it, and backends' own tests may.
#![expect(missing_docs, reason = "fields that are named as what they hold")]

mod batch;

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_model::conflict::{Conflict, ConflictId, ConflictKind, ConflictState, Strategy};
use syncline_model::document::Document;
use syncline_model::ids::{
    Address, BranchName, ChangeId, Epoch, PrincipalId, Seq, Version, WorkspaceId,
};
use syncline_model::json::{Json, Limits, Pointer};
use syncline_model::proposal::Actor;
use syncline_model::record::{IdRow, RecordHash, StoredRecord, pack};
use syncline_model::time::Timestamp;

pub use batch::Batch;

use crate::{Append, ConflictQuery, HeadRow, NewWorkspace, Store, VersionRow};

/// What a scribe's clock shows first.
pub const START: Timestamp = Timestamp(1_700_000_000_000);

/// Writes one workspace's log.
#[derive(Clone)]
pub struct Scribe {
    pub id: WorkspaceId,
    pub log: [u8; 16],
    pub last: Seq,
    pub last_hash: RecordHash,
    pub now: Timestamp,
    pub records: Vec<StoredRecord>,
    /// By the keys of their lines.
    pub contexts: BTreeMap<Address, History>,
    pub ids: Vec<IdRow>,
    pub conflicts: BTreeMap<ConflictId, Conflict>,
    count: u64,
}

/// What was written of one line of a context.
#[derive(Clone)]
pub struct History {
    pub head: HeadRow,
    /// Version n at n - 1.
    pub versions: Vec<VersionRow>,
    /// The document after version n at n - 1.
    pub documents: Vec<Document>,
}

/// How the next version of a context is stored.
#[derive(Clone, Copy, Default)]
pub struct Form {
    /// Leave the stored body as it is.
    pub without_body: bool,
    /// Keep the whole document beside the version.
    pub snapshot: bool,
}

pub fn address(text: &str) -> Address {
    Address::parse(text).expect("a test's address is one")
}

pub fn branch(text: &str) -> BranchName {
    BranchName::parse(text).expect("a test's branch is one")
}

/// Returns the key of a context's branch.
pub fn line(at: &str, name: &str) -> Address {
    address(at).line(Some(&branch(name)))
}

pub fn workspace_id(text: &str) -> WorkspaceId {
    WorkspaceId::parse(text).expect("a test's workspace is one")
}

pub fn document(text: &str) -> Document {
    let json = Json::parse(text.as_bytes(), &Limits::default()).expect("a test's document is JSON");
    Document::from_json(&json, &Pointer::root()).expect("a test's document is one")
}

/// Returns a change id that only this number gives.
pub fn change_id(number: u64) -> ChangeId {
    let mut random = [0u8; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    ChangeId::from_parts(1_700_000_000_000 + number, &random)
}

/// Returns a conflict that waits, and that only this number and path give.
pub fn conflict(number: u64, line: &Address, path: &str) -> Conflict {
    let (context, branch) = line.of_line();
    let side = |text: &str| Some(Json::from(format!("{text} é {number}").as_str()));
    Conflict {
        id: ConflictId::new(change_id(number), path),
        version: 1,
        context,
        branch,
        path: path.into(),
        kind: ConflictKind::Data,
        reason: "both sides changed it".into(),
        base: None,
        ours: side("ours"),
        theirs: side("theirs"),
        strategy: Strategy::Manual,
        by_ours: Actor::from_principal(PrincipalId::owner()),
        by_theirs: Actor::from_principal(PrincipalId::system()),
        message: None,
        created_at: START,
        deadline: Timestamp(START.0 + 86_400_000),
        opened: Version(1),
        reopened: None,
        revised: None,
        state: ConflictState::Open,
        closed: None,
        settled_by: None,
    }
}

impl Scribe {
    /// Makes the workspace in the store.
    pub async fn start(store: &dyn Store, name: &str) -> Scribe {
        let id = workspace_id(name);
        let mut log = [7u8; 16];
        log[..name.len().min(16)].copy_from_slice(&name.as_bytes()[..name.len().min(16)]);
        let new = NewWorkspace {
            id: id.clone(),
            log,
            epoch: Epoch(0xFFFF_FFFF_0000_0001),
            cursor_key: [3; 32],
            created_at: START,
        };
        let row = store
            .create_workspace(new)
            .await
            .expect("a workspace can be made");
        assert_eq!(
            (row.last, row.last_hash),
            (Seq::ZERO, RecordHash::genesis(&log))
        );
        Scribe {
            id,
            log,
            last: Seq::ZERO,
            last_hash: RecordHash::genesis(&log),
            now: START,
            records: Vec::new(),
            contexts: BTreeMap::new(),
            ids: Vec::new(),
            conflicts: BTreeMap::new(),
            count: 0,
        }
    }

    /// Begins a batch on what was written before.
    pub fn batch(&mut self) -> Batch<'_> {
        Batch {
            after: self.last,
            append: Append::default(),
            branch: None,
            conflicts: Vec::new(),
            scribe: self,
        }
    }

    /// Writes one document and appends it.
    pub async fn put(&mut self, store: &dyn Store, at: &str, text: &str) {
        self.put_as(store, at, text, Form::default()).await;
    }

    /// Writes one document in the form asked for and appends it.
    pub async fn put_as(&mut self, store: &dyn Store, at: &str, text: &str, form: Form) {
        let mut batch = self.batch();
        batch.put(at, text, form);
        batch.send(store).await;
    }

    /// Deletes a context and appends that.
    pub async fn delete(&mut self, store: &dyn Store, at: &str) {
        let mut batch = self.batch();
        batch.delete(at);
        batch.send(store).await;
    }

    fn next_id(&mut self) -> ChangeId {
        self.count += 1;
        change_id(self.count)
    }

    fn row_of(&mut self, id: ChangeId) -> IdRow {
        let mut digest = [0u8; 32];
        digest[..16].copy_from_slice(id.as_bytes());
        let outcome = pack(&format!(r#"{{"seq":{}}}"#, self.last));
        IdRow {
            id,
            digest,
            outcome,
        }
    }
}

impl Scribe {
    fn remember(&mut self, mut head: HeadRow, row: &VersionRow, document: Document) {
        let row = VersionRow {
            snapshot: None,
            ..row.clone()
        };
        match self.contexts.get_mut(&head.address) {
            Some(history) => {
                head.body = head.body.or_else(|| history.head.body.take());
                history.head = head;
                history.versions.push(row);
                history.documents.push(document);
            }
            None => {
                let history = History {
                    head,
                    versions: vec![row],
                    documents: vec![document],
                };
                self.contexts.insert(history.head.address.clone(), history);
            }
        }
    }

    /// Returns what the store should answer for these heads.
    pub fn heads(&self, addresses: &[Address]) -> Vec<Option<HeadRow>> {
        addresses
            .iter()
            .map(|a| self.contexts.get(a).map(|history| history.head.clone()))
            .collect()
    }

    /// Returns the keys of all lines.
    pub fn addresses(&self) -> Vec<Address> {
        self.contexts.keys().cloned().collect()
    }
}

impl History {
    /// Returns the newest document.
    pub fn document(&self) -> &Document {
        self.documents.last().expect("a history has a version")
    }
}

/// Small numbers that look random and are the same in each run.
pub struct Dice(pub u64);

impl Dice {
    /// Returns a number below `sides` (SplitMix64; Steele, Lea and Flood 2014).
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap_or(0)
    }

    /// Returns one of the items.
    pub fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.roll(items.len())].clone()
    }
}

/// Waits for all of `futures` at once.
pub async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in waiting.iter_mut().zip(&mut done) {
            if slot.is_some() {
                continue;
            }
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *slot = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// Reads a whole log.
pub async fn whole_log(store: &dyn Store, id: &WorkspaceId) -> Vec<StoredRecord> {
    store
        .records(id, Seq::ZERO, Seq(u64::MAX >> 1), usize::MAX, usize::MAX)
        .await
        .expect("a log")
}

/// Everything of a workspace that reads show, to compare before and after.
#[derive(Debug, PartialEq)]
pub struct Shown {
    workspaces: Vec<crate::WorkspaceRow>,
    records: Vec<StoredRecord>,
    heads: Vec<Option<HeadRow>>,
    ids: Vec<Option<IdRow>>,
    versions: Vec<Vec<VersionRow>>,
    conflicts: Vec<Conflict>,
}

/// Reads everything that the scribe knows of.
pub async fn shown(store: &dyn Store, scribe: &Scribe) -> Shown {
    let addresses = scribe.addresses();
    let ids: Vec<_> = scribe.ids.iter().map(|row| row.id).collect();
    let mut versions = Vec::new();
    for address in &addresses {
        versions.push(
            store
                .versions(&scribe.id, address, None, usize::MAX)
                .await
                .expect("versions"),
        );
    }
    Shown {
        workspaces: store.workspaces().await.expect("workspaces"),
        records: whole_log(store, &scribe.id).await,
        heads: store.heads(&scribe.id, &addresses).await.expect("heads"),
        ids: store.ids(&scribe.id, &ids).await.expect("ids"),
        versions,
        conflicts: store
            .conflicts(&scribe.id, &all_conflicts())
            .await
            .expect("conflicts"),
    }
}

/// Asks for all conflicts, by id.
pub fn all_conflicts() -> ConflictQuery {
    ConflictQuery {
        limit: usize::MAX,
        ..ConflictQuery::default()
    }
}

/// Checks that the store shows exactly what the scribe wrote.
pub async fn check_shown(store: &dyn Store, scribe: &Scribe) {
    let found = shown(store, scribe).await;
    let row = found
        .workspaces
        .iter()
        .find(|row| row.id == scribe.id)
        .expect("the workspace");
    assert_eq!((row.last, row.last_hash), (scribe.last, scribe.last_hash));
    let live = scribe
        .contexts
        .iter()
        .filter(|(line, history)| line.of_line().1.is_none() && !history.head.deleted)
        .count();
    assert_eq!(row.contexts, live as u64);
    assert_eq!(found.records, scribe.records);
    assert_eq!(found.heads, scribe.heads(&scribe.addresses()));
    assert_eq!(
        found.ids,
        scribe.ids.iter().cloned().map(Some).collect::<Vec<_>>()
    );
    assert!(found.conflicts.iter().eq(scribe.conflicts.values()));
    let open = scribe.conflicts.values().filter(|c| c.is_open()).count();
    let counted = store.conflicts_open(&scribe.id).await.expect("a count");
    assert_eq!(counted, open as u64);
    for (history, mut versions) in scribe.contexts.values().zip(found.versions) {
        versions.reverse();
        assert_eq!(versions, history.versions);
    }
}

/// A store under test.
pub type Shared = Arc<dyn Store>;
