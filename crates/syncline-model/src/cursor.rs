//! Cursors: a place in a workspace's log, sealed so that a reader cannot count what it may not see.

use std::fmt;

use aes_gcm_siv::aead::{AeadInOut, KeyInit, Tag};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ids::{Epoch, Seq, WorkspaceId};

/// The first 8 bytes of a record's hash: a log that was restored and grew again has others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tag8(pub [u8; 8]);

/// A place in one life of a workspace's log: after `seq`, whose record has `tag`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which life of the log.
    pub epoch: Epoch,
    /// The last record that was seen; 0 is the beginning.
    pub seq: Seq,
    /// That record's tag; zero at the beginning.
    pub tag: Tag8,
}

/// Says that a text is no cursor of this workspace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor of this workspace; send one back as it was received")]
pub struct CursorError;

/// Seals and opens one workspace's cursors.
///
/// A change has one cursor text for ever (AES-256-GCM-SIV with a fixed nonce gives equal text for
/// equal places, and nothing else away: RFC 8452). [`CursorKey::seal_fresh`] draws a nonce, so that
/// two of its cursors do not tell whether anything lies between them.
#[derive(Clone)]
pub struct CursorKey {
    cipher: Aes256GcmSiv,
    workspace: WorkspaceId,
}

const FIXED: u8 = 1;
const FRESH: u8 = 2;
const PLACE_LENGTH: usize = 24;
const NONCE_LENGTH: usize = 12;
const SEAL_LENGTH: usize = 16;
/// Bounds what is decoded: the longest cursor has 71 characters.
const TEXT_LENGTH_MAX: usize = 128;

impl CursorKey {
    /// Takes the key that the store keeps for the workspace.
    pub fn new(key: &[u8; 32], workspace: &WorkspaceId) -> CursorKey {
        CursorKey {
            cipher: Aes256GcmSiv::new(key.into()),
            workspace: workspace.clone(),
        }
    }

    /// Seals a change's place: always the same text.
    pub fn seal(&self, position: &Position) -> String {
        let bytes = self.sealed(position, [0; NONCE_LENGTH]);
        URL_SAFE_NO_PAD.encode([&[FIXED][..], &bytes].concat())
    }

    /// Seals a high-water mark with a nonce that was drawn for it.
    pub fn seal_fresh(&self, position: &Position, nonce: [u8; 12]) -> String {
        let bytes = self.sealed(position, nonce);
        URL_SAFE_NO_PAD.encode([&[FRESH][..], &nonce, &bytes].concat())
    }

    fn sealed(&self, position: &Position, nonce: [u8; NONCE_LENGTH]) -> Vec<u8> {
        let mut place = [0u8; PLACE_LENGTH];
        place[..8].copy_from_slice(&position.epoch.0.to_be_bytes());
        place[8..16].copy_from_slice(&position.seq.0.to_be_bytes());
        place[16..].copy_from_slice(&position.tag.0);
        let tag = self
            .cipher
            .encrypt_inout_detached(&Nonce::from(nonce), self.context(), (&mut place[..]).into())
            .expect("24 bytes are below the cipher's limit");
        [&place[..], &tag[..]].concat()
    }

    fn context(&self) -> &[u8] {
        self.workspace.as_str().as_bytes()
    }

    /// Opens a cursor that this key sealed.
    pub fn open(&self, text: &str) -> Result<Position, CursorError> {
        if text.len() > TEXT_LENGTH_MAX {
            return Err(CursorError);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
        let (nonce, sealed) = match bytes.split_first() {
            Some((&FIXED, rest)) => ([0; NONCE_LENGTH], rest),
            Some((&FRESH, rest)) if rest.len() > NONCE_LENGTH => {
                let (nonce, rest) = rest.split_at(NONCE_LENGTH);
                (nonce.try_into().map_err(|_| CursorError)?, rest)
            }
            _ => return Err(CursorError),
        };
        if sealed.len() != PLACE_LENGTH + SEAL_LENGTH {
            return Err(CursorError);
        }
        let mut place: [u8; PLACE_LENGTH] =
            sealed[..PLACE_LENGTH].try_into().map_err(|_| CursorError)?;
        let tag: [u8; SEAL_LENGTH] = sealed[PLACE_LENGTH..].try_into().map_err(|_| CursorError)?;
        self.cipher
            .decrypt_inout_detached(
                &Nonce::from(nonce),
                self.context(),
                (&mut place[..]).into(),
                &Tag::<Aes256GcmSiv>::from(tag),
            )
            .map_err(|_| CursorError)?;
        let word = |at: usize| {
            u64::from_be_bytes(place[at..at + 8].try_into().expect("a range of 8 bytes"))
        };
        Ok(Position {
            epoch: Epoch(word(0)),
            seq: Seq(word(8)),
            tag: Tag8(word(16).to_be_bytes()),
        })
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CursorKey({})", self.workspace)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn position(seq: u64) -> Position {
        Position {
            epoch: Epoch(7),
            seq: Seq(seq),
            tag: Tag8([9; 8]),
        }
    }

    #[test]
    fn cursors_open_only_where_they_were_sealed() {
        let key = CursorKey::new(&[1; 32], &WorkspaceId::default_workspace());
        let text = key.seal(&position(42));
        assert_eq!(key.open(&text).unwrap(), position(42));
        assert_eq!(key.seal(&position(42)), text);
        let other_key = CursorKey::new(&[2; 32], &WorkspaceId::default_workspace());
        assert!(other_key.open(&text).is_err());
        let other_workspace = CursorKey::new(&[1; 32], &WorkspaceId::parse("b").unwrap());
        assert!(other_workspace.open(&text).is_err());
        let fresh = key.seal_fresh(&position(42), [5; 12]);
        assert_ne!(fresh, text);
        assert_eq!(key.open(&fresh).unwrap(), position(42));
    }

    #[test]
    fn a_changed_cursor_is_refused() {
        let key = CursorKey::new(&[1; 32], &WorkspaceId::default_workspace());
        let text = key.seal(&position(42));
        for index in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            assert!(
                key.open(std::str::from_utf8(&bytes).unwrap()).is_err(),
                "at {index}"
            );
        }
        for bad in ["", "é", "AQ", "x".repeat(10_000).as_str()] {
            assert!(key.open(bad).is_err());
        }
    }
}
