//! P3, once: a change id takes effect once, whenever and through whichever door it comes again.

use syncline_testkit::Fault;
use syncline_testkit::prove::{Plan, p1_kill, p3};

use crate::{run, side_by_side};

#[test]
fn p3_resends_take_effect_once() {
    let _beside = side_by_side();
    run(p3::run(Plan::runs(60))).assert_kept();
}

#[test]
fn p3_harness_catches_forget_id() {
    let _beside = side_by_side();
    run(p3::run(Plan::runs(5).with(Fault::ForgetId))).assert_caught();
}

#[test]
fn p3_kill_harness_catches_forget_id() {
    let _beside = side_by_side();
    run(p1_kill::run(Plan::runs(10).with(Fault::ForgetId))).assert_caught();
}
