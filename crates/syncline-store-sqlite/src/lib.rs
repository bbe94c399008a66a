//! The embedded store: the log and its views in one SQLite file.
//!
//! One thread writes, a few read, one moves the write-ahead log into the database; callers reach
//! them through bounded queues. The walk enters at [`SqliteStore::open`],
//! which looks at what is there before it touches anything.

mod append;
mod checkpoint;
mod conflicts;
mod connection;
mod errors;
mod frames;
mod framing;
mod history;
mod kept;
mod list;
mod lock;
mod memory;
mod open;
mod options;
mod read;
mod readers;
mod rows;
mod shared;
mod store;
mod subtree;
mod thin;
mod untouched;
mod verify;
mod wal;
mod writer;

pub use options::{Opened, SqliteOptions, TestFaults};
pub use store::SqliteStore;
pub use untouched::Untouched;
