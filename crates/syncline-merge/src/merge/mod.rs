//! The three-way merge: what becomes of two edits of one document.
//!
//! [`merge`] is a pure function of three documents, of which side is earlier in the log, and of the
//! rules declared for paths. Its result is a value and the list of [`Decision`]s that led to it.
//! `walk.rs` goes over the three documents together; `array/` matches, orders and merges items;
//! `text.rs` merges strings; `policy.rs` follows declared rules; `decision.rs` is what comes out.
//!
//! Inside, sides are called *earlier* and *later*, never ours and theirs: so the result cannot
//! depend on whose proposal it is, only on the order in the log. Where they clash, the value shows
//! the earlier side (usually theirs, the head), except that an edit stays visible when the other
//! side deleted it.

mod array;
mod conflict;
mod decision;
mod names;
mod path;
mod policy;
mod put;
mod rules;
mod text;
mod walk;

pub use conflict::{Contest, chain};
pub use decision::{Action, Choice, Decision, Merged, Rule, SettleError};
pub use names::Names;
pub use path::{KeyedPath, KeyedPathError, KeyedStep};
pub use rules::{MergePolicy, MergeRules, RuleStep, RulesError};

use syncline_model::json::Json;
use walk::{Three, Walk};

/// One of the two sides of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The proposal.
    Ours,
    /// The head.
    Theirs,
}

/// What is merged. Missing is not null: `None` means that the document is not there.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// What both sides started from.
    pub base: Option<&'a Json>,
    /// The proposal.
    pub ours: Option<&'a Json>,
    /// The head.
    pub theirs: Option<&'a Json>,
    /// Which side is earlier in the log: the head, unless pending changes are replayed.
    pub earlier: Side,
}

/// Bounds the work of one merge, in steps; what passes a bound clashes whole, by
/// [`Rule::Bound`].
#[derive(Clone, Copy, Debug)]
pub struct MergeLimits {
    /// How many items an array may have, on each side, to be merged item by item.
    pub items_max: usize,
    /// How long a text may be, in bytes, to be merged line by line.
    pub text_bytes_max: usize,
    /// How many containers may nest.
    pub depth_max: usize,
    /// How many arrays without keys may nest: each level reads all below it to find equal items.
    pub array_levels_max: usize,
}

impl Default for MergeLimits {
    fn default() -> MergeLimits {
        MergeLimits {
            items_max: 1 << 17,
            text_bytes_max: 1 << 20,
            depth_max: 128,
            array_levels_max: 6,
        }
    }
}

/// Merges two edits of one document.
///
/// A side that equals the base yields to the other; declared `rules` come next; then equal sides
/// agree, objects are merged by key, arrays by what their items are, texts by lines; what is left
/// clashes. The value and the clashes are the same whichever side is called ours.
#[must_use]
pub fn merge(sides: Sides<'_>, rules: &MergeRules, limits: &MergeLimits) -> Merged {
    let (earlier, later) = match sides.earlier {
        Side::Ours => (sides.ours, sides.theirs),
        Side::Theirs => (sides.theirs, sides.ours),
    };
    let three = Three {
        base: sides.base,
        earlier,
        later,
    };
    let mut walk = Walk::new(sides.earlier, limits);
    let taken = walk.node(three, &rules.at_root());
    Merged {
        value: taken.into_value(three),
        decisions: walk.into_decisions(),
    }
}
