//! Snapshots of a scope in fuzzy pages: each context as of its page, then the log from the place
//! that was taken first.

use std::collections::VecDeque;
use std::sync::Arc;

use syncline_api::{Problem, Scope, ScopeTerm};
use syncline_engine::{Principal, Workspace};
use syncline_model::change::Change;
use syncline_model::head::Head;
use syncline_model::ids::{Address, Seq};
use syncline_rules::place_in;
use syncline_store::{ContextList, ListQuery, PageKey, Sort, TreePlace};

/// Bounds the moved contexts that are noted; with more of them the subtree is walked again.
const MOVED_MAX: usize = 1_000;

/// Where a snapshot is: which term of the scope, and after which context.
#[derive(Debug)]
pub struct Pager {
    /// The place that was taken first, and that the log is read from afterwards.
    since: Seq,
    term: usize,
    after: Option<PageKey>,
    /// The walk of the term, where that is a subtree.
    walk: Option<Walk>,
}

/// A walk down a subtree.
#[derive(Debug)]
struct Walk {
    /// What is walked: the subtree, then what was moved inside it meanwhile.
    root: Address,
    after: Option<TreePlace>,
    /// What was moved, and is walked next.
    moved: VecDeque<Address>,
    /// Up to here the log was searched for moves.
    searched: Seq,
}

impl Pager {
    /// Begins a snapshot at a place of the log.
    pub fn new(since: Seq) -> Pager {
        Pager {
            since,
            term: 0,
            after: None,
            walk: None,
        }
    }

    /// Reads the next page of at most `limit` contexts; says too whether it is the last.
    pub async fn next(
        &mut self,
        workspace: &Workspace,
        principal: &Principal,
        scope: &Scope,
        inherited: &[Vec<Address>],
        limit: usize,
    ) -> Result<(Vec<Arc<Head>>, bool), Problem> {
        let mut heads = Vec::new();
        while heads.is_empty() {
            let found = match scope.0.get(self.term) {
                None => return Ok((heads, true)),
                Some(ScopeTerm::Subtree(root)) => {
                    self.subtree_page(workspace, principal, root, limit).await?
                }
                Some(_) => {
                    let contexts = list_of(scope, inherited, self.term);
                    self.list_page(workspace, principal, contexts, limit)
                        .await?
                }
            };
            for head in found {
                if !self.was_sent(workspace, scope, inherited, &head).await? {
                    heads.push(head);
                }
            }
            if self.after.is_none() && self.walk.is_none() {
                self.term += 1;
            }
        }
        Ok((heads, self.term >= scope.0.len()))
    }

    async fn list_page(
        &mut self,
        workspace: &Workspace,
        principal: &Principal,
        contexts: ContextList,
        limit: usize,
    ) -> Result<Vec<Arc<Head>>, Problem> {
        let query = ListQuery {
            contexts,
            sort: Sort::default(),
            after: self.after.take(),
            limit,
            bodies: true,
        };
        let page = workspace.list(principal, query).await?;
        self.after = page.next;
        Ok(page.heads)
    }

    /// Reads a page of the walk, and keeps the walk unless it came to its end.
    async fn subtree_page(
        &mut self,
        workspace: &Workspace,
        principal: &Principal,
        root: &Address,
        limit: usize,
    ) -> Result<Vec<Arc<Head>>, Problem> {
        let mut walk = self.walk.take().unwrap_or_else(|| Walk {
            root: root.clone(),
            after: None,
            moved: VecDeque::new(),
            // Taken before the first page is read.
            searched: workspace.tail().seq,
        });
        let page = workspace
            .subtree(principal, &walk.root, walk.after.take(), limit)
            .await?;
        walk.after = page.next;
        if walk.after.is_some() || walk.go_on(workspace, root).await? {
            self.walk = Some(walk);
        }
        Ok(page.heads)
    }

    /// Says whether an earlier term of the scope already brought this context.
    ///
    /// One that changed since may have come under that term after its page was read, so it is
    /// brought again: the log tells of its change only, which needs what it was before.
    async fn was_sent(
        &self,
        workspace: &Workspace,
        scope: &Scope,
        inherited: &[Vec<Address>],
        head: &Head,
    ) -> Result<bool, Problem> {
        if self.term == 0 || head.seq > self.since {
            return Ok(false);
        }
        let earlier = Scope(scope.0[..self.term].to_vec());
        let place = workspace.place(head).await?;
        Ok(place_in(&earlier, inherited, &head.address, &place))
    }
}

impl Walk {
    /// Goes on to what was moved inside the subtree since it was walked: it may have gone from
    /// where the walk had not been to where it had, and the log tells of its own change only.
    async fn go_on(&mut self, workspace: &Workspace, root: &Address) -> Result<bool, Problem> {
        if self.moved.is_empty() {
            self.moved = self.moved_since(workspace, root).await?;
        }
        match self.moved.pop_front() {
            Some(moved) => {
                self.root = moved;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    async fn moved_since(
        &mut self,
        workspace: &Workspace,
        root: &Address,
    ) -> Result<VecDeque<Address>, Problem> {
        let mut moved = VecDeque::new();
        let tail = workspace.tail().seq;
        while self.searched < tail {
            let entries = workspace.read_log(self.searched, 256).await?;
            let Some(last) = entries.last() else { break };
            self.searched = last.seq;
            for change in entries.iter().map(|entry| &entry.change) {
                if moves_inside(change, root) && !moved.contains(&change.context) {
                    moved.push_back(change.context.clone());
                }
            }
            if moved.len() > MOVED_MAX {
                self.searched = tail;
                return Ok(VecDeque::from([root.clone()]));
            }
        }
        Ok(moved)
    }
}

/// Says whether a change moved its context from one place in a subtree to another. One that came
/// in is told of as such.
fn moves_inside(change: &Change, root: &Address) -> bool {
    let (Some(before), after) = (&change.before, &change.place) else {
        return false;
    };
    before.ancestors != after.ancestors
        && before.ancestors.contains(root)
        && after.ancestors.contains(root)
}

/// Returns what the store is asked for a term that is no subtree.
fn list_of(scope: &Scope, inherited: &[Vec<Address>], term: usize) -> ContextList {
    let list = ContextList::default();
    match &scope.0[term] {
        ScopeTerm::Workspace => list,
        ScopeTerm::Context(context) => ContextList {
            addresses: Some(vec![context.clone()]),
            ..list
        },
        ScopeTerm::Subtree(root) => ContextList {
            within: Some(root.clone()),
            ..list
        },
        ScopeTerm::Inherited(context) => {
            let before = &scope.0[..term];
            let nth = before
                .iter()
                .filter(|t| matches!(t, ScopeTerm::Inherited(_)))
                .count();
            let mut addresses = inherited.get(nth).cloned().unwrap_or_default();
            addresses.push(context.clone());
            ContextList {
                addresses: Some(addresses),
                ..list
            }
        }
        ScopeTerm::Label(labels) => ContextList {
            labels: labels
                .iter()
                .map(|(key, value)| (key.clone(), Some(value.clone())))
                .collect(),
            ..list
        },
    }
}
