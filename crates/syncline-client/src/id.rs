//! Change ids, which a writer makes before it sends.

use std::time::{SystemTime, UNIX_EPOCH};

use syncline_model::ids::ChangeId;

/// Makes a change id of the wall clock and the system's random bytes.
pub fn fresh_id() -> ChangeId {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut random = [0u8; 10];
    getrandom::fill(&mut random).expect("the system has random bytes");
    ChangeId::from_parts(u64::try_from(since.as_millis()).unwrap_or(0), &random)
}
