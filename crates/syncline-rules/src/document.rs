//! What a proposal makes of a document, conditions aside.

use syncline_api::{Code, Problem};
use syncline_merge::{ApplyErrorKind, Patch, PatchError, apply_merge_patch};
use syncline_model::conflict::Strategy;
use syncline_model::document::{Document, SERVER_MEMBERS};
use syncline_model::json::{Json, Object, Pointer};
use syncline_model::proposal::{Operation, Proposal};

use crate::Rules;

/// A document that a proposal makes, with the patch that made it where that is the whole story.
pub struct Proposed {
    /// The document.
    pub document: Document,
    /// The proposal's own JSON Patch, if nothing but it leads to the document.
    pub patch: Option<Patch>,
}

/// Applies a proposal's body to the document before it.
pub fn propose(before: &Document, proposal: &Proposal, rules: &Rules) -> Result<Proposed, Problem> {
    let (json, patch) = match proposal.operation {
        Operation::Create | Operation::Replace => {
            (replace_members(before, own_members(&proposal.body)?), None)
        }
        Operation::Merge => {
            let body = Json::Object(own_members(&proposal.body)?.clone());
            (apply_merge_patch(&before.to_json(), &body), None)
        }
        Operation::Patch => {
            let patch =
                Patch::from_json(&proposal.body, &Pointer::root(), rules.patch_operations_max)
                    .map_err(bad_patch)?;
            let json = apply(&patch, before, rules)?;
            (json, Some(patch))
        }
        // What these make of a document is not their body's business.
        Operation::Delete | Operation::Restore | Operation::Settle | Operation::Rollback => {
            (before.to_json(), None)
        }
    };
    let depth = json.depth();
    if depth > rules.document_depth_max {
        return Err(Problem::new(
            Code::TooLarge,
            format!(
                "the document nests {depth} deep, and {} is the limit",
                rules.document_depth_max
            ),
        )
        .limit(rules.document_depth_max as u64, "max_document_depth"));
    }
    let weight = json.weight();
    if weight > rules.document_bytes_max {
        return Err(Problem::new(
            Code::TooLarge,
            format!(
                "the document has {weight} bytes, and {} is the limit",
                rules.document_bytes_max
            ),
        )
        .hint("split it into several contexts")
        .limit(rules.document_bytes_max as u64, "max_document_bytes"));
    }
    let document = Document::from_json(&json, &Pointer::root())?;
    check_strategy(before, &document)?;
    // Full form may have put back a container that the patch removed: then the patch alone does
    // not lead there.
    let patch = patch.filter(|_| document.to_json() == json);
    Ok(Proposed { document, patch })
}

/// Checks the strategy that a context names for itself; a misspelt one would be none.
fn check_strategy(before: &Document, after: &Document) -> Result<(), Problem> {
    let named = |document: &Document| -> Option<Json> {
        document.object().get("metadata")?.get("strategy").cloned()
    };
    let strategy = named(after).filter(|strategy| named(before).as_ref() != Some(strategy));
    let known = |value: &Json| value.as_str().map(str::parse::<Strategy>);
    match strategy.as_ref().map(known) {
        None | Some(Some(Ok(_))) => Ok(()),
        Some(wrong) => {
            let why = match wrong {
                Some(Err(why)) => why,
                _ => "a strategy is a text",
            };
            let at = Pointer::from_static("/metadata/strategy");
            Err(Problem::new(Code::Invalid, why).at(at))
        }
    }
}

/// Returns the body's members without those that the server owns: sent back, they are ignored.
pub(crate) fn own_members(body: &Json) -> Result<Object, Problem> {
    let Some(object) = body.as_object() else {
        return Err(Problem::new(
            Code::Invalid,
            format!("the body is an object of members, not {}", body.type_name()),
        )
        .at(Pointer::root()));
    };
    if !SERVER_MEMBERS.iter().any(|name| object.contains_key(name)) {
        return Ok(object.clone());
    }
    let mut own = object.clone();
    for name in SERVER_MEMBERS {
        own.remove(name);
    }
    Ok(own)
}

/// Returns a document with the members that are named; one that is not named stays.
pub(crate) fn replace_members(before: &Document, named: Object) -> Json {
    let mut object = before.object().clone();
    for (key, value) in named.iter() {
        object.insert(key, value.clone());
    }
    Json::Object(object)
}

fn apply(patch: &Patch, before: &Document, rules: &Rules) -> Result<Json, Problem> {
    patch
        .apply(&before.to_json(), &rules.apply_limits())
        .map_err(|error| {
            let (code, hint) = match error.kind {
                ApplyErrorKind::TestFailed | ApplyErrorKind::TestedNothing => {
                    (Code::TestFailed, "read the context again and decide anew")
                }
                ApplyErrorKind::TooDeep { .. } | ApplyErrorKind::TooLarge { .. } => {
                    (Code::TooLarge, "split the document into several contexts")
                }
                ApplyErrorKind::TooCostly { .. } => (
                    Code::Invalid,
                    "send it as several patches, or replace the array",
                ),
                _ => (
                    Code::Invalid,
                    "paths start at the context: /data/…, /title, /labels/…",
                ),
            };
            let at = Pointer::root().index(error.index).child("path");
            let problem = Problem::new(code, error.to_string()).at(at).hint(hint);
            match error.kind {
                ApplyErrorKind::TooLarge { max } => problem.limit(max as u64, "max_document_bytes"),
                ApplyErrorKind::TooDeep { max } | ApplyErrorKind::TooCostly { max } => {
                    problem.fixed_limit(max as u64)
                }
                _ => problem,
            }
        })
}

fn bad_patch(error: PatchError) -> Problem {
    let detail = error.to_string();
    match error {
        PatchError::Field(error) => Problem::from(error),
        PatchError::NotAnArray { pointer, .. } => Problem::new(Code::Invalid, detail)
            .at(pointer)
            .hint("a JSON Patch is [{\"op\":\"replace\",\"path\":\"/data/status\",\"value\":…}]"),
        PatchError::TooManyOperations { pointer, max, .. } => Problem::new(Code::TooLarge, detail)
            .at(pointer)
            .limit(max as u64, "max_patch_operations"),
    }
}
