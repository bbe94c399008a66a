//! Durable subscriptions: named, acknowledged, delivered again, and given up with the reason.
//!
//! [`Window`] is the pure part: what is in flight, and what may follow (`window.rs` delivers, `acks.rs`
//! hears what becomes of it, `reading.rs` fills it). A [`Durable`] drives it: it
//! reads the log with a feed (`fetch.rs`), keeps what the window decides, and then hands it out. [`Durables`]
//! has those of a node.

mod acks;
mod dead;
mod definition;
mod fetch;
mod reading;
mod registry;
mod saved;
mod standing;
mod state;
mod subscription;
mod units;
mod window;

pub use dead::Letter;
pub use definition::{ACK_WAIT_S_MAX, DELIVERIES_MAX, Definition, WINDOW_MAX};
pub use registry::{Durable, Durables};
pub use saved::{Counts, Saved};
pub use standing::Standing;
pub use state::Began;
pub use subscription::{Asked, Given, Inspection, SubscriptionCounts};
pub(crate) use units::units;
pub use window::{Consumer, Dead, Delivery, Terms, Touches, Unit, Window};
