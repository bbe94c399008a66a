//! `syncline rules`

use std::str::FromStr as _;

use clap::{Args, Subcommand};
use syncline_engine::{Ranks, WORKSPACE_RULES, rules_address};
use syncline_model::conflict::Strategy;
use syncline_model::json::{Json, Object};

use super::log;
use super::schema::{Retention, declared, parse_retention};
use super::write::NoteArgs;
use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::Run;
use crate::settings::rank;

/// Say how clashes are resolved in this workspace, and how long things wait and are kept.
///
/// What a write, its context or its kind says goes before; what nobody says is a setting of the node.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  syncline rules set --strategy source_priority --rank person/ana=10 --rank agent/ci=1\n  syncline rules show\n  syncline rules log\n  syncline rules rm"
)]
pub struct RulesArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: RulesVerb,
}

/// What can be done with a workspace's rules.
#[derive(Debug, Subcommand)]
pub enum RulesVerb {
    /// Show the history of what was declared.
    Log(LogArgs),
    /// Take back what is declared: the node's settings hold again.
    Rm(RmArgs),
    /// Declare some of the rules; the others stay.
    Set(SetArgs),
    /// Show what holds, and who said so.
    Show(ShowArgs),
}

/// Show the history of what was declared, the newest version first.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline rules log")]
pub struct LogArgs {
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// Go on from an earlier answer's `next`.
    #[arg(long, value_name = "NEXT")]
    pub page: Option<String>,
}

/// Take back what is declared: the node's settings hold again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  syncline rules rm\n  syncline rules rm conflict_deadline_s")]
pub struct RmArgs {
    /// Only these, as `syncline rules show` names them.
    #[arg(value_name = "RULE", value_parser = WORKSPACE_RULES)]
    pub rules: Vec<String>,
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
}

/// Declare some of the rules; the others stay.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  syncline rules set --strategy latest_wins --deadline 600\n  syncline rules set --rank person/ana=10 --rank agent/ci="
)]
pub struct SetArgs {
    /// How clashes are resolved.
    #[arg(long, value_name = "STRATEGY", value_parser = Strategy::from_str)]
    pub strategy: Option<Strategy>,
    /// What is done with a clash that the strategy leaves.
    #[arg(long, value_name = "STRATEGY", value_parser = Strategy::from_str)]
    pub fallback: Option<Strategy>,
    /// The rank of a source for source_priority, such as person/ana=10, agent/ci=5,
    /// provider/openai=3; without a number it has none any more. May be given several times.
    #[arg(long = "rank", value_name = "SOURCE=N", value_parser = parse_rank)]
    pub ranks: Vec<(String, Option<i64>)>,
    /// How many seconds a conflict waits before it is more urgent.
    #[arg(long, value_name = "SECONDS")]
    pub deadline: Option<u64>,
    /// Thin versions older than DAYS, at least 30: keep the last of each day (daily), what has a
    /// tag (tagged), or so many.
    #[arg(long, value_name = "DAYS,daily|tagged|N", value_parser = parse_retention)]
    pub retention: Option<Retention>,
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
}

/// Show what holds, and who said so.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline rules show")]
pub struct ShowArgs {}

/// Runs the command.
pub async fn run(args: &RulesArgs, run: &Run) -> Result {
    match &args.verb {
        RulesVerb::Log(args) => {
            let versions = log::LogArgs {
                address: rules_address(),
                branch: None,
                limit: args.limit,
                page: args.page.clone(),
            };
            log::run(&versions, run).await
        }
        RulesVerb::Rm(args) => remove(args, run).await,
        RulesVerb::Set(args) => set(args, run).await,
        RulesVerb::Show(_) => {
            let rules = run.client()?.rules().await?;
            match run.output.is_json() {
                true => run.output.document(&rules),
                false => show_rules(&rules, run),
            }
        }
    }
}

async fn set(args: &SetArgs, run: &Run) -> Result {
    let nothing = [args.strategy, args.fallback].iter().all(Option::is_none)
        && args.ranks.is_empty()
        && args.deadline.is_none()
        && args.retention.is_none();
    if nothing {
        return Err(Failure::usage_hint(
            "nothing is to be set",
            "name a rule, such as --strategy latest_wins",
        ));
    }
    let write = args.note.to_write()?;
    let receipt = run.client()?.patch_rules(&named_in(args), &write).await?;
    declared(run, "rules", &receipt)
}

async fn remove(args: &RmArgs, run: &Run) -> Result {
    let client = run.client()?;
    if args.rules.is_empty() {
        let removed = client.remove_rules(&args.note.to_write()?).await?;
        return declared(run, "rules", &removed);
    }
    let write = args.note.to_write()?;
    // With an id it may be sent again: then what it took back is not there any more.
    if write.id.is_none() {
        let before = client.rules().await?;
        if let Some(name) = args.rules.iter().find(|name| before.get(name).is_none()) {
            return Err(Failure::usage_hint(
                format!("{name} is not declared for this workspace"),
                "`syncline rules show` says who says what",
            ));
        }
    }
    let patch = args.rules.iter().map(|name| (name.as_str(), Json::Null));
    let patch = Json::Object(patch.collect());
    let receipt = client.patch_rules(&patch, &write).await?;
    declared(run, "rules", &receipt)
}

/// Returns the rules that the flags name as a merge patch: the others stay, whoever declares them
/// meanwhile.
fn named_in(args: &SetArgs) -> Json {
    let mut patch = Object::new();
    let words = [("strategy", args.strategy), ("fallback", args.fallback)];
    for (name, strategy) in words {
        if let Some(strategy) = strategy {
            patch.insert(name, Json::from(strategy.as_str()));
        }
    }
    if !args.ranks.is_empty() {
        let ranks = args.ranks.iter();
        let rank = |rank: &Option<i64>| rank.map_or(Json::Null, Json::from);
        let ranks = ranks.map(|(source, number)| (source.as_str(), rank(number)));
        patch.insert("ranks", Json::Object(ranks.collect()));
    }
    if let Some(seconds) = args.deadline {
        patch.insert("conflict_deadline_s", Json::from(seconds));
    }
    if let Some(retention) = &args.retention {
        patch.insert("retention", retention.to_json());
    }
    Json::Object(patch)
}

/// Shows a line for each rule: what holds, and whether the workspace or the node says so.
fn show_rules(rules: &Json, run: &Run) -> Result {
    let in_force = rules.get("in_force");
    let of = |declared: bool| if declared { "workspace" } else { "node" };
    let line = |name: &str, value: String, declared: bool| {
        let line = Line::new().cell(Style::Cyan, name, 30);
        run.output
            .line(line.cell(Style::Bold, value, 20).text(of(declared)))
    };
    for name in WORKSPACE_RULES {
        let Some(value) = in_force.and_then(|rules| rules.get(name)) else {
            continue;
        };
        let declared = rules.get(name);
        match value.as_object() {
            Some(ranks) if name == "ranks" => {
                for (source, rank) in ranks.iter() {
                    let declared = declared.is_some_and(|ranks| ranks.get(source).is_some());
                    line(&format!("rank {source}"), rank.to_text(), declared)?;
                }
            }
            Some(retention) => {
                let (days, then) = (retention.get("keep_all_days"), retention.get("then"));
                let text = [days, then].map(|part| part.map(said).unwrap_or_default());
                line(name, text.join(","), declared.is_some())?;
            }
            None => line(name, said(value), declared.is_some())?,
        }
    }
    Ok(())
}

fn said(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_text(), str::to_owned)
}

/// Reads `person/ana=10`, or `person/ana=`.
fn parse_rank(text: &str) -> Result<(String, Option<i64>), String> {
    let wrong = || {
        "a rank looks like person/ana=10, of a person, service, agent, provider or node".to_owned()
    };
    match text.strip_suffix('=') {
        Some(source) if Ranks::is_source(source) => Ok((source.to_owned(), None)),
        Some(_) => Err(wrong()),
        None => rank(text)
            .map(|(source, rank)| (source, Some(rank)))
            .ok_or_else(wrong),
    }
}
