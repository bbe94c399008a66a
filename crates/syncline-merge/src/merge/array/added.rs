//! Which new items of two sides are one item.
//!
//! An item that both sides added is there once, wherever each put it. What *replaced* an item stands
//! for that one: of two equal replacements of different items neither is the other. So two people
//! who tick different boxes of a list tick both.

use super::content::{Against, Hunk};
use crate::mutants::{Mutant, is_active};
use std::collections::{HashMap, HashSet, VecDeque};

/// A replacement is compared with so many of the other side that meet it; more are strange to it.
const MEETINGS_MAX: usize = 32;

/// Items that wait for their counterpart, in their order.
type Queues<K> = HashMap<K, VecDeque<usize>>;

/// Says for each item of the later side which new item of the earlier side it is, if any.
pub(super) fn shared(
    classes: &[Vec<u32>; 3],
    earlier: &Against,
    later: &Against,
) -> Vec<Option<usize>> {
    let mut pairs = Pairs {
        classes,
        sides: [earlier, later],
        of_later: vec![None; classes[2].len()],
        is_taken: vec![false; classes[1].len()],
    };
    if !is_active(Mutant::SwallowsItems) {
        pairs.replaced_the_same();
        pairs.replaced_the_same_block();
    }
    pairs.added();
    pairs.of_later
}

struct Pairs<'a> {
    classes: &'a [Vec<u32>; 3],
    sides: [&'a Against; 2],
    of_later: Vec<Option<usize>>,
    is_taken: Vec<bool>,
}

impl Pairs<'_> {
    fn class(&self, side: usize, item: usize) -> u32 {
        self.classes[side + 1][item]
    }

    /// Pairs those that replaced the same item.
    fn replaced_the_same(&mut self) {
        let each = |hunks: &[Hunk]| {
            let each = hunks.iter().filter(|hunk| hunk.is_one_by_one());
            let each = each.flat_map(|hunk| hunk.removed.iter().zip(&hunk.added));
            each.map(|(old, new)| (*old, *new)).collect::<Vec<_>>()
        };
        let [earlier, later] = self.sides.map(|side| each(&side.hunks));
        let earlier: HashMap<usize, usize> = earlier.into_iter().collect();
        for (old, new) in later {
            let other = earlier.get(&old).copied();
            let equal = other.filter(|other| self.class(0, *other) == self.class(1, new));
            if let Some(other) = equal {
                self.pair(new, other);
            }
        }
    }

    /// Pairs those that replaced items of which some are the same, where nobody can tell which of
    /// them replaced which.
    fn replaced_the_same_block(&mut self) {
        let [earlier, later] = self.sides;
        let mut replaced_by: HashMap<usize, usize> = HashMap::new();
        let mut queues: Queues<(usize, u32)> = HashMap::new();
        for (at, hunk) in earlier.hunks.iter().enumerate() {
            replaced_by.extend(hunk.removed.iter().map(|old| (*old, at)));
            for &new in &hunk.added {
                let key = (at, self.class(0, new));
                queues.entry(key).or_default().push_back(new);
            }
        }
        for hunk in &later.hunks {
            let mut met = HashSet::new();
            let meets = hunk.removed.iter().filter_map(|old| replaced_by.get(old));
            let mut meets: Vec<usize> = meets.copied().filter(|at| met.insert(*at)).collect();
            meets.retain(|at| {
                let other = &earlier.hunks[*at];
                let each_by_each = hunk.is_one_by_one() && other.is_one_by_one();
                !each_by_each || hunk.removed == other.removed
            });
            meets.truncate(MEETINGS_MAX);
            for &new in &hunk.added {
                for &at in &meets {
                    let queue = queues.get_mut(&(at, self.class(1, new)));
                    if self.take(new, queue) {
                        break;
                    }
                }
            }
        }
    }

    /// Pairs those of which at least one replaced nothing: at the same place first, then wherever
    /// they are. What the base has too may be meant twice, so it is one only at the same place.
    fn added(&mut self) {
        let in_base: HashSet<u32> = self.classes[0].iter().copied().collect();
        let is_new = |side: &Against, item: usize| side.from_base[item].is_none();
        let [earlier, later] = self.sides;
        let inserted = self.sides.map(Against::inserted);
        for here in [true, false] {
            // By what replaced something, and by what did not.
            let mut queues: [Queues<(u32, u32)>; 2] = Default::default();
            let gap = |side: &Against, item: usize| if here { side.gap[item] } else { 0 };
            for item in (0..self.is_taken.len()).filter(|item| is_new(earlier, *item)) {
                let key = (self.class(0, item), gap(earlier, item));
                let queue = &mut queues[usize::from(inserted[0][item])];
                queue.entry(key).or_default().push_back(item);
            }
            for item in (0..self.of_later.len()).filter(|item| is_new(later, *item)) {
                let key = (self.class(1, item), gap(later, item));
                if self.of_later[item].is_some() || (!here && in_base.contains(&key.0)) {
                    continue;
                }
                let [replaced, added] = &mut queues;
                let is_paired = self.take(item, added.get_mut(&key));
                let may_be = inserted[1][item] || is_active(Mutant::SwallowsItems);
                if !is_paired && may_be {
                    self.take(item, replaced.get_mut(&key));
                }
            }
        }
    }

    /// Pairs an item of the later side with the first of a queue that has no counterpart yet.
    fn take(&mut self, item: usize, queue: Option<&mut VecDeque<usize>>) -> bool {
        if self.of_later[item].is_some() {
            return true;
        }
        let Some(queue) = queue else { return false };
        while let Some(other) = queue.pop_front() {
            if !self.is_taken[other] {
                self.pair(item, other);
                return true;
            }
        }
        false
    }

    fn pair(&mut self, later: usize, earlier: usize) {
        self.of_later[later] = Some(earlier);
        self.is_taken[earlier] = true;
    }
}
