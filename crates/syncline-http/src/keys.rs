//! Keys: from a bearer token to the principal who acts.

use sha2::{Digest as _, Sha256};
use syncline_engine::Principal;

/// The keys that a node knows. Only their digests are held.
#[derive(Clone)]
pub struct Keys {
    owner: [u8; 32],
}

impl Keys {
    /// Takes the owner's key, as `owner.key` holds it.
    pub fn owner(key: &str) -> Keys {
        Keys { owner: digest(key) }
    }

    /// Returns whom a token stands for.
    pub fn verify(&self, token: &str) -> Option<Principal> {
        same(&digest(token), &self.owner).then(Principal::owner)
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.trim().as_bytes()).into()
}

/// Compares in a time that does not depend on where the two differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(difference) == 0
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}
