//! Faults that tests make on purpose.

/// Lets one commit end in [`crate::StoreError::Unknown`], for tests of what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitFault {
    /// Which commit since the store was opened, counted from 1.
    pub at: u64,
    /// What is in truth so: the group was written, or nothing of it was.
    pub written: bool,
}
