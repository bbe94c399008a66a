//! The newest change ids, so that a new one is known to be new without asking the store.
//!
//! A UUIDv7 begins with the time it was made at. Every stored id made at or after `floor` is held
//! here, so one from then on that is not held was never stored; all others are looked up. More
//! may be held than is stored, which costs a look-up and nothing else.

use std::collections::BTreeSet;

use syncline_model::ids::ChangeId;

/// Bounds the memory: some 40 bytes each, for each workspace.
const HELD_MAX: usize = 20_000;

/// The change ids from some time on.
pub struct RecentIds {
    floor_ms: u64,
    held: BTreeSet<ChangeId>,
}

impl RecentIds {
    /// Begins after the greatest id that the store holds.
    pub fn after(newest: Option<ChangeId>) -> RecentIds {
        RecentIds {
            floor_ms: newest.map_or(0, |id| id.millis() + 1),
            held: BTreeSet::new(),
        }
    }

    /// Knows nothing: every id is looked up.
    pub fn unsure() -> RecentIds {
        RecentIds {
            floor_ms: u64::MAX,
            held: BTreeSet::new(),
        }
    }

    /// Says whether the id was surely never stored.
    pub fn surely_new(&self, id: &ChangeId) -> bool {
        id.millis() >= self.floor_ms && !self.held.contains(id)
    }

    /// Holds an id that is about to be stored.
    pub fn hold(&mut self, id: ChangeId) {
        if id.millis() < self.floor_ms {
            return;
        }
        self.held.insert(id);
        if self.held.len() > HELD_MAX {
            self.drop_older_half();
        }
    }

    fn drop_older_half(&mut self) {
        let Some(middle) = self.held.iter().nth(HELD_MAX / 2).copied() else {
            return;
        };
        // The floor lies between two milliseconds: all ids of one are held, or none is.
        self.floor_ms = middle.millis() + 1;
        let floor_ms = self.floor_ms;
        self.held.retain(|id| id.millis() >= floor_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(millis: u64, n: u8) -> ChangeId {
        ChangeId::from_parts(millis, &[n; 10])
    }

    #[test]
    fn p3_only_what_was_never_stored_is_surely_new() {
        let mut recent = RecentIds::after(Some(id(100, 1)));
        assert!(
            !recent.surely_new(&id(100, 2)),
            "made as early as a stored one"
        );
        assert!(recent.surely_new(&id(101, 1)));
        recent.hold(id(101, 1));
        assert!(!recent.surely_new(&id(101, 1)));
        assert!(!RecentIds::unsure().surely_new(&id(1 << 40, 1)));
    }

    #[test]
    fn p3_what_is_no_longer_held_is_looked_up() {
        let mut recent = RecentIds::after(None);
        let ids = (0..50_000u64).map(|n| id(n / 3, u8::try_from(n % 3).unwrap_or(0)));
        let ids: Vec<_> = ids.collect();
        for id in &ids {
            recent.hold(*id);
            assert!(recent.held.len() <= HELD_MAX);
        }
        assert!(ids.iter().all(|id| !recent.surely_new(id)));
        assert!(recent.surely_new(&id(60_000, 1)));
    }
}
