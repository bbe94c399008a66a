//! The window of a durable subscription: what was read and is not done, who has it, until when.
//!
//! Pure: it is told what was read, who asks, who acknowledges and what time it is, and says what
//! is delivered, to whom, and what is given up. Whoever drives it keeps [`Window::saved`] before
//! anything that follows from it leaves the node.
//!
//! What keeps it small is that, of one context, what is done always comes before what is not: the
//! first thing that is not done says of all that follows on that context that it is not done
//! either. So a window that a stuck context fills need not hold what waits behind it: that is
//! *deferred*, and read again once its turn comes, and other contexts go on.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use syncline_model::cursor::{Position, Tag8};
use syncline_model::ids::{Address, Epoch, Seq};
use syncline_model::time::Timestamp;

use super::reading::{Deferred, Refill, Replay};
use super::saved::{Counts, Saved};

/// A consumer's name: whoever asks under one name is one consumer.
pub type Consumer = Arc<str>;

/// On what terms a subscription delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How many changes may be delivered and not acknowledged.
    pub window: usize,
    /// How long an acknowledgement may take, in milliseconds.
    pub ack_wait_ms: i64,
    /// After so many deliveries that failed it is given up.
    pub deliveries_max: u32,
}

/// Which contexts a unit is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touches {
    /// These.
    Contexts(Arc<[Address]>),
    /// All of them: it comes after all that was before it, and before all that follows.
    All,
}

/// What is delivered and acknowledged as one: a change, a whole bulk, or a reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its last record.
    pub seq: Seq,
    /// The first bytes of that record's hash.
    pub tag: Tag8,
    /// A place before its first record, after which no other unit comes before it.
    pub before: Position,
    /// Its contexts.
    pub touches: Touches,
    /// How many changes it has.
    pub changes: usize,
}

impl Unit {
    /// Returns the place after it, in a life of the log.
    pub fn place(&self, epoch: Epoch) -> Position {
        Position {
            epoch,
            seq: self.seq,
            tag: self.tag,
        }
    }
}

/// Something that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What.
    pub unit: Unit,
    /// How often it was delivered, this time included.
    pub delivery: u32,
}

/// Something that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// What.
    pub unit: Unit,
    /// How often it was delivered.
    pub deliveries: u32,
    /// Why it was given up.
    pub reason: String,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    /// It may be delivered; `late` may still acknowledge it, having taken too long.
    Ready { late: Option<Consumer> },
    /// It was delivered.
    InFlight {
        consumer: Consumer,
        until: Timestamp,
    },
    /// It was refused for now.
    Waiting { until: Timestamp },
}

#[derive(Clone, Debug)]
pub(super) struct Held {
    pub unit: Unit,
    pub state: State,
    pub deliveries: u32,
    pub failures: u32,
    /// Acknowledged, while something before it on one of its contexts is not.
    pub acked: bool,
    /// It counts as acknowledged, since nobody may see it.
    pub forgotten: bool,
    /// Something before it went out once more since it was delivered: so does it.
    pub follows_again: bool,
    /// Why it is given up, once all before it on its contexts is done.
    pub doomed: Option<String>,
    /// Taken back from the dead: what follows on its contexts may be done already.
    pub again: bool,
}

impl Held {
    pub(super) fn consumer(&self) -> Option<&Consumer> {
        match &self.state {
            State::InFlight { consumer, .. } if !self.acked => Some(consumer),
            _ => None,
        }
    }

    /// Says whether nothing that follows on its contexts is delivered before it is done: it has
    /// failed before, and what follows would be taken back with it each time.
    fn goes_alone(&self) -> bool {
        (self.failures > 0 && !self.again) || self.unit.touches == Touches::All
    }

    /// As it will be known after a restart: what is in flight then has failed.
    fn counts(&self) -> Counts {
        Counts {
            deliveries: self.deliveries,
            failures: self.failures + u32::from(matches!(self.state, State::InFlight { .. })),
        }
    }
}

/// What is not done: contexts, or all of them.
#[derive(Debug, Default)]
pub(super) struct Undone {
    all: bool,
    contexts: HashSet<Address>,
}

impl Undone {
    pub(super) fn add(&mut self, touches: &Touches) {
        match touches {
            Touches::All => self.all = true,
            Touches::Contexts(contexts) => self.contexts.extend(contexts.iter().cloned()),
        }
    }

    pub(super) fn meets(&self, touches: &Touches) -> bool {
        match touches {
            Touches::All => self.all || !self.contexts.is_empty(),
            Touches::Contexts(contexts) => {
                self.all
                    || contexts
                        .iter()
                        .any(|context| self.contexts.contains(context))
            }
        }
    }
}

/// The window of one durable subscription.
#[derive(Debug)]
pub struct Window {
    pub(super) terms: Terms,
    /// Up to here the log was read.
    pub(super) read: Position,
    pub(super) held: BTreeMap<Seq, Held>,
    /// Of each context, what is held; what was taken back from the dead stands in no line.
    pub(super) lines: HashMap<Address, BTreeSet<Seq>>,
    /// What is held and about all contexts.
    barriers: BTreeSet<Seq>,
    pub(super) deferred: HashMap<Address, Deferred>,
    /// While what was deferred is read again: what did not fit this time either.
    pub(super) refilling: Option<Refill>,
    pub(super) replay: Option<Replay>,
    /// Something was done since what was deferred was read again last.
    pub(super) moved: bool,
    /// Given up, and not yet told.
    pub(super) dead: Vec<Dead>,
    pub(super) redelivered: u64,
    /// Acknowledged, and not taken back.
    pub(super) acked: u64,
}

impl Window {
    /// Goes on from what was saved.
    pub fn new(terms: Terms, saved: &Saved) -> Window {
        Window {
            terms,
            read: saved.read,
            held: BTreeMap::new(),
            lines: HashMap::new(),
            barriers: BTreeSet::new(),
            deferred: HashMap::new(),
            refilling: None,
            replay: Replay::of(saved),
            moved: true,
            dead: Vec::new(),
            redelivered: 0,
            acked: 0,
        }
    }

    /// Takes other terms; what is in flight keeps its time.
    pub fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// Returns the place that its reader goes on from.
    pub fn reads_from(&self) -> Position {
        self.replay.as_ref().map_or(self.read, |replay| replay.at)
    }

    /// Returns the highest place below which all is acknowledged or given up.
    pub fn acknowledged(&self) -> Position {
        let first = self.held.values().find(|held| !held.again);
        if let Some(first) = first.filter(|held| held.unit.touches == Touches::All) {
            // What came before a reset may be of another life of the log.
            return first.unit.before;
        }
        let places = first.map(|held| held.unit.before).into_iter();
        let places = places.chain(self.deferred.values().map(|deferred| deferred.before));
        let replay = self.replay.as_ref().map(|replay| replay.at);
        let lowest = places.chain(replay).min_by_key(|place| place.seq);
        lowest.unwrap_or(self.read)
    }

    pub(super) fn insert(&mut self, unit: Unit, counts: Counts, again: bool) {
        match &unit.touches {
            _ if again => {}
            Touches::All => drop(self.barriers.insert(unit.seq)),
            Touches::Contexts(contexts) => {
                for context in contexts.iter() {
                    self.lines
                        .entry(context.clone())
                        .or_default()
                        .insert(unit.seq);
                }
            }
        }
        let held = Held {
            state: State::Ready { late: None },
            deliveries: counts.deliveries,
            failures: counts.failures,
            acked: false,
            forgotten: false,
            follows_again: false,
            doomed: None,
            again,
            unit,
        };
        self.held.insert(held.unit.seq, held);
    }

    pub(super) fn remove(&mut self, seq: Seq) -> Option<Held> {
        let held = self.held.remove(&seq)?;
        self.moved = true;
        self.barriers.remove(&seq);
        if let Touches::Contexts(contexts) = &held.unit.touches {
            for context in contexts.iter() {
                if let Some(line) = self.lines.get_mut(context) {
                    line.remove(&seq);
                    if line.is_empty() {
                        self.lines.remove(context);
                    }
                }
            }
        }
        Some(held)
    }

    /// Says whether nothing that is held comes before a unit on one of its contexts.
    pub(super) fn is_first(&self, held: &Held) -> bool {
        let seq = held.unit.seq;
        let barred = self.barriers.first().is_some_and(|first| *first < seq);
        match &held.unit.touches {
            _ if held.again => true,
            _ if barred => false,
            Touches::All => self.held.range(..seq).all(|(_, held)| held.again),
            Touches::Contexts(contexts) => contexts.iter().all(|context| {
                let line = self.lines.get(context);
                line.and_then(BTreeSet::first) == Some(&seq)
            }),
        }
    }

    /// Delivers to a consumer what is next in turn, oldest first, up to so many changes; one unit
    /// that is larger passes alone.
    pub fn take(
        &mut self,
        consumer: &Consumer,
        changes_max: usize,
        now: Timestamp,
    ) -> Vec<Delivery> {
        if self.replay.is_some() {
            // What is done is not known of all before it was read again.
            return Vec::new();
        }
        let alone = self.in_flight() == 0;
        let mut room = self.terms.window.saturating_sub(self.in_flight());
        let mut page = changes_max;
        let mut taken: Vec<Delivery> = Vec::new();
        let mut blocked = Undone::default();
        let mut elsewhere = Undone::default();
        let deferred = self.deferred.values().map(|d| d.seq).min();
        let until = Timestamp(now.0 + self.terms.ack_wait_ms);
        for held in self.held.values_mut() {
            let touches = &held.unit.touches;
            let behind =
                deferred.is_some_and(|seq| *touches == Touches::All && held.unit.seq > seq);
            match &held.state {
                _ if held.acked => {}
                // What follows waits until this is done.
                State::InFlight { .. } if held.goes_alone() => blocked.add(touches),
                State::InFlight { consumer: at, .. } if at == consumer => {}
                State::InFlight { .. } => elsewhere.add(touches),
                State::Waiting { until } if *until > now => blocked.add(touches),
                State::Ready { .. } | State::Waiting { .. } => {
                    let first = alone && taken.is_empty();
                    let waits = blocked.meets(touches) || elsewhere.meets(touches) || behind;
                    if waits || (*touches == Touches::All && !first) {
                        blocked.add(touches);
                        continue;
                    }
                    let changes = held.unit.changes;
                    // What is too large for now is waited for: else what is small would pass it
                    // for ever.
                    if (changes > room && !first) || (changes > page && !taken.is_empty()) {
                        break;
                    }
                    room = room.saturating_sub(changes);
                    page = page.saturating_sub(changes);
                    held.deliveries += 1;
                    held.follows_again = false;
                    self.redelivered += u64::from(held.deliveries > 1);
                    held.state = State::InFlight {
                        consumer: consumer.clone(),
                        until,
                    };
                    if held.goes_alone() {
                        blocked.add(touches);
                    }
                    taken.push(Delivery {
                        unit: held.unit.clone(),
                        delivery: held.deliveries,
                    });
                }
            }
        }
        for again in taken.iter().filter(|taken| taken.delivery > 1) {
            self.follow_again(again.unit.seq);
        }
        taken
    }

    /// Takes back what was taken and is not sent after all; whom another has by now keeps it.
    pub fn untake(&mut self, consumer: &Consumer, seqs: &[Seq]) {
        for seq in seqs {
            let taken = |held: &&mut Held| held.consumer() == Some(consumer);
            if let Some(held) = self.held.get_mut(seq).filter(taken) {
                self.redelivered -= u64::from(held.deliveries > 1);
                held.deliveries = held.deliveries.saturating_sub(1);
                // An ack of an earlier delivery says nothing of what this one was to follow.
                held.follows_again = held.deliveries > 0;
                held.state = State::Ready { late: None };
            }
        }
    }

    /// Holds a unit that was given up, to be delivered once more.
    pub fn again(&mut self, unit: Unit, counts: Counts) {
        if !self.held.contains_key(&unit.seq) {
            self.insert(unit, counts, true);
        }
    }

    /// Returns what was given up since it was asked last.
    pub fn take_dead(&mut self) -> Vec<Dead> {
        std::mem::take(&mut self.dead)
    }

    /// Takes back what was given up and could not be kept.
    pub fn return_dead(&mut self, dead: Vec<Dead>) {
        self.dead.splice(..0, dead);
    }

    /// Returns what a restart goes on from.
    pub fn saved(&self) -> Saved {
        let mut undone = Undone::default();
        let mut pending: BTreeMap<Seq, Counts> = BTreeMap::new();
        let mut again = Vec::new();
        for held in self.held.values() {
            if held.again {
                again.push((held.unit.before, held.unit.seq, held.counts()));
            } else {
                if !undone.meets(&held.unit.touches) {
                    pending.insert(held.unit.seq, held.counts());
                }
                undone.add(&held.unit.touches);
            }
        }
        for deferred in self.deferred.values() {
            pending.entry(deferred.seq).or_default();
        }
        if let Some(replay) = &self.replay {
            pending.extend(replay.listed());
        }
        Saved {
            floor: self.acknowledged(),
            read: self.read,
            pending: pending.into_iter().collect(),
            again,
        }
    }
}
