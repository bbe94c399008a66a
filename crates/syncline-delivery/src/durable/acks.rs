//! What becomes of what was delivered: acknowledged, given back, late, given up; and what that lets
//! follow on the same contexts.

use std::collections::BTreeSet;

use syncline_model::ids::Seq;
use syncline_model::time::Timestamp;

use super::window::{Consumer, Dead, Held, State, Touches, Window};

impl Window {
    /// Acknowledges all that this consumer was given up to a place; returns how many that were.
    pub fn ack_to(&mut self, consumer: &Consumer, seq: Seq) -> usize {
        let given = self
            .held
            .range_mut(..=seq)
            .filter(|(_, held)| match &held.state {
                State::InFlight { consumer: at, .. } | State::Ready { late: Some(at) } => {
                    at == consumer && !held.acked
                }
                State::Ready { late: None } | State::Waiting { .. } => false,
            });
        let acked: Vec<Seq> = given
            .map(|(seq, held)| {
                held.acked = true;
                *seq
            })
            .collect();
        self.acked += acked.len() as u64;
        self.settle(&acked);
        acked.len()
    }

    /// Returns who has a unit that was delivered once only: nobody else knows its cursor from here.
    pub fn first_holder(&self, seq: Seq) -> Option<Consumer> {
        let held = self.held.get(&seq).filter(|held| held.deliveries == 1);
        held.and_then(Held::consumer).cloned()
    }

    /// Acknowledges units that were delivered, whoever has them; returns how many were not done.
    pub fn ack_each(&mut self, seqs: &[Seq]) -> usize {
        let mut acked = Vec::new();
        for seq in seqs {
            let given = |held: &&mut Held| held.deliveries > 0 && !held.follows_again;
            let given = self.held.get_mut(seq).filter(given);
            if let Some(held) = given.filter(|held| !held.acked) {
                held.acked = true;
                acked.push(*seq);
            }
        }
        self.acked += acked.len() as u64;
        self.settle(&acked);
        acked.len()
    }

    /// Forgets a unit that is not to be delivered any more: nobody may see it today.
    pub fn forget(&mut self, seq: Seq) {
        if let Some(held) = self.held.get_mut(&seq) {
            (held.acked, held.forgotten) = (true, true);
            self.settle(&[seq]);
        }
    }

    /// Gives back one unit that was delivered, to be delivered again no sooner than `until`; says
    /// whether anybody had it.
    pub fn nack(&mut self, seq: Seq, until: Timestamp, reason: &str) -> bool {
        let there = self
            .held
            .get(&seq)
            .is_some_and(|held| held.consumer().is_some());
        if there {
            self.fail(seq, State::Waiting { until }, reason);
        }
        there
    }

    /// Gives a consumer the whole time again for one unit, or for all that it has; returns how
    /// many that were.
    pub fn extend(&mut self, consumer: &Consumer, seq: Option<Seq>, now: Timestamp) -> usize {
        let later = Timestamp(now.0 + self.terms.ack_wait_ms);
        let mut extended = 0;
        for held in self.held.values_mut() {
            let asked = seq.is_none_or(|seq| seq == held.unit.seq);
            match &mut held.state {
                State::InFlight {
                    consumer: at,
                    until,
                } if asked && at == consumer => {
                    *until = later;
                    extended += 1;
                }
                _ => {}
            }
        }
        extended
    }

    /// Takes back what was not acknowledged in time.
    pub fn expire(&mut self, now: Timestamp) {
        let late =
            |held: &Held| matches!(held.state, State::InFlight { until, .. } if until <= now);
        self.fail_where(late, "it was not acknowledged in time");
    }

    /// Takes back what a consumer has: it is gone.
    pub fn leave(&mut self, consumer: &Consumer) {
        let its = |held: &Held| held.consumer() == Some(consumer);
        self.fail_where(its, "its consumer went away");
    }

    fn fail_where(&mut self, failed: impl Fn(&Held) -> bool, reason: &str) {
        let all: Vec<Seq> = self
            .held
            .values()
            .filter(|held| !held.acked && failed(held))
            .map(|held| held.unit.seq)
            .collect();
        for seq in all {
            // One that follows another that failed was taken back with it, and has not failed.
            let Some(consumer) = self.held.get(&seq).and_then(Held::consumer).cloned() else {
                continue;
            };
            let late = Some(consumer);
            self.fail(seq, State::Ready { late }, reason);
        }
    }

    /// Counts a failure of one unit: it is delivered again, before all that follows on its
    /// contexts, or given up.
    fn fail(&mut self, seq: Seq, state: State, reason: &str) {
        let Some(held) = self.held.get_mut(&seq) else {
            return;
        };
        held.failures += 1;
        if held.failures >= self.terms.deliveries_max {
            return self.bury(seq, reason);
        }
        let refused = matches!(state, State::Waiting { .. });
        held.state = state;
        for seq in self.followers(seq) {
            let Some(held) = self.held.get_mut(&seq).filter(|held| !held.acked) else {
                continue;
            };
            if let State::InFlight { consumer, .. } = &held.state {
                let late = (!refused).then(|| consumer.clone());
                held.state = State::Ready { late };
            }
        }
    }

    /// Lets all that was delivered after a unit which goes out once more follow it again, whether
    /// it is acknowledged or not: else its consumer would end with the older of the two.
    pub(super) fn follow_again(&mut self, seq: Seq) {
        for seq in self.followers(seq) {
            let given = |held: &&mut Held| {
                let out = held.consumer().is_some() || held.deliveries == 0;
                !out && !held.forgotten && held.doomed.is_none()
            };
            let Some(held) = self.held.get_mut(&seq).filter(given) else {
                continue;
            };
            self.acked -= u64::from(held.acked);
            (held.acked, held.follows_again) = (false, true);
            if !matches!(held.state, State::Waiting { .. }) {
                held.state = State::Ready { late: None };
            }
        }
    }

    /// Says whether a unit is back from the dead.
    pub fn is_again(&self, seq: Seq) -> bool {
        self.held.get(&seq).is_some_and(|held| held.again)
    }

    /// Gives a unit up: not before what comes before it on its contexts is done, since a restart
    /// knows only the first of each that is not.
    pub(super) fn bury(&mut self, seq: Seq, reason: &str) {
        if let Some(held) = self.held.get_mut(&seq) {
            held.doomed = Some(reason.to_owned());
            held.acked = true;
            self.settle(&[seq]);
        }
    }

    /// Gives up what had failed too often before a restart, once all is read again.
    pub(super) fn bury_failed(&mut self) {
        let max = self.terms.deliveries_max;
        let failed = self.held.values().filter(|held| held.failures >= max);
        let failed: Vec<Seq> = failed.map(|held| held.unit.seq).collect();
        for seq in failed {
            self.bury(seq, "it was not acknowledged before the node stopped");
        }
    }

    /// Returns all that comes after a unit on one of its contexts, and after these on theirs.
    fn followers(&self, seq: Seq) -> BTreeSet<Seq> {
        let mut found = BTreeSet::new();
        let mut next = vec![seq];
        while let Some(seq) = next.pop() {
            // What follows one that is back from the dead may be done already.
            let Some(held) = self.held.get(&seq).filter(|held| !held.again) else {
                continue;
            };
            let Touches::Contexts(contexts) = &held.unit.touches else {
                // Nothing is delivered after it before it is done.
                continue;
            };
            for line in contexts
                .iter()
                .filter_map(|context| self.lines.get(context))
            {
                let after = line.range(seq.next()..);
                next.extend(after.filter(|after| found.insert(**after)));
            }
        }
        found
    }

    /// Takes out what is acknowledged and has nothing before it on its contexts that is not, and
    /// what waited for that.
    fn settle(&mut self, acked: &[Seq]) {
        let mut next: BTreeSet<Seq> = acked.iter().copied().collect();
        while let Some(seq) = next.pop_first() {
            let done = |held: &&Held| held.acked && self.is_first(held);
            let replaying = self.replay.is_some();
            if replaying || self.held.get(&seq).filter(done).is_none() {
                continue;
            }
            let Some(held) = self.remove(seq) else {
                continue;
            };
            next.extend(self.firsts(&held.unit.touches));
            if let Some(reason) = held.doomed {
                self.dead.push(Dead {
                    unit: held.unit,
                    deliveries: held.deliveries,
                    reason,
                });
            }
        }
    }

    /// Takes out all that is done, once all is read again.
    pub(super) fn settle_all(&mut self) {
        let acked = self.held.values().filter(|held| held.acked);
        let acked: Vec<Seq> = acked.map(|held| held.unit.seq).collect();
        self.settle(&acked);
    }

    /// Returns the first of each of these contexts.
    fn firsts(&self, touches: &Touches) -> Vec<Seq> {
        let Touches::Contexts(contexts) = touches else {
            // Nothing after it was delivered.
            return Vec::new();
        };
        let lines = contexts
            .iter()
            .filter_map(|context| self.lines.get(context));
        lines.filter_map(BTreeSet::first).copied().collect()
    }
}
