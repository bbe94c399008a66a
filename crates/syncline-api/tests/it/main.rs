//! What travels, byte by byte, and what is refused.
#![allow(clippy::unwrap_used, missing_docs)]

mod catalog;
mod contexts;
mod filters;
mod messages;
mod proposals;
mod samples;
mod wire;
