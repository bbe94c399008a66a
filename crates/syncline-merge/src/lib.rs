//! JSON diff, patch and merge for Syncline documents.
//!
//! Pure functions from documents to documents: no I/O, no clock, nothing of ours but the model.
//! A change keeps its effect as a [`Patch`] (RFC 6902): [`diff`] makes it, [`Patch::apply`]
//! replays it, and `apply(diff(a, b), a) == b` holds always. A writer may also send a merge patch
//! (RFC 7396, [`apply_merge_patch`]), and a person reads [`readable`]. Two edits of one document
//! become one by [`merge()`], by declared [`MergeRules`] where there are some; what it cannot merge
//! it returns as clashes, which [`Merged::settle`] settles.
//!
//! Promises: untouched parts of a document stay shared, so a small patch costs its own size and
//! the containers on its paths; time and memory are bounded for every input, in steps and never
//! by a clock; equal is equal, so `1` and `1.0` differ nowhere here and the older text stays.

mod apply;
mod diff;
#[doc(hidden)]
pub mod fuzz;
#[doc(hidden)]
pub mod laws;
mod merge;
mod merge_patch;
#[doc(hidden)]
pub mod mutants;
mod patch;
mod readable;
mod text;

pub use apply::{ApplyError, ApplyErrorKind, ApplyLimits};
pub use diff::diff;
pub use merge::{
    Action, Choice, Contest, Decision, KeyedPath, KeyedPathError, KeyedStep, MergeLimits,
    MergePolicy, MergeRules, Merged, Names, Rule, RuleStep, RulesError, SettleError, Side, Sides,
    chain, merge,
};
pub use merge_patch::apply_merge_patch;
pub use patch::{Op, Patch, PatchError, old_values};
pub use readable::readable;
