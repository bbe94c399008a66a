//! What waits in a feed to become one with later changes, for whoever does not hold the feed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use syncline_model::ids::{Address, Seq};
use tokio::time::Instant;

/// Of each line of versions that waits: its first change, and when that is due.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(Arc<Mutex<HashMap<Address, (Seq, Duration)>>>);

impl Lines {
    pub fn insert(&self, line: &Address, first: Seq, due: Duration) {
        self.locked().insert(line.clone(), (first, due));
    }

    pub fn remove(&self, line: &Address) {
        self.locked().remove(line);
    }

    fn due(&self, line: &Address, seq: Seq) -> Option<Duration> {
        let (first, due) = *self.locked().get(line)?;
        (first <= seq).then_some(due)
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Address, (Seq, Duration)>> {
        self.0
            .lock()
            .expect("nothing panics while what waits is noted")
    }
}

/// What waits in a feed, at any time.
#[derive(Clone, Debug)]
pub struct Waits {
    begun: Instant,
    lines: Lines,
}

impl Waits {
    pub(crate) fn new(begun: Instant, lines: Lines) -> Waits {
        Waits { begun, lines }
    }

    /// Returns how long a change waits still that the feed has judged; `None` where it does not.
    pub fn rest(&self, line: &Address, seq: Seq) -> Option<Duration> {
        let due = self.begun + self.lines.due(line, seq)?;
        Some(due.saturating_duration_since(Instant::now()))
    }
}
