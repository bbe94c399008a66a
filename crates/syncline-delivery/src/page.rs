//! A page that is being filled. A bulk is whole on it, whatever its limits, unless its reader takes
//! bulks in parts.

use syncline_engine::Entry;
use syncline_model::cursor::Position;
use syncline_model::ids::ChangeId;

use crate::item::Item;

/// Where a bulk is under way; a page that ends inside one hands it on to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Underway {
    /// The bulk of the record that was judged last.
    bulk: Option<ChangeId>,
    /// The place before its first record.
    before: Option<Position>,
    /// How many records of it were judged: bulks of one name are not one endless bulk.
    parts: usize,
    /// The bulk whose `begin` was told and whose `end` was not.
    open: Option<ChangeId>,
}

impl Underway {
    /// Says whether more of a bulk, or its end, may come.
    pub fn is_some(&self) -> bool {
        self.bulk.is_some()
    }

    /// Returns the place before the bulk: whoever comes back gets it whole.
    pub fn before(&self) -> Option<Position> {
        self.before
    }
}

/// A page that is being filled.
pub struct Page {
    pub items: Vec<Item>,
    items_max: usize,
    bytes: usize,
    bytes_max: usize,
    parts_max: usize,
    /// It may end inside a bulk.
    breaks_bulks: bool,
    pub underway: Underway,
}

impl Page {
    /// Makes an empty page.
    pub fn new(items_max: usize, bytes_max: usize, parts_max: usize) -> Page {
        Page {
            items: Vec::new(),
            items_max,
            bytes: 0,
            bytes_max,
            parts_max,
            breaks_bulks: false,
            underway: Underway::default(),
        }
    }

    /// Lets the page end inside a bulk, and begin inside the one that is under way.
    pub fn go_on(&mut self, underway: Underway, breaks_bulks: bool) {
        self.underway = underway;
        self.breaks_bulks = breaks_bulks;
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
        let underway = &self.underway;
        underway.is_some() && entry.change.bulk == underway.bulk && underway.parts < self.parts_max
    }

    /// Says whether a record may still come on the page. It ends between changes, or after a bulk's
    /// last part where bulks are whole.
    pub fn takes(&self, entry: &Entry) -> bool {
        !self.is_full() || (!self.breaks_bulks && self.continues(entry))
    }

    /// Says whether the page goes on until the bulk that it stands in is whole.
    pub fn must_finish_bulk(&self) -> bool {
        self.underway.is_some() && !(self.breaks_bulks && self.is_full())
    }

    /// Says whether what is on the page can be handed out as it is.
    pub fn can_end(&self) -> bool {
        !self.items.is_empty() && (self.breaks_bulks || !self.underway.is_some())
    }

    /// Notes that a record is judged, which comes after this place.
    pub fn begin_record(&mut self, entry: &Entry, before: Position) {
        let underway = &mut self.underway;
        underway.bulk = entry.change.bulk;
        underway.before = underway.bulk.and(underway.before.or(Some(before)));
        underway.parts += 1;
    }

    /// Puts something of the record that is judged on the page, behind its bulk's `begin`.
    pub fn push(&mut self, item: Item) {
        if let (Some(bulk), None) = (self.underway.bulk, self.underway.open) {
            self.items.push(Item::Begin { bulk });
            self.underway.open = Some(bulk);
        }
        self.bytes += item.weight();
        self.items.push(item);
    }

    /// Ends the bulk that was judged last; `cursor` is asked only if any of it was told.
    pub fn end_bulk(&mut self, cursor: impl FnOnce() -> String) {
        if let Some(bulk) = std::mem::take(&mut self.underway).open {
            let cursor = cursor();
            self.items.push(Item::End { bulk, cursor });
        }
    }
}
