//! The Rust client of a Syncline node.
//!
//! [`Client`] makes calls over HTTP/1.1 and keeps a few connections; [`Live`] holds one WebSocket,
//! comes back after each loss, resumes its subscriptions by cursor and sends again what was not
//! answered, with the same change ids. Both speak TCP or a Unix socket, read what comes with the
//! strict reader of `syncline-model`, and answer with the wire's types; every failure is a
//! [`syncline_api::Problem`].

mod calls;
mod conflicts;
mod declared;
mod http;
mod id;
mod lines;
mod live;
mod subscriptions;
mod target;
mod webhooks;

pub use calls::{Changes, ChangesQuery, Page, When, Write};
pub use conflicts::{Choice, ConflictPage, ConflictsQuery};
pub use http::{Client, ClientOptions, Response};
pub use id::fresh_id;
pub use lines::Trial;
pub use live::{Event, Live, LiveReader, Submitter};
pub use subscriptions::{NextQuery, Subscriber};
pub use target::Target;
