//! `syncline verify`

use clap::Args;

use crate::failure::Result;
use crate::run::{Run, not_built};

/// Check all that is stored against its hashes; exit code 1 if something is rotten.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline verify --data ~/backup/syncline")]
pub struct VerifyArgs {}

/// Runs the command.
pub fn run(_: &VerifyArgs, _: &Run) -> Result {
    Err(not_built("verify"))
}
