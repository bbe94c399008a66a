//! `syncline rollback`

use clap::Args;
use syncline_model::ids::Address;

use super::tag::version_of;
use super::write::{WriteArgs, show_receipt};
use crate::failure::Result;
use crate::run::{Run, parse_address};

/// Make a context what it was at an earlier version; what lies between stays in its history.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline rollback task/auth-42 7\n  syncline rollback task/auth-42 agreed -m 'back to the plan'"
)]
pub struct RollbackArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// Which version: its number, or its tag.
    #[arg(value_name = "VERSION|TAG")]
    pub version: String,
    /// The flags of every write.
    #[command(flatten)]
    pub write: WriteArgs,
}

/// Runs the command.
pub async fn run(args: &RollbackArgs, run: &Run) -> Result {
    let write = args.write.to_write()?;
    let client = run.client()?;
    let version = version_of(&client, &args.address, &args.version).await?;
    let receipt = client.rollback(&args.address, version, &write).await?;
    show_receipt(run, &client, &args.address, &receipt).await?;
    args.write.judge(&receipt)
}
