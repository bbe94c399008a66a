//! Syncline's network doors: REST, SSE, long-poll and WebSocket, over TCP and a Unix socket.
//!
//! The walk enters at [`serve`]: its accept loop bounds connections and waits, the gate checks
//! host, origin and key, and the table in `routes` leads to a handler, which unpacks, calls the
//! engine once, and answers. Errors are RFC 9457 problems, and the OpenAPI document is made from
//! the same table.

mod answer;
mod ask;
mod asyncapi;
mod broadcasts;
mod calls;
mod conflicts;
mod contexts;
mod counts;
mod digests;
mod doors;
mod explain;
mod feeds;
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod keys;
mod lines;
mod lists;
mod live;
mod node;
mod openapi;
mod packing;
mod pages;
mod query;
mod routes;
mod rules;
mod schemas;
mod seats;
mod serve;
mod shown;
mod socket;
mod stall;
mod subscriptions;
mod tags;
mod webhooks;

pub use asyncapi::document as asyncapi_document;
pub use doors::{DoorLimits, Doors, NodeInfo};
pub use keys::Keys;
pub use openapi::document as openapi_document;
pub use serve::{Listeners, serve};
pub use socket::serve_echo;
