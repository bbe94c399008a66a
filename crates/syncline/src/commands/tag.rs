//! `syncline tag` and `syncline checkpoint`

use clap::{Args, Subcommand};
use syncline_client::{Client, When};
use syncline_model::ids::{Address, BranchName, Name, Version};
use syncline_model::json::Json;

use super::write::{NoteArgs, receipt_json};
use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::{Run, parse_address};

/// Name versions of a context, to find them again.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  syncline tag add task/auth-42 agreed 7\n  syncline tag ls task/auth-42\n  syncline rollback task/auth-42 agreed"
)]
pub struct TagArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: TagVerb,
}

/// What can be done with tags.
#[derive(Debug, Subcommand)]
pub enum TagVerb {
    /// Name a version.
    Add(AddArgs),
    /// List the names of a context's versions.
    Ls(LsArgs),
    /// Take a name away.
    Rm(RmArgs),
}

/// Name a version of a context.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline tag add task/auth-42 agreed 7")]
pub struct AddArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// The name.
    #[arg(value_parser = parse_name)]
    pub name: Name,
    /// Which version; the head if left out.
    pub version: Option<String>,
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
}

/// List the names of a context's versions.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline tag ls task/auth-42")]
pub struct LsArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
}

/// Take a version's name away.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline tag rm task/auth-42 agreed")]
pub struct RmArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// The name.
    #[arg(value_parser = parse_name)]
    pub name: Name,
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
}

/// Name the head of a context, to come back to it: `tag add` without a version.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline checkpoint task/auth-42 before-refactoring")]
pub struct CheckpointArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// The name.
    #[arg(value_parser = parse_name)]
    pub name: Name,
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
}

/// Runs `syncline tag`.
pub async fn run(args: &TagArgs, run: &Run) -> Result {
    match &args.verb {
        TagVerb::Add(args) => {
            let version = args.version.as_deref();
            add(run, &args.address, &args.name, version, &args.note).await
        }
        TagVerb::Ls(args) => ls(args, run).await,
        TagVerb::Rm(args) => rm(args, run).await,
    }
}

/// Runs `syncline checkpoint`.
pub async fn checkpoint(args: &CheckpointArgs, run: &Run) -> Result {
    add(run, &args.address, &args.name, None, &args.note).await
}

async fn add(
    run: &Run,
    address: &Address,
    name: &Name,
    version: Option<&str>,
    note: &NoteArgs,
) -> Result {
    let write = note.to_write()?;
    let client = run.client()?;
    let version = match version {
        Some(text) => version_of(&client, address, text).await?,
        None => client.get(address, &When::Head).await?.version,
    };
    let receipt = client.put_tag(address, name, version, &write).await?;
    if run.output.is_json() {
        return run.output.document(&receipt_json(&receipt));
    }
    run.output.line(
        Line::new()
            .styled(Style::Cyan, address.as_str())
            .text("  ")
            .styled(Style::Bold, format!("v{version}"))
            .text(format!("  tag:{name}")),
    )
}

async fn rm(args: &RmArgs, run: &Run) -> Result {
    let write = args.note.to_write()?;
    let client = run.client()?;
    let receipt = client.remove_tag(&args.address, &args.name, &write).await?;
    if run.output.is_json() {
        return run.output.document(&receipt_json(&receipt));
    }
    let line = Line::new().styled(Style::Cyan, args.address.as_str());
    run.output
        .line(line.text(format!("  tag:{} is gone", args.name)))
}

async fn ls(args: &LsArgs, run: &Run) -> Result {
    let answer = run.client()?.tags(&args.address).await?;
    if run.output.is_json() {
        return run.output.document(&answer);
    }
    for (version, name) in tags_of(&answer) {
        let line = Line::new().cell(Style::Bold, format!("v{version}"), 8);
        run.output.line(line.text(format!("tag:{name}")))?;
    }
    Ok(())
}

/// Returns the versions that have names, and the names, as `…/tags` answers, in their order.
pub fn tags_of(answer: &Json) -> Vec<(Version, String)> {
    let tags = answer.get("tags").and_then(Json::as_object);
    let tag = |(name, tag): (&str, &Json)| {
        let version = tag.get("version")?.as_u64()?;
        Some((Version(version), name.to_owned()))
    };
    let tags = tags.into_iter().flat_map(|tags| tags.iter());
    let mut tags: Vec<_> = tags.filter_map(tag).collect();
    tags.sort();
    tags
}

/// Returns the version that a text names: by its number, or by a tag of the context.
pub async fn version_of(client: &Client, address: &Address, text: &str) -> Result<Version> {
    if let Ok(version) = Version::parse(text.strip_prefix('v').unwrap_or(text)) {
        return Ok(version);
    }
    let name = text.strip_prefix("tag:").unwrap_or(text);
    let tags = tags_of(&client.tags(address).await?);
    let found = tags.into_iter().find(|(_, tag)| tag == name);
    found.map(|(version, _)| version).ok_or_else(|| {
        Failure::usage_hint(
            format!("{address} has no version and no tag {text:?}"),
            format!(
                "`syncline tag ls {address}` lists its tags, `syncline log {address}` its versions"
            ),
        )
    })
}

/// As [`version_of`], on a line; tags name versions of `main`.
pub async fn version_on(
    client: &Client,
    address: &Address,
    branch: Option<&BranchName>,
    text: &str,
) -> Result<Version> {
    match (
        branch,
        Version::parse(text.strip_prefix('v').unwrap_or(text)),
    ) {
        (_, Ok(version)) => Ok(version),
        (None, Err(_)) => version_of(client, address, text).await,
        (Some(branch), Err(_)) => Err(Failure::usage_hint(
            format!("{text:?} is no number of a version, and tags name versions of main"),
            format!("`syncline log {address} --branch {branch}` lists its versions"),
        )),
    }
}

fn parse_name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|error| error.to_string())
}
