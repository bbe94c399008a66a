//! What goes into a store and comes out of it.

use std::sync::Arc;

use syncline_model::conflict::{Conflict, ConflictId};
use syncline_model::document::{DocumentHash, Level};
use syncline_model::ids::{Address, ChangeId, Epoch, Seq, Version, WorkspaceId};
use syncline_model::json::Object;
use syncline_model::proposal::Actor;
use syncline_model::record::{IdRow, RecordHash, StoredRecord};
use syncline_model::time::Timestamp;

/// A workspace that is to be made.
#[derive(Clone, Debug)]
pub struct NewWorkspace {
    /// Its name.
    pub id: WorkspaceId,
    /// Drawn once: what its first record follows ([`RecordHash::genesis`]).
    pub log: [u8; 16],
    /// The first epoch.
    pub epoch: Epoch,
    /// Seals its cursors.
    pub cursor_key: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
}

/// Where a workspace stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceRow {
    /// Its name.
    pub id: WorkspaceId,
    /// What its first record follows.
    pub log: [u8; 16],
    /// Which life of the log this is.
    pub epoch: Epoch,
    /// Seals its cursors.
    pub cursor_key: [u8; 32],
    /// The last record; 0 while the log is empty.
    pub last: Seq,
    /// The last record's hash, or the genesis hash.
    pub last_hash: RecordHash,
    /// When the last record was committed; the next is never earlier.
    pub last_committed_at: Timestamp,
    /// The oldest place that the log can be read from: all records after it are kept, and of those
    /// up to it some. 0 unless something was thinned.
    pub low_water: Seq,
    /// Contexts that are not deleted.
    pub contexts: u64,
}

/// A head as a row: what lists show and filter, and where its body is.
///
/// Each branch of a context has a head of its own, under the key of its line
/// ([`Address::line`]); lists and subtrees never show those.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadRow {
    /// Which context.
    pub address: Address,
    /// Its parent; only `global/main` has none.
    pub parent: Option<Address>,
    /// Its state.
    pub state: String,
    /// Its access level.
    pub level: Level,
    /// Its owner's id.
    pub owner: Option<String>,
    /// Its labels.
    pub labels: Object,
    /// Its title.
    pub title: Option<String>,
    /// How many versions it has.
    pub version: Version,
    /// The record that made this version.
    pub seq: Seq,
    /// The change that made this version.
    pub change: ChangeId,
    /// The document's hash.
    pub hash: DocumentHash,
    /// It was deleted.
    pub deleted: bool,
    /// Who made this version.
    pub actor: Actor,
    /// When version 1 was committed.
    pub created_at: Timestamp,
    /// When this version was committed.
    pub updated_at: Timestamp,
    /// The document, as of `body.version`, which may lie before `version`: then the effects
    /// after it make it whole ([`crate::Store::rebuild`]).
    ///
    /// In an append: `None` leaves the stored body as it is.
    pub body: Option<HeadBody>,
    /// The conflicts that wait in it.
    pub conflicts: Arc<[Conflict]>,
}

/// A stored document of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadBody {
    /// Whose version it is.
    pub version: Version,
    /// The document's JSON with its format byte.
    pub bytes: Arc<[u8]>,
}

/// A version of a context, as the index of its history has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRow {
    /// Which context.
    pub address: Address,
    /// Which version.
    pub version: Version,
    /// The record that made it.
    pub seq: Seq,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// The change that made it.
    pub change: ChangeId,
    /// The document's hash.
    pub hash: DocumentHash,
    /// The whole document as of this version, where the writer thought it worth its bytes.
    /// Only ever written: no read of the store fills it, [`crate::Store::rebuild`] uses it.
    pub snapshot: Option<Arc<[u8]>>,
    /// The record's own effect is the whole document.
    pub whole: bool,
    /// Its record's body and its document were taken away ([`crate::Store::thin`]).
    pub thinned: bool,
}

/// What one workspace wants written: all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Append {
    /// The records, with consecutive seqs from `after + 1`. May be empty, when only ids are kept.
    pub records: Vec<StoredRecord>,
    /// One for each record, in its order.
    pub versions: Vec<VersionRow>,
    /// The heads that the records leave: one for each context that they touch.
    pub heads: Vec<HeadRow>,
    /// The change ids and what became of them.
    pub ids: Vec<IdRow>,
    /// Conflicts that the records opened, moved or ended, as the last of them left each: each
    /// once, told of by a record ([`syncline_model::change::Change::conflicts`]) of its own line,
    /// whose head here has it among its `conflicts` while it waits. [`crate::Store::verify`]
    /// compares all three.
    pub conflicts: Vec<Conflict>,
}

impl Append {
    /// Returns about how many bytes this writes.
    pub fn weight(&self) -> usize {
        let records: usize = self.records.iter().map(|r| r.body.len() + 300).sum();
        let bodies: usize = self
            .heads
            .iter()
            .filter_map(|h| h.body.as_ref())
            .map(|b| b.bytes.len())
            .sum();
        let snapshots: usize = self
            .versions
            .iter()
            .filter_map(|v| v.snapshot.as_ref())
            .map(|s| s.len())
            .sum();
        let conflicts: usize = self.conflicts.iter().map(Conflict::weight).sum();
        records
            + conflicts
            + bodies
            + snapshots
            + self.ids.iter().map(|i| i.outcome.len() + 60).sum::<usize>()
    }
}

/// Which conflicts are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConflictQuery {
    /// Those of one context, on all of its lines.
    pub context: Option<Address>,
    /// Those that wait alone.
    pub open: bool,
    /// Those after this one, by id.
    pub after: Option<ConflictId>,
    /// At most so many.
    pub limit: usize,
}

/// What an append left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The log's last record now.
    pub last: Seq,
}

/// What a version is rebuilt from.
#[derive(Clone, Debug, Default)]
pub struct Rebuild {
    /// The nearest stored document at or below the version asked for; without one the first of
    /// `records` carries the whole document.
    pub start: Option<HeadBody>,
    /// The records of the context after `start`, up to the version asked for, in order.
    pub records: Vec<StoredRecord>,
    /// The hash that was recorded for the version asked for; [`crate::replay`] compares it.
    pub hash: Option<DocumentHash>,
}

/// Whether a store can be written to, and if not, why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreHealth {
    /// It takes writes.
    #[default]
    Good,
    /// The disk is full: writes are refused, reads go on.
    Full,
    /// A commit's outcome is unknown: read-only until recovered.
    Unknown(String),
    /// The writer has been at one commit for this many milliseconds.
    Slow(u64),
    /// Rot was found.
    Damaged(String),
}

/// Sizes and counts of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Bytes on disk, the write-ahead log included.
    pub bytes: u64,
    /// Commits since the start.
    pub commits: u64,
    /// Records appended since the start.
    pub records: u64,
    /// How long the last commit took, in microseconds.
    pub last_commit_us: u64,
}
