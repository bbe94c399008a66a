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

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::new(());

/// Harnesses that measure a rate or a memory, or how soon something is noticed, run with no other
/// beside them: side by side they would measure each other.
fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Harnesses that hold what they hear against what they sent run side by side, each with nodes and
/// disks of its own: load changes when things happen, which is theirs to choose at random, and not
/// what is right.
fn side_by_side() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a harness on a runtime of its own.
fn run<F: Future>(harness: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(harness)
}
