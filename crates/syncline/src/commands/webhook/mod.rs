//! `syncline webhook`

use clap::{ArgGroup, Args, Subcommand};
use syncline_api::{From, ReceiptView};
use syncline_model::json::{Json, Limits, Object};

mod listen;

use super::begin;
use super::write::{NoteArgs, receipt_json};
use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// Post changes to endpoints of others, signed, in order, again until they arrive.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  syncline webhook add https://hooks.example/syncline --subtree project/web\n  syncline webhook ls\n  syncline webhook dead 0199…"
)]
pub struct WebhookArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: WebhookVerb,
}

/// What can be done with webhooks.
#[derive(Debug, Subcommand)]
pub enum WebhookVerb {
    /// Make a webhook, and show its secret once.
    Add(AddArgs),
    /// List webhooks, and how they do.
    Ls(LsArgs),
    /// Show one, and how it does.
    #[command(after_help = "Example:\n  syncline webhook show 0199…")]
    Show(WhichArgs),
    /// Post a test event, and tell the status of the answer.
    #[command(after_help = "Example:\n  syncline webhook test 0199…")]
    Test(WhichArgs),
    /// End one.
    #[command(after_help = "Example:\n  syncline webhook rm 0199… -m 'nobody listens any more'")]
    Rm(ChangeArgs),
    /// Call it again, though it was turned off or given up.
    #[command(after_help = "Example:\n  syncline webhook enable 0199…")]
    Enable(ChangeArgs),
    /// Call it no more; what happens meanwhile is sent later.
    #[command(after_help = "Example:\n  syncline webhook disable 0199… -m 'they move house'")]
    Disable(ChangeArgs),
    /// Make a new secret; the old one signs for a day beside it.
    #[command(after_help = "Example:\n  syncline webhook rotate 0199…")]
    Rotate(WhichArgs),
    /// List its newest attempts.
    Log(LogArgs),
    /// List the events that were given up.
    Dead(DeadArgs),
    /// Send events again.
    Replay(ReplayArgs),
    /// Receive events on this machine, verify them, and show them.
    Listen(listen::ListenArgs),
}

/// Make a webhook.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  syncline webhook add https://hooks.example/syncline --subtree project/web --filter '{\"exact\":{\"kind\":\"task\"}}'"
)]
pub struct AddArgs {
    /// Where changes are posted to.
    #[arg(value_name = "URL")]
    pub endpoint: String,
    /// Only this context; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    pub context: Vec<String>,
    /// Only what lies at or below this context; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    pub subtree: Vec<String>,
    /// Only changes that this filter matches, as JSON.
    #[arg(long, value_name = "JSON")]
    pub filter: Option<String>,
    /// Only changes for which this expression is true.
    #[arg(long, value_name = "CEL")]
    pub r#where: Option<String>,
    /// In which form: delta, snapshot or thin.
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// A file with the secret, such as whsec_…; one is made if it is left out.
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<std::path::PathBuf>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
}

/// List webhooks.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline webhook ls")]
pub struct LsArgs {}

/// Name a webhook.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// Which webhook, by its id.
    pub webhook: String,
}

/// Change a webhook.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// Which webhook, by its id.
    pub webhook: String,
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
}

/// List a webhook's newest attempts.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline webhook log 0199… --limit 20")]
pub struct LogArgs {
    /// Which webhook, by its id.
    pub webhook: String,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
}

/// List the events that a webhook gave up.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline webhook dead 0199…")]
pub struct DeadArgs {
    /// Which webhook, by its id.
    pub webhook: String,
    /// Go on from an earlier answer's `next`.
    #[arg(long, value_name = "NEXT")]
    pub page: Option<String>,
}

/// Send events again.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["dead", "change", "from"]),
    after_help = "Examples:\n  syncline webhook replay 0199… --dead\n  syncline webhook replay 0199… --change 0199…\n  syncline webhook replay 0199… --from 2h"
)]
#[group(skip)]
pub struct ReplayArgs {
    /// Which webhook, by its id.
    pub webhook: String,
    /// All that was given up.
    #[arg(long)]
    pub dead: bool,
    /// One change.
    #[arg(long, value_name = "UUID")]
    pub change: Option<String>,
    /// What lies after this place: start (of the log), a cursor, a time (RFC 3339), a day, or how
    /// long ago (90s, 10m, 2h, 7d).
    #[arg(long, visible_alias = "after", value_name = "WHERE")]
    pub from: Option<String>,
    /// And not after this cursor.
    #[arg(long, value_name = "CURSOR", requires = "from")]
    pub until: Option<String>,
}

/// Runs the command.
pub async fn run(args: &WebhookArgs, run: &Run) -> Result {
    match &args.verb {
        WebhookVerb::Add(args) => add(args, run).await,
        WebhookVerb::Ls(_) => ls(run).await,
        WebhookVerb::Show(args) => {
            let webhook = run.client()?.webhook(&args.webhook).await?;
            match run.output.is_json() {
                true => run.output.document(&webhook),
                false => run.output.text(&webhook.to_pretty()),
            }
        }
        WebhookVerb::Test(args) => test(args, run).await,
        WebhookVerb::Rm(args) => {
            let write = args.note.to_write()?;
            let removed = run.client()?.remove_webhook(&args.webhook, &write).await?;
            changed(run, &args.webhook, &removed, "is gone")
        }
        WebhookVerb::Enable(args) => enable(args, run, true).await,
        WebhookVerb::Disable(args) => enable(args, run, false).await,
        WebhookVerb::Rotate(args) => rotate(args, run).await,
        WebhookVerb::Log(args) => log(args, run).await,
        WebhookVerb::Dead(args) => dead(args, run).await,
        WebhookVerb::Replay(args) => replay(args, run).await,
        WebhookVerb::Listen(args) => listen::listen(args, run).await,
    }
}

async fn add(args: &AddArgs, run: &Run) -> Result {
    let mut webhook = Object::new();
    webhook.insert("url", Json::from(args.endpoint.as_str()));
    let term = |name: &'static str| {
        move |address: &String| {
            let mut term = Object::new();
            term.insert(name, Json::from(address.as_str()));
            Json::Object(term)
        }
    };
    let contexts = args.context.iter().map(term("context"));
    let scope: Vec<Json> = contexts
        .chain(args.subtree.iter().map(term("subtree")))
        .collect();
    if !scope.is_empty() {
        webhook.insert("scope", Json::from(scope));
    }
    if let Some(filter) = &args.filter {
        let filter = Json::parse(filter.as_bytes(), &Limits::wire());
        let filter = filter.map_err(|error| Failure::usage(format!("--filter: {error}")))?;
        webhook.insert("filter", filter);
    }
    let texts = [
        ("where", args.r#where.clone()),
        ("mode", args.mode.clone()),
        ("description", args.description.clone()),
        ("secret", secret(args)?),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            webhook.insert(name, Json::from(text.as_str()));
        }
    }
    let write = args.note.to_write()?;
    let client = run.client()?;
    let made = client
        .create_webhook(&Json::Object(webhook), &write)
        .await?;
    if run.output.is_json() {
        return run.output.document(&made);
    }
    let id = show::text(&made, "id");
    run.output
        .line(Line::new().text("webhook ").styled(Style::Cyan, id))?;
    match made.get("secret").and_then(Json::as_str) {
        Some(secret) => {
            run.output
                .line(Line::new().text("secret  ").styled(Style::Bold, secret))?;
            run.output
                .say(Line::new().text("It is shown this once; the endpoint verifies with it."));
        }
        None => run
            .output
            .say(Line::new().text("It was made before; `webhook rotate` makes a new secret.")),
    }
    Ok(())
}

/// A secret on the command line would be seen by every process of the machine.
fn secret(args: &AddArgs) -> Result<Option<String>> {
    let Some(path) = &args.secret_file else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Failure::file("read", path, &error))?;
    Ok(Some(text.trim().to_owned()))
}

async fn ls(run: &Run) -> Result {
    let answer = run.client()?.webhooks().await?;
    if run.output.is_json() {
        return run.output.document(&answer);
    }
    let webhooks = answer.get("webhooks").and_then(Json::as_array);
    for webhook in webhooks.unwrap_or_default() {
        let number = |name: &str| webhook.get(name).and_then(Json::as_u64).unwrap_or(0);
        let status = show::text(webhook, "status");
        let style = match status {
            "active" => Style::Green,
            "disabled" => Style::Red,
            _ => Style::Yellow,
        };
        let counts = format!(
            "{} arrived  {} wait  {} given up  ",
            number("delivered"),
            number("outstanding") + number("lag"),
            number("dead")
        );
        run.output.line(
            Line::new()
                .cell(Style::Cyan, show::text(webhook, "id"), 38)
                .cell(style, status, 12)
                .text(counts)
                .text(show::text(webhook, "url")),
        )?;
    }
    Ok(())
}

async fn test(args: &WhichArgs, run: &Run) -> Result {
    let told = run.client()?.test_webhook(&args.webhook).await?;
    let status = told.get("status").and_then(Json::as_u64);
    if run.output.is_json() {
        run.output.document(&told)?;
    } else {
        let text = match status {
            Some(status) => format!("the endpoint answered {status}"),
            None => format!("no answer: {}", show::text(&told, "error")),
        };
        run.output.line(Line::new().text(text))?;
    }
    match status {
        Some(200..=299) => Ok(()),
        _ => Err(Failure::No),
    }
}

async fn enable(args: &ChangeArgs, run: &Run, enabled: bool) -> Result {
    let mut wanted = Object::new();
    wanted.insert("enabled", Json::from(enabled));
    let write = args.note.to_write()?;
    let client = run.client()?;
    let wanted = Json::Object(wanted);
    let receipt = client
        .change_webhook(&args.webhook, &wanted, &write)
        .await?;
    let word = if enabled {
        "is called"
    } else {
        "is called no more"
    };
    changed(run, &args.webhook, &receipt, word)
}

fn changed(run: &Run, id: &str, receipt: &ReceiptView, word: &str) -> Result {
    if run.output.is_json() {
        return run.output.document(&receipt_json(receipt));
    }
    let line = Line::new().text("webhook ").styled(Style::Cyan, id);
    run.output.line(line.text(format!(" {word}")))
}

async fn rotate(args: &WhichArgs, run: &Run) -> Result {
    let rotated = run.client()?.rotate_webhook(&args.webhook).await?;
    if run.output.is_json() {
        return run.output.document(&rotated);
    }
    let secret = show::text(&rotated, "secret");
    run.output
        .line(Line::new().text("secret  ").styled(Style::Bold, secret))?;
    let until = show::text(&rotated, "old_signs_until");
    run.output
        .say(Line::new().text(format!("The old one signs beside it until {until}.")));
    Ok(())
}

async fn log(args: &LogArgs, run: &Run) -> Result {
    let answer = run
        .client()?
        .webhook_attempts(&args.webhook, args.limit)
        .await?;
    if run.output.is_json() {
        return run.output.document(&answer);
    }
    let attempts = answer.get("attempts").and_then(Json::as_array);
    for attempt in attempts.unwrap_or_default() {
        let number = |name: &str| attempt.get(name).and_then(Json::as_u64);
        let outcome = show::text(attempt, "outcome");
        let style = match outcome {
            "delivered" => Style::Green,
            "failed" => Style::Red,
            _ => Style::Plain,
        };
        let status = number("status").map(|status| status.to_string());
        run.output.line(
            Line::new()
                .cell(Style::Dim, show::text(attempt, "at"), 26)
                .cell(style, outcome, 12)
                .cell(Style::Plain, status.unwrap_or_default(), 5)
                .cell(
                    Style::Plain,
                    format!("#{}", number("attempt").unwrap_or(0)),
                    5,
                )
                .cell(Style::Cyan, show::text(attempt, "context"), 24)
                .text(show::text(attempt, "error")),
        )?;
    }
    Ok(())
}

async fn dead(args: &DeadArgs, run: &Run) -> Result {
    let client = run.client()?;
    let answer = client
        .webhook_dead(&args.webhook, args.page.as_deref())
        .await?;
    if run.output.is_json() {
        return run.output.document(&answer);
    }
    let letters = answer.get("dead").and_then(Json::as_array);
    for letter in letters.unwrap_or_default() {
        run.output.line(
            Line::new()
                .cell(Style::Bold, show::text(letter, "change"), 38)
                .cell(Style::Cyan, show::text(letter, "context"), 24)
                .text(show::text(letter, "error")),
        )?;
    }
    if let Some(next) = answer.get("next").and_then(Json::as_str) {
        run.output
            .say(Line::new().text(format!("more: --page {next}")));
    }
    Ok(())
}

async fn replay(args: &ReplayArgs, run: &Run) -> Result {
    let mut what = Object::new();
    if args.dead {
        what.insert("dead", Json::from(true));
    }
    if let Some(from) = &args.from {
        let (name, place) = match begin::parse(from, &[])? {
            From::Start => ("since", "start".to_owned()),
            From::Time(time) => ("since", time.to_string()),
            From::Cursor(cursor) => ("after", cursor),
            From::Now | From::Snapshot => {
                return Err(Failure::usage("--from now: nothing lies after it"));
            }
        };
        what.insert(name, Json::from(place));
    }
    for (name, text) in [("change", &args.change), ("until", &args.until)] {
        if let Some(text) = text {
            what.insert(name, Json::from(text.as_str()));
        }
    }
    let answer = run
        .client()?
        .replay_webhook(&args.webhook, &Json::Object(what))
        .await?;
    if run.output.is_json() {
        return run.output.document(&answer);
    }
    let text = match answer.get("events").and_then(Json::as_u64) {
        Some(1) => "1 event is sent again".to_owned(),
        Some(events) => format!("{events} events are sent again"),
        None => "what lies there is sent again".to_owned(),
    };
    run.output.line(Line::new().text(text))
}
