//! What is declared about paths: the `x-merge` of a schema.

use super::names::Names;
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
    policies: BTreeMap<Vec<RuleStep>, MergePolicy>,
    root: Node,
}

/// A step of a pattern, in the order in which they count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleStep {
    /// The member of this name.
    Name(Arc<str>),
    /// Members of some names; of several that fit, the one that was declared first counts.
    Among(Names),
    /// Any one step, an item of an array too.
    Any,
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
    among: Vec<(Names, Node)>,
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
        let steps = pointer.tokens().iter().map(|token| match &**token {
            "*" => RuleStep::Any,
            _ => RuleStep::Name(token.clone()),
        });
        self.declare_at(steps.collect(), policy)
    }

    /// Declares a policy for a pattern, replacing one that it had.
    pub fn declare_at(
        &mut self,
        pattern: Vec<RuleStep>,
        policy: MergePolicy,
    ) -> Result<(), RulesError> {
        if !self.policies.contains_key(&pattern) && self.policies.len() == RULES_MAX {
            return Err(RulesError::TooMany);
        }
        let place = pattern.iter().fold(&mut self.root, Node::below);
        place.policy = Some(policy.clone());
        self.policies.insert(pattern, policy);
        Ok(())
    }

    /// Returns the rules but those by which the order of two writers decides.
    #[must_use]
    pub fn without_order(&self) -> MergeRules {
        let mut left = MergeRules::default();
        for (pattern, policy) in &self.policies {
            if !matches!(policy, MergePolicy::Last | MergePolicy::First) {
                let declared = left.declare_at(pattern.clone(), policy.clone());
                declared.expect("there are no more of them than here");
            }
        }
        left
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

    /// Returns what [`MergeRules::from_json`] reads; rules for some names have no such form, and
    /// are left out.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let rules = self.policies.iter();
        let members = rules.filter_map(|(pattern, policy)| {
            let mut pointer = Pointer::root();
            for step in pattern {
                match step {
                    RuleStep::Name(name) => pointer.push(name.clone()),
                    RuleStep::Among(_) => return None,
                    RuleStep::Any => pointer.push("*"),
                }
            }
            Some((pointer.to_string(), policy.to_json()))
        });
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
    fn below(&mut self, step: &RuleStep) -> &mut Node {
        match step {
            RuleStep::Name(name) => self.exact.entry(name.clone()).or_default(),
            RuleStep::Among(names) => {
                let known = self.among.iter().position(|(known, _)| known == names);
                let at = known.unwrap_or(self.among.len());
                if known.is_none() {
                    self.among.push((names.clone(), Node::default()));
                }
                &mut self.among[at].1
            }
            RuleStep::Any => self.any.get_or_insert_default(),
        }
    }

    fn at<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r Node> {
        let among = self.among.iter().filter(|(names, _)| names.has(name));
        let exact = self.exact.get(name).into_iter();
        exact
            .chain(among.map(|(_, node)| node))
            .chain(self.any.as_deref())
    }
}

/// Returns how many steps it takes to find out what matches at these members.
pub(super) fn steps_at<'k>(matching: &[&Node], members: impl Iterator<Item = &'k str>) -> u64 {
    let among: Vec<_> = matching.iter().flat_map(|node| &node.among).collect();
    if among.is_empty() {
        return 0;
    }
    members
        .flat_map(|name| among.iter().map(|(names, _)| names.steps(name)))
        .fold(0, u64::saturating_add)
}

/// The policy that counts at a place.
pub(super) fn policy<'r>(matching: &[&'r Node]) -> Option<&'r MergePolicy> {
    matching.iter().find_map(|node| node.policy.as_ref())
}

/// What still matches at a member.
pub(super) fn at_member<'r>(matching: &[&'r Node], key: &str) -> Matching<'r> {
    let mut below: Matching<'r> = matching.iter().flat_map(|node| node.at(key)).collect();
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
