//! Replay: a document from a stored one and the effects after it. Effects only, never merges.

use syncline_merge::{ApplyLimits, Patch};
use syncline_model::change::{Change, Effect};
use syncline_model::document::Document;
use syncline_model::ids::{Seq, Version};
use syncline_model::json::{Json, Pointer};
use syncline_model::record::{RotError, unpack_json};

use crate::rows::{HeadBody, Rebuild};

/// What was decided once is applied again without a bound of its own.
const REPLAY_LIMITS: ApplyLimits = ApplyLimits {
    depth_max: usize::MAX,
    weight_max: usize::MAX,
};

/// A whole document is kept beside the log at a multiple of so many versions, if at all.
const SNAPSHOT_EVERY: u64 = 64;
/// At a multiple of so many it is kept anyway, so that a version needs fewer effects than that.
const SNAPSHOT_EVERY_MAX: u64 = 1_024;
/// The part of a document that the effects since the last whole one may weigh: reading them then
/// takes less time than reading that. Measured at 64 KB: every 64th version is kept.
const SNAPSHOT_PART: usize = 8;

/// Says whether a version's whole document is to be kept beside the log.
///
/// `effects` is how much replay has to read since the last that was kept; who does not know gives
/// `usize::MAX`. The distance so grows with the document and shrinks with what changes: a whole
/// document every 64th version was a third of what a large one's history cost.
pub fn is_snapshot_due(version: Version, effects: usize, document: usize) -> bool {
    version.0.is_multiple_of(SNAPSHOT_EVERY_MAX)
        || version.0.is_multiple_of(SNAPSHOT_EVERY) && effects > document / SNAPSHOT_PART
}

/// Reads a stored document.
pub fn read_body(body: &HeadBody) -> Result<Document, RotError> {
    match unpack_json(&body.bytes)? {
        Json::Object(object) => Ok(Document::from_stored(object)),
        other => Err(RotError::Decode(format!(
            "a document is an object, not {}",
            other.type_name()
        ))),
    }
}

/// Applies a change's effect to the document before it; a deletion leaves the last document.
fn apply_effect(before: Option<Document>, effect: Effect, seq: Seq) -> Result<Document, RotError> {
    let broken = |why: String| RotError::Decode(format!("the effect of record {seq}: {why}"));
    let json = match effect {
        Effect::Snapshot(document) => document,
        Effect::Gone => return before.ok_or_else(|| broken("nothing to delete".to_owned())),
        Effect::Patch(patch) => {
            let before = before.ok_or_else(|| broken("no document to patch".to_owned()))?;
            let patch = Patch::from_json(&patch, &Pointer::root(), usize::MAX)
                .map_err(|error| broken(error.to_string()))?;
            patch
                .apply_to(before.into_json(), &REPLAY_LIMITS)
                .map_err(|error| broken(error.to_string()))?
        }
    };
    match json {
        Json::Object(object) => Ok(Document::from_stored(object)),
        other => Err(broken(format!(
            "a document is an object, not {}",
            other.type_name()
        ))),
    }
}

/// Rebuilds the document of the last of `rebuild`'s steps, checking each record's commitment
/// and the hash of what came out.
///
/// `None` when there is nothing to rebuild from.
pub fn replay(rebuild: &Rebuild) -> Result<Option<(Document, Option<Change>)>, RotError> {
    let mut document = rebuild.start.as_ref().map(read_body).transpose()?;
    let mut last = None;
    if let Some((record, before)) = rebuild.records.split_last() {
        for record in before {
            let effect = record.open_effect()?;
            document = Some(apply_effect(document, effect, record.header.seq)?);
        }
        let change = record.open()?;
        let effect = change.effect.clone();
        document = Some(apply_effect(document, effect, record.header.seq)?);
        last = Some(change);
    }
    let Some(document) = document else {
        return Ok(None);
    };
    let hash = document.hash();
    let broken = match &last {
        Some(change) if change.hash != hash => {
            Some(format!("{} v{}", change.context, change.version))
        }
        _ if rebuild.hash.is_some_and(|recorded| recorded != hash) => {
            Some("a stored version".to_owned())
        }
        _ => None,
    };
    if let Some(what) = broken {
        return Err(RotError::Document(what));
    }
    Ok(Some((document, last)))
}
