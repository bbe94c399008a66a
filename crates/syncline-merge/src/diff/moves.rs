//! Items that moved within an array: one `move` is shorter than taking an item out and putting its
//! whole value in again, and tells a reader what happened.
//!
//! An array in which something moved is written in three steps: what goes is removed; what moved
//! is moved, so that all that stays stands in its new order; then the new array is walked from the
//! start, adding what is new and editing what differs.

use super::align::Edit;
use super::identity::identity;
use syncline_model::json::Json;

/// More items in another place than this are no move that a person would name.
const MOVES_MAX: usize = 32;

/// What becomes of the items of an array in which some moved.
pub(super) struct Moves {
    /// For each item of the new array, the item of the old one that it is.
    pub(super) from: Vec<Option<usize>>,
    /// Items of the old array that are gone.
    pub(super) removed: Vec<usize>,
    /// Moves as indexes: from where to where, each after those before it and after the removals.
    pub(super) steps: Vec<(usize, usize)>,
    /// For each item of the new array, whether it is known to be equal to the old one.
    pub(super) is_equal: Vec<bool>,
}

/// Finds the items that an edit script removes at one place and adds at another.
pub(super) fn find(from: &[Json], to: &[Json], edits: &[Edit]) -> Option<Moves> {
    let mut moves = Moves {
        from: vec![None; to.len()],
        removed: Vec::new(),
        steps: Vec::new(),
        is_equal: vec![false; to.len()],
    };
    let mut added = Vec::new();
    let (mut i, mut j) = (0, 0);
    for edit in edits {
        match *edit {
            Edit::Keep(run) | Edit::Pair(run) => {
                for n in 0..run {
                    moves.from[j + n] = Some(i + n);
                    moves.is_equal[j + n] = matches!(edit, Edit::Keep(_));
                }
                (i, j) = (i + run, j + run);
            }
            Edit::Remove(run) => {
                moves.removed.extend(i..i + run);
                i += run;
            }
            Edit::Add(run) => {
                added.extend(j..j + run);
                j += run;
            }
        }
    }
    if moves.removed.is_empty()
        || added.is_empty()
        || moves.removed.len().max(added.len()) > MOVES_MAX
    {
        return None;
    }
    let moved: Vec<(usize, usize)> = pairs(from, to, &moves.removed, &added);
    for &(i, j) in &moved {
        moves.from[j] = Some(i);
    }
    moves
        .removed
        .retain(|i| !moved.iter().any(|(old, _)| old == i));
    moves.steps = steps(from.len(), &moves, &moved);
    (!moved.is_empty()).then_some(moves)
}

/// Pairs of items that have the same name, each once.
fn pairs(from: &[Json], to: &[Json], removed: &[usize], added: &[usize]) -> Vec<(usize, usize)> {
    let pair = |&j: &usize| {
        let name = identity(&to[j])?;
        only(to, added, name)?;
        Some((only(from, removed, name)?, j))
    };
    added.iter().filter_map(pair).collect()
}

/// The only one of some items that has this name.
fn only(items: &[Json], places: &[usize], name: (&str, &Json)) -> Option<usize> {
    let is_it = |place: &&usize| identity(&items[**place]) == Some(name);
    let mut found = places.iter().filter(is_it);
    let first = found.next().copied()?;
    found.next().is_none().then_some(first)
}

/// Brings what stays into its new order, item by item from the start.
fn steps(len: usize, moves: &Moves, moved: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut new_place = vec![None; len];
    for (j, i) in moves.from.iter().enumerate() {
        if let Some(i) = *i {
            new_place[i] = Some(j);
        }
    }
    // The new places of what stays, in the order in which it stands now.
    let mut current: Vec<usize> = new_place.into_iter().flatten().collect();
    let mut steps = Vec::new();
    for &(_, j) in moved {
        let Some(at) = current.iter().position(|&other| other == j) else {
            continue;
        };
        current.remove(at);
        let before = (0..j).rev().find(|&before| moves.from[before].is_some());
        let to = before.and_then(|before| current.iter().position(|&other| other == before));
        let to = to.map_or(0, |before| before + 1);
        current.insert(to, j);
        if at != to {
            steps.push((at, to));
        }
    }
    steps
}
