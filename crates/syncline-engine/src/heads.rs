//! The cache of heads: hot documents stay parsed, bounded in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use syncline_model::change::{Change, Effect};
use syncline_model::head::Head;
use syncline_model::ids::{Address, WorkspaceId};
use syncline_model::json::Json;
use syncline_store::is_snapshot_due;

/// A head with what its next body write depends on.
#[derive(Clone, Debug)]
pub struct CachedHead {
    /// The head.
    pub head: Arc<Head>,
    /// Bytes of effects since the body that the store has.
    pub effects_since_body: usize,
    /// Bytes of effects, and of what was asked, since the whole document that the store keeps
    /// beside the log; `usize::MAX` where that is not known.
    pub effects_since_snapshot: usize,
    /// About how many bytes the document has.
    pub weight: usize,
}

/// What the cache knows of an address.
#[derive(Clone, Debug)]
pub enum Cached {
    /// Its head.
    Head(CachedHead),
    /// There never was such a context.
    Absent,
}

#[derive(Clone)]
struct ByBytes;

type Key = (WorkspaceId, Address);

impl Weighter<Key, Cached> for ByBytes {
    fn weight(&self, key: &Key, value: &Cached) -> u64 {
        let own = match value {
            // A parsed document takes several times its text.
            Cached::Head(cached) => 1_000 + 4 * cached.weight,
            Cached::Absent => 100,
        };
        (own + key.1.as_str().len()) as u64
    }
}

/// The cache of heads of all workspaces.
pub struct Heads {
    cache: Cache<Key, Cached, ByBytes>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Heads {
    /// Makes a cache of so many bytes.
    pub fn new(bytes_max: usize) -> Heads {
        // Guesses how many entries fit, to size the table; the bytes are what bounds it.
        let entries = (bytes_max / 8_192).max(64);
        let cache = Cache::with_weighter(entries, bytes_max as u64, ByBytes);
        Heads {
            cache,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Looks an address up.
    pub fn get(&self, workspace: &WorkspaceId, address: &Address) -> Option<Cached> {
        let found = self.cache.get(&(workspace.clone(), address.clone()));
        let count = if found.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Puts in what a commit left.
    pub fn put(&self, workspace: &WorkspaceId, address: &Address, value: Cached) {
        self.cache
            .insert((workspace.clone(), address.clone()), value);
    }

    /// Forgets everything: what was in it may not be what the store has.
    pub fn clear(&self) {
        self.cache.clear();
    }

    /// Returns hits, misses, entries and bytes.
    pub fn counts(&self) -> (u64, u64, u64, u64) {
        (
            self.hits.load(Ordering::Relaxed),
            self.misses.load(Ordering::Relaxed),
            self.cache.len() as u64,
            self.cache.weight(),
        )
    }
}

impl CachedHead {
    /// Returns a head that was just loaded, or made from none.
    pub fn new(head: Arc<Head>, effects_since_body: usize) -> CachedHead {
        let weight = head.document.weight();
        CachedHead {
            head,
            effects_since_body,
            effects_since_snapshot: usize::MAX,
            weight,
        }
    }

    /// Returns the head that a change leaves.
    pub fn after(before: Option<&CachedHead>, head: Arc<Head>, change: &Change) -> CachedHead {
        let since = |of: fn(&CachedHead) -> usize, none| before.map_or(none, of);
        let body = since(|cached| cached.effects_since_body, 0);
        let snapshot = since(|cached| cached.effects_since_snapshot, usize::MAX);
        // What was asked lies in the record too: replay reads over it.
        let asked = change.intent.body.as_ref().map_or(0, Json::weight);
        let snapshot = snapshot.saturating_add(asked);
        let (body, snapshot) = match &change.effect {
            // A whole document is its own body, and is found where one beside the log would be.
            Effect::Snapshot(_) => (usize::MAX / 2, 0),
            Effect::Patch(patch) => {
                let weight = patch.weight();
                (body.saturating_add(weight), snapshot.saturating_add(weight))
            }
            Effect::Gone => (body, snapshot),
        };
        CachedHead {
            effects_since_snapshot: snapshot,
            ..CachedHead::new(head, body)
        }
    }

    /// Says whether the whole document is to be kept beside the log, and notes that it is.
    pub fn take_snapshot_due(&mut self) -> bool {
        let due = is_snapshot_due(self.head.version, self.effects_since_snapshot, self.weight);
        if due {
            self.effects_since_snapshot = 0;
        }
        due
    }
}
