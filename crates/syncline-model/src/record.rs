//! Records: what the log stores, and the chain that shows when one was changed.
//!
//! A record is a header, a salt and a body. The header's hash covers the header before it and a
//! commitment, SHA-256(salt ‖ body), so a redaction can destroy body and salt, and the chain
//! still verifies. A body begins with a format byte, so its serialization and compression can
//! change while old ones stay readable.

use std::borrow::Cow;
use std::io::Read as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::change::{Change, Effect};
use crate::cursor::Tag8;
use crate::ids::{ChangeId, Seq};
use crate::json::{Json, Limits};
use crate::time::Timestamp;

/// A stored text: JSON as it is.
const FORMAT_JSON: u8 = 1;
/// A stored text: JSON under zstd.
const FORMAT_JSON_ZSTD: u8 = 2;
/// Below this, compressing a lone text saves nothing worth its time.
const COMPRESS_FROM: usize = 2_048;
/// Level 3: measured on 650 KB documents, 15 % of the size in 1.2 ms.
const COMPRESS_LEVEL: i32 = 3;
/// Bounds what a stored text may inflate to; a record holds a document, its intent and old values.
const TEXT_LENGTH_MAX: u64 = 256 << 20;
/// Stored JSON nests deeper than the document that it wraps.
const STORED_DEPTH_MAX: usize = 120;

/// Says that stored bytes are not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotError {
    /// The format byte is missing or of a version that this program does not know.
    #[error("stored bytes have the unknown format {0:?}")]
    Format(Option<u8>),
    /// The bytes do not decode.
    #[error("stored bytes do not decode: {0}")]
    Decode(String),
    /// The body does not match the header's commitment.
    #[error("record {0} does not match its commitment")]
    Commitment(Seq),
    /// The text is not in the frame that the record names.
    #[error("record {0} cannot be read from its frame: {1}")]
    Frame(Seq, String),
    /// The header does not follow from the one before.
    #[error("record {0} does not follow from the one before it")]
    Chain(Seq),
    /// A rebuilt document does not have the hash that was recorded.
    #[error("the document of {0} does not match its hash")]
    Document(String),
}

/// Adds the format byte to a text, compressing it where that pays.
pub fn pack(text: &str) -> Arc<[u8]> {
    if text.len() >= COMPRESS_FROM
        && let Ok(packed) = zstd::bulk::compress(text.as_bytes(), COMPRESS_LEVEL)
    {
        return [&[FORMAT_JSON_ZSTD][..], &packed].concat().into();
    }
    plain(text.as_bytes())
}

/// Adds the format byte of what is not compressed.
pub(crate) fn plain(text: &[u8]) -> Arc<[u8]> {
    [&[FORMAT_JSON][..], text].concat().into()
}

/// Returns the text that [`pack`] was given.
pub fn unpack(bytes: &[u8]) -> Result<Cow<'_, [u8]>, RotError> {
    match bytes.split_first() {
        Some((&FORMAT_JSON, text)) => Ok(Cow::Borrowed(text)),
        Some((&FORMAT_JSON_ZSTD, packed)) => {
            let decoder = zstd::stream::read::Decoder::with_buffer(packed)
                .map_err(|error| RotError::Decode(error.to_string()))?;
            let mut text = Vec::new();
            decoder
                .take(TEXT_LENGTH_MAX)
                .read_to_end(&mut text)
                .map_err(|error| RotError::Decode(error.to_string()))?;
            Ok(Cow::Owned(text))
        }
        other => Err(RotError::Format(other.map(|(format, _)| *format))),
    }
}

/// Returns how long the text of [`pack`] is without inflating it; `None` where that is not told.
pub fn unpacked_length(bytes: &[u8]) -> Option<u64> {
    match bytes.split_first() {
        Some((&FORMAT_JSON, text)) => Some(text.len() as u64),
        Some((&FORMAT_JSON_ZSTD, packed)) => zstd::zstd_safe::get_frame_content_size(packed)
            .ok()
            .flatten(),
        _ => None,
    }
}

/// Reads stored bytes as JSON.
pub fn unpack_json(bytes: &[u8]) -> Result<Json, RotError> {
    let text = unpack(bytes)?;
    let limits = Limits {
        bytes_max: text.len(),
        depth_max: STORED_DEPTH_MAX,
    };
    Json::parse(&text, &limits).map_err(|error| RotError::Decode(error.to_string()))
}

/// SHA-256 over a header, which covers all records before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordHash(pub [u8; 32]);

impl RecordHash {
    /// Returns what the first record of a log follows: drawn once for each log.
    pub fn genesis(log: &[u8; 16]) -> RecordHash {
        RecordHash(
            Sha256::new()
                .chain_update(b"syncline/log/1\0")
                .chain_update(log)
                .finalize()
                .into(),
        )
    }

    /// Returns the part that cursors carry.
    pub fn tag(&self) -> Tag8 {
        Tag8(self.0[..8].try_into().expect("a hash has 32 bytes"))
    }
}

/// What the chain covers of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The record's place.
    pub seq: Seq,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// SHA-256(salt ‖ body).
    pub commitment: [u8; 32],
    /// The hash over this header and the one before.
    pub hash: RecordHash,
}

const HEADER_FORMAT: u8 = 1;
const HEADER_LENGTH: usize = 1 + 8 + 32 + 32;

impl RecordHeader {
    fn new(
        seq: Seq,
        committed_at: Timestamp,
        commitment: [u8; 32],
        before: &RecordHash,
    ) -> RecordHeader {
        let hash = Sha256::new()
            .chain_update(b"syncline/record/1\0")
            .chain_update(before.0)
            .chain_update(seq.0.to_be_bytes())
            .chain_update(committed_at.0.to_be_bytes())
            .chain_update(commitment)
            .finalize();
        RecordHeader {
            seq,
            committed_at,
            commitment,
            hash: RecordHash(hash.into()),
        }
    }

    /// Checks that this header follows from the one before.
    pub fn check_follows(&self, before: &RecordHash) -> Result<(), RotError> {
        let expected = RecordHeader::new(self.seq, self.committed_at, self.commitment, before);
        if expected.hash == self.hash {
            Ok(())
        } else {
            Err(RotError::Chain(self.seq))
        }
    }

    /// Returns the stored form, 73 bytes; the seq is the row's key and not in it.
    pub fn to_bytes(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0u8; HEADER_LENGTH];
        bytes[0] = HEADER_FORMAT;
        bytes[1..9].copy_from_slice(&self.committed_at.0.to_be_bytes());
        bytes[9..41].copy_from_slice(&self.commitment);
        bytes[41..].copy_from_slice(&self.hash.0);
        bytes
    }

    /// Reads the stored form.
    pub fn from_bytes(seq: Seq, bytes: &[u8]) -> Result<RecordHeader, RotError> {
        let bytes: &[u8; HEADER_LENGTH] = bytes.try_into().map_err(|_| {
            RotError::Decode(format!(
                "the header of record {seq} has {} bytes",
                bytes.len()
            ))
        })?;
        if bytes[0] != HEADER_FORMAT {
            return Err(RotError::Format(Some(bytes[0])));
        }
        Ok(RecordHeader {
            seq,
            committed_at: Timestamp(i64::from_be_bytes(bytes[1..9].try_into().expect("8 bytes"))),
            commitment: bytes[9..41].try_into().expect("32 bytes"),
            hash: RecordHash(bytes[41..].try_into().expect("32 bytes")),
        })
    }
}

/// A record as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The header.
    pub header: RecordHeader,
    /// Drawn for each record, so that a commitment gives nothing away of a short body.
    pub salt: [u8; 16],
    /// The body with its format byte.
    pub body: Arc<[u8]>,
}

impl StoredRecord {
    /// Makes the record of a change after the one whose hash is `before`.
    pub fn seal(seq: Seq, change: &Change, salt: [u8; 16], before: &RecordHash) -> StoredRecord {
        let text = change.to_stored();
        let commitment = commitment(&salt, text.as_bytes());
        let header = RecordHeader::new(seq, change.committed_at, commitment, before);
        StoredRecord {
            header,
            salt,
            body: pack(&text),
        }
    }

    /// Takes body and salt away. The header stays, and the chain still verifies.
    pub fn thin(&mut self) {
        self.salt = [0; 16];
        self.body = Arc::default();
    }

    /// Says whether body and salt were taken away: a body that is there has its format byte.
    pub fn is_thinned(&self) -> bool {
        self.body.is_empty()
    }

    /// Checks the body against the commitment, and reads the change.
    pub fn open(&self) -> Result<Change, RotError> {
        Change::from_stored(&self.checked()?, self.header.committed_at)
            .map_err(|error| RotError::Decode(error.to_string()))
    }

    /// Checks the body against the commitment, and reads the effect alone: replay needs no more of
    /// all records but the last.
    pub fn open_effect(&self) -> Result<Effect, RotError> {
        Effect::from_stored(&self.checked()?).map_err(|error| RotError::Decode(error.to_string()))
    }

    fn checked(&self) -> Result<Json, RotError> {
        let text = unpack(&self.body)?;
        if commitment(&self.salt, &text) != self.header.commitment {
            return Err(RotError::Commitment(self.header.seq));
        }
        let limits = Limits {
            bytes_max: text.len(),
            depth_max: STORED_DEPTH_MAX,
        };
        Json::parse(&text, &limits).map_err(|error| RotError::Decode(error.to_string()))
    }
}

fn commitment(salt: &[u8; 16], text: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(salt)
        .chain_update(text)
        .finalize()
        .into()
}

/// What a change id did, kept for ever: a resend hears it again (P3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdRow {
    /// The id.
    pub id: ChangeId,
    /// What the writer sent under it.
    pub digest: [u8; 32],
    /// The receipt or refusal, with its format byte.
    pub outcome: Arc<[u8]>,
}
