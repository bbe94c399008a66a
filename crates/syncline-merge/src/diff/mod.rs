//! The short way from one document to another, as a JSON Patch.
//!
//! Objects are compared by key, arrays by a sequence diff over equal items (`align.rs`), named
//! items that moved are moved (`moves.rs`), and what is shared is skipped by its address. Each
//! container weighs the patch below it against its own text: where replacing the whole is shorter,
//! the patch says that instead. The walk gives a container up as soon as that is clear, so hostile
//! documents cost no more than their size.

mod align;
mod identity;
mod moves;
mod sequence;

pub(crate) use align::{Edit, align, align_by_place};
pub(crate) use identity::{NAMES, identity, is_name, key_of};
pub(crate) use sequence::{classes, longest_rising, matches};

use moves::Moves;

use crate::apply::STEPS_MAX;
use crate::patch::{Op, Patch};
use std::cmp::Ordering;
use std::ptr;
use std::sync::Arc;
use syncline_model::json::{Json, Key, Object, Pointer};

/// How many arrays within arrays are aligned. Each level reads all below it again to find equal
/// items, so an unbounded number would make a deep document quadratic; below, place decides.
pub(crate) const ALIGNED_LEVELS_MAX: usize = 6;

/// An object is replaced whole only if its patch is more than twice as long: paths of single
/// members are worth some bytes, because histories, blame and feeds speak of them.
const OBJECT_PATIENCE: usize = 2;

/// Items of an array are hardly ever named by their index, so the shorter text wins.
const ARRAY_PATIENCE: usize = 1;

/// The text of an operation without its path and value.
const OP_WEIGHT: usize = 32;

/// A container weighs its patch for the first time when it has grown to this.
const FIRST_WEIGHING: usize = 4096;

/// Returns a short patch that leads from one document to the other; empty if they are equal.
///
/// `diff(a, b).apply(a) == b` always. Numbers that are equal in value count as equal.
pub fn diff(from: &Json, to: &Json) -> Patch {
    let mut walk = Walk::default();
    walk.value(from, to);
    Patch(walk.ops)
}

/// The patch so far, and where the walk is.
#[derive(Default)]
struct Walk<'a> {
    path: Vec<Step<'a>>,
    ops: Vec<Op>,
    /// The approximate text of `ops`.
    weight: usize,
    /// What applying `ops` may shift in arrays; see [`STEPS_MAX`].
    shifts: usize,
    array_levels: usize,
    /// The value that was last replaced, and its weight: the containers around it are weighed
    /// without walking it again.
    last_replaced: Option<(&'a Json, usize)>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a Key),
    Index(usize),
}

/// A container during its walk: where its part of the patch begins.
struct Container<'a> {
    to: &'a Json,
    patience: usize,
    ops: usize,
    weight: usize,
    shifts: usize,
    next_weighing: usize,
    given_up: bool,
}

impl<'a> Walk<'a> {
    fn value(&mut self, from: &'a Json, to: &'a Json) {
        match (from, to) {
            (Json::Object(a), Json::Object(b)) if a.ptr_eq(b) => {}
            (Json::Array(a), Json::Array(b)) if Arc::ptr_eq(a, b) => {}
            (Json::Object(a), Json::Object(b)) => self.object(a, b, to),
            (Json::Array(a), Json::Array(b)) => self.array(a, b, to),
            _ if from == to => {}
            _ => self.push(|path| Op::Replace {
                path,
                value: to.clone(),
            }),
        }
    }

    fn object(&mut self, from: &'a Object, to: &'a Object, whole: &'a Json) {
        let mut container = self.enter(whole, OBJECT_PATIENCE);
        let (mut left, mut right) = (from.entries().peekable(), to.entries().peekable());
        while !self.gives_up(&mut container) {
            let order = match (left.peek(), right.peek()) {
                (Some((a, _)), Some((b, _))) => a.cmp(b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let old = if order.is_le() { left.next() } else { None };
            let new = if order.is_ge() { right.next() } else { None };
            match (old, new) {
                (Some((key, old)), Some((_, new))) => {
                    self.below(Step::Key(key), |walk| walk.value(old, new));
                }
                (Some((key, _)), None) => {
                    self.below(Step::Key(key), |walk| walk.push(|path| Op::Remove { path }));
                }
                (None, Some((key, new))) => self.below(Step::Key(key), |walk| {
                    walk.push(|path| Op::Add {
                        path,
                        value: new.clone(),
                    });
                }),
                (None, None) => break,
            }
        }
        self.leave(container);
    }

    fn array(&mut self, from: &'a [Json], to: &'a [Json], whole: &'a Json) {
        let mut container = self.enter(whole, ARRAY_PATIENCE);
        let edits = if self.array_levels < ALIGNED_LEVELS_MAX {
            align(from, to)
        } else {
            align_by_place(from, to)
        };
        // What is longer to apply than a patch may take is replaced.
        let shifts = shifting_items(&edits).saturating_mul(from.len() + to.len());
        self.shifts = self.shifts.saturating_add(shifts);
        container.given_up = self.shifts > STEPS_MAX / 2;

        self.array_levels += 1;
        match moves::find(from, to, &edits) {
            Some(moves) => self.moved_items(from, to, &moves, &mut container),
            None => self.items(from, to, edits, &mut container),
        }
        self.array_levels -= 1;
        self.leave(container);
    }

    /// Writes an array in which nothing moved, from its start.
    fn items(
        &mut self,
        from: &'a [Json],
        to: &'a [Json],
        edits: Vec<Edit>,
        container: &mut Container<'a>,
    ) {
        // `place` is the index in the array as the operations so far have left it: that of `to`.
        let (mut old, mut place) = (0, 0);
        for edit in edits {
            match edit {
                Edit::Keep(run) => (old, place) = (old + run, place + run),
                Edit::Pair(run) => {
                    for _ in 0..run {
                        if self.gives_up(container) {
                            break;
                        }
                        let (a, b) = (&from[old], &to[place]);
                        self.below(Step::Index(place), |walk| walk.value(a, b));
                        (old, place) = (old + 1, place + 1);
                    }
                }
                Edit::Remove(run) => {
                    for _ in 0..run {
                        if self.gives_up(container) {
                            break;
                        }
                        self.below(Step::Index(place), |walk| {
                            walk.push(|path| Op::Remove { path })
                        });
                    }
                    old += run;
                }
                Edit::Add(run) => {
                    for _ in 0..run {
                        if self.gives_up(container) {
                            break;
                        }
                        let value = &to[place];
                        self.below(Step::Index(place), |walk| {
                            walk.push(|path| Op::Add {
                                path,
                                value: value.clone(),
                            });
                        });
                        place += 1;
                    }
                }
            }
            if container.given_up {
                break;
            }
        }
    }

    /// Writes an array in which items moved: removals, moves, then additions and edits.
    fn moved_items(
        &mut self,
        from: &'a [Json],
        to: &'a [Json],
        moves: &Moves,
        container: &mut Container<'a>,
    ) {
        let array = self.pointer();
        for (gone, &old) in moves.removed.iter().enumerate() {
            self.below(Step::Index(old - gone), |walk| {
                walk.push(|path| Op::Remove { path });
            });
        }
        for &(old, new) in &moves.steps {
            let from = array.index(old);
            self.below(Step::Index(new), |walk| {
                walk.push(|path| Op::Move { from, path });
            });
        }
        for (place, old) in moves.from.iter().enumerate() {
            if self.gives_up(container) {
                break;
            }
            match old {
                Some(_) if moves.is_equal[place] => {}
                Some(old) => {
                    let (a, b) = (&from[*old], &to[place]);
                    self.below(Step::Index(place), |walk| walk.value(a, b));
                }
                None => self.below(Step::Index(place), |walk| {
                    walk.push(|path| Op::Add {
                        path,
                        value: to[place].clone(),
                    });
                }),
            }
        }
    }

    fn below(&mut self, step: Step<'a>, walk: impl FnOnce(&mut Walk<'a>)) {
        self.path.push(step);
        walk(self);
        self.path.pop();
    }

    fn push(&mut self, op: impl FnOnce(Pointer) -> Op) {
        let op = op(self.pointer());
        let value = match &op {
            Op::Add { value, .. } | Op::Replace { value, .. } => value.weight(),
            _ => 0,
        };
        self.weight += self.op_weight() + value;
        self.ops.push(op);
    }

    fn pointer(&self) -> Pointer {
        let mut pointer = Pointer::root();
        for step in &self.path {
            match step {
                Step::Key(key) => pointer.push(key.text()),
                Step::Index(index) => pointer.push(index.to_string()),
            }
        }
        pointer
    }

    fn op_weight(&self) -> usize {
        let steps = self.path.iter().map(|step| match step {
            Step::Key(key) => key.as_str().len() + 1,
            Step::Index(index) => index.checked_ilog10().map_or(2, |log| log as usize + 2),
        });
        OP_WEIGHT + steps.sum::<usize>()
    }

    fn enter(&self, to: &'a Json, patience: usize) -> Container<'a> {
        Container {
            to,
            patience,
            ops: self.ops.len(),
            weight: self.weight,
            shifts: self.shifts,
            next_weighing: FIRST_WEIGHING,
            given_up: false,
        }
    }

    /// Tells whether the container is better replaced; weighs it only when its patch has doubled.
    fn gives_up(&self, container: &mut Container<'a>) -> bool {
        let patch = self.weight - container.weight;
        if !container.given_up && patch >= container.next_weighing {
            container.next_weighing = patch.saturating_mul(2);
            container.given_up = self.is_longer(container);
        }
        container.given_up
    }

    /// Puts one replacement in place of the container's operations if that is shorter.
    fn leave(&mut self, container: Container<'a>) {
        // One operation alone says what changed as shortly as can be.
        let several = self.ops.len() > container.ops + 1;
        if container.given_up || several && self.is_longer(&container) {
            self.ops.truncate(container.ops);
            self.weight = container.weight;
            self.shifts = container.shifts;
            let weight = self.weight_of(container.to);
            let (path, value) = (self.pointer(), container.to.clone());
            self.ops.push(Op::Replace { path, value });
            self.weight += self.op_weight() + weight;
            self.last_replaced = Some((container.to, weight));
        }
    }

    fn is_longer(&self, container: &Container<'a>) -> bool {
        let patch = (self.weight - container.weight) / container.patience;
        let room = patch.saturating_sub(self.op_weight());
        self.room_left(container.to, room).is_some()
    }

    fn weight_of(&self, value: &Json) -> usize {
        usize::MAX
            - self
                .room_left(value, usize::MAX)
                .expect("no text is as long as that")
    }

    /// What is left of `room` bytes once the value's text has taken its part; `None` if it does
    /// not fit. Walks no further than the room allows.
    fn room_left(&self, value: &Json, room: usize) -> Option<usize> {
        match (value, self.last_replaced) {
            (value, Some((last, weight))) if ptr::eq(value, last) => room.checked_sub(weight),
            (Json::Array(items), _) => {
                let item = |room: usize, item| self.room_left(item, room.checked_sub(1)?);
                items.iter().try_fold(room.checked_sub(2)?, item)
            }
            (Json::Object(object), _) => {
                let member = |room: usize, (key, value): (&str, &Json)| {
                    self.room_left(value, room.checked_sub(key.len() + 4)?)
                };
                object.iter().try_fold(room.checked_sub(2)?, member)
            }
            (scalar, _) => room.checked_sub(scalar.weight()),
        }
    }
}

/// How many items are added or removed, each shifting those behind it.
fn shifting_items(edits: &[Edit]) -> usize {
    let shifting = |edit: &Edit| match edit {
        Edit::Keep(_) | Edit::Pair(_) => 0,
        Edit::Remove(run) | Edit::Add(run) => *run,
    };
    edits.iter().map(shifting).sum()
}
