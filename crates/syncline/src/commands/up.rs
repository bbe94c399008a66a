//! `syncline up`

use clap::Args;

use crate::failure::Result;
use crate::run::{Run, not_built};

/// Start a node in the foreground.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline up --listen 127.0.0.1:7420")]
pub struct UpArgs {}

/// Runs the command.
pub fn run(_: &UpArgs, _: &Run) -> Result {
    Err(not_built("up"))
}
