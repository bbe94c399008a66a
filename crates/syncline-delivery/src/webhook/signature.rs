//! Signatures as Standard Webhooks 1.0 has them: HMAC-SHA256 over id, time and body.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// What a secret's text begins with.
pub const SECRET_PREFIX: &str = "whsec_";
/// Bounds a secret's bytes, as the specification has it.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How many bytes the node draws for a secret of its own: as many as the hash has.
const SECRET_DRAWN: usize = 32;
/// Bounds the signatures of one message that are looked at.
const SIGNATURES_MAX: usize = 16;
/// SHA-256's block, in which HMAC pads its key.
const BLOCK: usize = 64;

/// What node and endpoint share. It is never logged, and shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Says that a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret is whsec_ and the base64 of 24 to 64 random bytes")]
pub struct SecretError;

impl Secret {
    /// Makes a secret of bytes that were drawn for it.
    pub fn from_random(bytes: [u8; SECRET_DRAWN]) -> Secret {
        Secret(bytes.to_vec())
    }

    /// Draws a secret.
    ///
    /// # Panics
    /// Where the system gives no random bytes: nothing could be kept secret then.
    pub fn draw() -> Secret {
        let mut bytes = [0u8; SECRET_DRAWN];
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        Secret::from_random(bytes)
    }

    /// Reads a secret's text.
    pub fn parse(text: &str) -> Result<Secret, SecretError> {
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(SecretError)?;
        if encoded.len() > 4 * SECRET_BYTES.end() {
            return Err(SecretError);
        }
        let bytes = STANDARD.decode(encoded).map_err(|_| SecretError)?;
        match SECRET_BYTES.contains(&bytes.len()) {
            true => Ok(Secret(bytes)),
            false => Err(SecretError),
        }
    }

    /// Returns the text that is shown once, and kept.
    pub fn reveal(&self) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// Signs one message: `v1,` and the base64 of the hash.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let head = format!("{id}.{timestamp_s}.");
        let hash = hmac_sha256(&self.0, &[head.as_bytes(), body]);
        format!("v1,{}", STANDARD.encode(hash))
    }

    /// Says whether one of a message's signatures is by this secret. The caller looks at the time.
    pub fn verifies(&self, signatures: &str, id: &str, timestamp_s: i64, body: &[u8]) -> bool {
        let own = self.sign(id, timestamp_s, body);
        let mut given = signatures.split(' ').take(SIGNATURES_MAX);
        given.any(|given| is_same(given.as_bytes(), own.as_bytes()))
    }
}

/// Compares without telling by the time it takes how far two texts agree.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let differ = a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differ) == 0
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Signs with each secret that is live: two while one takes the other's place.
pub fn signatures(secrets: &[Secret], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let signed: Vec<_> = secrets
        .iter()
        .map(|secret| secret.sign(id, timestamp_s, body))
        .collect();
    signed.join(" ")
}

/// HMAC (RFC 2104) with SHA-256 over the parts, one after the other.
fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0u8; BLOCK];
    match key.len() <= BLOCK {
        true => block[..key.len()].copy_from_slice(key),
        false => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let mut inner = Sha256::new();
    inner.update(block.map(|byte| byte ^ 0x36));
    parts.iter().for_each(|part| inner.update(part));
    let mut outer = Sha256::new();
    outer.update(block.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check_hmac(key: &[u8], data: &[u8], hex: &str) {
        let hash = hmac_sha256(key, &[data]);
        let found: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, hex);
    }

    /// RFC 4231, cases 1, 2, 3, 4, 6 and 7.
    #[test]
    fn hmac_is_that_of_the_specification() {
        check_hmac(
            &[0x0b; 20],
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        );
        check_hmac(
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
        check_hmac(
            &[0xaa; 20],
            &[0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        );
        let counted: Vec<u8> = (1..=25).collect();
        check_hmac(
            &counted,
            &[0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        );
        check_hmac(
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        );
        check_hmac(
            &[0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        );
    }

    /// The example of the Standard Webhooks specification.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = signatures(&[Secret::draw(), secret.clone()], "a", 1, b"{}");
        assert_eq!(both.split(' ').count(), 2);
        assert!(secret.verifies(&both, "a", 1, b"{}"));
        for (signed, id, at, body) in [
            (both.as_str(), "b", 1, "{}"),
            (&both, "a", 2, "{}"),
            (&both, "a", 1, "{ }"),
            (&both[..both.len() - 1], "a", 1, "{}"),
            ("", "a", 1, "{}"),
        ] {
            assert!(
                !secret.verifies(signed, id, at, body.as_bytes()),
                "{signed}"
            );
        }
    }

    #[test]
    fn secrets_have_24_to_64_bytes_and_keep_to_themselves() {
        for bytes in [24, 32, 64] {
            let text = format!("whsec_{}", STANDARD.encode(vec![7u8; bytes]));
            let secret = Secret::parse(&text).unwrap();
            assert_eq!(secret.reveal(), text);
            assert_eq!(format!("{secret:?}"), "Secret(…)");
        }
        for bytes in [0, 1, 23, 65, 10_000] {
            let text = format!("whsec_{}", STANDARD.encode(vec![7u8; bytes]));
            assert_eq!(Secret::parse(&text), Err(SecretError), "{bytes}");
        }
        for text in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_*"] {
            assert_eq!(Secret::parse(text), Err(SecretError), "{text}");
        }
        assert_ne!(Secret::draw(), Secret::draw());
    }
}
