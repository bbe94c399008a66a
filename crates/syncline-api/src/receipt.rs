//! Receipts: what a writer hears.

use std::str::FromStr;

use syncline_model::change::{Outcome, Receipt, read_kinds, write_kinds};
use syncline_model::conflict::ConflictKind;
use syncline_model::etag::Etag;
use syncline_model::ids::{BranchName, ChangeId, Seq, Version};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Pointer};

use crate::problem::Problem;

/// A receipt as it travels.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiptView {
    /// The proposal's id.
    pub id: ChangeId,
    /// What came of it.
    pub outcome: Outcome,
    /// Its place in the log, for those who may read the whole workspace.
    pub seq: Option<Seq>,
    /// The version that it made; a pending one has none yet.
    pub version: Option<Version>,
    /// That version's ETag.
    pub etag: Option<Etag>,
    /// The sealed place in the log.
    pub cursor: Option<String>,
    /// The conflicts that it left.
    pub conflicts: Vec<String>,
    /// Which kinds of conflict were met.
    pub detected: Vec<ConflictKind>,
    /// The line that the version is on; absent is `main`.
    pub branch: Option<BranchName>,
    /// It was a patch without a base.
    pub blind: bool,
    /// The bulk that it was a part of.
    pub bulk: Option<ChangeId>,
}

impl ReceiptView {
    /// Shows a receipt; `seq` only to those who may read the whole workspace.
    pub fn from_receipt(receipt: &Receipt, cursor: Option<String>, show_seq: bool) -> ReceiptView {
        ReceiptView {
            id: receipt.id,
            outcome: receipt.outcome,
            seq: receipt.seq.filter(|_| show_seq),
            version: receipt.version,
            etag: receipt.etag,
            cursor,
            conflicts: receipt.conflicts.clone(),
            detected: receipt.detected.clone(),
            branch: receipt.branch.clone(),
            blind: receipt.blind,
            bulk: receipt.bulk,
        }
    }

    /// Writes the receipt; what is false or empty is left out.
    pub fn write(&self, w: &mut JsonWriter) {
        w.begin_object();
        self.write_members(w);
        w.end_object();
    }

    /// Writes the members of the receipt, for a door that adds to them.
    pub fn write_members(&self, w: &mut JsonWriter) {
        w.field_str("change_id", &self.id.to_string());
        if let Some(seq) = self.seq {
            w.field_u64("seq", seq.0);
        }
        match self.version {
            Some(version) => w.field_u64("version", version.0),
            None if self.outcome == Outcome::Pending => w.field_json("version", &Json::Null),
            None => {}
        }
        w.field_str("outcome", self.outcome.as_str());
        if !self.conflicts.is_empty() {
            w.key("conflicts");
            w.begin_array();
            self.conflicts.iter().for_each(|id| w.string(id));
            w.end_array();
        }
        write_kinds(w, &self.detected);
        if let Some(branch) = &self.branch {
            w.field_str("branch", branch.as_str());
        }
        if let Some(cursor) = &self.cursor {
            w.field_str("cursor", cursor);
        }
        if let Some(etag) = &self.etag {
            w.field_str("etag", &etag.to_string());
        }
        if self.blind {
            w.field_bool("blind", true);
        }
        if let Some(bulk) = self.bulk {
            w.field_str("bulk", &bulk.to_string());
        }
    }

    /// Returns the receipt's JSON.
    pub fn to_text(&self) -> String {
        let mut w = JsonWriter::with_capacity(256);
        self.write(&mut w);
        w.into_string()
    }

    /// Reads a receipt that a node sent; what is not known is ignored.
    pub fn read(value: &Json, at: &Pointer) -> Result<ReceiptView, FieldError> {
        let mut f = Fields::new(value, at)?;
        let conflicts = f.array("conflicts")?.unwrap_or_default();
        let version = f.optional("version").and_then(Json::as_u64).map(Version);
        Ok(ReceiptView {
            id: f.required_parse("change_id", ChangeId::parse)?,
            outcome: f.required_parse("outcome", Outcome::from_str)?,
            seq: f.u64("seq")?.map(Seq),
            version,
            etag: f.parse("etag", Etag::parse)?,
            cursor: f.string("cursor")?.map(str::to_owned),
            conflicts: conflicts
                .iter()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect(),
            detected: read_kinds(&mut f)?,
            branch: f.parse("branch", BranchName::parse)?,
            blind: f.bool("blind")?.unwrap_or(false),
            bulk: f.parse("bulk", ChangeId::parse)?,
        })
    }
}

/// The answer to one proposal of several.
#[derive(Clone, Debug, PartialEq)]
pub enum ReceiptOrProblem {
    /// It was decided, and not refused.
    Receipt(ReceiptView),
    /// It was refused, or not decided.
    Refused {
        /// The proposal's id; absent where the proposal could not be read.
        change_id: Option<ChangeId>,
        /// Why.
        problem: Problem,
    },
}

impl ReceiptOrProblem {
    /// Writes the receipt, or `{"change_id","error":{problem}}`.
    pub fn write(&self, w: &mut JsonWriter) {
        match self {
            ReceiptOrProblem::Receipt(receipt) => receipt.write(w),
            ReceiptOrProblem::Refused { change_id, problem } => {
                w.begin_object();
                if let Some(id) = change_id {
                    w.field_str("change_id", &id.to_string());
                }
                w.key("error");
                problem.write(w);
                w.end_object();
            }
        }
    }

    /// Reads what a node sent.
    pub fn read(value: &Json, at: &Pointer) -> Result<ReceiptOrProblem, FieldError> {
        let mut f = Fields::new(value, at)?;
        match f.optional("error") {
            Some(error) => Ok(ReceiptOrProblem::Refused {
                change_id: f.parse("change_id", ChangeId::parse)?,
                problem: Problem::read(error)?,
            }),
            None => ReceiptView::read(value, at).map(ReceiptOrProblem::Receipt),
        }
    }
}
