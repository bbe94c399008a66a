//! `syncline branch`

use clap::{Args, Subcommand};
use syncline_client::When;
use syncline_model::ids::{Address, BranchName};
use syncline_model::json::Json;
use syncline_model::proposal::Precondition;

use super::merge::{self, MergeArgs};
use super::tag::version_of;
use super::write::{NoteArgs, show_receipt};
use crate::failure::Result;
use crate::output::{Line, Style};
use crate::run::{Run, parse_address, parse_branch};
use crate::show;

/// Begin, list, merge and end lines of versions beside main.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  syncline branch add task/auth-42 try-b --from 7\n  syncline patch task/auth-42 data.plan='signed cookies' --branch try-b\n  syncline branch merge task/auth-42 try-b"
)]
pub struct BranchArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: BranchVerb,
}

/// What can be done with branches.
#[derive(Debug, Subcommand)]
pub enum BranchVerb {
    /// Begin a branch of a context.
    Add(AddArgs),
    /// List the branches of a context.
    Ls(LsArgs),
    /// End a branch; its history stays.
    Rm(RmArgs),
    /// Merge a branch into main, or main or another branch into it.
    Merge(MergeArgs),
}

/// Begin a branch of a context, as a version of main was.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline branch add task/auth-42 try-b --from 7")]
pub struct AddArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// The branch's name.
    #[arg(value_name = "NAME", value_parser = parse_branch)]
    pub name: BranchName,
    /// From this version of main, or the one with this tag; the head if left out.
    #[arg(long, value_name = "VERSION|TAG")]
    pub from: Option<String>,
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
}

/// List the branches of a context.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline branch ls task/auth-42")]
pub struct LsArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
}

/// End a branch; its history stays.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline branch rm task/auth-42 try-b")]
pub struct RmArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// The branch's name.
    #[arg(value_name = "NAME", value_parser = parse_branch)]
    pub name: BranchName,
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
}

/// Runs the command.
pub async fn run(args: &BranchArgs, run: &Run) -> Result {
    match &args.verb {
        BranchVerb::Add(args) => add(args, run).await,
        BranchVerb::Ls(args) => ls(args, run).await,
        BranchVerb::Rm(args) => rm(args, run).await,
        BranchVerb::Merge(args) => merge::run(args, run).await,
    }
}

async fn add(args: &AddArgs, run: &Run) -> Result {
    let write = args.note.to_write()?;
    let client = run.client()?;
    let from = match &args.from {
        Some(text) => Some(version_of(&client, &args.address, text).await?),
        None => None,
    };
    let made = client.create_branch(&args.address, &args.name, from, &write);
    show_receipt(run, &client, &args.address, &made.await?).await
}

async fn rm(args: &RmArgs, run: &Run) -> Result {
    let mut write = args.note.to_write()?;
    let client = run.client()?;
    write.precondition = match write.id {
        // A resend has to say the same, whatever the branch is by then.
        Some(_) => Precondition::MatchAny,
        None => {
            let head = client.get_line(&args.address, Some(&args.name), &When::Head);
            Precondition::Match(vec![head.await?.etag])
        }
    };
    let removed = client.remove_branch(&args.address, &args.name, &write);
    show_receipt(run, &client, &args.address, &removed.await?).await
}

async fn ls(args: &LsArgs, run: &Run) -> Result {
    let answer = run.client()?.branches(&args.address).await?;
    if run.output.is_json() {
        return run.output.document(&answer);
    }
    let branches = answer.get("branches").and_then(Json::as_array);
    for branch in branches.unwrap_or_default() {
        let number = |name: &str| branch.get(name).and_then(Json::as_u64);
        let version = number("version").unwrap_or(0);
        let from = number("from").map(|from| format!("from v{from}"));
        let time = show::time(branch, "updated_at");
        let ago = time.map(|time| show::ago(time, show::now()));
        run.output.line(
            Line::new()
                .cell(Style::Cyan, show::text(branch, "name"), 16)
                .text("  ")
                .cell(Style::Bold, format!("v{version}"), 6)
                .cell(Style::Plain, from.unwrap_or_default(), 10)
                .cell(Style::Dim, ago.unwrap_or_default(), 8)
                .text(show::actor_of(branch)),
        )?;
    }
    Ok(())
}
