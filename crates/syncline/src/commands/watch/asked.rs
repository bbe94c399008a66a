//! What a watch asks the node for.

use std::collections::BTreeMap;

use syncline_api::{
    Attribute, Condition, Filter, Filters, From, PointerPattern, Scope, ScopeTerm, Subscribe,
};
use syncline_model::ids::Address;
use syncline_model::json::{Json, JsonWriter};
use syncline_model::proposal::Priority;
use syncline_model::time::Timestamp;

use super::WatchArgs;
use crate::failure::{Failure, Result};
use crate::show;

/// The one subscription of a watch.
const SUB: &str = "watch";

/// What is asked for, but for where it begins.
pub(super) struct Asked {
    /// Where it begins.
    pub start: Start,
    subscribe: Subscribe,
}

/// Where a watch begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Where the last one of the same things stopped.
    Last,
    /// Here.
    At(From),
}

impl Asked {
    /// Reads the arguments.
    pub fn of(args: &WatchArgs) -> Result<Asked> {
        let labels = labels(&args.label)?;
        // Labels alone say which contexts are followed; beside an address they choose among those.
        let (scope, labels) = match args.addresses.is_empty() {
            true => (scope_of_labels(labels), BTreeMap::new()),
            false => (scope_of_addresses(args), labels),
        };
        let condition = args.condition.as_deref().map(Condition::parse).transpose();
        let condition = condition.map_err(|why| Failure::usage(format!("--where: {why}")))?;
        Ok(Asked {
            start: start(&args.from, show::now())?,
            subscribe: Subscribe {
                filter: filters(args, labels)?,
                condition,
                fields: args.fields.clone(),
                coalesce_ms: args.coalesce_ms,
                mode: args.mode,
                exclude_self: args.exclude_self,
                ..Subscribe::new(SUB, scope)
            },
        })
    }

    /// Returns the message.
    pub fn subscribe(&self, from: From) -> Subscribe {
        Subscribe {
            from,
            ..self.subscribe.clone()
        }
    }

    /// Returns a text that tells what is followed from what else might be.
    pub fn name(&self) -> String {
        let mut w = JsonWriter::new();
        self.subscribe.scope.write(&mut w);
        let mut name = w.into_string();
        if !self.subscribe.filter.is_empty() {
            let mut w = JsonWriter::new();
            self.subscribe.filter.write(&mut w);
            name.push_str(&format!(" {}", w.into_string()));
        }
        if let Some(condition) = &self.subscribe.condition {
            name.push_str(&format!(" where {}", condition.as_str()));
        }
        name
    }
}

fn labels(pairs: &[String]) -> Result<BTreeMap<String, String>> {
    let pair = |text: &String| {
        let pair = text.split_once('=');
        let pair = pair.map(|(key, value)| (key.to_owned(), value.to_owned()));
        pair.ok_or_else(|| Failure::usage(format!("--label {text:?} is not KEY=VALUE")))
    };
    pairs.iter().map(pair).collect()
}

fn scope_of_labels(labels: BTreeMap<String, String>) -> Scope {
    match labels.is_empty() {
        true => Scope::workspace(),
        false => Scope(vec![ScopeTerm::Label(labels)]),
    }
}

fn scope_of_addresses(args: &WatchArgs) -> Scope {
    let term = |address: &Address| match args.only {
        true => ScopeTerm::Context(address.clone()),
        false => ScopeTerm::Subtree(address.clone()),
    };
    Scope(args.addresses.iter().map(term).collect())
}

/// Joins the options that choose: all must pass.
fn filters(args: &WatchArgs, labels: BTreeMap<String, String>) -> Result<Filters> {
    let usage = |option: &str, why: String| Failure::usage(format!("{option}: {why}"));
    let mut written = Vec::new();
    for text in &args.filter {
        let filters: Filters = text.parse().map_err(|why| usage("--filter", why))?;
        written.extend(filters.0);
    }
    let mut all: Vec<Filter> = any(written).into_iter().collect();
    let kinds = args.kind.iter().map(|kind| kind.as_str());
    let agents = args.by.iter().map(|name| name.as_str());
    let types = args.kinds_of_change.iter().map(|kind| kind.as_str());
    all.extend(one_of(Attribute::Kind, kinds));
    all.extend(one_of(Attribute::Agent, agents));
    all.extend(one_of(Attribute::Type, types));
    let label = |(key, value): (String, String)| {
        Filter::Exact(Attribute::Label(key.into()), Json::from(value))
    };
    all.extend(labels.into_iter().map(label));
    let pattern = |text: &String| PointerPattern::parse(text).map(Filter::Changed);
    let changed = args.changed.iter().map(pattern).collect::<Result<_, _>>();
    all.extend(any(
        changed.map_err(|error| usage("--changed", error.to_string()))?
    ));
    if let Some(number) = args.min_priority {
        let priority = Priority::new(number);
        let wrong = || usage("--min-priority", "a priority is 1, 2, 3 or 4".to_owned());
        all.push(Filter::MinPriority(priority.ok_or_else(wrong)?));
    }
    Ok(Filters(match all.len() {
        0 | 1 => all,
        _ => vec![Filter::All(all)],
    }))
}

fn any(mut filters: Vec<Filter>) -> Option<Filter> {
    match filters.len() {
        0 | 1 => filters.pop(),
        _ => Some(Filter::Any(filters)),
    }
}

fn one_of<'a>(name: Attribute, values: impl Iterator<Item = &'a str>) -> Option<Filter> {
    let mut values: Vec<Json> = values.map(Json::from).collect();
    match values.len() {
        0 => None,
        1 => values.pop().map(|value| Filter::Exact(name, value)),
        _ => Some(Filter::In(name, values)),
    }
}

/// Reads where to begin.
fn start(text: &str, now: Timestamp) -> Result<Start> {
    Ok(Start::At(match text {
        "now" => From::Now,
        "snapshot" => From::Snapshot,
        "start" => From::Start,
        "@last" => return Ok(Start::Last),
        text => match (ago(text), time(text)) {
            (Some(ms), _) => From::Time(Timestamp(now.0.saturating_sub(ms))),
            (None, Some(time)) => From::Time(time),
            (None, None) if may_be_cursor(text) => From::Cursor(text.to_owned()),
            (None, None) => {
                let shown = crate::clean::shorten(text, 60);
                return Err(Failure::usage_hint(
                    format!("--from {shown:?} says no place to begin at"),
                    "now, snapshot, start, @last, a cursor, a time (2026-11-20T20:00:00Z), a day (2026-11-20, from 0:00 UTC), or how long ago (90s, 10m, 2h, 7d)",
                ));
            }
        },
    }))
}

/// Reads a time, or a day, which begins at midnight in UTC.
fn time(text: &str) -> Option<Timestamp> {
    let day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
    Timestamp::parse(text).or_else(|_| day()).ok()
}

/// Says whether a text has a cursor's looks; whether it is one is for the node to say.
fn may_be_cursor(text: &str) -> bool {
    const LENGTH_MIN: usize = 32;
    let of_cursor = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() >= LENGTH_MIN && text.bytes().all(of_cursor)
}

/// Reads a time span such as `10m`, in milliseconds. No cursor is as short.
fn ago(text: &str) -> Option<i64> {
    const DIGITS_MAX: usize = 6;
    let (number, unit) = text.split_at(text.len().checked_sub(1)?);
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let plain = number.len() <= DIGITS_MAX && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = number.parse().ok().filter(|_| plain)?;
    Some(number * unit_ms)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn where_to_begin_is_read() {
        let now = Timestamp(1_800_000_000_000);
        let check = |text: &str, expected: Start| assert_eq!(start(text, now).unwrap(), expected);
        check("now", Start::At(From::Now));
        check("start", Start::At(From::Start));
        check("@last", Start::Last);
        check("90s", Start::At(From::Time(Timestamp(now.0 - 90_000))));
        check(
            "7d",
            Start::At(From::Time(Timestamp(now.0 - 7 * 86_400_000))),
        );
        let time = Timestamp::parse("2026-11-20T20:00:00.123Z").unwrap();
        check("2026-11-20T20:00:00.123Z", Start::At(From::Time(time)));
        let midnight = Timestamp::parse("2026-11-20T00:00:00Z").unwrap();
        check("2026-11-20", Start::At(From::Time(midnight)));
        let cursor = "abcDEF-_".repeat(7);
        check(&cursor, Start::At(From::Cursor(cursor.clone())));
        for bad in [
            "",
            "yesterday",
            "10min",
            "5x",
            "s",
            "99999999999999d",
            "-5m",
            "2026-11-31",
            "abcDEF-_",
        ] {
            assert!(start(bad, now).is_err(), "{bad}");
        }
    }
}
