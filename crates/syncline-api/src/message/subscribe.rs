//! What a subscription asks for, and where it begins.

use std::str::FromStr;

use syncline_model::ids::{Address, IdError};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Pointer};
use syncline_model::time::{TimeError, Timestamp};

use super::client::required_id;
use super::optional;
use crate::change::Mode;
use crate::filter::{Condition, Filters};
use crate::problem::Problem;
use crate::scope::Scope;

/// Bounds the pointers of a subscription's `fields`: each is looked up in every document.
pub const FIELDS_MAX: usize = 100;
/// Bounds how long changes may be held back to be told together, in milliseconds.
pub const COALESCE_MS_MAX: u64 = 60_000;

/// Where a subscription begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum From {
    /// With the next change.
    #[default]
    Now,
    /// With a snapshot of what is there.
    Snapshot,
    /// After a place in the log.
    Cursor(String),
    /// With the log's first change.
    Start,
    /// With the first change that was committed after this time.
    Time(Timestamp),
}

/// Asks for the changes of a scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// The client's name for it on this connection.
    pub id: String,
    /// Which contexts.
    pub scope: Scope,
    /// Which of their changes; empty is all.
    pub filter: Filters,
    /// Which of those that the filter lets pass: the member `where`.
    pub condition: Option<Condition>,
    /// Which parts of a document; empty is all.
    pub fields: Vec<Pointer>,
    /// Changes of one context that come within so many milliseconds may be told as one.
    pub coalesce_ms: Option<u64>,
    /// What is sent of each change.
    pub mode: Mode,
    /// Where it begins.
    pub from: From,
    /// Leave out what this connection's own actor wrote.
    pub exclude_self: bool,
    /// With the values before.
    pub old: bool,
    /// The durable subscription that is joined. Then what else is asked for here must be what
    /// is meant where nothing is said: its definition says it.
    pub durable: Option<String>,
}

impl Subscribe {
    /// Asks for all changes of a scope from now on, as deltas; the rest is set by name.
    pub fn new(id: impl Into<String>, scope: Scope) -> Subscribe {
        Subscribe {
            id: id.into(),
            scope,
            filter: Filters::default(),
            condition: None,
            fields: Vec::new(),
            coalesce_ms: None,
            mode: Mode::default(),
            from: From::default(),
            exclude_self: false,
            old: false,
            durable: None,
        }
    }
}

pub(super) fn read_subscribe(f: &mut Fields<'_>) -> Result<Subscribe, Problem> {
    let id = required_id(f, "id")?;
    if let Some(name) = f.parse("durable", parse_durable)? {
        return join_durable(f, id, name);
    }
    if f.bool("ack")? == Some(true) {
        let why = "only a durable subscription is acknowledged: `durable` names it";
        return Err(FieldError::invalid(f.at("ack"), why).into());
    }
    if f.optional("mode").and_then(Json::as_str) == Some("replica") {
        return Err(Problem::not_built("mode replica").at(f.at("mode")));
    }
    let at = f.at("scope");
    let scope = Scope::read(f.required("scope")?, &at)?;
    let at = f.at("filter");
    let filter = f.optional("filter").map(|v| Filters::read(v, &at));
    let at = f.at("from");
    Ok(Subscribe {
        durable: None,
        id,
        scope,
        filter: filter.transpose()?.unwrap_or_default(),
        condition: f.parse("where", Condition::parse)?,
        fields: read_fields(f)?,
        coalesce_ms: read_coalesce(f)?,
        mode: f.parse("mode", Mode::from_str)?.unwrap_or_default(),
        from: f
            .optional("from")
            .map(|v| From::read(v, &at))
            .transpose()?
            .unwrap_or_default(),
        exclude_self: f.bool("exclude_self")?.unwrap_or(false),
        old: f.bool("old")?.unwrap_or(false),
    })
}

/// Reads the name of a durable subscription, which is the id of a context that defines it.
fn parse_durable(name: &str) -> Result<String, IdError> {
    Address::from_parts("subscription", name).map(|address| address.id().to_owned())
}

/// Reads a subscription that joins a durable one: what its definition says is not said again.
fn join_durable(f: &mut Fields<'_>, id: String, name: String) -> Result<Subscribe, Problem> {
    const DEFINED: [&str; 9] = [
        "scope",
        "filter",
        "where",
        "fields",
        "mode",
        "from",
        "coalesce_ms",
        "exclude_self",
        "old",
    ];
    for member in DEFINED {
        if f.optional(member).is_some() {
            let why = format!("the definition of {name:?} says it");
            return Err(FieldError::invalid(f.at(member), why).into());
        }
    }
    if f.bool("ack")? == Some(false) {
        let why = format!("what {name:?} delivers is always acknowledged");
        return Err(FieldError::invalid(f.at("ack"), why).into());
    }
    Ok(Subscribe {
        durable: Some(name),
        ..Subscribe::new(id, Scope::workspace())
    })
}

fn read_fields(f: &mut Fields<'_>) -> Result<Vec<Pointer>, FieldError> {
    let at = f.at("fields");
    let items = f.array("fields")?.unwrap_or_default();
    if items.len() > FIELDS_MAX {
        let why = format!("at most {FIELDS_MAX} pointers fit here");
        return Err(FieldError::invalid(at, why));
    }
    let pointer = |(index, item): (usize, &Json)| {
        let here = at.index(index);
        let text = item
            .as_str()
            .ok_or_else(|| FieldError::wrong_type(here.clone(), "string", item))?;
        Pointer::parse(text).map_err(|error| FieldError::invalid(here, error))
    };
    items.iter().enumerate().map(pointer).collect()
}

fn read_coalesce(f: &mut Fields<'_>) -> Result<Option<u64>, FieldError> {
    match f.u64("coalesce_ms")? {
        Some(ms) if ms > COALESCE_MS_MAX => Err(FieldError::invalid(
            f.at("coalesce_ms"),
            format!("at most {COALESCE_MS_MAX} milliseconds fit here"),
        )),
        ms => Ok(ms),
    }
}

pub(super) fn write_subscribe(w: &mut JsonWriter, subscribe: &Subscribe) {
    w.field_str("type", "subscribe");
    w.field_str("id", &subscribe.id);
    if let Some(name) = &subscribe.durable {
        return w.field_str("durable", name);
    }
    w.key("scope");
    subscribe.scope.write(w);
    if !subscribe.filter.is_empty() {
        w.key("filter");
        subscribe.filter.write(w);
    }
    optional(
        w,
        "where",
        subscribe.condition.as_ref().map(Condition::as_str),
    );
    if !subscribe.fields.is_empty() {
        w.key("fields");
        w.begin_array();
        let pointers = subscribe.fields.iter();
        pointers.for_each(|pointer| w.string(&pointer.to_string()));
        w.end_array();
    }
    if let Some(ms) = subscribe.coalesce_ms {
        w.field_u64("coalesce_ms", ms);
    }
    if subscribe.mode != Mode::default() {
        w.field_str("mode", subscribe.mode.as_str());
    }
    w.key("from");
    subscribe.from.write(w);
    for (name, flag) in [
        ("exclude_self", subscribe.exclude_self),
        ("old", subscribe.old),
    ] {
        if flag {
            w.field_bool(name, true);
        }
    }
}

impl From {
    /// Reads `"now"`, `"snapshot"`, `"start"`, `{"cursor":"…"}` or `{"time":"2026-…"}`.
    pub fn read(value: &Json, at: &Pointer) -> Result<From, FieldError> {
        const WHAT: &str = "from is \"now\", \"snapshot\", \"start\", {\"cursor\":\"…\"} or \
            {\"time\":\"…\"}";
        match value {
            Json::String(text) if &**text == "now" => Ok(From::Now),
            Json::String(text) if &**text == "snapshot" => Ok(From::Snapshot),
            Json::String(text) if &**text == "start" => Ok(From::Start),
            Json::Object(_) => {
                let mut f = Fields::new(value, at)?;
                let cursor = f.string("cursor")?.map(str::to_owned);
                let time = f.parse("time", Timestamp::parse)?;
                f.finish()?;
                match (cursor, time) {
                    (Some(cursor), None) => Ok(From::Cursor(cursor)),
                    (None, Some(time)) => Ok(From::Time(time)),
                    _ => Err(FieldError::invalid(at.clone(), WHAT)),
                }
            }
            _ => Err(FieldError::invalid(at.clone(), WHAT)),
        }
    }

    /// Reads what `since` names, in a query or in a body: `start`, or a time.
    pub fn since(text: &str) -> Result<From, TimeError> {
        match text {
            "start" => Ok(From::Start),
            time => Timestamp::parse(time).map(From::Time),
        }
    }

    /// Writes it.
    pub fn write(&self, w: &mut JsonWriter) {
        match self {
            From::Now => w.string("now"),
            From::Snapshot => w.string("snapshot"),
            From::Start => w.string("start"),
            From::Cursor(cursor) => {
                w.begin_object();
                w.field_str("cursor", cursor);
                w.end_object();
            }
            From::Time(time) => {
                w.begin_object();
                w.field_str("time", &time.to_string());
                w.end_object();
            }
        }
    }
}
