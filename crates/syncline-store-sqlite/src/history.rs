//! A context's history: which record made each of its versions.
//!
//! Seqs are packed in chunks of 32 versions. The newest chunk lies in the context's row, which
//! each version rewrites anyway; a chunk moves to a row of its own when the next one begins. All
//! else that is known of a version stands in its record's row.

use rusqlite::Connection;
use syncline_model::ids::{Seq, Version};
use syncline_store::StoreError;

use crate::errors::{reading, rot};
use crate::read;

/// Versions of a chunk: the context's row grows by at most 160 bytes.
const CHUNK_VERSIONS: usize = 32;
/// A seq has 40 bits in `log` too.
const SEQ_BYTES: usize = 5;

/// The seqs of one chunk, packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seqs(Vec<u8>);

impl Seqs {
    fn from_bytes(bytes: &[u8]) -> Result<Seqs, StoreError> {
        if !bytes.len().is_multiple_of(SEQ_BYTES) || bytes.len() > CHUNK_VERSIONS * SEQ_BYTES {
            return Err(rot(format!("a chunk of seqs has {} bytes", bytes.len())));
        }
        Ok(Seqs(bytes.to_vec()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn len(&self) -> usize {
        self.0.len() / SEQ_BYTES
    }

    fn get(&self, at: usize) -> Option<Seq> {
        let packed = self.0.get(at * SEQ_BYTES..(at + 1) * SEQ_BYTES)?;
        let mut bytes = [0; 8];
        bytes[8 - SEQ_BYTES..].copy_from_slice(packed);
        Some(Seq(u64::from_be_bytes(bytes)))
    }

    /// Adds the next version's seq; returns the chunk before it, if that was whole.
    #[must_use]
    pub(crate) fn push(&mut self, seq: Seq) -> Option<Seqs> {
        let whole = self.len() == CHUNK_VERSIONS;
        let before = whole.then(|| std::mem::take(self));
        self.0
            .extend_from_slice(&seq.0.to_be_bytes()[8 - SEQ_BYTES..]);
        before
    }

    /// Counts the seqs up to `seq`, which rise.
    fn count_until(&self, seq: Seq) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle) {
                Some(found) if found <= seq => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}

/// Returns the number of a version's chunk, and its place there. There is no version 0.
fn place(version: Version) -> (u64, usize) {
    let before = version.0.saturating_sub(1);
    let chunk = before / CHUNK_VERSIONS as u64;
    (
        chunk,
        usize::try_from(before % CHUNK_VERSIONS as u64).unwrap_or(0),
    )
}

/// Returns the number of the chunk that ends before `version`.
pub(crate) fn chunk_before(version: Version) -> i64 {
    (place(version).0.cast_signed()) - 1
}

/// Reads one context's history.
pub(crate) struct History<'a> {
    conn: &'a Connection,
    ctx: i64,
    newest: Version,
    recent: Seqs,
    /// The chunk that was read last: a walk reads each once.
    read: Option<(u64, Seqs)>,
}

impl History<'_> {
    pub(crate) fn of(conn: &Connection, ctx: i64) -> Result<History<'_>, StoreError> {
        const SQL: &str = "SELECT version, recent_seqs FROM context WHERE ctx = ?1";
        let found = read::first(conn, SQL, [ctx], |row| {
            let newest = Version(row.get::<_, i64>(0).map_err(reading)?.cast_unsigned());
            let packed = row.get_ref(1).and_then(|value| Ok(value.as_blob()?));
            Ok((newest, Seqs::from_bytes(packed.map_err(reading)?)?))
        })?;
        let (newest, recent) = found.ok_or_else(|| rot("a context is gone"))?;
        Ok(History {
            conn,
            ctx,
            newest,
            recent,
            read: None,
        })
    }

    pub(crate) fn newest(&self) -> Version {
        self.newest
    }

    /// Returns the newest chunk.
    pub(crate) fn into_recent(self) -> Seqs {
        self.recent
    }

    /// Says whether a version is its chunk's first.
    pub(crate) fn begins_chunk(version: Version) -> bool {
        place(version).1 == 0
    }

    /// Returns how many chunks have rows of their own.
    pub(crate) fn chunks_apart(newest: Version) -> i64 {
        place(newest).0.cast_signed()
    }

    /// Returns the record that made a version; `None` if there is no such version.
    pub(crate) fn seq(&mut self, version: Version) -> Result<Option<Seq>, StoreError> {
        if version == Version::ZERO || version > self.newest {
            return Ok(None);
        }
        let (chunk, at) = place(version);
        Ok(self.chunk(chunk)?.get(at))
    }

    /// Returns the newest version whose seq is at or below `seq`, and its own.
    pub(crate) fn at(&mut self, seq: Seq) -> Result<Option<(Version, Seq)>, StoreError> {
        if self.newest == Version::ZERO {
            return Ok(None);
        }
        // The answer lies in a chunk of `low..=high`, or before all of them.
        let newest = place(self.newest).0;
        let (mut low, mut high) = (0, newest);
        while low < high {
            // The newest chunk is at hand.
            let middle = if high == newest {
                high
            } else {
                low + (high - low).div_ceil(2)
            };
            if self.chunk(middle)?.count_until(seq) > 0 {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        let seqs = self.chunk(low)?;
        let count = seqs.count_until(seq);
        let found = count.checked_sub(1).and_then(|at| seqs.get(at));
        Ok(found.map(|found| (Version(low * CHUNK_VERSIONS as u64 + count as u64), found)))
    }

    /// Returns a chunk, which has as many seqs as it should.
    fn chunk(&mut self, number: u64) -> Result<&Seqs, StoreError> {
        const SQL: &str = "SELECT seqs FROM version_chunk WHERE ctx = ?1 AND chunk = ?2";
        let (last, at) = place(self.newest);
        let first = number * CHUNK_VERSIONS as u64 + 1;
        let missing = |count: usize| {
            rot(format!(
                "the history of versions {first} to {} is broken",
                first + count as u64 - 1
            ))
        };
        if number == last {
            return match self.recent.len() == at + 1 {
                true => Ok(&self.recent),
                false => Err(missing(at + 1)),
            };
        }
        if self.read.as_ref().is_none_or(|(read, _)| *read != number) {
            let found = read::first(self.conn, SQL, (self.ctx, number.cast_signed()), |row| {
                let packed = row.get_ref(0).and_then(|value| Ok(value.as_blob()?));
                Seqs::from_bytes(packed.map_err(reading)?)
            })?;
            let whole = found.filter(|seqs| seqs.len() == CHUNK_VERSIONS);
            self.read = Some((number, whole.ok_or_else(|| missing(CHUNK_VERSIONS))?));
        }
        match &self.read {
            Some((_, seqs)) => Ok(seqs),
            None => Err(missing(CHUNK_VERSIONS)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
    use super::*;

    #[test]
    fn seqs_pack_and_are_found() {
        let mut seqs = Seqs::default();
        let big = (1 << 40) - 1;
        for seq in (0..31).map(|n| 3 + 2 * n).chain([big]) {
            assert_eq!(seqs.push(Seq(seq)), None);
        }
        assert_eq!(
            (seqs.get(0), seqs.get(31), seqs.get(32)),
            (Some(Seq(3)), Some(Seq(big)), None)
        );
        let counts = [2, 3, 4, 5, 63, 64, big].map(|seq| seqs.count_until(Seq(seq)));
        assert_eq!(counts, [0, 1, 1, 2, 31, 31, 32]);
        let whole = seqs.push(Seq(big)).unwrap();
        assert_eq!((whole.len(), seqs.len()), (32, 1));
        assert_eq!(Seqs::from_bytes(whole.as_bytes()).unwrap(), whole);
        assert!(Seqs::from_bytes(&[0; 4]).is_err() && Seqs::from_bytes(&[0; 165]).is_err());
    }

    #[test]
    fn versions_have_their_places() {
        assert_eq!(
            [1, 32, 33, 65].map(|n| place(Version(n))),
            [(0, 0), (0, 31), (1, 0), (2, 0)]
        );
        assert_eq!([33, 64, 65].map(|n| chunk_before(Version(n))), [0, 0, 1]);
    }
}
