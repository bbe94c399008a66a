//! What the store's threads and its callers look at together.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use syncline_store::{StoreHealth, StoreStats};

use crate::connection::{database, write_ahead_log};
use crate::options::TestFaults;

/// A commit that takes longer shows in the health.
const SLOW: Duration = Duration::from_secs(1);
/// A full disk is tried this often by itself.
const PROBE_EACH: Duration = Duration::from_secs(1);

pub(crate) struct Shared {
    pub dir: PathBuf,
    pub faults: TestFaults,
    opened_at: Instant,
    condition: Mutex<Condition>,
    commits: AtomicU64,
    records: AtomicU64,
    last_commit_us: AtomicU64,
    /// When the commit that runs began, in microseconds since `opened_at`; 0: none runs.
    committing_since_us: AtomicU64,
    /// Pages in the write-ahead log since it last started again.
    wal_pages: AtomicI32,
    /// Held while a checkpoint has a connection open.
    pub checkpointing: Mutex<()>,
    pub checkpoints: Mutex<CheckpointState>,
    pub checkpoint_wanted: Condvar,
}

#[derive(Default)]
pub(crate) struct CheckpointState {
    /// Commits were made that are not in the database yet.
    pub behind: bool,
    /// The write-ahead log has grown enough.
    pub wanted: bool,
    /// The store is being closed.
    pub closed: bool,
}

#[derive(Default)]
struct Condition {
    full: bool,
    unknown: Option<String>,
    damaged: Option<String>,
    probed_at: Option<Instant>,
}

/// The write-ahead log is moved into the database from this many pages on: 32 MiB, in which the
/// pages of a busy context come many times and are moved once.
const CHECKPOINT_PAGES: i32 = 8_192;
/// From here on, readers and the writer wait for it: 64 MiB.
pub(crate) const RESTART_PAGES: i32 = 16_384;

impl Shared {
    pub(crate) fn new(dir: PathBuf, faults: TestFaults) -> Shared {
        Shared {
            dir,
            faults,
            opened_at: Instant::now(),
            condition: Mutex::default(),
            commits: AtomicU64::new(0),
            records: AtomicU64::new(0),
            last_commit_us: AtomicU64::new(0),
            committing_since_us: AtomicU64::new(0),
            wal_pages: AtomicI32::new(0),
            checkpointing: Mutex::new(()),
            checkpoints: Mutex::default(),
            checkpoint_wanted: Condvar::new(),
        }
    }

    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.condition().full = full;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.condition().full
    }

    pub(crate) fn set_unknown(&self, why: Option<String>) {
        self.condition().unknown = why;
    }

    pub(crate) fn set_damaged(&self, why: Option<String>) {
        self.condition().damaged = why;
    }

    /// Says whether it is time to try a full disk again, and notes that it was tried.
    pub(crate) fn probe_due(&self) -> bool {
        let mut condition = self.condition();
        let due = condition.full
            && condition
                .probed_at
                .is_none_or(|at| at.elapsed() >= PROBE_EACH);
        if due {
            condition.probed_at = Some(Instant::now());
        }
        due
    }

    pub(crate) fn health(&self) -> StoreHealth {
        let condition = self.condition();
        if let Some(why) = &condition.unknown {
            return StoreHealth::Unknown(why.clone());
        }
        if condition.full {
            return StoreHealth::Full;
        }
        if let Some(why) = &condition.damaged {
            return StoreHealth::Damaged(why.clone());
        }
        let since = self.committing_since_us.load(Ordering::Relaxed);
        let lasts = Duration::from_micros(self.now_us().saturating_sub(since));
        match since {
            0 => StoreHealth::Good,
            _ if lasts < SLOW => StoreHealth::Good,
            _ => StoreHealth::Slow(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.opened_at.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn commit_began(&self) {
        self.committing_since_us
            .store(self.now_us().max(1), Ordering::Relaxed);
    }

    pub(crate) fn commit_ended(&self) {
        let began = self.committing_since_us.swap(0, Ordering::Relaxed);
        self.last_commit_us
            .store(self.now_us().saturating_sub(began), Ordering::Relaxed);
    }

    pub(crate) fn count(&self, records: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
    }

    /// Told by SQLite after each commit how long the write-ahead log is.
    pub(crate) fn wal_grew(&self, pages: i32) {
        self.wal_pages.store(pages, Ordering::Relaxed);
        let mut state = self
            .checkpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.behind = true;
        if pages >= CHECKPOINT_PAGES {
            state.wanted = true;
            self.checkpoint_wanted.notify_one();
        }
    }

    pub(crate) fn wal_pages(&self) -> i32 {
        self.wal_pages.load(Ordering::Relaxed)
    }

    pub(crate) fn want_checkpoint(&self) {
        self.checkpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wanted = true;
        self.checkpoint_wanted.notify_one();
    }

    pub(crate) fn stats(&self) -> StoreStats {
        let size = |path| fs::metadata(path).map_or(0, |found| found.len());
        StoreStats {
            bytes: size(database(&self.dir)) + size(write_ahead_log(&self.dir)),
            commits: self.commits.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
            last_commit_us: self.last_commit_us.load(Ordering::Relaxed),
        }
    }
}
