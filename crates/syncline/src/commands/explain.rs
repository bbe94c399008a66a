//! `syncline explain`

use clap::{Args, Subcommand};
use syncline_client::Subscriber;
use syncline_model::ids::ChangeId;
use syncline_model::json::{Json, Object};

use crate::clean;
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
        ("", "") => {
            let (sub, connection) = (text("sub"), text("connection"));
            format!("live subscription {sub} of connection {connection}")
        }
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
        reasons(subscriber)
            .into_iter()
            .try_for_each(|line| run.output.line(line))?;
    }
    Ok(())
}

/// Bounds what is shown of a clause; `--json` has it whole.
const CLAUSE_CHARS_MAX: usize = 100;
/// Bounds the attempts that are shown.
const ATTEMPTS_MAX: usize = 10;

/// Returns what the answer rests on: terms, clauses, access, and how far the delivery came.
fn reasons(subscriber: &Json) -> Vec<Line> {
    let list = |name| subscriber.get(name).and_then(Json::as_array);
    let mut lines = Vec::new();
    for term in list("terms").unwrap_or_default() {
        let text = term.get("term").map(Json::to_text).unwrap_or_default();
        lines.push(clause_line("scope", 0, term, &text));
    }
    for clause in list("filter").unwrap_or_default() {
        clauses(clause, 0, &mut lines);
    }
    if let Some(condition) = subscriber.get("where") {
        let text = show::text(condition, "expression");
        lines.push(clause_line("where", 0, condition, text));
    }
    lines.push(line_of("rule", show::text(subscriber, "rule")));
    let status = show::text(subscriber, "status");
    if !status.is_empty() {
        let circuit = show::text(subscriber, "circuit").replace('_', " ");
        lines.push(line_of("status", &format!("{status}, circuit {circuit}")));
    }
    if let Some(queue) = subscriber.get("queue") {
        lines.push(line_of("queue", &members(queue)));
    }
    if let Some(acknowledged) = subscriber.get("acknowledged").and_then(Json::as_bool) {
        lines.push(line_of(
            "acknowledged",
            if acknowledged { "yes" } else { "no" },
        ));
    }
    let attempts = list("attempts").unwrap_or_default();
    for attempt in attempts.iter().take(ATTEMPTS_MAX) {
        lines.push(line_of("attempt", &members(attempt)));
    }
    if let Some(more) = attempts.len().checked_sub(ATTEMPTS_MAX).filter(|n| *n > 0) {
        lines.push(line_of("attempt", &format!("{more} more; --json has all")));
    }
    if let Some(dead) = subscriber.get("dead") {
        lines.push(line_of("dead letter", &members(dead)));
    }
    lines
}

/// Adds a clause, and below it those that it is made of.
fn clauses(clause: &Json, depth: usize, lines: &mut Vec<Line>) {
    let text = clause.get("clause").map(Json::to_text).unwrap_or_default();
    lines.push(clause_line("filter", depth, clause, &text));
    let parts = clause.get("of").and_then(Json::as_array);
    for part in parts.unwrap_or_default() {
        clauses(part, depth + 1, lines);
    }
}

fn clause_line(name: &str, depth: usize, clause: &Json, text: &str) -> Line {
    let holds = clause.get("holds").and_then(Json::as_bool) == Some(true);
    let (style, word) = match holds {
        true => (Style::Green, "holds"),
        false => (Style::Red, "fails"),
    };
    let line = label(name)
        .cell(style, word, 7)
        .text("  ".repeat(depth))
        .text(clean::shorten(text, CLAUSE_CHARS_MAX));
    match show::text(clause, "wrong") {
        "" => line,
        wrong => line.styled(Style::Dim, format!("   {wrong}")),
    }
}

fn line_of(name: &str, text: &str) -> Line {
    label(name).text(text)
}

fn label(name: &str) -> Line {
    Line::new().text("  ").cell(Style::Dim, name, 14)
}

/// Writes an object's members as `name value`, the most telling ones first.
fn members(object: &Json) -> String {
    const FIRST: [&str; 3] = ["state", "outcome", "at"];
    let named = |name: &str| {
        let value = object.get(name)?;
        let text = value
            .as_str()
            .map_or_else(|| value.to_text(), str::to_owned);
        // A consumer without a name has an empty one.
        if text.is_empty() {
            return None;
        }
        Some(match FIRST.contains(&name) {
            true => text,
            false => format!("{} {text}", name.replace('_', " ")),
        })
    };
    let all = object.as_object().into_iter().flat_map(Object::keys);
    let rest = all
        .map(AsRef::as_ref)
        .filter(|name: &&str| !FIRST.contains(name));
    let told: Vec<String> = FIRST.into_iter().chain(rest).filter_map(named).collect();
    told.join(", ")
}

fn parse_change(text: &str) -> std::result::Result<ChangeId, String> {
    ChangeId::parse(text).map_err(|error| error.to_string())
}
