//! Which items of two arrays belong together.

use super::identity::identity;
use super::sequence::{classes, matches};
use syncline_model::json::Json;

/// Bounds the memory of one alignment to some 20 MB; longer arrays are paired by place.
const ITEMS_MAX: usize = 1 << 18;

/// A run of an edit script, walked over both arrays from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Equal items on both sides.
    Keep(usize),
    /// Items that stand for each other and differ.
    Pair(usize),
    /// Items that only the first array has.
    Remove(usize),
    /// Items that only the second array has.
    Add(usize),
}

/// Aligns two arrays: equal items stay, edited ones are paired by what names them, else by place.
pub(crate) fn align(from: &[Json], to: &[Json]) -> Vec<Edit> {
    let head = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let (from, to) = (&from[head..], &to[head..]);
    let tail = from
        .iter()
        .rev()
        .zip(to.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (from, to) = (&from[..from.len() - tail], &to[..to.len() - tail]);

    let mut script = Script::default();
    script.push(Edit::Keep(head));
    script.anchored(
        from,
        to,
        &equal_items(from, to),
        Edit::Keep(1),
        |script, from, to| {
            script.anchored(
                from,
                to,
                &same_names(from, to),
                Edit::Pair(1),
                Script::by_place,
            );
        },
    );
    script.push(Edit::Keep(tail));
    script.0
}

/// Pairs two arrays by place alone: linear, whatever they hold.
pub(crate) fn align_by_place(from: &[Json], to: &[Json]) -> Vec<Edit> {
    let mut script = Script::default();
    script.by_place(from, to);
    script.0
}

/// An edit script whose runs are as long as can be.
#[derive(Default)]
struct Script(Vec<Edit>);

impl Script {
    fn push(&mut self, edit: Edit) {
        use Edit::{Add, Keep, Pair, Remove};
        match (self.0.last_mut(), edit) {
            (_, Keep(0) | Pair(0) | Remove(0) | Add(0)) => {}
            (Some(Keep(run)), Keep(more)) => *run += more,
            (Some(Pair(run)), Pair(more)) => *run += more,
            (Some(Remove(run)), Remove(more)) => *run += more,
            (Some(Add(run)), Add(more)) => *run += more,
            _ => self.0.push(edit),
        }
    }

    /// Writes `edit` at each anchor, and what `gap` finds between them.
    fn anchored(
        &mut self,
        from: &[Json],
        to: &[Json],
        anchors: &[(usize, usize)],
        edit: Edit,
        gap: impl Fn(&mut Script, &[Json], &[Json]),
    ) {
        let (mut i, mut j) = (0, 0);
        for &(anchor_i, anchor_j) in anchors {
            gap(self, &from[i..anchor_i], &to[j..anchor_j]);
            self.push(edit);
            (i, j) = (anchor_i + 1, anchor_j + 1);
        }
        gap(self, &from[i..], &to[j..]);
    }

    fn by_place(&mut self, from: &[Json], to: &[Json]) {
        let both = from.len().min(to.len());
        self.push(Edit::Pair(both));
        self.push(Edit::Remove(from.len() - both));
        self.push(Edit::Add(to.len() - both));
    }
}

fn equal_items(from: &[Json], to: &[Json]) -> Vec<(usize, usize)> {
    if !is_worth_a_search(from, to) {
        return Vec::new();
    }
    let (from, to) = classes(from.iter(), to.iter());
    matches(&from, &to)
}

fn same_names(from: &[Json], to: &[Json]) -> Vec<(usize, usize)> {
    /// An item without a name matches nothing.
    #[derive(PartialEq, Eq, Hash)]
    enum Named<'a> {
        By(&'static str, &'a Json),
        Nothing { side: u8, index: usize },
    }
    if !is_worth_a_search(from, to) {
        return Vec::new();
    }
    let named = |side| {
        move |(index, item)| match identity(item) {
            Some((name, id)) => Named::By(name, id),
            None => Named::Nothing { side, index },
        }
    };
    let from = from.iter().enumerate().map(named(0));
    let to = to.iter().enumerate().map(named(1));
    let (from, to) = classes(from, to);
    matches(&from, &to)
}

/// One item against one is a pair anyway; too many are paired by place.
fn is_worth_a_search(from: &[Json], to: &[Json]) -> bool {
    let items = from.len() + to.len();
    !from.is_empty() && !to.is_empty() && items > 2 && items <= ITEMS_MAX
}
