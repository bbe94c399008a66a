//! How a window is filled: from the log as it grows, from a place before a restart, and with what
//! was put off.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use syncline_model::cursor::Position;
use syncline_model::ids::{Address, Seq};

use super::saved::{Counts, Saved};
use super::window::{Held, Touches, Undone, Unit, Window};

/// Bounds what is held for one window, beside as many as may be in flight.
const HELD_BESIDE: usize = 3_000;
/// One context may take so much of the room that is left: stuck contexts shrink what others of
/// them may hold, and never take all.
const SHARE_OF_ROOM: usize = 8;

/// The first thing of a context that is not held.
#[derive(Clone, Debug)]
pub(super) struct Deferred {
    pub seq: Seq,
    pub before: Position,
}

/// What was deferred is read again.
#[derive(Debug, Default)]
pub(super) struct Refill {
    /// What did not fit this time either.
    still: HashMap<Address, Deferred>,
    /// Contexts that were deferred, and of which all that came so far fitted.
    open: usize,
}

/// The way back to where a window was before a restart. Nothing is delivered on it.
#[derive(Debug)]
pub(super) struct Replay {
    /// Up to here was read before.
    until: Seq,
    /// Up to here it is read again.
    pub at: Position,
    /// What was not done, and is not yet met again.
    listed: BTreeMap<Seq, Counts>,
    /// Contexts of which something is not done.
    undone: Undone,
}

impl Replay {
    pub(super) fn of(saved: &Saved) -> Option<Replay> {
        (!saved.pending.is_empty()).then(|| Replay {
            until: saved.read.seq,
            at: saved.floor,
            listed: saved.pending.iter().copied().collect(),
            undone: Undone::default(),
        })
    }

    pub(super) fn listed(&self) -> impl Iterator<Item = (Seq, Counts)> {
        self.listed.iter().map(|(seq, counts)| (*seq, *counts))
    }

    /// Says whether something that was not done lies up to here and did not come again.
    fn missed(&self, seq: Seq) -> bool {
        self.listed
            .first_key_value()
            .is_some_and(|(first, _)| *first <= seq)
    }
}

/// Says whether a unit, which comes after `before`, is read by whoever reads on from a place.
pub(super) fn is_behind(before: &Position, seq: Seq, place: &Position) -> bool {
    before.epoch == place.epoch && seq > place.seq
}

impl Window {
    /// Says whether more may be read. On the way back after a restart it always may: no more
    /// contexts wait than did before.
    pub fn has_room(&self) -> bool {
        let room = self.held.len() < self.held_max() || self.replay.is_some();
        self.refilling.is_none() && room
    }

    fn held_max(&self) -> usize {
        self.terms.window + HELD_BESIDE
    }

    /// Takes the next thing that was read.
    pub fn offer(&mut self, unit: Unit) {
        let Some(replay) = self.replay.as_mut().filter(|r| unit.seq <= r.until) else {
            return self.hold(unit, Counts::default());
        };
        let listed = replay.listed.remove(&unit.seq);
        if replay.missed(unit.before.seq) {
            self.end_replay(unit.before);
            return self.hold(unit, listed.unwrap_or_default());
        }
        // All before a reset was done before that was, so one that is met here is new: a part of a
        // bulk came to take other contexts along.
        let is_new = unit.touches == Touches::All;
        if listed.is_none() && !is_new && !replay.undone.meets(&unit.touches) {
            return;
        }
        replay.undone.add(&unit.touches);
        self.hold(unit, listed.unwrap_or_default());
    }

    /// Notes that all up to here was read, and offered if it was wanted.
    pub fn read_to(&mut self, place: Position) {
        match &mut self.replay {
            None => self.read = place,
            Some(replay) if place.seq < replay.until && !replay.missed(place.seq) => {
                replay.at = place;
            }
            Some(_) => self.end_replay(place),
        }
    }

    /// Goes on from a place. Where something that was not done is not wanted today, that is short
    /// of where it had read before: what that held back cannot be told any more from what is done.
    fn end_replay(&mut self, place: Position) {
        self.read = place;
        self.replay = None;
        self.bury_failed();
        self.settle_all();
    }

    /// Begins again at a place, with everything forgotten that was read before. What is back from
    /// the dead is still to come, unless it lies behind the place and is read anyway: nothing else
    /// knows of it.
    pub fn begin_at(&mut self, place: Position) {
        let before = std::mem::replace(self, Window::new(self.terms, &Saved::at(place)));
        (self.redelivered, self.acked) = (before.redelivered, before.acked);
        let stays =
            |held: &Held| held.again && !is_behind(&held.unit.before, held.unit.seq, &place);
        for held in before.held.into_values().filter(stays) {
            let counts = Counts {
                deliveries: held.deliveries,
                failures: held.failures,
            };
            self.insert(held.unit, counts, true);
        }
    }

    /// Holds a unit, or notes that its contexts wait where there is no room for more of them.
    fn hold(&mut self, unit: Unit, counts: Counts) {
        let fits = match &unit.touches {
            Touches::All => true,
            Touches::Contexts(contexts) => contexts
                .iter()
                .all(|context| !self.deferred.contains_key(context) && self.has_room_for(context)),
        };
        match &unit.touches {
            Touches::Contexts(contexts) if !fits => {
                for context in contexts.iter() {
                    let deferred = Deferred {
                        seq: unit.seq,
                        before: unit.before,
                    };
                    self.deferred.entry(context.clone()).or_insert(deferred);
                }
            }
            _ => self.insert(unit, counts, false),
        }
    }

    fn has_room_for(&self, context: &Address) -> bool {
        let room = self.held_max().saturating_sub(self.held.len());
        let backlog = self.lines.get(context).map_or(0, BTreeSet::len);
        backlog < (room / SHARE_OF_ROOM).max(1)
    }

    /// Returns the place to read again from, where something that was deferred is next in turn;
    /// until [`Window::refilled`], nothing else is read.
    pub fn begin_refill(&mut self) -> Option<Position> {
        let due = |context| !self.lines.contains_key(context);
        let free = self.replay.is_none() && self.refilling.is_none() && self.moved;
        if !free || !self.deferred.keys().any(due) {
            return None;
        }
        self.moved = false;
        self.refilling = Some(Refill {
            still: HashMap::new(),
            open: self.deferred.len(),
        });
        let places = self.deferred.values().map(|deferred| deferred.before);
        places.min_by_key(|place| place.seq)
    }

    /// Takes something that is read again; returns false where nothing that follows can fit.
    pub fn refill(&mut self, unit: Unit) -> bool {
        let (Some(refill), Touches::Contexts(contexts)) = (&self.refilling, &unit.touches) else {
            return true;
        };
        let waits = |context| {
            self.deferred
                .get(context)
                .is_some_and(|d| d.seq <= unit.seq)
        };
        let there = unit.seq > self.read.seq || self.held.contains_key(&unit.seq);
        if there || !contexts.iter().any(waits) {
            return true;
        }
        let fits = |context| !refill.still.contains_key(context) && self.has_room_for(context);
        if contexts.iter().all(fits) {
            self.insert(unit, Counts::default(), false);
            return true;
        }
        let contexts = contexts.clone();
        let Some(refill) = &mut self.refilling else {
            return true;
        };
        for context in contexts.iter() {
            let deferred = Deferred {
                seq: unit.seq,
                before: unit.before,
            };
            if !refill.still.contains_key(context) {
                refill.still.insert(context.clone(), deferred);
                refill.open -= usize::from(self.deferred.contains_key(context));
            }
        }
        refill.open > 0
    }

    /// Ends reading again: all that was deferred was met, or nothing more can fit.
    pub fn refilled(&mut self) {
        if let Some(refill) = self.refilling.take() {
            self.deferred = refill.still;
        }
    }
}
