//! From what a feed hands out to what is acknowledged as one.

use std::collections::BTreeMap;

use syncline_api::Problem;
use syncline_engine::Workspace;
use syncline_model::cursor::Position;
use syncline_model::ids::{Address, Seq};

use super::window::{Touches, Unit};
use crate::item::Item;

/// Bounds what is kept of what was read and is not delivered yet; the rest is read again.
const CACHED_BYTES_MAX: usize = 1 << 20;

/// A unit with what is sent of it.
pub(crate) struct Read {
    pub unit: Unit,
    pub items: Vec<Item>,
}

/// Puts a page's items together to units. `before` is the place before the page, `at` that after
/// it: a reset stands there.
pub(crate) fn units(
    workspace: &Workspace,
    items: Vec<Item>,
    mut before: Position,
    at: Position,
) -> Result<Vec<Read>, Problem> {
    let mut units = Vec::new();
    let mut bulk: Option<Vec<Item>> = None;
    for item in items {
        let end = match (&item, bulk.is_some()) {
            (Item::Begin { .. }, _) => {
                bulk = Some(vec![item]);
                continue;
            }
            (Item::End { cursor, .. }, _) => workspace.position_of(cursor)?,
            (Item::Change(_) | Item::Enter { .. } | Item::Leave { .. }, true) => {
                bulk.get_or_insert_default().push(item);
                continue;
            }
            (Item::Change(change), false) => change.entry.position(),
            (Item::Enter { entry, .. } | Item::Leave { entry, .. }, false) => entry.position(),
            (Item::Reset(_), _) => at,
            (Item::Snapshot { .. } | Item::Lagging, _) => continue,
        };
        let reset = matches!(item, Item::Reset(_));
        let mut items = match reset {
            true => Vec::new(),
            false => bulk.take().unwrap_or_default(),
        };
        items.push(item);
        let unit = Unit {
            seq: end.seq,
            tag: end.tag,
            before,
            touches: touches(&items, reset),
            changes: items.iter().filter_map(Item::entry).count().max(1),
        };
        units.push(Read { unit, items });
        before = end;
    }
    Ok(units)
}

fn touches(items: &[Item], reset: bool) -> Touches {
    if reset {
        return Touches::All;
    }
    let contexts = items.iter().filter_map(Item::entry);
    let mut contexts: Vec<Address> = contexts.map(|e| e.change.context.clone()).collect();
    contexts.sort();
    contexts.dedup();
    Touches::Contexts(contexts.into())
}

/// What was read and not yet delivered, as far as it is little.
#[derive(Default)]
pub(super) struct Cache {
    items: BTreeMap<Seq, Vec<Item>>,
    bytes: usize,
}

impl Cache {
    pub(super) fn put(&mut self, seq: Seq, items: Vec<Item>) {
        let bytes = weight(&items);
        if self.bytes + bytes <= CACHED_BYTES_MAX {
            self.bytes += bytes;
            self.items.insert(seq, items);
        }
    }

    pub(super) fn take(&mut self, seq: Seq) -> Option<Vec<Item>> {
        let items = self.items.remove(&seq)?;
        self.bytes -= weight(&items);
        Some(items)
    }
}

/// Returns about how many bytes items take on the wire.
pub(super) fn weight(items: &[Item]) -> usize {
    items.iter().map(Item::weight).sum()
}
