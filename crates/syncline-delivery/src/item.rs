//! What a subscription hands out, in the order of the log.

use std::sync::Arc;

use syncline_api::{ContextView, ResetReason, partial_context};
use syncline_engine::{Entry, Principal};
use syncline_model::change::Change;
use syncline_model::head::Head;
use syncline_model::ids::ChangeId;
use syncline_model::json::JsonWriter;

use crate::mask::Mask;

/// The bytes of a change. Subscriptions that get the same form share them.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// As the record has it, with its place in the log or without.
    Own { with_seq: bool },
    /// Another form.
    Made(Arc<str>),
}

/// A change for one subscription.
#[derive(Clone, Debug)]
pub struct ChangeItem {
    /// Its record; of several that became one, the newest.
    pub entry: Arc<Entry>,
    /// The wire change, encoded.
    pub(crate) body: Body,
    /// Where it has a patch: by how many bytes that is less than the document.
    pub saved: Option<usize>,
    /// The cursor to keep instead of the change's own, where that would skip what waits or go back
    /// behind what was sent.
    pub resume: Option<String>,
}

impl ChangeItem {
    /// Returns the wire change, encoded.
    pub fn body(&self) -> &str {
        match &self.body {
            Body::Own { with_seq } => self.entry.delta_json(*with_seq),
            Body::Made(text) => text,
        }
    }

    /// Returns the cursor that a reader keeps; a part of a bulk has none.
    pub fn cursor(&self) -> Option<&str> {
        match (&self.resume, self.entry.change.bulk) {
            (_, Some(_)) => None,
            (Some(resume), None) => Some(resume),
            (None, None) => Some(self.entry.cursor()),
        }
    }
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
        /// The cursor to keep; none inside a bulk.
        cursor: Option<String>,
    },
    /// A context left the scope; nothing more is said of it.
    Leave {
        /// The record that took it out.
        entry: Arc<Entry>,
        /// The cursor to keep; none inside a bulk.
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
        /// The cursor to keep.
        cursor: String,
    },
    /// The subscription fell behind what is at hand, and is fed from the log at its own pace.
    Lagging,
    /// The subscription is over: start again from a snapshot.
    Reset(ResetReason),
}

impl Item {
    /// Returns the record that it tells of, if it tells of one.
    pub fn entry(&self) -> Option<&Arc<Entry>> {
        match self {
            Item::Change(change) => Some(&change.entry),
            Item::Enter { entry, .. } | Item::Leave { entry, .. } => Some(entry),
            _ => None,
        }
    }

    /// Returns about how many bytes it takes on the wire.
    pub fn weight(&self) -> usize {
        match self {
            Item::Snapshot { contexts, .. } => contexts
                .iter()
                .map(|head| head.document.weight() + 400)
                .sum(),
            Item::Change(change) => change.body().len() + 60,
            Item::Enter { head, .. } => head.document.weight() + 460,
            _ => 120,
        }
    }
}

/// How a subscription's reader sees whole contexts.
#[derive(Clone, Debug)]
pub struct Shape {
    pub(crate) all: bool,
    pub(crate) mask: Mask,
}

impl Shape {
    /// Shows contexts whole.
    pub fn whole(principal: &Principal) -> Shape {
        Shape {
            all: principal.reads_all(),
            mask: Mask::default(),
        }
    }

    /// Says whether a change may have touched what is shown.
    pub fn meets(&self, change: &Change) -> bool {
        self.mask.meets_any(change)
    }

    /// Writes a context: whole, or the parts that the subscription asks for.
    pub fn write_context(&self, w: &mut JsonWriter, head: &Head) {
        let view = ContextView::from_head(head, self.all);
        match self.mask.is_whole() {
            true => view.write(w),
            false => w.value(&partial_context(&view, self.mask.fields())),
        }
    }
}
