//! Checks documents against JSON Schemas (draft 2020-12), proposes corrections, and reads the
//! schemas' merge rules.
//!
//! The walk enters at [`Schema::compile`], which refuses a bad schema with the place that is at
//! fault; then [`Schema::check`] makes a [`Report`] on each document, and [`Schema::merge_rules`]
//! tells what `x-merge` says.
//!
//! Promises: numbers are compared exactly; nothing is fetched or read from disk; compiling and
//! checking are bounded for every schema and document, in steps and never by a clock.

mod check;
mod compile;
mod correction;
mod divisor;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod keywords;
mod limits;
mod merge_rules;
mod node;
mod pattern;
mod references;
mod report;
mod schema;
mod shown;
mod uri;

pub use error::{SchemaError, SchemaErrorKind};
pub use limits::SchemaLimits;
pub use merge_rules::{Ignored, MergePolicy, MergeRules, Others, PathPattern, PathStep};
pub use pattern::Pattern;
pub use report::{Correction, Failure, Report};
pub use schema::Schema;
