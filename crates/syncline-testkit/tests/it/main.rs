//! The promises and bad input, against the real binary.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod bad_input;
mod faults;
mod fuzz;
mod p1;
mod p10;
mod p2;
mod p3;
mod p4;
mod p5;
mod p9;
mod webhooks;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Harnesses that load the machine run one at a time: side by side on two cores they would
/// measure each other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a harness on a runtime of its own.
fn run<F: Future>(harness: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(harness)
}
