//! `syncline merge`

use clap::Args;
use syncline_model::ids::{Address, BranchName};

use super::write::{WriteArgs, show_receipt};
use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::{LineName, Run, parse_address, parse_line};
use crate::show;

/// Merge a branch of a context into main, or main or another branch into it.
///
/// What both lines have since they were merged last, whichever way, or since the branch began, is
/// merged three-way.
/// What clashes waits in the queue, and the line keeps what it has there. --dry-run writes
/// nothing, names what would clash, and ends with exit code 1 if anything would.
#[derive(Debug, Args)]
#[command(
    // It starts from what the lines have in common, and refuses another base.
    mut_arg("base", |base| base.hide(true)),
    after_help = "Examples:\n  syncline merge task/auth-42 try-b --dry-run\n  syncline merge task/auth-42 try-b -m 'signed cookies it is'\n  syncline merge task/auth-42 main --into try-b"
)]
pub struct MergeArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// Which branch, or main.
    #[arg(value_name = "BRANCH", value_parser = parse_line)]
    pub from: LineName,
    /// Into this branch, not into main.
    #[arg(long, value_name = "NAME", value_parser = parse_line, conflicts_with = "branch")]
    pub into: Option<LineName>,
    /// Only tell what it would come to.
    #[arg(long)]
    pub dry_run: bool,
    /// The flags of every write.
    #[command(flatten)]
    pub write: WriteArgs,
}

/// Runs the command.
pub async fn run(args: &MergeArgs, run: &Run) -> Result {
    let into = args.into.as_ref().or(args.write.branch.as_ref());
    let into = into.and_then(LineName::branch);
    if args.dry_run {
        return dry_run(args, into, run).await;
    }
    let mut write = args.write.to_write()?;
    // The body names the line; a query beside it could only contradict it.
    write.branch = None;
    let client = run.client()?;
    let receipt = client
        .merge_branch(&args.address, args.from.branch(), into, &write)
        .await?;
    show_receipt(run, &client, &args.address, &receipt).await?;
    args.write.judge(&receipt)
}

async fn dry_run(args: &MergeArgs, into: Option<&BranchName>, run: &Run) -> Result {
    let client = run.client()?;
    let mut write = args.write.to_write()?;
    write.branch = None;
    let trial = client
        .try_merge(&args.address, args.from.branch(), into, &write)
        .await?;
    if run.output.is_json() {
        run.output.document(&trial.json)?;
    } else if trial.clean {
        let into = into.map_or("main", BranchName::as_str);
        run.output.line(format!(
            "{}  {} would merge into {into} without a clash",
            args.address,
            args.from.as_str()
        ))?;
    } else {
        let clashes = show::count(trial.clashes.len() as u64, "place");
        run.output.line(format!(
            "{}  {} would clash at {clashes}",
            args.address,
            args.from.as_str()
        ))?;
        for path in &trial.clashes {
            let line = Line::new().styled(Style::Red, "  × ");
            run.output.line(line.text(show::place(path)))?;
        }
    }
    if trial.clean {
        Ok(())
    } else {
        Err(Failure::No)
    }
}
