//! The trait that every backend keeps.

use async_trait::async_trait;
use syncline_model::conflict::{Conflict, ConflictId};
use syncline_model::ids::{Address, ChangeId, Epoch, Seq, Version, WorkspaceId};
use syncline_model::record::{IdRow, RecordHeader, StoredRecord};
use syncline_model::time::Timestamp;

use crate::error::StoreError;
use crate::frame::{Framed, Unframed};
use crate::kept::{Kept, KeptQuery, KeptValue};
use crate::list::{ListPage, ListQuery};
use crate::rows::{
    Append, Appended, ConflictQuery, HeadRow, NewWorkspace, Rebuild, StoreHealth, StoreStats,
    VersionRow, WorkspaceRow,
};
use crate::subtree::{SubtreePage, TreePlace};
use crate::thin::{Thinned, Thinning};

/// Keeps logs and what is derived from them.
///
/// Reads see every append that was answered before they began, and may see one that is not yet
/// answered: the engine hides what lies past its tail. All promises are tests in
/// [`crate::conformance`].
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Returns all workspaces.
    async fn workspaces(&self) -> Result<Vec<WorkspaceRow>, StoreError>;

    /// Makes a workspace, durably, and returns it; one that is there already is returned as it is.
    async fn create_workspace(&self, new: NewWorkspace) -> Result<WorkspaceRow, StoreError>;

    /// Gives the workspace a new epoch, durably: its log was found to be restored from a backup.
    async fn set_epoch(&self, workspace: &WorkspaceId, epoch: Epoch) -> Result<(), StoreError>;

    /// Appends the batch in one transaction, in order, if `after` is still the last seq.
    ///
    /// Returns after the bytes are on disk (P1). Appends of several workspaces that wait share
    /// one fsync, each failing alone. Another last seq writes nothing and is
    /// [`StoreError::Moved`]; a full disk writes nothing and is [`StoreError::Full`]; a failure
    /// from COMMIT on is [`StoreError::Unknown`] for all that shared it (P1, P3). A batch that does
    /// not follow the log ([`crate::check_append`]) or the contexts' versions, or that has an id
    /// which is there already, is [`StoreError::NotWritten`].
    async fn append(
        &self,
        workspace: &WorkspaceId,
        after: Seq,
        batch: Append,
    ) -> Result<Appended, StoreError>;

    /// Keeps or forgets small values beside the log, all of them or none; of two with one name
    /// the later counts.
    ///
    /// Returns after the bytes are on disk, as an append does, and shares its fsync with those
    /// that wait; it fails as an append does. What is beyond the limits ([`crate::check_kept`]) is
    /// [`StoreError::NotWritten`]. A log that is restored from a backup has these as of then.
    async fn keep(&self, workspace: &WorkspaceId, values: Vec<Kept>) -> Result<(), StoreError>;

    /// Returns kept values of one space in the order of their keys. A page may be shorter than its
    /// limit though more follow ([`crate::KEPT_PAGE_BYTES_MAX`]); an empty one is the end.
    async fn kept(
        &self,
        workspace: &WorkspaceId,
        query: &KeptQuery,
    ) -> Result<Vec<KeptValue>, StoreError>;

    /// Stops writing, reopens, makes what is found durable, and returns where each workspace
    /// stands: after this, what was unknown is known.
    async fn recover(&self) -> Result<Vec<WorkspaceRow>, StoreError>;

    /// Returns what these change ids did, in their order; `None` for one never seen.
    async fn ids(
        &self,
        workspace: &WorkspaceId,
        ids: &[ChangeId],
    ) -> Result<Vec<Option<IdRow>>, StoreError>;

    /// Returns the greatest change id that is kept, by its bytes.
    async fn newest_id(&self, workspace: &WorkspaceId) -> Result<Option<ChangeId>, StoreError>;

    /// Returns these heads with their bodies, deleted ones too, in the order asked.
    async fn heads(
        &self,
        workspace: &WorkspaceId,
        addresses: &[Address],
    ) -> Result<Vec<Option<HeadRow>>, StoreError>;

    /// Returns a page of heads. Each page is of one moment; pages are not of the same one.
    async fn list(
        &self,
        workspace: &WorkspaceId,
        query: &ListQuery,
    ) -> Result<ListPage, StoreError>;

    /// Returns a page of a context and all that lies below it, each before what is below it;
    /// deleted ones are left out, and what lies below them is not.
    ///
    /// Costs in proportion to the page, however large the subtree is. A page may be short, even
    /// empty, though more follow. Whatever lies below `root` from the first page to the last, and
    /// was not moved meanwhile, nor anything that it lies below, is on one of them.
    async fn subtree(
        &self,
        workspace: &WorkspaceId,
        root: &Address,
        after: Option<TreePlace>,
        limit: usize,
    ) -> Result<SubtreePage, StoreError>;

    /// Returns how many levels lie below a context, deleted ones counted too: 0 if nothing does,
    /// and no more than `levels_max`.
    async fn height(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        levels_max: usize,
    ) -> Result<usize, StoreError>;

    /// Returns records after `after` up to `until`, in order, without a gap: at most `limit`, and
    /// no more once their bodies passed `bytes_max` (but at least one).
    ///
    /// Below the low-water mark not all are kept: an `after` there is [`StoreError::Compacted`].
    async fn records(
        &self,
        workspace: &WorkspaceId,
        after: Seq,
        until: Seq,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredRecord>, StoreError>;

    /// Returns one record, below the low-water mark too; `None` where it was thinned or is not there.
    async fn record(
        &self,
        workspace: &WorkspaceId,
        seq: Seq,
    ) -> Result<Option<StoredRecord>, StoreError>;

    /// Returns a record's header, of thinned records too; `None` where there is no such record.
    async fn header(
        &self,
        workspace: &WorkspaceId,
        seq: Seq,
    ) -> Result<Option<RecordHeader>, StoreError>;

    /// Returns the last seq that was committed at or before `at`; 0 if none was.
    async fn seq_at(&self, workspace: &WorkspaceId, at: Timestamp) -> Result<Seq, StoreError>;

    /// Returns a context's versions below `below` (or from the newest), newest first; thinned ones
    /// are left out.
    async fn versions(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        below: Option<Version>,
        limit: usize,
    ) -> Result<Vec<VersionRow>, StoreError>;

    /// Returns one version's row, be it thinned.
    async fn version(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        version: Version,
    ) -> Result<Option<VersionRow>, StoreError>;

    /// Returns the row of the newest version whose seq is at or below `seq`, be it thinned.
    async fn version_at(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        seq: Seq,
    ) -> Result<Option<VersionRow>, StoreError>;

    /// Returns what a version is rebuilt from; nothing (`start` and `records` empty) when the
    /// context has no such version. One that was thinned is [`StoreError::Compacted`].
    async fn rebuild(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        version: Version,
    ) -> Result<Rebuild, StoreError>;

    /// Returns a conflict, waiting or ended, as the last append left it.
    async fn conflict(
        &self,
        workspace: &WorkspaceId,
        id: &ConflictId,
    ) -> Result<Option<Conflict>, StoreError>;

    /// Returns conflicts by id: those of earlier proposals first.
    async fn conflicts(
        &self,
        workspace: &WorkspaceId,
        query: &ConflictQuery,
    ) -> Result<Vec<Conflict>, StoreError>;

    /// Counts the conflicts that wait.
    async fn conflicts_open(&self, workspace: &WorkspaceId) -> Result<u64, StoreError>;

    /// Returns the heads of a context's branches without their bodies, deleted ones too, by name.
    async fn branches(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
    ) -> Result<Vec<HeadRow>, StoreError>;

    /// Takes the bodies and documents of old versions away, in one transaction, durably, and moves
    /// the low-water mark to the newest of their records.
    ///
    /// Their headers, places and times stay, and so do change ids, conflicts and everything that
    /// is told of versions that are not named: each reads as before. A version that is thinned
    /// already is passed over. What would take the newest version, one that is not there, or leave
    /// a version without a document to rebuild it from is [`StoreError::NotWritten`], and nothing
    /// is changed.
    async fn thin(
        &self,
        workspace: &WorkspaceId,
        thinning: Thinning,
    ) -> Result<Thinned, StoreError>;

    /// Returns lines that have something to frame, in the order of their keys, those of branches and
    /// of deleted contexts too. A page may be short, even empty, though more follow.
    ///
    /// A store that does not frame has none, which is what this answers by itself.
    async fn unframed(
        &self,
        _workspace: &WorkspaceId,
        _after: Option<&Address>,
    ) -> Result<Unframed, StoreError> {
        Ok(Unframed::default())
    }

    /// Frames the oldest stretch of a line's records that is not framed yet, in one transaction,
    /// durably: never the newest record, nor one of the stretch that it is in.
    ///
    /// Nothing that is read changes by it: records, versions, their hashes and documents are what
    /// they were, and what is thinned later is gone from its frame too. What fails part-way, be
    /// its outcome known or not, is found again by the next call. With `dry_run` nothing is
    /// written, and the stretch is the first after version `after`, which else says nothing.
    ///
    /// A store that does not frame answers by itself that nothing was done.
    async fn frame(
        &self,
        _workspace: &WorkspaceId,
        _line: &Address,
        _after: Version,
        _dry_run: bool,
    ) -> Result<Framed, StoreError> {
        Ok(Framed::default())
    }

    /// Returns whether the store takes writes.
    fn health(&self) -> StoreHealth;

    /// Takes note of rot that a reader found by hash, so that [`Store::health`] tells of it.
    fn note_rot(&self, why: &str);

    /// Returns sizes and counts.
    async fn stats(&self) -> Result<StoreStats, StoreError>;

    /// Checks everything, telling each step to `progress`: the chain of each log, each body's
    /// commitment, each head, version and conflict against the log, each stored document's hash.
    async fn verify(
        &self,
        progress: &(dyn Fn(VerifyStep) + Send + Sync),
    ) -> Result<VerifyReport, StoreError>;

    /// Ends the writer after what waits, and makes the files whole for a copy.
    async fn close(&self) -> Result<(), StoreError>;
}

/// How far a verification is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyStep {
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Records checked so far.
    pub checked: u64,
    /// Records in all.
    pub total: u64,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Workspaces checked.
    pub workspaces: u64,
    /// Records checked.
    pub records: u64,
    /// Contexts checked.
    pub contexts: u64,
    /// Documents whose hash was computed again.
    pub documents: u64,
    /// What is rotten, a line each, naming the record or context. Empty: all is well.
    pub problems: Vec<String>,
}
