//! `syncline import`

mod formats;
mod rows;
mod send;

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use syncline_api::{Code, Problem};
use syncline_client::{Client, When};
use syncline_model::document::Document;
use syncline_model::ids::{Address, Seq};
use syncline_model::json::{Json, Object, Pointer};
use syncline_model::proposal::{Operation, Precondition, Proposal};

pub use formats::{Format, Planner, address_for};
pub use rows::{Row, Rows};
use send::Sender;

use crate::exit;
use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::{Run, parse_address};
use crate::show;

/// Read contexts, histories and events from files (.json, .jsonl, .jsonl.zst).
///
/// What a file holds is told by its rows: contexts as `export` writes them, successive versions
/// of one document, events of a tracker, recorded steps of agents, calls of hooks, or one plain
/// document. Importing a file again changes nothing, and an import that was cut off goes on.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline import contexts.jsonl\n  syncline import package-history.jsonl.zst --as document/package"
)]
pub struct ImportArgs {
    /// The files; - for JSON lines on stdin.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where a history or a document goes; document/<file name> if left out.
    #[arg(long = "as", value_parser = parse_address, value_name = "ADDRESS")]
    pub target: Option<Address>,
    /// Replace contexts that are there and differ.
    #[arg(long)]
    pub overwrite: bool,
    /// Only the first rows of each file.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

/// Bounds how often contexts whose parent came later are tried again.
const ROUNDS_MAX: u32 = 32;
/// Bounds the refusals that are told one by one.
const TOLD_MAX: usize = 10;

/// Runs the command.
pub async fn run(args: &ImportArgs, run: &Run) -> Result {
    if args.target.is_some() && args.files.len() > 1 {
        return Err(Failure::usage(
            "--as names one context, and there are several files",
        ));
    }
    let client = run.client()?;
    let tail = tail(&client).await?;
    let mut sender = Sender::new(run.target(), run.client_options()?, tail);
    for file in &args.files {
        one_file(args, run, file, &mut sender).await?;
    }
    settle(args, &client, &mut sender).await?;
    summary(run, &sender)
}

async fn one_file(args: &ImportArgs, run: &Run, path: &Path, sender: &mut Sender) -> Result {
    let mut rows = Rows::open(path)?;
    let Some(mut row) = rows.next_row()? else {
        run.output.warn(format!("{} is empty", path.display()));
        return Ok(());
    };
    let format = Format::of(&row.json).map_err(|why| formats::bad_row(path, row.number, why))?;
    let second = match format {
        Format::Document => rows.next_row()?,
        _ => None,
    };
    // A document stands alone in its file: several are rows of a format that is not known.
    if let Some(second) = second {
        let why = format!("neither it nor row {} is of a known format", row.number);
        return Err(Failure::usage_hint(
            format!(
                "{}: row {} cannot be imported: {why}",
                path.display(),
                second.number
            ),
            formats::KNOWN,
        ));
    }
    let target = match &args.target {
        Some(target) => target.clone(),
        None => default_target(path)?,
    };
    let mut planner = Planner::new(format, target);
    let bar = bar(run, path, format);
    loop {
        if Format::of(&row.json) != Ok(format) {
            let why = format!("it is not of the rows before, which are {}", format.name());
            return Err(formats::bad_row(path, row.number, &why));
        }
        let planned = planner.plan(&row);
        let planned = planned.map_err(|why| formats::bad_row(path, row.number, &why))?;
        for proposal in planned {
            sender.send(proposal).await?;
        }
        show_progress(bar.as_ref(), &rows, sender);
        if args.limit.is_some_and(|limit| row.number >= limit) {
            break;
        }
        row = match rows.next_row()? {
            Some(row) => row,
            None => break,
        };
    }
    sender.flush().await?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(())
}

fn default_target(path: &Path) -> Result<Address> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("stdin");
    let name = name
        .trim_end_matches(".zst")
        .trim_end_matches(".jsonl")
        .trim_end_matches(".json");
    address_for("document", name).map_err(Failure::usage)
}

fn bar(run: &Run, path: &Path, format: Format) -> Option<ProgressBar> {
    if !run.output.repaints() {
        return None;
    }
    let bar = ProgressBar::new(1_000);
    let style = ProgressStyle::with_template("{prefix}  {bar:30}  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    bar.set_prefix(crate::clean::clean(&format!("{name} ({})", format.name())));
    Some(bar)
}

fn show_progress(bar: Option<&ProgressBar>, rows: &Rows, sender: &Sender) {
    let Some(bar) = bar else { return };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the part is between 0 and 1"
    )]
    let thousandths = (rows.progress() * 1_000.0) as u64;
    bar.set_position(thousandths);
    bar.set_message(show::number(sender.counts.total()));
}

/// Returns the log's end, by which receipts of an earlier import are told apart.
async fn tail(client: &Client) -> Result<Seq> {
    let query = [
        ("sort", "-updated".to_owned()),
        ("limit", "1000".to_owned()),
        ("deleted", "true".to_owned()),
        ("fields", "/title".to_owned()),
    ];
    let newest = client.list(&query).await?;
    let seq = |context: &Json| context.get("seq").and_then(Json::as_u64);
    Ok(Seq(newest
        .contexts
        .iter()
        .filter_map(seq)
        .max()
        .unwrap_or(0)))
}

/// Tries again what can be helped: contexts whose parent came later, and those that are there.
async fn settle(args: &ImportArgs, client: &Client, sender: &mut Sender) -> Result {
    for round in 1..=ROUNDS_MAX {
        let refused = std::mem::take(&mut sender.refused);
        let before = refused.len();
        sender.counts.refused -= before as u64;
        let mut tried = false;
        for (proposal, problem) in refused {
            match second_try(args, client, &proposal, &problem, round).await? {
                Second::Try(again) => {
                    tried = true;
                    sender.send(*again).await?;
                }
                Second::Same => sender.counts.unchanged += 1,
                Second::Refused => {
                    sender.counts.refused += 1;
                    sender.refused.push((proposal, problem));
                }
            }
        }
        sender.flush().await?;
        if !tried || sender.refused.len() >= before {
            break;
        }
    }
    Ok(())
}

enum Second {
    /// It may succeed in this form.
    Try(Box<Proposal>),
    /// What is there is the same.
    Same,
    /// It stays refused.
    Refused,
}

async fn second_try(
    args: &ImportArgs,
    client: &Client,
    proposal: &Proposal,
    problem: &Problem,
    round: u32,
) -> Result<Second> {
    let is_context = proposal.operation == Operation::Create && proposal.base.is_none();
    if !is_context {
        return Ok(Second::Refused);
    }
    // A refusal is final for its id; what is tried again is another change.
    let parent = Pointer::from_static("/parent");
    if problem.code == Code::Invalid && problem.pointer.as_ref() == Some(&parent) {
        let id = proposal.id.derive(&format!("round {round}"));
        return Ok(Second::Try(Box::new(Proposal {
            id,
            ..proposal.clone()
        })));
    }
    if problem.code != Code::PreconditionFailed {
        return Ok(Second::Refused);
    }
    let head = client.get(&proposal.context, &When::Head).await?;
    let document = Document::from_json(&proposal.body, &Pointer::root());
    if document.is_ok_and(|document| Some(document.hash()) == head.hash) {
        return Ok(Second::Same);
    }
    if !args.overwrite {
        return Ok(Second::Refused);
    }
    let id = proposal.id.derive(&format!("over {}", head.etag));
    Ok(Second::Try(Box::new(Proposal {
        id,
        operation: Operation::Replace,
        precondition: Precondition::Match(vec![head.etag]),
        ..proposal.clone()
    })))
}

fn summary(run: &Run, sender: &Sender) -> Result {
    let counts = &sender.counts;
    for (proposal, problem) in sender.refused.iter().take(TOLD_MAX) {
        let line = Line::new()
            .styled(Style::Red, "refused ")
            .styled(Style::Cyan, proposal.context.as_str());
        run.output.say(line.text(format!("  {problem}")));
    }
    let more = sender.refused.len().saturating_sub(TOLD_MAX);
    if more > 0 {
        run.output
            .say(format!("and {} more", show::number(more as u64)));
    }
    if counts.refused > 0
        && sender
            .refused
            .iter()
            .any(|(_, p)| p.code == Code::PreconditionFailed)
    {
        let hint = "what is there differs; --overwrite replaces it, --as puts it elsewhere";
        run.output.say(show::hint(hint));
    }
    if counts.conflicts > 0 {
        let clashed = show::count(counts.conflicts, "row");
        run.output.say(show::hint(format!(
            "{clashed} left a conflict beside others' work: `syncline conflicts` lists them"
        )));
    }
    if run.output.is_json() {
        let refused: Json = sender.refused.iter().take(1_000).map(refusal).collect();
        let members = [
            ("created", Json::from(counts.created)),
            ("changed", Json::from(counts.changed)),
            ("unchanged", Json::from(counts.unchanged)),
            ("refused", Json::from(counts.refused)),
            ("conflicts", Json::from(counts.conflicts)),
            ("refusals", refused),
        ];
        run.output
            .document(&Json::Object(members.into_iter().collect::<Object>()))?;
    } else {
        run.output.line(format!(
            "{} created, {} changed, {} unchanged, {} refused",
            show::number(counts.created),
            show::number(counts.changed),
            show::number(counts.unchanged),
            show::number(counts.refused)
        ))?;
    }
    if counts.refused == 0 {
        Ok(())
    } else {
        Err(Failure::Said(exit::REFUSED))
    }
}

fn refusal((proposal, problem): &(Proposal, Problem)) -> Json {
    let members = [
        ("context", Json::from(proposal.context.as_str())),
        ("change_id", Json::from(proposal.id.to_string())),
        ("code", Json::from(problem.code.name())),
        ("detail", Json::from(problem.detail.as_str())),
    ];
    Json::Object(members.into_iter().collect())
}
