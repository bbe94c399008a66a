//! What webhooks at work count, for whoever asks without waiting for them.

use std::sync::{Arc, Mutex, MutexGuard};

use syncline_engine::Workspace;
use syncline_model::ids::{Seq, WorkspaceId};

use crate::webhook::webhooks::Webhooks;

/// What a webhook counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookCounts {
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Its id.
    pub id: String,
    /// How it does, in one word.
    pub status: &'static str,
    /// Records that it has not read.
    pub behind: u64,
    /// Events that are not settled.
    pub outstanding: usize,
    /// Attempts in flight.
    pub in_flight: usize,
    /// Events that arrived.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that were not the first at their event.
    pub retried: u64,
    /// Events that were given up; those that were replayed since count too.
    pub dead: u64,
    /// Dead letters that are kept.
    pub letters: usize,
    /// How often `where` had no value for a change, since the log was opened last.
    pub where_failed: u64,
}

/// What a desk notes after each turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    /// Up to here the log was read.
    pub read: Seq,
    pub status: &'static str,
    pub outstanding: usize,
    pub in_flight: usize,
    pub delivered: u64,
    pub failed: u64,
    pub retried: u64,
    pub dead: u64,
    pub letters: usize,
    pub where_failed: u64,
}

/// Where a desk notes it.
#[derive(Clone)]
pub(crate) struct Tally {
    workspace: Workspace,
    noted: Arc<Mutex<Noted>>,
}

impl Tally {
    pub fn new(workspace: Workspace) -> Tally {
        Tally {
            workspace,
            noted: Arc::default(),
        }
    }

    pub fn note(&self, noted: Noted) {
        *self.locked() = noted;
    }

    fn locked(&self) -> MutexGuard<'_, Noted> {
        self.noted
            .lock()
            .expect("nothing panics while counts are noted")
    }

    fn counts(&self, id: &str) -> WebhookCounts {
        let noted = self.locked().clone();
        let tail = self.workspace.tail().seq;
        WebhookCounts {
            workspace: self.workspace.id().clone(),
            id: id.to_owned(),
            status: noted.status,
            behind: tail.0.saturating_sub(noted.read.0),
            outstanding: noted.outstanding,
            in_flight: noted.in_flight,
            delivered: noted.delivered,
            failed: noted.failed,
            retried: noted.retried,
            dead: noted.dead,
            letters: noted.letters,
            where_failed: noted.where_failed,
        }
    }
}

impl Webhooks {
    /// Counts the webhooks that are at work, by workspace and id.
    pub fn counts(&self) -> Vec<WebhookCounts> {
        let tallies = self.tallies();
        let counts = tallies.iter().map(|((_, id), tally)| tally.counts(id));
        let mut counts: Vec<_> = counts.collect();
        counts.sort_by(|a, b| (&a.workspace, &a.id).cmp(&(&b.workspace, &b.id)));
        counts
    }
}
