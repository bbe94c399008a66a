//! `syncline blame`

use clap::Args;
use syncline_model::ids::Address;
use syncline_model::json::Json;

use crate::clean;
use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::{LineName, Run, parse_address, parse_line};
use crate::show;

/// How much of a value that was beaten is shown.
const BEATEN_CHARS_MAX: usize = 200;

/// Tell which change last set a field, by whom, and what it beat.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline blame task/auth-42 /data/status")]
pub struct BlameArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// Which field, such as /data/status or /data/steps[id=s2]/owner.
    #[arg(value_name = "PATH")]
    pub path: String,
    /// On this branch, not on main.
    #[arg(long, value_name = "NAME", value_parser = parse_line)]
    pub branch: Option<LineName>,
}

/// Runs the command.
pub async fn run(args: &BlameArgs, run: &Run) -> Result {
    if !args.path.starts_with('/') {
        return Err(Failure::usage_hint(
            format!("{:?} is no path", args.path),
            format!("write /{}", args.path.replace('.', "/")),
        ));
    }
    let branch = args.branch.as_ref().and_then(LineName::branch);
    let blamed = run
        .client()?
        .blame(&args.address, branch, &args.path)
        .await?;
    if run.output.is_json() {
        return run.output.document(&blamed);
    }
    let version = blamed.get("version").and_then(Json::as_u64).unwrap_or(0);
    let ago = show::time(&blamed, "committed_at");
    let ago = ago.map(|time| show::ago(time, show::now()));
    run.output.line(
        Line::new()
            .styled(Style::Cyan, &args.path)
            .text("  ")
            .styled(Style::Bold, format!("v{version}"))
            .text(match show::text(&blamed, "branch") {
                "" => String::new(),
                branch => format!(" on {branch}"),
            })
            .text("  ")
            .text(show::actor_of(&blamed))
            .styled(Style::Dim, format!("  {}  ", ago.unwrap_or_default()))
            .text(clean::shorten(show::text(&blamed, "message"), 80)),
    )?;
    let actor = blamed.get("actor");
    let through = [("session", "session"), ("tool_call", "tool call")].map(|(name, word)| {
        let said = actor.map_or("", |actor| show::text(actor, name));
        (!said.is_empty()).then(|| format!("{word} {said}"))
    });
    let through: Vec<_> = through.into_iter().flatten().collect();
    if !through.is_empty() {
        run.output.line(format!("  {}", through.join(", ")))?;
    }
    let rule = show::text(&blamed, "rule");
    if !rule.is_empty() {
        run.output.line(match rule {
            "settled" => "  settled".to_owned(),
            rule => format!("  merged by {rule}"),
        })?;
    }
    let beat = blamed.get("beat").and_then(Json::as_array);
    for value in beat.unwrap_or_default() {
        let value = clean::shorten(&value.to_text(), BEATEN_CHARS_MAX);
        let line = Line::new().styled(Style::Red, "  beat ");
        run.output.line(line.text(value))?;
    }
    Ok(())
}
