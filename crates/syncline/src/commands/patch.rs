//! `syncline patch`

use std::path::PathBuf;

use clap::Args;
use syncline_model::ids::Address;

use super::input;
use super::write::{WriteArgs, show_receipt};
use crate::failure::{Failure, Result};
use crate::run::{Run, parse_address};

/// Change parts of a context.
///
/// Assignments set single values by JSON Merge Patch (`data.status=done`; null removes); a file
/// holds a merge patch, or with --json-patch a list of operations.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline patch task/auth-42 data.status=done -m 'login works'\n  syncline patch task/auth-42 data.status=done --base 7\n  syncline patch task/auth-42 --json-patch -f steps.json"
)]
pub struct PatchArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// What changes: path=value.
    #[arg(value_name = "PATH=VALUE")]
    pub assignments: Vec<String>,
    /// Read the patch from a file; - for stdin.
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The file holds a JSON Patch (RFC 6902).
    #[arg(long)]
    pub json_patch: bool,
    /// Create the context if it is missing.
    #[arg(long)]
    pub create: bool,
    /// Create missing parents.
    #[arg(long)]
    pub create_parents: bool,
    /// The flags of every write.
    #[command(flatten)]
    pub write: WriteArgs,
}

/// Runs the command.
pub async fn run(args: &PatchArgs, run: &Run) -> Result {
    if args.assignments.is_empty() && args.file.is_none() {
        return Err(Failure::usage_hint(
            "there is nothing to change",
            "write data.status=done",
        ));
    }
    let body = input::body(&args.assignments, args.file.as_deref())?;
    if args.json_patch != body.as_array().is_some() {
        return Err(match args.json_patch {
            true => Failure::usage("a JSON Patch is a list of operations"),
            false => Failure::usage_hint("a merge patch is an object", "a list needs --json-patch"),
        });
    }
    let mut write = args.write.to_write()?;
    write.create = args.create;
    write.create_parents = args.create_parents;
    let client = run.client()?;
    let receipt = client.patch(&args.address, &body, &write).await?;
    show_receipt(run, &client, &args.address, &receipt).await?;
    args.write.judge(&receipt)
}
