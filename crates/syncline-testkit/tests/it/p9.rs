//! P9, bounded: a slow consumer never slows a writer.

use syncline_testkit::prove::{Plan, p9};

use crate::{alone, run};

#[test]
fn p9_subscribers_that_stop_reading_cost_little_and_lose_nothing() {
    let _alone = alone();
    // `cargo xtask prove p9` has a thousand; a machine for tests may be small.
    run(p9::run_with(Plan::runs(1), 100)).assert_kept();
}
