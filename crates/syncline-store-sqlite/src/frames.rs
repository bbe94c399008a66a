//! Frames: the one place where a record that is in a frame gets its text back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use rusqlite::Connection;
use syncline_model::frame::{Frame, InFrame};
use syncline_model::ids::Seq;
use syncline_model::record::{RotError, StoredRecord};
use syncline_store::StoreError;

use crate::append::run;
use crate::read;
use crate::rows::blob;

/// What a frame is compressed with when a text was taken out of it: writers wait meanwhile.
const LEVEL_AGAIN: i32 = 3;

/// Returns how long a record's body is once it is out of its frame.
pub(crate) fn length(body: &[u8]) -> usize {
    match InFrame::of_body(body) {
        Ok(Some(place)) => usize::from(place.length) + 1,
        _ => body.len(),
    }
}

/// Puts texts in place of bodies that lead to frames; what fails first is the answer.
pub(crate) fn fill(
    conn: &Connection,
    mut records: Vec<StoredRecord>,
) -> Result<Vec<StoredRecord>, StoreError> {
    let bodies = records.iter_mut().map(|record| {
        let seq = record.header.seq;
        (seq, &mut record.body)
    });
    match fill_each(conn, bodies)?.into_iter().next() {
        Some((_, rot)) => Err(rot.into()),
        None => Ok(records),
    }
}

/// A record that is in a frame.
type Asked<'a> = (Seq, InFrame, &'a mut Arc<[u8]>);

/// Puts texts in place of bodies that lead to frames; returns which could not be read.
///
/// Each frame is opened once, and one at a time, however the records of a page are mixed.
pub(crate) fn fill_each<'a>(
    conn: &Connection,
    bodies: impl Iterator<Item = (Seq, &'a mut Arc<[u8]>)>,
) -> Result<BTreeMap<Seq, RotError>, StoreError> {
    let mut failed = BTreeMap::new();
    let mut asked = BTreeMap::<u64, Vec<Asked<'a>>>::new();
    for (seq, body) in bodies {
        match InFrame::of_body(body) {
            Ok(Some(place)) => asked
                .entry(place.frame)
                .or_default()
                .push((seq, place, body)),
            Ok(None) => {}
            Err(rot) => drop(failed.insert(seq, RotError::Frame(seq, rot.to_string()))),
        }
    }
    for (number, records) in asked {
        let frame = opened(conn, number)?;
        for (seq, place, body) in records {
            let text = match &frame {
                Ok(frame) => place.body_from(frame).ok_or("it does not hold its text"),
                Err(why) => Err(why.as_str()),
            };
            match text {
                Ok(text) => *body = text,
                Err(why) => drop(failed.insert(seq, RotError::Frame(seq, why.to_owned()))),
            }
        }
    }
    Ok(failed)
}

/// A frame as it was stored, and open.
type Known = (Arc<[u8]>, Rc<Frame>);

thread_local! {
    /// The frame that this reader opened last: whoever walks a history reads one record after the
    /// other. At most some 300 KB.
    static LAST: RefCell<Option<Known>> = const { RefCell::new(None) };
}

/// Opens a frame's stored form. A frame that a text was taken out of is other bytes.
fn unpacked(bytes: Arc<[u8]>) -> Result<Rc<Frame>, RotError> {
    LAST.with_borrow_mut(|last| {
        if let Some((stored, frame)) = last
            && *stored == bytes
        {
            return Ok(frame.clone());
        }
        let frame = Rc::new(Frame::unpack(&bytes)?);
        *last = Some((bytes, frame.clone()));
        Ok(frame)
    })
}

/// Opens a frame, or says why it cannot be.
fn opened(conn: &Connection, number: u64) -> Result<Result<Rc<Frame>, String>, StoreError> {
    const SQL: &str = "SELECT bytes FROM frame WHERE frame = ?1";
    let bytes = match read::first(conn, SQL, [number.cast_signed()], |row| blob(row, 0)) {
        Ok(bytes) => bytes,
        Err(StoreError::Rot(rot)) => return Ok(Err(rot.to_string())),
        Err(error) => return Err(error),
    };
    Ok(match bytes {
        Some(bytes) => unpacked(bytes).map_err(|rot| rot.to_string()),
        None => Err("it is missing".to_owned()),
    })
}

/// Takes texts out of a frame, and the frame away with its last one; returns by how many bytes it
/// shrank.
pub(crate) fn take(conn: &Connection, number: u64, indexes: &[u8]) -> Result<u64, StoreError> {
    const LENGTH: &str = "SELECT length(bytes) FROM frame WHERE frame = ?1";
    const DELETE: &str = "DELETE FROM frame WHERE frame = ?1";
    const UPDATE: &str = "UPDATE frame SET bytes = ?2 WHERE frame = ?1";
    let broken = |why: String| StoreError::NotWritten(format!("frame {number}: {why}"));
    let key = number.cast_signed();
    let frame = opened(conn, number)?.map_err(broken)?;
    let mut frame = Frame::clone(&frame);
    let before = read::first(conn, LENGTH, [key], |row| {
        row.get::<_, i64>(0).map_err(crate::errors::reading)
    })?;
    let before = before.unwrap_or(0).cast_unsigned();
    indexes.iter().for_each(|index| frame.take(*index));
    if frame.indexes().next().is_none() {
        run(conn, DELETE, [key])?;
        return Ok(before);
    }
    let bytes = frame.pack(LEVEL_AGAIN);
    let bytes = bytes.ok_or_else(|| broken("there is no memory to compress it".to_owned()))?;
    run(conn, UPDATE, (key, &*bytes))?;
    Ok(before.saturating_sub(bytes.len() as u64))
}
