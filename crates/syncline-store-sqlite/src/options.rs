//! How a store is opened.

use std::path::PathBuf;

use syncline_store::CommitFault;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The data directory; it is made if it is missing.
    pub dir: PathBuf,
    /// How many threads read.
    pub readers: usize,
    /// A small append may be committed on the thread that asks, which waits for the disk then: so
    /// only where other threads go on meanwhile.
    pub write_here: bool,
    /// What tests break on purpose.
    pub faults: TestFaults,
}

impl SqliteOptions {
    /// Returns the defaults for a data directory.
    pub fn new(dir: impl Into<PathBuf>) -> SqliteOptions {
        SqliteOptions {
            dir: dir.into(),
            readers: 4,
            write_here: true,
            faults: TestFaults::default(),
        }
    }
}

/// What tests break on purpose, to show that they would notice. All off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestFaults {
    /// Never sync (`synchronous=OFF`).
    pub skip_fsync: bool,
    /// Sync at checkpoints only (`synchronous=NORMAL`).
    pub sync_normal: bool,
    /// Answer an append before its COMMIT.
    pub answer_before_commit: bool,
    /// Report one commit as unknown.
    pub fail_commit: Option<CommitFault>,
    /// Act as a disk on which the database may have this many pages.
    pub pages_max: Option<u32>,
}

/// What was found when the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The database was made just now.
    pub fresh: bool,
    /// The files are a copy that was put back: every workspace got a new epoch.
    pub restored: bool,
    /// The schema that it had, if it was brought up to ours.
    pub schema_from: Option<u32>,
}
