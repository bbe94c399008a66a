//! Whole nodes in a line, workloads, and the checkers of the promises.
//!
//! Everything here stands outside: it starts the real binary, speaks to its doors, kills it, cuts
//! its power, fails its disk, and then asks the doors what is true. Nothing looks into the store,
//! so a checker outlives every change inside. [`sim`] alone is inside: it trades the real binary for
//! thousands of runs, each of which can be run again from its seed. A harness is a function of a [`prove::Plan`] that
//! returns a [`prove::Report`]; tests run it a few times, `cargo xtask prove` as often as you like.

pub mod audit;
pub mod binary;
pub mod disk;
pub mod endpoint;
pub mod ledger;
pub mod node;
pub mod prove;
pub mod proxy;
pub mod raw;
pub mod rng;
pub mod shim;
pub mod sim;
pub mod subscriber;
pub mod sys;
pub mod workload;

pub use node::{Access, Door, Fault, Node, NodeOptions, StartError};
