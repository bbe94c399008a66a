//! Webhooks: changes posted to endpoints that others run.
//!
//! A webhook is a reader of the log with a cursor; only attempts are stored. The pure parts:
//! [`signature`] and [`event`] say what is posted, [`target`] and [`guard`] where to,
//! [`policy`] and [`machine`] when, and what becomes of it.

pub mod definition;
pub mod event;
pub mod exchange;
pub mod guard;
pub mod machine;
pub mod policy;
pub mod reader;
pub mod rows;
pub mod signature;
pub mod state;
pub mod target;
