//! Thinning: the statements that take old versions away.
//!
//! A thinned record keeps its row with an empty salt and body, so that the chain, its place, its
//! time and its version stay. The pages that this frees are used by later writes; the file does
//! not shrink. A frame is written again without the texts that go.

use std::collections::BTreeMap;

use rusqlite::Connection;
use syncline_model::frame::InFrame;
use syncline_model::ids::{Address, Seq, Version, WorkspaceId};
use syncline_store::thin::refused;
use syncline_store::{StoreError, Thinned, Thinning, WorkspaceRow};

use crate::append::run;
use crate::errors::reading;
use crate::frames;
use crate::history::History;
use crate::memory::Memory;
use crate::read;
use crate::rows::{blob, pos};

pub(crate) fn thin(
    conn: &Connection,
    memory: &mut Memory,
    id: &WorkspaceId,
    thinning: &Thinning,
) -> Result<Thinned, StoreError> {
    const SQL: &str = "UPDATE workspace SET low_water = ?2 WHERE ws = ?1";
    let (ws, row) = memory.workspace(id)?.clone();
    let mut thinned = Thinned {
        low_water: row.low_water,
        ..Thinned::default()
    };
    let line = Line::of(conn, ws, &thinning.line).map_err(unread)?;
    line.thin(thinning, &mut thinned).map_err(unread)?;
    if thinned.low_water > row.low_water {
        let low_water = thinned.low_water;
        run(conn, SQL, (ws, low_water.0.cast_signed()))?;
        memory.set_workspace(ws, WorkspaceRow { low_water, ..row });
    }
    Ok(thinned)
}

/// A read that a write needed has failed: nothing was written.
fn unread(error: StoreError) -> StoreError {
    match error {
        StoreError::Full | StoreError::NotWritten(_) => error,
        other => StoreError::NotWritten(other.to_string()),
    }
}

/// One line of a context.
struct Line<'a> {
    conn: &'a Connection,
    ws: i64,
    ctx: i64,
}

impl<'a> Line<'a> {
    fn of(conn: &'a Connection, ws: i64, line: &Address) -> Result<Line<'a>, StoreError> {
        let ctx = read::context(conn, ws, line)?;
        let ctx = ctx.ok_or_else(|| refused("there is no such context"))?;
        Ok(Line { conn, ws, ctx })
    }

    fn thin(&self, thinning: &Thinning, thinned: &mut Thinned) -> Result<(), StoreError> {
        const PUT: &str = "INSERT INTO snapshot (ctx, version, bytes) VALUES (?1, ?2, ?3) \
            ON CONFLICT DO NOTHING";
        let mut history = History::of(self.conn, self.ctx)?;
        thinning.check(history.newest())?;
        for document in &thinning.documents {
            let version = document.version.0.cast_signed();
            run(self.conn, PUT, (self.ctx, version, &*document.bytes))?;
        }
        let mut framed = BTreeMap::<u64, Vec<u8>>::new();
        for version in &thinning.versions {
            let missing = || refused(&format!("version {version} is not there"));
            let seq = history.seq(*version)?.ok_or_else(missing)?;
            if let Some(place) = self.take(*version, seq, thinned)? {
                framed.entry(place.frame).or_default().push(place.index);
            }
        }
        for (frame, indexes) in framed {
            thinned.bytes += frames::take(self.conn, frame, &indexes)?;
        }
        for version in thinning.edges() {
            let missing = || refused(&format!("version {version} is not there"));
            let seq = history.seq(version)?.ok_or_else(missing)?;
            if !read::stands_alone(self.conn, self.ws, self.ctx, (version, seq))? {
                return Err(refused(&format!(
                    "version {version} would have no document"
                )));
            }
        }
        Ok(())
    }

    /// Takes one version away; returns where its text is, if that is in a frame.
    fn take(
        &self,
        version: Version,
        seq: Seq,
        thinned: &mut Thinned,
    ) -> Result<Option<InFrame>, StoreError> {
        const RECORD: &str = "UPDATE log SET salt = x'', body = x'' WHERE pos = ?1";
        const BODY: &str = "DELETE FROM body WHERE ctx = ?1 AND version = ?2";
        const SNAPSHOT: &str = "DELETE FROM snapshot WHERE ctx = ?1 AND version = ?2";
        const BYTES: &str = "SELECT length(body), substr(body, 1, 16), \
            coalesce((SELECT length(bytes) FROM body WHERE ctx = ?2 AND version = ?3), 0) + \
            coalesce((SELECT length(bytes) FROM snapshot WHERE ctx = ?2 AND version = ?3), 0) \
            FROM log WHERE pos = ?1 AND length(body) > 0";
        let place = (self.ctx, version.0.cast_signed());
        let at = pos(self.ws, seq);
        let bytes = read::first(self.conn, BYTES, (at, place.0, place.1), |row| {
            let number = |at| row.get::<_, i64>(at).map_err(reading);
            let stored = (number(0)?.cast_unsigned(), number(2)?.cast_unsigned());
            Ok((stored, InFrame::of_body(&blob(row, 1)?)?))
        })?;
        let Some(((record, documents), framed)) = bytes else {
            return Ok(None);
        };
        run(self.conn, RECORD, [at])?;
        run(self.conn, BODY, place)?;
        run(self.conn, SNAPSHOT, place)?;
        thinned.versions += 1;
        thinned.bytes += record + documents;
        thinned.low_water = thinned.low_water.max(seq);
        Ok(framed)
    }
}
