//! All tests, after what they need was installed.

use std::time::Instant;

use crate::run::{Result, Step};
use crate::setup;

/// Runs all tests, and doc tests.
pub fn run(rest: &[String]) -> Result {
    setup::for_tests();
    let begun = Instant::now();
    // The list of tests ends with cargo's own summary lines, one for each program.
    Step::cargo(&["test", "--workspace", "--no-fail-fast"])
        .args(rest)
        .run()?;
    eprintln!("all tests passed in {} s", begun.elapsed().as_secs());
    Ok(())
}
