//! Subscriptions as cursors over the log: scopes, filters, snapshots, changes in order.
//!
//! A [`Feed`] keeps a place in the log and no copy of what lies after it, so a reader that does not
//! read costs nothing and slows nobody. Whoever drives it (a WebSocket, an SSE stream, a pull) asks
//! for the next page when it has room, and waits for a bell in between: the tail's, or that of the
//! [`Router`], which rings those alone who may want to hear.
//! Registering, buffering, reading and going live are one thing here: to read on from a place.
//! Nothing comes twice by construction: a feed's place only moves forward, and a page is made from
//! the records behind it.

mod body;
mod digest;
pub mod durable;
mod feed;
mod held;
mod item;
mod judging;
mod mask;
mod page;
mod router;
mod sent;
mod snapshot;
mod terms;
mod turns;
mod waits;
pub mod webhook;

pub use digest::{Digest, Digester, Fitting};
pub use feed::{Exclude, Feed, FeedRequest, Opening};
pub use item::{ChangeItem, Item, Shape};
pub use router::{Gauge, QUEUE_MAX, Router};
pub use terms::Terms;
pub use turns::Turns;
pub use waits::Waits;
