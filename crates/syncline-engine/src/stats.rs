//! Health and counts: what is true of a node right now (P10).

use syncline_model::conflict::ConflictKind;
use syncline_model::json::{Json, JsonWriter, Limits};
use syncline_store::StoreHealth;

/// Whether a node is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Nothing is wrong.
    pub healthy: bool,
    /// It takes writes.
    pub ready: bool,
    /// What is wrong, a line each.
    pub reasons: Vec<String>,
}

impl Health {
    /// Judges the store's health and how long the slowest commit has been going on.
    pub fn judge(store: &StoreHealth, stuck_ms: Option<u128>, recovering: bool) -> Health {
        let mut reasons = Vec::new();
        let mut ready = true;
        match store {
            StoreHealth::Good => {}
            StoreHealth::Full => {
                ready = false;
                reasons.push("the disk is full: writes are refused, reads go on".to_owned());
            }
            StoreHealth::Unknown(why) => {
                ready = false;
                reasons.push(format!(
                    "a commit's outcome is unknown, the store reopens: {why}"
                ));
            }
            StoreHealth::Slow(ms) => {
                ready = false;
                reasons.push(format!("the store has been at one commit for {ms} ms"));
            }
            StoreHealth::Damaged(why) => {
                ready = false;
                reasons.push(format!("the store is damaged: {why}"));
            }
        }
        if let Some(ms) = stuck_ms {
            ready = false;
            reasons.push(format!("a commit has been going on for {ms} ms"));
        }
        if recovering && reasons.is_empty() {
            ready = false;
            reasons.push("the store reopens after a failed commit".to_owned());
        }
        Health {
            healthy: reasons.is_empty(),
            ready,
            reasons,
        }
    }
}

/// Counts of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Contexts that are not deleted, over all workspaces.
    pub contexts: u64,
    /// Records in all logs.
    pub records: u64,
    /// Commits since the start.
    pub commits: u64,
    /// Changes since the start.
    pub changes: u64,
    /// Refusals since the start.
    pub refusals: u64,
    /// Which kinds of conflict changes met since the start, in the order of
    /// [`ConflictKind::ALL`].
    pub met: [u64; 4],
    /// Bytes on disk.
    pub store_bytes: u64,
    /// How long the last commit took, in microseconds.
    pub last_commit_us: u64,
    /// Look-ups that the cache of heads answered.
    pub cache_hits: u64,
    /// Look-ups that it did not.
    pub cache_misses: u64,
    /// Heads in the cache.
    pub cache_heads: u64,
    /// Bytes in the cache.
    pub cache_bytes: u64,
}

impl Stats {
    /// Returns the share of look-ups that the cache answered, from 0 to 1.
    pub fn cache_hit_rate(&self) -> f64 {
        let all = self.cache_hits + self.cache_misses;
        if all == 0 {
            0.0
        } else {
            self.cache_hits as f64 / all as f64
        }
    }

    /// Returns the wire form.
    pub fn to_json(&self) -> Json {
        let mut w = JsonWriter::new();
        w.begin_object();
        w.key("cache");
        w.begin_object();
        w.field_u64("bytes", self.cache_bytes);
        w.field_u64("heads", self.cache_heads);
        w.field_raw("hit_rate", &format!("{:.4}", self.cache_hit_rate()));
        w.field_u64("hits", self.cache_hits);
        w.field_u64("misses", self.cache_misses);
        w.end_object();
        w.field_u64("changes", self.changes);
        w.field_u64("commits", self.commits);
        w.key("conflicts");
        w.begin_object();
        for (kind, count) in ConflictKind::ALL.iter().zip(self.met) {
            w.field_u64(kind.as_str(), count);
        }
        w.end_object();
        w.field_u64("contexts", self.contexts);
        w.field_u64("last_commit_us", self.last_commit_us);
        w.field_u64("records", self.records);
        w.field_u64("refusals", self.refusals);
        w.field_u64("store_bytes", self.store_bytes);
        w.end_object();
        Json::parse(w.into_string().as_bytes(), &Limits::default())
            .expect("what was written is JSON")
    }
}
