//! P9, bounded: a slow consumer never slows a writer.

use syncline_testkit::prove::{Plan, p9};

use crate::{alone, run};

#[test]
fn p9_subscribers_that_stop_reading_cost_little_and_lose_nothing() {
    let _alone = alone();
    run(p9::run(Plan::runs(1))).assert_kept();
}
