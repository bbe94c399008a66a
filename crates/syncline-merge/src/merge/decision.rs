//! What a merge decided, and how its clashes are settled.

use super::path::KeyedPath;
use crate::apply::{ApplyError, ApplyLimits};
use crate::mutants::{Mutant, is_active};
use crate::patch::{Op, Patch};
use std::fmt;
use std::str::FromStr;
use syncline_model::json::{Json, Pointer};

/// The result of a merge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// The merged document; at a clash it shows the earlier side, or the edit that meets a
    /// deletion.
    pub value: Option<Json>,
    /// What was decided where both sides changed something, in the order of the document.
    pub decisions: Vec<Decision>,
}

/// What became of one place that both sides changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The place in the merged value, or where it would be if it were not missing.
    pub path: Pointer,
    /// The same place with items of keyed arrays named by key: it identifies a conflict, and is
    /// found again when items move.
    pub keyed: KeyedPath,
    /// What both sides started from.
    pub base: Option<Json>,
    /// What the proposal holds.
    pub ours: Option<Json>,
    /// What the head holds.
    pub theirs: Option<Json>,
    /// What was decided.
    pub action: Action,
    /// By which rule.
    pub rule: Rule,
}

macro_rules! texts {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every one, in a stable order.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// Returns the text by which it is recorded; it never changes.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(text: &str) -> Result<$name, ()> {
                $name::ALL.iter().copied().find(|known| known.as_str() == text).ok_or(())
            }
        }
    };
}

texts! {
    /// What was decided at a place.
    Action {
        /// The proposal's value was taken and beat the head's.
        Ours = "ours",
        /// The head's value was taken and beat the proposal's.
        Theirs = "theirs",
        /// Both edits are in the value: combined, or they were the same.
        Both = "both",
        /// Neither rule nor reason decides; the place waits to be settled.
        Clash = "clash",
    }
}

texts! {
    /// By which rule it was decided.
    Rule {
        /// Both sides made the same edit.
        Same = "same",
        /// Declared: both sides' deltas count.
        Counter = "counter",
        /// Declared: additions and removals of members.
        Set = "set",
        /// Declared: both sides' tails, the earlier first.
        Append = "append",
        /// Items matched by their key.
        Keyed = "keyed",
        /// Items matched by what they hold.
        Items = "items",
        /// Both sides reordered one array; the earlier order stands.
        Order = "order",
        /// Text by lines.
        Lines = "lines",
        /// Text by lines, and within some by words.
        Words = "words",
        /// Declared: the greater.
        Max = "max",
        /// Declared: the smaller.
        Min = "min",
        /// Declared: the earlier in the log.
        First = "first",
        /// Declared: the later in the log.
        Last = "last",
        /// Declared: never combined.
        Atomic = "atomic",
        /// Two different values.
        Value = "value",
        /// Both sides changed the same items of an array without keys.
        Overlap = "overlap",
        /// One side deleted what the other edited.
        DeleteEdit = "delete_edit",
        /// One side made another type of it.
        TypeChange = "type_change",
        /// Too large to be merged within the limits.
        Bound = "bound",
    }
}

/// How one clash is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// By the proposal's value, or its deletion.
    Ours,
    /// By the head's value, or its deletion.
    Theirs,
    /// By another value, or by none.
    Value(Option<Json>),
    /// Not now: the place stays as the merged value shows it.
    Leave,
}

/// Why choices do not settle a merge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// There are not as many choices as clashes.
    #[error("merge has {clashes} clashes, but {choices} choices were given")]
    Count {
        /// How many clashes there are.
        clashes: usize,
        /// How many choices were given.
        choices: usize,
    },
    /// A place cannot be written to: the decisions are not of this value.
    #[error("a clash is at no place of the merged value")]
    Place(#[source] ApplyError),
}

impl Merged {
    /// Walks the clashes in the order of the document.
    pub fn clashes(&self) -> impl DoubleEndedIterator<Item = &Decision> {
        let is_clash = |decision: &&Decision| decision.action == Action::Clash;
        self.decisions.iter().filter(is_clash)
    }

    /// Returns true if nothing clashes.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.clashes().next().is_none()
    }

    /// Returns the document with its clashes settled, one choice for each in their order.
    pub fn settle(&self, choices: &[Choice]) -> Result<Option<Json>, SettleError> {
        let clashes: Vec<&Decision> = self.clashes().collect();
        if clashes.len() != choices.len() {
            return Err(SettleError::Count {
                clashes: clashes.len(),
                choices: choices.len(),
            });
        }
        let mut value = self.value.clone();
        let mut ops = Vec::new();
        // From the end: what is removed then never shifts a place that is still to be settled.
        for (clash, choice) in clashes.into_iter().zip(choices).rev() {
            let Some(chosen) = clash.chosen(choice) else {
                continue;
            };
            match (clash.path.is_root(), chosen) {
                (true, chosen) => value = chosen.cloned(),
                (false, Some(chosen)) => ops.push(Op::Replace {
                    path: clash.path.clone(),
                    value: chosen.clone(),
                }),
                (false, None) => ops.push(Op::Remove {
                    path: clash.path.clone(),
                }),
            }
        }
        if is_active(Mutant::SettlesForward) {
            ops.reverse();
        }
        match value {
            // A clash at the root is the only one.
            Some(doc) if !ops.is_empty() => {
                let settled = Patch(ops).apply(&doc, &UNBOUNDED);
                settled.map(Some).map_err(SettleError::Place)
            }
            value => Ok(value),
        }
    }
}

/// Whoever settles checks the result as any other proposal.
const UNBOUNDED: ApplyLimits = ApplyLimits {
    depth_max: usize::MAX,
    weight_max: usize::MAX,
};

impl Decision {
    /// What a choice puts here; `None` if it leaves the place alone.
    fn chosen<'a>(&'a self, choice: &'a Choice) -> Option<Option<&'a Json>> {
        match choice {
            Choice::Ours => Some(self.ours.as_ref()),
            Choice::Theirs => Some(self.theirs.as_ref()),
            Choice::Value(value) => Some(value.as_ref()),
            Choice::Leave => None,
        }
    }
}
