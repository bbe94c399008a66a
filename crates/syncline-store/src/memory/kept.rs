//! What the memory store keeps beside its logs.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::kept::{KEPT_PAGE_BYTES_MAX, Kept, KeptQuery, KeptValue};

/// The spaces of one workspace.
#[derive(Debug, Default)]
pub(super) struct Spaces(BTreeMap<String, BTreeMap<String, Arc<[u8]>>>);

impl Spaces {
    pub(super) fn keep(&mut self, values: Vec<Kept>) {
        for kept in values {
            let space = self.0.entry(kept.space).or_default();
            match kept.value {
                Some(value) => drop(space.insert(kept.key, value)),
                None => drop(space.remove(&kept.key)),
            }
        }
    }

    pub(super) fn page(&self, query: &KeptQuery) -> Vec<KeptValue> {
        let Some(space) = self.0.get(&query.space) else {
            return Vec::new();
        };
        let from = match &query.after {
            Some(after) if *after >= query.prefix => Bound::Excluded(after),
            _ => Bound::Included(&query.prefix),
        };
        let after = space.range::<String, _>((from, Bound::Unbounded));
        let mut page = Vec::new();
        let mut bytes = 0;
        for (key, value) in after.take_while(|(key, _)| key.starts_with(&query.prefix)) {
            if page.len() >= query.limit || bytes >= KEPT_PAGE_BYTES_MAX {
                break;
            }
            bytes += value.len();
            page.push((key.clone(), value.clone()));
        }
        page
    }
}
