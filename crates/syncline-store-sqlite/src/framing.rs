//! Framing: which records go into a frame, and the statements that put them there.
//!
//! A reader chooses, reads and compresses; the writer, whom others wait for, writes the frame and
//! the short bodies that lead to it, and finds out whether the records are still what was read.

use rusqlite::Connection;
use syncline_model::frame::{FRAMED_TEXT_MAX, InFrame};
use syncline_model::ids::{Address, Seq, Version, WorkspaceId};
use syncline_model::record::StoredRecord;
use syncline_store::frame::PackedFrame;
use syncline_store::{Framed, STRETCH_VERSIONS, StoreError, Unframed, pack_stretch};

use crate::errors::{reading, rot, writing};
use crate::history::History;
use crate::memory::Memory;
use crate::read;
use crate::rows::pos;

/// Bounds the lines that one page looks at.
const PAGE_LINES: usize = 1_000;
/// Bounds the stretches that a step may find empty: what is thinned leaves nothing to frame.
const STRETCHES_MAX: u64 = 16;

/// A body that is longer has a text that no frame takes.
const STORED_MAX: usize = FRAMED_TEXT_MAX + 1;

/// Something to frame.
pub(crate) struct Framing {
    ctx: i64,
    /// Up to which version the line was framed when it was read, and is after this.
    framed: (Version, Version),
    frames: Vec<Made>,
    told: Framed,
}

/// A frame that is to be written, with the records whose texts it holds, as they were read.
struct Made {
    packed: PackedFrame,
    /// The version of the first.
    first: Version,
    records: Vec<Read>,
}

/// A record as it was read.
struct Read {
    seq: Seq,
    salt: [u8; 16],
    /// The length of the body in its row.
    stored: usize,
}

impl Framing {
    /// Returns what it does.
    pub(crate) fn told(&self) -> Framed {
        self.told
    }

    /// Returns about how many bytes it writes.
    pub(crate) fn weight(&self) -> usize {
        let frame = |made: &Made| made.packed.bytes.len() + 300 * made.records.len();
        self.frames.iter().map(frame).sum()
    }
}

/// A page of lines that have a whole stretch behind them which is not framed.
pub(crate) fn unframed(
    conn: &Connection,
    ws: i64,
    after: Option<&Address>,
) -> Result<Unframed, StoreError> {
    const SQL: &str = "SELECT address, version, framed FROM context \
        WHERE ws = ?1 AND address > ?2 ORDER BY address LIMIT ?3";
    let after = after.map_or("", Address::as_str);
    let limit = i64::try_from(PAGE_LINES).unwrap_or(i64::MAX);
    let rows = read::all(conn, SQL, (ws, after, limit), |row| {
        let number = |at| row.get::<_, i64>(at).map_err(reading);
        let line = row.get::<_, String>(0).map_err(reading)?;
        let line = Address::parse_line(&line).map_err(rot)?;
        Ok((line, number(1)?.cast_unsigned(), number(2)?.cast_unsigned()))
    })?;
    let next = match rows.len() < PAGE_LINES {
        true => None,
        false => rows.last().map(|(line, ..)| line.clone()),
    };
    let due = rows.into_iter();
    let due = due.filter(|(_, newest, framed)| is_whole(Version(*framed), Version(*newest)));
    Ok(Unframed {
        lines: due.map(|(line, ..)| line).collect(),
        next,
    })
}

/// Says whether the stretch after a version ends before the newest.
fn is_whole(after: Version, newest: Version) -> bool {
    after.0.saturating_add(STRETCH_VERSIONS) < newest.0
}

/// Reads and compresses the next stretch of a line; `None` if there is none.
pub(crate) fn prepare(
    conn: &Connection,
    ws: i64,
    (ctx, after): (i64, Option<Version>),
) -> Result<Option<Framing>, StoreError> {
    const SQL: &str = "SELECT framed FROM context WHERE ctx = ?1";
    let framed = read::first(conn, SQL, [ctx], |row| {
        row.get::<_, i64>(0).map_err(reading)
    })?;
    let framed = Version(framed.unwrap_or(0).cast_unsigned());
    let mut history = History::of(conn, ctx)?;
    let begins = after.map_or(framed, |after| after.max(framed));
    let mut framing = Framing {
        ctx,
        framed: (framed, begins),
        frames: Vec::new(),
        told: Framed::default(),
    };
    for _ in 0..STRETCHES_MAX {
        let begins = framing.framed.1;
        if !framing.frames.is_empty() || !is_whole(begins, history.newest()) {
            break;
        }
        let ends = Version(begins.0 + STRETCH_VERSIONS);
        let mut stretch = Vec::new();
        for version in (begins.0 + 1..=ends.0).map(Version) {
            let missing = || rot(format!("version {version} is missing"));
            let seq = history.seq(version)?.ok_or_else(missing)?;
            let record = read::stored_record(conn, ws, seq, STORED_MAX)?;
            stretch.extend(record.map(|record| (version, record)));
        }
        framing.frames = made(&stretch);
        framing.framed.1 = ends;
    }
    let ends = framing.framed.1;
    framing.told = told(&framing.frames);
    framing.told.next = is_whole(ends, history.newest()).then_some(ends);
    Ok((ends > begins).then_some(framing))
}

/// Makes the frames of a stretch.
fn made(stretch: &[(Version, StoredRecord)]) -> Vec<Made> {
    let packed = pack_stretch(stretch.iter().map(|(_, record)| &*record.body));
    let made = packed.into_iter().filter_map(|packed| {
        let held = packed.texts.iter().map(|text| &stretch[text.body]);
        let records = held.map(|(_, record)| Read {
            seq: record.header.seq,
            salt: record.salt,
            stored: record.body.len(),
        });
        Some(Made {
            first: stretch[packed.texts.first()?.body].0,
            records: records.collect(),
            packed,
        })
    });
    made.collect()
}

fn told(frames: &[Made]) -> Framed {
    let mut told = Framed::default();
    for Made { packed, .. } in frames {
        told.records += packed.texts.len() as u64;
        told.bytes_before += packed.bytes_before as u64;
        told.bytes_after += packed.bytes_after() as u64;
    }
    told
}

/// Writes what was prepared, unless the records are others by now.
pub(crate) fn put(
    conn: &Connection,
    memory: &Memory,
    id: &WorkspaceId,
    framing: &Framing,
) -> Result<Framed, StoreError> {
    const MARK: &str = "UPDATE context SET framed = ?3 WHERE ctx = ?1 AND framed = ?2";
    const FRAME: &str = "INSERT INTO frame (ctx, first, bytes) VALUES (?1, ?2, ?3)";
    const BODY: &str = "UPDATE log SET body = ?4 \
        WHERE pos = ?1 AND salt = ?2 AND length(body) = ?3";
    let (ws, _) = memory.workspace(id)?;
    let (from, to) = framing.framed;
    let ctx = framing.ctx;
    let marks = (ctx, from.0.cast_signed(), to.0.cast_signed());
    one(conn, MARK, marks)?;
    for made in &framing.frames {
        let bytes = &*made.packed.bytes;
        one(conn, FRAME, (ctx, made.first.0.cast_signed(), bytes))?;
        let frame = conn.last_insert_rowid().cast_unsigned();
        for (record, text) in made.records.iter().zip(&made.packed.texts) {
            let place = InFrame {
                frame,
                index: text.index,
                length: text.length,
            };
            let stored = i64::try_from(record.stored).unwrap_or(i64::MAX);
            let at = pos(*ws, record.seq);
            one(conn, BODY, (at, record.salt, stored, place.to_body()))?;
        }
    }
    Ok(framing.told)
}

/// Runs a statement that has to change one row.
fn one(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<(), StoreError> {
    let changed = conn
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params));
    match changed.map_err(writing)? {
        1 => Ok(()),
        _ => Err(StoreError::NotWritten(
            "the records changed while they were framed".to_owned(),
        )),
    }
}
