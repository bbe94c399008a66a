//! Conflicts of conflicts: what is left of several that follow each other at one place.
//!
//! A conflict is a sum with signs, as in jj's merge algebra: *theirs − base + ours*. Where one
//! side changes later, that is a conflict on top (*theirs − ours + ours2*), and what is added
//! once and taken away once cancels out.

use syncline_model::json::Json;

/// The three sides of a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contest {
    /// What both sides started from.
    pub base: Option<Json>,
    /// What the proposal holds.
    pub ours: Option<Json>,
    /// What the head holds.
    pub theirs: Option<Json>,
}

impl Contest {
    /// Returns the value on which nobody disagrees any more, if there is one: both sides agree,
    /// or one of them came back to the base.
    #[must_use]
    pub fn settled(&self) -> Option<&Option<Json>> {
        if self.ours == self.theirs || self.ours == self.base {
            return Some(&self.theirs);
        }
        (self.theirs == self.base).then_some(&self.ours)
    }
}

/// Returns the conflict that `first` and then `second` leave, if `second` grew out of one of the
/// sides of `first`.
///
/// (base, theirs, ours) followed by (ours, theirs, ours2) is (base, theirs, ours2), and likewise
/// for theirs. `None` means that they do not touch: both stay.
#[must_use]
pub fn chain(first: &Contest, second: &Contest) -> Option<Contest> {
    let stood_on = |side: &Option<Json>, other: &Option<Json>| {
        // What both sides of the second are, besides the side of the first that they show again.
        match (*side == second.base, &second.theirs, &second.ours) {
            (true, theirs, ours) if theirs == other => Some(ours.clone()),
            (true, theirs, ours) if ours == other => Some(theirs.clone()),
            _ => None,
        }
    };
    if let Some(ours) = stood_on(&first.ours, &first.theirs) {
        return Some(Contest {
            ours,
            ..first.clone()
        });
    }
    let theirs = stood_on(&first.theirs, &first.ours)?;
    Some(Contest {
        theirs,
        ..first.clone()
    })
}
