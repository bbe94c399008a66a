//! Lists done plainly: what a store's answer is compared with.

use std::cmp::Ordering;

use syncline_model::ids::Address;

use crate::{ContextList, HeadRow, ListQuery, SortBy};

/// Returns all rows that `query` asks for, in its order, as if there were no pages.
pub(super) fn list(heads: &[HeadRow], query: &ListQuery) -> Vec<HeadRow> {
    let mut found: Vec<HeadRow> = heads
        .iter()
        .filter(|head| fits(heads, head, &query.contexts))
        .cloned()
        .collect();
    found.sort_by(|a, b| {
        let order = compare(a, b, query.sort.by);
        if query.sort.descending {
            order.reverse()
        } else {
            order
        }
    });
    if !query.bodies {
        found.iter_mut().for_each(|head| head.body = None);
    }
    found
}

fn compare(a: &HeadRow, b: &HeadRow, by: SortBy) -> Ordering {
    let first = match by {
        SortBy::Address => Ordering::Equal,
        SortBy::Updated => a.seq.cmp(&b.seq),
        SortBy::Created => a.created_at.cmp(&b.created_at),
        SortBy::Title => a.title.cmp(&b.title),
    };
    first.then(a.address.as_str().cmp(b.address.as_str()))
}

fn fits(heads: &[HeadRow], head: &HeadRow, wanted: &ContextList) -> bool {
    if head.deleted && !wanted.deleted {
        return false;
    }
    let kind = head.address.as_str().split('/').next();
    if wanted
        .kind
        .as_ref()
        .is_some_and(|wanted| kind != Some(wanted.as_str()))
    {
        return false;
    }
    if wanted.parent.is_some() && wanted.parent != head.parent {
        return false;
    }
    if wanted
        .within
        .as_ref()
        .is_some_and(|root| !is_below(heads, head, root))
    {
        return false;
    }
    if wanted
        .addresses
        .as_ref()
        .is_some_and(|all| !all.contains(&head.address))
    {
        return false;
    }
    for (key, value) in &wanted.labels {
        let Some(found) = head.labels.get(key) else {
            return false;
        };
        if value
            .as_deref()
            .is_some_and(|value| found.as_str() != Some(value))
        {
            return false;
        }
    }
    if wanted
        .state
        .as_ref()
        .is_some_and(|state| *state != head.state)
    {
        return false;
    }
    if wanted.owner.is_some() && wanted.owner != head.owner {
        return false;
    }
    wanted
        .updated_since
        .is_none_or(|since| since <= head.updated_at)
}

fn is_below(heads: &[HeadRow], head: &HeadRow, root: &Address) -> bool {
    let mut at = Some(&head.address);
    for _ in 0..=heads.len() {
        match at {
            Some(address) if address == root => return true,
            Some(address) => {
                at = heads
                    .iter()
                    .find(|h| h.address == *address)
                    .and_then(|h| h.parent.as_ref());
            }
            None => return false,
        }
    }
    false
}
