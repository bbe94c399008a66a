//! Reads: each function runs in one short transaction of a reader.

use rusqlite::{Connection, Row};
use syncline_model::document::DocumentHash;
use syncline_model::ids::{Address, ChangeId, Seq, Version, WorkspaceId};
use syncline_model::record::{IdRow, RecordHeader, RotError, StoredRecord};
use syncline_model::time::Timestamp;
use syncline_store::{HeadBody, HeadRow, Rebuild, StoreError, VersionRow, WorkspaceRow};

use crate::errors::reading;
use crate::rows::{self, array, blob, pos, seq_of};

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
    const SQL: &str = "SELECT digest, outcome FROM change_id WHERE ws = ?1 AND id = ?2";
    let one = |id: &ChangeId| {
        first(conn, SQL, (ws, id.as_bytes()), |row| {
            Ok(IdRow {
                id: *id,
                digest: array(row, 0)?,
                outcome: blob(row, 1)?,
            })
        })
    };
    ids.iter().map(one).collect()
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
        bytes += record.body.len();
        records.push(record);
        if records.len() == span.limit || bytes >= span.bytes_max {
            break;
        }
    }
    Ok(records)
}

fn committed_at(conn: &Connection, ws: i64, seq: Seq) -> Result<Timestamp, StoreError> {
    const SQL: &str = "SELECT header FROM log WHERE pos = ?1";
    let header = first(conn, SQL, [pos(ws, seq)], |row| {
        let bytes = row
            .get_ref(0)
            .and_then(|value| Ok(value.as_blob()?))
            .map_err(reading)?;
        Ok(RecordHeader::from_bytes(seq, bytes)?)
    })?;
    Ok(header.ok_or(RotError::Chain(seq))?.committed_at)
}

/// Halves the log, since times never fall along it.
pub(crate) fn seq_at(
    conn: &Connection,
    (ws, row): &(i64, WorkspaceRow),
    at: Timestamp,
) -> Result<Seq, StoreError> {
    let (mut low, mut high) = (row.low_water, row.last);
    if low < high && row.last_committed_at <= at {
        return Ok(high);
    }
    // `low` was committed by then (or is not kept), everything above `high` was not.
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

pub(crate) fn versions(
    conn: &Connection,
    ctx: i64,
    address: &Address,
    below: Option<Version>,
    limit: usize,
) -> Result<Vec<VersionRow>, StoreError> {
    let sql = format!(
        "SELECT {} FROM version WHERE ctx = ?1 AND version < ?2 ORDER BY version DESC LIMIT ?3",
        rows::VERSION
    );
    let below = below.map_or(i64::MAX, |version| {
        i64::try_from(version.0).unwrap_or(i64::MAX)
    });
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    all(conn, &sql, (ctx, below, limit), |row| {
        rows::version(row, address)
    })
}

pub(crate) fn version(
    conn: &Connection,
    ctx: i64,
    address: &Address,
    version: Version,
) -> Result<Option<VersionRow>, StoreError> {
    let found = versions(conn, ctx, address, Some(version.next()), 1)?
        .into_iter()
        .next();
    Ok(found.filter(|row| row.version == version))
}

/// Halves the versions, since seqs rise with them; some may be missing in between.
pub(crate) fn version_at(
    conn: &Connection,
    ctx: i64,
    address: &Address,
    seq: Seq,
) -> Result<Option<VersionRow>, StoreError> {
    let newest = versions(conn, ctx, address, None, 1)?.into_iter().next();
    let Some(newest) = newest else {
        return Ok(None);
    };
    if newest.seq <= seq {
        return Ok(Some(newest));
    }
    let mut found = None;
    // The answer lies in `low..high`; versions from `high` on came after `seq`.
    let (mut low, mut high) = (1, newest.version.0);
    while low < high {
        let middle = low + (high - low) / 2;
        let below = Some(Version(middle + 1));
        match versions(conn, ctx, address, below, 1)?.into_iter().next() {
            Some(row) if row.seq > seq => high = row.version.0,
            row => {
                found = row.or(found);
                low = middle + 1;
            }
        }
    }
    Ok(found)
}

/// Where a rebuild begins: a stored document, or a record that holds the whole one.
enum Start {
    Stored(HeadBody),
    Record(Version),
}

pub(crate) fn rebuild(
    conn: &Connection,
    ws: &(i64, WorkspaceRow),
    ctx: i64,
    version: Version,
) -> Result<Rebuild, StoreError> {
    const HASH: &str = "SELECT hash FROM version WHERE ctx = ?1 AND version = ?2";
    let asked = (ctx, version.0.cast_signed());
    let Some(hash) = first(conn, HASH, asked, |row| array(row, 0).map(DocumentHash))? else {
        return Ok(Rebuild::default());
    };
    let (from, start) = match nearest(conn, ctx, version)? {
        Some(Start::Stored(body)) => (body.version.next(), Some(body)),
        Some(Start::Record(whole)) => (whole, None),
        None if ws.1.low_water > Seq::ZERO => {
            return Err(StoreError::Compacted {
                oldest: ws.1.low_water.next(),
            });
        }
        None => return Err(RotError::Decode(format!("version {version} has no beginning")).into()),
    };
    let records = records_of(conn, ws, ctx, from, version)?;
    Ok(Rebuild {
        start,
        records,
        hash: Some(hash),
    })
}

fn nearest(conn: &Connection, ctx: i64, version: Version) -> Result<Option<Start>, StoreError> {
    const BODY: &str = "SELECT version, bytes FROM body WHERE ctx = ?1 AND version <= ?2";
    const SNAPSHOT: &str = "SELECT version, bytes FROM snapshot \
        WHERE ctx = ?1 AND version <= ?2 ORDER BY version DESC LIMIT 1";
    const WHOLE: &str = "SELECT version FROM version WHERE ctx = ?1 AND version <= ?2 \
        AND version > ?3 AND whole = 1 ORDER BY version DESC LIMIT 1";
    let asked = (ctx, version.0.cast_signed());
    let number = |row: &Row<'_>| {
        row.get::<_, i64>(0)
            .map(|n| Version(n.cast_unsigned()))
            .map_err(reading)
    };
    let stored = |row: &Row<'_>| {
        Ok(HeadBody {
            version: number(row)?,
            bytes: blob(row, 1)?,
        })
    };
    let body = first(conn, BODY, asked, stored)?;
    let snapshot = first(conn, SNAPSHOT, asked, stored)?;
    let stored = [body, snapshot]
        .into_iter()
        .flatten()
        .max_by_key(|body| body.version);
    let above = stored.as_ref().map_or(Version::ZERO, |body| body.version);
    let whole = first(
        conn,
        WHOLE,
        (asked.0, asked.1, above.0.cast_signed()),
        number,
    )?;
    Ok(whole.map(Start::Record).or(stored.map(Start::Stored)))
}

/// The records of a context's versions `from..=upto`.
fn records_of(
    conn: &Connection,
    (ws, workspace): &(i64, WorkspaceRow),
    ctx: i64,
    from: Version,
    upto: Version,
) -> Result<Vec<StoredRecord>, StoreError> {
    const SQL: &str = "SELECT v.version, v.seq, l.pos, l.header, l.salt, l.body \
        FROM version v LEFT JOIN log l ON l.pos = ?1 + v.seq \
        WHERE v.ctx = ?2 AND v.version BETWEEN ?3 AND ?4 ORDER BY v.version";
    let mut next = from;
    let params = (
        pos(*ws, Seq::ZERO),
        ctx,
        from.0.cast_signed(),
        upto.0.cast_signed(),
    );
    let records = all(conn, SQL, params, |row| {
        let number: i64 = row.get(0).map_err(reading)?;
        let seq = Seq(row.get::<_, i64>(1).map_err(reading)?.cast_unsigned());
        if number.cast_unsigned() != next.0 {
            return Err(RotError::Decode(format!("version {next} is missing")).into());
        }
        next = next.next();
        match row.get::<_, Option<i64>>(2).map_err(reading)? {
            Some(found) => rows::record(row, 3, seq_of(found)),
            None if seq <= workspace.low_water => Err(StoreError::Compacted {
                oldest: workspace.low_water.next(),
            }),
            None => Err(RotError::Chain(seq).into()),
        }
    })?;
    if next != upto.next() {
        return Err(RotError::Decode(format!("version {next} is missing")).into());
    }
    Ok(records)
}
