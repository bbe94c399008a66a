//! `syncline demo`

pub mod agent;

use clap::Args;

use crate::failure::Result;
use crate::run::{Run, not_built};

/// See it work: agents on one feature, on a node of its own.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline demo --speed 2")]
pub struct DemoArgs {}

/// Runs the command.
pub fn run(_: &DemoArgs, _: &Run) -> Result {
    Err(not_built("demo"))
}
