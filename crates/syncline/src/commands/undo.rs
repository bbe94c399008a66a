//! `syncline undo`

use clap::Args;
use syncline_model::ids::Address;

use super::write::{WriteArgs, show_receipt};
use crate::failure::Result;
use crate::run::{Run, parse_address};

/// Take back your newest change of a context; what others wrote since stays.
///
/// With --agent or SYNCLINE_AGENT it is that agent's newest change, else that of your key.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline undo task/auth-42 --agent claude-1")]
pub struct UndoArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// The flags of every write.
    #[command(flatten)]
    pub write: WriteArgs,
}

/// Runs the command.
pub async fn run(args: &UndoArgs, run: &Run) -> Result {
    let write = args.write.to_write()?;
    let client = run.client()?;
    let receipt = client.undo(&args.address, &write).await?;
    show_receipt(run, &client, &args.address, &receipt).await?;
    args.write.judge(&receipt)
}
