//! What is declared for a kind: its schema, how its fields merge, how its clashes are resolved, how
//! long its versions are kept. What it leaves out the workspace may say, else the node.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Rules;
use crate::retention::Retention;
use crate::workspace::{WorkspaceRules, rank_of};
use syncline_api::{Code, Problem};
use syncline_merge::{MergePolicy, MergeRules, Names, RuleStep};
use syncline_model::conflict::Strategy;
use syncline_model::document::Document;
use syncline_model::ids::{Address, Kind};
use syncline_model::json::{Json, Pointer};
use syncline_model::proposal::Actor;
use syncline_schema::{PathStep, Schema, SchemaLimits};

/// The built-in kind whose contexts keep schemas; the id is the kind that the schema is for.
pub const SCHEMA_KIND: &str = "syncline_schema";

/// Returns the context that keeps what is declared for a kind.
pub fn schema_address(kind: &Kind) -> Address {
    Address::from_parts(SCHEMA_KIND, kind.as_str()).expect("a kind is a good id")
}

/// What is declared for a kind; by default nothing.
#[derive(Debug, Default)]
pub struct KindRules {
    /// The schema of its contexts' `data`.
    pub schema: Option<Schema>,
    /// How fields merge, by paths from the context.
    pub merge: MergeRules,
    /// The places of the `x-merge` that have no effect, in what is declared, and why.
    pub ignored: Vec<(Pointer, &'static str)>,
    /// How clashes are resolved.
    pub strategy: Option<Strategy>,
    /// How clashes are resolved that the strategy leaves.
    pub fallback: Option<Strategy>,
    /// Which old versions are taken away.
    pub retention: Option<Retention>,
    /// What is declared for its workspace.
    pub workspace: Arc<WorkspaceRules>,
}

impl KindRules {
    /// Returns how clashes are resolved, where neither the write nor its context says.
    pub fn strategy(&self, node: &Rules) -> Strategy {
        let declared = self.strategy.or(self.workspace.strategy);
        declared.unwrap_or(node.strategy)
    }

    /// Returns how clashes are resolved that the strategy leaves.
    pub fn fallback(&self, node: &Rules) -> Strategy {
        let declared = self.fallback.or(self.workspace.fallback);
        declared.unwrap_or(node.fallback)
    }

    /// Returns which old versions are taken away; `None` keeps all for ever.
    pub fn retention(&self, node: &Rules) -> Option<Retention> {
        let declared = self.retention.or(self.workspace.retention);
        declared.or(node.retention)
    }

    /// Returns how long a conflict may wait before it is more urgent, in milliseconds.
    pub fn conflict_deadline_ms(&self, node: &Rules) -> i64 {
        let declared = self.workspace.conflict_deadline_ms;
        declared.unwrap_or(node.conflict_deadline_ms)
    }

    /// Returns the rank of who acts, for [`Strategy::SourcePriority`].
    pub fn rank(&self, actor: &Actor, node: &Rules) -> i64 {
        let ranks = [&self.workspace.ranks, &node.ranks];
        let of = |source: &str| ranks.iter().find_map(|ranks| ranks.get(source));
        rank_of(of, actor, &node.node)
    }

    /// Returns all that holds for the kind beside its schema, whoever said so.
    pub fn in_force(&self, node: &Rules) -> WorkspaceRules {
        WorkspaceRules {
            strategy: Some(self.strategy(node)),
            fallback: Some(self.fallback(node)),
            ranks: self.workspace.ranks.over(&node.ranks),
            conflict_deadline_ms: Some(self.conflict_deadline_ms(node)),
            retention: self.retention(node),
        }
    }

    /// Reads what a context of [`SCHEMA_KIND`] declares in its `data`.
    pub fn of_document(document: &Document) -> Result<KindRules, Problem> {
        let json = document.to_json();
        match json.get("data") {
            Some(data) => KindRules::read(data, &Pointer::from_static("/data")),
            None => Ok(KindRules::default()),
        }
    }

    /// Reads `{"schema":…,"strategy":…,"fallback":…,"retention":…}`.
    pub fn read(declared: &Json, at: &Pointer) -> Result<KindRules, Problem> {
        let word = |name: &str| match declared.get(name) {
            None => Ok(None),
            Some(word) => parse_strategy(word, at.child(name)).map(Some),
        };
        let (strategy, fallback) = (word("strategy")?, word("fallback")?);
        let retention = declared.get("retention");
        let retention = retention.map(|policy| Retention::read(policy, &at.child("retention")));
        let rules = KindRules {
            strategy,
            fallback,
            retention: retention.transpose()?,
            ..KindRules::default()
        };
        let Some(source) = declared.get("schema") else {
            return Ok(rules);
        };
        let schema = Schema::compile(source, SchemaLimits::default()).map_err(|error| {
            let mut place = at.child("schema");
            error
                .pointer
                .tokens()
                .iter()
                .for_each(|token| place.push(token.clone()));
            Problem::new(Code::Invalid, error.to_string()).at(place)
        })?;
        let merge = merge_rules(&schema);
        let ignored = schema.merge_rules().ignored.iter().map(|ignored| {
            let within = ignored.pointer.tokens().iter().cloned();
            let place = std::iter::once("schema".into()).chain(within);
            (place.collect(), ignored.reason)
        });
        Ok(KindRules {
            ignored: ignored.collect(),
            schema: Some(schema),
            merge,
            ..rules
        })
    }
}

/// Reads a strategy's name.
pub fn parse_strategy(word: &Json, at: Pointer) -> Result<Strategy, Problem> {
    let parsed = word
        .as_str()
        .ok_or("a strategy is a word")
        .and_then(str::parse);
    parsed.map_err(|why| Problem::new(Code::Invalid, why).at(at))
}

/// The schema describes `data`: its paths begin there.
#[expect(
    clippy::mutable_key_type,
    reason = "patterns are compared by their text, which never changes"
)]
fn merge_rules(schema: &Schema) -> MergeRules {
    let mut rules = MergeRules::default();
    // Each once, since what tells some names from others may be long.
    let mut steps: BTreeMap<&PathStep, RuleStep> = BTreeMap::new();
    for (pattern, policy) in &schema.merge_rules().rules {
        let mut path = vec![RuleStep::Name("data".into())];
        for step in pattern {
            let known = steps.entry(step).or_insert_with(|| rule_step(step));
            path.push(known.clone());
        }
        // Keys are found without a rule too, where none is named. The schema's own limits keep
        // its rules within those of a merge.
        if let Some(policy) = policy_of(policy) {
            let _ = rules.declare_at(path, policy);
        }
    }
    rules
}

fn rule_step(step: &PathStep) -> RuleStep {
    match step {
        PathStep::Name(name) => RuleStep::Name(name.as_str().into()),
        PathStep::Found(pattern) => {
            let (label, steps) = (pattern.source(), pattern.steps_per_byte());
            let pattern = pattern.clone();
            RuleStep::Among(Names::new(label, steps, move |name| pattern.is_match(name)))
        }
        PathStep::Others(others) => {
            let patterns = others.patterns.iter();
            let sources: Vec<_> = patterns.clone().map(|pattern| pattern.source()).collect();
            let label = format!("neither {:?} nor {sources:?}", others.names);
            let steps = patterns.map(|pattern| pattern.steps_per_byte()).sum();
            let others = others.clone();
            RuleStep::Among(Names::new(&label, steps, move |name| others.has(name)))
        }
        PathStep::Any => RuleStep::Any,
    }
}

fn policy_of(policy: &syncline_schema::MergePolicy) -> Option<MergePolicy> {
    use syncline_schema::MergePolicy as Declared;
    Some(match policy {
        Declared::Last => MergePolicy::Last,
        Declared::First => MergePolicy::First,
        Declared::Set => MergePolicy::Set,
        Declared::Append => MergePolicy::Append,
        Declared::Keyed(Some(key)) => MergePolicy::Keyed(key.as_str().into()),
        Declared::Keyed(None) => return None,
        Declared::Counter => MergePolicy::Counter,
        Declared::Max => MergePolicy::Max,
        Declared::Min => MergePolicy::Min,
        Declared::Text => MergePolicy::Text,
        Declared::Atomic => MergePolicy::Atomic,
    })
}
