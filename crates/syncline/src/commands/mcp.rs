//! `syncline mcp`

use clap::Args;

use crate::failure::Result;
use crate::run::{Run, not_built};

/// Serve an agent's program over MCP on stdin and stdout.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  claude mcp add syncline -- syncline mcp")]
pub struct McpArgs {}

/// Runs the command.
pub fn run(_: &McpArgs, _: &Run) -> Result {
    Err(not_built("mcp"))
}
