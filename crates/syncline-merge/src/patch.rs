//! The JSON Patch (RFC 6902) as a value: read strictly, written compactly, asked what it touches.
//!
//! What a patch does to a document is in `apply.rs`.

use std::str::FromStr;
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Object, Pointer};

/// A JSON Patch (RFC 6902): operations that are applied in order, all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch(pub Vec<Op>);

/// One operation of a [`Patch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Puts a value at a member, or before an array item (`-`: after the last).
    Add {
        /// Where the value goes.
        path: Pointer,
        /// What is put there.
        value: Json,
    },
    /// Takes away what is there.
    Remove {
        /// What goes away.
        path: Pointer,
    },
    /// Puts a value in place of what is there.
    Replace {
        /// What is replaced.
        path: Pointer,
        /// By what.
        value: Json,
    },
    /// Removes a value and adds it elsewhere.
    Move {
        /// Where the value is.
        from: Pointer,
        /// Where it goes.
        path: Pointer,
    },
    /// Adds a value that is also elsewhere.
    Copy {
        /// Where the value is.
        from: Pointer,
        /// Where it goes too.
        path: Pointer,
    },
    /// Changes nothing, and fails unless an equal value is there.
    Test {
        /// Where to look.
        path: Pointer,
        /// What must be there.
        value: Json,
    },
}

/// Why a document is not a JSON Patch; each names the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// A patch is an array of operations.
    #[error("a JSON patch is an array of operations, found {found}")]
    NotAnArray {
        /// Where the patch was expected.
        pointer: Pointer,
        /// The type that was found.
        found: &'static str,
    },
    /// More operations than the caller allows.
    #[error("a patch of {found} operations is longer than the limit of {max}")]
    TooManyOperations {
        /// Where the patch is.
        pointer: Pointer,
        /// The limit.
        max: usize,
        /// How many there are.
        found: usize,
    },
    /// An operation lacks a member, or holds one that means nothing.
    #[error(transparent)]
    Field(#[from] FieldError),
}

impl PatchError {
    /// Returns the place in the document that was read.
    pub fn pointer(&self) -> &Pointer {
        match self {
            PatchError::NotAnArray { pointer, .. } => pointer,
            PatchError::TooManyOperations { pointer, .. } => pointer,
            PatchError::Field(error) => &error.pointer,
        }
    }
}

impl Patch {
    /// Reads a patch of at most `ops_max` operations; `at` is where `value` stands in its message.
    ///
    /// Members that RFC 6902 does not define are ignored, as it demands.
    pub fn from_json(value: &Json, at: &Pointer, ops_max: usize) -> Result<Patch, PatchError> {
        let Some(items) = value.as_array() else {
            let found = value.type_name();
            return Err(PatchError::NotAnArray {
                pointer: at.clone(),
                found,
            });
        };
        if items.len() > ops_max {
            let found = items.len();
            return Err(PatchError::TooManyOperations {
                pointer: at.clone(),
                max: ops_max,
                found,
            });
        }
        let read = |(index, item)| Op::from_json(item, &at.index(index));
        let ops = items
            .iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()?;
        Ok(Patch(ops))
    }

    /// Returns the patch as a document.
    pub fn to_json(&self) -> Json {
        Json::from(self.0.iter().map(Op::to_json).collect::<Vec<_>>())
    }

    /// Writes the patch as compact JSON.
    pub fn write(&self, w: &mut JsonWriter) {
        w.begin_array();
        for op in &self.0 {
            op.write(w);
        }
        w.end_array();
    }

    /// Tells whether there is no operation at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the pointers that cover every place the patch may change: sorted, and none below
    /// another.
    ///
    /// An item that is replaced is named by its index. What is added to an array, or taken from
    /// it, shifts the items behind it, so the array is named. A patch alone does not know an array
    /// from an object: a member whose name is a number counts as an item.
    pub fn touched(&self) -> Vec<Pointer> {
        let mut all = Vec::with_capacity(self.0.len());
        for op in &self.0 {
            match op {
                Op::Replace { path, .. } => all.push(path.clone()),
                Op::Add { path, .. } | Op::Remove { path } | Op::Copy { path, .. } => {
                    all.push(holder(path))
                }
                Op::Move { from, path } if from == path => {}
                Op::Move { from, path } => all.extend([holder(from), holder(path)]),
                Op::Test { .. } => {}
            }
        }
        outermost(all)
    }
}

/// The values that a patch changes, as `doc` has them before it; `None` where nothing is.
///
/// They stand at the [touched](Patch::touched) pointers, but for an array that only gets longer at
/// its end: there each new index tells that it was not there, or else a list would be kept whole
/// for each item that it grows by.
pub fn old_values(doc: &Json, patch: &Patch) -> Vec<(Pointer, Option<Json>)> {
    let touched = patch.touched();
    let added = appended(doc, &touched, patch);
    let mut old = Vec::with_capacity(touched.len());
    for (pointer, added) in touched.into_iter().zip(added) {
        match (doc.pointer(&pointer), added) {
            (Some(Json::Array(items)), Some(added)) => {
                let new = items.len()..items.len() + added;
                old.extend(new.map(|index| (pointer.index(index), None)));
            }
            (value, _) => {
                let value = value.cloned();
                old.push((pointer, value));
            }
        }
    }
    old
}

/// Counts for each touched pointer the items that the patch appends there; `None` where it does
/// anything else.
fn appended(doc: &Json, touched: &[Pointer], patch: &Patch) -> Vec<Option<usize>> {
    let mut added = vec![Some(0); touched.len()];
    let mut note = |path: &Pointer, adds: bool| {
        // None of them lies below another, so only the last one before it can hold the path.
        let after = touched.partition_point(|other| other.tokens() <= path.tokens());
        let Some(at) = after.checked_sub(1) else {
            return;
        };
        let holder = &touched[at];
        let length = match doc.pointer(holder) {
            Some(Json::Array(items)) => items.len(),
            _ => return,
        };
        let below = &path.tokens()[holder.tokens().len()..];
        let is_new = |token: &str| {
            token == "-" || Pointer::array_index(token).is_some_and(|index| index >= length)
        };
        added[at] = match (added[at], below) {
            (Some(so_far), [index]) if is_new(index) && adds => Some(so_far + 1),
            // What is done to an item that was just added adds none.
            (Some(so_far), [index, _, ..]) if is_new(index) => Some(so_far),
            _ => None,
        };
    };
    for op in &patch.0 {
        match op {
            Op::Add { path, .. } | Op::Copy { path, .. } => note(path, true),
            Op::Replace { path, .. } | Op::Remove { path } => note(path, false),
            Op::Move { from, path } if from == path => {}
            Op::Move { from, path } => {
                note(from, false);
                note(path, true);
            }
            Op::Test { .. } => {}
        }
    }
    added
}

/// The array of an item, and the pointer itself elsewhere.
fn holder(path: &Pointer) -> Pointer {
    match (path.last(), path.parent()) {
        (Some(last), Some(parent)) if last == "-" || Pointer::array_index(last).is_some() => parent,
        _ => path.clone(),
    }
}

/// Sorts, and leaves out what stands below another.
fn outermost(mut all: Vec<Pointer>) -> Vec<Pointer> {
    // By tokens, not by text: all that is below a pointer then follows it directly.
    all.sort_by(|a, b| a.tokens().cmp(b.tokens()));
    let mut kept: Vec<Pointer> = Vec::with_capacity(all.len());
    for pointer in all {
        if !kept.last().is_some_and(|last| pointer.starts_with(last)) {
            kept.push(pointer);
        }
    }
    kept
}

/// The names of the operations; the members that each needs follow from it.
#[derive(Clone, Copy)]
enum Name {
    Add,
    Remove,
    Replace,
    Move,
    Copy,
    Test,
}

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Name, &'static str> {
        match text {
            "add" => Ok(Name::Add),
            "remove" => Ok(Name::Remove),
            "replace" => Ok(Name::Replace),
            "move" => Ok(Name::Move),
            "copy" => Ok(Name::Copy),
            "test" => Ok(Name::Test),
            _ => Err("expected add, remove, replace, move, copy or test"),
        }
    }
}

impl Op {
    fn from_json(value: &Json, at: &Pointer) -> Result<Op, FieldError> {
        let mut fields = Fields::new(value, at)?;
        let name = fields.required_parse("op", Name::from_str)?;
        let path = fields.required_parse("path", Pointer::parse)?;
        Ok(match name {
            Name::Add => Op::Add {
                path,
                value: fields.required("value")?.clone(),
            },
            Name::Remove => Op::Remove { path },
            Name::Replace => Op::Replace {
                path,
                value: fields.required("value")?.clone(),
            },
            Name::Move => Op::Move {
                from: fields.required_parse("from", Pointer::parse)?,
                path,
            },
            Name::Copy => Op::Copy {
                from: fields.required_parse("from", Pointer::parse)?,
                path,
            },
            Name::Test => Op::Test {
                path,
                value: fields.required("value")?.clone(),
            },
        })
    }

    fn to_json(&self) -> Json {
        let (name, from, path, value) = self.parts();
        let mut object = Object::new();
        object.insert("op", Json::from(name));
        if let Some(from) = from {
            object.insert("from", Json::from(from.to_string()));
        }
        object.insert("path", Json::from(path.to_string()));
        if let Some(value) = value {
            object.insert("value", value.clone());
        }
        Json::from(object)
    }

    fn write(&self, w: &mut JsonWriter) {
        let (name, from, path, value) = self.parts();
        w.begin_object();
        w.field_str("op", name);
        if let Some(from) = from {
            w.field_str("from", &from.to_string());
        }
        w.field_str("path", &path.to_string());
        if let Some(value) = value {
            w.field_json("value", value);
        }
        w.end_object();
    }

    /// The members `op`, `from`, `path`, `value`.
    fn parts(&self) -> (&'static str, Option<&Pointer>, &Pointer, Option<&Json>) {
        match self {
            Op::Add { path, value } => ("add", None, path, Some(value)),
            Op::Remove { path } => ("remove", None, path, None),
            Op::Replace { path, value } => ("replace", None, path, Some(value)),
            Op::Move { from, path } => ("move", Some(from), path, None),
            Op::Copy { from, path } => ("copy", Some(from), path, None),
            Op::Test { path, value } => ("test", None, path, Some(value)),
        }
    }
}
