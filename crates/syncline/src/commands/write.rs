//! What all writing commands share: their flags, and how a receipt looks.

use std::str::FromStr as _;

use clap::Args;
use syncline_api::ReceiptView;
use syncline_client::Write;
use syncline_model::etag::Etag;
use syncline_model::ids::{Address, ChangeId};
use syncline_model::json::{Json, Limits};
use syncline_model::proposal::{Base, Precondition};

use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::Run;

/// The flags of a write.
#[derive(Clone, Debug, Default, Args)]
pub struct WriteArgs {
    /// Why, kept with the change.
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
    /// Only if the head still has this ETag; * for whatever the head is.
    #[arg(long, value_name = "ETAG")]
    pub if_match: Option<String>,
    /// What this was made on: an ETag, a change id or a version.
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// The change id, to send the same write again.
    #[arg(long, value_name = "UUID")]
    pub id: Option<String>,
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
        let id = self.id.as_deref().map(ChangeId::parse).transpose();
        Ok(Write {
            id: id.map_err(|error| bad("--id", &error))?,
            precondition,
            base: base.map_err(|error| bad("--base", &error))?,
            message: self.message.clone(),
            ..Write::default()
        })
    }
}

/// Says what became of a write: the receipt as JSON, or one line.
pub fn show_receipt(run: &Run, address: &Address, receipt: &ReceiptView) -> Result {
    if run.output.is_json() {
        return run.output.document(&receipt_json(receipt));
    }
    let version = receipt
        .version
        .map(|version| format!("v{version}"))
        .unwrap_or_default();
    let outcome = receipt.outcome.as_str();
    let note = if receipt.blind {
        "  (blind: no base was named)"
    } else {
        ""
    };
    run.output.line(
        Line::new()
            .styled(Style::Cyan, address.as_str())
            .text("  ")
            .styled(Style::Bold, version)
            .text("  ")
            .text(outcome)
            .styled(Style::Dim, note),
    )
}

/// Returns a receipt as JSON.
pub fn receipt_json(receipt: &ReceiptView) -> Json {
    let text = receipt.to_text();
    Json::parse(text.as_bytes(), &Limits::wire()).expect("a receipt that we wrote is JSON")
}
