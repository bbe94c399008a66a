//! A head: the newest version of a context on one branch.

use std::sync::Arc;

use crate::conflict::Conflict;
use crate::document::{Document, DocumentHash};
use crate::etag::Etag;
use crate::ids::{Address, ChangeId, Seq, Version};
use crate::proposal::Actor;
use crate::time::Timestamp;

/// The newest version of a context on one of its lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Which context; for a branch the key of its line ([`Address::line`]).
    pub address: Address,
    /// How many versions it has.
    pub version: Version,
    /// The record that made this version.
    pub seq: Seq,
    /// The change that made this version.
    pub change: ChangeId,
    /// The document's hash.
    pub hash: DocumentHash,
    /// It was deleted; the document is the last one, for a restoration.
    pub deleted: bool,
    /// The document.
    pub document: Document,
    /// Who made this version.
    pub actor: Actor,
    /// When version 1 was committed.
    pub created_at: Timestamp,
    /// When this version was committed.
    pub updated_at: Timestamp,
    /// The conflicts that wait in it, in the order in which they came.
    pub conflicts: Arc<[Conflict]>,
}

impl Head {
    /// Returns the ETag.
    pub fn etag(&self) -> Etag {
        Etag::new(self.version, self.change, &[], self.hash)
    }
}
