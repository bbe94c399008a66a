//! `syncline stats`

use clap::Args;
use syncline_model::json::Json;

use crate::failure::Result;
use crate::output::{Line, Style};
use crate::run::Run;

/// Show the node's numbers.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline stats --json")]
pub struct StatsArgs {}

/// Runs the command.
pub async fn run(_: &StatsArgs, run: &Run) -> Result {
    let stats = run.client()?.stats().await?;
    if run.output.is_json() {
        return run.output.document(&stats);
    }
    let mut rows = Vec::new();
    flatten("", &stats, &mut rows);
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    rows.into_iter().try_for_each(|(name, value)| {
        run.output
            .line(Line::new().cell(Style::Dim, name, width + 2).text(value))
    })
}

/// Lists every scalar with its dotted name.
fn flatten(above: &str, value: &Json, rows: &mut Vec<(String, String)>) {
    let below = |name: &str| match above {
        "" => name.to_owned(),
        _ => format!("{above}.{name}"),
    };
    match value {
        Json::Object(members) => {
            members
                .iter()
                .for_each(|(name, value)| flatten(&below(name), value, rows));
        }
        Json::Array(items) => {
            let each = items.iter().enumerate();
            each.for_each(|(index, item)| flatten(&below(&index.to_string()), item, rows));
        }
        Json::String(text) => rows.push((above.to_owned(), text.to_string())),
        scalar => rows.push((above.to_owned(), scalar.to_text())),
    }
}
