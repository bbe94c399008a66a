//! P1, durable: what was acknowledged survives.

use syncline_testkit::Fault;
use syncline_testkit::prove::{Plan, p1_blocks, p1_fsync, p1_kill, p1_power};

use crate::{run, side_by_side};

#[test]
fn p1_two_hundred_kills_lose_nothing() {
    let _beside = side_by_side();
    run(p1_kill::run(Plan::runs(200))).assert_kept();
}

#[test]
fn p1_fifty_power_cuts_lose_nothing() {
    let _beside = side_by_side();
    run(p1_power::run(Plan::runs(50))).assert_kept();
}

#[test]
fn p1_nothing_refused_is_there_after_a_failed_sync() {
    let _beside = side_by_side();
    run(p1_fsync::run(Plan::runs(100_000))).assert_kept();
}

#[test]
fn p1_a_disk_that_refuses_blocks_loses_nothing_acknowledged() {
    let _beside = side_by_side();
    run(p1_blocks::run(Plan::runs(6))).assert_kept();
}

#[test]
fn p1_harness_catches_answer_before_commit() {
    let _beside = side_by_side();
    run(p1_kill::run(
        Plan::runs(300).with(Fault::AnswerBeforeCommit),
    ))
    .assert_caught();
}

#[test]
fn p1_harness_catches_sync_normal() {
    let _beside = side_by_side();
    run(p1_power::run(Plan::runs(20).with(Fault::SyncNormal))).assert_caught();
}

#[test]
fn p1_harness_catches_skip_fsync() {
    let _beside = side_by_side();
    run(p1_power::run(Plan::runs(20).with(Fault::SkipFsync))).assert_caught();
}
