//! ETags: opaque to others, and for us a version with a digest of what it holds.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::document::DocumentHash;
use crate::ids::{ChangeId, Version};

/// `"v8-<16 hex>"`: the digest tells versions, branches, pending changes and restored logs apart.
///
/// A partial answer's is `"p8-<16 hex>"`, which no replacement accepts as its base.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Etag {
    partial: bool,
    version: Version,
    digest: [u8; 8],
}

/// Says that a text is none of our ETags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EtagError {
    /// It is no ETag at all, or not one of ours.
    #[error("an ETag looks like \"v8-0123456789abcdef\"; send back the one that a read gave")]
    Form,
    /// It is weak, and a weak one never matches where writes are concerned (RFC 9110, 13.1.1).
    #[error("a weak ETag (W/) says too little of what was read; send the one that the node gave")]
    Weak,
}

impl Etag {
    /// Makes the ETag of a version, with the pending changes that are shown on top of it.
    pub fn new(version: Version, id: ChangeId, pending: &[ChangeId], hash: DocumentHash) -> Etag {
        let mut digest = Sha256::new();
        digest.update(b"syncline/etag/1\0");
        digest.update(id.as_bytes());
        for id in pending {
            digest.update(id.as_bytes());
        }
        digest.update(hash.0);
        Etag {
            partial: false,
            version,
            digest: first_eight(&digest.finalize()),
        }
    }

    /// Makes the ETag of a part of this: `how` says which part it is.
    #[must_use]
    pub fn partial(&self, how: &str) -> Etag {
        let mut digest = Sha256::new();
        digest.update(b"syncline/etag-partial/1\0");
        digest.update(self.digest);
        digest.update(how.as_bytes());
        Etag {
            partial: true,
            version: self.version,
            digest: first_eight(&digest.finalize()),
        }
    }

    /// Reads an ETag with or without its quotes, a weak one (`W/`) as a strong one: for reads alone,
    /// which compare weakly.
    pub fn parse_weak(text: &str) -> Result<Etag, EtagError> {
        let text = text.trim();
        Etag::parse(text.strip_prefix("W/").unwrap_or(text))
    }

    /// Reads an ETag with or without its quotes; a weak one (`W/`) is refused.
    pub fn parse(text: &str) -> Result<Etag, EtagError> {
        let text = text.trim();
        if text.starts_with("W/") {
            return Err(EtagError::Weak);
        }
        let text = text.trim_matches('"');
        let partial = match text.as_bytes().first() {
            Some(b'v') => false,
            Some(b'p') => true,
            _ => return Err(EtagError::Form),
        };
        let (version, hex) = text[1..].split_once('-').ok_or(EtagError::Form)?;
        let version = Version::parse(version).map_err(|_| EtagError::Form)?;
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.len() != 16 || !hex.bytes().all(lower_hex) {
            return Err(EtagError::Form);
        }
        let digest = u64::from_str_radix(hex, 16)
            .map_err(|_| EtagError::Form)?
            .to_be_bytes();
        Ok(Etag {
            partial,
            version,
            digest,
        })
    }

    /// Says whether it stands for a part of a document.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Returns the version that it was made for.
    pub fn version(&self) -> Version {
        self.version
    }
}

fn first_eight(bytes: &[u8]) -> [u8; 8] {
    bytes[..8].try_into().expect("SHA-256 has 32 bytes")
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.partial { 'p' } else { 'v' };
        write!(
            f,
            "\"{kind}{}-{:016x}\"",
            self.version,
            u64::from_be_bytes(self.digest)
        )
    }
}

impl fmt::Debug for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn etags_round_trip_and_tell_apart() {
        let id = ChangeId::from_parts(1, &[1; 10]);
        let other = ChangeId::from_parts(1, &[2; 10]);
        let hash = DocumentHash([3; 32]);
        let etag = Etag::new(Version(8), id, &[], hash);
        assert_eq!(Etag::parse(&etag.to_string()).unwrap(), etag);
        assert_eq!(
            Etag::parse(etag.to_string().trim_matches('"')).unwrap(),
            etag
        );
        assert_ne!(Etag::new(Version(8), other, &[], hash), etag);
        assert_ne!(Etag::new(Version(8), id, &[other], hash), etag);
        let weak = format!("W/{etag}");
        assert_eq!(Etag::parse(&weak), Err(EtagError::Weak));
        assert_eq!(Etag::parse_weak(&weak).unwrap(), etag);
        let part = etag.partial("/title");
        assert!(part.is_partial());
        assert_eq!(Etag::parse(&part.to_string()).unwrap(), part);
        for bad in [
            "",
            "*",
            "v8",
            "v0-0123456789abcdef",
            "v8-0123456789ABCDEF",
            "é8-0123456789abcdef",
        ] {
            assert!(Etag::parse(bad).is_err(), "{bad}");
        }
    }
}
