//! `syncline schema`

use std::path::PathBuf;
use std::str::FromStr as _;

use clap::{Args, Subcommand};
use syncline_api::ReceiptView;
use syncline_engine::schema_address;
use syncline_model::conflict::Strategy;
use syncline_model::ids::{Kind, Version};
use syncline_model::json::{Json, Object};

use super::input::read_json;
use super::log;
use super::write::{NoteArgs, receipt_json};
use crate::failure::Result;
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// Say what documents of a kind look like, and how they merge.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  syncline schema add business_rule -f rule.schema.json --strategy field_merge\n  syncline schema show business_rule --version 2\n  syncline schema log business_rule\n  syncline schema ls"
)]
pub struct SchemaArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: SchemaVerb,
}

/// What can be done with schemas.
#[derive(Debug, Subcommand)]
pub enum SchemaVerb {
    /// Declare a kind.
    Add(AddArgs),
    /// Show the history of what was declared for a kind.
    Log(LogArgs),
    /// List the kinds that are declared.
    Ls(LsArgs),
    /// Take back what is declared for a kind.
    Rm(RmArgs),
    /// Show what is declared for a kind.
    Show(ShowArgs),
}

/// Declare a kind: its JSON Schema, and how its contexts merge.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  syncline schema add business_rule -f rule.schema.json --fallback latest_wins --retention 90,daily"
)]
pub struct AddArgs {
    /// Which kind.
    #[arg(value_parser = parse_kind)]
    pub kind: Kind,
    /// The JSON Schema (2020-12) of what stands in `data`; - for stdin.
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How clashes are resolved, where neither the write nor its context says.
    #[arg(long, value_name = "STRATEGY", value_parser = Strategy::from_str)]
    pub strategy: Option<Strategy>,
    /// What is done with a clash that the strategy leaves.
    #[arg(long, value_name = "STRATEGY", value_parser = Strategy::from_str)]
    pub fallback: Option<Strategy>,
    /// Thin versions older than DAYS, at least 30: keep the last of each day (daily), what has a
    /// tag (tagged), or so many.
    #[arg(long, value_name = "DAYS,daily|tagged|N", value_parser = parse_retention)]
    pub retention: Option<Retention>,
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
}

/// How long versions are kept.
#[derive(Clone, Debug)]
pub struct Retention {
    keep_all_days: u64,
    then: Json,
}

impl Retention {
    /// Returns the policy as it is declared.
    pub fn to_json(&self) -> Json {
        let mut policy = Object::new();
        policy.insert("keep_all_days", Json::from(self.keep_all_days));
        policy.insert("then", self.then.clone());
        Json::Object(policy)
    }
}

/// List the kinds that are declared.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline schema ls")]
pub struct LsArgs {}

/// Show the history of what was declared for a kind, the newest version first.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline schema log business_rule")]
pub struct LogArgs {
    /// Which kind.
    #[arg(value_parser = parse_kind)]
    pub kind: Kind,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// Go on from an earlier answer's `next`.
    #[arg(long, value_name = "NEXT")]
    pub page: Option<String>,
}

/// Show what is declared for a kind.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline schema show business_rule\n  syncline schema show business_rule --version 2"
)]
pub struct ShowArgs {
    /// Which kind.
    #[arg(value_parser = parse_kind)]
    pub kind: Kind,
    /// What was declared at this version.
    #[arg(long, value_name = "N", value_parser = Version::parse)]
    pub version: Option<Version>,
}

/// Take back what is declared for a kind; its history stays.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline schema rm business_rule")]
pub struct RmArgs {
    /// Which kind.
    #[arg(value_parser = parse_kind)]
    pub kind: Kind,
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
}

/// Runs the command.
pub async fn run(args: &SchemaArgs, run: &Run) -> Result {
    match &args.verb {
        SchemaVerb::Add(args) => add(args, run).await,
        SchemaVerb::Log(args) => {
            let versions = log::LogArgs {
                address: schema_address(&args.kind),
                branch: None,
                limit: args.limit,
                page: args.page.clone(),
            };
            log::run(&versions, run).await
        }
        SchemaVerb::Ls(_) => ls(run).await,
        SchemaVerb::Rm(args) => {
            let write = args.note.to_write()?;
            let removed = run.client()?.remove_schema(&args.kind, &write).await?;
            declared(run, &format!("schema {}", args.kind), &removed)
        }
        SchemaVerb::Show(args) => {
            let declared = run.client()?.schema(&args.kind, args.version).await?;
            match run.output.is_json() {
                true => run.output.document(&declared),
                false => {
                    warn_of_ignored(run, &declared);
                    run.output.text(&declared.to_pretty())
                }
            }
        }
    }
}

/// Names the `x-merge` that have no effect.
fn warn_of_ignored(run: &Run, declared: &Json) {
    let ignored = declared.get("ignored").and_then(Json::as_array);
    for rule in ignored.unwrap_or_default() {
        let (place, reason) = (show::text(rule, "pointer"), show::text(rule, "reason"));
        run.output
            .warn(format!("x-merge at {place} has no effect: {reason}"));
    }
}

async fn add(args: &AddArgs, run: &Run) -> Result {
    let mut declared = Object::new();
    if let Some(file) = &args.file {
        declared.insert("schema", read_json(file)?);
    }
    let words = [("strategy", args.strategy), ("fallback", args.fallback)];
    for (name, strategy) in words {
        if let Some(strategy) = strategy {
            declared.insert(name, Json::from(strategy.as_str()));
        }
    }
    if let Some(retention) = &args.retention {
        declared.insert("retention", retention.to_json());
    }
    let write = args.note.to_write()?;
    let declared = Json::Object(declared);
    let client = run.client()?;
    let receipt = client.put_schema(&args.kind, &declared, &write).await?;
    // The declaration stands whether or not it can be read again.
    if let Ok(declared) = client.schema(&args.kind, receipt.version).await {
        warn_of_ignored(run, &declared);
    }
    self::declared(run, &format!("schema {}", args.kind), &receipt)
}

/// Shows what came of a declaration.
pub fn declared(run: &Run, what: &str, receipt: &ReceiptView) -> Result {
    if run.output.is_json() {
        return run.output.document(&receipt_json(receipt));
    }
    let version = receipt.version.map(|version| format!("v{version}"));
    run.output.line(
        Line::new()
            .styled(Style::Cyan, what)
            .text("  ")
            .styled(Style::Bold, version.unwrap_or_default())
            .text(format!("  {}", receipt.outcome.as_str())),
    )
}

async fn ls(run: &Run) -> Result {
    let answer = run.client()?.schemas().await?;
    if run.output.is_json() {
        return run.output.document(&answer);
    }
    let schemas = answer.get("schemas").and_then(Json::as_array);
    for schema in schemas.unwrap_or_default() {
        let version = schema.get("version").and_then(Json::as_u64).unwrap_or(0);
        let words = ["strategy", "fallback"].map(|name| show::text(schema, name));
        run.output.line(
            Line::new()
                .cell(Style::Cyan, show::text(schema, "kind"), 24)
                .cell(Style::Bold, format!("v{version}"), 6)
                .text(words.join("  ")),
        )?;
    }
    Ok(())
}

/// Reads `90,daily`; the node says what is wrong with a policy.
pub fn parse_retention(text: &str) -> Result<Retention, String> {
    let parts = text.split_once(',').and_then(|(days, then)| {
        let keep_all_days = days.trim().parse().ok()?;
        let then = then.trim();
        let then = then
            .parse::<u64>()
            .map_or_else(|_| Json::from(then), Json::from);
        Some(Retention {
            keep_all_days,
            then,
        })
    });
    parts.ok_or_else(|| "a retention looks like 30,daily".to_owned())
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    Kind::parse(text).map_err(|error| error.to_string())
}
