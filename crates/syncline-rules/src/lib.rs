//! Syncline's decisions, pure: what a proposal becomes, who sees what, what a scope holds.
//!
//! Everything here takes values and returns values; the caller loads, calls, and saves. The walk
//! of a write enters at [`decide`], that of a reader at [`visible`] and [`judge`].

pub mod access;
mod conditions;
mod decide;
mod document;
mod hierarchy;
mod scope;
mod view;

pub use access::{Principal, Role, Subject, may_write, visible};
pub use conditions::sides;
pub use decide::{Decision, Now, Refusal, Step, decide, genesis};
pub use hierarchy::{ANCESTORS_MAX, place_of};
pub use scope::{Verdict, judge, place_in};
pub use view::{BaseState, Need, View};

use syncline_merge::ApplyLimits;

/// What decisions look up besides the view: limits now, rights and strategies later.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Bounds a document's text, in bytes.
    pub document_bytes_max: usize,
    /// Bounds how deep a document nests.
    pub document_depth_max: usize,
    /// Bounds the operations of one JSON Patch.
    pub patch_operations_max: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            document_bytes_max: 10 << 20,
            document_depth_max: 64,
            patch_operations_max: 4_096,
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
