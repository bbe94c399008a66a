//! Contexts as readers were shown them: a head that is read again is not written again.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use syncline_api::ContextView;
use syncline_model::etag::Etag;
use syncline_model::head::Head;
use syncline_model::ids::{ChangeId, WorkspaceId};

/// Bounds the texts that are kept.
const BYTES_MAX: u64 = 16 << 20;
/// A longer text would push too many others out.
const TEXT_MAX: usize = 256 << 10;
/// About how many fit.
const TEXTS: usize = 8_192;

/// A change makes one version, and so stands for one text for those with the same sight.
type Key = (WorkspaceId, ChangeId, bool);
type Text = (Etag, Bytes);

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Text> for ByBytes {
    fn weight(&self, _: &Key, (_, text): &Text) -> u64 {
        text.len() as u64 + 160
    }
}

/// The texts of recently read heads, bounded in bytes.
pub(crate) struct Shown(Cache<Key, Text, ByBytes>);

impl Shown {
    pub fn new() -> Shown {
        Shown(Cache::with_weighter(TEXTS, BYTES_MAX, ByBytes))
    }

    /// Returns a head's ETag and its text.
    pub fn head(&self, workspace: &WorkspaceId, head: &Head, show_seq: bool) -> Text {
        let key = (workspace.clone(), head.change, show_seq);
        if let Some(text) = self.0.get(&key) {
            return text;
        }
        let view = ContextView::from_head(head, show_seq);
        let text = (view.etag, Bytes::from(view.to_text()));
        if text.1.len() <= TEXT_MAX {
            self.0.insert(key, text.clone());
        }
        text
    }
}
