//! P5, resumable: each change once, in order, or a reset.

use syncline_testkit::Fault;
use syncline_testkit::prove::{Plan, p5, p5_durable, p5_sim};

use crate::{run, side_by_side};

#[test]
fn p5_subscribers_that_come_and_go_miss_nothing() {
    let _beside = side_by_side();
    run(p5::run(Plan::runs(5))).assert_kept();
}

#[test]
fn p5_harness_catches_drop_event() {
    let _beside = side_by_side();
    run(p5::run(Plan::runs(5).with(Fault::DropEvent))).assert_caught();
}

#[test]
fn p5_harness_catches_live_before_listen() {
    let _beside = side_by_side();
    run(p5::run(Plan::runs(8).with(Fault::LiveBeforeListen))).assert_caught();
}

#[test]
fn p5_simulated_readers_miss_nothing() {
    run(p5_sim::run(Plan::runs(150))).assert_kept();
}

#[test]
fn p5_simulation_catches_its_faults() {
    for fault in [
        Fault::DropEvent,
        Fault::LiveBeforeListen,
        Fault::AckBeforeSend,
    ] {
        run(p5_sim::run(Plan::runs(50).with(fault))).assert_caught();
    }
}

/// What simulations found once: a context out of the scope that was asked for again and kept for
/// ever; changes to and fro that became none; a part that a change moved which was not wanted, and
/// which the next wanted one did not tell.
#[test]
fn p5_seeds_that_found_something_stay_good() {
    for seed in [3_116, 3_049, 796_007_119] {
        let plan = Plan {
            seed,
            ..Plan::runs(1)
        };
        run(p5_sim::run(plan)).assert_kept();
    }
}

#[test]
fn p5_consumers_of_a_killed_node_get_everything_at_least_once() {
    let _beside = side_by_side();
    run(p5_durable::run(Plan::runs(2))).assert_kept();
}

#[test]
fn p5_durable_harness_catches_drop_event() {
    let _beside = side_by_side();
    run(p5_durable::run(Plan::runs(3).with(Fault::DropEvent))).assert_caught();
}
