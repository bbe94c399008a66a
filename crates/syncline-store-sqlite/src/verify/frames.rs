//! The walk over frames: each text in one is that of a record which says so. That what records
//! say is there and true is found on the walk along the log.

use rusqlite::Connection;
use syncline_model::frame::{Frame, InFrame};
use syncline_model::ids::{Address, Version};
use syncline_store::{STRETCH_VERSIONS, StoreError};

use super::{Findings, Workspaces};
use crate::errors::{reading, rot};
use crate::history::History;
use crate::read;
use crate::rows::{blob, line_name};

/// Bounds one step: some megabytes at most.
const CHUNK_ROWS: i64 = 16;

/// More than a body has that leads to a frame.
const BODY_MAX: usize = 16;

/// A frame's row.
struct Stored {
    number: i64,
    ctx: i64,
    first: Version,
    frame: Result<Frame, StoreError>,
}

/// Checks the next frames.
pub(super) fn chunk(
    conn: &Connection,
    workspaces: &Workspaces,
    after: i64,
    findings: &mut Findings,
) -> Result<Option<i64>, StoreError> {
    const SQL: &str = "SELECT frame, ctx, first, bytes FROM frame WHERE frame > ?1 \
        ORDER BY frame LIMIT ?2";
    let found = read::all(conn, SQL, (after, CHUNK_ROWS), |row| {
        let number = |at| row.get::<_, i64>(at).map_err(reading);
        let frame = blob(row, 3).and_then(|bytes| Ok(Frame::unpack(&bytes)?));
        Ok(Stored {
            number: number(0)?,
            ctx: number(1)?,
            first: Version(number(2)?.cast_unsigned()),
            frame,
        })
    })?;
    let mut last = None;
    for stored in found {
        last = Some(stored.number);
        check(conn, workspaces, stored, findings);
    }
    Ok(last)
}

/// Checks one frame.
fn check(conn: &Connection, workspaces: &Workspaces, stored: Stored, findings: &mut Findings) {
    let name = format!("frame {}", stored.number);
    let (ws, line) = match owner(conn, stored.ctx) {
        Ok(owner) => owner,
        Err(error) => return findings.problem(format!("{name}: {error}")),
    };
    // A workspace that was made after the walk began is left for the next.
    let Some(row) = workspaces.get(&ws) else {
        return;
    };
    let what = format!("{name} of {}", line_name(&line));
    if let Err(error) = led_to(conn, ws, stored) {
        findings.failed(&row.id, &what, &error);
    }
}

/// Returns whose line a frame is of.
fn owner(conn: &Connection, ctx: i64) -> Result<(i64, Address), StoreError> {
    const SQL: &str = "SELECT ws, address FROM context WHERE ctx = ?1";
    let found = read::first(conn, SQL, [ctx], |row| {
        let line: String = row.get(1).map_err(reading)?;
        Ok((
            row.get(0).map_err(reading)?,
            Address::parse_line(&line).map_err(rot)?,
        ))
    })?;
    found.ok_or_else(|| rot("it is of no context"))
}

/// Checks that records of the line lead to all texts of a frame, in order.
fn led_to(conn: &Connection, ws: i64, stored: Stored) -> Result<(), StoreError> {
    let frame = stored.frame?;
    let mut waiting = frame.indexes().peekable();
    if waiting.peek().is_none() {
        return Err(rot("it holds nothing"));
    }
    let mut history = History::of(conn, stored.ctx)?;
    let first = stored.first.0;
    for version in first..first.saturating_add(STRETCH_VERSIONS) {
        let Some(seq) = history.seq(Version(version))? else {
            break;
        };
        // Bodies that lead to frames are short.
        let record = read::stored_record(conn, ws, seq, BODY_MAX)?;
        let place = record.map(|record| InFrame::of_body(&record.body));
        let Some(place) = place.transpose()?.flatten() else {
            continue;
        };
        if place.frame == stored.number.cast_unsigned() {
            waiting.next_if_eq(&place.index);
        }
    }
    match waiting.next() {
        None => Ok(()),
        Some(index) => Err(rot(format!("no record leads to its text {index}"))),
    }
}
