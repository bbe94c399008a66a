//! The walk down a subtree in pages, each of which costs in proportion to itself.
//!
//! Pages by address would have to find the whole subtree for each. This walk goes from a context
//! to what lies below it and then to what lies beside it, and a page begins where the way to the
//! last context ends.

use syncline_model::ids::Address;

use crate::error::StoreError;
use crate::rows::HeadRow;

/// Bounds the deleted contexts that a page walks over: past them it ends, be it empty.
const SKIPPED_MAX: usize = 1_000;

/// Where a walk down a subtree is: the way from its root to the context that came last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreePlace(Vec<Address>);

/// A page of a subtree.
#[derive(Clone, Debug, PartialEq)]
pub struct SubtreePage {
    /// The rows without bodies, each before what lies below it; and where the walk was at each.
    pub heads: Vec<(HeadRow, TreePlace)>,
    /// Where the next page goes on; `None` when nothing follows.
    pub next: Option<TreePlace>,
}

/// What a walk asks of a store.
pub trait Tree {
    /// Returns a context's head, deleted or not.
    fn head(&self, address: &Address) -> Result<Option<HeadRow>, StoreError>;

    /// Returns the first child of `parent` after another one, deleted or not, in an order that
    /// no write changes and in which new ones have a place too.
    fn next_child(
        &self,
        parent: &Address,
        after: Option<&Address>,
    ) -> Result<Option<HeadRow>, StoreError>;
}

/// Walks one page of a subtree ([`crate::Store::subtree`]).
pub fn subtree_page(
    tree: &impl Tree,
    root: &Address,
    after: Option<TreePlace>,
    limit: usize,
) -> Result<SubtreePage, StoreError> {
    let limit = limit.max(1);
    let mut heads = Vec::new();
    let mut walk = match after {
        Some(place) => Walk::resume(tree, place)?,
        None => {
            let walk = Walk::below(root);
            let root = tree.head(root)?.filter(|head| !head.deleted);
            heads.extend(root.map(|head| (head, walk.place())));
            walk
        }
    };
    for _ in 0..limit + SKIPPED_MAX {
        let Some(head) = walk.step(tree)? else {
            return Ok(SubtreePage { heads, next: None });
        };
        if head.deleted {
            continue;
        }
        if heads.len() == limit {
            let next = heads.last().map(|(_, place)| place.clone());
            return Ok(SubtreePage { heads, next });
        }
        heads.push((head, walk.place()));
    }
    let next = Some(walk.place());
    Ok(SubtreePage { heads, next })
}

/// A walk: what comes next is the first child of the way's end after `after`.
struct Walk {
    way: Vec<Address>,
    after: Option<Address>,
}

impl Walk {
    fn below(root: &Address) -> Walk {
        Walk {
            way: vec![root.clone()],
            after: None,
        }
    }

    /// Goes on from a place. Where a context on the way was moved since, what lies below it is
    /// elsewhere now, and the walk goes on beside where it was.
    fn resume(tree: &impl Tree, place: TreePlace) -> Result<Walk, StoreError> {
        let mut way = place.0;
        for at in 1..way.len() {
            let parent = tree.head(&way[at])?.and_then(|head| head.parent);
            if parent.as_ref() != Some(&way[at - 1]) {
                let after = Some(way[at].clone());
                way.truncate(at);
                return Ok(Walk { way, after });
            }
        }
        Ok(Walk { way, after: None })
    }

    fn place(&self) -> TreePlace {
        TreePlace(self.way.clone())
    }

    /// Goes to the next context, and returns it; `None` at the end.
    fn step(&mut self, tree: &impl Tree) -> Result<Option<HeadRow>, StoreError> {
        while let Some(end) = self.way.last() {
            match tree.next_child(end, self.after.as_ref())? {
                // A store knows no rules: a root may lie below itself, and nothing else twice.
                Some(child) if child.address == self.way[0] => self.after = Some(child.address),
                Some(child) => {
                    self.way.push(child.address.clone());
                    self.after = None;
                    return Ok(Some(child));
                }
                None => self.after = self.way.pop(),
            }
        }
        Ok(None)
    }
}
