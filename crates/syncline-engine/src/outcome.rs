//! Outcomes as the table of change ids keeps them: what a resend hears (P3).

use std::sync::Arc;

use syncline_api::{Code, Problem};
use syncline_model::change::{Outcome, Receipt, read_kinds, write_kinds};
use syncline_model::conflict::ConflictId;
use syncline_model::etag::Etag;
use syncline_model::ids::{BranchName, ChangeId, Seq, Version};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Pointer};
use syncline_model::record::{RotError, pack, unpack_json};
use syncline_rules::Refusal;

/// What became of a proposal.
#[derive(Clone, Debug)]
pub enum Settled {
    /// It was accepted.
    Accepted(Receipt),
    /// It was refused, for good.
    Refused(Box<Refusal>),
    /// It is no proposal but a bulk's own id; what became of the parts stands under theirs.
    Bulk,
}

impl Settled {
    /// Returns the stored bytes. A refusal's sides are not in them: they are rebuilt from history.
    pub fn to_bytes(&self) -> Arc<[u8]> {
        let mut w = JsonWriter::with_capacity(160);
        w.begin_object();
        match self {
            Settled::Accepted(receipt) => write_receipt(&mut w, receipt),
            Settled::Bulk => w.field_bool("parts", true),
            Settled::Refused(refusal) => {
                let mut problem = refusal.problem.clone();
                problem.sides = None;
                w.key("refused");
                problem.write(&mut w);
                for (key, version) in [("base", refusal.base), ("theirs", refusal.theirs)] {
                    if let Some(version) = version {
                        w.field_u64(key, version.0);
                    }
                }
                w.field_bool("sides", refusal.sided);
                if let Some(id) = refusal.conflict {
                    w.field_str("conflict", &id.to_string());
                }
            }
        }
        w.end_object();
        pack(&w.into_string())
    }

    /// Reads the stored bytes.
    pub fn from_bytes(id: ChangeId, bytes: &[u8]) -> Result<Settled, RotError> {
        let json = unpack_json(bytes)?;
        read(id, &json).map_err(|error| RotError::Decode(format!("the outcome of {id}: {error}")))
    }
}

fn write_receipt(w: &mut JsonWriter, receipt: &Receipt) {
    w.field_str("outcome", receipt.outcome.as_str());
    if let Some(seq) = receipt.seq {
        w.field_u64("seq", seq.0);
    }
    if let Some(version) = receipt.version {
        w.field_u64("version", version.0);
    }
    if let Some(etag) = receipt.etag {
        w.field_str("etag", &etag.to_string());
    }
    if !receipt.conflicts.is_empty() {
        w.key("conflicts");
        w.begin_array();
        receipt.conflicts.iter().for_each(|id| w.string(id));
        w.end_array();
    }
    write_kinds(w, &receipt.detected);
    if let Some(branch) = &receipt.branch {
        w.field_str("branch", branch.as_str());
    }
    if receipt.blind {
        w.field_bool("blind", true);
    }
    if let Some(bulk) = receipt.bulk {
        w.field_str("bulk", &bulk.to_string());
    }
}

fn read(id: ChangeId, json: &Json) -> Result<Settled, FieldError> {
    let at = Pointer::root();
    let mut f = Fields::new(json, &at)?;
    if let Some(problem) = f.optional("refused") {
        let refusal = Refusal {
            problem: Problem::read(problem)?,
            base: f.u64("base")?.map(Version),
            theirs: f.u64("theirs")?.map(Version),
            sided: f.bool("sides")?.unwrap_or(false),
            conflict: f.parse("conflict", ConflictId::parse)?,
        };
        return Ok(Settled::Refused(Box::new(refusal)));
    }
    if f.bool("parts")?.unwrap_or(false) {
        return Ok(Settled::Bulk);
    }
    let receipt = Receipt {
        id,
        outcome: f
            .parse("outcome", str::parse::<Outcome>)?
            .unwrap_or_default(),
        seq: f.u64("seq")?.map(Seq),
        version: f.u64("version")?.map(Version),
        etag: f.parse("etag", Etag::parse)?,
        conflicts: texts(f.array("conflicts")?),
        detected: read_kinds(&mut f)?,
        branch: f.parse("branch", BranchName::parse)?,
        blind: f.bool("blind")?.unwrap_or(false),
        bulk: f.parse("bulk", ChangeId::parse)?,
    };
    Ok(Settled::Accepted(receipt))
}

fn texts(values: Option<&[Json]>) -> Vec<String> {
    let values = values.unwrap_or_default().iter();
    values
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect()
}

/// Makes the answer to an id that stands for other content.
pub fn reused(id: ChangeId) -> Problem {
    Problem::new(
        Code::ChangeIdReused,
        format!("change id {id} was sent before with other content"),
    )
    .hint("a new write takes a new change id")
}
