//! The `Store` trait and its promises, the memory store, and the conformance suite.
//!
//! A store keeps, for each workspace, one log of records and what is derived from it in the same
//! transaction: heads, versions, change ids. It knows no rules: what to write was decided above,
//! and it either writes all of a batch or nothing of it.

mod check;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod fault;
pub mod frame;
mod kept;
mod list;
mod memory;
mod replay;
mod rows;
mod subtree;
pub mod thin;
mod traits;

pub use check::check_append;
pub use error::StoreError;
pub use fault::{CommitFault, ReadFault};
pub use frame::{Framed, STRETCH_VERSIONS, Unframed, pack_stretch};
pub use kept::{
    KEPT_AT_ONCE_MAX, KEPT_NAME_BYTES_MAX, KEPT_PAGE_BYTES_MAX, KEPT_VALUE_BYTES_MAX, Kept,
    KeptQuery, KeptValue, check_kept,
};
pub use list::{ContextList, ListPage, ListQuery, PageKey, Sort, SortBy};
pub use memory::MemoryStore;
pub use replay::{is_snapshot_due, read_body, replay};
pub use rows::{
    Append, Appended, ConflictQuery, HeadBody, HeadRow, NewWorkspace, Rebuild, StoreHealth,
    StoreStats, VersionRow, WorkspaceRow,
};
pub use subtree::{SubtreePage, Tree, TreePlace, subtree_page};
pub use thin::{Thinned, Thinning};
pub use traits::{Store, VerifyReport, VerifyStep};
