//! `syncline diff`

use clap::Args;
use syncline_client::{Client, When};
use syncline_model::ids::{Address, BranchName, Version};
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
    after_help = "Examples:\n  syncline diff task/auth-42 5..8\n  syncline diff task/auth-42 5..      against the head\n  syncline diff task/auth-42 agreed..\n  syncline diff task/auth-42          the last change\n  syncline diff task/auth-42 --to-branch try    main beside a branch"
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
    /// The second one is of this line: main or a branch. Of both lines the heads, unless you say.
    #[arg(long, value_name = "NAME", value_parser = parse_line)]
    pub to_branch: Option<LineName>,
}

impl DiffArgs {
    /// Returns the lines of both versions.
    fn lines(&self) -> [Option<&BranchName>; 2] {
        let from = self.branch.as_ref();
        let lines = [from, self.to_branch.as_ref().or(from)];
        lines.map(|line| line.and_then(LineName::branch))
    }
}

/// Runs the command.
pub async fn run(args: &DiffArgs, run: &Run) -> Result {
    let client = run.client()?;
    let (from, to) = versions(args, &client).await?;
    let [line, other] = args.lines();
    let ends = [(line, from), (other, to)];
    let answer = client.diff(&args.address, ends).await?;
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
                .styled(Style::Bold, versions_in_words(args, from, to))
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

/// Says what is compared; where that is of two lines, of which.
fn versions_in_words(args: &DiffArgs, from: Version, to: Version) -> String {
    let name = |line: Option<&BranchName>| line.map_or("main", BranchName::as_str).to_owned();
    match args.lines() {
        [line, other] if line == other => format!("v{from} → v{to}"),
        [line, other] => format!("{} v{from} → {} v{to}", name(line), name(other)),
    }
}

async fn versions(args: &DiffArgs, client: &Client) -> Result<(Version, Version)> {
    let bad = || {
        let range = args.range.as_deref().unwrap_or_default();
        Failure::usage_hint(
            format!("{range:?} is no range of versions"),
            "write 5..8 or 5.., with numbers or tags",
        )
    };
    let [line, other] = args.lines();
    let version = async |line, text: &str| version_on(client, &args.address, line, text).await;
    let (from, to) = match args.range.as_deref() {
        None => (None, None),
        Some(range) => {
            let (from, to) = range.split_once("..").ok_or_else(bad)?;
            if from.is_empty() {
                return Err(bad());
            }
            let to = match to {
                "" => None,
                to => Some(version(other, to).await?),
            };
            (Some(version(line, from).await?), to)
        }
    };
    let head = async |line| {
        let head = client.get_line(&args.address, line, &When::Head).await?;
        Ok::<_, Failure>(head.version)
    };
    let to = match to {
        Some(to) => to,
        None => head(other).await?,
    };
    let from = match from {
        None if line != other => Some(head(line).await?),
        from => from,
    };
    match from.or((to.0 > 1).then(|| Version(to.0 - 1))) {
        Some(from) => Ok((from, to)),
        None => Err(Failure::usage(
            "there is one version, and nothing to compare it with",
        )),
    }
}
