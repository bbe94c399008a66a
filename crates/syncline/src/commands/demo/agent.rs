//! One agent of a demo.

use clap::Args;

use crate::failure::Result;
use crate::run::{Run, not_built};

/// One agent of a demo.
#[derive(Debug, Args)]
pub struct AgentArgs {}

/// Runs the command.
pub fn run(_: &AgentArgs, _: &Run) -> Result {
    Err(not_built("demo"))
}
