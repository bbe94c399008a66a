//! The order of merged items: the earlier side's, with what the later side moved or added.

use super::Matching;
use super::identify::{Ids, u32_of};
use crate::diff::longest_rising;
use crate::mutants::{Mutant, is_active};
use std::cmp::Ordering;
use syncline_model::json::{Json, Number};

/// Fewer items are sorted by chance.
const SORTED_MIN: usize = 3;

/// Nothing is at this place.
const NOWHERE: u32 = u32::MAX;

/// The items of both sides, those that were deleted included, in one order.
pub(super) struct Order {
    pub(super) ids: Vec<u32>,
    /// Both sides moved the same items, and the later side's move was beaten.
    pub(super) beaten: bool,
}

/// Brings the items of both sides into one order.
///
/// An item that only the later side moved comes behind the item that it follows there; one that it
/// added comes after what the earlier side added at that place.
pub(super) fn ordered(ids: &Ids, sides: [&[Json]; 3], matching: Matching<'_>) -> Order {
    // A set has no order that anybody could change.
    let moved = |side| match matching {
        Matching::Set => vec![false; ids.count],
        _ => moved(ids, side),
    };
    let (moved_earlier, moved_later) = (moved(1), moved(2));
    let stays = |&id: &u32| {
        let id = id as usize;
        !moved_later[id] || moved_earlier[id] || is_active(Mutant::IgnoresMoves)
    };
    let mut kept = with_deleted(ids, 1, &moved_earlier);
    kept.retain(stays);
    let later = with_deleted(ids, 2, &moved_later);

    let mut is_in_later = vec![false; ids.count];
    later.iter().for_each(|&id| is_in_later[id as usize] = true);
    let mut place = vec![NOWHERE; ids.count];
    for (at, &id) in (0..).zip(&kept) {
        place[id as usize] = at;
    }
    // For each place, the next whose item the later side has too.
    let mut next_common = vec![kept.len(); kept.len() + 1];
    for at in (0..kept.len()).rev() {
        let is_common = is_in_later[kept[at] as usize];
        let is_common = is_common || is_active(Mutant::AddsBefore);
        next_common[at] = if is_common { at } else { next_common[at + 1] };
    }
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); kept.len() + 1];
    // Right behind the item that was last met, and behind what the earlier side added there.
    let (mut behind, mut after_new) = (0, next_common[0]);
    for id in later {
        match place[id as usize] {
            NOWHERE => {
                let here = if moved_later[id as usize] {
                    behind
                } else {
                    after_new
                };
                before[here].push(id);
                (behind, after_new) = (here, here);
            }
            _ if is_active(Mutant::AddsAtEnd) => (behind, after_new) = (kept.len(), kept.len()),
            at => {
                behind = at as usize + 1;
                after_new = next_common[behind];
            }
        }
    }

    let mut order = Vec::with_capacity(ids.count);
    for (at, new) in before.into_iter().enumerate() {
        order.extend(new);
        order.extend(kept.get(at));
    }
    let may_sort = matching != Matching::Append && !is_active(Mutant::Unsorts);
    if may_sort && ids.is_rearranged(1) && ids.is_rearranged(2) {
        sort_like_sides(&mut order, ids, sides, matching);
    }
    Order {
        ids: order,
        beaten: is_beaten(ids, &moved_earlier, &moved_later),
    }
}

/// A side's items, with those that it deleted behind the last one before them that did not move:
/// the other side may have put something next to them.
fn with_deleted(ids: &Ids, side: usize, moved: &[bool]) -> Vec<u32> {
    let base_len = ids.sides[0].len();
    let is_there = present(ids, side);
    let stays = |id: usize| is_there[id] && !moved[id];
    // What was deleted between one item that stays and the next.
    let deleted_behind = |first: usize| {
        let until_next = (first..base_len).take_while(move |&id| !stays(id));
        until_next.filter(|&id| !is_there[id]).map(u32_of)
    };
    let mut all: Vec<u32> = deleted_behind(0).collect();
    for &id in &ids.sides[side] {
        all.push(id);
        let at = id as usize;
        if at < base_len && !moved[at] {
            all.extend(deleted_behind(at + 1));
        }
    }
    all
}

/// Which items of the base a side moved: those outside the longest run that kept its order.
fn moved(ids: &Ids, side: usize) -> Vec<bool> {
    let base_len = ids.sides[0].len();
    let mut moved = vec![false; ids.count];
    let old = ids.sides[side].iter().map(|&id| id as usize);
    let old: Vec<(usize, usize)> = old.filter(|&id| id < base_len).enumerate().collect();
    if old.is_sorted_by_key(|&(_, id)| id) {
        return moved;
    }
    old.iter().for_each(|&(_, id)| moved[id] = true);
    longest_rising(&old)
        .iter()
        .for_each(|&(_, id)| moved[id] = false);
    moved
}

fn present(ids: &Ids, side: usize) -> Vec<bool> {
    let mut present = vec![false; ids.count];
    ids.sides[side]
        .iter()
        .for_each(|&id| present[id as usize] = true);
    present
}

fn is_beaten(ids: &Ids, moved_earlier: &[bool], moved_later: &[bool]) -> bool {
    if !moved_earlier.iter().zip(moved_later).any(|(a, b)| *a && *b) {
        return false;
    }
    let (in_earlier, in_later) = (present(ids, 1), present(ids, 2));
    let base_len = ids.sides[0].len();
    let is_common = |&&id: &&u32| {
        let id = id as usize;
        id < base_len && in_earlier[id] && in_later[id]
    };
    let common = |side: usize| ids.sides[side].iter().filter(is_common);
    !common(1).eq(common(2))
}

/// Sorts the merged items if all three arrays are sorted alike: then what both sides added at one
/// place is put in order too. A list of words that repeat, such as states, is sorted by chance.
fn sort_like_sides(order: &mut [u32], ids: &Ids, sides: [&[Json]; 3], matching: Matching<'_>) {
    if sides[0].len() < SORTED_MIN {
        return;
    }
    let value = |item: &'_ Json| -> Option<Sortable> {
        match matching {
            Matching::Key(key) => Sortable::of(item.get(key)?),
            _ => Sortable::of(item),
        }
    };
    let values = |side: &[Json]| side.iter().map(value).collect::<Option<Vec<Sortable>>>();
    let [Some(base), Some(earlier), Some(later)] = sides.map(values) else {
        return;
    };
    let sides = [base, earlier, later];
    let is_sorted = |compare: &&Compare| {
        sides
            .iter()
            .all(|side| side.is_sorted_by(|a, b| compare(a, b).is_some_and(Ordering::is_lt)))
    };
    let Some(compare) = COMPARES.iter().find(is_sorted) else {
        return;
    };
    let mut by_id = vec![None; ids.count];
    for (side, ids) in sides.iter().zip(&ids.sides) {
        for (value, &id) in side.iter().zip(ids) {
            by_id[id as usize] = Some(value);
        }
    }
    order.sort_by(|&a, &b| match (by_id[a as usize], by_id[b as usize]) {
        (Some(a), Some(b)) => compare(a, b).unwrap_or(Ordering::Equal),
        _ => Ordering::Equal,
    });
}

/// What people sort by.
enum Sortable {
    Number(Number),
    Text { text: String, lower: String },
}

impl Sortable {
    fn of(value: &Json) -> Option<Sortable> {
        match value {
            Json::Number(number) => Some(Sortable::Number(number.clone())),
            Json::String(text) => Some(Sortable::Text {
                text: text.to_string(),
                lower: text.to_lowercase(),
            }),
            _ => None,
        }
    }
}

type Compare = fn(&Sortable, &Sortable) -> Option<Ordering>;

/// The orders in which people keep lists.
const COMPARES: [Compare; 4] = [
    by_text,
    by_lower,
    |a, b| by_text(a, b).map(Ordering::reverse),
    |a, b| by_lower(a, b).map(Ordering::reverse),
];

fn by_text(a: &Sortable, b: &Sortable) -> Option<Ordering> {
    match (a, b) {
        (Sortable::Number(a), Sortable::Number(b)) => Some(a.cmp(b)),
        (Sortable::Text { text: a, .. }, Sortable::Text { text: b, .. }) => Some(a.cmp(b)),
        _ => None,
    }
}

fn by_lower(a: &Sortable, b: &Sortable) -> Option<Ordering> {
    match (a, b) {
        (Sortable::Text { lower: a, .. }, Sortable::Text { lower: b, .. }) => Some(a.cmp(b)),
        _ => by_text(a, b),
    }
}
