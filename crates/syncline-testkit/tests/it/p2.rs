//! P2, ordered: one gapless order for all readers.

use syncline_testkit::Fault;
use syncline_testkit::prove::{Plan, p2_order};

use crate::{run, side_by_side};

#[test]
fn p2_all_readers_see_one_gapless_order() {
    let _beside = side_by_side();
    run(p2_order::run(Plan::runs(2))).assert_kept();
}

#[test]
fn p2_harness_catches_drop_event() {
    let _beside = side_by_side();
    run(p2_order::run(Plan::runs(3).with(Fault::DropEvent))).assert_caught();
}
