//! The promises of [`crate::Store`] as tests that every backend runs.
