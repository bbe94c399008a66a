//! Coalescing: changes that wait, so that several of one context become one.
//!
//! Pure: it is told what comes and what time it is, and says what is due. What waits holds the
//! cursor back ([`Held::low`]), so whoever resumes there gets again all that was not sent. What
//! waits is noted for those who look on ([`Lines`]), and nothing is decided by that.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use syncline_model::cursor::Position;
use syncline_model::ids::{Address, Seq, Version};

use crate::waits::Lines;

/// Bounds how many contexts wait.
const LINES_MAX: usize = 1_024;
/// Bounds the bytes of what waits.
const BYTES_MAX: usize = 1 << 20;

/// A change that comes to wait.
#[derive(Debug)]
pub struct Arrival<T> {
    /// The place before it.
    pub before: Position,
    /// Its own.
    pub seq: Seq,
    /// The version that its patch applies to.
    pub from: Version,
    /// About how many bytes it holds.
    pub weight: usize,
    /// The change.
    pub change: T,
}

/// The changes of one context that wait, of which only the newest is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<T> {
    /// The place before the first of them.
    before: Position,
    /// The first one's place.
    pub first: Seq,
    /// The version that the first one's patch applies to.
    pub from: Version,
    /// How many they are.
    pub count: u64,
    /// The newest.
    pub newest: T,
    weight: usize,
    due: Duration,
}

/// What waits, by line of versions.
#[derive(Debug)]
pub struct Held<T> {
    lines: HashMap<Address, Waiting<T>>,
    /// In the order of their first changes.
    order: BTreeMap<Seq, Address>,
    bytes: usize,
    noted: Lines,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Held {
            lines: HashMap::new(),
            order: BTreeMap::new(),
            bytes: 0,
            noted: Lines::default(),
        }
    }
}

impl<T> Held<T> {
    /// Says whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Lets a change wait until `due`, or until its context's earlier ones are due.
    pub fn hold(&mut self, line: &Address, arrival: Arrival<T>, due: Duration) {
        self.bytes += arrival.weight;
        if let Some(waiting) = self.lines.get_mut(line) {
            self.bytes -= waiting.weight;
            waiting.weight = arrival.weight;
            waiting.newest = arrival.change;
            waiting.count += 1;
            return;
        }
        self.order.insert(arrival.seq, line.clone());
        self.noted.insert(line, arrival.seq, due);
        let waiting = Waiting {
            before: arrival.before,
            first: arrival.seq,
            from: arrival.from,
            count: 1,
            newest: arrival.change,
            weight: arrival.weight,
            due,
        };
        self.lines.insert(line.clone(), waiting);
    }

    /// Takes out what waits of a context: something of it passes that makes it one with that.
    pub fn release(&mut self, line: &Address) -> Option<Waiting<T>> {
        if self.is_empty() {
            return None;
        }
        let waiting = self.lines.remove(line)?;
        self.order.remove(&waiting.first);
        self.noted.remove(line);
        self.bytes -= waiting.weight;
        Some(waiting)
    }

    /// Takes out the context whose changes wait longest, if they are due or too much waits.
    pub fn take_due(&mut self, now: Duration) -> Option<(Address, Waiting<T>)> {
        let is_full = self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX;
        if !is_full && self.due()? > now {
            return None;
        }
        let line = self.order.first_key_value()?.1.clone();
        let waiting = self.release(&line)?;
        Some((line, waiting))
    }

    /// Returns where it is noted what waits.
    pub fn noted(&self) -> Lines {
        self.noted.clone()
    }

    /// Returns when something is due.
    pub fn due(&self) -> Option<Duration> {
        let (_, line) = self.order.first_key_value()?;
        self.lines.get(line).map(|waiting| waiting.due)
    }

    /// Returns the highest place below which nothing waits, where all up to `at` was seen.
    pub fn low(&self, at: Position) -> Position {
        let first = self.order.first_key_value();
        let waiting = first.and_then(|(_, line)| self.lines.get(line));
        waiting.map_or(at, |waiting| waiting.before)
    }
}

#[cfg(test)]
mod tests;
