//! Tests of the model at its public boundary.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod json;
