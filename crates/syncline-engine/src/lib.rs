//! Submit, committer, tail and reads: the engine of a Syncline node.
//!
//! A door calls [`Workspace::submit`]; the workspace's committer takes all that waits, decides,
//! appends with one fsync, moves the [`tail`], answers, and rings. Readers follow the tail. The
//! engine knows no doors and no subscribers, and every call carries the principal who acts.

mod aside;
mod asked;
mod batch;
mod blame;
mod branch_merge;
pub mod clock;
mod committer;
mod common;
mod compact;
mod deciding;
mod declared;
mod forms;
mod heads;
mod kept;
mod left;
mod lines;
mod load;
mod outcome;
mod reads;
mod recent_ids;
mod refused;
pub mod settings;
mod stats;
mod subscriptions;
mod subtree;
pub mod tail;
mod told;
mod workspace;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, RwLock};

use syncline_api::{Code, Problem};
use syncline_model::change::Receipt;
use syncline_model::cursor::{CursorKey, Position};
use syncline_model::ids::{ChangeId, Epoch, PrincipalId, Seq, WorkspaceId};
use syncline_model::proposal::Actor;
use syncline_model::record::{IdRow, RecordHash, StoredRecord};
use syncline_model::time::Timestamp;
use syncline_store::{Append, NewWorkspace, Store, VerifyReport, VerifyStep, WorkspaceRow};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

pub use aside::aside;
pub use blame::Blame;
pub use branch_merge::BranchMerge;
pub use clock::{Clock, ManualClock, SystemClock};
pub use compact::{Compacted, Compaction};
pub use declared::ConflictPage;
pub use forms::{FormBase, FormBody, FormKey, Forms};
pub use lines::Branch;
pub use reads::{Diff, ListAnswer, VersionPage, When};
pub use settings::{Settings, TestFaults};
pub use stats::{Health, Stats};
pub use subscriptions::{SUBSCRIPTION_KIND, subscription_address};
pub use subtree::SubtreeAnswer;
pub use syncline_rules::{
    KindRules, Principal, Ranks, Retention, Role, SCHEMA_KIND, Then, WORKSPACE_RULES,
    WorkspaceRules, rules_address, schema_address,
};
pub use tail::Entry;
pub use told::{Told, ToldCounts, ToldTotals};
pub use workspace::{BulkAnswer, Workspace};

use batch::{head_row, version_row};
use committer::{Committer, Job};
use compact::{GROWN_MAX, Grown};
use heads::{CachedHead, Heads};
use load::store_problem;
use recent_ids::RecentIds;
use workspace::{Parts, Shared, Totals, fresh_id};

/// Bounds the jobs that wait for one committer; their bytes are bounded over all workspaces.
const JOBS_MAX: usize = 4_096;

const COMPACTOR: &str = "nothing panics while the compactor is locked";

/// A node's engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: Arc<Settings>,
    heads: Arc<Heads>,
    room: Arc<Semaphore>,
    recent: Arc<tail::Room>,
    totals: Arc<Totals>,
    workspaces: RwLock<HashMap<WorkspaceId, Workspace>>,
    committers: Mutex<Vec<JoinHandle<()>>>,
    /// Thins and frames old versions now and then.
    compactor: Mutex<Option<JoinHandle<()>>>,
    /// Where lines are named that grew.
    grown: mpsc::Sender<Grown>,
    creating: tokio::sync::Mutex<()>,
}

impl Engine {
    /// Opens an engine on a store, and makes the default workspace if there is none.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Engine, Problem> {
        let rows = store.workspaces().await.map_err(store_problem)?;
        let (grown, grows) = mpsc::channel(GROWN_MAX);
        let inner = Inner {
            heads: Arc::new(Heads::new(settings.cache_bytes_max)),
            room: Arc::new(Semaphore::new((settings.queue_bytes_max / 1_024).max(1))),
            recent: Arc::new(tail::Room::new(settings.recent_bytes_max)),
            totals: Arc::default(),
            store,
            clock,
            settings: Arc::new(settings),
            workspaces: RwLock::default(),
            committers: Mutex::default(),
            compactor: Mutex::default(),
            grown,
            creating: tokio::sync::Mutex::default(),
        };
        let engine = Engine {
            inner: Arc::new(inner),
        };
        for row in rows {
            engine.start(row).await?;
        }
        let default = WorkspaceId::default_workspace();
        if engine.workspace(&default).is_err() {
            engine
                .create_workspace(&Principal::owner(), &default)
                .await?;
        }
        let compactor = tokio::spawn(compact::run(Arc::downgrade(&engine.inner), grows));
        *engine.inner.compactor.lock().expect(COMPACTOR) = Some(compactor);
        Ok(engine)
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Returns a workspace.
    pub fn workspace(&self, id: &WorkspaceId) -> Result<Workspace, Problem> {
        self.read_workspaces().get(id).cloned().ok_or_else(|| {
            Problem::new(Code::NotFound, format!("there is no workspace \"{id}\""))
                .hint("POST /v1/workspaces makes one")
        })
    }

    /// Returns all workspaces, by name.
    pub fn workspaces(&self) -> Vec<Workspace> {
        let mut all: Vec<_> = self.read_workspaces().values().cloned().collect();
        all.sort_by(|a, b| a.id().cmp(b.id()));
        all
    }

    fn read_workspaces(&self) -> std::sync::RwLockReadGuard<'_, HashMap<WorkspaceId, Workspace>> {
        self.inner
            .workspaces
            .read()
            .expect("nothing panics while the workspaces are locked")
    }

    /// Makes a workspace; one that is there already is returned as it is.
    pub async fn create_workspace(
        &self,
        _principal: &Principal,
        id: &WorkspaceId,
    ) -> Result<Workspace, Problem> {
        let _one_at_a_time = self.inner.creating.lock().await;
        if let Ok(workspace) = self.workspace(id) {
            return Ok(workspace);
        }
        let limit = self.inner.settings.workspaces_max;
        if self.read_workspaces().len() >= limit {
            return Err(Problem::new(
                Code::TooMany,
                format!("a node has at most {limit} workspaces"),
            )
            .limit(limit as u64, "max_workspaces"));
        }
        let mut random = [0u8; 56];
        getrandom::fill(&mut random).expect("the system gives random bytes");
        let new = NewWorkspace {
            id: id.clone(),
            log: random[..16].try_into().expect("16 bytes"),
            epoch: Epoch(u64::from_be_bytes(
                random[16..24].try_into().expect("8 bytes"),
            )),
            cursor_key: random[24..].try_into().expect("32 bytes"),
            created_at: self.now(),
        };
        let row = self
            .inner
            .store
            .create_workspace(new)
            .await
            .map_err(store_problem)?;
        self.start(row).await
    }

    /// Starts the committer of a workspace, writing its first record if that is missing.
    async fn start(&self, row: WorkspaceRow) -> Result<Workspace, Problem> {
        let row = if row.last == Seq::ZERO {
            self.begin_log(row).await?
        } else {
            row
        };
        let inner = &self.inner;
        let end = Position {
            epoch: row.epoch,
            seq: row.last,
            tag: row.last_hash.tag(),
        };
        let shared = Arc::new(Shared::new(Parts {
            key: CursorKey::new(&row.cursor_key, &row.id),
            id: row.id.clone(),
            store: inner.store.clone(),
            clock: inner.clock.clone(),
            settings: inner.settings.clone(),
            heads: inner.heads.clone(),
            end,
            low_water: row.low_water,
            room: inner.room.clone(),
            recent: inner.recent.clone(),
            totals: inner.totals.clone(),
            grown: inner.grown.clone(),
        }));
        let (jobs, waiting) = mpsc::channel::<Job>(JOBS_MAX);
        let newest = inner
            .store
            .newest_id(&row.id)
            .await
            .map_err(store_problem)?;
        let end = (row.last_hash, row.last_committed_at);
        let committer = Committer::new(shared.clone(), end, RecentIds::after(newest));
        let task = tokio::spawn(committer.run(waiting));
        inner
            .committers
            .lock()
            .expect("nothing panics while the committers are locked")
            .push(task);
        let workspace = Workspace { shared, jobs };
        inner
            .workspaces
            .write()
            .expect("nothing panics while the workspaces are locked")
            .insert(row.id, workspace.clone());
        Ok(workspace)
    }

    /// Writes the record that every log begins with: `global/main`.
    async fn begin_log(&self, row: WorkspaceRow) -> Result<WorkspaceRow, Problem> {
        let actor = Actor::from_principal(PrincipalId::system());
        let step = syncline_rules::genesis(self.now(), actor);
        let mut salt = [0u8; 16];
        getrandom::fill(&mut salt).expect("the system gives random bytes");
        let before = RecordHash::genesis(&row.log);
        let record = StoredRecord::seal(Seq(1), &step.change, salt, &before);
        let last_hash = record.header.hash;
        let last_committed_at = step.change.committed_at;
        let append = first_append(step, record);
        self.inner
            .store
            .append(&row.id, Seq::ZERO, append)
            .await
            .map_err(store_problem)?;
        Ok(WorkspaceRow {
            last: Seq(1),
            last_hash,
            last_committed_at,
            contexts: 1,
            ..row
        })
    }

    /// Draws a change id, for writers that sent none.
    pub fn fresh_id(&self) -> ChangeId {
        fresh_id(&*self.inner.clock)
    }

    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Judges the node's health; never waits for the writer.
    pub fn health(&self) -> Health {
        let slow = self.inner.settings.commit_slow;
        let workspaces = self.workspaces();
        let stuck = workspaces
            .iter()
            .filter_map(|w| w.shared.committing.elapsed())
            .max();
        let stuck = stuck
            .filter(|elapsed| *elapsed > slow)
            .map(|elapsed| elapsed.as_millis());
        let recovering = workspaces
            .iter()
            .any(|w| w.shared.recovering.load(Ordering::SeqCst));
        Health::judge(&self.inner.store.health(), stuck, recovering)
    }

    /// Counts what there is.
    pub async fn stats(&self) -> Result<Stats, Problem> {
        let store = self.inner.store.stats().await.map_err(store_problem)?;
        let rows = self.inner.store.workspaces().await.map_err(store_problem)?;
        let (cache_hits, cache_misses, cache_heads, cache_bytes) = self.inner.heads.counts();
        let totals = &self.inner.totals;
        Ok(Stats {
            contexts: rows.iter().map(|row| row.contexts).sum(),
            records: rows.iter().map(|row| row.last.0).sum(),
            commits: totals.commits.load(Ordering::Relaxed),
            changes: totals.changes.load(Ordering::Relaxed),
            refusals: totals.refusals.load(Ordering::Relaxed),
            met: std::array::from_fn(|at| totals.met[at].load(Ordering::Relaxed)),
            store_bytes: store.bytes,
            last_commit_us: store.last_commit_us,
            cache_hits,
            cache_misses,
            cache_heads,
            cache_bytes,
        })
    }

    /// Checks everything that is stored.
    pub async fn verify(
        &self,
        progress: &(dyn Fn(VerifyStep) + Send + Sync),
    ) -> Result<VerifyReport, Problem> {
        self.inner
            .store
            .verify(progress)
            .await
            .map_err(store_problem)
    }

    /// Lets the committers finish what waits, then closes the store. Handles that are still out
    /// hear that the node is stopping.
    pub async fn shutdown(&self) {
        self.inner
            .workspaces
            .write()
            .expect("nothing panics while the workspaces are locked")
            .clear();
        self.inner.room.close();
        let compactor = self.inner.compactor.lock().expect(COMPACTOR).take();
        if let Some(compactor) = compactor {
            // Each of its steps is whole or not done.
            compactor.abort();
        }
        let tasks: Vec<_> = {
            let mut tasks = self
                .inner
                .committers
                .lock()
                .expect("nothing panics while locked");
            tasks.drain(..).collect()
        };
        for task in tasks {
            // Handles that doors still hold keep a committer's channel open: it is given a moment
            // for what waits, and no more.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), task).await;
        }
        if let Err(error) = self.inner.store.close().await {
            tracing::warn!(%error, "the store did not close cleanly");
        }
    }
}

fn first_append(step: syncline_rules::Step, record: StoredRecord) -> Append {
    let change = step.change;
    let mut head = step.head;
    head.seq = Seq(1);
    let version = version_row(&change, Seq(1), None);
    let row = head_row(&CachedHead::new(Arc::new(head), 0));
    let receipt = Receipt::of_change(&change, Seq(1));
    let outcome = outcome::Settled::Accepted(receipt).to_bytes();
    // Nobody sent this id: no digest matches it.
    let id = IdRow {
        id: change.id,
        digest: [0; 32],
        outcome,
    };
    Append {
        records: vec![record],
        versions: vec![version],
        heads: vec![row],
        ids: vec![id],
        conflicts: Vec::new(),
    }
}
