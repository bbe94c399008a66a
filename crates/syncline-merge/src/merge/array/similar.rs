//! Whether one item may be an edit of another: by how much of it stayed.

use crate::diff::identity;
use syncline_model::json::Json;

/// Bounds the comparisons of one array: so many values are looked at, some ten milliseconds.
const STEPS_MAX: usize = 1 << 20;

/// What is left of the steps for one array.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Budget {
        Budget(STEPS_MAX)
    }

    fn spend(&mut self) -> Option<()> {
        self.0 = self.0.checked_sub(1)?;
        Some(())
    }
}

/// How sure one must be that two items are one.
#[derive(Clone, Copy)]
pub(super) enum Choice {
    /// There is no other item at that place.
    Only,
    /// Others are there too.
    Several,
}

/// Returns true if two containers have the same name, or enough of their leaves in common.
pub(super) fn is_similar(a: &Json, b: &Json, choice: Choice, budget: &mut Budget) -> bool {
    if !matches!(
        (a, b),
        (Json::Object(_), Json::Object(_)) | (Json::Array(_), Json::Array(_))
    ) {
        return false;
    }
    if identity(a).is_some_and(|name| identity(b) == Some(name)) {
        return true;
    }
    let mut shares = || {
        Some((
            common(a, b, budget)?,
            leaves(a, budget)? + leaves(b, budget)?,
        ))
    };
    let Some((common, all)) = shares() else {
        return false;
    };
    match choice {
        Choice::Only => common * 8 >= all,
        Choice::Several => common * 4 >= all,
    }
}

/// How many leaves two values have in common, by key and from both ends of arrays; `None` if that
/// takes too long.
fn common(a: &Json, b: &Json, budget: &mut Budget) -> Option<usize> {
    budget.spend()?;
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => {
            let mut found = 0;
            for (key, value) in a.iter() {
                budget.spend()?;
                if let Some(other) = b.get(key) {
                    found += common(value, other, budget)?;
                }
            }
            Some(found)
        }
        (Json::Array(a), Json::Array(b)) => {
            let head = equal_leaves(a.iter().zip(b.iter()), budget)?;
            let shorter = a.len().min(b.len());
            let (rest, tail) = (shorter - head.items, a.iter().rev().zip(b.iter().rev()));
            Some(head.leaves + equal_leaves(tail.take(rest), budget)?.leaves)
        }
        _ => Some(usize::from(a == b)),
    }
}

/// A run of equal items.
struct Run {
    items: usize,
    leaves: usize,
}

fn equal_leaves<'a>(
    pairs: impl Iterator<Item = (&'a Json, &'a Json)>,
    budget: &mut Budget,
) -> Option<Run> {
    let mut run = Run {
        items: 0,
        leaves: 0,
    };
    for (a, b) in pairs {
        let leaves = leaves(a, budget)?;
        if common(a, b, budget)? < leaves {
            break;
        }
        run.items += 1;
        run.leaves += leaves;
    }
    Some(run)
}

fn leaves(value: &Json, budget: &mut Budget) -> Option<usize> {
    budget.spend()?;
    match value {
        Json::Object(object) => object
            .values()
            .try_fold(0, |sum, value| Some(sum + leaves(value, budget)?)),
        Json::Array(items) => items
            .iter()
            .try_fold(0, |sum, item| Some(sum + leaves(item, budget)?)),
        _ => Some(1),
    }
}
