//! The words of Syncline as types, and its JSON document.
//!
//! Nothing here does I/O, reads a clock, or knows a store: these are the values that every
//! other crate passes on.

#[macro_use]
mod words;

pub mod change;
pub mod conflict;
pub mod cursor;
pub mod document;
pub mod etag;
pub mod frame;
pub mod head;
pub mod ids;
pub mod json;
pub mod proposal;
pub mod record;
pub mod time;
