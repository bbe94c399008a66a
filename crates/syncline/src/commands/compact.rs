//! `syncline compact`

use clap::Args;
use syncline_model::json::Json;

use crate::failure::Result;
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// Thin old versions now, where a policy says so, and pack what stays; the node does it daily by
/// itself.
///
/// Without a policy history is kept for ever: see `syncline schema add --retention`, and the
/// settings `retention` and `keep_all_days`. Tags, branch points and open conflicts are spared.
/// The records of long histories are framed: packed together, with nothing lost.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  syncline compact --dry-run\n  syncline compact")]
pub struct CompactArgs {
    /// Only count what would go, and what would be framed.
    #[arg(long)]
    pub dry_run: bool,
}

/// Runs the command.
pub async fn run(args: &CompactArgs, run: &Run) -> Result {
    let done = run.client()?.compact(args.dry_run).await?;
    if run.output.is_json() {
        return run.output.document(&done);
    }
    let number = |name: &str| done.get(name).and_then(Json::as_u64).unwrap_or(0);
    let (verb, freed) = match args.dry_run {
        true => ("would go", String::new()),
        false => ("are gone", format!("   {} bytes freed", number("bytes"))),
    };
    run.output.line(
        Line::new()
            .styled(Style::Bold, show::count(number("thinned"), "version"))
            .text(format!(
                " of {} old ones {verb}, in {}",
                number("looked_at"),
                show::count(number("contexts"), "context"),
            ))
            .styled(Style::Dim, freed),
    )?;
    let framed = number("framed");
    if framed == 0 {
        return Ok(());
    }
    let (before, after) = (number("framed_bytes_before"), number("framed_bytes_after"));
    let verb = match args.dry_run {
        true => "would be",
        false => "are",
    };
    run.output.line(
        Line::new()
            .styled(Style::Bold, show::count(framed, "record"))
            .text(format!(" {verb} framed"))
            .styled(Style::Dim, format!("   {before} bytes before, {after} now")),
    )
}
