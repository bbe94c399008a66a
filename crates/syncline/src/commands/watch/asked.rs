//! What a watch asks the node for.

use std::collections::BTreeMap;

use syncline_api::{
    Attribute, Condition, Filter, Filters, From, PointerPattern, Scope, ScopeTerm, Subscribe,
};
use syncline_model::ids::Address;
use syncline_model::json::{Json, JsonWriter};

use super::WatchArgs;
use crate::commands::begin;
use crate::failure::{Failure, Result};

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
        if args.only && args.addresses.is_empty() {
            let hint = "`syncline watch task/a --only` follows task/a without what is below it";
            return Err(Failure::usage_hint("--only is of an address", hint));
        }
        // Labels alone say which contexts are followed; beside an address they choose among those.
        let (scope, labels) = match args.addresses.is_empty() {
            true => (scope_of_labels(labels), BTreeMap::new()),
            false => (scope_of_addresses(args), labels),
        };
        let condition = args.condition.as_deref().map(Condition::parse).transpose();
        let condition = condition.map_err(|why| Failure::usage(format!("--where: {why}")))?;
        Ok(Asked {
            start: start(&args.from)?,
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
        let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
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
    all.extend(args.min_priority.map(Filter::MinPriority));
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

fn start(text: &str) -> Result<Start> {
    match text {
        "@last" => Ok(Start::Last),
        text => begin::parse(text, &["snapshot", "@last"]).map(Start::At),
    }
}
