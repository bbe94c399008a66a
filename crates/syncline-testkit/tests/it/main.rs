//! The promises and bad input, against the real binary.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod p1;
