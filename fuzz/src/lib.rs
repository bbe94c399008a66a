//! What the targets share.

pub mod names;
