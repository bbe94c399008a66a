//! Filters, compiled: does a reader want to hear of this change?
//!
//! The walk enters at [`Matcher::compile`], off the hot path, and [`Matcher::answer`], on it. A
//! scope says which contexts a reader hears of, and is judged before and after each change; a
//! matcher only chooses among the changes of the scope, and is never security.

mod condition;
mod explain;
mod facts;
mod index;
mod matcher;

pub use condition::Wrong;
pub use explain::Clause;
pub use facts::Facts;
pub use index::Index;
pub use matcher::{Answer, Matcher};
