//! `x-merge`: how the fields of a document merge, read from its schema.
//!
//! A rule stands in a subschema; a merge asks by path. So the subschemas are walked as a document
//! would lead through them, and each rule is written down with the paths that lead to it. Where
//! the way depends on a value, or on an item's index, the rule is ignored and named.

use std::cmp::Ordering;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use syncline_model::json::{Json, Pointer};

use crate::error::SchemaError;
use crate::keywords::Keywords;
use crate::limits::SchemaLimits;
use crate::node::{Members, NodeId, Nodes, Rule, Types};
use crate::pattern::Pattern;
use crate::shown::{shown, shown_pointer};

/// No document is deeper.
const PATH_STEPS_MAX: usize = 64;

/// The types of items that are known again by what stays of them when they are edited.
const PARTED: [&str; 2] = ["object", "array"];

/// Bounds the walk: references that fork and meet again would double it with each level.
const VISITS_MAX: usize = 100_000;

/// How the values at one place merge (DESIGN, section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergePolicy {
    /// The later value stays.
    Last,
    /// The earlier value stays.
    First,
    /// An array whose items are there or not.
    Set,
    /// An array or a text that only grows: what both sides add is kept.
    Append,
    /// An array of objects that are told apart by a member, if it is named here.
    Keyed(Option<String>),
    /// A number to which both sides' differences are added.
    Counter,
    /// The larger number stays, or the text that comes later by its characters.
    Max,
    /// The smaller number stays, or the text that comes first by its characters.
    Min,
    /// Text, merged by lines and words.
    Text,
    /// A value that is never taken apart.
    Atomic,
}

/// One step of a [`PathPattern`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathStep {
    /// The member of this name, or the item of this index.
    Name(String),
    /// Each member in whose name the pattern is found.
    Found(Arc<Pattern>),
    /// Each member that nothing else beside it is for.
    Others(Arc<Others>),
    /// Any member or item.
    Any,
}

/// What the members are that `additionalProperties` is for: all but these.
#[derive(Debug)]
pub struct Others {
    /// Whose they are; it tells them from other ones of the same schema.
    of: NodeId,
    /// Those that `properties` names.
    pub names: BTreeSet<Arc<str>>,
    /// Those in whose names one of these patterns is found.
    pub patterns: Vec<Arc<Pattern>>,
}

impl Others {
    /// Says whether a member is one of them.
    pub fn has(&self, name: &str) -> bool {
        !self.names.contains(name) && !self.patterns.iter().any(|p| p.is_match(name))
    }
}

// Not by their names, of which there may be thousands: paths are compared often.
impl PartialEq for Others {
    fn eq(&self, other: &Others) -> bool {
        self.of == other.of
    }
}

impl Eq for Others {}

impl PartialOrd for Others {
    fn partial_cmp(&self, other: &Others) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Others {
    fn cmp(&self, other: &Others) -> Ordering {
        self.of.cmp(&other.of)
    }
}

/// The places of a document that a rule is for; it starts at the document's root.
pub type PathPattern = Vec<PathStep>;

/// The merge rules of a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeRules {
    /// The rules; the first whose pattern fits a path is the one for it.
    pub rules: Vec<(PathPattern, MergePolicy)>,
    /// The rules that have no effect, and why.
    pub ignored: Vec<Ignored>,
}

/// An `x-merge` that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The place of the subschema.
    pub pointer: Pointer,
    /// Why.
    pub reason: &'static str,
}

impl MergePolicy {
    /// Reads `x-merge` and `x-merge-key` of a subschema.
    pub(crate) fn read(
        keywords: &Keywords<'_>,
        types: Option<Types>,
    ) -> Result<Option<MergePolicy>, SchemaError> {
        let at = keywords.at.child("x-merge");
        let key = keywords.string("x-merge-key")?;
        let Some(value) = keywords.get("x-merge") else {
            return match key {
                Some(_) => {
                    let at = keywords.at.child("x-merge-key");
                    Err(SchemaError::merge(
                        &at,
                        "x-merge-key needs x-merge: \"keyed\" beside it",
                    ))
                }
                None => Ok(None),
            };
        };
        let policy = match value {
            Json::String(name) => MergePolicy::named(name, key, &at)?,
            Json::Object(object) if object.len() == 1 && key.is_none() => {
                match object.get("keyed").and_then(Json::as_str) {
                    Some(key) => MergePolicy::Keyed(Some(key.to_owned())),
                    None => {
                        return Err(SchemaError::merge(
                            &at,
                            "expected {\"keyed\": \"<member>\"}",
                        ));
                    }
                }
            }
            _ => {
                let reason = "x-merge is a word, or {\"keyed\": \"<member>\"} without x-merge-key";
                return Err(SchemaError::merge(&at, reason));
            }
        };
        policy.check_types(types, &at)?;
        Ok(Some(policy))
    }

    fn named(name: &str, key: Option<&str>, at: &Pointer) -> Result<MergePolicy, SchemaError> {
        let policy = match name {
            "last" => MergePolicy::Last,
            "first" => MergePolicy::First,
            "set" => MergePolicy::Set,
            "append" => MergePolicy::Append,
            "keyed" => return Ok(MergePolicy::Keyed(key.map(str::to_owned))),
            "counter" => MergePolicy::Counter,
            "max" => MergePolicy::Max,
            "min" => MergePolicy::Min,
            "text" => MergePolicy::Text,
            "atomic" => MergePolicy::Atomic,
            other => {
                let reason = format!(
                    "there is no merge rule {}: use last, first, set, append, keyed, counter, max, min, text or atomic",
                    shown(other)
                );
                return Err(SchemaError::merge(at, reason));
            }
        };
        match key {
            Some(_) => Err(SchemaError::merge(
                at,
                "x-merge-key is for x-merge: \"keyed\"",
            )),
            None => Ok(policy),
        }
    }

    /// Refuses a rule for values that the schema does not allow: it would silently do nothing.
    fn check_types(&self, types: Option<Types>, at: &Pointer) -> Result<(), SchemaError> {
        let needed: &[&str] = match self {
            MergePolicy::Last | MergePolicy::First | MergePolicy::Atomic => return Ok(()),
            MergePolicy::Set | MergePolicy::Keyed(_) => &["array"],
            MergePolicy::Append => &["array", "string"],
            MergePolicy::Counter => &["number", "integer"],
            MergePolicy::Max | MergePolicy::Min => &["number", "integer", "string"],
            MergePolicy::Text => &["string"],
        };
        match types {
            Some(types) if !needed.iter().any(|name| types.has(name)) => {
                // An integer is a number.
                let needed = needed.iter().copied().filter(|name| *name != "integer");
                let needed = needed.collect::<Vec<_>>().join(" or ");
                let types = types.names();
                let reason =
                    format!("this rule merges values of type {needed}, and type is {types}");
                Err(SchemaError::merge(at, reason))
            }
            _ => Ok(()),
        }
    }
}

/// Reads the merge rules of all subschemas.
pub(crate) fn merge_rules(nodes: &Nodes, limits: &SchemaLimits) -> Result<MergeRules, SchemaError> {
    let mut walk = Walk {
        nodes,
        limits,
        path: Vec::new(),
        open: vec![false; nodes.all.len()],
        reached: vec![false; nodes.all.len()],
        visits: 0,
        by_index: 0,
        found: Found::new(),
        ignored: BTreeSet::new(),
        others: BTreeMap::new(),
    };
    if nodes.all.iter().any(|node| node.merge.is_some()) {
        walk.visit(Nodes::ROOT, 0)?;
    }
    for (index, node) in nodes.all.iter().enumerate() {
        if node.merge.is_some() && !walk.reached[index] {
            let reason = "no path of member names and items leads here, whatever the values are";
            walk.ignore(NodeId(index), reason);
        }
    }
    let ignored = walk.ignored.into_iter().map(|(id, reason)| Ignored {
        pointer: nodes.get(id).at.clone(),
        reason,
    });
    let rules = walk.found.into_iter();
    Ok(MergeRules {
        rules: rules.map(|(path, (policy, _))| (path, policy)).collect(),
        ignored: ignored.collect(),
    })
}

/// The rules by path, in the order of [`PathStep`]: names come first, `Any` last.
type Found = BTreeMap<PathPattern, (MergePolicy, NodeId)>;

struct Walk<'a> {
    nodes: &'a Nodes,
    limits: &'a SchemaLimits,
    path: PathPattern,
    /// The nodes on the way here.
    open: Vec<bool>,
    reached: Vec<bool>,
    visits: usize,
    /// How many items on the way here are named by their index.
    by_index: usize,
    found: Found,
    ignored: BTreeSet<(NodeId, &'static str)>,
    /// The steps to the members that nothing else is for, by whose they are.
    others: BTreeMap<NodeId, PathStep>,
}

impl Walk<'_> {
    fn visit(&mut self, id: NodeId, depth: usize) -> Result<(), SchemaError> {
        let node = self.nodes.get(id);
        self.pay(1, id)?;
        if self.open[id.0] {
            self.ignore(
                id,
                "a schema within itself gives rules for its first level only",
            );
            return Ok(());
        }
        let bytes = self.path.iter().map(PathStep::bytes).sum::<usize>();
        let too_long = self.path.len() > PATH_STEPS_MAX || bytes > self.limits.pointer_bytes_max;
        if too_long || depth >= self.limits.nesting_max {
            self.ignore(id, "the way here is too long");
            return Ok(());
        }
        self.open[id.0] = true;
        if let Some(policy) = &node.merge {
            self.reached[id.0] = true;
            if self.by_index > 0 {
                self.ignore(
                    id,
                    "items are merged by key or by what they hold, never by index",
                );
            }
            self.add(self.path.clone(), policy.clone(), id)?;
        }
        for rule in &node.rules {
            match rule {
                Rule::Members(members) => self.members(id, members, depth)?,
                Rule::Items(items) => {
                    let prefix = items.prefix.iter().enumerate();
                    let prefix: Vec<_> =
                        prefix.map(|(index, id)| (index.to_string(), *id)).collect();
                    let names = prefix.iter().map(|(name, _)| name.as_str()).collect();
                    self.by_index += 1;
                    for (name, id) in &prefix {
                        self.below(PathStep::Name(name.clone()), *id, depth)?;
                    }
                    self.by_index -= 1;
                    self.check_known_again(items.rest);
                    self.items_after(items.rest, names, depth)?;
                }
                Rule::AllOf(nodes) => {
                    for id in nodes {
                        self.visit(*id, depth + 1)?;
                    }
                }
                Rule::Ref(target) => self.visit(*target, depth + 1)?,
                // Whether these apply, and which, depends on the value.
                _ => {}
            }
        }
        self.open[id.0] = false;
        Ok(())
    }

    fn members(&mut self, id: NodeId, members: &Members, depth: usize) -> Result<(), SchemaError> {
        let names: Vec<&str> = members.named.keys().map(|name| &**name).collect();
        for name in &names {
            self.below(
                PathStep::Name((*name).to_owned()),
                members.named[*name],
                depth,
            )?;
        }
        for (pattern, id) in &members.patterns {
            let step = PathStep::of_pattern(pattern.source());
            let step = step.unwrap_or_else(|| PathStep::Found(pattern.clone()));
            self.below(step, *id, depth)?;
        }
        let Some(additional) = members.additional else {
            return Ok(());
        };
        let others = self.others.entry(id);
        let others = others.or_insert_with(|| members.others(id)).clone();
        self.below(others, additional, depth)
    }

    fn below(&mut self, step: PathStep, id: NodeId, depth: usize) -> Result<(), SchemaError> {
        self.path.push(step);
        self.visit(id, depth + 1)?;
        self.path.pop();
        Ok(())
    }

    /// Rules for the items after those that have an index: `Any` says so only where each of these
    /// has its own.
    #[expect(
        clippy::mutable_key_type,
        reason = "patterns are compared by their text, which never changes"
    )]
    fn items_after(
        &mut self,
        id: Option<NodeId>,
        names: Vec<&str>,
        depth: usize,
    ) -> Result<(), SchemaError> {
        let Some(id) = id else {
            return Ok(());
        };
        let outer = std::mem::take(&mut self.found);
        self.below(PathStep::Any, id, depth)?;
        let others = std::mem::replace(&mut self.found, outer);
        self.pay(others.len() * names.len(), id)?;
        for (path, (policy, id)) in others {
            let is_named = |name: &&str| {
                let mut path = path.clone();
                path[self.path.len()] = PathStep::Name((*name).to_owned());
                self.found.contains_key(&path)
            };
            if names.iter().all(is_named) {
                self.add(path, policy, id)?;
            } else {
                self.ignore(
                    id,
                    "a rule for the items after some would be one for these, too",
                );
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        path: PathPattern,
        policy: MergePolicy,
        id: NodeId,
    ) -> Result<(), SchemaError> {
        let max = self.limits.merge_rules_max;
        if self.found.len() >= max {
            let reason = format!("a schema has at most {max} merge rules");
            return Err(SchemaError::limit(&self.nodes.get(id).at, reason));
        }
        match self.found.entry(path) {
            Entry::Vacant(entry) => drop(entry.insert((policy, id))),
            Entry::Occupied(entry) if entry.get().0 == policy => {}
            Entry::Occupied(entry) => {
                let other = shown_pointer(&self.nodes.get(entry.get().1).at);
                let reason =
                    format!("the subschema at {other} has another rule for the same values");
                let at = self.nodes.get(id).at.child("x-merge");
                return Err(SchemaError::merge(&at, reason));
            }
        }
        Ok(())
    }

    fn pay(&mut self, visits: usize, id: NodeId) -> Result<(), SchemaError> {
        self.visits += visits;
        if self.visits > VISITS_MAX {
            let reason = format!("more than {VISITS_MAX} ways lead to this schema's merge rules");
            return Err(SchemaError::limit(&self.nodes.get(id).at, reason));
        }
        Ok(())
    }

    /// Names the rule of items that no merge finds again once they were edited: without a key they
    /// are known by what stays of them.
    fn check_known_again(&mut self, items: Option<NodeId>) {
        let items = items.map(|id| (id, self.nodes.get(id)));
        if let Some((id, node)) = items.filter(|(_, node)| node.merge.is_some())
            && node
                .types()
                .is_some_and(|types| !PARTED.iter().any(|name| types.has(name)))
        {
            let reason =
                "an item that is neither an object nor an array is another one once it is edited";
            self.ignore(id, reason);
        }
    }

    fn ignore(&mut self, id: NodeId, reason: &'static str) {
        self.ignored.insert((id, reason));
    }
}

impl Members {
    /// Returns the step to the members that `additionalProperties` of a node is for.
    fn others(&self, of: NodeId) -> PathStep {
        if self.named.is_empty() && self.patterns.is_empty() {
            return PathStep::Any;
        }
        PathStep::Others(Arc::new(Others {
            of,
            names: self.named.keys().cloned().collect(),
            patterns: self
                .patterns
                .iter()
                .map(|(pattern, _)| pattern.clone())
                .collect(),
        }))
    }
}

impl PathStep {
    fn bytes(&self) -> usize {
        match self {
            PathStep::Name(name) => name.len(),
            PathStep::Found(pattern) => pattern.source().len(),
            PathStep::Others(_) | PathStep::Any => 0,
        }
    }

    /// The step that means the same as a pattern for names, if there is one.
    fn of_pattern(source: &str) -> Option<PathStep> {
        if matches!(source, "" | "^" | ".*" | "^.*" | "^.*$") {
            return Some(PathStep::Any);
        }
        let name = source.strip_prefix('^')?.strip_suffix('$')?;
        let plain = |char: char| char.is_alphanumeric() || "_-".contains(char);
        (!name.is_empty() && name.chars().all(plain)).then(|| PathStep::Name(name.to_owned()))
    }
}
