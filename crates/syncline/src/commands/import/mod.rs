//! `syncline import`
use crate::failure::Result;
use crate::run::{Run, not_built};
use clap::Args;
/// Read contexts, histories and events from files.
#[derive(Debug, Args)]
pub struct ImportArgs {}
/// Runs the command.
pub async fn run(_: &ImportArgs, _: &Run) -> Result {
    Err(not_built("import"))
}
