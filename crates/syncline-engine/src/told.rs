//! What the readers of a log count of its records: how many wanted one, and what became of that.
//!
//! The counts stand on the records at hand, which all readers share, so counting takes no lock and
//! nothing of it is kept longer than they are. The engine itself only holds them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use syncline_model::ids::Seq;

use crate::tail::Entry;
use crate::workspace::Workspace;

/// What became of a record with one of its readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A reader found that the record is for it.
    Wanted,
    /// It was handed to the reader.
    Delivered,
    /// An attempt to hand it over failed.
    Failed,
}

/// What is counted of one record.
#[derive(Debug, Default)]
pub(crate) struct Counts([AtomicU32; 3]);

/// What was counted of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToldCounts {
    /// How many readers a record was for.
    pub targets: u64,
    /// How many of them it was handed to.
    pub delivered: u64,
    /// How many attempts failed.
    pub failed: u64,
}

/// Counts since the start of the node, over all workspaces.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    records: AtomicU64,
    told: [AtomicU64; 3],
    patches: AtomicU64,
    patch_bytes_saved: AtomicU64,
}

/// What readers counted since the start of the node, over all workspaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToldTotals {
    /// Records that were for anybody.
    pub records: u64,
    /// What became of them.
    pub told: ToldCounts,
    /// Records that were handed over as patches.
    pub patches: u64,
    /// Bytes by which these were less than the documents.
    pub patch_bytes_saved: u64,
}

impl Entry {
    /// Returns what readers counted of this record since it is at hand.
    pub fn told(&self) -> ToldCounts {
        let count = |what: Told| u64::from(self.counts.0[what as usize].load(Ordering::Relaxed));
        ToldCounts {
            targets: count(Told::Wanted),
            delivered: count(Told::Delivered),
            failed: count(Told::Failed),
        }
    }
}

impl Workspace {
    /// Counts what became of records with one reader: once for a page.
    pub fn count_told<'a>(&self, what: Told, entries: impl IntoIterator<Item = &'a Entry>) {
        let (mut told, mut first) = (0, 0);
        for entry in entries {
            told += 1;
            let before = entry.counts.0[what as usize].fetch_add(1, Ordering::Relaxed);
            first += u64::from(before == 0 && what == Told::Wanted);
        }
        if told == 0 {
            return;
        }
        let totals = &self.shared.totals.told;
        totals.told[what as usize].fetch_add(told, Ordering::Relaxed);
        totals.records.fetch_add(first, Ordering::Relaxed);
    }

    /// Counts what became of one record with one reader, whether or not it is still at hand.
    pub fn count_told_at(&self, what: Told, seq: Seq) {
        let before = Seq(seq.0.saturating_sub(1));
        let at_hand = self.recent(before, 1).unwrap_or_default();
        match at_hand.first() {
            Some(entry) => self.count_told(what, [&**entry]),
            None => {
                self.shared.totals.told.told[what as usize].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Counts patches that were handed over, and by how many bytes they were less than documents.
    pub fn count_patches(&self, patches: u64, bytes_saved: u64) {
        let totals = &self.shared.totals.told;
        totals.patches.fetch_add(patches, Ordering::Relaxed);
        totals
            .patch_bytes_saved
            .fetch_add(bytes_saved, Ordering::Relaxed);
    }

    /// Returns what readers counted since the start of the node, over all workspaces.
    pub fn told_totals(&self) -> ToldTotals {
        let totals = &self.shared.totals.told;
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        ToldTotals {
            records: count(&totals.records),
            told: ToldCounts {
                targets: count(&totals.told[Told::Wanted as usize]),
                delivered: count(&totals.told[Told::Delivered as usize]),
                failed: count(&totals.told[Told::Failed as usize]),
            },
            patches: count(&totals.patches),
            patch_bytes_saved: count(&totals.patch_bytes_saved),
        }
    }

    /// Returns the newest records that are at hand, at most so many, the oldest first.
    pub fn newest(&self, limit: usize) -> Vec<std::sync::Arc<Entry>> {
        self.shared.tail.newest(limit)
    }
}
