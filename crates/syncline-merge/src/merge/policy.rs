//! Declared rules: what two edits of one value make of it.

use super::decision::{Action, Rule};
use super::rules::{MergePolicy, Node};
use super::walk::{Taken, Three, Walk};
use crate::mutants::{Mutant, is_active};
use std::cmp::Ordering;
use syncline_model::json::{Json, Number};

impl<'a> Walk<'a> {
    /// Follows the policy of a place that both sides changed; `None` if it does not fit what is
    /// there, which is then merged as if nothing were declared.
    pub(super) fn declared(
        &mut self,
        three: Three<'a>,
        policy: &'a MergePolicy,
        rules: &[&'a Node],
    ) -> Option<Taken> {
        let counts_twice = matches!(policy, MergePolicy::Counter | MergePolicy::Append)
            && !is_active(Mutant::CountsOnce);
        if !counts_twice && three.earlier == three.later {
            return Some(self.agreed(three));
        }
        match policy {
            MergePolicy::Last if !is_active(Mutant::ConfusesLast) => {
                Some(self.beaten(three, Taken::Later, Rule::Last))
            }
            MergePolicy::Last | MergePolicy::First => {
                Some(self.beaten(three, Taken::Earlier, Rule::First))
            }
            MergePolicy::Atomic if is_active(Mutant::SplitsAtoms) => None,
            MergePolicy::Atomic => Some(self.whole(three, Rule::Atomic)),
            MergePolicy::Counter => self.counter(three),
            MergePolicy::Max => self.extreme(three, Rule::Max, Ordering::Greater),
            MergePolicy::Min => self.extreme(three, Rule::Min, Ordering::Less),
            MergePolicy::Text => self.declared_text(three),
            MergePolicy::Append => match self.appended(three) {
                Some(taken) => Some(taken),
                None => self.declared_array(three, policy, rules),
            },
            MergePolicy::Set | MergePolicy::Keyed(_) => self.declared_array(three, policy, rules),
        }
    }

    /// Adds both sides' deltas; a counter that both sides began starts from nothing.
    fn counter(&mut self, three: Three<'a>) -> Option<Taken> {
        let zero = Number::from(0);
        let base = match three.base {
            None => &zero,
            Some(base) => base.as_number()?,
        };
        let earlier = three.earlier?.as_number()?;
        let later = three.later?.as_number()?;
        let sum = later
            .checked_sub(base)
            .and_then(|delta| earlier.checked_add(&delta));
        Some(match sum {
            Some(sum) => {
                self.decide(three, Action::Both, Rule::Counter);
                Taken::Built(Json::from(sum))
            }
            None => self.clash(three, Rule::Bound),
        })
    }

    /// Takes the greater or the smaller of two numbers or two texts.
    fn extreme(&mut self, three: Three<'a>, rule: Rule, wins: Ordering) -> Option<Taken> {
        let order = match (three.later?, three.earlier?) {
            (Json::Number(later), Json::Number(earlier)) => later.cmp(earlier),
            (Json::String(later), Json::String(earlier)) => later.cmp(earlier),
            _ => return None,
        };
        let wins = if is_active(Mutant::TakesLess) {
            wins.reverse()
        } else {
            wins
        };
        let winner = if order == wins {
            Taken::Later
        } else {
            Taken::Earlier
        };
        Some(self.beaten(three, winner, rule))
    }

    fn declared_text(&mut self, three: Three<'a>) -> Option<Taken> {
        let base = match three.base {
            None => "",
            Some(base) => base.as_str()?,
        };
        let (earlier, later) = (three.earlier?.as_str()?, three.later?.as_str()?);
        Some(self.string(three, [base, earlier, later], true))
    }

    /// Joins the tails of two texts that only grew.
    fn appended(&mut self, three: Three<'a>) -> Option<Taken> {
        let base = match three.base {
            None => "",
            Some(base) => base.as_str()?,
        };
        let (earlier, later) = (three.earlier?.as_str()?, three.later?.as_str()?);
        let tail = later.strip_prefix(base)?;
        let earlier_tail = earlier.strip_prefix(base)?;
        self.decide(three, Action::Both, Rule::Append);
        let joined = match is_active(Mutant::AppendsBefore) {
            true => format!("{later}{earlier_tail}"),
            false => format!("{earlier}{tail}"),
        };
        Some(Taken::Built(Json::from(joined)))
    }
}
