//! What a subscription hands out, in the order of the log.

use std::sync::Arc;

use syncline_api::ResetReason;
use syncline_engine::Entry;
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId};

/// A change for one subscription.
#[derive(Clone, Debug)]
pub struct ChangeItem {
    /// Its record.
    pub entry: Arc<Entry>,
    /// The wire change, encoded. Subscriptions that get the same form share the bytes.
    pub body: Arc<str>,
}

/// One thing that a subscription tells.
#[derive(Clone, Debug)]
pub enum Item {
    /// A page of the scope's contexts, each as of the page.
    Snapshot {
        /// The contexts.
        contexts: Vec<Arc<Head>>,
        /// No page follows; changes do.
        last: bool,
        /// With the last page: the place that changes go on from.
        cursor: Option<String>,
    },
    /// A change in the scope.
    Change(ChangeItem),
    /// A context came into the scope, as of the version that the change made.
    Enter {
        /// The context.
        head: Arc<Head>,
        /// The record that brought it in.
        entry: Arc<Entry>,
        /// The place after it; none inside a bulk.
        cursor: Option<String>,
    },
    /// A context left the scope; nothing more is said of it.
    Leave {
        /// The context.
        address: Address,
        /// The record that took it out.
        entry: Arc<Entry>,
        /// The place after it; none inside a bulk.
        cursor: Option<String>,
    },
    /// A bulk's visible parts follow.
    Begin {
        /// The bulk.
        bulk: ChangeId,
    },
    /// The bulk's parts are complete.
    End {
        /// The bulk.
        bulk: ChangeId,
        /// The place after it.
        cursor: String,
    },
    /// The subscription fell behind what is at hand, and is fed from the log at its own pace.
    Lagging,
    /// The subscription is over: start again from a snapshot.
    Reset(ResetReason),
}

impl Item {
    /// Returns about how many bytes it takes on the wire.
    pub fn weight(&self) -> usize {
        match self {
            Item::Snapshot { contexts, .. } => contexts
                .iter()
                .map(|head| head.document.weight() + 400)
                .sum(),
            Item::Change(change) => change.body.len() + 60,
            Item::Enter { head, .. } => head.document.weight() + 460,
            _ => 120,
        }
    }
}
