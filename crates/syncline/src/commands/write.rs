//! What all writing commands share: their flags, and how a receipt looks.

use std::str::FromStr as _;

use clap::Args;
use syncline_api::ReceiptView;
use syncline_client::{Client, Write};
use syncline_model::change::Outcome;
use syncline_model::conflict::{ConflictId, Strategy};
use syncline_model::etag::Etag;
use syncline_model::ids::{Address, BranchName, ChangeId};
use syncline_model::json::{Json, Limits};
use syncline_model::proposal::{Base, Precondition, Priority};

use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::{LineName, Run, parse_line};
use crate::show;

/// Bounds the conflicts of one write that are named; the queue has them all.
const CONFLICTS_NAMED_MAX: usize = 5;

/// The flags of every change, typed ones too.
#[derive(Clone, Debug, Default, Args)]
pub struct NoteArgs {
    /// Why, kept with the change.
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
    /// The change id, to send the same write again.
    #[arg(long, value_name = "UUID")]
    pub id: Option<String>,
}

impl NoteArgs {
    /// Returns what goes with the write.
    pub fn to_write(&self) -> Result<Write> {
        let id = self.id.as_deref().map(ChangeId::parse).transpose();
        Ok(Write {
            id: id.map_err(|error| Failure::usage(format!("--id: {error}")))?,
            message: self.message.clone(),
            ..Write::default()
        })
    }
}

/// The flags of a write.
#[derive(Clone, Debug, Default, Args)]
pub struct WriteArgs {
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
    /// Only if the head still has this ETag; * for whatever the head is.
    #[arg(long, value_name = "ETAG")]
    pub if_match: Option<String>,
    /// What this was made on: an ETag, a change id or a version.
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// Write this branch, not main.
    #[arg(long, value_name = "NAME", value_parser = parse_line)]
    pub branch: Option<LineName>,
    /// How clashes are resolved: merge, field_merge, latest_wins, source_priority, keep_both, manual, user_choice.
    #[arg(long, value_name = "STRATEGY", value_parser = Strategy::from_str)]
    pub strategy: Option<Strategy>,
    /// How soon others want to know: 1 is urgent, 4 can wait; 3 if nothing is said.
    #[arg(long, value_name = "N", value_parser = Priority::from_str)]
    pub priority: Option<Priority>,
    /// End with exit code 1 if a clash was left in the queue.
    #[arg(long)]
    pub strict: bool,
}

impl WriteArgs {
    /// Returns what goes with the write.
    pub fn to_write(&self) -> Result<Write> {
        let bad =
            |flag: &str, error: &dyn std::fmt::Display| Failure::usage(format!("{flag}: {error}"));
        let precondition = match self.if_match.as_deref() {
            None => Precondition::None,
            Some("*") => Precondition::MatchAny,
            Some(text) => {
                let etag = Etag::parse(text).map_err(|error| bad("--if-match", &error))?;
                Precondition::Match(vec![etag])
            }
        };
        let base = self.base.as_deref().map(Base::from_str).transpose();
        Ok(Write {
            precondition,
            base: base.map_err(|error| bad("--base", &error))?,
            branch: self.branch.as_ref().and_then(LineName::branch).cloned(),
            strategy: self.strategy,
            priority: self.priority.unwrap_or_default(),
            ..self.note.to_write()?
        })
    }

    /// Ends the command as the flags ask for it.
    pub fn judge(&self, receipt: &ReceiptView) -> Result {
        match receipt.outcome {
            Outcome::Conflict if self.strict => Err(Failure::No),
            _ => Ok(()),
        }
    }
}

/// Says what became of a write: the receipt as JSON, or one line and what it left to be done.
pub async fn show_receipt(
    run: &Run,
    client: &Client,
    address: &Address,
    receipt: &ReceiptView,
) -> Result {
    if run.output.is_json() {
        return run.output.document(&receipt_json(receipt));
    }
    let version = receipt
        .version
        .map(|version| format!("v{version}"))
        .unwrap_or_default();
    let line = Line::new()
        .styled(Style::Cyan, address.as_str())
        .text("  ")
        .styled(Style::Bold, version)
        .text("  ");
    let line = match &receipt.branch {
        Some(branch) => line.text(format!("{branch}  ")),
        None => line,
    };
    run.output.line(
        line.text(receipt.outcome.as_str())
            .styled(Style::Dim, note(receipt)),
    )?;
    match receipt.outcome {
        Outcome::KeptBoth => {
            let branch = receipt.branch.as_ref();
            let branch = branch.map(BranchName::as_str).unwrap_or_default();
            run.output.say(show::hint(format!(
                "yours is a branch: `syncline merge {address} {branch}` tries again"
            )));
            Ok(())
        }
        // A rollback may open some again.
        _ if !receipt.conflicts.is_empty() => show_conflicts(run, client, address, receipt).await,
        _ => Ok(()),
    }
}

/// Says beside an outcome what its word leaves open.
fn note(receipt: &ReceiptView) -> &'static str {
    match receipt.outcome {
        Outcome::Merged => "  (with what others wrote since the base)",
        Outcome::Conflict => "  (where it clashes, the head stays and yours waits)",
        Outcome::KeptBoth => "  (the head stays, and yours is on the branch)",
        _ if receipt.blind => "  (blind: no base was named)",
        _ => "",
    }
}

/// Names the places that clashed, and how to settle them.
async fn show_conflicts(
    run: &Run,
    client: &Client,
    address: &Address,
    receipt: &ReceiptView,
) -> Result {
    let ids = receipt.conflicts.iter();
    let ids: Vec<_> = ids.filter_map(|id| ConflictId::parse(id).ok()).collect();
    for id in ids.iter().take(CONFLICTS_NAMED_MAX) {
        let line = Line::new().styled(Style::Red, "  × ");
        // The write stands whether or not its conflict can be read.
        let line = match client.conflict(id).await {
            Ok(conflict) => line.text(show::place(&conflict.path)),
            Err(_) => line,
        };
        run.output
            .line(line.styled(Style::Dim, format!("  conflict {}", show::short_id(id))))?;
    }
    let hint = match ids.as_slice() {
        [id] => format!(
            "`syncline conflicts {id}` shows the sides; `syncline settle {id} --ours` or --theirs ends it"
        ),
        _ => format!("`syncline conflicts {address}` lists them; `syncline settle` ends them"),
    };
    run.output.say(show::hint(hint));
    Ok(())
}

/// Returns a receipt as JSON.
pub fn receipt_json(receipt: &ReceiptView) -> Json {
    let text = receipt.to_text();
    Json::parse(text.as_bytes(), &Limits::wire()).expect("a receipt that we wrote is JSON")
}
