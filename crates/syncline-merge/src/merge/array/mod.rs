//! Arrays: which items belong together, in which order they stand, and what each becomes.
//!
//! `identify.rs` gives each item of the three arrays an id, by its key or by what it holds;
//! `order.rs` brings the ids of both sides into one order; then each item is merged like any
//! other place. Only arrays with keys have places for clashes inside; any other clashes whole.

mod added;
mod content;
mod identify;
mod order;
mod similar;

use super::decision::{Action, Rule};
use super::rules::{self, MergePolicy, Node};
use super::walk::{Step, Taken, Three, Walk};
use crate::mutants::{Mutant, is_active};
use identify::{Ids, by_best_key, by_content, by_key};
use order::ordered;
use syncline_model::json::Json;

/// How the items of an array are matched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Matching<'a> {
    /// By this member.
    Key(&'a str),
    /// By what they hold.
    Content,
    /// As a set: by what they hold, each once.
    Set,
    /// By what they hold, and equal additions count twice.
    Append,
}

impl<'a> Walk<'a> {
    /// Merges base, earlier and later, of which no two are equal.
    pub(super) fn array(
        &mut self,
        three: Three<'a>,
        sides: [&'a [Json]; 3],
        rules: &[&'a Node],
    ) -> Taken {
        if self.is_over(sides) {
            return self.clash(three, Rule::Bound);
        }
        if let Some((key, ids)) = by_best_key(sides) {
            return self.merge_items(three, sides, Matching::Key(key), rules, &ids);
        }
        // Without keys nobody can tell whether two arrays that were both new belong together.
        match three.base {
            Some(Json::Array(_)) => self.items(three, sides, Matching::Content, rules),
            _ => self.clash(three, Rule::Value),
        }
    }

    fn is_over(&self, sides: [&[Json]; 3]) -> bool {
        let is_long = sides.iter().any(|side| side.len() > self.limits.items_max);
        is_long && !is_active(Mutant::IgnoresItems)
    }

    /// Merges an array whose policy speaks of items; `None` if the policy does not fit.
    pub(super) fn declared_array(
        &mut self,
        three: Three<'a>,
        policy: &'a MergePolicy,
        rules: &[&'a Node],
    ) -> Option<Taken> {
        let side = |side: Option<&'a Json>| match side {
            Some(Json::Array(items)) => Some(items.as_slice()),
            _ => None,
        };
        let base = match three.base {
            None => &[],
            base => side(base)?,
        };
        let sides = [base, side(three.earlier)?, side(three.later)?];
        let matching = match policy {
            MergePolicy::Set => Matching::Set,
            MergePolicy::Append => Matching::Append,
            MergePolicy::Keyed(key) => Matching::Key(key),
            _ => return None,
        };
        Some(self.items(three, sides, matching, rules))
    }

    fn items(
        &mut self,
        three: Three<'a>,
        sides: [&'a [Json]; 3],
        matching: Matching<'a>,
        rules: &[&'a Node],
    ) -> Taken {
        let is_deep = self.array_levels >= self.limits.array_levels_max;
        if self.is_over(sides) || (is_deep && !matches!(matching, Matching::Key(_))) {
            return self.clash(three, Rule::Bound);
        }
        let ids = match matching {
            Matching::Key(key) => match by_key(sides, key) {
                Some(ids) => ids,
                // The declared member names no items here.
                None => return self.clash(three, Rule::Keyed),
            },
            other => by_content(sides, other),
        };
        if ids.overlap && !is_active(Mutant::KeepsOverlaps) {
            return self.clash(three, Rule::Overlap);
        }
        self.merge_items(three, sides, matching, rules, &ids)
    }

    fn merge_items(
        &mut self,
        three: Three<'a>,
        sides: [&'a [Json]; 3],
        matching: Matching<'a>,
        rules: &[&'a Node],
        ids: &Ids,
    ) -> Taken {
        let order = ordered(ids, sides, matching);
        let mark = self.mark();
        self.record_arrangement(three, matching, ids, order.beaten);

        let places = ids.places();
        let below = rules::at_item(rules);
        let is_keyed = matches!(matching, Matching::Key(_));
        self.array_levels += usize::from(!is_keyed);
        let mut built = Vec::with_capacity(order.ids.len());
        for id in order.ids {
            let mut item = places[id as usize].three(sides);
            if is_active(Mutant::NeverRemoves) && matching == Matching::Set {
                item.base = None;
            }
            if item.earlier.is_none() && item.later.is_none() {
                continue;
            }
            let key = match matching {
                Matching::Key(key) => named(item, key),
                _ => None,
            };
            let step = Step::Item(built.len(), key);
            let taken = match (item.base, item.earlier, item.later) {
                // New on both sides and equal by construction.
                (None, Some(_), Some(_)) if !is_keyed => Taken::Earlier,
                // Most items are so, and comparing two is faster than walking over three: it saves a
                // third of a small merge and half of one of 64 KB. The earlier side has no such
                // way: its texts of numbers stay where only those differ.
                _ if self.later_yields(item) => Taken::Earlier,
                _ => self.below(step, |walk| walk.node(item, &below)),
            };
            built.extend(taken.into_value(item));
        }
        self.array_levels -= usize::from(!is_keyed);
        let is_nameless = !is_keyed && !is_active(Mutant::ClashesByIndex);
        if is_nameless && self.has_clashed_since(mark) {
            // Places within such an array have no names that would last.
            self.forget_since(mark);
            return self.clash(three, Rule::Overlap);
        }
        Taken::Built(Json::from(built))
    }

    /// Records that both sides changed which items there are, or their order.
    fn record_arrangement(
        &mut self,
        three: Three<'a>,
        matching: Matching<'a>,
        ids: &Ids,
        is_order_beaten: bool,
    ) {
        let rule = match matching {
            Matching::Key(_) => Rule::Keyed,
            Matching::Content => Rule::Items,
            Matching::Set => Rule::Set,
            Matching::Append => Rule::Append,
        };
        if is_order_beaten {
            self.beaten(three, Taken::Earlier, Rule::Order);
        } else if ids.is_rearranged(1) && ids.is_rearranged(2) {
            self.decide(three, Action::Both, rule);
        }
    }
}

/// The key of an item, from whichever side has it.
fn named<'a>(item: Three<'a>, key: &'a str) -> Option<(&'a str, &'a Json)> {
    let any = item.earlier.or(item.later).or(item.base)?;
    Some((key, any.get(key)?))
}
