//! Items without keys: equal ones are one item, edited ones are found by what stayed the same.

use super::Matching;
use super::identify::{Ids, u32_of};
use super::similar::{Budget, Choice, is_similar};
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
    let mut new = New::default();
    let base_len = sides[0].len();
    let earlier_ids = new.ids(&classes, 1, &earlier, base_len, matching);
    let later_ids = new.ids(&classes, 2, &later, base_len, matching);
    let overlap = overlaps([&earlier, &later], [&earlier_ids, &later_ids], base_len);
    Ids {
        sides: [(0..u32_of(base_len)).collect(), earlier_ids, later_ids],
        count: base_len + new.count,
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
struct Against {
    /// For each item of the side, the item of the base that it is.
    from_base: Vec<Option<u32>>,
    /// For each item of the side, the last item before it that did not move.
    gap: Vec<u32>,
    /// What was replaced by what, where that is not one item edited.
    hunks: Vec<Hunk>,
}

/// Items of the base that were replaced by items of a side.
struct Hunk {
    removed: Vec<usize>,
    added: Vec<usize>,
}

fn against_base(
    sides: [&[Json]; 3],
    classes: &[Vec<u32>; 3],
    side: usize,
    matching: Matching<'_>,
) -> Against {
    let (base, own) = (&classes[0], &classes[side]);
    let anchors = matches(base, own);
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

/// New items of both sides by class, and what tells repeated ones apart.
#[derive(Default)]
struct New {
    known: HashMap<(u32, u32, u32), u32>,
    count: usize,
}

impl New {
    /// Numbers the items of one side: those of the base by their place there, new ones behind.
    fn ids(
        &mut self,
        classes: &[Vec<u32>; 3],
        side: usize,
        against: &Against,
        base_len: usize,
        matching: Matching<'_>,
    ) -> Vec<u32> {
        let mut seen: HashMap<(u32, u32), u32> = HashMap::new();
        let in_base: HashSet<u32> = classes[0].iter().copied().collect();
        let mut id = |j: usize| {
            if let Some(known) = against.from_base[j] {
                return known;
            }
            let class = classes[side][j];
            // What the base has too may be meant twice, so it is the same only at the same place.
            let gap = if in_base.contains(&class) {
                against.gap[j]
            } else {
                START
            };
            let occurrence = seen.entry((class, gap)).or_insert(0);
            let key = (class, gap, *occurrence);
            *occurrence += 1;
            let next = u32_of(base_len + self.count);
            if matching == Matching::Append || is_active(Mutant::DoublesItems) {
                self.count += 1;
                return next;
            }
            *self.known.entry(key).or_insert_with(|| {
                self.count += 1;
                next
            })
        };
        (0..classes[side].len()).map(&mut id).collect()
    }
}

/// What a hunk adds that the other side adds too, and what it alone adds.
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
            let is_shared = |&&j: &&usize| other.contains(&ids[side][j]);
            let shared = hunk.added.iter().filter(is_shared).count();
            let additions = Additions {
                shared: shared > 0,
                own: shared < hunk.added.len(),
            };
            hunk.removed.iter().for_each(|&i| at[i] = Some(additions));
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
