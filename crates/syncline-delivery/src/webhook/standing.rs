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
    /// Whether it is asked again by itself, as long as it has not.
    pub asks: bool,
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
        let (proved, stuck) = (self.proved, self.stuck.is_some());
        word(&self.state, definition, (proved, stuck), now)
    }

    /// Says in one word how its circuit stands.
    pub fn circuit(&self, now: Timestamp) -> &'static str {
        circuit(&self.state, now)
    }

    /// Says why no event is sent now, and until when where that is known; nothing where what is due
    /// is sent.
    pub fn holds_back(
        &self,
        definition: &Definition,
        now: Timestamp,
    ) -> Option<(String, Option<Timestamp>)> {
        let state = &self.state;
        let why = state.last_error.as_deref().unwrap_or("it fails");
        let ahead = |until: Option<Timestamp>| until.filter(|until| *until > now);
        match self.word(definition, now) {
            "disabled" => {
                let disabled = state.disabled.as_ref();
                let since = disabled.map(|disabled| {
                    let (at, why) = (disabled.at, &disabled.reason);
                    format!("the webhook is disabled since {at}: {why}")
                });
                since.map(|why| (why, None))
            }
            "off" => Some(("the webhook is turned off".to_owned(), None)),
            "unverified" if state.challenges == 0 => Some((
                "the endpoint is being asked whether it wants to hear".to_owned(),
                None,
            )),
            "unverified" => {
                let told = match self.asks {
                    true => "it is asked again",
                    false => "it is asked no more by itself",
                };
                let next = ahead(Some(state.challenge_at)).filter(|_| self.asks);
                let why = format!("the endpoint did not answer its challenge ({why}); {told}");
                Some((why, next))
            }
            _ => match (ahead(state.open_until), ahead(state.paused_until)) {
                (Some(open), paused) => {
                    let why = format!("the endpoint is left alone after failures: {why}");
                    Some((why, Some(paused.map_or(open, |paused| paused.max(open)))))
                }
                (None, Some(paused)) => {
                    let why = "the endpoint asked not to be called for now".to_owned();
                    Some((why, Some(paused)))
                }
                (None, None) if state.open_until.is_some() && self.in_flight > 0 => {
                    let why = "one event tries whether the endpoint is back".to_owned();
                    Some((why, None))
                }
                (None, None) => self
                    .stuck
                    .as_ref()
                    .map(|(_, why)| (format!("the webhook cannot go on: {why}"), None)),
            },
        }
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

/// Says in one word how a webhook does, where its endpoint has `proved` that it wants to hear or
/// not, and it is `stuck` or not.
pub(crate) fn word(
    state: &State,
    definition: &Definition,
    (proved, stuck): (bool, bool),
    now: Timestamp,
) -> &'static str {
    let status = if state.disabled.is_some() {
        Status::Disabled
    } else if !definition.enabled {
        Status::Off
    } else if !proved {
        Status::Unverified
    } else if stuck {
        Status::Stuck
    } else if state.failing_since.is_some() || circuit(state, now) != Circuit::Closed.as_str() {
        Status::Failing
    } else {
        Status::Active
    };
    status.as_str()
}

fn circuit(state: &State, now: Timestamp) -> &'static str {
    let circuit = match state.open_until {
        None => Circuit::Closed,
        Some(until) if until > now => Circuit::Open,
        Some(_) => Circuit::HalfOpen,
    };
    circuit.as_str()
}
