//! Tests of syncline-merge at its API: the RFCs' examples, laws, bounds, and real histories.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod arbitrary;
mod bounds;
mod diff;
mod histories;
mod laws;
mod merge;
mod merge_patch;
mod patch;
mod readable;
mod suite;

use syncline_merge::ApplyLimits;
use syncline_model::json::{Json, Limits, Pointer};

/// Limits that no test reaches by accident.
const WIDE: ApplyLimits = ApplyLimits {
    depth_max: 128,
    weight_max: 1 << 30,
};

#[track_caller]
fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Limits::wire()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).unwrap()
}
