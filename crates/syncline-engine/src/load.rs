//! Loading: heads and versions from the store, checked by their hashes before anyone sees them.

use std::sync::Arc;

use syncline_api::{Code, Problem, ResetReason};
use syncline_model::change::{Change, Outcome};
use syncline_model::document::Document;
use syncline_model::etag::Etag;
use syncline_model::head::Head;
use syncline_model::ids::{Address, Seq, Version, WorkspaceId};
use syncline_model::proposal::{Base, Proposal};
use syncline_model::record::RotError;
use syncline_rules::{BaseState, Rules, named, propose};
use syncline_store::{HeadRow, Rebuild, Store, StoreError, VersionRow, read_body, replay};

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
        StoreError::Compacted { .. } => Problem::reset(ResetReason::Compacted),
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

/// What is kept of a version.
pub enum Past {
    /// It as a head of its time.
    Kept(Box<Head>),
    /// Its place alone: its document was taken away.
    Thinned(VersionRow),
    /// There is no such version.
    Absent,
}

/// Rebuilds one version as a head of its time; `None` where the context has no such version.
///
/// One that was thinned is [`Code::Thinned`], and the nearest that are kept are named.
pub async fn version_as_head(
    store: &dyn Store,
    workspace: &WorkspaceId,
    address: &Address,
    version: Version,
) -> Result<Option<Head>, Problem> {
    match past(store, workspace, address, version).await? {
        Past::Kept(head) => Ok(Some(*head)),
        Past::Absent => Ok(None),
        Past::Thinned(row) => Err(thinned(store, workspace, &row).await?),
    }
}

/// Bounds how far a version that is kept is looked for after one that is not.
const NEAREST_MAX: u64 = 256;

/// Makes the answer for a version that was thinned.
async fn thinned(
    store: &dyn Store,
    workspace: &WorkspaceId,
    row: &VersionRow,
) -> Result<Problem, Problem> {
    let (line, version) = (&row.address, row.version);
    let before = store.versions(workspace, line, Some(version), 1).await;
    let before = before.map_err(store_problem)?;
    let mut nearest: Vec<_> = before.iter().map(|row| row.version.to_string()).collect();
    for after in (version.0 + 1..=version.0 + NEAREST_MAX).map(Version) {
        let found = store.version(workspace, line, after).await;
        match found.map_err(store_problem)? {
            Some(row) if row.thinned => continue,
            Some(row) => nearest.push(row.version.to_string()),
            None => {}
        }
        break;
    }
    let detail = format!("version {version} of {} is no longer kept", named(line));
    Ok(Problem::new(Code::Thinned, detail).hint(format!(
        "the nearest that are kept: {}",
        nearest.join(" and ")
    )))
}

/// Returns what is kept of a version.
pub async fn past(
    store: &dyn Store,
    workspace: &WorkspaceId,
    address: &Address,
    version: Version,
) -> Result<Past, Problem> {
    let Some(row) = store
        .version(workspace, address, version)
        .await
        .map_err(store_problem)?
    else {
        return Ok(Past::Absent);
    };
    if row.thinned {
        return Ok(Past::Thinned(row));
    }
    let rebuild = store
        .rebuild(workspace, address, version)
        .await
        .map_err(store_problem)?;
    let replayed = aside(bytes_of(&rebuild), || replay(&rebuild));
    let Some((document, last)) = replayed.map_err(|rot| rotten(store, &rot))? else {
        return Ok(Past::Absent);
    };
    if aside(document.weight(), || document.hash()) != row.hash {
        return Err(rotten(
            store,
            &RotError::Document(format!("{address} v{version}")),
        ));
    }
    let change = match last {
        Some(change) => Some(change),
        None => change_at(store, workspace, row.seq).await?,
    };
    // It was there a moment ago.
    let Some(change) = change else {
        return Ok(Past::Thinned(row));
    };
    if change.id != row.change {
        let why = format!("{address} v{version} is of another change than its record");
        return Err(rotten(store, &RotError::Document(why)));
    }
    let first = store
        .version(workspace, address, Version(1))
        .await
        .map_err(store_problem)?;
    let head = Head {
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
    };
    Ok(Past::Kept(Box::new(head)))
}

/// Returns the change of one record; `None` where that was thinned.
pub async fn change_at(
    store: &dyn Store,
    workspace: &WorkspaceId,
    seq: Seq,
) -> Result<Option<Change>, Problem> {
    let record = store.record(workspace, seq).await.map_err(store_problem)?;
    let change = record.map(|record| record.open()).transpose();
    change.map_err(|rot| rotten(store, &rot))
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
    let head = match past(store, workspace, address, version).await? {
        Past::Kept(head) => *head,
        Past::Absent => return Ok(BaseState::Unknown),
        Past::Thinned(row) => return Ok(thinned_base(base, &row)),
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

/// Returns what a base stands for whose version was thinned: its number and ETag are still known,
/// and what the writer of a change saw is not.
fn thinned_base(base: &Base, row: &VersionRow) -> BaseState {
    let etag = || Etag::new(row.version, row.change, &[], row.hash);
    let known = match base {
        Base::Version(_) => true,
        Base::Etag(named) => *named == etag(),
        Base::Change(_) => false,
    };
    match known {
        true => BaseState::Thinned {
            version: row.version,
            at: row.committed_at,
        },
        false => BaseState::Unknown,
    }
}

/// Returns the document that the writer of a version saw: its base with its intent applied, which
/// is not the version where that was merged. `None` where the intent is not kept.
async fn as_its_writer_saw(
    store: &dyn Store,
    workspace: &WorkspaceId,
    head: &Head,
    rules: &Rules,
) -> Result<Option<Document>, Problem> {
    let Some(change) = change_at(store, workspace, head.seq).await? else {
        return Ok(None);
    };
    let (Some(base), true) = (change.base, change.outcome != Outcome::Applied) else {
        return Ok(Some(head.document.clone()));
    };
    let Past::Kept(seen) = past(store, workspace, &head.address, base).await? else {
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
