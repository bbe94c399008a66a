//! Faults that tests make on purpose.

use syncline_model::ids::Seq;

/// Lets one record be unreadable, for tests of what its readers hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// What is stored of it is not what was written.
    Rot(Seq),
    /// Reading it fails, as it does while a store is not ready.
    Failed(Seq),
}

/// Lets one commit end in [`crate::StoreError::Unknown`], for tests of what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitFault {
    /// Which commit since the store was opened, counted from 1.
    pub at: u64,
    /// What is in truth so: the group was written, or nothing of it was.
    pub written: bool,
}
