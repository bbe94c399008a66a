//! What a window tells of itself.

use std::collections::{BTreeMap, BTreeSet};

use syncline_model::ids::Seq;
use syncline_model::time::Timestamp;

use super::saved::Counts;
use super::state::Began;
use super::window::{Consumer, Held, State, Window};

/// How a unit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its place was not read yet.
    NotRead,
    /// It was read before the node started, and not since then: what is kept says no more of it
    /// than how often it was delivered, and that only of the first of each context that is not done.
    NotReadAgain(Option<Counts>),
    /// It lies before the place from which the subscription goes on.
    Before(Began),
    /// It waits behind others of its context, and will be read again.
    Deferred,
    /// It is held: delivered or not, and not done.
    Held {
        /// How often it was delivered.
        deliveries: u32,
        /// How often that failed.
        failures: u32,
        /// It is acknowledged, while something before it is not.
        acked: bool,
        /// Until when its consumer has time, or when it is delivered again.
        until: Option<Timestamp>,
        /// Who has it.
        consumer: Option<Consumer>,
        /// Nothing that is not done comes before it on its contexts.
        first: bool,
        /// As much is in flight as may be.
        full: bool,
    },
    /// It is acknowledged, given up, or was not wanted.
    Done,
}

impl Window {
    /// Returns when something happens by itself: a time runs out, or a delay ends.
    pub fn next_due(&self) -> Option<Timestamp> {
        let due = self.held.values().filter(|held| !held.acked);
        due.filter_map(|held| match held.state {
            State::InFlight { until, .. } | State::Waiting { until } => Some(until),
            State::Ready { .. } => None,
        })
        .min()
    }

    /// Returns how many changes are delivered and not acknowledged.
    pub fn in_flight(&self) -> usize {
        let out = self.held.values().filter(|held| held.consumer().is_some());
        out.map(|held| held.unit.changes).sum()
    }

    /// Returns how many changes each consumer has.
    pub fn consumers(&self) -> BTreeMap<Consumer, usize> {
        let mut all = BTreeMap::new();
        for held in self.held.values() {
            if let Some(consumer) = held.consumer() {
                *all.entry(consumer.clone()).or_default() += held.unit.changes;
            }
        }
        all
    }

    /// Returns how many deliveries were not the first of theirs, since the start.
    pub fn redelivered(&self) -> u64 {
        self.redelivered
    }

    /// Returns how many acks stand, since the start: those that were taken back do not.
    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// Returns the contexts that wait for something before them and are not held.
    pub fn deferred(&self) -> usize {
        self.deferred.len()
    }

    /// Returns the units that are held, for explanations.
    pub fn standing(&self, seq: Seq) -> Standing {
        let replay = self.replay.as_ref().filter(|replay| replay.at.seq < seq);
        match self.held.get(&seq) {
            Some(held) => self.standing_of(held),
            None if seq > self.read.seq => Standing::NotRead,
            None if replay.is_some() => {
                let mut listed = replay.into_iter().flat_map(|replay| replay.listed());
                let counts = listed.find(|(listed, _)| *listed == seq);
                Standing::NotReadAgain(counts.map(|(_, counts)| counts))
            }
            None if self.deferred.values().any(|deferred| deferred.seq == seq) => {
                Standing::Deferred
            }
            None => Standing::Done,
        }
    }

    fn standing_of(&self, held: &Held) -> Standing {
        Standing::Held {
            deliveries: held.deliveries,
            failures: held.failures,
            acked: held.acked,
            until: match held.state {
                State::Ready { .. } => None,
                State::InFlight { until, .. } | State::Waiting { until } => Some(until),
            },
            consumer: held.consumer().cloned(),
            first: self.is_first(held),
            full: self.in_flight() >= self.terms.window,
        }
    }

    /// Returns the unit that a record in the midst of a bulk is of, as far as that is held or put
    /// off: a unit stands at its last record.
    pub fn unit_of(&self, seq: Seq) -> Option<Seq> {
        let held = self.held.range(seq..).next();
        let held = held.map(|(last, held)| (*last, held.unit.before.seq));
        let deferred = self.deferred.values().map(|one| (one.seq, one.before.seq));
        let mut all = held.into_iter().chain(deferred);
        let found = all.find(|(last, before)| *before < seq && seq <= *last);
        found.map(|(last, _)| last)
    }

    /// Says whether a unit is held.
    pub fn holds(&self, seq: Seq) -> bool {
        self.held.contains_key(&seq)
    }

    /// Says whether it is on its way back to where it was before a restart.
    pub fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// Returns what is held, by seq.
    pub fn held(&self) -> BTreeSet<Seq> {
        self.held.keys().copied().collect()
    }
}
