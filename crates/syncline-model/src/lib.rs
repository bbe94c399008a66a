//! The words of Syncline as types, and its JSON document.
//!
//! Nothing here does I/O, reads a clock, or knows a store: these are the values that every
//! other crate passes on.

pub mod json;
