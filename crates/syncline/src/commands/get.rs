//! `syncline get`

use clap::Args;
use syncline_client::When;
use syncline_model::ids::{Address, BranchName};
use syncline_model::json::Json;

use super::tag::version_on;
use crate::failure::Result;
use crate::output::{Line, Style};
use crate::run::{LineName, Run, parse_address, parse_line};
use crate::show;

/// Show a context: its head, or an earlier version.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline get task/auth-42\n  syncline get task/auth-42 --version 5 --json\n  syncline get task/auth-42 --version agreed\n  syncline get task/auth-42 --fields /title,/data/status"
)]
pub struct GetArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// Show this version: its number, or its tag.
    #[arg(long, value_name = "N|TAG", conflicts_with = "at")]
    pub version: Option<String>,
    /// Show what it was at this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// As this branch has it, not main.
    #[arg(long, value_name = "NAME", value_parser = parse_line)]
    pub branch: Option<LineName>,
    /// Only these parts: pointers, separated by commas.
    #[arg(long, value_name = "POINTERS")]
    pub fields: Option<String>,
    /// Shorten the answer to about so many tokens.
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<u64>,
}

/// Runs the command.
pub async fn run(args: &GetArgs, run: &Run) -> Result {
    let client = run.client()?;
    let branch = args.branch.as_ref().and_then(LineName::branch);
    let when = match (&args.version, &args.at) {
        (Some(text), _) => When::Version(version_on(&client, &args.address, branch, text).await?),
        (None, Some(time)) => When::At(time.clone()),
        (None, None) => When::Head,
    };
    let max_tokens = args.max_tokens.map(|tokens| tokens.to_string());
    let branch = branch.map(BranchName::as_str);
    let mut more = Vec::new();
    more.extend(branch.map(|branch| ("branch", branch)));
    more.extend(args.fields.as_deref().map(|fields| ("fields", fields)));
    more.extend(max_tokens.as_deref().map(|tokens| ("max_tokens", tokens)));
    let context = client.get_json(&args.address, &when, &more).await?;
    if run.output.is_json() {
        run.output.document(&context)
    } else {
        show_context(run, &context)
    }
}

fn show_context(run: &Run, context: &Json) -> Result {
    let number = |name| context.get(name).and_then(Json::as_u64);
    let version = number("version")
        .map(|version| format!("v{version}"))
        .unwrap_or_default();
    let mut head = Line::new()
        .styled(Style::Cyan, show::text(context, "context"))
        .text("  ")
        .styled(Style::Bold, version);
    let words = ["state", "level"].map(|name| show::text(context, name));
    for word in words.into_iter().filter(|word| !word.is_empty()) {
        head = head.text("  ").text(word);
    }
    if let Some(time) = show::time(context, "updated_at") {
        let ago = format!("{} ago", show::ago(time, show::now()));
        let who = show::actor_of(context);
        let parts = [who, ago].into_iter().filter(|part| !part.is_empty());
        let parts: Vec<_> = parts.collect();
        head = head.styled(Style::Dim, format!("  {}", parts.join(", ")));
    }
    run.output.line(head)?;
    for name in ["title", "description", "parent", "owner"] {
        let text = show::text(context, name);
        if !text.is_empty() {
            run.output.line(labelled(name, text))?;
        }
    }
    let labels = context.get("labels").and_then(Json::as_object);
    let labels = labels.into_iter().flat_map(|labels| labels.iter());
    let labels: Vec<_> = labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if !labels.is_empty() {
        run.output.line(labelled("labels", &labels.join("  ")))?;
    }
    let open = context.get("conflicts").and_then(Json::as_array);
    let open = open.map_or(0, <[Json]>::len);
    if open > 0 {
        let open = format!("× {} open", show::count(open as u64, "conflict"));
        let line = Line::new().cell(Style::Dim, "conflicts", 12);
        run.output.line(line.styled(Style::Red, open))?;
    }
    for name in [
        "collaborators",
        "permissions",
        "data",
        "metadata",
        "partial",
    ] {
        let value = context.get(name).filter(|value| value.weight() > 2);
        if let Some(value) = value {
            run.output.line(Line::new().styled(Style::Dim, name))?;
            run.output.text(&value.to_pretty())?;
        }
    }
    Ok(())
}

fn labelled(name: &str, text: &str) -> Line {
    Line::new().cell(Style::Dim, name, 12).text(text)
}
