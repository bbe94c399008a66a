//! The doors, through real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

mod aside;
mod asyncapi;
mod bad_input;
mod branches;
mod broadcasts;
mod compact;
mod conflicts;
mod documents;
mod durable;
mod echo;
mod explained;
mod feeds;
mod gate;
mod handshake;
mod limits;
mod live;
mod merge;
mod node;
mod openapi;
mod rest;
mod rules;
mod schemas;
mod sync;
mod webhooks;
mod wires;
