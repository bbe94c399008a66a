//! How a webhook stands, as its owner is told.

use syncline_model::time::Timestamp;
use syncline_model::words;

use crate::webhook::definition::Definition;
use crate::webhook::state::State;

/// How a webhook stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it remembers.
    pub state: State,
    /// Whether the endpoint has proved that it wants to hear.
    pub proved: bool,
    /// Events that are not settled.
    pub outstanding: usize,
    /// Attempts in flight.
    pub in_flight: usize,
    /// Records that it has not read.
    pub behind: u64,
    /// Why it cannot go on reading or keeping, since when.
    pub stuck: Option<(Timestamp, String)>,
}

words! {
    /// How a webhook does, in one word.
    pub enum Status {
        /// Events arrive.
        Active = "active",
        /// They do not, and it is tried again.
        Failing = "failing",
        /// It cannot go on reading or keeping.
        Stuck = "stuck",
        /// Its endpoint has not proved yet that it wants to hear.
        Unverified = "unverified",
        /// Its owner turned it off.
        Off = "off",
        /// It was given up.
        Disabled = "disabled",
    }
}

words! {
    /// How a webhook's circuit stands.
    pub enum Circuit {
        /// Attempts are made as events come.
        Closed = "closed",
        /// None are made for a while.
        Open = "open",
        /// One is made, to try.
        HalfOpen = "half_open",
    }
}

impl Standing {
    /// Says in one word how a webhook does.
    pub fn word(&self, definition: &Definition, now: Timestamp) -> &'static str {
        self.status(definition, now).as_str()
    }

    fn status(&self, definition: &Definition, now: Timestamp) -> Status {
        if self.state.disabled.is_some() {
            Status::Disabled
        } else if !definition.enabled {
            Status::Off
        } else if !self.proved {
            Status::Unverified
        } else if self.stuck.is_some() {
            Status::Stuck
        } else if self.state.failing_since.is_some() || self.circuit(now) != "closed" {
            Status::Failing
        } else {
            Status::Active
        }
    }

    /// Says in one word how its circuit stands.
    pub fn circuit(&self, now: Timestamp) -> &'static str {
        let circuit = match self.state.open_until {
            None => Circuit::Closed,
            Some(until) if until > now => Circuit::Open,
            Some(_) => Circuit::HalfOpen,
        };
        circuit.as_str()
    }

    /// Says what keeps events from their endpoint, since when and why; nothing where they arrive,
    /// where it may pass by itself soon, or where its owner turned it off.
    pub fn trouble(&self, definition: &Definition, now: Timestamp) -> Option<String> {
        if !definition.enabled {
            return None;
        }
        let state = &self.state;
        if let Some(disabled) = &state.disabled {
            let (at, reason) = (disabled.at, &disabled.reason);
            return Some(format!("disabled since {at}: {reason}"));
        }
        if let Some((since, why)) = &self.stuck {
            return Some(format!("it cannot go on since {since}: {why}"));
        }
        let why = state.last_error.as_deref().unwrap_or("its endpoint fails");
        if !self.proved && state.challenges > 0 {
            return Some(format!("not called yet: {why}"));
        }
        match (self.circuit(now), state.failing_since) {
            ("closed", _) | (_, None) => None,
            (circuit, Some(since)) => Some(format!(
                "its circuit is {circuit}, nothing arrived since {since}: {why}"
            )),
        }
    }
}
