//! Syncline's decisions, pure: what a proposal becomes, who sees what, what a scope holds.
//!
//! Everything here takes values and returns values; the caller loads, calls, and saves. The walk
//! of a write enters at [`decide`], that of a reader at [`visible`] and [`judge`].

pub mod access;
mod ancestry;
mod authors;
mod case;
mod commit;
mod conditions;
mod decide;
mod document;
mod filter;
#[doc(hidden)]
pub mod fuzz;
mod gone;
mod hierarchy;
mod kinds;
mod merging;
mod retention;
mod scope;
mod settle;
mod step;
mod view;
mod workspace;

pub use access::{Principal, Role, Subject, may_write, visible};
pub use ancestry::{Ancestry, Origin};
pub use case::LINE_MOVED;
pub use conditions::{MERGE_AGAIN, named, sides};
pub use decide::{Decision, Now, Refusal, Step, decide};
pub use document::propose;
pub use filter::{Answer, Clause, Facts, Index, Matcher, Wrong};
pub use hierarchy::{ANCESTORS_MAX, place_of};
pub use kinds::{KindRules, SCHEMA_KIND, schema_address};
pub use merging::array_around;
pub use retention::{Aged, KEEP_ALL_DAYS_MIN, Retention, Then};
pub use scope::{Verdict, holds_below, judge, moves_below, place_in};
pub use settle::conflict_sides;
pub use step::genesis;
pub use view::{BaseState, Need, Touch, View, began_from};
pub use workspace::{RULES_KIND, Ranks, WORKSPACE_RULES, WorkspaceRules, rules_address};

use syncline_merge::ApplyLimits;
use syncline_model::conflict::Strategy;

/// What decisions look up besides the view: limits now, rights and strategies later.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Bounds a document's text, in bytes.
    pub document_bytes_max: usize,
    /// Bounds how deep a document nests.
    pub document_depth_max: usize,
    /// Bounds the operations of one JSON Patch.
    pub patch_operations_max: usize,
    /// How clashes are resolved where nobody says otherwise.
    pub strategy: Strategy,
    /// How clashes are resolved that the strategy leaves.
    pub fallback: Strategy,
    /// Which old versions are taken away, where a kind says nothing; `None` keeps all for ever.
    pub retention: Option<Retention>,
    /// Ranks of sources; others have rank 0.
    pub ranks: Ranks,
    /// The name of the node that all writes come to, as long as there are no others.
    pub node: String,
    /// Bounds the conflicts that wait on one line of versions: each stands in its head.
    pub open_conflicts_max: usize,
    /// How long a conflict may wait before it is more urgent, in milliseconds.
    pub conflict_deadline_ms: i64,
    /// How far a writer's clock may run ahead of ours, in milliseconds.
    pub clock_ahead_max_ms: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            document_bytes_max: 10 << 20,
            document_depth_max: 64,
            patch_operations_max: 4_096,
            strategy: Strategy::Merge,
            fallback: Strategy::Manual,
            retention: None,
            ranks: Ranks::default(),
            node: String::new(),
            open_conflicts_max: 1_000,
            conflict_deadline_ms: 300_000,
            clock_ahead_max_ms: 60_000,
        }
    }
}

impl Rules {
    fn apply_limits(&self) -> ApplyLimits {
        ApplyLimits {
            depth_max: self.document_depth_max,
            weight_max: self.document_bytes_max,
        }
    }
}
