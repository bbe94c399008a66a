//! Which items of three arrays are the same item.

use super::{Matching, content};
use crate::diff::{NAMES, is_name};
use crate::merge::walk::Three;
use crate::mutants::{Mutant, is_active};
use std::collections::HashMap;
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

/// Matches items by the member that names all of them on all sides; of several, by the one by which
/// most items of the base are found again, so that a new name does not make a new item.
pub(super) fn by_best_key(sides: [&[Json]; 3]) -> Option<(&'static str, Ids)> {
    let base_len = sides[0].len();
    let mut best: Option<(usize, &'static str, Ids)> = None;
    for name in NAMES {
        let Some(ids) = by_key(sides, name) else {
            continue;
        };
        let is_old = |id: &&u32| (**id as usize) < base_len;
        let kept = |side: usize| ids.sides[side].iter().filter(is_old).count();
        let kept = kept(1) + kept(2);
        if best.as_ref().is_none_or(|(most, ..)| kept > *most) {
            best = Some((kept, name, ids));
        }
        if kept == 2 * base_len {
            break;
        }
    }
    let (_, name, ids) = best?;
    (ids.count > 0).then_some((name, ids))
}

/// Matches items by a member; `None` unless it is a string or number in each, once on each side.
pub(super) fn by_key(sides: [&[Json]; 3], key: &str) -> Option<Ids> {
    let name = |item: &'_ Json| item.get(key).filter(|name| is_name(name)).is_some();
    if !sides.iter().all(|side| side.first().is_none_or(name)) {
        return None;
    }
    let mut numbers = Numbers::default();
    let mut ids: [Vec<u32>; 3] = Default::default();
    for (side, items) in sides.into_iter().enumerate() {
        numbers.begin_side();
        for item in items {
            let name = item.get(key).filter(|name| is_name(name))?;
            ids[side].push(numbers.next(name, side)?);
        }
        if side == 0 {
            numbers.base_len = items.len();
        }
    }
    Some(Ids {
        sides: ids,
        count: numbers.names.len(),
        overlap: false,
    })
}

/// Numbers names in the order in which they come.
#[derive(Default)]
struct Numbers<'a> {
    known: HashMap<(&'a Json, usize), u32>,
    names: Vec<&'a Json>,
    /// The side on which a name was seen last.
    seen: Vec<usize>,
    side: usize,
    /// Where the next name most likely is, which saves looking it up.
    next: usize,
    base_len: usize,
}

impl<'a> Numbers<'a> {
    fn begin_side(&mut self) {
        self.side += 1;
        self.next = 0;
    }

    /// The number of a name; `None` if this side had it already.
    fn next(&mut self, name: &'a Json, side: usize) -> Option<u32> {
        let id = match self.names.get(self.next) {
            Some(known) if *known == name => u32_of(self.next),
            _ => self.look_up(name, 0),
        };
        let doubles = is_active(Mutant::DoublesKeys) && side == 2;
        let id = match doubles && id as usize >= self.base_len {
            true => self.look_up(name, side),
            false => id,
        };
        self.next = id as usize + 1;
        let seen = std::mem::replace(&mut self.seen[id as usize], self.side);
        (seen != self.side).then_some(id)
    }

    fn look_up(&mut self, name: &'a Json, kind: usize) -> u32 {
        let next = u32_of(self.names.len());
        let id = *self.known.entry((name, kind)).or_insert(next);
        if id == next {
            self.names.push(name);
            self.seen.push(0);
        }
        id
    }
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
