//! Rows of the tables as the store's types.

use std::str::FromStr;
use std::sync::Arc;

use rusqlite::Row;
use syncline_model::change::read_actor;
use syncline_model::conflict::Conflict;
use syncline_model::document::{DocumentHash, Level};
use syncline_model::ids::{Address, ChangeId, Epoch, Seq, Version, WorkspaceId};
use syncline_model::json::{Json, JsonWriter, Limits, Object, Pointer};
use syncline_model::proposal::Actor;
use syncline_model::record::{RecordHash, RecordHeader, StoredRecord};
use syncline_model::time::Timestamp;
use syncline_store::{HeadRow, StoreError, VersionRow, WorkspaceRow};

use crate::errors::{reading, rot};

/// A log's positions: 2^40 records in each of 2^22 workspaces.
const SEQ_BITS: u32 = 40;

/// The sides of a conflict nest as deep as a document, in a few levels of their own.
const CONFLICTS_DEPTH_MAX: usize = 120;

/// Returns where a workspace's record is in `log`.
pub(crate) fn pos(ws: i64, seq: Seq) -> i64 {
    (ws << SEQ_BITS) | seq.0.cast_signed()
}

/// Returns the seq of a place in `log`.
pub(crate) fn seq_of(pos: i64) -> Seq {
    Seq((pos & ((1 << SEQ_BITS) - 1)).cast_unsigned())
}

fn column<T: rusqlite::types::FromSql>(row: &Row<'_>, at: usize) -> Result<T, StoreError> {
    row.get(at).map_err(reading)
}

fn unsigned(row: &Row<'_>, at: usize) -> Result<u64, StoreError> {
    column(row, at).map(i64::cast_unsigned)
}

/// Reads a blob of a fixed length.
pub(crate) fn array<const N: usize>(row: &Row<'_>, at: usize) -> Result<[u8; N], StoreError> {
    let bytes = row
        .get_ref(at)
        .and_then(|value| Ok(value.as_blob()?))
        .map_err(reading)?;
    bytes
        .try_into()
        .map_err(|_| rot(format!("a stored value has {} bytes, not {N}", bytes.len())))
}

/// Reads a blob.
pub(crate) fn blob(row: &Row<'_>, at: usize) -> Result<Arc<[u8]>, StoreError> {
    row.get_ref(at)
        .and_then(|value| Ok(value.as_blob()?))
        .map(Arc::from)
        .map_err(reading)
}

fn parsed<T: FromStr<Err: ToString>>(row: &Row<'_>, at: usize) -> Result<T, StoreError> {
    let text = row
        .get_ref(at)
        .and_then(|value| Ok(value.as_str()?))
        .map_err(reading)?;
    T::from_str(text).map_err(rot)
}

fn json(row: &Row<'_>, at: usize) -> Result<Json, StoreError> {
    let text = row
        .get_ref(at)
        .and_then(|value| Ok(value.as_str()?))
        .map_err(reading)?;
    parse(text, 8)
}

fn parse(text: &str, depth_max: usize) -> Result<Json, StoreError> {
    let limits = Limits {
        bytes_max: text.len(),
        depth_max,
    };
    Json::parse(text.as_bytes(), &limits).map_err(rot)
}

/// The columns that [`workspace`] reads.
pub(crate) const WORKSPACE: &str = "ws, name, log, epoch, cursor_key, last_seq, last_hash, \
    last_committed_at, low_water, contexts";

/// Reads a workspace and its number.
pub(crate) fn workspace(row: &Row<'_>) -> Result<(i64, WorkspaceRow), StoreError> {
    let found = WorkspaceRow {
        id: parsed::<WorkspaceId>(row, 1)?,
        log: array(row, 2)?,
        epoch: Epoch(unsigned(row, 3)?),
        cursor_key: array(row, 4)?,
        last: Seq(unsigned(row, 5)?),
        last_hash: RecordHash(array(row, 6)?),
        last_committed_at: Timestamp(column(row, 7)?),
        low_water: Seq(unsigned(row, 8)?),
        contexts: unsigned(row, 9)?,
    };
    Ok((column(row, 0)?, found))
}

/// The columns that [`head`] reads.
pub(crate) const HEAD: &str = "c.ctx, c.address, c.parent, c.state, c.level, c.owner, c.title, \
    c.labels, c.created_at, c.version, c.seq, c.change_id, c.hash, c.deleted, c.actor, c.updated_at, \
    c.conflicts";

/// Reads a head without its body, and its context's number.
pub(crate) fn head(row: &Row<'_>) -> Result<(i64, HeadRow), StoreError> {
    let parent: Option<String> = column(row, 2)?;
    let found = HeadRow {
        address: line_from(row, 1)?,
        parent: parent
            .map(|text| Address::parse(&text))
            .transpose()
            .map_err(rot)?,
        state: column(row, 3)?,
        level: parsed::<Level>(row, 4)?,
        owner: column(row, 5)?,
        title: column(row, 6)?,
        labels: labels_from(row, 7)?,
        created_at: Timestamp(column(row, 8)?),
        version: Version(unsigned(row, 9)?),
        seq: Seq(unsigned(row, 10)?),
        change: change_id(row, 11)?,
        hash: DocumentHash(array(row, 12)?),
        deleted: column(row, 13)?,
        actor: actor_from(row, 14)?,
        updated_at: Timestamp(column(row, 15)?),
        body: None,
        conflicts: conflicts_from(row, 16)?,
    };
    Ok((column(row, 0)?, found))
}

fn line_from(row: &Row<'_>, at: usize) -> Result<Address, StoreError> {
    let text = row
        .get_ref(at)
        .and_then(|value| Ok(value.as_str()?))
        .map_err(reading)?;
    Address::parse_line(text).map_err(rot)
}

fn conflicts_from(row: &Row<'_>, at: usize) -> Result<Arc<[Conflict]>, StoreError> {
    let text = row
        .get_ref(at)
        .and_then(|value| Ok(value.as_str_or_null()?))
        .map_err(reading)?;
    let Some(text) = text else {
        return Ok(Arc::default());
    };
    let json = parse(text, CONFLICTS_DEPTH_MAX)?;
    let all = json
        .as_array()
        .ok_or_else(|| rot("conflicts are an array"))?;
    Ok(Conflict::read_all(all).map_err(rot)?.into())
}

/// Names a line of versions as people read it.
pub(crate) fn line_name(line: &Address) -> String {
    match line.of_line() {
        (address, Some(branch)) => format!("{address} on branch {branch}"),
        (address, None) => address.to_string(),
    }
}

fn labels_from(row: &Row<'_>, at: usize) -> Result<Object, StoreError> {
    match json(row, at)? {
        Json::Object(labels) => Ok(labels),
        other => Err(rot(format!(
            "labels are an object, not {}",
            other.type_name()
        ))),
    }
}

fn actor_from(row: &Row<'_>, at: usize) -> Result<Actor, StoreError> {
    read_actor(&json(row, at)?, &Pointer::root()).map_err(rot)
}

/// Returns what [`head`] reads back as labels.
pub(crate) fn labels_text(labels: &Object) -> String {
    Json::Object(labels.clone()).to_text()
}

/// Returns what [`head`] reads back as the actor.
pub(crate) fn actor_text(actor: &Actor) -> String {
    let mut writer = JsonWriter::with_capacity(64);
    actor.write(&mut writer);
    writer.into_string()
}

/// Reads a change id.
pub(crate) fn change_id(row: &Row<'_>, at: usize) -> Result<ChangeId, StoreError> {
    ChangeId::from_bytes(array(row, at)?).map_err(rot)
}

/// The columns of `log` that [`version`] reads.
pub(crate) const VERSION: &str = "ctx, version, header, change_id, hash, whole, length(body) = 0";

/// Reads from a record's row what it says of the version that it made, and its header.
pub(crate) fn version(
    row: &Row<'_>,
    (ctx, address): (i64, &Address),
    (version, seq): (Version, Seq),
) -> Result<(VersionRow, RecordHeader), StoreError> {
    if (column::<i64>(row, 0)?, unsigned(row, 1)?) != (ctx, version.0) {
        return Err(rot(format!(
            "record {seq} is not that of {} v{version}",
            line_name(address)
        )));
    }
    let header = row
        .get_ref(2)
        .and_then(|value| Ok(value.as_blob()?))
        .map_err(reading)?;
    let header = RecordHeader::from_bytes(seq, header)?;
    let row = VersionRow {
        address: address.clone(),
        version,
        seq,
        committed_at: header.committed_at,
        change: change_id(row, 3)?,
        hash: DocumentHash(array(row, 4)?),
        snapshot: None,
        whole: column(row, 5)?,
        thinned: column(row, 6)?,
    };
    Ok((row, header))
}

/// Reads a record from the columns `header, salt, body` that begin at `from`; it is not thinned,
/// and its body may lead to a frame ([`crate::frames::fill`]).
pub(crate) fn record(row: &Row<'_>, from: usize, seq: Seq) -> Result<StoredRecord, StoreError> {
    let header = row
        .get_ref(from)
        .and_then(|value| Ok(value.as_blob()?))
        .map_err(reading)?;
    Ok(StoredRecord {
        header: RecordHeader::from_bytes(seq, header)?,
        salt: array(row, from + 1)?,
        body: blob(row, from + 2)?,
    })
}
