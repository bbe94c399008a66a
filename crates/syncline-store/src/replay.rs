//! Replay: a document from a stored one and the effects after it. Effects only, never merges.

use syncline_merge::{ApplyLimits, Patch};
use syncline_model::change::{Change, Effect};
use syncline_model::document::Document;
use syncline_model::json::{Json, Pointer};
use syncline_model::record::{RotError, unpack_json};

use crate::rows::{HeadBody, Rebuild};

/// What was decided once is applied again without a bound of its own.
const REPLAY_LIMITS: ApplyLimits = ApplyLimits {
    depth_max: usize::MAX,
    weight_max: usize::MAX,
};

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
pub fn apply_effect(before: Option<Document>, change: &Change) -> Result<Document, RotError> {
    let broken =
        |why: String| RotError::Decode(format!("{} v{}: {why}", change.context, change.version));
    let json = match &change.effect {
        Effect::Snapshot(document) => document.clone(),
        Effect::Gone => return before.ok_or_else(|| broken("nothing to delete".to_owned())),
        Effect::Patch(patch) => {
            let before = before.ok_or_else(|| broken("no document to patch".to_owned()))?;
            let patch = Patch::from_json(patch, &Pointer::root(), usize::MAX)
                .map_err(|error| broken(error.to_string()))?;
            patch
                .apply(&before.to_json(), &REPLAY_LIMITS)
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
    for record in &rebuild.records {
        let change = record.open()?;
        document = Some(apply_effect(document, &change)?);
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
