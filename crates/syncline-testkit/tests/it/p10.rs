//! P10, honest: status tells the truth.

use syncline_testkit::prove::{Plan, p10};

use crate::{alone, run};

#[test]
fn p10_status_tells_of_a_full_disk_a_stuck_writer_and_rot() {
    let _alone = alone();
    run(p10::run(Plan::runs(1))).assert_kept();
}
