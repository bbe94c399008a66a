//! Which items of two sequences stay, in bounded time.
//!
//! Items are compared as classes: equal items have equal numbers. What only one side has is left
//! out first; items that are unique on both sides then anchor the rest (patience), and between the
//! anchors the shortest edit is searched greedily (Myers) up to a bound. Beyond the bound the best
//! start so far is kept and the search begins anew, so the time is at most linear times the bound.

use std::collections::HashMap;
use std::hash::Hash;

/// How many edits a search may look ahead: 128 keep its memory under 70 KB and its quality far
/// beyond what a person's edit needs.
const EDITS_MAX: usize = 128;

/// Numbers items so that equal ones have equal numbers, from 0 without gaps.
pub(crate) fn classes<T: Hash + Eq>(
    from: impl ExactSizeIterator<Item = T>,
    to: impl ExactSizeIterator<Item = T>,
) -> (Vec<u32>, Vec<u32>) {
    // Room for all: growing the table would hash every item again.
    let mut known: HashMap<T, u32> = HashMap::with_capacity(from.len() + to.len());
    let mut class_of = |item: T| {
        let next = u32::try_from(known.len()).expect("sequences are shorter than 2^31");
        *known.entry(item).or_insert(next)
    };
    let from = from.map(&mut class_of).collect();
    let to = to.map(&mut class_of).collect();
    (from, to)
}

/// Returns pairs of equal items, rising on both sides: a long common subsequence.
pub(crate) fn matches(from: &[u32], to: &[u32]) -> Vec<(usize, usize)> {
    let (a_kept, b_kept) = in_both(from, to);
    let a: Vec<u32> = a_kept.iter().map(|&i| from[i]).collect();
    let b: Vec<u32> = b_kept.iter().map(|&j| to[j]).collect();
    let mut found = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (anchor_i, anchor_j) in anchors(&a, &b).into_iter().chain([(a.len(), b.len())]) {
        between(&a[i..anchor_i], &b[j..anchor_j], (i, j), &mut found);
        if anchor_i < a.len() {
            found.push((anchor_i, anchor_j));
        }
        (i, j) = (anchor_i + 1, anchor_j + 1);
    }
    found
        .into_iter()
        .map(|(i, j)| (a_kept[i], b_kept[j]))
        .collect()
}

/// The positions whose class occurs on the other side too.
fn in_both(from: &[u32], to: &[u32]) -> (Vec<usize>, Vec<usize>) {
    let (in_from, in_to) = (counts(from, to), counts(to, from));
    let kept = |side: &[u32], other: &[u32]| {
        let stays = |&(_, class): &(usize, &u32)| other[*class as usize] > 0;
        side.iter()
            .enumerate()
            .filter(stays)
            .map(|(index, _)| index)
            .collect()
    };
    (kept(from, &in_to), kept(to, &in_from))
}

/// How often each class occurs in `side`; long enough for the classes of `other` too.
fn counts(side: &[u32], other: &[u32]) -> Vec<u32> {
    let classes = side
        .iter()
        .chain(other)
        .max()
        .map_or(0, |&class| class as usize + 1);
    let mut counts = vec![0; classes];
    for &class in side {
        counts[class as usize] += 1;
    }
    counts
}

/// Pairs of items that are unique on both sides, the longest run that rises on both.
fn anchors(a: &[u32], b: &[u32]) -> Vec<(usize, usize)> {
    let (in_a, in_b) = (counts(a, b), counts(b, a));
    let mut place_in_b = vec![0; in_b.len()];
    for (j, &class) in b.iter().enumerate() {
        place_in_b[class as usize] = j;
    }
    let unique = |class: u32| in_a[class as usize] == 1 && in_b[class as usize] == 1;
    let pairs: Vec<(usize, usize)> = (a.iter().enumerate())
        .filter(|&(_, &class)| unique(class))
        .map(|(i, &class)| (i, place_in_b[class as usize]))
        .collect();
    longest_rising(&pairs)
}

/// The longest subsequence whose second members rise, by patience sorting.
pub(crate) fn longest_rising(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // `ends[n]` is the pair with the smallest second member that ends a rise of n + 1 pairs.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (at, &(_, j)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|&end| pairs[end].1 < j);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        if length == ends.len() {
            ends.push(at)
        } else {
            ends[length] = at
        }
    }
    let mut rising = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(at) = next {
        rising.push(pairs[at]);
        next = before[at];
    }
    rising.reverse();
    rising
}

/// Matches the items between two anchors; `(i, j)` is where the slices begin.
fn between(a: &[u32], b: &[u32], (i, j): (usize, usize), found: &mut Vec<(usize, usize)>) {
    let tail = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    let (a_end, b_end) = (a.len() - tail, b.len() - tail);
    let (mut x, mut y) = (0, 0);
    while x < a_end && y < b_end {
        let (dx, dy, pairs) = shortest_edit(&a[x..a_end], &b[y..b_end]);
        found.extend(pairs.into_iter().map(|(p, q)| (i + x + p, j + y + q)));
        (x, y) = (x + dx, y + dy);
    }
    found.extend((0..tail).map(|n| (i + a_end + n, j + b_end + n)));
}

/// Myers' greedy search up to [`EDITS_MAX`] edits: how far it came on both sides, and the matches
/// on the way. It comes at least one step far.
fn shortest_edit(a: &[u32], b: &[u32]) -> (usize, usize, Vec<(usize, usize)>) {
    // Rounds of `reached`: in round d, entry n is the x on diagonal 2n - d (x minus y).
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for d in 0..=EDITS_MAX {
        let mut reached = Vec::with_capacity(d + 1);
        for n in 0..=d {
            let x = enter(rounds.last(), d, n, a.len(), b.len());
            reached.push(x.map_or(UNREACHED, |x| slide(a, b, x, diagonal_y(x, d, n))));
        }
        let goal =
            (0..=d).find(|&n| reached[n] == a.len() && diagonal_y(reached[n], d, n) == b.len());
        rounds.push(reached);
        if let Some(n) = goal {
            return (a.len(), b.len(), walk_back(&rounds, n, a.len(), b.len()));
        }
    }
    let last = rounds.last().expect("there was a round 0");
    let d = rounds.len() - 1;
    let progress = |&n: &usize| last[n] + diagonal_y(last[n], d, n);
    let best = (0..=d)
        .filter(|&n| last[n] != UNREACHED)
        .max_by_key(progress);
    let n = best.expect("without an end in reach, some diagonal can still advance");
    let (x, y) = (last[n], diagonal_y(last[n], d, n));
    (x, y, walk_back(&rounds, n, a.len(), b.len()))
}

/// No path leads to this diagonal within the sequences.
const UNREACHED: usize = usize::MAX;

/// The y of a point on diagonal 2n - d; x is at least 2n - d wherever a path leads.
fn diagonal_y(x: usize, d: usize, n: usize) -> usize {
    x + d - 2 * n
}

/// Where round `d` enters its diagonal `n`: by deleting from the left one or inserting from the
/// right one, whichever is further; `None` if neither stays within the sequences.
fn enter(
    before: Option<&Vec<usize>>,
    d: usize,
    n: usize,
    a_len: usize,
    b_len: usize,
) -> Option<usize> {
    let Some(before) = before else { return Some(0) };
    let deleted = n.checked_sub(1).map(|left| before[left]);
    let deleted = deleted
        .filter(|&x| x != UNREACHED && x < a_len)
        .map(|x| x + 1);
    let inserted = before.get(n).copied();
    let inserted = inserted.filter(|&x| x != UNREACHED && diagonal_y(x, d - 1, n) < b_len);
    deleted.max(inserted)
}

fn slide(a: &[u32], b: &[u32], x: usize, y: usize) -> usize {
    x + a[x..]
        .iter()
        .zip(&b[y..])
        .take_while(|(p, q)| p == q)
        .count()
}

/// The matches on the path that ends on diagonal `n` of the last round.
fn walk_back(
    rounds: &[Vec<usize>],
    mut n: usize,
    a_len: usize,
    b_len: usize,
) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for d in (0..rounds.len()).rev() {
        let before = d.checked_sub(1).map(|d| &rounds[d]);
        let start = enter(before, d, n, a_len, b_len).expect("the path came this way");
        let y = diagonal_y(start, d, n);
        let length = rounds[d][n] - start;
        pairs.extend((0..length).rev().map(|step| (start + step, y + step)));
        let deleted = before.is_some_and(|before| {
            n > 0
                && before[n - 1] != UNREACHED
                && before[n - 1] < a_len
                && before[n - 1] + 1 == start
        });
        if deleted {
            n -= 1;
        }
    }
    pairs.reverse();
    pairs
}
