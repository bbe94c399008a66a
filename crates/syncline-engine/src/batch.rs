//! A batch: what one commit decided, until it is on disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use syncline_api::Problem;
use syncline_model::change::{Change, Effect, Receipt};
use syncline_model::conflict::Conflict;
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId, Seq};
use syncline_model::json::Json;
use syncline_model::proposal::Base;
use syncline_model::record::{IdRow, RecordHash, StoredRecord, pack};
use syncline_model::time::{Hlc, Timestamp};
use syncline_rules::{BaseState, View};
use syncline_store::{Append, HeadBody, HeadRow, VersionRow};

use crate::heads::CachedHead;
use crate::outcome::Settled;

/// A head's body is written when the effects since outgrow this part of it: a body for each change
/// was a third of what a commit wrote, and whoever reads a cold head applies a few patches.
const BODY_PART: usize = 4;
/// A small head's body may wait for effects of this many bytes: some ten patches of two fields.
const BODY_EFFECTS_MIN: usize = 1 << 10;

/// Bounds the bases that a batch keeps at hand.
const BASES_BYTES_MAX: usize = 64 << 20;
/// Bounds the sides in the answers to one bulk; one part's pass alone.
const SIDES_BYTES_MAX: usize = 16 << 20;

/// Where the log ends for the next batch.
#[derive(Clone, Copy)]
pub struct Log {
    pub last: Seq,
    pub last_hash: RecordHash,
    /// The time of the last decision: what is decided next is never earlier.
    pub last_committed_at: Timestamp,
    pub hlc: Hlc,
}

/// What one batch decided, until it is on disk.
#[derive(Default)]
pub struct Batch {
    pub view: View,
    pub records: Vec<StoredRecord>,
    pub changes: Vec<Change>,
    /// In the order in which they were first touched, so that a commit is the same each time.
    pub touched: Vec<Address>,
    pub heads: HashMap<Address, CachedHead>,
    pub snapshots: Vec<Option<Arc<[u8]>>>,
    pub ids: Vec<IdRow>,
    pub settled: HashMap<ChangeId, ([u8; 32], Settled)>,
    /// Heads that this batch made and then left behind: bases that no store has yet.
    superseded: Vec<CachedHead>,
    /// Heads that it found and left behind.
    found: Vec<CachedHead>,
    /// Bytes of the bases that the view holds, and of the sides that the job's answers hold.
    base_bytes: usize,
    sides_bytes: usize,
    /// Bytes of the heads that it moves.
    pub heads_bytes: usize,
}

impl Batch {
    /// Keeps what became of an id.
    pub fn keep(&mut self, id: ChangeId, digest: [u8; 32], settled: Settled) {
        self.ids.push(IdRow {
            id,
            digest,
            outcome: settled.to_bytes(),
        });
        self.settled.insert(id, (digest, settled));
    }

    /// Keeps the receipt of a change that nobody sent: no digest matches its id.
    pub fn keep_made(&mut self, receipt: Receipt) {
        self.keep(receipt.id, [0; 32], Settled::Accepted(receipt));
    }

    /// Takes a change, what was there before it, and the head that it leaves.
    pub fn take(&mut self, before: Option<CachedHead>, change: Change, head: Arc<Head>) {
        let address = head.address.clone();
        let mut cached = CachedHead::after(before.as_ref(), head.clone(), &change);
        let weight = cached.weight;
        let whole = matches!(change.effect, Effect::Snapshot(_));
        let due = !whole && cached.take_snapshot_due();
        self.snapshots
            .push(due.then(|| pack(&head.document.to_json().to_text())));
        match self.heads.insert(address.clone(), cached) {
            Some(left) => self.superseded.push(left),
            None => {
                self.heads_bytes += weight;
                self.touched.push(address.clone());
                self.found.extend(before);
            }
        }
        self.view.put_head(address, Some(head));
        self.changes.push(change);
    }

    /// Returns what a base stands for that this batch made and left behind.
    pub fn superseded(&self, address: &Address, base: &Base) -> Option<BaseState> {
        let heads = self.superseded.iter().map(|cached| &cached.head);
        let mut of_line = heads.filter(|head| head.address == *address);
        of_line.find_map(|head| BaseState::if_named(base, head))
    }

    /// Puts a base into the view, which holds only so many bytes of them.
    pub fn put_base(&mut self, address: Address, base: Base, state: BaseState) {
        if let BaseState::Known { document, .. } = &state {
            self.base_bytes += document.weight();
        }
        if self.base_bytes > BASES_BYTES_MAX {
            self.view.forget_bases();
            self.base_bytes = 0;
        }
        self.view.put_base(address, base, state);
    }

    /// Begins to count the sides that a job's answers carry.
    pub fn begin_job(&mut self) {
        self.sides_bytes = 0;
    }

    /// Leaves the sides out where a bulk's answers already carry enough: a thousand parts of a few
    /// bytes must not be answered with three whole documents each.
    pub fn bound_sides(&mut self, problem: &mut Problem) {
        let Some(sides) = &problem.sides else { return };
        let all = [&sides.base, &sides.ours, &sides.theirs];
        let bytes: usize = all.into_iter().flatten().map(Json::weight).sum();
        if self.sides_bytes > 0 && self.sides_bytes + bytes > SIDES_BYTES_MAX {
            problem.sides = None;
        } else {
            self.sides_bytes += bytes;
        }
    }

    /// Returns the conflicts that the batch touched, as its last change left each.
    fn conflicts(&self) -> Vec<Conflict> {
        let mut last = BTreeMap::new();
        for conflict in self.changes.iter().flat_map(|change| &change.conflicts) {
            last.insert(conflict.id, conflict.clone());
        }
        last.into_values().collect()
    }

    pub fn mark(&self) -> Mark {
        Mark {
            view: self.view.clone(),
            heads: self.heads.clone(),
            touched: self.touched.len(),
            changes: self.changes.len(),
            ids: self.ids.len(),
            superseded: self.superseded.len(),
            found: self.found.len(),
        }
    }

    /// Takes back everything since the mark.
    pub fn rewind(&mut self, mark: Mark) {
        self.view = mark.view;
        self.heads = mark.heads;
        self.touched.truncate(mark.touched);
        self.changes.truncate(mark.changes);
        self.snapshots.truncate(mark.changes);
        self.superseded.truncate(mark.superseded);
        self.found.truncate(mark.found);
        for row in self.ids.split_off(mark.ids) {
            self.settled.remove(&row.id);
        }
    }

    /// Chains the records. Done last, so that a bulk that was taken back leaves no trace.
    pub fn seal(&mut self, log: &mut Log) {
        let mut salts = vec![0u8; 16 * self.changes.len()];
        getrandom::fill(&mut salts).expect("the system gives random bytes");
        let mut before = log.last_hash;
        self.records.clear();
        for (index, change) in self.changes.iter().enumerate() {
            let salt = salts[16 * index..16 * (index + 1)]
                .try_into()
                .expect("16 bytes");
            let seq = Seq(log.last.0 + index as u64 + 1);
            let record = StoredRecord::seal(seq, change, salt, &before);
            before = record.header.hash;
            self.records.push(record);
        }
        log.last = Seq(log.last.0 + self.changes.len() as u64);
        log.last_hash = before;
    }

    /// Takes the heads that this batch left behind, those that it found first.
    pub fn take_left(&mut self) -> impl Iterator<Item = CachedHead> {
        let found = std::mem::take(&mut self.found);
        let made = std::mem::take(&mut self.superseded);
        found.into_iter().chain(made)
    }

    /// Makes what the store is given. From here on the heads are as they are once that is written.
    pub fn hand_over(&mut self) -> Append {
        let versions = self.changes.iter().zip(&self.records).zip(&self.snapshots);
        let versions = versions
            .map(|((change, record), snapshot)| {
                version_row(change, record.header.seq, snapshot.clone())
            })
            .collect();
        let heads = self
            .touched
            .iter()
            .map(|address| head_row(&self.heads[address]))
            .collect();
        for cached in self.heads.values_mut() {
            if writes_body(cached) {
                cached.effects_since_body = 0;
            }
        }
        Append {
            records: self.records.clone(),
            versions,
            heads,
            ids: self.ids.clone(),
            conflicts: self.conflicts(),
        }
    }
}

/// Where a batch stood before an atomic bulk.
pub struct Mark {
    view: View,
    heads: HashMap<Address, CachedHead>,
    touched: usize,
    changes: usize,
    ids: usize,
    superseded: usize,
    found: usize,
}

pub fn writes_body(cached: &CachedHead) -> bool {
    cached.effects_since_body > (cached.weight / BODY_PART).max(BODY_EFFECTS_MIN)
}

/// Makes the row of a version's index.
pub fn version_row(change: &Change, seq: Seq, snapshot: Option<Arc<[u8]>>) -> VersionRow {
    VersionRow {
        address: change.line().into_owned(),
        version: change.version,
        seq,
        committed_at: change.committed_at,
        change: change.id,
        hash: change.hash,
        snapshot,
        whole: matches!(change.effect, Effect::Snapshot(_)),
        thinned: false,
    }
}

/// Makes a head's row, with its body where that is due.
pub fn head_row(cached: &CachedHead) -> HeadRow {
    let head = &cached.head;
    let document = &head.document;
    let body = writes_body(cached).then(|| HeadBody {
        version: head.version,
        bytes: pack(&document.to_json().to_text()),
    });
    HeadRow {
        address: head.address.clone(),
        parent: document.parent(),
        state: document.state().to_owned(),
        level: document.level(),
        owner: document.owner().map(|owner| owner.to_string()),
        labels: document.labels().clone(),
        title: document.title().map(str::to_owned),
        version: head.version,
        seq: head.seq,
        change: head.change,
        hash: head.hash,
        deleted: head.deleted,
        actor: head.actor.clone(),
        created_at: head.created_at,
        updated_at: head.updated_at,
        body,
        conflicts: head.conflicts.clone(),
    }
}
