//! What a webhook remembers: where it is in the log, how its endpoint does, what is not settled.
//!
//! Each of these is a row of the store's kept space, written by hand as JSON like all that is on
//! disk.

use syncline_api::ResetReason;
use syncline_model::ids::{Address, ChangeId, Seq};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Pointer};
use syncline_model::time::Timestamp;

/// How a webhook stands with its endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The place up to which the log was read, sealed: all before it is settled or outstanding.
    pub cursor: String,
    /// What is still to be read again, if anything is.
    pub replay: Option<Replay>,
    /// The URL that has proved that it wants to hear.
    pub proved: Option<String>,
    /// The challenges that failed since it was asked last.
    pub challenges: u32,
    /// When the next challenge is due.
    pub challenge_at: Timestamp,
    /// Failures since the last success.
    pub failures: u32,
    /// When the first of them was.
    pub failing_since: Option<Timestamp>,
    /// The circuit is open until then; after that one event probes.
    pub open_until: Option<Timestamp>,
    /// How many probes of this opening failed.
    pub probes_failed: u32,
    /// The endpoint asked not to be called before.
    pub paused_until: Option<Timestamp>,
    /// The node calls it no more, and why.
    pub disabled: Option<Disabled>,
    /// Events that arrived.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that were not the first at their event, however they ended.
    pub retried: u64,
    /// Events that were given up; those that were replayed since count too.
    pub dead: u64,
    /// Attempts that were logged.
    pub logged: u64,
    /// When an event arrived last.
    pub success_at: Option<Timestamp>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// A stretch of the log that is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// After this place.
    pub after: Seq,
    /// Up to this one.
    pub until: Seq,
}

/// Why the node calls an endpoint no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disabled {
    /// Since when.
    pub at: Timestamp,
    /// Why, in words.
    pub reason: String,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum About {
    /// The change at its place.
    Change,
    /// What came before its place was not told: read a snapshot.
    Reset(ResetReason),
}

/// Which event: its place in the log, and whether it is about the change there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    /// The place.
    pub seq: Seq,
    /// What it is about.
    pub about: About,
}

impl Slot {
    /// Returns the end of its rows' keys, which sort as the log does.
    pub fn key(&self) -> String {
        match self.about {
            About::Change => format!("{:016x}", self.seq.0),
            About::Reset(_) => format!("{:016x}-reset", self.seq.0),
        }
    }
}

/// An event that is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which.
    pub slot: Slot,
    /// `webhook-id`: the change's id, the same at each attempt and after each crash.
    pub id: ChangeId,
    /// What is kept in order with it; a reset is about none.
    pub context: Option<Address>,
    /// Attempts that failed.
    pub attempts: u32,
    /// Attempts that were cut short by the node's own end.
    pub interrupted: u32,
    /// An attempt was begun and is not known to have ended.
    pub begun: bool,
    /// When the next attempt is due.
    pub due_at: Timestamp,
    /// What the last attempt met.
    pub last_error: Option<String>,
}

impl Event {
    /// Returns an event that nobody tried to deliver yet.
    pub fn new(slot: Slot, id: ChangeId, context: Option<Address>, now: Timestamp) -> Event {
        Event {
            slot,
            id,
            context,
            attempts: 0,
            interrupted: 0,
            begun: false,
            due_at: now,
            last_error: None,
        }
    }

    /// Says whether an attempt at it ended, or was cut short.
    pub fn was_tried(&self) -> bool {
        self.attempts > 0 || self.interrupted > 0
    }

    /// Returns the row's text.
    pub fn to_text(&self) -> String {
        let mut w = JsonWriter::with_capacity(160);
        w.begin_object();
        w.field_u64("seq", self.slot.seq.0);
        if let About::Reset(reason) = self.slot.about {
            w.field_str("reset", reason.as_str());
        }
        w.field_str("id", &self.id.to_string());
        if let Some(context) = &self.context {
            w.field_str("context", context.as_str());
        }
        w.field_u64("attempts", self.attempts.into());
        w.field_u64("interrupted", self.interrupted.into());
        w.field_bool("begun", self.begun);
        w.field_i64("due_at", self.due_at.0);
        write_text(&mut w, "last_error", self.last_error.as_deref());
        w.end_object();
        w.into_string()
    }

    /// Reads a row's text.
    pub fn read(json: &Json) -> Result<Event, FieldError> {
        let mut f = Fields::new(json, &Pointer::root())?;
        let reset = f.parse("reset", |word| {
            ResetReason::of_word(word).ok_or("no reason")
        })?;
        let event = Event {
            slot: Slot {
                seq: Seq(f.required_u64("seq")?),
                about: reset.map_or(About::Change, About::Reset),
            },
            id: f.required_parse("id", ChangeId::parse)?,
            context: f.parse("context", Address::parse)?,
            attempts: u32_of(&mut f, "attempts")?,
            interrupted: u32_of(&mut f, "interrupted")?,
            begun: f.bool("begun")?.unwrap_or(false),
            due_at: time_of(&mut f, "due_at")?.unwrap_or_default(),
            last_error: f.string("last_error")?.map(str::to_owned),
        };
        Ok(event)
    }
}

impl State {
    /// Returns the row's text.
    pub fn to_text(&self) -> String {
        let mut w = JsonWriter::with_capacity(300);
        w.begin_object();
        w.field_str("cursor", &self.cursor);
        if let Some(replay) = self.replay {
            w.field_u64("replay_after", replay.after.0);
            w.field_u64("replay_until", replay.until.0);
        }
        write_text(&mut w, "proved", self.proved.as_deref());
        w.field_u64("challenges", self.challenges.into());
        w.field_i64("challenge_at", self.challenge_at.0);
        w.field_u64("failures", self.failures.into());
        write_time(&mut w, "failing_since", self.failing_since);
        write_time(&mut w, "open_until", self.open_until);
        w.field_u64("probes_failed", self.probes_failed.into());
        write_time(&mut w, "paused_until", self.paused_until);
        if let Some(disabled) = &self.disabled {
            w.field_i64("disabled_at", disabled.at.0);
            w.field_str("disabled", &disabled.reason);
        }
        w.field_u64("delivered", self.delivered);
        w.field_u64("failed", self.failed);
        w.field_u64("retried", self.retried);
        w.field_u64("dead", self.dead);
        w.field_u64("logged", self.logged);
        write_time(&mut w, "success_at", self.success_at);
        write_text(&mut w, "last_error", self.last_error.as_deref());
        w.end_object();
        w.into_string()
    }

    /// Reads a row's text.
    pub fn read(json: &Json) -> Result<State, FieldError> {
        let mut f = Fields::new(json, &Pointer::root())?;
        let replay = (f.u64("replay_after")?, f.u64("replay_until")?);
        let disabled = (time_of(&mut f, "disabled_at")?, f.string("disabled")?);
        Ok(State {
            cursor: f.required_string("cursor")?.to_owned(),
            replay: match replay {
                (Some(after), Some(until)) => Some(Replay {
                    after: Seq(after),
                    until: Seq(until),
                }),
                _ => None,
            },
            proved: f.string("proved")?.map(str::to_owned),
            challenges: u32_of(&mut f, "challenges")?,
            challenge_at: time_of(&mut f, "challenge_at")?.unwrap_or_default(),
            failures: u32_of(&mut f, "failures")?,
            failing_since: time_of(&mut f, "failing_since")?,
            open_until: time_of(&mut f, "open_until")?,
            probes_failed: u32_of(&mut f, "probes_failed")?,
            paused_until: time_of(&mut f, "paused_until")?,
            disabled: match disabled {
                (Some(at), Some(reason)) => Some(Disabled {
                    at,
                    reason: reason.to_owned(),
                }),
                _ => None,
            },
            delivered: f.u64("delivered")?.unwrap_or(0),
            failed: f.u64("failed")?.unwrap_or(0),
            retried: f.u64("retried")?.unwrap_or(0),
            dead: f.u64("dead")?.unwrap_or(0),
            logged: f.u64("logged")?.unwrap_or(0),
            success_at: time_of(&mut f, "success_at")?,
            last_error: f.string("last_error")?.map(str::to_owned),
        })
    }
}

fn u32_of(f: &mut Fields<'_>, name: &'static str) -> Result<u32, FieldError> {
    let number = f.u64(name)?.unwrap_or(0);
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

fn time_of(f: &mut Fields<'_>, name: &'static str) -> Result<Option<Timestamp>, FieldError> {
    Ok(f.optional(name).and_then(Json::as_i64).map(Timestamp))
}

fn write_time(w: &mut JsonWriter, name: &str, time: Option<Timestamp>) {
    if let Some(time) = time {
        w.field_i64(name, time.0);
    }
}

fn write_text(w: &mut JsonWriter, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        w.field_str(name, text);
    }
}
