//! What an engine can be told. Every limit of DESIGN section 10 that applies here is one of these.

use std::time::Duration;

use syncline_rules::Rules;

/// An engine's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Limits that decisions know.
    pub rules: Rules,
    /// Bounds a bulk.
    pub bulk_max: usize,
    /// Bounds the documents that the parts of one bulk are decided on, and those that one commit
    /// moves.
    pub bulk_heads_bytes_max: usize,
    /// Bounds the memory of one commit: proposals are taken until their bodies reach this.
    pub commit_bytes_max: usize,
    /// Bounds how many proposals one commit decides.
    pub commit_proposals_max: usize,
    /// Bounds the memory of proposals that wait, over all workspaces.
    pub queue_bytes_max: usize,
    /// Bounds how long a proposal waits for room in the queue.
    pub queue_wait_max: Duration,
    /// Bounds the cache of heads.
    pub cache_bytes_max: usize,
    /// Bounds the recent records that a workspace keeps at hand for its readers; all workspaces
    /// together keep eight times as much at most, or little more.
    pub recent_bytes_max: usize,
    /// Bounds a page.
    pub page_max: usize,
    /// Bounds the workspaces of a node.
    pub workspaces_max: usize,
    /// A commit that takes longer makes the node unhealthy.
    pub commit_slow: Duration,
    /// How often old versions are thinned, where a policy says so.
    pub compact_every: Duration,
    /// Faults for the harnesses that must catch them; never set by a user.
    pub faults: TestFaults,
}

/// Deliberate faults: each breaks a promise, and its harness must notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestFaults {
    /// Change ids are not kept (breaks P3).
    pub forget_id: bool,
    /// Writes are applied to the head, whatever their writers had seen (breaks P4).
    pub ignore_base: bool,
    /// Every 50th record never reaches subscriptions (breaks P5).
    pub drop_event: bool,
    /// Subscriptions go live before they have read the log up to there (breaks P5).
    pub live_before_listen: bool,
    /// Subscriptions are told that they have what was not sent yet (breaks P5).
    pub ack_before_send: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            rules: Rules::default(),
            bulk_max: 1_000,
            bulk_heads_bytes_max: 256 << 20,
            commit_bytes_max: 4 << 20,
            commit_proposals_max: 1_024,
            queue_bytes_max: 64 << 20,
            queue_wait_max: Duration::from_secs(10),
            cache_bytes_max: 64 << 20,
            recent_bytes_max: 32 << 20,
            page_max: 1_000,
            workspaces_max: 1_000,
            commit_slow: Duration::from_secs(5),
            compact_every: Duration::from_secs(86_400),
            faults: TestFaults::default(),
        }
    }
}
