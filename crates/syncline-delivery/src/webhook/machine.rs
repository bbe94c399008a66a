//! The state machine of one webhook: what is sent next, and what becomes of it.
//!
//! It does no I/O and knows no clock: events that were read from the log, ends of attempts and
//! the time go in; rows to keep and attempts to begin come out ([`Machine::step`]). The rows of a
//! step are kept, as one, before any of its attempts begins. So whatever the node dies in the
//! middle of, each event stands in a row or lies after the cursor: it is sent at least once,
//! always under the same id, and how often is bounded. Events of one context go one after the
//! other; those of others pass by one that waits. A reset is of none: it goes once nothing older is
//! left, since what its receiver reads then must not be undone by what was before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use syncline_model::ids::{Address, ChangeId};
use syncline_model::time::Timestamp;

use crate::webhook::policy::Policy;
use crate::webhook::state::{About, Disabled, Event, Replay, Slot, State};

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// 2xx.
    Delivered(u16),
    /// Anything else.
    Failed(Failure),
    /// There is nothing to send any more: it left the scope, or may not be seen today.
    Skipped(&'static str),
    /// The node stopped before it knew.
    Interrupted,
}

/// Why an attempt failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The answer's status, if there was one.
    pub status: Option<u16>,
    /// In words, for the owner.
    pub why: String,
    /// How long the endpoint asked to be left alone.
    pub retry_after: Option<Duration>,
}

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// How the webhook stands.
    State(State),
    /// An event that is not settled.
    Event(Event),
    /// An event that is settled: its row goes.
    Settled(Slot),
    /// An event that was given up.
    Dead(Event, Timestamp),
    /// An event that was given up is sent again: its letter goes.
    Revived(Slot),
    /// An attempt that ended, for the delivery log; the first is 0.
    Logged(u64, Logged),
}

/// An attempt that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Which event's.
    pub id: ChangeId,
    /// Of which context.
    pub context: Option<Address>,
    /// The how-manieth; the first is 1.
    pub attempt: u32,
    /// When it ended.
    pub at: Timestamp,
    /// How.
    pub end: End,
}

/// An attempt to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// At which event.
    pub slot: Slot,
    /// Its `webhook-id`.
    pub id: ChangeId,
}

/// What is to be done now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Kept first, as one.
    pub keep: Vec<Row>,
    /// Begun then.
    pub send: Vec<Attempt>,
    /// The endpoint is asked then whether it wants to hear; nothing is sent before it said so.
    pub challenge: bool,
    /// When to ask again, if nothing happens before.
    pub wake_at: Option<Timestamp>,
}

/// One webhook.
#[derive(Debug)]
pub struct Machine {
    policy: Policy,
    url: String,
    state: State,
    events: BTreeMap<Slot, Event>,
    lines: HashMap<Option<Address>, Line>,
    /// The first of each line, unless it is in flight, by when it is due.
    due: BTreeSet<(Timestamp, Slot)>,
    in_flight: usize,
    challenging: bool,
    /// Nobody needs to ask the endpoint whether it wants to hear.
    trusted: bool,
    /// What changed since the last step.
    changed: BTreeSet<Slot>,
    rows: Vec<Row>,
    state_changed: bool,
    cursor_moved: bool,
}

/// The events of one context, in order: only the first may be sent.
#[derive(Debug, Default)]
struct Line {
    slots: BTreeSet<Slot>,
    /// Something of it is in flight; what is replayed may come to stand before that.
    flies: bool,
}

impl Machine {
    /// Takes up a webhook where its rows left it.
    pub fn restore(
        policy: Policy,
        url: String,
        state: State,
        events: Vec<Event>,
        now: Timestamp,
    ) -> Machine {
        let mut machine = Machine {
            policy,
            url,
            state,
            events: BTreeMap::new(),
            lines: HashMap::new(),
            due: BTreeSet::new(),
            in_flight: 0,
            challenging: false,
            trusted: false,
            changed: BTreeSet::new(),
            rows: Vec::new(),
            state_changed: false,
            cursor_moved: false,
        };
        // A clock that was ahead when the rows were written must not keep events for years.
        let latest = Timestamp(now.0.saturating_add(machine.policy.wait_ms_max()));
        for time in [
            &mut machine.state.open_until,
            &mut machine.state.paused_until,
        ] {
            *time = time.map(|time| time.min(latest));
        }
        machine.state.challenge_at = machine.state.challenge_at.min(latest);
        for mut event in events {
            event.due_at = event.due_at.min(latest);
            let cut_short = std::mem::take(&mut event.begun);
            let slot = event.slot;
            machine.insert(event);
            if cut_short {
                machine.interrupted(slot, now, 0);
            }
        }
        machine
    }

    /// Returns how it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Returns how many events are not settled.
    pub fn outstanding(&self) -> usize {
        self.events.len()
    }

    /// Returns how many events more may be read.
    pub fn room(&self) -> usize {
        let room = self.policy.outstanding_max;
        room.saturating_sub(self.events.len())
    }

    /// Returns how many attempts are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the events that are not settled, in the order of the log.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.values()
    }

    /// Says whether a reset is still to be sent that stands for what lies at a slot.
    pub fn will_reset(&self, slot: Slot) -> bool {
        let later = self.events.range(slot..);
        later
            .map(|(_, event)| event)
            .any(|event| event.slot.about != About::Change && !event.begun)
    }

    /// Says whether enough is due that reading on can wait.
    pub fn is_busy(&self, now: Timestamp) -> bool {
        let due = self.due.iter().take_while(|(due_at, _)| *due_at <= now);
        due.take(2 * self.policy.in_flight_max).count() == 2 * self.policy.in_flight_max
    }

    /// Says whether the endpoint has proved that it wants to hear, or need not.
    pub fn is_proved(&self) -> bool {
        self.trusted || self.state.proved.as_deref() == Some(self.url.as_str())
    }

    /// Takes an event that was read from the log, or is to be sent again. One that is there
    /// already is due at once.
    pub fn offer(&mut self, event: Event) {
        match self.events.get(&event.slot) {
            Some(known) if known.begun => {}
            Some(known) => {
                let mut known = known.clone();
                known.due_at = event.due_at;
                self.insert(known);
            }
            None => {
                self.changed.insert(event.slot);
                self.insert(event);
            }
        }
    }

    /// Takes an event that was given up, to be sent again.
    pub fn revive(&mut self, event: Event) {
        self.rows.push(Row::Revived(event.slot));
        self.offer(event);
    }

    /// Takes note of how far the log was read.
    pub fn read_to(&mut self, cursor: String) {
        if self.state.cursor != cursor {
            self.state.cursor = cursor;
            self.cursor_moved = true;
        }
    }

    /// Has the cursor kept with the next step, whether or not anything else is.
    pub fn keep_cursor(&mut self) {
        self.state_changed |= self.cursor_moved;
    }

    /// Takes note of what is still to be read again.
    pub fn replay(&mut self, replay: Option<Replay>) {
        self.state.replay = replay;
        self.state_changed = true;
    }

    /// Takes it that the endpoint wants to hear, without asking it. It is not kept: once
    /// settings say otherwise, the endpoint is asked.
    pub fn trust(&mut self) {
        self.trusted = true;
    }

    /// Calls the endpoint again, whatever it did before.
    pub fn enable(&mut self, now: Timestamp) {
        let state = &mut self.state;
        (state.disabled, state.open_until, state.paused_until) = (None, None, None);
        (state.failures, state.failing_since, state.probes_failed) = (0, None, 0);
        (state.challenges, state.challenge_at) = (0, now);
        self.state_changed = true;
        let waiting: Vec<Event> = self
            .events
            .values()
            .filter(|event| !event.begun && event.due_at > now)
            .cloned()
            .collect();
        for mut event in waiting {
            event.due_at = now;
            self.insert(event);
        }
    }

    /// Returns what is to be done now.
    pub fn step(&mut self, now: Timestamp) -> Step {
        let mut step = Step::default();
        if self.state.disabled.is_none() {
            match self.is_proved() {
                true => self.send(now, &mut step),
                false => self.challenge(now, &mut step),
            }
        }
        step.keep = self.rows();
        step
    }

    /// Returns what is to be kept now, and begins nothing.
    pub fn rows(&mut self) -> Vec<Row> {
        let mut keep = std::mem::take(&mut self.rows);
        for slot in std::mem::take(&mut self.changed) {
            let event = self.events.get(&slot).cloned();
            keep.push(event.map_or(Row::Settled(slot), Row::Event));
        }
        // A cursor that moved over what does not match alone can wait: it is only read again.
        let moved = self.cursor_moved && !keep.is_empty();
        if std::mem::take(&mut self.state_changed) || moved {
            self.cursor_moved = false;
            keep.push(Row::State(self.state.clone()));
        }
        keep
    }

    /// Takes back rows that the store did not keep.
    pub fn keep_again(&mut self, rows: Vec<Row>) {
        let newer = std::mem::replace(&mut self.rows, rows);
        self.rows.extend(newer);
    }

    /// Returns the events whose attempts are in flight.
    pub fn in_the_air(&self) -> Vec<Slot> {
        let begun = self.events.values().filter(|event| event.begun);
        begun.map(|event| event.slot).collect()
    }

    fn send(&mut self, now: Timestamp, step: &mut Step) {
        let held_until = self.state.open_until.max(self.state.paused_until);
        if let Some(until) = held_until.filter(|until| *until > now) {
            step.wake_at = (!self.due.is_empty()).then_some(until);
            return;
        }
        // An open circuit whose time is over lets one event through, and sees.
        let at_once = match self.state.open_until {
            Some(_) => 1,
            None => self.policy.in_flight_max,
        };
        while self.in_flight < at_once {
            match self.due.first() {
                Some((due_at, _)) if *due_at <= now => {}
                Some((due_at, _)) => {
                    step.wake_at = Some(*due_at);
                    return;
                }
                None => return,
            }
            if let Some((_, slot)) = self.due.pop_first()
                && let Some(event) = self.events.get_mut(&slot)
            {
                event.begun = true;
                if let Some(line) = self.lines.get_mut(&event.context) {
                    line.flies = true;
                }
                self.in_flight += 1;
                self.changed.insert(slot);
                step.send.push(Attempt { slot, id: event.id });
            }
        }
    }

    /// Says whether the endpoint is asked again by itself, as long as it has proved nothing.
    pub fn asks(&self) -> bool {
        self.policy.asks(self.state.challenges)
    }

    fn challenge(&mut self, now: Timestamp, step: &mut Step) {
        if self.challenging || !self.asks() {
            return;
        }
        if self.state.challenge_at > now {
            step.wake_at = Some(self.state.challenge_at);
            return;
        }
        self.challenging = true;
        step.challenge = true;
    }

    /// Takes note of what the endpoint said to its challenge.
    pub fn challenged(&mut self, proved: Result<(), String>, now: Timestamp, dice: u64) {
        self.challenging = false;
        self.state_changed = true;
        match proved {
            Ok(()) => {
                self.state.proved = Some(self.url.clone());
                self.state.last_error = None;
            }
            Err(why) => {
                self.state.challenges += 1;
                let delay = self.policy.delay_ms(self.state.challenges, dice);
                self.state.challenge_at = later(now, delay.unwrap_or(0));
                self.state.last_error = Some(why);
            }
        }
    }

    /// Takes note of how an attempt ended.
    pub fn ended(&mut self, slot: Slot, end: End, now: Timestamp, dice: u64) {
        let Some(event) = self.events.get_mut(&slot).filter(|event| event.begun) else {
            return;
        };
        event.begun = false;
        if let Some(line) = self.lines.get_mut(&event.context) {
            line.flies = false;
        }
        self.in_flight -= 1;
        self.changed.insert(slot);
        if end == End::Interrupted {
            return self.interrupted(slot, now, dice);
        }
        self.log(slot, &end, now);
        let again = self.events.get(&slot).is_some_and(Event::was_tried);
        if again && matches!(end, End::Delivered(_) | End::Failed(_)) {
            self.state.retried += 1;
        }
        match end {
            End::Delivered(_) => self.succeeded(slot, now),
            End::Failed(failure) => self.failed(slot, failure, now, dice),
            End::Skipped(_) => self.remove(slot),
            End::Interrupted => {}
        }
    }

    fn log(&mut self, slot: Slot, end: &End, now: Timestamp) {
        let Some(event) = self.events.get(&slot) else {
            return;
        };
        let logged = Logged {
            id: event.id,
            context: event.context.clone(),
            attempt: event.attempts + 1,
            at: now,
            end: end.clone(),
        };
        self.rows.push(Row::Logged(self.state.logged, logged));
        self.state.logged += 1;
        self.state_changed = true;
    }

    fn succeeded(&mut self, slot: Slot, now: Timestamp) {
        let state = &mut self.state;
        state.delivered += 1;
        state.success_at = Some(now);
        state.last_error = None;
        (state.failures, state.failing_since, state.probes_failed) = (0, None, 0);
        state.open_until = None;
        self.remove(slot);
    }

    fn failed(&mut self, slot: Slot, failure: Failure, now: Timestamp, dice: u64) {
        let asked = failure.retry_after;
        let asked = asked.map(|after| millis(after.min(self.policy.retry_after_max)));
        let state = &mut self.state;
        state.failed += 1;
        state.failures = state.failures.saturating_add(1);
        state.last_error = Some(failure.why.clone());
        if let Some(asked) = asked {
            state.paused_until = state.paused_until.max(Some(later(now, asked)));
        }
        let since = *state.failing_since.get_or_insert(now);
        if failure.status == Some(410) {
            self.disable(now, "the endpoint answered 410 Gone".to_owned());
        } else if now.0.saturating_sub(since.0) >= millis(self.policy.disable_after) {
            self.disable(now, format!("nothing arrived since {since}"));
        }
        self.open_circuit(now, dice);
        let Some(mut event) = self.events.get(&slot).cloned() else {
            return;
        };
        event.attempts += 1;
        event.last_error = Some(failure.why);
        match self.policy.delay_ms(event.attempts, dice) {
            Some(delay) => {
                event.due_at = later(now, delay.max(asked.unwrap_or(0)));
                self.insert(event);
            }
            None => self.give_up(event, now),
        }
    }

    /// Opens the circuit after straight failures, and for longer each time that a probe fails.
    fn open_circuit(&mut self, now: Timestamp, dice: u64) {
        let state = &mut self.state;
        if state.failures < self.policy.open_after {
            return;
        }
        match state.open_until {
            // The others that were in flight when it opened are no probes.
            Some(until) if until > now => return,
            Some(_) => state.probes_failed = state.probes_failed.saturating_add(1),
            None => {}
        }
        let wait = self.policy.open_ms(state.probes_failed, dice);
        state.open_until = Some(later(now, wait));
    }

    fn disable(&mut self, at: Timestamp, reason: String) {
        self.state.disabled = Some(Disabled { at, reason });
        self.state_changed = true;
    }

    fn interrupted(&mut self, slot: Slot, now: Timestamp, dice: u64) {
        let Some(mut event) = self.events.get(&slot).cloned() else {
            return;
        };
        event.interrupted += 1;
        let counts = event.interrupted > self.policy.interrupted_max;
        if counts {
            event.attempts += 1;
            event.last_error = Some("the node ended during the attempt".to_owned());
        }
        match self.policy.delay_ms(event.attempts, dice) {
            Some(delay) => {
                event.due_at = later(now, if counts { delay } else { 0 });
                self.insert(event);
            }
            None => self.give_up(event, now),
        }
    }

    fn give_up(&mut self, event: Event, now: Timestamp) {
        let slot = event.slot;
        self.state.dead += 1;
        self.state_changed = true;
        self.rows.push(Row::Dead(event, now));
        self.remove(slot);
    }

    /// Puts an event in, or in place of itself, and finds out who is first in its line.
    fn insert(&mut self, event: Event) {
        let (slot, context) = (event.slot, event.context.clone());
        self.undue(&context);
        self.changed.insert(slot);
        self.undue(&None);
        self.events.insert(slot, event);
        let line = self.lines.entry(context.clone()).or_default();
        line.slots.insert(slot);
        self.due_again(&context);
        self.due_again(&None);
    }

    fn remove(&mut self, slot: Slot) {
        self.changed.insert(slot);
        let Some(event) = self.events.get(&slot) else {
            return;
        };
        let context = event.context.clone();
        self.undue(&context);
        self.events.remove(&slot);
        if let Some(line) = self.lines.get_mut(&context) {
            line.slots.remove(&slot);
            if line.slots.is_empty() {
                self.lines.remove(&context);
            }
        }
        self.due_again(&context);
        self.due_again(&None);
    }

    /// Takes the line's first event out of those that are due.
    fn undue(&mut self, context: &Option<Address>) {
        if let Some(event) = self.first_of(context) {
            let due = (event.due_at, event.slot);
            self.due.remove(&due);
        }
    }

    /// Puts the line's first event among those that are due, unless something of it is in flight; a
    /// reset, unless anything older is left.
    fn due_again(&mut self, context: &Option<Address>) {
        let waits = self.lines.get(context).is_some_and(|line| !line.flies);
        let is_oldest = |slot: &Slot| self.events.range(..slot).next().is_none();
        let first = self.first_of(context).filter(|_| waits);
        let first = first.filter(|event| context.is_some() || is_oldest(&event.slot));
        if let Some(due) = first.map(|event| (event.due_at, event.slot)) {
            self.due.insert(due);
        }
    }

    fn first_of(&self, context: &Option<Address>) -> Option<&Event> {
        let slot = self.lines.get(context)?.slots.first()?;
        self.events.get(slot)
    }
}

fn later(now: Timestamp, ms: i64) -> Timestamp {
    Timestamp(now.0.saturating_add(ms))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
