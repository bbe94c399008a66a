//! `syncline diff`

use clap::Args;
use syncline_client::{Client, When};
use syncline_model::ids::{Address, Version};
use syncline_model::json::Json;

use super::tag::version_on;
use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::pager::Pages;
use crate::run::{LineName, Run, parse_address, parse_line};
use crate::show;

/// Compare two versions of a context; exit code 1 if they differ.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline diff task/auth-42 5..8\n  syncline diff task/auth-42 5..      against the head\n  syncline diff task/auth-42 agreed..\n  syncline diff task/auth-42          the last change"
)]
pub struct DiffArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// Which versions, by number or tag: 5..8, or 5.. against the head; the last two if left out.
    pub range: Option<String>,
    /// Of this branch, not of main.
    #[arg(long, value_name = "NAME", value_parser = parse_line)]
    pub branch: Option<LineName>,
}

/// Runs the command.
pub async fn run(args: &DiffArgs, run: &Run) -> Result {
    let client = run.client()?;
    let (from, to) = versions(args, &client).await?;
    let branch = args.branch.as_ref().and_then(LineName::branch);
    let answer = client.diff(&args.address, branch, from, to).await?;
    let operations = answer
        .get("patch")
        .and_then(Json::as_array)
        .map_or(0, <[Json]>::len);
    if run.output.is_json() {
        run.output.document(&answer)?;
    } else {
        let changes = show::count(operations as u64, "change");
        let mut pages = Pages::start(run.output);
        pages.line(
            Line::new()
                .styled(Style::Cyan, args.address.as_str())
                .text("  ")
                .styled(Style::Bold, format!("v{from} → v{to}"))
                .text(format!("   {changes}")),
        )?;
        let text = show::text(&answer, "text");
        text.lines()
            .try_for_each(|line| pages.line(coloured(line)))?;
    }
    if operations == 0 {
        Ok(())
    } else {
        Err(Failure::No)
    }
}

fn coloured(line: &str) -> Line {
    let style = match line.chars().next() {
        Some('+') => Style::Green,
        Some('-') => Style::Red,
        Some('~') => Style::Yellow,
        _ => Style::Plain,
    };
    Line::new().styled(style, line)
}

async fn versions(args: &DiffArgs, client: &Client) -> Result<(Version, Version)> {
    let bad = || {
        let range = args.range.as_deref().unwrap_or_default();
        Failure::usage_hint(
            format!("{range:?} is no range of versions"),
            "write 5..8 or 5.., with numbers or tags",
        )
    };
    let branch = args.branch.as_ref().and_then(LineName::branch);
    let version = async |text: &str| version_on(client, &args.address, branch, text).await;
    let (from, to) = match args.range.as_deref() {
        None => (None, None),
        Some(range) => {
            let (from, to) = range.split_once("..").ok_or_else(bad)?;
            if from.is_empty() {
                return Err(bad());
            }
            let to = match to {
                "" => None,
                to => Some(version(to).await?),
            };
            (Some(version(from).await?), to)
        }
    };
    let to = match to {
        Some(to) => to,
        None => {
            let head = client.get_line(&args.address, branch, &When::Head).await?;
            head.version
        }
    };
    match from.or((to.0 > 1).then(|| Version(to.0 - 1))) {
        Some(from) => Ok((from, to)),
        None => Err(Failure::usage(
            "there is one version, and nothing to compare it with",
        )),
    }
}
