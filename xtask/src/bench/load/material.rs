//! What is written: documents of a size, updates of two fields, and change ids.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

const WORDS: &[&str] = &[
    "login",
    "session",
    "token",
    "agent",
    "branch",
    "review",
    "failing",
    "test",
    "because",
    "the",
    "cache",
    "was",
    "stale",
    "after",
    "restart",
    "and",
    "needs",
    "a",
    "migration",
    "before",
    "release",
    "owner",
    "asked",
    "for",
    "smaller",
    "steps",
    "retry",
    "timeout",
    "in",
    "worker",
];

/// SplitMix64: the load must not spend its time on choosing.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Begins where no other run began.
    pub fn fresh() -> Dice {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Dice(u64::try_from(now.as_nanos()).unwrap_or_default() ^ u64::from(std::process::id()))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a UUIDv7 as text.
    pub fn change_id(&mut self) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let ms = u64::try_from(now.as_millis()).unwrap_or_default() & 0xFFFF_FFFF_FFFF;
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
            ms >> 16,
            ms & 0xFFFF,
            a & 0xFFF,
            0x8000 | (b >> 48 & 0x3FFF),
            b & 0xFFFF_FFFF_FFFF
        )
    }
}

/// Returns the members of a document's `data` of about `bytes`, as names and JSON values. The two
/// that updates change come first.
pub fn members(bytes: usize) -> Vec<(String, String)> {
    let mut dice = Dice::new(7);
    let long = (bytes / 8).clamp(60, 1_000);
    let mut members = vec![
        ("status".to_owned(), "\"s0000000000\"".to_owned()),
        ("at".to_owned(), "0".to_owned()),
    ];
    let mut total = 40;
    while total + 20 < bytes {
        let name = format!("note_{:03}", members.len());
        let length = long.min(bytes - total - 16);
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            let chosen = usize::try_from(dice.next() >> 32).unwrap_or_default() % WORDS.len();
            text.push_str(WORDS[chosen]);
            text.push(' ');
        }
        text.truncate(length);
        total += length + name.len() + 6;
        members.push((name, format!("\"{text}\"")));
    }
    members
}

/// Returns the members as one JSON object.
pub fn object(members: &[(String, String)]) -> String {
    let mut text = String::from("{");
    for (index, (name, value)) in members.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(text, "{comma}\"{name}\":{value}");
    }
    text.push('}');
    text
}

/// Returns an update: two members that no update before had.
pub fn update(number: u64, at: u64) -> String {
    format!("{{\"at\":{at},\"status\":\"s{number:010}\"}}")
}

/// Begins each event that a subscriber gets, a node's and a peer's.
pub const CHANGE: &[u8] = b"{\"type\":\"change\",\"sub\":\"s\",\"n\":";

/// Returns what a node would tell of an update, for a peer to publish: the same work in bytes.
pub fn event(number: u64, context: &str, id: &str, at: u64) -> String {
    format!(
        "{{\"type\":\"change\",\"sub\":\"s\",\"n\":{number},\"change\":{{\"id\":\"{id}\",\"seq\":{number},\
         \"cursor\":\"3vIbFKQbUqSEoAYsTmcVgyhPQz1uJ0nGrbNTqbtSl2k\",\"type\":\"update\",\
         \"context\":\"{context}\",\"parent\":\"global/main\",\"version\":{number},\
         \"from\":{number},\"actor\":{{\"id\":\"person/owner\",\"agent\":\"bench/1\"}},\
         \"hlc\":\"019aca7d3a10-0000-2f1c\",\"committed_at\":\"2026-11-20T20:00:00.123Z\",\
         \"changed\":[\"/data/at\",\"/data/status\"],\"enc\":\"patch\",\"patch\":[\
         {{\"op\":\"replace\",\"path\":\"/data/at\",\"value\":{at}}},\
         {{\"op\":\"replace\",\"path\":\"/data/status\",\"value\":\"s{number:010}\"}}],\
         \"hash\":\"3a2e97fba5d774f17076074a9c46b4dd7709f7eb44fe8f14cda6e23bda7e47bd\"}}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_their_size() {
        for bytes in [1_024, 65_536] {
            let length = object(&members(bytes)).len();
            assert!(
                length.abs_diff(bytes) < bytes / 20,
                "{length} is not {bytes}"
            );
        }
    }

    #[test]
    fn change_ids_are_uuids_of_version_7() {
        let id = Dice::fresh().change_id();
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
        assert!(
            id.as_bytes()[14] == b'7' && b"89ab".contains(&id.as_bytes()[19]),
            "{id}"
        );
    }
}
