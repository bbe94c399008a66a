//! Items without keys: equal ones are one item, edited ones are found by what stayed the same.

use super::identify::{Ids, u32_of};
use super::similar::{Budget, Choice, is_similar};
use super::{Matching, added};
use crate::diff::matches;
use crate::mutants::{Mutant, is_active};
use std::collections::{HashMap, HashSet, VecDeque};
use syncline_model::json::Json;

/// Only so many items between two that stayed are compared with each other.
const SIMILAR_MAX: usize = 32;

/// Stands for the place before all items.
const START: u32 = u32::MAX;

/// Matches the items of three arrays that begin and end differently.
pub(super) fn identify(sides: [&[Json]; 3], matching: Matching<'_>) -> Ids {
    let classes = classes(sides);
    if matching == Matching::Set {
        return by_occurrence(&classes);
    }
    let earlier = against_base(sides, &classes, 1, matching);
    let later = against_base(sides, &classes, 2, matching);
    let is_one = matching != Matching::Append && !is_active(Mutant::DoublesItems);
    let shared = match is_one {
        true => added::shared(&classes, &earlier, &later),
        false => vec![None; sides[2].len()],
    };
    let base_len = sides[0].len();
    let mut count = base_len;
    let mut id = |known: Option<u32>| {
        known.unwrap_or_else(|| {
            count += 1;
            u32_of(count - 1)
        })
    };
    let earlier_ids: Vec<u32> = earlier.from_base.iter().map(|known| id(*known)).collect();
    let later_ids = later.from_base.iter().zip(shared);
    let later_ids = later_ids.map(|(known, shared)| {
        let shared = shared.map(|item| earlier_ids[item]);
        id(known.or(shared))
    });
    let later_ids: Vec<u32> = later_ids.collect();
    let overlap = overlaps([&earlier, &later], [&earlier_ids, &later_ids], base_len);
    Ids {
        sides: [(0..u32_of(base_len)).collect(), earlier_ids, later_ids],
        count,
        overlap,
    }
}

/// Numbers items so that equal ones have equal numbers, on all sides.
fn classes(sides: [&[Json]; 3]) -> [Vec<u32>; 3] {
    let items = sides.iter().map(|side| side.len()).sum();
    let mut known: HashMap<&Json, u32> = HashMap::with_capacity(items);
    sides.map(|side| {
        let class = |item| {
            let next = u32_of(known.len());
            *known.entry(item).or_insert(next)
        };
        side.iter().map(class).collect()
    })
}

/// The n-th occurrence of a class is one item on all sides.
fn by_occurrence(classes: &[Vec<u32>; 3]) -> Ids {
    let mut known: HashMap<(u32, u32), u32> = HashMap::new();
    let mut sides: [Vec<u32>; 3] = Default::default();
    for (classes, ids) in classes.iter().zip(&mut sides) {
        let mut seen: HashMap<u32, u32> = HashMap::new();
        for &class in classes {
            let occurrence = seen.entry(class).or_insert(0);
            let next = u32_of(known.len());
            ids.push(*known.entry((class, *occurrence)).or_insert(next));
            *occurrence += 1;
        }
    }
    Ids {
        sides,
        count: known.len(),
        overlap: false,
    }
}

/// How a side came from the base.
pub(super) struct Against {
    /// For each item of the side, the item of the base that it is.
    pub(super) from_base: Vec<Option<u32>>,
    /// For each item of the side, the last item before it that did not move.
    pub(super) gap: Vec<u32>,
    /// What was replaced by what, where that is not one item edited.
    pub(super) hunks: Vec<Hunk>,
}

impl Against {
    /// Says for each item of the side whether it is new and replaced nothing.
    pub(super) fn inserted(&self) -> Vec<bool> {
        let mut inserted: Vec<bool> = self.from_base.iter().map(Option::is_none).collect();
        let replaced = self.hunks.iter().flat_map(|hunk| &hunk.added);
        replaced.for_each(|&item| inserted[item] = false);
        inserted
    }
}

/// Items of the base that were replaced by items of a side.
pub(super) struct Hunk {
    pub(super) removed: Vec<usize>,
    pub(super) added: Vec<usize>,
}

impl Hunk {
    /// Says whether each item was replaced by the one at its place.
    pub(super) fn is_one_by_one(&self) -> bool {
        self.removed.len() == self.added.len()
    }
}

fn against_base(
    sides: [&[Json]; 3],
    classes: &[Vec<u32>; 3],
    side: usize,
    matching: Matching<'_>,
) -> Against {
    let (base, own) = (&classes[0], &classes[side]);
    let anchors = staying(base, own);
    let mut from_base = vec![None; own.len()];
    let mut is_kept = vec![false; base.len()];
    for &(i, j) in &anchors {
        from_base[j] = Some(u32_of(i));
        is_kept[i] = true;
    }
    if matching != Matching::Append && !is_active(Mutant::ForgetsMoves) {
        for (i, j) in moved([base, own], &is_kept, &from_base) {
            from_base[j] = Some(u32_of(i));
            is_kept[i] = true;
        }
    }

    let mut against = Against {
        from_base,
        gap: Vec::with_capacity(own.len()),
        hunks: Vec::new(),
    };
    let ends = anchors.into_iter().chain([(base.len(), own.len())]);
    let mut budget = Budget::new();
    let (mut i, mut j, mut gap) = (0, 0, START);
    for (anchor_i, anchor_j) in ends {
        let mut removed: Vec<usize> = (i..anchor_i).filter(|&i| !is_kept[i]).collect();
        let is_added = |j: &usize| against.from_base[*j].is_none();
        let mut added: Vec<usize> = (j..anchor_j).filter(is_added).collect();
        for (old, new) in edited(
            [sides[0], sides[side]],
            &mut removed,
            &mut added,
            &mut budget,
        ) {
            against.from_base[new] = Some(u32_of(old));
        }
        if !removed.is_empty() && !added.is_empty() {
            against.hunks.push(Hunk { removed, added });
        }
        against.gap.resize(anchor_j, gap);
        if anchor_j < own.len() {
            gap = u32_of(anchor_i);
            against.gap.push(gap);
        }
        (i, j) = (anchor_i + 1, anchor_j + 1);
    }
    against
}

/// Pairs items that stayed. Ends that are equal stay whatever lies between: else an item that was
/// replaced by what stands beside it, or by what only one side has, would be taken for two edits.
fn staying(base: &[u32], own: &[u32]) -> Vec<(usize, usize)> {
    let common = |pairs: &mut dyn Iterator<Item = (&u32, &u32)>| {
        let equal = pairs.take_while(|(old, new)| old == new);
        equal.count()
    };
    let tail = common(&mut base.iter().rev().zip(own.iter().rev()));
    let (base_end, own_end) = (base.len() - tail, own.len() - tail);
    let head = common(&mut base[..base_end].iter().zip(&own[..own_end]));
    let between = matches(&base[head..base_end], &own[head..own_end]);
    let between = between.into_iter().map(|(i, j)| (head + i, head + j));
    let tail = (0..tail).map(|n| (base_end + n, own_end + n));
    let head = (0..head).map(|n| (n, n));
    head.chain(between).chain(tail).collect()
}

/// Pairs equal items that are left on both sides, wherever they are.
fn moved(
    [base, own]: [&[u32]; 2],
    is_kept: &[bool],
    from_base: &[Option<u32>],
) -> Vec<(usize, usize)> {
    let mut left: HashMap<u32, VecDeque<usize>> = HashMap::new();
    for (i, &class) in base.iter().enumerate().filter(|(i, _)| !is_kept[*i]) {
        left.entry(class).or_default().push_back(i);
    }
    let unmatched = own
        .iter()
        .enumerate()
        .filter(|(j, _)| from_base[*j].is_none());
    unmatched
        .filter_map(|(j, class)| Some((left.get_mut(class)?.pop_front()?, j)))
        .collect()
}

/// Takes the pairs of items out that are each other's only counterpart.
fn edited(
    [base, own]: [&[Json]; 2],
    removed: &mut Vec<usize>,
    added: &mut Vec<usize>,
    budget: &mut Budget,
) -> Vec<(usize, usize)> {
    if removed.len() > SIMILAR_MAX || added.len() > SIMILAR_MAX {
        return Vec::new();
    }
    let choice = match (removed.len(), added.len()) {
        (1, 1) => Choice::Only,
        _ => Choice::Several,
    };
    let mut similar = Vec::new();
    for &i in removed.iter() {
        for &j in added.iter() {
            if is_similar(&base[i], &own[j], choice, budget) {
                similar.push((i, j));
            }
        }
    }
    let is_only = |&(i, j): &(usize, usize)| {
        let touching = similar.iter().filter(|(old, new)| *old == i || *new == j);
        touching.count() == 1
    };
    let pairs: Vec<(usize, usize)> = similar.iter().copied().filter(is_only).collect();
    removed.retain(|i| !pairs.iter().any(|(old, _)| old == i));
    added.retain(|j| !pairs.iter().any(|(_, new)| new == j));
    pairs
}

/// What stands for an item that was replaced: what the other side adds too, and what it does not.
#[derive(Clone, Copy, Default)]
struct Additions {
    shared: bool,
    own: bool,
}

/// Returns true if both sides replaced the same items, each by something else.
fn overlaps(sides: [&Against; 2], ids: [&[u32]; 2], base_len: usize) -> bool {
    let additions = |side: usize| {
        let other: HashSet<u32> = ids[1 - side].iter().copied().collect();
        let mut at = vec![None; base_len];
        for hunk in &sides[side].hunks {
            let additions = |added: &[usize]| {
                let is_shared = |&&j: &&usize| other.contains(&ids[side][j]);
                let shared = added.iter().filter(is_shared).count();
                Some(Additions {
                    shared: shared > 0,
                    own: shared < added.len(),
                })
            };
            let all = additions(&hunk.added);
            for (n, &i) in hunk.removed.iter().enumerate() {
                at[i] = match hunk.is_one_by_one() {
                    true => additions(&hunk.added[n..=n]),
                    false => all,
                };
            }
        }
        at
    };
    let removed = |side: usize| {
        let mut is_removed = vec![true; base_len];
        for id in sides[side].from_base.iter().flatten() {
            is_removed[*id as usize] = false;
        }
        is_removed
    };
    let (earlier, later) = (additions(0), additions(1));
    let (removed_earlier, removed_later) = (removed(0), removed(1));
    (0..base_len).any(|i| {
        if !removed_earlier[i] || !removed_later[i] {
            return false;
        }
        let (a, b) = (earlier[i].unwrap_or_default(), later[i].unwrap_or_default());
        let grew = a.shared && b.shared && !(a.own && b.own);
        (a.own || b.own) && !grew
    })
}
