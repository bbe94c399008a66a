//! The binary from outside: real processes, real files, exit codes.
#![allow(clippy::unwrap_used, missing_docs)]

mod conflicts;
mod demo;
mod exits;
mod explain;
mod import;
mod json;
mod lifecycle;
mod lines;
mod mcp;
mod node;
mod session;
mod subscription;
mod terminal;
mod verify;
mod watch;
mod webhook;
