//! What a check found.

use std::collections::HashMap;
use std::sync::Arc;

use syncline_merge::Op;
use syncline_model::json::Pointer;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Report {
    /// The first failures, at most as many as the limits say.
    pub failures: Vec<Failure>,
    /// How many failures there are.
    pub failed: usize,
    /// True if the check was given up, because of its steps or its nesting: the last failure says
    /// so, and what was not looked at may fail too.
    pub given_up: bool,
    /// How many steps the check took.
    pub steps: u64,
}

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The place in the document.
    pub place: Pointer,
    /// The keyword that failed; empty if the check was given up.
    pub keyword: &'static str,
    /// The place of the keyword in the schema.
    pub rule: Pointer,
    /// What is wrong, for a person.
    pub reason: String,
    /// What would mend it, where that is obvious.
    pub correction: Option<Correction>,
}

/// What would mend a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Correction {
    /// An operation on the document that was checked.
    Patch(Op),
    /// A hint for a person.
    Hint(String),
}

impl Report {
    /// Tells whether the document fits.
    pub fn fits(&self) -> bool {
        self.failed == 0
    }

    /// Returns the failures that `head` lacks.
    ///
    /// Two failures are the same if one rule fails at one place, whichever index the items on the
    /// way there have: another writer's item in front must not make an old failure new. If there
    /// are more failures than reports tell, their number decides.
    pub fn added(&self, head: &Report) -> Vec<&Failure> {
        let mut old: HashMap<_, usize> = HashMap::new();
        for failure in &head.failures {
            *old.entry(failure.identity()).or_default() += 1;
        }
        let mut added = Vec::new();
        for failure in &self.failures {
            match old.get_mut(&failure.identity()) {
                Some(left @ 1..) => *left -= 1,
                _ => added.push(failure),
            }
        }
        if added.is_empty() && self.failed > head.failed {
            return self.failures.iter().collect();
        }
        added
    }
}

impl Failure {
    /// What stays the same while other parts of the document change.
    fn identity(&self) -> Identity<'_> {
        let tokens = self.place.tokens().iter();
        let names = tokens.map(|token| Pointer::array_index(token).is_none().then_some(token));
        // One place may lack several members, which only the reasons tell apart.
        let missing = ["required", "dependentRequired", "dependencies"].contains(&self.keyword);
        Identity {
            rule: &self.rule,
            names: names.collect(),
            missing: missing.then_some(&self.reason),
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Identity<'a> {
    rule: &'a Pointer,
    names: Vec<Option<&'a Arc<str>>>,
    missing: Option<&'a String>,
}
