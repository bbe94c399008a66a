//! What a durable subscription is defined as.

use std::str::FromStr as _;

use syncline_api::{Condition, Filters, From, Mode, Scope};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Pointer};
use syncline_rules::Matcher;

use super::window::Terms;
use crate::feed::FeedRequest;

/// Bounds the window, in changes.
pub const WINDOW_MAX: u64 = 10_000;
/// Bounds the time that an acknowledgement may take, in seconds.
pub const ACK_WAIT_S_MAX: u64 = 12 * 3_600;
/// Bounds the deliveries of one thing.
pub const DELIVERIES_MAX: u64 = 100;

/// What a durable subscription is defined as.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Which contexts.
    pub scope: Scope,
    /// Which of their changes; empty is all.
    pub filter: Filters,
    /// Which of those that the filter lets pass.
    pub condition: Option<Condition>,
    /// In which form.
    pub mode: Mode,
    /// Where it began.
    pub from: From,
    /// How many changes may be delivered and not acknowledged.
    pub window: u64,
    /// How long an acknowledgement may take, in seconds.
    pub ack_wait_s: u64,
    /// After so many deliveries without an acknowledgement it is a dead letter.
    pub max_deliveries: u64,
}

impl Definition {
    /// Defines what a scope holds, from now on, on the usual terms.
    pub fn new(scope: Scope) -> Definition {
        Definition {
            scope,
            filter: Filters::default(),
            condition: None,
            mode: Mode::Delta,
            from: From::Now,
            window: 1_000,
            ack_wait_s: 30,
            max_deliveries: 5,
        }
    }

    /// Reads a definition from the fields of an object; the caller reads the rest of it.
    pub fn read(f: &mut Fields<'_>) -> Result<Definition, FieldError> {
        let at = f.at("scope");
        let scope = f.optional("scope").map(|scope| Scope::read(scope, &at));
        let usual = Definition::new(scope.transpose()?.unwrap_or_else(Scope::workspace));
        let at = f.at("filter");
        let filter = f
            .optional("filter")
            .map(|filter| Filters::read(filter, &at));
        let at = f.at("from");
        let from = f.optional("from").map(|from| From::read(from, &at));
        let from = from.transpose()?.unwrap_or_default();
        if from == From::Snapshot {
            let why = "a durable subscription has changes only: read the contexts first, or begin \
                at \"start\"";
            return Err(FieldError::invalid(at, why));
        }
        let definition = Definition {
            filter: filter.transpose()?.unwrap_or_default(),
            condition: f.parse("where", Condition::parse)?,
            mode: f.parse("mode", Mode::from_str)?.unwrap_or_default(),
            from,
            window: bounded(f, "window", usual.window, WINDOW_MAX)?,
            ack_wait_s: bounded(f, "ack_wait_s", usual.ack_wait_s, ACK_WAIT_S_MAX)?,
            max_deliveries: bounded(f, "max_deliveries", usual.max_deliveries, DELIVERIES_MAX)?,
            ..usual
        };
        let condition = definition.condition.as_ref().map(Condition::as_str);
        Matcher::compile(&definition.filter, condition)?;
        Ok(definition)
    }

    /// Reads what [`Definition::to_json`] made.
    pub fn from_json(json: &Json) -> Result<Definition, FieldError> {
        let mut fields = Fields::new(json, &Pointer::root())?;
        Definition::read(&mut fields)
    }

    /// Writes its members.
    pub fn write(&self, w: &mut JsonWriter) {
        w.key("scope");
        self.scope.write(w);
        if !self.filter.is_empty() {
            w.key("filter");
            self.filter.write(w);
        }
        if let Some(condition) = &self.condition {
            w.field_str("where", condition.as_str());
        }
        w.field_str("mode", self.mode.as_str());
        w.key("from");
        self.from.write(w);
        w.field_u64("window", self.window);
        w.field_u64("ack_wait_s", self.ack_wait_s);
        w.field_u64("max_deliveries", self.max_deliveries);
    }

    /// Returns it as JSON, as its context keeps it.
    pub fn to_json(&self) -> Json {
        let mut w = JsonWriter::new();
        w.begin_object();
        self.write(&mut w);
        w.end_object();
        let text = w.into_string();
        Json::parse(text.as_bytes(), &syncline_model::json::Limits::default())
            .expect("what was written as JSON is JSON")
    }

    pub(super) fn terms(&self) -> Terms {
        Terms {
            window: usize::try_from(self.window).unwrap_or(usize::MAX),
            ack_wait_ms: i64::try_from(self.ack_wait_s * 1_000).unwrap_or(i64::MAX),
            deliveries_max: u32::try_from(self.max_deliveries).unwrap_or(u32::MAX),
        }
    }

    /// Returns what its feed is asked for.
    pub(super) fn request(&self, from: From) -> FeedRequest {
        FeedRequest {
            filter: self.filter.clone(),
            condition: self.condition.clone(),
            mode: self.mode,
            ..FeedRequest::new(self.scope.clone(), from)
        }
    }
}

fn bounded(
    f: &mut Fields<'_>,
    name: &'static str,
    usual: u64,
    max: u64,
) -> Result<u64, FieldError> {
    match f.u64(name)? {
        None => Ok(usual),
        Some(number) if (1..=max).contains(&number) => Ok(number),
        Some(_) => {
            let why = format!("a number from 1 to {max} is meant");
            Err(FieldError::invalid(f.at(name), why))
        }
    }
}
