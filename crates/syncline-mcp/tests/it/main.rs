//! The MCP door, driven by raw lines against a whole node on a memory store.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod conflicts;
mod hostile;
mod house;
mod protocol;
mod tools;
