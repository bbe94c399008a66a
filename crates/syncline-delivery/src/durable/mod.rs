//! Durable subscriptions: named, acknowledged, delivered again, and given up with the reason.
//!
//! [`Window`] is the pure part: what is in flight, and what may follow. A [`Durable`] drives it: it
//! reads the log with a feed, keeps what the window decides, and then hands it out. [`Durables`]
//! has those of a node.

mod dead;
mod definition;
mod reading;
mod registry;
mod saved;
mod subscription;
mod units;
mod window;

pub use dead::Letter;
pub use definition::{ACK_WAIT_S_MAX, DELIVERIES_MAX, Definition, WINDOW_MAX};
pub use registry::{Durable, Durables};
pub use saved::{Counts, Saved};
pub use subscription::{Asked, Given, Inspection, SubscriptionCounts};
pub(crate) use units::units;
pub use window::{Consumer, Dead, Delivery, Standing, Terms, Touches, Unit, Window};
