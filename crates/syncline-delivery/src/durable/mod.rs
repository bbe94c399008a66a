//! Durable subscriptions: named, acknowledged, delivered again, and given up with the reason.
//!
//! [`Window`] is the pure part: what is in flight, and what may follow.

mod reading;
mod saved;
mod window;

pub use saved::{Counts, Saved};
pub use window::{Consumer, Dead, Delivery, Standing, Terms, Touches, Unit, Window};
