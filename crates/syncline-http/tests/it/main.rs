//! The doors, through real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

mod aside;
mod bad_input;
mod feeds;
mod gate;
mod limits;
mod node;
mod openapi;
mod rest;
mod sync;
