//! The walk over three documents together, node by node.

use super::decision::{Action, Decision, Rule};
use super::names::NAME_STEPS_MAX;
use super::path::{KeyedPath, KeyedStep};
use super::rules::{self, Node};
use super::{MergeLimits, Side};
use crate::mutants::{Mutant, is_active};
use std::sync::Arc;
use syncline_model::json::{Json, Key, Object, Pointer};

/// One place in the three documents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Three<'a> {
    pub(super) base: Option<&'a Json>,
    pub(super) earlier: Option<&'a Json>,
    pub(super) later: Option<&'a Json>,
}

/// What a place becomes; a whole side where that is so, since then it stays shared.
#[derive(Debug)]
pub(super) enum Taken {
    /// Both sides hold this very value.
    Either,
    Earlier,
    Later,
    Built(Json),
}

impl Taken {
    pub(super) fn into_value(self, three: Three<'_>) -> Option<Json> {
        match self {
            Taken::Either | Taken::Earlier => three.earlier.cloned(),
            Taken::Later => three.later.cloned(),
            Taken::Built(value) => Some(value),
        }
    }
}

/// Where the walk is, and what it decided so far.
pub(super) struct Walk<'a> {
    earlier: Side,
    pub(super) limits: &'a MergeLimits,
    path: Vec<Step<'a>>,
    decisions: Vec<Decision>,
    clashes: usize,
    /// Arrays without keys around this place.
    pub(super) array_levels: usize,
    /// Steps that are left for finding out which names rules are for.
    name_steps: u64,
}

/// One step down.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Member(&'a Key),
    /// An item, by its index in the merged array, and its key where it has one.
    Item(usize, Option<(&'a str, &'a Json)>),
}

impl<'a> Walk<'a> {
    pub(super) fn new(earlier: Side, limits: &'a MergeLimits) -> Walk<'a> {
        Walk {
            earlier,
            limits,
            path: Vec::new(),
            decisions: Vec::new(),
            clashes: 0,
            array_levels: 0,
            name_steps: NAME_STEPS_MAX,
        }
    }

    pub(super) fn into_decisions(self) -> Vec<Decision> {
        self.decisions
    }

    /// Merges one place.
    pub(super) fn node(&mut self, three: Three<'a>, rules: &[&'a Node]) -> Taken {
        if is_identical(three.base, three.later) {
            return match is_identical(three.earlier, three.later) {
                true => Taken::Either,
                false => Taken::Earlier,
            };
        }
        if let Some(policy) = rules::policy(rules) {
            if let Some(taken) = self.yielding(three) {
                return taken;
            }
            if let Some(taken) = self.declared(three, policy, rules) {
                return taken;
            }
        }
        if self.path.len() >= self.limits.depth_max && !is_active(Mutant::IgnoresDepth) {
            return self.whole(three, Rule::Bound);
        }
        match (three.base, three.earlier, three.later) {
            (Some(Json::Object(base)), Some(Json::Object(earlier)), Some(Json::Object(later))) => {
                self.object(three, Some(base), [earlier, later], rules)
            }
            _ => self.unlike(three, rules),
        }
    }

    /// A side that equals the base yields to the other. The head's text of a number stays.
    pub(super) fn yielding(&self, three: Three<'a>) -> Option<Taken> {
        if self.later_yields(three) {
            let either = is_identical(three.earlier, three.later);
            return Some(if either {
                Taken::Either
            } else {
                Taken::Earlier
            });
        }
        (three.earlier == three.base).then_some(Taken::Later)
    }

    /// Says whether the later side equals the base.
    pub(super) fn later_yields(&self, three: Three<'a>) -> bool {
        let takes_text = is_active(Mutant::TakesText) && three.earlier == three.base;
        let loses = is_active(Mutant::LosesUpdate) || takes_text;
        three.later == three.base && !loses
    }

    /// Merges what is not an object on all three sides.
    fn unlike(&mut self, three: Three<'a>, rules: &[&'a Node]) -> Taken {
        if let Some(taken) = self.yielding(three) {
            return taken;
        }
        if three.earlier == three.later {
            return self.agreed(three);
        }
        match (three.earlier, three.later) {
            // Two objects under one key are merged as if both had grown from an empty one.
            (Some(Json::Object(earlier)), Some(Json::Object(later)))
                if !is_active(Mutant::ClashesNew) =>
            {
                self.object(three, None, [earlier, later], rules)
            }
            (Some(Json::Array(earlier)), Some(Json::Array(later))) => {
                let base = three.base.and_then(Json::as_array);
                self.array(three, [base.unwrap_or_default(), earlier, later], rules)
            }
            (Some(Json::String(earlier)), Some(Json::String(later))) => match three.base {
                Some(Json::String(base)) => self.string(three, [base, earlier, later], false),
                _ => self.clash(three, Rule::Value),
            },
            (None, _) if is_active(Mutant::DeletesEdit) => Taken::Earlier,
            (None, _) | (_, None) => self.clash(three, Rule::DeleteEdit),
            (Some(earlier), Some(later)) if earlier.type_name() != later.type_name() => {
                self.clash(three, Rule::TypeChange)
            }
            _ => self.clash(three, Rule::Value),
        }
    }

    /// Merges a place whole: a side yields, both agree, or they clash by `rule`.
    pub(super) fn whole(&mut self, three: Three<'a>, rule: Rule) -> Taken {
        if let Some(taken) = self.yielding(three) {
            return taken;
        }
        if three.earlier == three.later {
            return self.agreed(three);
        }
        let missing = three.earlier.is_none() || three.later.is_none();
        self.clash(three, if missing { Rule::DeleteEdit } else { rule })
    }

    fn object(
        &mut self,
        three: Three<'a>,
        base: Option<&'a Object>,
        [earlier, later]: [&'a Object; 2],
        rules: &[&'a Node],
    ) -> Taken {
        let sides = base.into_iter().chain([earlier, later]);
        let names = sides.flat_map(|side| side.iter().map(|(name, _)| name));
        let steps = rules::steps_at(rules, names);
        if steps > self.name_steps {
            return self.whole(three, Rule::Bound);
        }
        self.name_steps -= steps;
        let mut built = Built::new(earlier, later);
        for_each_member([base, Some(earlier), Some(later)], |key, three| {
            let below = rules::at_member(rules, key.as_str());
            let taken = self.below(Step::Member(key), |walk| walk.node(three, &below));
            built.push(key, three, taken);
        });
        built.finish()
    }

    pub(super) fn below<T>(&mut self, step: Step<'a>, walk: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let result = walk(self);
        self.path.pop();
        result
    }

    /// Both sides made the same edit.
    pub(super) fn agreed(&mut self, three: Three<'a>) -> Taken {
        if !is_active(Mutant::AgreesSilently) {
            self.decide(three, Action::Both, Rule::Same);
        }
        match is_identical(three.earlier, three.later) {
            true => Taken::Either,
            false => Taken::Earlier,
        }
    }

    /// One side beats the other by a declared rule.
    pub(super) fn beaten(&mut self, three: Three<'a>, winner: Taken, rule: Rule) -> Taken {
        let earlier_wins = matches!(winner, Taken::Earlier);
        let ours_wins = earlier_wins == (self.earlier == Side::Ours);
        let action = if ours_wins {
            Action::Ours
        } else {
            Action::Theirs
        };
        if !is_active(Mutant::BeatsSilently) {
            self.decide(three, action, rule);
        }
        winner
    }

    /// The place waits to be settled: it shows the earlier side, or the edit that was deleted.
    pub(super) fn clash(&mut self, three: Three<'a>, rule: Rule) -> Taken {
        self.clashes += 1;
        self.decide(three, Action::Clash, rule);
        let shows_later = is_active(Mutant::ShowsLater) && three.later.is_some();
        match three.earlier {
            Some(_) if !shows_later => Taken::Earlier,
            _ => Taken::Later,
        }
    }

    /// Records what was decided about the place where the walk is.
    pub(super) fn decide(&mut self, three: Three<'a>, action: Action, rule: Rule) {
        let (ours, theirs) = match self.earlier {
            Side::Ours if !is_active(Mutant::SwapsSides) => (three.earlier, three.later),
            _ => (three.later, three.earlier),
        };
        let (path, keyed) = self.place();
        self.decisions.push(Decision {
            path,
            keyed,
            base: three.base.cloned(),
            ours: ours.cloned(),
            theirs: theirs.cloned(),
            action,
            rule,
        });
    }

    fn place(&self) -> (Pointer, KeyedPath) {
        let mut path = Pointer::root();
        let mut keyed = Vec::with_capacity(self.path.len());
        for step in &self.path {
            match step {
                Step::Member(key) => {
                    path.push(key.text());
                    keyed.push(KeyedStep::Member(key.text()));
                }
                Step::Item(index, key) => {
                    path.push(index.to_string());
                    keyed.push(match key {
                        Some((member, value)) => {
                            KeyedStep::Keyed((*member).into(), (*value).clone())
                        }
                        None => KeyedStep::Index(*index),
                    });
                }
            }
        }
        (path, KeyedPath::new(keyed))
    }

    /// Where the decisions are now, to come back to.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            decisions: self.decisions.len(),
            clashes: self.clashes,
        }
    }

    pub(super) fn has_clashed_since(&self, mark: Mark) -> bool {
        self.clashes > mark.clashes
    }

    /// Forgets what was decided since, because a place above clashes whole.
    pub(super) fn forget_since(&mut self, mark: Mark) {
        self.decisions.truncate(mark.decisions);
        self.clashes = mark.clashes;
    }
}

/// A place in the list of decisions.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    decisions: usize,
    clashes: usize,
}

/// An object as it is merged: nothing is built as long as it is one side's.
struct Built<'a> {
    earlier: &'a Object,
    later: &'a Object,
    not_earlier: bool,
    not_later: bool,
    /// The members so far, once they are of both sides.
    members: Vec<(Key, Json)>,
}

impl<'a> Built<'a> {
    fn new(earlier: &'a Object, later: &'a Object) -> Built<'a> {
        Built {
            earlier,
            later,
            not_earlier: false,
            not_later: false,
            members: Vec::new(),
        }
    }

    fn push(&mut self, key: &Key, three: Three<'_>, taken: Taken) {
        let was_one_side = !(self.not_earlier && self.not_later);
        let so_far = if self.not_earlier {
            self.later
        } else {
            self.earlier
        };
        self.not_earlier |= matches!(taken, Taken::Later | Taken::Built(_));
        self.not_later |= matches!(taken, Taken::Earlier | Taken::Built(_));
        if !(self.not_earlier && self.not_later) {
            return;
        }
        if was_one_side {
            let before = so_far.entries().take_while(|(other, _)| *other < key);
            let before = before.map(|(key, value)| (key.clone(), value.clone()));
            self.members.extend(before);
        }
        if let Some(value) = taken.into_value(three) {
            self.members.push((key.clone(), value));
        }
    }

    fn finish(self) -> Taken {
        match (self.not_earlier, self.not_later) {
            (false, false) => Taken::Either,
            (false, true) => Taken::Earlier,
            (true, false) => Taken::Later,
            (true, true) if is_active(Mutant::DropsMembers) => Taken::Later,
            (true, true) => {
                let members = self.members.into_iter();
                Taken::Built(Json::from(members.collect::<Object>()))
            }
        }
    }
}

/// Calls `each` for every key of up to three objects, in their order.
fn for_each_member<'a>(sides: [Option<&'a Object>; 3], mut each: impl FnMut(&'a Key, Three<'a>)) {
    let entries = |side: Option<&'a Object>| side.into_iter().flat_map(Object::entries).peekable();
    let [mut base, mut earlier, mut later] = sides.map(entries);
    loop {
        let heads = [base.peek(), earlier.peek(), later.peek()];
        let Some(&key) = heads.iter().flatten().map(|(key, _)| key).min() else {
            return;
        };
        let three = Three {
            base: base
                .next_if(|(other, _)| *other == key)
                .map(|(_, value)| value),
            earlier: earlier
                .next_if(|(other, _)| *other == key)
                .map(|(_, value)| value),
            later: later
                .next_if(|(other, _)| *other == key)
                .map(|(_, value)| value),
        };
        each(key, three);
    }
}

/// Returns true if both are the same value in the same text, as far as can be told without a
/// walk.
pub(super) fn is_identical(a: Option<&Json>, b: Option<&Json>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(Json::Object(a)), Some(Json::Object(b))) => a.ptr_eq(b),
        (Some(Json::Array(a)), Some(Json::Array(b))) => Arc::ptr_eq(a, b),
        (Some(Json::Number(a)), Some(Json::Number(b))) => a.is_written_as(b),
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}
