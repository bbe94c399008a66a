//! Applying a patch: all operations or none, at a cost that is bounded and proportional to the
//! patch.
//!
//! The document is shared, so the first write into a container copies that container (not what is
//! in it) and the rest of the patch writes in place. What an operation may cost beyond its own
//! size (shifting the items of a long array, measuring a large value that it copies) is counted
//! in steps, so that no patch of a few kilobytes keeps a processor for minutes.

use crate::patch::{Op, Patch};
use crate::text::shown_pointer;
use std::sync::Arc;
use syncline_model::json::{Json, Pointer};

/// Bounds the result of a patch.
#[derive(Clone, Copy, Debug)]
pub struct ApplyLimits {
    /// How deep the result may nest, counted as [`Json::depth`] does.
    pub depth_max: usize,
    /// How heavy the result may be, counted as [`Json::weight`] does.
    pub weight_max: usize,
}

/// Bounds the work that operations cause beyond their own size: so many array items that move by
/// one place, about half a second.
pub(crate) const STEPS_MAX: usize = 1 << 28;

/// Copying an item or a member, and dropping it again, takes as long as moving so many.
const COPY_STEPS: usize = 16;

/// Why a patch does not apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {index} at {}: {kind}", shown_pointer(.path))]
pub struct ApplyError {
    /// Which operation fails, from 0.
    pub index: usize,
    /// Its `path`, or its `from` where that is at fault.
    pub path: Pointer,
    /// Why it fails.
    pub kind: ApplyErrorKind,
}

/// What is wrong with the operation that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyErrorKind {
    /// The path, or a part of it, leads nowhere.
    #[error("nothing is there")]
    Missing,
    /// The index is behind the end of the array.
    #[error("the array has {len} items")]
    OutOfRange {
        /// The length of the array.
        len: usize,
    },
    /// The path goes through an array, but not by an index.
    #[error("an array takes an index: digits without a leading zero")]
    BadIndex,
    /// The path goes through a scalar.
    #[error("the path leads through a value of type {found}")]
    NotContainer {
        /// The type of that scalar.
        found: &'static str,
    },
    /// The whole document was to be removed.
    #[error("the whole document cannot be removed")]
    Root,
    /// A value was to be moved below itself.
    #[error("a value cannot be moved into itself")]
    IntoItself,
    /// A `test` found another value.
    #[error("the test failed: another value is there")]
    TestFailed,
    /// A `test` found nothing.
    #[error("the test failed: nothing is there")]
    TestedNothing,
    /// The result would nest too deep.
    #[error("the result would be nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// The result would be too heavy.
    #[error("the result would be larger than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// The operations shift or copy more than is ever sensible.
    #[error("the patch moves too much data: more than {max} items, counted each time")]
    TooCostly {
        /// The limit.
        max: usize,
    },
}

impl Patch {
    /// Applies all operations or none.
    ///
    /// Parts of `doc` that no operation touches are shared with the result.
    pub fn apply(&self, doc: &Json, limits: &ApplyLimits) -> Result<Json, ApplyError> {
        self.apply_to(doc.clone(), limits)
    }

    /// As [`apply`](Patch::apply), to a document that the caller gives away.
    ///
    /// What nobody else holds of it is written in place: a row of patches copies a long array
    /// once, not once each.
    pub fn apply_to(&self, doc: Json, limits: &ApplyLimits) -> Result<Json, ApplyError> {
        // A document is weighed by walking all of it: not where no weight is too much.
        let weight = match limits.weight_max {
            usize::MAX => 0,
            _ => doc.weight(),
        };
        let mut draft = Draft {
            doc,
            weight,
            steps: 0,
            limits,
        };
        for (index, op) in self.0.iter().enumerate() {
            let failed = |(path, kind): Failure<'_>| ApplyError {
                index,
                path: path.clone(),
                kind,
            };
            draft.run(op).map_err(failed)?;
        }
        Ok(draft.doc)
    }
}

/// The pointer at fault, and why.
type Failure<'p> = (&'p Pointer, ApplyErrorKind);

/// The document while a patch is applied to it.
struct Draft<'l> {
    doc: Json,
    /// Kept current by what comes and goes, so that growth is noticed at the operation; where no
    /// limit is set it means nothing.
    weight: usize,
    steps: usize,
    limits: &'l ApplyLimits,
}

impl Draft<'_> {
    fn run<'p>(&mut self, op: &'p Op) -> Result<(), Failure<'p>> {
        match op {
            Op::Add { path, value } => self.add(path, value.clone()).map_err(|kind| (path, kind)),
            Op::Remove { path } => self.remove(path).map_err(|kind| (path, kind)),
            Op::Replace { path, value } => self.replace(path, value).map_err(|kind| (path, kind)),
            Op::Move { from, path } => self.relocate(from, path),
            Op::Copy { from, path } => {
                let value = locate(&self.doc, from)
                    .map_err(|kind| (from, kind))?
                    .clone();
                spend(&mut self.steps, value.weight()).map_err(|kind| (path, kind))?;
                self.add(path, value).map_err(|kind| (path, kind))
            }
            Op::Test { path, value } => match locate(&self.doc, path) {
                Ok(found) if found == value => Ok(()),
                Ok(_) => Err((path, ApplyErrorKind::TestFailed)),
                // A path that can lead nowhere is no test, but a mistake.
                Err(ApplyErrorKind::BadIndex) => Err((path, ApplyErrorKind::BadIndex)),
                Err(_) => Err((path, ApplyErrorKind::TestedNothing)),
            },
        }
    }

    fn add(&mut self, path: &Pointer, value: Json) -> Result<(), ApplyErrorKind> {
        self.check_depth(path, &value)?;
        let before = self.weight;
        self.weight = self.weight.saturating_add(value.weight());
        let replaced = self.put(path, value)?;
        self.forget(replaced.as_ref());
        self.check_weight(before)
    }

    fn remove(&mut self, path: &Pointer) -> Result<(), ApplyErrorKind> {
        let removed = self.take(path)?;
        self.forget(Some(&removed));
        Ok(())
    }

    fn replace(&mut self, path: &Pointer, value: &Json) -> Result<(), ApplyErrorKind> {
        self.check_depth(path, value)?;
        let before = self.weight;
        let slot = slot(&mut self.doc, path.tokens(), &mut self.steps)?;
        let replaced = std::mem::replace(slot, value.clone());
        self.weight = self.weight.saturating_add(value.weight());
        self.forget(Some(&replaced));
        self.check_weight(before)
    }

    fn relocate<'p>(&mut self, from: &'p Pointer, to: &'p Pointer) -> Result<(), Failure<'p>> {
        if from == to {
            return locate(&self.doc, from)
                .map(|_| ())
                .map_err(|kind| (from, kind));
        }
        if to.starts_with(from) {
            return Err((to, ApplyErrorKind::IntoItself));
        }
        let value = self.take(from).map_err(|kind| (from, kind))?;
        if to.tokens().len() > from.tokens().len() {
            // A value that rises or stays level fits as it did; only one that sinks is measured.
            spend(&mut self.steps, value.weight()).map_err(|kind| (to, kind))?;
            self.check_depth(to, &value).map_err(|kind| (to, kind))?;
        }
        let before = self.weight;
        let replaced = self.put(to, value).map_err(|kind| (to, kind))?;
        self.forget(replaced.as_ref());
        self.check_weight(before).map_err(|kind| (to, kind))
    }

    /// Puts the value at a member or before an item, and returns what a member held.
    fn put(&mut self, path: &Pointer, value: Json) -> Result<Option<Json>, ApplyErrorKind> {
        let Some((last, parents)) = path.tokens().split_last() else {
            return Ok(Some(std::mem::replace(&mut self.doc, value)));
        };
        match slot(&mut self.doc, parents, &mut self.steps)? {
            Json::Object(object) => {
                let replaced = object.insert(&**last, value);
                if replaced.is_none() {
                    self.weight = self.weight.saturating_add(name_weight(last));
                }
                Ok(replaced)
            }
            Json::Array(items) => {
                let len = items.len();
                let index = if &**last == "-" {
                    len
                } else {
                    index_in(last, len + 1, len)?
                };
                spend(&mut self.steps, len - index)?;
                Arc::make_mut(items).insert(index, value);
                self.weight = self.weight.saturating_add(ITEM_WEIGHT);
                Ok(None)
            }
            other => Err(ApplyErrorKind::NotContainer {
                found: other.type_name(),
            }),
        }
    }

    /// Takes the value out of its object or array.
    fn take(&mut self, path: &Pointer) -> Result<Json, ApplyErrorKind> {
        let Some((last, parents)) = path.tokens().split_last() else {
            return Err(ApplyErrorKind::Root);
        };
        match slot(&mut self.doc, parents, &mut self.steps)? {
            Json::Object(object) => {
                let removed = object.remove(last).ok_or(ApplyErrorKind::Missing)?;
                self.weight = self.weight.saturating_sub(name_weight(last));
                Ok(removed)
            }
            Json::Array(items) => {
                let len = items.len();
                let index = index_in(last, len, len)?;
                spend(&mut self.steps, len - index)?;
                self.weight = self.weight.saturating_sub(ITEM_WEIGHT);
                Ok(Arc::make_mut(items).remove(index))
            }
            other => Err(ApplyErrorKind::NotContainer {
                found: other.type_name(),
            }),
        }
    }

    /// Takes the weight of a value that left the document off.
    ///
    /// Not counted as steps: what leaves was in the document, in the patch, or counted when copied.
    fn forget(&mut self, value: Option<&Json>) {
        self.weight = self.weight.saturating_sub(value.map_or(0, Json::weight));
    }

    fn check_depth(&self, path: &Pointer, value: &Json) -> Result<(), ApplyErrorKind> {
        let max = self.limits.depth_max;
        let deep = path.tokens().len() + value.depth() > max;
        if deep {
            Err(ApplyErrorKind::TooDeep { max })
        } else {
            Ok(())
        }
    }

    /// A document that was too heavy before may still shrink.
    fn check_weight(&self, before: usize) -> Result<(), ApplyErrorKind> {
        let max = self.limits.weight_max;
        let heavy = self.weight > max && self.weight > before;
        if heavy {
            Err(ApplyErrorKind::TooLarge { max })
        } else {
            Ok(())
        }
    }
}

/// The comma of an item.
const ITEM_WEIGHT: usize = 1;

/// The quotes, colon and comma of a member, and its name.
fn name_weight(name: &str) -> usize {
    name.len() + 4
}

fn spend(steps: &mut usize, more: usize) -> Result<(), ApplyErrorKind> {
    *steps = steps.saturating_add(more);
    if *steps > STEPS_MAX {
        Err(ApplyErrorKind::TooCostly { max: STEPS_MAX })
    } else {
        Ok(())
    }
}

fn index_in(token: &str, end: usize, len: usize) -> Result<usize, ApplyErrorKind> {
    match Pointer::array_index(token) {
        Some(index) if index < end => Ok(index),
        Some(_) => Err(ApplyErrorKind::OutOfRange { len }),
        None if token == "-" => Err(ApplyErrorKind::OutOfRange { len }),
        None => Err(ApplyErrorKind::BadIndex),
    }
}

/// The value at a pointer, or why there is none.
fn locate<'d>(doc: &'d Json, pointer: &Pointer) -> Result<&'d Json, ApplyErrorKind> {
    let mut here = doc;
    for token in pointer.tokens() {
        here = match here {
            Json::Object(object) => object.get(token).ok_or(ApplyErrorKind::Missing)?,
            Json::Array(items) => &items[index_in(token, items.len(), items.len())?],
            other => {
                return Err(ApplyErrorKind::NotContainer {
                    found: other.type_name(),
                });
            }
        };
    }
    Ok(here)
}

/// The place at a pointer, to be written to: each container on the way becomes the draft's own.
fn slot<'d>(
    doc: &'d mut Json,
    tokens: &[Arc<str>],
    steps: &mut usize,
) -> Result<&'d mut Json, ApplyErrorKind> {
    let mut here = doc;
    for token in tokens {
        spend(steps, copy_steps(here))?;
        here = match here {
            Json::Object(object) => object.get_mut(token).ok_or(ApplyErrorKind::Missing)?,
            Json::Array(items) => {
                let index = index_in(token, items.len(), items.len())?;
                &mut Arc::make_mut(items)[index]
            }
            other => {
                return Err(ApplyErrorKind::NotContainer {
                    found: other.type_name(),
                });
            }
        };
    }
    spend(steps, copy_steps(here))?;
    Ok(here)
}

/// What it costs to write to this container: nothing if it is ours already, else a copy.
fn copy_steps(value: &Json) -> usize {
    match value {
        Json::Array(items) if Arc::strong_count(items) > 1 => items.len() * COPY_STEPS,
        Json::Object(object) if object.is_shared() => object.len() * COPY_STEPS,
        _ => 0,
    }
}
