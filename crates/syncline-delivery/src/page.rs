//! A page that is being filled. A bulk is whole on it, whatever its limits.

use syncline_engine::Entry;
use syncline_model::ids::ChangeId;

use crate::item::Item;

/// A page that is being filled.
pub struct Page {
    pub items: Vec<Item>,
    items_max: usize,
    bytes: usize,
    bytes_max: usize,
    /// The bulk of the record that was judged last.
    pub bulk_at: Option<ChangeId>,
    /// How many records of it were judged: bulks of one name are not one endless bulk.
    parts: usize,
    parts_max: usize,
    /// The bulk whose `begin` is on the page and whose `end` is not.
    open: Option<ChangeId>,
}

impl Page {
    /// Makes an empty page.
    pub fn new(items_max: usize, bytes_max: usize, parts_max: usize) -> Page {
        Page {
            items: Vec::new(),
            items_max,
            bytes: 0,
            bytes_max,
            bulk_at: None,
            parts: 0,
            parts_max,
            open: None,
        }
    }

    /// Says whether nothing more should be put on it.
    pub fn is_full(&self) -> bool {
        self.items.len() >= self.items_max || self.bytes >= self.bytes_max
    }

    /// Returns how many items still fit.
    pub fn room(&self) -> usize {
        self.items_max.saturating_sub(self.items.len())
    }

    /// Returns about how many bytes still fit.
    pub fn bytes_left(&self) -> usize {
        self.bytes_max.saturating_sub(self.bytes)
    }

    /// Returns about how many bytes are on it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Says whether a record belongs to the bulk that was judged last.
    pub fn continues(&self, entry: &Entry) -> bool {
        self.bulk_at.is_some() && entry.change.bulk == self.bulk_at && self.parts < self.parts_max
    }

    /// Notes that a record is judged.
    pub fn begin_record(&mut self, entry: &Entry) {
        self.bulk_at = entry.change.bulk;
        self.parts += 1;
    }

    /// Puts something of the record that is judged on the page, behind its bulk's `begin`.
    pub fn push(&mut self, item: Item) {
        if let (Some(bulk), None) = (self.bulk_at, self.open) {
            self.items.push(Item::Begin { bulk });
            self.open = Some(bulk);
        }
        self.bytes += item.weight();
        self.items.push(item);
    }

    /// Ends the bulk that was judged last; `cursor` is asked only if any of it is on the page.
    pub fn end_bulk(&mut self, cursor: impl FnOnce() -> String) {
        if let Some(bulk) = self.open.take() {
            let cursor = cursor();
            self.items.push(Item::End { bulk, cursor });
        }
        self.bulk_at = None;
        self.parts = 0;
    }
}
