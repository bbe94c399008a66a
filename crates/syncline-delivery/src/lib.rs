//! Subscriptions as cursors over the log: scopes, snapshots, changes in order.
//!
//! A [`Feed`] keeps a place in the log and nothing else: no queue of its own, so a reader that
//! does not read costs nothing and slows nobody. Whoever drives it (a WebSocket, an SSE stream, a
//! pull) asks for the next page when it has room, and waits for the tail's bell in between.
//! Registering, buffering, reading and going live are one thing here: to read on from a place.

mod feed;
mod item;
mod snapshot;
pub mod webhook;

pub use feed::{Exclude, Feed, FeedRequest, Opening};
pub use item::{ChangeItem, Item};
