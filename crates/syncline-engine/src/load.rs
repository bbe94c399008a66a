//! Loading: heads and versions from the store, checked by their hashes before anyone sees them.

use std::sync::Arc;

use syncline_api::{Code, Problem};
use syncline_model::change::{Change, Outcome};
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::{Address, Seq, Version, WorkspaceId};
use syncline_model::proposal::{Base, Proposal};
use syncline_model::record::RotError;
use syncline_rules::{BaseState, Rules, propose};
use syncline_store::{HeadRow, Rebuild, Store, StoreError, read_body, replay};

use crate::aside::aside;
use crate::heads::CachedHead;

/// Turns a store's failure into what a door may say.
pub fn store_problem(error: StoreError) -> Problem {
    match error {
        StoreError::Full => Problem::new(Code::DiskFull, "the disk is full; nothing was written")
            .hint("make room, then send the same change id again"),
        StoreError::Unknown(_) => unknown_outcome(),
        StoreError::Rot(rot) => rot_problem(&rot),
        StoreError::NoWorkspace(name) => {
            Problem::new(Code::NotFound, format!("there is no workspace \"{name}\""))
        }
        StoreError::Moved { .. }
        | StoreError::NotWritten(_)
        | StoreError::Closed
        | StoreError::Read(_) => {
            tracing::warn!(error = %error, "the store failed");
            Problem::new(
                Code::Unavailable,
                "the store did not answer; nothing was written",
            )
            .hint("try again; `syncline status` says how the store is")
        }
        other => {
            tracing::error!(error = %other, "the store failed");
            Problem::new(Code::Internal, "the store failed")
        }
    }
}

/// The answer to the writers of a commit that failed half-way.
pub fn unknown_outcome() -> Problem {
    Problem::new(
        Code::UnknownOutcome,
        "the commit failed half-way, and its outcome is not known yet",
    )
    .hint("send the same change id again: it learns the truth and takes effect at most once")
}

/// The answer where stored bytes are not what was written: they are never served, and the node's
/// health tells of them (P10).
pub fn rotten(store: &dyn Store, rot: &RotError) -> Problem {
    store.note_rot(&rot.to_string());
    rot_problem(rot)
}

fn rot_problem(rot: &RotError) -> Problem {
    tracing::error!(error = %rot, "rot was found in the store");
    Problem::new(Code::Rot, rot.to_string()).hint("run `syncline verify`, and restore a backup")
}

/// About how many bytes packed ones stand for. JSON is packed to a third or less; what says little
/// is packed to nothing, and is unpacked in no time.
fn unpacked(bytes: usize) -> usize {
    8 * bytes
}

fn bytes_of(rebuild: &Rebuild) -> usize {
    let start = rebuild.start.as_ref().map_or(0, |body| body.bytes.len());
    let effects: usize = rebuild.records.iter().map(|record| record.body.len()).sum();
    unpacked(start + effects)
}

/// Makes a head of its row, replaying the effects after its body.
pub async fn head_of_row(
    store: &dyn Store,
    workspace: &WorkspaceId,
    row: HeadRow,
) -> Result<CachedHead, Problem> {
    let (document, effects) = match &row.body {
        Some(body) if body.version == row.version => {
            let read = aside(unpacked(body.bytes.len()), || read_body(body));
            (read.map_err(|rot| rotten(store, &rot))?, 0)
        }
        _ => {
            let rebuild = store
                .rebuild(workspace, &row.address, row.version)
                .await
                .map_err(store_problem)?;
            let effects = rebuild.records.iter().map(|record| record.body.len()).sum();
            let found = aside(bytes_of(&rebuild), || replay(&rebuild));
            let Some((document, _)) = found.map_err(|rot| rotten(store, &rot))? else {
                return Err(rotten(
                    store,
                    &RotError::Document(format!("{} v{}", row.address, row.version)),
                ));
            };
            (document, effects)
        }
    };
    if aside(document.weight(), || document.hash()) != row.hash {
        return Err(rotten(
            store,
            &RotError::Document(format!("{} v{}", row.address, row.version)),
        ));
    }
    let head = Head {
        address: row.address,
        version: row.version,
        seq: row.seq,
        change: row.change,
        hash: row.hash,
        deleted: row.deleted,
        document,
        actor: row.actor,
        created_at: row.created_at,
        updated_at: row.updated_at,
        conflicts: row.conflicts,
    };
    Ok(CachedHead::new(Arc::new(head), effects))
}

/// Rebuilds one version as a head of its time; `None` where the context has no such version.
pub async fn version_as_head(
    store: &dyn Store,
    workspace: &WorkspaceId,
    address: &Address,
    version: Version,
) -> Result<Option<Head>, Problem> {
    let Some(row) = store
        .version(workspace, address, version)
        .await
        .map_err(store_problem)?
    else {
        return Ok(None);
    };
    let rebuild = store
        .rebuild(workspace, address, version)
        .await
        .map_err(store_problem)?;
    let replayed = aside(bytes_of(&rebuild), || replay(&rebuild));
    let Some((document, last)) = replayed.map_err(|rot| rotten(store, &rot))? else {
        return Ok(None);
    };
    if aside(document.weight(), || document.hash()) != row.hash {
        return Err(rotten(
            store,
            &RotError::Document(format!("{address} v{version}")),
        ));
    }
    let before = Seq(row.seq.0 - 1);
    let change = match last {
        Some(change) => change,
        None => {
            let records = store
                .records(workspace, before, row.seq, 1, usize::MAX)
                .await
                .map_err(store_problem)?;
            let record = records.first().ok_or_else(|| {
                rotten(
                    store,
                    &RotError::Decode(format!("record {} is missing", row.seq)),
                )
            })?;
            record.open().map_err(|rot| rotten(store, &rot))?
        }
    };
    let first = store
        .version(workspace, address, Version(1))
        .await
        .map_err(store_problem)?;
    Ok(Some(Head {
        address: address.clone(),
        version,
        seq: row.seq,
        change: row.change,
        hash: row.hash,
        deleted: change.kind == syncline_model::change::ChangeType::Delete,
        document,
        actor: change.actor,
        created_at: first.map_or(row.committed_at, |row| row.committed_at),
        updated_at: row.committed_at,
        // What waited then is told by the conflicts themselves.
        conflicts: Arc::default(),
    }))
}

/// Finds what a base that is not the head stands for.
pub async fn base_state(
    store: &dyn Store,
    workspace: &WorkspaceId,
    address: &Address,
    base: &Base,
    rules: &Rules,
) -> Result<BaseState, Problem> {
    let version = match base {
        Base::Version(version) => *version,
        Base::Etag(etag) => etag.version(),
        Base::Change(id) => match version_of_change(store, workspace, address, id).await? {
            Some(version) => version,
            None => return Ok(BaseState::Unknown),
        },
    };
    let Some(head) = version_as_head(store, workspace, address, version).await? else {
        return Ok(BaseState::Unknown);
    };
    let same = match base {
        Base::Etag(etag) => *etag == head.etag(),
        Base::Change(id) => *id == head.change,
        Base::Version(_) => true,
    };
    if !same {
        return Ok(BaseState::Unknown);
    }
    let at = head.updated_at;
    let document = match base {
        Base::Change(_) => match as_its_writer_saw(store, workspace, &head, rules).await? {
            Some(document) => document,
            None => return Ok(BaseState::Unknown),
        },
        _ => head.document,
    };
    Ok(BaseState::Known {
        version,
        document: Arc::new(document),
        at,
    })
}

/// Returns the document that the writer of a version saw: its base with its intent applied, which
/// is not the version where that was merged. `None` where the intent is not kept.
async fn as_its_writer_saw(
    store: &dyn Store,
    workspace: &WorkspaceId,
    head: &Head,
    rules: &Rules,
) -> Result<Option<Document>, Problem> {
    let before = Seq(head.seq.0 - 1);
    let records = store
        .records(workspace, before, head.seq, 1, usize::MAX)
        .await
        .map_err(store_problem)?;
    let Some(record) = records.first() else {
        return Ok(None);
    };
    let change = record.open().map_err(|rot| rotten(store, &rot))?;
    let (Some(base), true) = (change.base, change.outcome != Outcome::Applied) else {
        return Ok(Some(head.document.clone()));
    };
    let Some(seen) = version_as_head(store, workspace, &head.address, base).await? else {
        return Ok(None);
    };
    Ok(intended(&change, &seen.document, rules))
}

/// Returns what a change's writer wanted of the document that it had seen; `None` where that is not
/// kept, or does not apply.
pub fn intended(change: &Change, seen: &Document, rules: &Rules) -> Option<Document> {
    let intent = Proposal::new(
        change.id,
        change.context.clone(),
        change.intent.operation,
        change.intent.body.clone()?,
        change.actor.clone(),
    );
    let proposed = propose(seen, &intent, rules).ok()?;
    Some(proposed.document)
}

/// Finds the version of a context that a change id made, by its stored outcome.
async fn version_of_change(
    store: &dyn Store,
    workspace: &WorkspaceId,
    address: &Address,
    id: &syncline_model::ids::ChangeId,
) -> Result<Option<Version>, Problem> {
    let rows = store.ids(workspace, &[*id]).await.map_err(store_problem)?;
    let Some(Some(row)) = rows.into_iter().next() else {
        return Ok(None);
    };
    let settled = crate::outcome::Settled::from_bytes(*id, &row.outcome)
        .map_err(|rot| rotten(store, &rot))?;
    let crate::outcome::Settled::Accepted(receipt) = settled else {
        return Ok(None);
    };
    let Some(version) = receipt.version else {
        return Ok(None);
    };
    let row = store
        .version(workspace, address, version)
        .await
        .map_err(store_problem)?;
    Ok(row.filter(|row| row.change == *id).map(|row| row.version))
}
