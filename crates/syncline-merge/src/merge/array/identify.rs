//! Which items of three arrays are the same item.

use super::{Matching, content};
use crate::merge::walk::Three;
use crate::mutants::{Mutant, is_active};
use std::collections::{HashMap, HashSet};
use syncline_model::json::Json;

/// Items of three arrays by number: equal numbers are one item. Items of the base have their own
/// index, new ones come behind.
pub(super) struct Ids {
    /// Of base, earlier and later, in their order.
    pub(super) sides: [Vec<u32>; 3],
    /// How many ids there are.
    pub(super) count: usize,
    /// Both sides replaced the same items by others.
    pub(super) overlap: bool,
}

/// Where an item is on each side.
#[derive(Clone, Copy, Default)]
pub(super) struct Places([Option<u32>; 3]);

impl Places {
    pub(super) fn three<'a>(self, sides: [&'a [Json]; 3]) -> Three<'a> {
        let [base, earlier, later] =
            std::array::from_fn(|side| self.0[side].map(|place| &sides[side][place as usize]));
        Three {
            base,
            earlier,
            later,
        }
    }
}

impl Ids {
    /// Where each id is.
    pub(super) fn places(&self) -> Vec<Places> {
        let mut places = vec![Places::default(); self.count];
        for (side, ids) in self.sides.iter().enumerate() {
            for (place, &id) in (0..).zip(ids) {
                places[id as usize].0[side] = Some(place);
            }
        }
        places
    }

    /// Returns true if a side added, removed or moved items.
    pub(super) fn is_rearranged(&self, side: usize) -> bool {
        self.sides[side] != self.sides[0]
    }
}

/// Matches items by a member; `None` unless it is a string or number in each, once on each side.
pub(super) fn by_key(sides: [&[Json]; 3], key: &str) -> Option<Ids> {
    let mut known: HashMap<(&Json, usize), u32> = HashMap::with_capacity(sides[1].len());
    let mut number = |name| {
        let next = u32_of(known.len());
        *known.entry(name).or_insert(next)
    };
    let mut ids: [Vec<u32>; 3] = Default::default();
    for (side, items) in sides.iter().enumerate() {
        let mut seen = HashSet::with_capacity(items.len());
        for item in *items {
            let name = item.get(key)?;
            if !matches!(name, Json::String(_) | Json::Number(_)) {
                return None;
            }
            let mut id = number((name, 0));
            if is_active(Mutant::DoublesKeys) && side == 2 && id >= u32_of(sides[0].len()) {
                id = number((name, side));
            }
            if !seen.insert(id) {
                return None;
            }
            ids[side].push(id);
        }
    }
    Some(Ids {
        sides: ids,
        count: known.len(),
        overlap: false,
    })
}

/// Matches items by what they hold.
pub(super) fn by_content(sides: [&[Json]; 3], matching: Matching<'_>) -> Ids {
    let head = common(sides, |side, n| side.get(n));
    let rest = sides.map(|side| &side[head..]);
    let tail = common(rest, |side, n| side.iter().rev().nth(n));
    let middle = rest.map(|side| &side[..side.len() - tail]);

    let mut ids = content::identify(middle, matching);
    let (base, new) = (u32_of(sides[0].len()), u32_of(middle[0].len()));
    let (head_ids, tail_ids) = (u32_of(head), u32_of(tail));
    for ids in &mut ids.sides {
        let moved = |id: u32| {
            if id < new {
                id + head_ids
            } else {
                id - new + base
            }
        };
        let inner = ids.iter().map(|&id| moved(id));
        *ids = (0..head_ids)
            .chain(inner)
            .chain(base - tail_ids..base)
            .collect();
    }
    ids.count += head + tail;
    ids
}

/// How many items all sides have in common, from one end.
fn common<'a>(sides: [&'a [Json]; 3], at: impl Fn(&'a [Json], usize) -> Option<&'a Json>) -> usize {
    let is_common = |&n: &usize| {
        let [base, earlier, later] = sides.map(|side| at(side, n));
        base.is_some() && base == earlier && base == later
    };
    (0..).take_while(is_common).count()
}

pub(super) fn u32_of(n: usize) -> u32 {
    u32::try_from(n).expect("arrays to be merged have bounded lengths")
}
