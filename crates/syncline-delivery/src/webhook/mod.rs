//! Webhooks: changes posted to endpoints that others run.
//!
//! A webhook is a reader of the log with a cursor; only attempts are stored. The pure parts:
//! [`signature`] and [`event`] say what is posted, [`target`] and [`guard`] where to,
//! [`policy`] and [`machine`] when, and what becomes of it. [`exchange`] does the posting, a desk
//! runs one machine, and [`Webhooks`] has all of a node's.

mod attempt;
pub mod calls;
pub mod definition;
mod desk;
pub mod event;
pub mod exchange;
pub mod fuzz;
pub mod guard;
pub mod machine;
pub mod policy;
pub mod reader;
pub mod rows;
pub mod signature;
mod standing;
pub mod state;
mod tally;
pub mod target;
mod trace;
mod webhooks;

pub use calls::{Made, Shown};
pub use definition::{Definition, WEBHOOK_KIND, Wanted};
pub use desk::Again;
pub use standing::{Circuit, Standing, Status};
pub use tally::WebhookCounts;
pub use trace::Trace;
pub use webhooks::{WebhookSettings, Webhooks};
