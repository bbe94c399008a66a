//! What can go wrong in a store, told apart by what a caller must do.

use std::path::PathBuf;

use syncline_model::ids::Seq;
use syncline_model::record::RotError;

/// A store's failure.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The workspace's log ends elsewhere than the batch was decided on. Nothing was written:
    /// reload and decide again.
    #[error("the log ends at {last}, not where the batch was decided")]
    Moved {
        /// Where it ends.
        last: Seq,
    },
    /// The disk is full. Nothing was written; reads go on, and the next try may succeed.
    #[error("the disk is full")]
    Full,
    /// A failure before COMMIT. Nothing was written, and nothing will appear later.
    #[error("nothing was written: {0}")]
    NotWritten(String),
    /// A failure from COMMIT on: the batch may be there or not (P1). The store answers no more
    /// appends until [`crate::Store::recover`] told what is true.
    #[error("the outcome of a commit is unknown: {0}")]
    Unknown(String),
    /// Stored bytes are not what was written.
    #[error(transparent)]
    Rot(#[from] RotError),
    /// The place asked for was compacted away; what is kept begins at `oldest`.
    #[error("the log is kept from {oldest} on")]
    Compacted {
        /// The first seq that is kept.
        oldest: Seq,
    },
    /// There is no such workspace.
    #[error("there is no workspace {0:?}")]
    NoWorkspace(String),
    /// The data directory is used by another process.
    #[error("{path} is in use by {holder}", path = path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// Who has it: its process id and address, as it wrote them.
        holder: String,
    },
    /// The database was written by a newer version of Syncline. It was not touched.
    #[error("the database has schema {found}, and this program knows {known}; it was not touched")]
    Newer {
        /// The database's schema.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// The database cannot be read as one of ours. It was not touched.
    #[error("the database is damaged or not Syncline's: {0}; it was not touched")]
    Damaged(String),
    /// Reading failed.
    #[error("the store cannot be read: {0}")]
    Read(String),
    /// The store was closed, or its writer is gone.
    #[error("the store is closed")]
    Closed,
}
