//! `syncline rm`

use clap::Args;
use syncline_client::When;
use syncline_model::ids::Address;
use syncline_model::json::Json;
use syncline_model::proposal::Precondition;

use super::write::{WriteArgs, show_receipt};
use crate::failure::Result;
use crate::run::{LineName, Run, parse_address};
use crate::show;

/// Delete a context; its history stays, and `restore` brings it back.
///
/// Without --if-match or --base, the head as it is now is deleted, and nothing if it moves
/// meanwhile; with --id, whatever the head is.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline rm task/auth-42 -m 'done elsewhere'")]
pub struct RmArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// Also delete all below it, as one bulk.
    #[arg(long)]
    pub subtree: bool,
    /// The flags of every write.
    #[command(flatten)]
    pub write: WriteArgs,
}

/// Runs the command.
pub async fn run(args: &RmArgs, run: &Run) -> Result {
    let client = run.client()?;
    let mut write = args.write.to_write()?;
    let is_open = write.precondition == Precondition::None && write.base.is_none();
    if is_open && write.id.is_some() {
        // A resend has to say the same, whatever the head is by then.
        write.precondition = Precondition::MatchAny;
    } else if is_open {
        let branch = args.write.branch.as_ref().and_then(LineName::branch);
        let head = client.get_line(&args.address, branch, &When::Head).await?;
        write.precondition = Precondition::Match(vec![head.etag]);
    }
    if !args.subtree {
        let receipt = client.delete(&args.address, &write).await?;
        show_receipt(run, &client, &args.address, &receipt).await?;
        return args.write.judge(&receipt);
    }
    let answer = client.delete_subtree(&args.address, &write).await?;
    let receipts = answer.get("receipts").and_then(Json::as_array);
    let receipts = receipts.unwrap_or_default();
    if run.output.is_json() {
        return run.output.document(&answer);
    }
    let deleted = show::count(receipts.len() as u64, "context");
    run.output
        .line(format!("{}  {deleted} deleted", args.address))
}
