//! Thinning: old versions lose their records' bodies and their documents, and nothing else goes.
//!
//! A version is rebuilt from a stored document and the effects after it. So one that stays while
//! the one before it goes needs a whole document of its own, which [`ready`] makes.

use syncline_model::ids::{Address, Seq, Version, WorkspaceId};
use syncline_model::record::{RotError, pack};

use crate::error::StoreError;
use crate::replay::replay;
use crate::rows::HeadBody;
use crate::traits::Store;

/// What is taken away of one line of a context.
#[derive(Clone, Debug)]
pub struct Thinning {
    /// The key of the line.
    pub line: Address,
    /// The versions that go, rising.
    pub versions: Vec<Version>,
    /// The documents of versions that stay while the one before them goes.
    pub documents: Vec<HeadBody>,
}

impl Thinning {
    /// Returns about how many bytes it writes.
    pub fn weight(&self) -> usize {
        let documents = self.documents.iter().map(|document| document.bytes.len());
        documents.sum::<usize>() + 200 * self.versions.len()
    }

    /// Checks what needs no store: the versions rise, and none that goes is given a document.
    pub fn check(&self, newest: Version) -> Result<(), StoreError> {
        let rising = self.versions.windows(2).all(|pair| pair[0] < pair[1]);
        let within = |version: &Version| *version > Version::ZERO && *version < newest;
        if !rising || !self.versions.iter().all(within) {
            return Err(refused("its versions do not rise to one before the newest"));
        }
        let goes = |document: &HeadBody| self.versions.binary_search(&document.version).is_ok();
        match self.documents.iter().any(goes) {
            true => Err(refused("a version that goes has a document")),
            false => Ok(()),
        }
    }

    /// Returns the versions that stay while the one before them goes.
    pub fn edges(&self) -> impl Iterator<Item = Version> {
        let after = self.versions.iter().map(|version| version.next());
        after.filter(|version| self.versions.binary_search(version).is_err())
    }
}

/// What a thinning took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thinned {
    /// How many versions went that were there before.
    pub versions: u64,
    /// The bytes of their records' bodies and documents.
    pub bytes: u64,
    /// The workspace's low-water mark now.
    pub low_water: Seq,
}

/// A thinning that would harm what stays.
pub fn refused(why: &str) -> StoreError {
    StoreError::NotWritten(format!("a thinning is not whole: {why}"))
}

/// Makes a thinning ready: reads the documents that what stays will need, each checked by its hash.
pub async fn ready(
    store: &dyn Store,
    workspace: &WorkspaceId,
    line: &Address,
    versions: Vec<Version>,
) -> Result<Thinning, StoreError> {
    let mut thinning = Thinning {
        line: line.clone(),
        versions,
        documents: Vec::new(),
    };
    for version in thinning.edges().collect::<Vec<_>>() {
        let row = store.version(workspace, line, version).await?;
        if row.is_none_or(|row| row.thinned || row.whole) {
            continue;
        }
        let rebuild = store.rebuild(workspace, line, version).await?;
        let Some((document, _)) = replay(&rebuild)? else {
            return Err(RotError::Decode(format!("version {version} has no document")).into());
        };
        thinning.documents.push(HeadBody {
            version,
            bytes: pack(&document.to_json().to_text()),
        });
    }
    Ok(thinning)
}
