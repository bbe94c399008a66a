//! Reads: each function runs in one short transaction of a reader.

use rusqlite::{Connection, Row};
use syncline_model::ids::{Address, ChangeId, Seq, Version, WorkspaceId};
use syncline_model::record::{IdRow, RecordHash, RecordHeader, RotError, StoredRecord};
use syncline_model::time::Timestamp;
use syncline_store::{HeadBody, HeadRow, Rebuild, StoreError, VersionRow, WorkspaceRow};

use crate::errors::{reading, rot};
use crate::frames;
use crate::history::History;
use crate::kept::sum_of;
use crate::rows::{self, array, blob, pos};

/// Runs a statement and reads all of its rows.
pub(crate) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = conn.prepare_cached(sql).map_err(reading)?;
    let mut rows = statement.query(params).map_err(reading)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(reading)? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// Runs a statement and reads its first row.
pub(crate) fn first<T>(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = conn.prepare_cached(sql).map_err(reading)?;
    let mut rows = statement.query(params).map_err(reading)?;
    rows.next().map_err(reading)?.map(read).transpose()
}

/// All workspaces, with their numbers.
pub(crate) fn workspaces(conn: &Connection) -> Result<Vec<(i64, WorkspaceRow)>, StoreError> {
    let sql = format!("SELECT {} FROM workspace ORDER BY name", rows::WORKSPACE);
    all(conn, &sql, [], rows::workspace)
}

/// One workspace, with its number.
pub(crate) fn workspace(
    conn: &Connection,
    id: &WorkspaceId,
) -> Result<(i64, WorkspaceRow), StoreError> {
    let sql = format!("SELECT {} FROM workspace WHERE name = ?1", rows::WORKSPACE);
    first(conn, &sql, [id.as_str()], rows::workspace)?
        .ok_or_else(|| StoreError::NoWorkspace(id.to_string()))
}

/// A context's number.
pub(crate) fn context(
    conn: &Connection,
    ws: i64,
    address: &Address,
) -> Result<Option<i64>, StoreError> {
    const SQL: &str = "SELECT ctx FROM context WHERE ws = ?1 AND address = ?2";
    first(conn, SQL, (ws, address.as_str()), |row| {
        row.get(0).map_err(reading)
    })
}

pub(crate) fn ids(
    conn: &Connection,
    ws: i64,
    ids: &[ChangeId],
) -> Result<Vec<Option<IdRow>>, StoreError> {
    const SQL: &str = "SELECT digest, outcome, sum FROM change_id WHERE ws = ?1 AND id = ?2";
    let one = |id: &ChangeId| first(conn, SQL, (ws, id.as_bytes()), |row| id_row(row, 0, *id));
    ids.iter().map(one).collect()
}

/// Reads digest, outcome and sum of a change id, and compares the sum.
pub(crate) fn id_row(row: &Row<'_>, at: usize, id: ChangeId) -> Result<IdRow, StoreError> {
    let found = IdRow {
        id,
        digest: array(row, at)?,
        outcome: blob(row, at + 1)?,
    };
    let sum: Option<Vec<u8>> = row.get(at + 2).map_err(reading)?;
    match sum {
        Some(sum) if sum != id_sum(&found) => Err(rot(format!(
            "change id {id} does not stand for what was written"
        ))),
        _ => Ok(found),
    }
}

/// Returns the sum of a change id's row.
pub(crate) fn id_sum(row: &IdRow) -> [u8; 8] {
    let digest: &[u8] = row.digest.as_ref();
    sum_of(&[row.id.as_bytes(), digest, &row.outcome])
}

/// The greatest change id of a workspace: the last of its run in the table.
pub(crate) fn newest_id(conn: &Connection, ws: i64) -> Result<Option<ChangeId>, StoreError> {
    const SQL: &str = "SELECT id FROM change_id WHERE ws = ?1 ORDER BY id DESC LIMIT 1";
    let bytes: Option<[u8; 16]> = first(conn, SQL, [ws], |row| array(row, 0))?;
    bytes
        .map(|bytes| {
            ChangeId::from_bytes(bytes)
                .map_err(|error| RotError::Decode(format!("a change id: {error}")).into())
        })
        .transpose()
}

/// A context's stored document.
pub(crate) fn body(conn: &Connection, ctx: i64) -> Result<Option<HeadBody>, StoreError> {
    const SQL: &str = "SELECT version, bytes FROM body WHERE ctx = ?1";
    first(conn, SQL, [ctx], |row| {
        let version = Version(row.get::<_, i64>(0).map_err(reading)?.cast_unsigned());
        Ok(HeadBody {
            version,
            bytes: blob(row, 1)?,
        })
    })
}

/// A head with its body, and its context's number.
pub(crate) fn head(
    conn: &Connection,
    ws: i64,
    address: &Address,
) -> Result<Option<(i64, HeadRow)>, StoreError> {
    head_alone(conn, ws, address)?
        .map(|(ctx, head)| {
            Ok((
                ctx,
                HeadRow {
                    body: body(conn, ctx)?,
                    ..head
                },
            ))
        })
        .transpose()
}

/// A head without its body, and its context's number.
pub(crate) fn head_alone(
    conn: &Connection,
    ws: i64,
    address: &Address,
) -> Result<Option<(i64, HeadRow)>, StoreError> {
    let sql = format!(
        "SELECT {} FROM context c WHERE ws = ?1 AND address = ?2",
        rows::HEAD
    );
    first(conn, &sql, (ws, address.as_str()), rows::head)
}

/// Which records are asked for.
pub(crate) struct Span {
    pub after: Seq,
    pub until: Seq,
    pub limit: usize,
    pub bytes_max: usize,
}

pub(crate) fn records(
    conn: &Connection,
    (ws, row): &(i64, WorkspaceRow),
    span: &Span,
) -> Result<Vec<StoredRecord>, StoreError> {
    const SQL: &str =
        "SELECT pos, header, salt, body FROM log WHERE pos > ?1 AND pos <= ?2 ORDER BY pos";
    if span.after < row.low_water {
        return Err(StoreError::Compacted {
            oldest: row.low_water.next(),
        });
    }
    let until = span.until.min(row.last);
    let mut records = Vec::new();
    if span.limit == 0 || span.after >= until {
        return Ok(records);
    }
    let mut statement = conn.prepare_cached(SQL).map_err(reading)?;
    let mut found = statement
        .query((pos(*ws, span.after), pos(*ws, until)))
        .map_err(reading)?;
    let mut seq = span.after;
    let mut bytes = 0;
    while seq < until {
        seq = seq.next();
        let row = found.next().map_err(reading)?;
        let row = row
            .filter(|row| row.get(0) == Ok(pos(*ws, seq)))
            .ok_or(RotError::Chain(seq))?;
        let record = rows::record(row, 1, seq)?;
        bytes += frames::length(&record.body);
        records.push(record);
        if records.len() == span.limit || bytes >= span.bytes_max {
            break;
        }
    }
    if let Some(first) = records.first() {
        check_link(conn, *ws, &first.header)?;
    }
    for pair in records.windows(2) {
        pair[1].header.check_follows(&pair[0].header.hash)?;
    }
    frames::fill(conn, records)
}

/// Checks a record's header by the one before it, so that a time that rotted is not served.
fn check_link(conn: &Connection, ws: i64, found: &RecordHeader) -> Result<(), StoreError> {
    const LOG: &str = "SELECT log FROM workspace WHERE ws = ?1";
    let seq = found.seq;
    let before = match seq {
        Seq(1) => first(conn, LOG, [ws], |row| {
            Ok(RecordHash::genesis(&array(row, 0)?))
        })?,
        Seq(n) => header(conn, ws, Seq(n.saturating_sub(1)))?.map(|before| before.hash),
    };
    let before = before.ok_or(RotError::Chain(seq))?;
    Ok(found.check_follows(&before)?)
}

/// One record, unless it was thinned.
pub(crate) fn record(
    conn: &Connection,
    ws: i64,
    seq: Seq,
) -> Result<Option<StoredRecord>, StoreError> {
    let stored = stored_record(conn, ws, seq, usize::MAX)?;
    if let Some(stored) = &stored {
        check_link(conn, ws, &stored.header)?;
    }
    let stored = stored.into_iter().collect();
    Ok(frames::fill(conn, stored)?.pop())
}

/// One record as its row has it, which may only say in which frame its text is; `None` if it was
/// thinned, or its row has a body of more bytes than that.
pub(crate) fn stored_record(
    conn: &Connection,
    ws: i64,
    seq: Seq,
    bytes_max: usize,
) -> Result<Option<StoredRecord>, StoreError> {
    const SQL: &str = "SELECT header, salt, body FROM log \
        WHERE pos = ?1 AND length(body) BETWEEN 1 AND ?2";
    let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
    first(conn, SQL, (pos(ws, seq), bytes_max), |row| {
        rows::record(row, 0, seq)
    })
}

/// A record's header, be it thinned.
pub(crate) fn header(
    conn: &Connection,
    ws: i64,
    seq: Seq,
) -> Result<Option<RecordHeader>, StoreError> {
    const SQL: &str = "SELECT header FROM log WHERE pos = ?1";
    first(conn, SQL, [pos(ws, seq)], |row| {
        let bytes = row
            .get_ref(0)
            .and_then(|value| Ok(value.as_blob()?))
            .map_err(reading)?;
        Ok(RecordHeader::from_bytes(seq, bytes)?)
    })
}

fn committed_at(conn: &Connection, ws: i64, seq: Seq) -> Result<Timestamp, StoreError> {
    let header = header(conn, ws, seq)?.ok_or(RotError::Chain(seq))?;
    check_link(conn, ws, &header)?;
    Ok(header.committed_at)
}

/// Halves the log, since times never fall along it.
pub(crate) fn seq_at(
    conn: &Connection,
    (ws, row): &(i64, WorkspaceRow),
    at: Timestamp,
) -> Result<Seq, StoreError> {
    let (mut low, mut high) = (Seq::ZERO, row.last);
    if row.last_committed_at <= at {
        return Ok(high);
    }
    // `low` was committed by then, everything above `high` was not.
    while low < high {
        let middle = Seq(low.0 + (high.0 - low.0).div_ceil(2));
        if committed_at(conn, *ws, middle)? <= at {
            low = middle;
        } else {
            high = Seq(middle.0 - 1);
        }
    }
    Ok(low)
}

/// Returns what a record's row says of the version that it made.
pub(crate) fn version_of(
    conn: &Connection,
    ws: i64,
    context: (i64, &Address),
    place: (Version, Seq),
) -> Result<VersionRow, StoreError> {
    let (row, header) = version_alone(conn, ws, context, place)?;
    check_link(conn, ws, &header)?;
    Ok(row)
}

/// Does so without the record before, which alone shows that a time did not rot: for whoever walks
/// along the whole log, and so checks each record by the one before it anyway.
pub(crate) fn version_alone(
    conn: &Connection,
    ws: i64,
    context: (i64, &Address),
    (version, seq): (Version, Seq),
) -> Result<(VersionRow, RecordHeader), StoreError> {
    let sql = format!("SELECT {} FROM log WHERE pos = ?1", rows::VERSION);
    let found = first(conn, &sql, [pos(ws, seq)], |row| {
        rows::version(row, context, (version, seq))
    })?;
    Ok(found.ok_or(RotError::Chain(seq))?)
}

pub(crate) fn versions(
    conn: &Connection,
    ws: i64,
    context: (i64, &Address),
    below: Option<Version>,
    limit: usize,
) -> Result<Vec<VersionRow>, StoreError> {
    let mut history = History::of(conn, context.0)?;
    let below = below.map_or(u64::MAX, |version| version.0);
    let mut next = below.min(history.newest().0.saturating_add(1));
    let mut found = Vec::new();
    while found.len() < limit && next > 1 {
        next -= 1;
        let Some(seq) = history.seq(Version(next))? else {
            break;
        };
        let row = version_of(conn, ws, context, (Version(next), seq))?;
        if !row.thinned {
            found.push(row);
        }
    }
    Ok(found)
}

pub(crate) fn version(
    conn: &Connection,
    ws: i64,
    context: (i64, &Address),
    version: Version,
) -> Result<Option<VersionRow>, StoreError> {
    match History::of(conn, context.0)?.seq(version)? {
        Some(seq) => version_of(conn, ws, context, (version, seq)).map(Some),
        None => Ok(None),
    }
}

pub(crate) fn version_at(
    conn: &Connection,
    ws: i64,
    context: (i64, &Address),
    seq: Seq,
) -> Result<Option<VersionRow>, StoreError> {
    match History::of(conn, context.0)?.at(seq)? {
        Some(found) => version_of(conn, ws, context, found).map(Some),
        None => Ok(None),
    }
}

/// Walks back to a stored document, or to a record that holds the whole one.
pub(crate) fn rebuild(
    conn: &Connection,
    ws: &(i64, WorkspaceRow),
    context: (i64, &Address),
    version: Version,
) -> Result<Rebuild, StoreError> {
    let mut history = History::of(conn, context.0)?;
    let Some(seq) = history.seq(version)? else {
        return Ok(Rebuild::default());
    };
    let compacted = || StoreError::Compacted {
        oldest: ws.1.low_water.next(),
    };
    let asked = version_of(conn, ws.0, context, (version, seq))?;
    if asked.thinned {
        return Err(compacted());
    }
    let start = nearest(conn, context.0, version)?;
    let above = start.as_ref().map_or(Version::ZERO, |body| body.version);
    let mut rebuild = Rebuild {
        start,
        records: Vec::new(),
        hash: Some(asked.hash),
    };
    let mut next = version;
    while next > above {
        let broken = || RotError::Decode(format!("version {next} is missing"));
        let seq = history.seq(next)?.ok_or_else(broken)?;
        let (record, whole) = match record_of(conn, ws.0, context.0, (next, seq))? {
            Some(found) => found,
            None => return Err(RotError::Chain(seq).into()),
        };
        rebuild.records.push(record);
        if whole {
            rebuild.start = None;
            return filled(conn, rebuild);
        }
        next = Version(next.0 - 1);
    }
    if rebuild.start.is_none() {
        return Err(RotError::Decode(format!("version {version} has no beginning")).into());
    }
    filled(conn, rebuild)
}

/// Puts the records, which were found newest first, in order and gives them their texts.
fn filled(conn: &Connection, mut rebuild: Rebuild) -> Result<Rebuild, StoreError> {
    rebuild.records.reverse();
    rebuild.records = frames::fill(conn, rebuild.records)?;
    Ok(rebuild)
}

/// Says whether a version needs none before it to be rebuilt, or is gone itself.
pub(crate) fn stands_alone(
    conn: &Connection,
    ws: i64,
    ctx: i64,
    (version, seq): (Version, Seq),
) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT whole OR length(body) = 0 OR EXISTS \
        (SELECT 1 FROM snapshot WHERE ctx = ?2 AND version = ?3) FROM log WHERE pos = ?1";
    let params = (pos(ws, seq), ctx, version.0.cast_signed());
    let alone = first(conn, SQL, params, |row| row.get(0).map_err(reading))?;
    Ok(alone.unwrap_or(false))
}

/// Returns the newest stored document at or below a version.
fn nearest(conn: &Connection, ctx: i64, version: Version) -> Result<Option<HeadBody>, StoreError> {
    const BODY: &str = "SELECT version, bytes FROM body WHERE ctx = ?1 AND version <= ?2";
    const SNAPSHOT: &str = "SELECT version, bytes FROM snapshot \
        WHERE ctx = ?1 AND version <= ?2 ORDER BY version DESC LIMIT 1";
    let stored = |row: &Row<'_>| {
        let version = Version(row.get::<_, i64>(0).map_err(reading)?.cast_unsigned());
        Ok(HeadBody {
            version,
            bytes: blob(row, 1)?,
        })
    };
    let asked = (ctx, version.0.cast_signed());
    let body = first(conn, BODY, asked, stored)?;
    let snapshot = first(conn, SNAPSHOT, asked, stored)?;
    let both = [body, snapshot].into_iter().flatten();
    Ok(both.max_by_key(|body| body.version))
}

/// Returns the record that made a version, as its row has it, and whether it holds the whole
/// document; `None` where it is missing or thinned, which no version after it may be rebuilt through.
fn record_of(
    conn: &Connection,
    ws: i64,
    ctx: i64,
    (version, seq): (Version, Seq),
) -> Result<Option<(StoredRecord, bool)>, StoreError> {
    const SQL: &str = "SELECT header, salt, body, ctx, version, whole FROM log \
        WHERE pos = ?1 AND length(body) > 0";
    first(conn, SQL, [pos(ws, seq)], |row| {
        let number = |at| row.get::<_, i64>(at).map_err(reading);
        if (number(3)?, number(4)?) != (ctx, version.0.cast_signed()) {
            return Err(RotError::Decode(format!("record {seq} is not that of v{version}")).into());
        }
        Ok((rows::record(row, 0, seq)?, number(5)? != 0))
    })
}
