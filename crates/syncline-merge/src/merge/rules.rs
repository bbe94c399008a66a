//! What is declared about paths: the `x-merge` of a schema.

use crate::mutants::{Mutant, is_active};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use syncline_model::json::{Json, Object, Pointer, PointerError};

/// Bounds what one document may declare; a schema has some dozens.
const RULES_MAX: usize = 1_000;

/// How two edits of one place are merged, where it is declared.
///
/// *Last* and *first* go by the order in the log, never by a clock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MergePolicy {
    /// The later edit in the log wins, a deletion too.
    Last,
    /// The earlier edit in the log wins, a deletion too.
    First,
    /// An array is a set: what either side added is in, what either removed is out.
    Set,
    /// An array or text only grows: both tails are kept, the earlier first, equal ones twice.
    Append,
    /// Items of an array are matched by this member.
    Keyed(Arc<str>),
    /// A number counts: both sides' deltas are added, equal ones too.
    Counter,
    /// The greater number or text wins.
    Max,
    /// The smaller number or text wins.
    Min,
    /// Text is merged by lines and words even if it has one line.
    Text,
    /// The value is never combined: two different edits clash whole.
    Atomic,
}

/// Policies by path pattern.
///
/// A pattern is a JSON Pointer in which `*` stands for any one step, and alone matches the items
/// of arrays. Where several patterns match, the one that is exact further to the left counts.
#[derive(Clone, Debug, Default)]
pub struct MergeRules {
    policies: BTreeMap<String, MergePolicy>,
    root: Node,
}

/// Why rules are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// The rules are not an object from patterns to policies.
    #[error("merge rules are no object")]
    NotObject,
    /// There are more rules than a schema should need.
    #[error("merge rules are more than {RULES_MAX}")]
    TooMany,
    /// A pattern is no JSON Pointer.
    #[error("merge rule has a bad pattern")]
    Pattern(#[source] PointerError),
    /// A policy is unknown.
    #[error(
        "merge policy is none of last, first, set, append, counter, max, min, text, atomic, \
         {{\"keyed\": <member>}}"
    )]
    Policy,
}

/// The patterns that begin with one way down.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    policy: Option<MergePolicy>,
    exact: BTreeMap<Arc<str>, Node>,
    any: Option<Box<Node>>,
}

/// The patterns that still match at a place, the one that counts first.
pub(super) type Matching<'r> = Vec<&'r Node>;

const SIMPLE: [(&str, MergePolicy); 9] = [
    ("last", MergePolicy::Last),
    ("first", MergePolicy::First),
    ("set", MergePolicy::Set),
    ("append", MergePolicy::Append),
    ("counter", MergePolicy::Counter),
    ("max", MergePolicy::Max),
    ("min", MergePolicy::Min),
    ("text", MergePolicy::Text),
    ("atomic", MergePolicy::Atomic),
];

impl MergePolicy {
    /// Reads what `x-merge` holds: a word, or `{"keyed": "<member>"}`.
    pub fn from_json(value: &Json) -> Result<MergePolicy, RulesError> {
        if let Some(word) = value.as_str() {
            let known = SIMPLE.iter().find(|(name, _)| *name == word);
            return known
                .map(|(_, policy)| policy.clone())
                .ok_or(RulesError::Policy);
        }
        let object = value.as_object().filter(|object| object.len() == 1);
        match object.and_then(|object| object.get("keyed")) {
            Some(Json::String(member)) => Ok(MergePolicy::Keyed(member.clone())),
            _ => Err(RulesError::Policy),
        }
    }

    /// Returns what [`MergePolicy::from_json`] reads.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            MergePolicy::Keyed(member) => {
                Object::from_iter([("keyed", Json::from(member.clone()))]).into()
            }
            simple => Json::from(simple.to_string()),
        }
    }
}

impl fmt::Display for MergePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let simple = SIMPLE.iter().find(|(_, policy)| policy == self);
        f.write_str(simple.map_or("keyed", |(name, _)| name))
    }
}

impl MergeRules {
    /// Declares a policy for a pattern such as `/data/steps/*/done`, replacing one that it had.
    pub fn declare(&mut self, pattern: &str, policy: MergePolicy) -> Result<(), RulesError> {
        let pointer = Pointer::parse(pattern).map_err(RulesError::Pattern)?;
        if !self.policies.contains_key(pattern) && self.policies.len() == RULES_MAX {
            return Err(RulesError::TooMany);
        }
        let place = pointer.tokens().iter().fold(&mut self.root, Node::below);
        place.policy = Some(policy.clone());
        self.policies.insert(pattern.to_owned(), policy);
        Ok(())
    }

    /// Reads an object from patterns to policies.
    pub fn from_json(value: &Json) -> Result<MergeRules, RulesError> {
        let object = value.as_object().ok_or(RulesError::NotObject)?;
        let mut rules = MergeRules::default();
        for (pattern, policy) in object.iter() {
            rules.declare(pattern, MergePolicy::from_json(policy)?)?;
        }
        Ok(rules)
    }

    /// Returns what [`MergeRules::from_json`] reads.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let members = self.policies.iter();
        let members = members.map(|(pattern, policy)| (pattern.as_str(), policy.to_json()));
        members.collect::<Object>().into()
    }

    /// Returns true if nothing is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    pub(super) fn at_root(&self) -> Matching<'_> {
        if self.is_empty() {
            Vec::new()
        } else {
            vec![&self.root]
        }
    }
}

impl PartialEq for MergeRules {
    fn eq(&self, other: &MergeRules) -> bool {
        self.policies == other.policies
    }
}

impl Eq for MergeRules {}

impl Node {
    fn below(&mut self, token: &Arc<str>) -> &mut Node {
        match &**token {
            "*" => self.any.get_or_insert_default(),
            _ => self.exact.entry(token.clone()).or_default(),
        }
    }
}

/// The policy that counts at a place.
pub(super) fn policy<'r>(matching: &[&'r Node]) -> Option<&'r MergePolicy> {
    matching.iter().find_map(|node| node.policy.as_ref())
}

/// What still matches at a member.
pub(super) fn at_member<'r>(matching: &[&'r Node], key: &str) -> Matching<'r> {
    let below = |node: &&'r Node| [node.exact.get(key), node.any.as_deref()];
    let mut below: Matching<'r> = matching.iter().flat_map(below).flatten().collect();
    if is_active(Mutant::MatchesRight) {
        below.reverse();
    }
    below
}

/// What still matches at an item, whichever it is.
pub(super) fn at_item<'r>(matching: &[&'r Node]) -> Matching<'r> {
    matching
        .iter()
        .filter_map(|node| node.any.as_deref())
        .collect()
}
