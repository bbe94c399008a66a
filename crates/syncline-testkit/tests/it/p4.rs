//! P4, no lost update: for each acknowledged write its effect, or its conflict, is found afterwards.

use syncline_testkit::Fault;
use syncline_testkit::prove::{Plan, p4};

use crate::{run, side_by_side};

#[test]
fn p4_concurrent_writes_lose_nothing() {
    let _beside = side_by_side();
    run(p4::run(Plan::runs(2))).assert_kept();
}

#[test]
fn p4_harness_catches_ignore_base() {
    let _beside = side_by_side();
    run(p4::run(Plan::runs(2).with(Fault::IgnoreBase))).assert_caught();
}
