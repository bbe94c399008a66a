//! The memory store: the same promises as on disk, durability apart.

mod kept;
mod list;
mod thin;
mod verify;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use syncline_model::conflict::{Conflict, ConflictId};
use syncline_model::ids::{Address, ChangeId, Epoch, Seq, Version, WorkspaceId};
use syncline_model::record::{IdRow, RecordHash, RecordHeader, RotError, StoredRecord};
use syncline_model::time::Timestamp;

use crate::check::check_append;
use crate::error::StoreError;
use crate::fault::{CommitFault, ReadFault};
use crate::kept::{Kept, KeptQuery, KeptValue, check_kept};
use crate::list::{ListPage, ListQuery};
use crate::rows::{
    Append, Appended, ConflictQuery, HeadBody, HeadRow, NewWorkspace, Rebuild, StoreHealth,
    StoreStats, VersionRow, WorkspaceRow,
};
use crate::subtree::{SubtreePage, TreePlace, subtree_page};
use crate::thin::{Thinned, Thinning};
use crate::traits::{Store, VerifyReport, VerifyStep};

use list::Family;

/// Keeps everything in memory: for tests, and for a node that is to forget.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    workspaces: BTreeMap<WorkspaceId, Workspace>,
    commits: u64,
    records: u64,
    fault: Option<CommitFault>,
    read_fault: Option<ReadFault>,
    unknown: Option<String>,
    rot: Option<String>,
    closed: bool,
}

#[derive(Debug)]
struct Workspace {
    row: WorkspaceRow,
    records: Vec<StoredRecord>,
    ids: HashMap<ChangeId, IdRow>,
    /// By the keys of their lines.
    contexts: BTreeMap<Address, Context>,
    conflicts: BTreeMap<ConflictId, Conflict>,
    kept: kept::Spaces,
}

/// One line of a context's versions.
#[derive(Debug)]
struct Context {
    head: HeadRow,
    /// Version n at n - 1.
    versions: Vec<VersionRow>,
}

impl MemoryStore {
    /// Makes an empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// Makes an empty store of which one commit will fail.
    pub fn with_fault(fault: CommitFault) -> MemoryStore {
        let store = MemoryStore::default();
        store.lock().fault = Some(fault);
        store
    }

    /// Makes a record unreadable, or all of them readable again.
    pub fn set_read_fault(&self, fault: Option<ReadFault>) {
        self.lock().read_fault = fault;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below leaves the state half changed: an append checks first and then cannot fail.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn workspace(&self, id: &WorkspaceId) -> Result<&Workspace, StoreError> {
        if self.closed {
            return Err(StoreError::Closed);
        }
        self.workspaces
            .get(id)
            .ok_or_else(|| StoreError::NoWorkspace(id.to_string()))
    }

    /// Counts a commit and does it, unless a test wants it to fail.
    fn commit(
        &mut self,
        workspace: &WorkspaceId,
        write: impl FnOnce(&mut Workspace),
        records: u64,
    ) -> Result<(), StoreError> {
        self.commits += 1;
        let fault = self.fault.filter(|fault| fault.at == self.commits);
        if fault.is_none_or(|fault| fault.written) {
            self.records += records;
            if let Some(found) = self.workspaces.get_mut(workspace) {
                write(found);
            }
        }
        if fault.is_some() {
            self.unknown = Some("a fault that a test asked for".to_owned());
        }
        self.writable()
    }

    fn readable(&self, seq: Seq) -> Result<(), StoreError> {
        match self.read_fault {
            Some(ReadFault::Rot(at)) if at == seq => Err(RotError::Commitment(seq).into()),
            Some(ReadFault::Failed(at)) if at == seq => {
                Err(StoreError::Read("a fault that a test asked for".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn writable(&self) -> Result<(), StoreError> {
        match &self.unknown {
            _ if self.closed => Err(StoreError::Closed),
            Some(why) => Err(StoreError::Unknown(why.clone())),
            None => Ok(()),
        }
    }
}

impl Workspace {
    fn new(new: NewWorkspace) -> Workspace {
        let row = WorkspaceRow {
            id: new.id,
            log: new.log,
            epoch: new.epoch,
            cursor_key: new.cursor_key,
            last: Seq::ZERO,
            last_hash: RecordHash::genesis(&new.log),
            last_committed_at: new.created_at,
            low_water: Seq::ZERO,
            contexts: 0,
        };
        Workspace {
            row,
            records: Vec::new(),
            ids: HashMap::new(),
            contexts: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            kept: kept::Spaces::default(),
        }
    }

    /// Checks what [`check_append`] cannot know: that no id is there and versions follow.
    fn check(&self, batch: &Append) -> Result<(), StoreError> {
        let mut ids = HashSet::new();
        if let Some(row) = batch
            .ids
            .iter()
            .find(|r| self.ids.contains_key(&r.id) || !ids.insert(r.id))
        {
            return Err(StoreError::NotWritten(format!(
                "change id {} is there already",
                row.id
            )));
        }
        let mut last: HashMap<&Address, Version> = HashMap::new();
        for row in &batch.versions {
            let before = last
                .get(&row.address)
                .copied()
                .unwrap_or_else(|| self.version_of(&row.address));
            if row.version != before.next() {
                let why = format!("{} v{} does not follow v{before}", row.address, row.version);
                return Err(StoreError::NotWritten(why));
            }
            last.insert(&row.address, row.version);
        }
        if let Some((address, _)) = last
            .iter()
            .find(|(a, _)| !batch.heads.iter().any(|h| h.address == ***a))
        {
            return Err(StoreError::NotWritten(format!("no head for {address}")));
        }
        match batch
            .heads
            .iter()
            .find(|head| last.get(&head.address) != Some(&head.version))
        {
            Some(head) => {
                let why = format!("the head of {} is not its newest version", head.address);
                Err(StoreError::NotWritten(why))
            }
            None => Ok(()),
        }
    }

    fn version_of(&self, address: &Address) -> Version {
        self.contexts
            .get(address)
            .map_or(Version::ZERO, |context| context.head.version)
    }

    fn apply(&mut self, batch: Append) {
        for mut head in batch.heads {
            let main = is_main(&head.address);
            if main && !head.deleted {
                self.row.contexts += 1;
            }
            match self.contexts.get_mut(&head.address) {
                Some(context) => {
                    if main && !context.head.deleted {
                        self.row.contexts -= 1;
                    }
                    if head.body.is_none() {
                        head.body = context.head.body.take();
                    }
                    context.head = head;
                }
                None => {
                    let context = Context {
                        head,
                        versions: Vec::new(),
                    };
                    self.contexts.insert(context.head.address.clone(), context);
                }
            }
        }
        for row in batch.versions {
            if let Some(context) = self.contexts.get_mut(&row.address) {
                context.versions.push(row);
            }
        }
        self.ids
            .extend(batch.ids.into_iter().map(|row| (row.id, row)));
        let conflicts = batch.conflicts.into_iter();
        self.conflicts
            .extend(conflicts.map(|conflict| (conflict.id, conflict)));
        if let Some(record) = batch.records.last() {
            self.row.last = record.header.seq;
            self.row.last_hash = record.header.hash;
            self.row.last_committed_at = record.header.committed_at;
        }
        self.records.extend(batch.records);
    }

    fn record(&self, seq: Seq) -> Option<&StoredRecord> {
        self.records
            .get(usize::try_from(seq.0.checked_sub(1)?).ok()?)
    }

    fn versions(&self, address: &Address) -> &[VersionRow] {
        self.contexts
            .get(address)
            .map_or(&[], |context| &context.versions)
    }

    fn conflicts(&self, query: &ConflictQuery) -> Vec<Conflict> {
        let from = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let wanted = |conflict: &&Conflict| {
            let here = query.context.as_ref();
            (conflict.is_open() || !query.open) && here.is_none_or(|of| *of == conflict.context)
        };
        let after = self.conflicts.range((from, Bound::Unbounded));
        let found = after.map(|(_, conflict)| conflict).filter(wanted);
        found.take(query.limit).cloned().collect()
    }

    /// Returns the heads of a context's branches. Their keys follow its address in the order of
    /// their names, since what joins the two stands before all that an address may hold.
    fn branches(&self, address: &Address) -> Vec<HeadRow> {
        let after = (Bound::Excluded(address), Bound::Unbounded);
        let lines = self.contexts.range::<Address, _>(after);
        let branch = |context: &Context| {
            let (of, branch) = context.head.address.of_line();
            branch.is_some() && of == *address
        };
        lines
            .map(|(_, context)| context)
            .take_while(|context| branch(context))
            .map(|context| bodiless(&context.head))
            .collect()
    }

    fn rebuild(&self, address: &Address, version: Version) -> Result<Rebuild, StoreError> {
        let Some(context) = self.contexts.get(address) else {
            return Ok(Rebuild::default());
        };
        let rows = &context.versions;
        let Some(upto) = rows.iter().position(|row| row.version == version) else {
            return Ok(Rebuild::default());
        };
        if rows[upto].thinned {
            let oldest = self.row.low_water.next();
            return Err(StoreError::Compacted { oldest });
        }
        let stored = |row: &VersionRow| {
            let snapshot = row.snapshot.clone().map(|bytes| HeadBody {
                version: row.version,
                bytes,
            });
            snapshot.or_else(|| {
                context
                    .head
                    .body
                    .clone()
                    .filter(|body| body.version == row.version)
            })
        };
        let nearest = (0..=upto)
            .rev()
            .find(|at| rows[*at].whole || stored(&rows[*at]).is_some());
        let first = nearest.unwrap_or(0);
        let start = stored(&rows[first]);
        let from = first + usize::from(start.is_some());
        let records = rows[from..=upto]
            .iter()
            .filter_map(|row| self.record(row.seq));
        let records = records.cloned().collect();
        Ok(Rebuild {
            start,
            records,
            hash: Some(rows[upto].hash),
        })
    }
}

fn is_main(line: &Address) -> bool {
    line.of_line().1.is_none()
}

fn bodiless(head: &HeadRow) -> HeadRow {
    HeadRow {
        body: None,
        ..head.clone()
    }
}

fn bare(row: &VersionRow) -> VersionRow {
    VersionRow {
        snapshot: None,
        ..row.clone()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn workspaces(&self) -> Result<Vec<WorkspaceRow>, StoreError> {
        let state = self.lock();
        if state.closed {
            return Err(StoreError::Closed);
        }
        Ok(state
            .workspaces
            .values()
            .map(|workspace| workspace.row.clone())
            .collect())
    }

    async fn create_workspace(&self, new: NewWorkspace) -> Result<WorkspaceRow, StoreError> {
        let mut state = self.lock();
        state.writable()?;
        let id = new.id.clone();
        let workspace = state
            .workspaces
            .entry(id)
            .or_insert_with(|| Workspace::new(new));
        Ok(workspace.row.clone())
    }

    async fn set_epoch(&self, workspace: &WorkspaceId, epoch: Epoch) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.writable()?;
        state.workspace(workspace)?;
        if let Some(found) = state.workspaces.get_mut(workspace) {
            found.row.epoch = epoch;
        }
        Ok(())
    }

    async fn append(
        &self,
        workspace: &WorkspaceId,
        after: Seq,
        batch: Append,
    ) -> Result<Appended, StoreError> {
        let mut state = self.lock();
        state.writable()?;
        let found = state.workspace(workspace)?;
        check_append(found.row.last, &found.row.last_hash, after, &batch)?;
        found.check(&batch)?;
        let records = batch.records.len() as u64;
        state.commit(workspace, |found| found.apply(batch), records)?;
        Ok(Appended {
            last: state.workspace(workspace)?.row.last,
        })
    }

    async fn keep(&self, workspace: &WorkspaceId, values: Vec<Kept>) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.writable()?;
        state.workspace(workspace)?;
        check_kept(&values)?;
        state.commit(workspace, |found| found.kept.keep(values), 0)
    }

    async fn kept(
        &self,
        workspace: &WorkspaceId,
        query: &KeptQuery,
    ) -> Result<Vec<KeptValue>, StoreError> {
        Ok(self.lock().workspace(workspace)?.kept.page(query))
    }

    async fn recover(&self) -> Result<Vec<WorkspaceRow>, StoreError> {
        self.lock().unknown = None;
        self.workspaces().await
    }

    async fn ids(
        &self,
        workspace: &WorkspaceId,
        ids: &[ChangeId],
    ) -> Result<Vec<Option<IdRow>>, StoreError> {
        let state = self.lock();
        let found = state.workspace(workspace)?;
        Ok(ids.iter().map(|id| found.ids.get(id).cloned()).collect())
    }

    async fn newest_id(&self, workspace: &WorkspaceId) -> Result<Option<ChangeId>, StoreError> {
        let state = self.lock();
        Ok(state.workspace(workspace)?.ids.keys().max().copied())
    }

    async fn heads(
        &self,
        workspace: &WorkspaceId,
        addresses: &[Address],
    ) -> Result<Vec<Option<HeadRow>>, StoreError> {
        let state = self.lock();
        let found = state.workspace(workspace)?;
        let head = |address| {
            found
                .contexts
                .get(address)
                .map(|context| context.head.clone())
        };
        Ok(addresses.iter().map(head).collect())
    }

    async fn list(
        &self,
        workspace: &WorkspaceId,
        query: &ListQuery,
    ) -> Result<ListPage, StoreError> {
        Ok(self.lock().workspace(workspace)?.list(query))
    }

    async fn subtree(
        &self,
        workspace: &WorkspaceId,
        root: &Address,
        after: Option<TreePlace>,
        limit: usize,
    ) -> Result<SubtreePage, StoreError> {
        let stores = self.lock();
        let tree = Family::of(stores.workspace(workspace)?);
        subtree_page(&tree, root, after, limit)
    }

    async fn height(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        levels_max: usize,
    ) -> Result<usize, StoreError> {
        let stores = self.lock();
        let tree = Family::of(stores.workspace(workspace)?);
        let (mut level, mut levels) = (vec![address], 0);
        while levels < levels_max {
            let children = level.iter().filter_map(|parent| tree.children.get(parent));
            level = children.flatten().copied().collect();
            if level.is_empty() {
                break;
            }
            levels += 1;
        }
        Ok(levels)
    }

    async fn records(
        &self,
        workspace: &WorkspaceId,
        after: Seq,
        until: Seq,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let state = self.lock();
        let found = state.workspace(workspace)?;
        if after < found.row.low_water {
            let oldest = found.row.low_water.next();
            return Err(StoreError::Compacted { oldest });
        }
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut seq = after.next();
        while seq <= until && records.len() < limit && (records.is_empty() || bytes < bytes_max) {
            let Some(record) = found.record(seq) else {
                break;
            };
            match state.readable(seq) {
                Err(StoreError::Read(_)) if !records.is_empty() => break,
                readable => readable?,
            }
            bytes += record.body.len();
            records.push(record.clone());
            seq = seq.next();
        }
        Ok(records)
    }

    async fn record(
        &self,
        workspace: &WorkspaceId,
        seq: Seq,
    ) -> Result<Option<StoredRecord>, StoreError> {
        let state = self.lock();
        let found = state.workspace(workspace)?.record(seq);
        Ok(found.filter(|record| !record.is_thinned()).cloned())
    }

    async fn header(
        &self,
        workspace: &WorkspaceId,
        seq: Seq,
    ) -> Result<Option<RecordHeader>, StoreError> {
        let state = self.lock();
        let found = state.workspace(workspace)?.record(seq);
        Ok(found.map(|record| record.header))
    }

    async fn seq_at(&self, workspace: &WorkspaceId, at: Timestamp) -> Result<Seq, StoreError> {
        let state = self.lock();
        let records = &state.workspace(workspace)?.records;
        Ok(Seq(
            records.partition_point(|record| record.header.committed_at <= at) as u64,
        ))
    }

    async fn versions(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        below: Option<Version>,
        limit: usize,
    ) -> Result<Vec<VersionRow>, StoreError> {
        let state = self.lock();
        let rows = state.workspace(workspace)?.versions(address).iter().rev();
        let rows = rows.filter(|row| below.is_none_or(|below| row.version < below));
        let rows = rows.filter(|row| !row.thinned);
        Ok(rows.take(limit).map(bare).collect())
    }

    async fn version(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        version: Version,
    ) -> Result<Option<VersionRow>, StoreError> {
        let state = self.lock();
        let mut rows = state.workspace(workspace)?.versions(address).iter();
        Ok(rows.find(|row| row.version == version).map(bare))
    }

    async fn version_at(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        seq: Seq,
    ) -> Result<Option<VersionRow>, StoreError> {
        let state = self.lock();
        let mut rows = state.workspace(workspace)?.versions(address).iter().rev();
        Ok(rows.find(|row| row.seq <= seq).map(bare))
    }

    async fn rebuild(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        version: Version,
    ) -> Result<Rebuild, StoreError> {
        self.lock().workspace(workspace)?.rebuild(address, version)
    }

    async fn conflict(
        &self,
        workspace: &WorkspaceId,
        id: &ConflictId,
    ) -> Result<Option<Conflict>, StoreError> {
        let state = self.lock();
        Ok(state.workspace(workspace)?.conflicts.get(id).cloned())
    }

    async fn conflicts(
        &self,
        workspace: &WorkspaceId,
        query: &ConflictQuery,
    ) -> Result<Vec<Conflict>, StoreError> {
        Ok(self.lock().workspace(workspace)?.conflicts(query))
    }

    async fn conflicts_open(&self, workspace: &WorkspaceId) -> Result<u64, StoreError> {
        let state = self.lock();
        let all = state.workspace(workspace)?.conflicts.values();
        Ok(all.filter(|conflict| conflict.is_open()).count() as u64)
    }

    async fn branches(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
    ) -> Result<Vec<HeadRow>, StoreError> {
        Ok(self.lock().workspace(workspace)?.branches(address))
    }

    async fn thin(
        &self,
        workspace: &WorkspaceId,
        thinning: Thinning,
    ) -> Result<Thinned, StoreError> {
        let mut state = self.lock();
        state.writable()?;
        state.workspace(workspace)?;
        match state.workspaces.get_mut(workspace) {
            Some(found) => found.thin(&thinning),
            None => Err(StoreError::NoWorkspace(workspace.to_string())),
        }
    }

    fn health(&self) -> StoreHealth {
        let inner = self.lock();
        match (&inner.unknown, &inner.rot) {
            (Some(why), _) => StoreHealth::Unknown(why.clone()),
            (None, Some(why)) => StoreHealth::Damaged(why.clone()),
            (None, None) => StoreHealth::Good,
        }
    }

    fn note_rot(&self, why: &str) {
        self.lock().rot = Some(why.to_owned());
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let state = self.lock();
        Ok(StoreStats {
            commits: state.commits,
            records: state.records,
            ..StoreStats::default()
        })
    }

    async fn verify(
        &self,
        progress: &(dyn Fn(VerifyStep) + Send + Sync),
    ) -> Result<VerifyReport, StoreError> {
        let state = self.lock();
        let mut report = VerifyReport::default();
        for workspace in state.workspaces.values() {
            report.workspaces += 1;
            workspace.verify(&mut report);
            let total = workspace.row.last.0;
            progress(VerifyStep {
                workspace: workspace.row.id.clone(),
                checked: total,
                total,
            });
        }
        Ok(report)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lock().closed = true;
        Ok(())
    }
}
