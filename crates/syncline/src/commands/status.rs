//! `syncline status`

use clap::Args;
use syncline_model::json::Json;

use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// Tell how the node is; exit code 1 if it is not well.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline status --json")]
pub struct StatusArgs {}

/// Runs the command.
pub async fn run(_: &StatusArgs, run: &Run) -> Result {
    let status = run.client()?.status().await?;
    let healthy = status
        .get("healthy")
        .and_then(Json::as_bool)
        .unwrap_or(false);
    if run.output.is_json() {
        run.output.document(&status)?;
    } else {
        show_status(run, &status, healthy)?;
    }
    if healthy { Ok(()) } else { Err(Failure::No) }
}

fn show_status(run: &Run, status: &Json, healthy: bool) -> Result {
    let (mark, word, style) = match healthy {
        true => ("✅ ", "healthy", Style::Green),
        false => ("🔴 ", "unwell", Style::Red),
    };
    run.output.line(
        Line::new()
            .text(mark)
            .styled(style, word)
            .text(format!("   node {}", show::text(status, "node")))
            .styled(
                Style::Dim,
                format!("   epoch {}", show::text(status, "epoch")),
            ),
    )?;
    let reasons = status
        .get("reasons")
        .and_then(Json::as_array)
        .unwrap_or_default();
    for reason in reasons {
        let reason = reason
            .as_str()
            .map_or_else(|| reason.to_text(), str::to_owned);
        run.output
            .line(Line::new().styled(Style::Red, "   ").text(reason))?;
    }
    let known = ["node", "epoch", "cursor", "healthy", "reasons"];
    let others = status
        .as_object()
        .into_iter()
        .flat_map(|members| members.iter());
    for (name, value) in others.filter(|(name, _)| !known.contains(name)) {
        let value = value
            .as_str()
            .map_or_else(|| value.to_text(), str::to_owned);
        run.output.line(
            Line::new()
                .text("   ")
                .cell(Style::Dim, name, 18)
                .text(value),
        )?;
    }
    Ok(())
}
