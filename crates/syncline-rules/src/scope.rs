//! What a scope holds, judged before and after each change.

use syncline_api::{Scope, ScopeTerm};
use syncline_model::change::{Change, ChangeType, Place};
use syncline_model::ids::Address;
use syncline_model::json::Json;

/// What a change means to a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The context is outside, before and after.
    Outside,
    /// The context was and is inside, came to be inside, or was deleted inside.
    Inside,
    /// The context was there, outside, and came in.
    Enters,
    /// The context was inside, and went out.
    Leaves,
}

/// Says whether a context that stands at `place` lies in the scope.
///
/// `inherited` ancestors are those of the context that the term names, which the caller resolves:
/// they belong to another context than the one that is judged.
pub fn place_in(
    scope: &Scope,
    inherited: &[Vec<Address>],
    address: &Address,
    place: &Place,
) -> bool {
    let mut lines = inherited.iter();
    scope.0.iter().any(|term| match term {
        ScopeTerm::Workspace => true,
        ScopeTerm::Context(context) => context == address,
        ScopeTerm::Subtree(root) => root == address || place.ancestors.contains(root),
        ScopeTerm::Inherited(context) => {
            let line = lines.next().map_or(&[][..], Vec::as_slice);
            context == address || line.contains(address)
        }
        ScopeTerm::Label(labels) => labels.iter().all(|(key, value)| {
            place.labels.get(key).and_then(Json::as_str) == Some(value.as_str())
        }),
    })
}

/// Says whether a scope holds whatever lies below a context that stands at `place`.
///
/// Only terms on where a context stands tell: addresses, labels and lines of ancestors are each
/// context's own, so what they hold below it they hold wherever it stands.
pub fn holds_below(scope: &Scope, context: &Address, place: &Place) -> bool {
    scope.0.iter().any(|term| match term {
        ScopeTerm::Workspace => true,
        ScopeTerm::Subtree(root) => root == context || place.ancestors.contains(root),
        ScopeTerm::Context(_) | ScopeTerm::Inherited(_) | ScopeTerm::Label(_) => false,
    })
}

/// Says whether a change takes what lies below its context into the scope or out of it.
///
/// What else may hold some of that is not asked: the change does not know what lies there.
pub fn moves_below(scope: &Scope, change: &Change) -> bool {
    let holds = |place| holds_below(scope, &change.context, place);
    // Only `main` says where a context stands for those below it.
    change.branch.is_none()
        && change
            .before
            .as_ref()
            .is_some_and(|before| holds(before) != holds(&change.place))
}

/// Judges a change: was its context in the scope before, and is it after?
pub fn judge(scope: &Scope, inherited: &[Vec<Address>], change: &Change) -> Verdict {
    let after = place_in(scope, inherited, &change.context, &change.place);
    let before = match (&change.before, change.kind) {
        // Where there was nothing before, there was nothing outside either: it comes to be.
        (_, ChangeType::Create | ChangeType::Restore) => after,
        (Some(place), _) => place_in(scope, inherited, &change.context, place),
        (None, _) => after,
    };
    match (before, after) {
        (false, false) => Verdict::Outside,
        (true, true) => Verdict::Inside,
        (false, true) => Verdict::Enters,
        (true, false) => Verdict::Leaves,
    }
}
