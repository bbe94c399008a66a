//! Lists and subtrees over a map: plain walks, which only a store for tests may do.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;

use syncline_model::ids::Address;

use super::{Context, Workspace, bodiless, is_main};
use crate::error::StoreError;
use crate::list::{ContextList, ListPage, ListQuery, PageKey, SortBy};
use crate::rows::HeadRow;
use crate::subtree::Tree;

impl Workspace {
    /// Returns the heads that lists and subtrees may show.
    fn mains(&self) -> impl Iterator<Item = &HeadRow> {
        let heads = self.contexts.values().map(|context| &context.head);
        heads.filter(|head| is_main(&head.address))
    }

    /// Returns the addresses at and below `root`.
    fn below(&self, root: &Address) -> HashSet<&Address> {
        let mut children: HashMap<&Address, Vec<&Address>> = HashMap::new();
        for head in self.mains() {
            if let Some(parent) = &head.parent {
                children.entry(parent).or_default().push(&head.address);
            }
        }
        let mut found = HashSet::new();
        let heads = self.mains().map(|head| &head.address);
        let mut wanted: Vec<&Address> = heads.filter(|address| *address == root).collect();
        wanted.extend(children.get(root).into_iter().flatten());
        while let Some(address) = wanted.pop() {
            if found.insert(address) {
                wanted.extend(children.get(address).into_iter().flatten());
            }
        }
        found
    }

    pub(super) fn list(&self, query: &ListQuery) -> ListPage {
        let below = query.contexts.within.as_ref().map(|root| self.below(root));
        let mut heads: Vec<&HeadRow> = self
            .mains()
            .filter(|head| matches(&query.contexts, head))
            .filter(|head| {
                below
                    .as_ref()
                    .is_none_or(|below| below.contains(&head.address))
            })
            .collect();
        heads.sort_by_cached_key(|head| (SortValue::of(query.sort.by, head), head.address.clone()));
        if query.sort.descending {
            heads.reverse();
        }
        if let Some(after) = &query.after {
            let after = (
                SortValue::parse(query.sort.by, &after.value),
                &after.address,
            );
            heads.retain(|head| {
                let here = (SortValue::of(query.sort.by, head), &head.address);
                if query.sort.descending {
                    here < after
                } else {
                    here > after
                }
            });
        }
        let limit = query.limit.max(1);
        let more = heads.len() > limit;
        heads.truncate(limit);
        let next = heads
            .last()
            .filter(|_| more)
            .map(|head| PageKey::of(query.sort.by, head));
        let show = |head: &HeadRow| HeadRow {
            body: head.body.clone().filter(|_| query.bodies),
            ..head.clone()
        };
        ListPage {
            heads: heads.into_iter().map(show).collect(),
            next,
        }
    }
}

/// What a list is ordered by, before the address.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum SortValue {
    None,
    Number(i128),
    Text(String),
}

impl SortValue {
    fn of(by: SortBy, head: &HeadRow) -> SortValue {
        match by {
            SortBy::Address => SortValue::None,
            SortBy::Updated => SortValue::Number(head.seq.0.into()),
            SortBy::Created => SortValue::Number(head.created_at.0.into()),
            SortBy::Title => SortValue::Text(head.title.clone().unwrap_or_default()),
        }
    }

    fn parse(by: SortBy, text: &str) -> SortValue {
        match by {
            SortBy::Address => SortValue::None,
            SortBy::Updated | SortBy::Created => SortValue::Number(text.parse().unwrap_or(0)),
            SortBy::Title => SortValue::Text(text.to_owned()),
        }
    }
}

fn matches(wanted: &ContextList, head: &HeadRow) -> bool {
    let labelled = |(key, value): &(String, Option<String>)| match head.labels.get(key) {
        Some(found) => value.is_none() || found.as_str() == value.as_deref(),
        None => false,
    };
    (wanted.deleted || !head.deleted)
        && wanted
            .kind
            .as_ref()
            .is_none_or(|kind| kind.as_str() == head.address.kind())
        && wanted
            .parent
            .as_ref()
            .is_none_or(|parent| head.parent.as_ref() == Some(parent))
        && wanted
            .addresses
            .as_ref()
            .is_none_or(|all| all.contains(&head.address))
        && wanted.labels.iter().all(labelled)
        && wanted
            .state
            .as_ref()
            .is_none_or(|state| *state == head.state)
        && wanted
            .owner
            .as_ref()
            .is_none_or(|owner| head.owner.as_ref() == Some(owner))
        && wanted
            .updated_since
            .is_none_or(|since| head.updated_at >= since)
}

/// Who lies right below whom; found anew for each page.
pub(super) struct Family<'a> {
    contexts: &'a BTreeMap<Address, Context>,
    pub(super) children: HashMap<&'a Address, BTreeSet<&'a Address>>,
}

impl<'a> Family<'a> {
    pub(super) fn of(workspace: &'a Workspace) -> Family<'a> {
        let mut children: HashMap<_, BTreeSet<_>> = HashMap::new();
        for head in workspace.mains() {
            if let Some(parent) = &head.parent {
                children.entry(parent).or_default().insert(&head.address);
            }
        }
        let contexts = &workspace.contexts;
        Family { contexts, children }
    }
}

impl Tree for Family<'_> {
    fn head(&self, address: &Address) -> Result<Option<HeadRow>, StoreError> {
        let context = self.contexts.get(address);
        let context = context.filter(|_| is_main(address));
        Ok(context.map(|context| bodiless(&context.head)))
    }

    fn next_child(
        &self,
        parent: &Address,
        after: Option<&Address>,
    ) -> Result<Option<HeadRow>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self
            .children
            .get(parent)
            .and_then(|all| all.range::<&Address, _>((from, Bound::Unbounded)).next());
        next.map_or(Ok(None), |address| self.head(address))
    }
}
