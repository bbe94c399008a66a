//! `syncline subscription`

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use syncline_api::{Scope, ScopeTerm};
use syncline_client::NextQuery;
use syncline_model::ids::Address;
use syncline_model::json::{Json, JsonWriter, Limits, Object};

use super::begin;
use super::write::{NoteArgs, receipt_json};
use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::{Run, parse_address};
use crate::show;

/// Deliver changes under a name, until they are acknowledged.
///
/// What a durable subscription delivers comes again unless it is acknowledged in time; what fails
/// too often becomes a dead letter. Several consumers of one name share the work.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  syncline subscription add ci project/web\n  syncline subscription next ci --wait 10\n  syncline subscription ack ci CURSOR"
)]
pub struct SubscriptionArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: SubscriptionVerb,
}

/// What can be done with durable subscriptions.
#[derive(Debug, Subcommand)]
pub enum SubscriptionVerb {
    /// Define one, or define it anew.
    Add(Box<AddArgs>),
    /// List them, each with how it is.
    #[command(after_help = "Example:\n  syncline subscription ls")]
    Ls,
    /// Show one.
    Show(NameArgs),
    /// Take what is next in turn.
    Next(NextArgs),
    /// Acknowledge what was taken, up to a cursor.
    Ack(AckArgs),
    /// Give one delivery back.
    Nack(NackArgs),
    /// List what was given up.
    Dead(DeadArgs),
    /// Deliver a dead letter once more, or all again from a place.
    Replay(ReplayArgs),
    /// Take one back, with its dead letters.
    Rm(RmArgs),
}

/// Define a durable subscription.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline subscription add ci project/web\n  syncline subscription add done --filter '{\"changed\":\"/data/status\"}' --from start"
)]
pub struct AddArgs {
    /// Its name.
    pub name: String,
    /// Which contexts: kind/id, with all below it; the whole workspace if none is named.
    #[arg(value_parser = parse_address)]
    pub addresses: Vec<Address>,
    /// Which of their changes, as JSON.
    #[arg(long, value_name = "JSON")]
    pub filter: Option<String>,
    /// Which of these, as a CEL expression.
    #[arg(long = "where", value_name = "EXPRESSION")]
    pub condition: Option<String>,
    /// Where it begins: now, start (of the log), a cursor, a time (RFC 3339), a day, or how long
    /// ago (90s, 10m, 2h, 7d).
    #[arg(long, default_value = "now", value_name = "WHERE")]
    pub from: String,
    /// How many changes may wait for an acknowledgement.
    #[arg(long, value_name = "N")]
    pub window: Option<u64>,
    /// How long an acknowledgement may take, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub ack_wait: Option<u64>,
    /// After so many deliveries it is a dead letter.
    #[arg(long, value_name = "N")]
    pub max_deliveries: Option<u64>,
}

/// Name a durable subscription.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline subscription show ci")]
pub struct NameArgs {
    /// Its name.
    pub name: String,
}

/// List what was given up, the oldest first.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline subscription dead ci")]
pub struct DeadArgs {
    /// The subscription's name.
    pub name: String,
    /// Go on from an earlier answer's `next`.
    #[arg(long, value_name = "NEXT")]
    pub page: Option<String>,
}

/// Take what is next in turn.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline subscription next ci --limit 10 --wait 30")]
pub struct NextArgs {
    /// The subscription's name.
    pub name: String,
    /// At most so many changes.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Wait so many seconds for the first.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub wait: u64,
    /// As a digest of at most so many bytes.
    #[arg(long, value_name = "BYTES")]
    pub digest: Option<usize>,
    /// Who asks: consumers share the work.
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,
    /// Acknowledge at once what is shown.
    #[arg(long)]
    pub ack: bool,
}

/// Acknowledge what was taken, up to a cursor.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline subscription ack ci CURSOR")]
pub struct AckArgs {
    /// The subscription's name.
    pub name: String,
    /// Up to here; of several, each alone.
    #[arg(required = true)]
    pub cursors: Vec<String>,
    /// Who acknowledges.
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,
}

/// Give one delivery back.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  syncline subscription nack ci CURSOR --delay 60 --reason 'the build is down'"
)]
pub struct NackArgs {
    /// The subscription's name.
    pub name: String,
    /// Which delivery.
    pub cursor: String,
    /// After how many seconds it comes again.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub delay: u64,
    /// Why: a dead letter says it.
    #[arg(long)]
    pub reason: Option<String>,
}

/// Deliver a dead letter once more, or all again from a place.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["cursor", "from"]),
    after_help = "Examples:\n  syncline subscription replay ci CURSOR\n  syncline subscription replay ci --from 2h"
)]
pub struct ReplayArgs {
    /// The subscription's name.
    pub name: String,
    /// Which dead letter.
    pub cursor: Option<String>,
    /// From where all comes again: now, start, a cursor, a time, a day, or how long ago.
    #[arg(long, value_name = "WHERE")]
    pub from: Option<String>,
}

/// Take a durable subscription back.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline subscription rm ci")]
pub struct RmArgs {
    /// Its name.
    pub name: String,
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
}

/// Runs the command.
pub async fn run(args: &SubscriptionArgs, run: &Run) -> Result {
    let client = run.client()?;
    match &args.verb {
        SubscriptionVerb::Add(args) => {
            let made = client.put_subscription(&definition(args)?).await?;
            one(run, &made)
        }
        SubscriptionVerb::Ls => ls(run, &client.subscriptions().await?),
        SubscriptionVerb::Show(args) => {
            let found = client.subscription(&args.name).await?;
            match run.output.is_json() {
                true => run.output.document(&found),
                false => run.output.text(&found.to_pretty()),
            }
        }
        SubscriptionVerb::Next(args) => next(args, run).await,
        SubscriptionVerb::Ack(args) => {
            let what = match args.cursors.as_slice() {
                [cursor] => ("cursor", Json::from(cursor.as_str())),
                several => {
                    let several = several.iter().map(|cursor| Json::from(cursor.as_str()));
                    ("cursors", several.collect())
                }
            };
            let body = ack_of(what, args.consumer.as_deref());
            let acked = client.ack(&args.name, &body).await?;
            said(run, &acked, "acknowledged", "acked")
        }
        SubscriptionVerb::Nack(args) => {
            let nacked = client.nack(&args.name, &nack_of(args)).await?;
            said(run, &nacked, "given back", "nacked")
        }
        SubscriptionVerb::Dead(args) => {
            let page = args.page.as_deref();
            dead(run, &client.dead_letters(&args.name, page).await?)
        }
        SubscriptionVerb::Replay(args) => replay(args, run).await,
        SubscriptionVerb::Rm(args) => {
            let write = args.note.to_write()?;
            let receipt = client.remove_subscription(&args.name, &write).await?;
            match run.output.is_json() {
                true => run.output.document(&receipt_json(&receipt)),
                false => run
                    .output
                    .line(Line::new().text(format!("{} is gone", args.name))),
            }
        }
    }
}

fn definition(args: &AddArgs) -> Result<Json> {
    let mut body = Object::new();
    body.insert("name", Json::from(args.name.as_str()));
    let terms = args.addresses.iter().cloned().map(ScopeTerm::Subtree);
    let terms: Vec<_> = terms.collect();
    let scope = if terms.is_empty() {
        Scope::workspace()
    } else {
        Scope(terms)
    };
    let mut w = JsonWriter::new();
    scope.write(&mut w);
    body.insert("scope", parsed("scope", &w.into_string())?);
    if let Some(filter) = &args.filter {
        body.insert("filter", parsed("--filter", filter)?);
    }
    if let Some(condition) = &args.condition {
        body.insert("where", Json::from(condition.as_str()));
    }
    body.insert("from", place(&args.from)?);
    let numbers = [
        ("window", args.window),
        ("ack_wait_s", args.ack_wait),
        ("max_deliveries", args.max_deliveries),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            body.insert(name, Json::from(number));
        }
    }
    Ok(Json::Object(body))
}

fn parsed(what: &str, text: &str) -> Result<Json> {
    let json = Json::parse(text.as_bytes(), &Limits::default());
    json.map_err(|error| Failure::usage(format!("{what}: {error}")))
}

/// Reads a place, as the wire writes it.
fn place(text: &str) -> Result<Json> {
    let mut w = JsonWriter::new();
    begin::parse(text, &[])?.write(&mut w);
    parsed("--from", &w.into_string())
}

async fn next(args: &NextArgs, run: &Run) -> Result {
    let client = run.client()?;
    let query = NextQuery {
        limit: args.limit,
        wait: Duration::from_secs(args.wait),
        digest: args.digest,
        consumer: args.consumer.clone(),
        ..NextQuery::default()
    };
    let answer = client.next(&args.name, &query).await?;
    match (run.output.is_json(), args.digest) {
        (true, _) => run.output.document(&answer)?,
        (false, Some(_)) => run.output.text(&answer.to_pretty())?,
        (false, None) => show_deliveries(run, &answer)?,
    }
    let shown = items(&answer, "deliveries").iter();
    let shown: Vec<&Json> = shown.filter_map(|it| it.get("cursor")).collect();
    if args.ack && !shown.is_empty() {
        // Each alone: the last cursor would cover what was taken earlier and is still in hand.
        let shown = ("cursors", shown.into_iter().cloned().collect());
        let body = ack_of(shown, args.consumer.as_deref());
        client.ack(&args.name, &body).await?;
    }
    Ok(())
}

fn show_deliveries(run: &Run, answer: &Json) -> Result {
    let mut changes = items(answer, "changes").iter();
    for delivery in items(answer, "deliveries") {
        let times = delivery.get("delivery").and_then(Json::as_u64).unwrap_or(1);
        let count = delivery.get("changes").and_then(Json::as_u64);
        let count = usize::try_from(count.unwrap_or(0)).unwrap_or(usize::MAX);
        for change in changes.by_ref().take(count) {
            let context = change.get("context");
            // What came into the scope brings the whole context.
            let context = context.and_then(|c| c.as_str().or_else(|| c.get("context")?.as_str()));
            let version = change.get("version").and_then(Json::as_u64);
            let again = if times > 1 {
                format!("  ×{times}")
            } else {
                String::new()
            };
            run.output.line(
                Line::new()
                    .cell(Style::Cyan, context.unwrap_or("-"), 24)
                    .cell(
                        Style::Bold,
                        version.map_or(String::new(), |v| format!("v{v}")),
                        6,
                    )
                    .text(format!("{}{again}", show::text(change, "type"))),
            )?;
        }
        let cursor = show::text(delivery, "cursor");
        run.output
            .line(Line::new().styled(Style::Dim, format!("  {cursor}")))?;
    }
    Ok(())
}

/// Acknowledges what a member names.
fn ack_of((name, value): (&str, Json), consumer: Option<&str>) -> Json {
    let mut body = Object::new();
    body.insert(name, value);
    if let Some(consumer) = consumer {
        body.insert("consumer", Json::from(consumer));
    }
    Json::Object(body)
}

fn nack_of(args: &NackArgs) -> Json {
    let mut body = Object::new();
    body.insert("cursor", Json::from(args.cursor.as_str()));
    body.insert("delay_ms", Json::from(args.delay.saturating_mul(1_000)));
    if let Some(reason) = &args.reason {
        body.insert("reason", Json::from(reason.as_str()));
    }
    Json::Object(body)
}

async fn replay(args: &ReplayArgs, run: &Run) -> Result {
    let client = run.client()?;
    if let Some(cursor) = &args.cursor {
        let replayed = client.replay_dead_letter(&args.name, cursor).await?;
        return said(run, &replayed, "delivered once more", "replayed");
    }
    let from = place(args.from.as_deref().unwrap_or("start"))?;
    let body = match from.as_str() {
        Some(word) => {
            let mut body = Object::new();
            body.insert(word, Json::Bool(true));
            Json::Object(body)
        }
        None => from,
    };
    one(run, &client.seek(&args.name, &body).await?)
}

fn ls(run: &Run, answer: &Json) -> Result {
    if run.output.is_json() {
        return run.output.document(answer);
    }
    let all = items(answer, "subscriptions").iter();
    all.map(line).try_for_each(|line| run.output.line(line))
}

fn one(run: &Run, subscription: &Json) -> Result {
    match run.output.is_json() {
        true => run.output.document(subscription),
        false => run.output.line(line(subscription)),
    }
}

/// Shows a subscription in a line.
fn line(subscription: &Json) -> Line {
    let number = |name: &str| subscription.get(name).and_then(Json::as_u64).unwrap_or(0);
    let dead = match number("dead") {
        0 => String::new(),
        dead => format!("  {dead} dead letters"),
    };
    let (behind, waits) = (number("behind"), number("in_flight"));
    Line::new()
        .cell(Style::Cyan, show::text(subscription, "name"), 24)
        .text(format!("{behind} behind  {waits} in flight{dead}"))
}

fn dead(run: &Run, answer: &Json) -> Result {
    if run.output.is_json() {
        return run.output.document(answer);
    }
    for letter in items(answer, "dead") {
        let contexts = items(letter, "contexts").iter().filter_map(Json::as_str);
        let contexts = contexts.collect::<Vec<_>>().join(" ");
        run.output.line(
            Line::new()
                .cell(Style::Cyan, contexts, 24)
                .text(show::text(letter, "reason")),
        )?;
        let cursor = show::text(letter, "cursor");
        run.output
            .line(Line::new().styled(Style::Dim, format!("  {cursor}")))?;
    }
    if let Some(next) = answer.get("next").and_then(Json::as_str) {
        run.output
            .say(Line::new().styled(Style::Dim, format!("there are more: --page {next}")));
    }
    Ok(())
}

fn said(run: &Run, answer: &Json, word: &str, member: &str) -> Result {
    if run.output.is_json() {
        return run.output.document(answer);
    }
    let count = answer.get(member).and_then(Json::as_u64).unwrap_or(0);
    run.output.line(Line::new().text(format!("{count} {word}")))
}

fn items<'a>(json: &'a Json, name: &str) -> &'a [Json] {
    json.get(name).and_then(Json::as_array).unwrap_or_default()
}
