//! The three-way merge: examples, laws, bounds, and faults put in on purpose.

mod bounds;
mod cases;
mod examples;
mod laws;
#[cfg(feature = "mutants")]
mod mutants;
mod paths;
mod real;
mod rules;
