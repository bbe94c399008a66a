//! `syncline restore`

use clap::Args;
use syncline_model::ids::Address;

use super::write::{WriteArgs, show_receipt};
use crate::failure::Result;
use crate::run::{Run, parse_address};

/// Bring a deleted context back as it was.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline restore task/auth-42")]
pub struct RestoreArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// The flags of every write.
    #[command(flatten)]
    pub write: WriteArgs,
}

/// Runs the command.
pub async fn run(args: &RestoreArgs, run: &Run) -> Result {
    let write = args.write.to_write()?;
    let client = run.client()?;
    let receipt = client.restore(&args.address, &write).await?;
    show_receipt(run, &client, &args.address, &receipt).await?;
    args.write.judge(&receipt)
}
