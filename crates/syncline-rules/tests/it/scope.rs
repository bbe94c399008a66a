//! What a move does to what lies below, against a tree that is looked at before and after.

use std::collections::BTreeSet;

use proptest::prelude::*;
use syncline_api::{Scope, ScopeTerm};
use syncline_model::change::{Change, Place};
use syncline_model::ids::{Address, BranchName};
use syncline_model::json::{Json, Object};
use syncline_model::proposal::Operation;
use syncline_rules::{Decision, Rules, decide, moves_below, place_in};

use crate::{head, json, now, proposal, view};

/// A tree of contexts, each with the number of its parent; the first stands at the top.
#[derive(Clone, Debug)]
struct Tree {
    parents: Vec<usize>,
    labelled: Vec<bool>,
}

fn named(number: usize) -> Address {
    Address::parse(&format!("note/n{number}")).unwrap()
}

fn labels() -> Object {
    [("a".to_owned(), Json::from("x"))].into_iter().collect()
}

impl Tree {
    fn above(&self, context: usize) -> Vec<usize> {
        let mut above = Vec::new();
        let mut at = context;
        while at > 0 {
            at = self.parents[at];
            above.push(at);
        }
        above
    }

    fn place(&self, context: usize) -> Place {
        Place {
            ancestors: self.above(context).into_iter().map(named).collect(),
            labels: match self.labelled[context] {
                true => labels(),
                false => Object::new(),
            },
            ..Place::default()
        }
    }

    fn below(&self, context: usize) -> Vec<usize> {
        let all = 0..self.parents.len();
        all.filter(|other| self.above(*other).contains(&context))
            .collect()
    }

    /// Returns which of what lies below a context a scope holds.
    fn held_below(
        &self,
        context: usize,
        scope: &Scope,
        inherited: &[Vec<Address>],
    ) -> BTreeSet<usize> {
        let below = self.below(context).into_iter();
        below
            .filter(|other| place_in(scope, inherited, &named(*other), &self.place(*other)))
            .collect()
    }
}

const CONTEXTS: usize = 9;

fn tree() -> impl Strategy<Value = Tree> {
    let parents = (1..CONTEXTS)
        .map(|number| (0..number).boxed())
        .collect::<Vec<_>>();
    let labelled = prop::collection::vec(any::<bool>(), CONTEXTS);
    (parents, labelled).prop_map(|(mut parents, labelled)| {
        parents.insert(0, 0);
        Tree { parents, labelled }
    })
}

fn term() -> impl Strategy<Value = ScopeTerm> {
    let context = || (0..CONTEXTS).prop_map(named);
    prop_oneof![
        4 => context().prop_map(ScopeTerm::Subtree),
        2 => context().prop_map(ScopeTerm::Context),
        2 => context().prop_map(ScopeTerm::Inherited),
        2 => Just(ScopeTerm::Label([("a".to_owned(), "x".to_owned())].into())),
        1 => Just(ScopeTerm::Workspace),
    ]
}

/// Returns the change of a context that moved from one place to another.
fn moved(context: usize, before: Place, after: Place) -> Change {
    let view = view(Some(head("{}", 1, false)));
    let write = proposal(Operation::Merge, json(r#"{"title":"t"}"#));
    let Decision::Commit(steps) = decide(&view, &write, &Rules::default(), now()) else {
        panic!("a title can be set");
    };
    Change {
        context: named(context),
        before: Some(before).filter(|before| *before != after),
        place: after,
        ..steps[0].change.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn p5_what_lies_below_a_move_is_told_where_it_may_come_or_go(
        before in tree(),
        terms in prop::collection::vec(term(), 1..5),
        context in 1..CONTEXTS,
        to in 0..CONTEXTS,
        label in any::<bool>(),
    ) {
        let scope = Scope(terms);
        prop_assume!(to != context && !before.below(context).contains(&to));
        let mut after = before.clone();
        after.parents[context] = to;
        after.labelled[context] = label;
        // A line of ancestors that is not what it was is told by itself.
        let lines: Vec<Vec<Address>> = (0..scope.0.len()).map(|_| vec![named(to)]).collect();
        let change = moved(context, before.place(context), after.place(context));
        let held = |tree: &Tree| tree.held_below(context, &scope, &lines);
        let told = moves_below(&scope, &change);
        if held(&before) != held(&after) {
            prop_assert!(told, "{scope:?}");
        }
        // A child that nothing but its place brings in comes or goes where it is told.
        let child = Address::parse("note/child").unwrap();
        let holds = |tree: &Tree| {
            let ancestors = [context].into_iter().chain(tree.above(context)).map(named);
            let place = Place { ancestors: ancestors.collect(), ..Place::default() };
            place_in(&scope, &lines, &child, &place)
        };
        prop_assert_eq!(told, holds(&before) != holds(&after));
        let branch = BranchName::parse("try").ok();
        let on_branch = Change { branch, ..change };
        prop_assert!(!moves_below(&scope, &on_branch));
    }
}
