//! Listing contexts: filters, order, and keyset pages.

use syncline_model::ids::{Address, Kind};
use syncline_model::time::Timestamp;

use crate::rows::HeadRow;

/// What a list is ordered by; the address always breaks ties, in the same direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SortBy {
    /// By address.
    #[default]
    Address,
    /// By the last change (the log's order).
    Updated,
    /// By the first version's time.
    Created,
    /// By title; contexts without one come first.
    Title,
}

/// An order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sort {
    /// By what.
    pub by: SortBy,
    /// Largest first.
    pub descending: bool,
}

/// Where a page ended: the sort value and address of its last row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageKey {
    /// The sort value as text: the title, or a number in decimal; empty when sorting by address.
    pub value: String,
    /// The address.
    pub address: Address,
}

impl PageKey {
    /// Returns the key of a row in a list ordered by `by`.
    pub fn of(by: SortBy, head: &HeadRow) -> PageKey {
        let value = match by {
            SortBy::Address => String::new(),
            SortBy::Updated => head.seq.to_string(),
            SortBy::Created => head.created_at.0.to_string(),
            SortBy::Title => head.title.clone().unwrap_or_default(),
        };
        PageKey {
            value,
            address: head.address.clone(),
        }
    }
}

/// Which contexts, as a condition: all that is named must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContextList {
    /// Of this kind.
    pub kind: Option<Kind>,
    /// With this parent.
    pub parent: Option<Address>,
    /// This context itself, or anything below it.
    pub within: Option<Address>,
    /// These addresses only.
    pub addresses: Option<Vec<Address>>,
    /// With each of these labels; `None` as a value: the label is there, whatever it says.
    pub labels: Vec<(String, Option<String>)>,
    /// In this state.
    pub state: Option<String>,
    /// With this owner.
    pub owner: Option<String>,
    /// Changed at or after this time.
    pub updated_since: Option<Timestamp>,
    /// Deleted ones too.
    pub deleted: bool,
}

/// A list that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ListQuery {
    /// Which contexts.
    pub contexts: ContextList,
    /// In which order.
    pub sort: Sort,
    /// After this row.
    pub after: Option<PageKey>,
    /// At most this many rows; 0 counts as 1.
    pub limit: usize,
    /// With their bodies.
    pub bodies: bool,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListPage {
    /// The rows, in order.
    pub heads: Vec<HeadRow>,
    /// Where the next page starts; `None` when nothing follows.
    pub next: Option<PageKey>,
}
