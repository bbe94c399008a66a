//! `syncline explain`

use clap::{Args, Subcommand};
use syncline_model::ids::ChangeId;
use syncline_model::json::Json;

use crate::failure::Result;
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// Say why something is as it is.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  syncline explain delivery CHANGE --subscription ci"
)]
pub struct ExplainArgs {
    /// What to explain.
    #[command(subcommand)]
    pub what: ExplainWhat,
}

/// What can be explained.
#[derive(Debug, Subcommand)]
pub enum ExplainWhat {
    /// Why a change was delivered to a durable subscription, or was not.
    Delivery(DeliveryArgs),
}

/// Say why a change was delivered, or was not.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline explain delivery CHANGE --subscription ci")]
pub struct DeliveryArgs {
    /// The change's id, as `log --json` shows it.
    #[arg(value_parser = parse_change)]
    pub change: ChangeId,
    /// To which durable subscription; all of them if none is named.
    #[arg(long, value_name = "NAME")]
    pub subscription: Option<String>,
}

/// Runs the command.
pub async fn run(args: &ExplainArgs, run: &Run) -> Result {
    let ExplainWhat::Delivery(args) = &args.what;
    let name = args.subscription.as_deref();
    let answer = run.client()?.explain_delivery(&args.change, name).await?;
    if run.output.is_json() {
        return run.output.document(&answer);
    }
    let subscribers = answer.get("subscribers").and_then(Json::as_array);
    for subscriber in subscribers.unwrap_or_default() {
        let wanted = subscriber.get("wanted").and_then(Json::as_bool) == Some(true);
        run.output.line(
            Line::new()
                .cell(Style::Cyan, show::text(subscriber, "subscription"), 24)
                .cell(
                    Style::Bold,
                    if wanted { "wanted" } else { "not wanted" },
                    12,
                )
                .text(show::text(subscriber, "because")),
        )?;
    }
    Ok(())
}

fn parse_change(text: &str) -> std::result::Result<ChangeId, String> {
    ChangeId::parse(text).map_err(|error| error.to_string())
}
