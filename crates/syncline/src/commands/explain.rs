//! `syncline explain`

use clap::{Args, Subcommand};
use syncline_client::Subscriber;
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
    /// Why a change was delivered to a subscriber, or was not.
    Delivery(DeliveryArgs),
}

/// Say why a change was delivered, or was not.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline explain delivery CHANGE --subscription ci")]
pub struct DeliveryArgs {
    /// The change's id, as `log --json` shows it.
    #[arg(value_parser = parse_change)]
    pub change: ChangeId,
    /// To which durable subscription; without a subscriber all are shown.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["webhook", "connection"])]
    pub subscription: Option<String>,
    /// To which webhook.
    #[arg(long, value_name = "ID", conflicts_with = "connection")]
    pub webhook: Option<String>,
    /// To a live subscription of which connection, as `stats --json` lists them.
    #[arg(long, value_name = "ID", requires = "sub")]
    pub connection: Option<String>,
    /// To which subscription of the connection; that of an event stream is `stream`.
    #[arg(long, value_name = "ID", requires = "connection")]
    pub sub: Option<String>,
}

impl DeliveryArgs {
    fn subscriber(&self) -> Subscriber<'_> {
        match (
            &self.subscription,
            &self.webhook,
            &self.connection,
            &self.sub,
        ) {
            (Some(name), ..) => Subscriber::Durable(name),
            (_, Some(id), ..) => Subscriber::Webhook(id),
            (_, _, Some(connection), Some(sub)) => Subscriber::Live { connection, sub },
            _ => Subscriber::All,
        }
    }
}

/// Names a subscriber by what it is.
fn name(subscriber: &Json) -> String {
    let text = |name| show::text(subscriber, name);
    match (text("subscription"), text("webhook")) {
        ("", "") => format!("live subscription {}", text("sub")),
        ("", id) => format!("webhook {id}"),
        (name, _) => name.to_owned(),
    }
}

/// Runs the command.
pub async fn run(args: &ExplainArgs, run: &Run) -> Result {
    let ExplainWhat::Delivery(args) = &args.what;
    let answer = run
        .client()?
        .explain_delivery(&args.change, &args.subscriber())
        .await?;
    if run.output.is_json() {
        return run.output.document(&answer);
    }
    let subscribers = answer.get("subscribers").and_then(Json::as_array);
    for subscriber in subscribers.unwrap_or_default() {
        let wanted = subscriber.get("wanted").and_then(Json::as_bool) == Some(true);
        run.output.line(
            Line::new()
                .cell(Style::Cyan, name(subscriber), 32)
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
