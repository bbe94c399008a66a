//! `syncline put`

use std::path::PathBuf;

use clap::Args;
use syncline_api::Code;
use syncline_model::ids::Address;
use syncline_model::proposal::Precondition;

use super::input;
use super::write::{WriteArgs, show_receipt};
use crate::failure::{Failure, Result};
use crate::run::{Run, parse_address};

/// Create a context, or replace the members that are named.
///
/// The body is a JSON object in a file (-f, `-` for stdin) or assignments: `title='Fix login'`,
/// `data.status=open`, `labels.area=auth`. A value that is JSON is taken as such, else as a text.
/// An existing context is replaced only with --base, --if-match or --overwrite.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline put task/auth-42 title='Fix login' data.status=open parent=project/web --create-parents\n  syncline put task/auth-42 -f task.json --base 7\n  syncline put task/auth-42 -f task.json --base 7 --strategy latest_wins --strict"
)]
pub struct PutArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// What it holds: member=value.
    #[arg(value_name = "MEMBER=VALUE")]
    pub assignments: Vec<String>,
    /// Read the body from a file; - for stdin.
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only create: refuse if it exists.
    #[arg(long, conflicts_with_all = ["overwrite", "if_match", "base"])]
    pub new: bool,
    /// Replace it whatever it is.
    #[arg(long, conflicts_with_all = ["if_match", "base"])]
    pub overwrite: bool,
    /// Create missing parents.
    #[arg(long)]
    pub create_parents: bool,
    /// The flags of every write.
    #[command(flatten)]
    pub write: WriteArgs,
}

/// Runs the command.
pub async fn run(args: &PutArgs, run: &Run) -> Result {
    let body = input::body(&args.assignments, args.file.as_deref())?;
    let mut write = args.write.to_write()?;
    write.create_parents = args.create_parents;
    if args.new {
        write.precondition = Precondition::NoneMatchAny;
    }
    let client = run.client()?;
    let mut sent = client.put(&args.address, &body, &write).await;
    if args.overwrite
        && sent
            .as_ref()
            .is_err_and(|problem| problem.code == Code::PreconditionRequired)
    {
        // A refusal is kept under its id, so what is meant now takes another.
        write.precondition = Precondition::MatchAny;
        write.id = write.id.map(|id| id.derive("overwrite"));
        sent = client.put(&args.address, &body, &write).await;
    }
    let receipt = sent.map_err(|problem| {
        let exists = problem.code == Code::PreconditionRequired;
        let hint = "it exists: change parts with `syncline patch`, or name what you saw with --base, \
                    or replace it with --overwrite";
        Failure::Problem(if exists { problem.hint(hint) } else { problem })
    })?;
    show_receipt(run, &client, &args.address, &receipt).await?;
    args.write.judge(&receipt)
}
