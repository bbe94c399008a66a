//! Snapshots of a scope in fuzzy pages: each context as of its page, then the log from the place
//! that was taken first.
//!
//! What stays where it is comes on the page of its term. What was moved or labelled anew meanwhile,
//! from what was not read yet to what was, is on no page, and the log would tell of it only as of
//! something that its reader holds. So it is read once more behind the last term.

use std::collections::VecDeque;
use std::sync::Arc;

use syncline_api::{Problem, Scope, ScopeTerm};
use syncline_engine::{Principal, Workspace};
use syncline_model::change::Change;
use syncline_model::head::Head;
use syncline_model::ids::{Address, Seq};
use syncline_rules::{holds_below, place_in};
use syncline_store::{ContextList, ListQuery, PageKey, Sort, TreePlace};

/// Bounds the contexts that are noted to be read once more; with more of them all is.
const AGAIN_MAX: usize = 1_000;

/// Who is shown what.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    pub workspace: &'a Workspace,
    pub principal: &'a Principal,
    pub scope: &'a Scope,
    pub inherited: &'a [Vec<Address>],
}

/// Where a snapshot is: which term of the scope, and after which context.
#[derive(Debug)]
pub struct Pager {
    /// The place that was taken first, and that the log is read from afterwards.
    since: Seq,
    term: usize,
    /// Where the list goes on that is read.
    after: Option<PageKey>,
    /// The walk that is under way.
    walk: Option<Walk>,
    /// Up to here the log was searched for what is read once more.
    searched: Seq,
    again: Again,
}

/// A walk down a subtree.
#[derive(Debug)]
struct Walk {
    root: Address,
    after: Option<TreePlace>,
}

/// What is read once more, behind the last term.
#[derive(Debug, Default)]
struct Again {
    /// By themselves.
    alone: Vec<Address>,
    /// With all below them.
    below: VecDeque<Address>,
}

impl Pager {
    /// Begins a snapshot at a place of the log.
    pub fn new(since: Seq) -> Pager {
        Pager {
            since,
            term: 0,
            after: None,
            walk: None,
            searched: since,
            again: Again::default(),
        }
    }

    /// Reads the next page of at most `limit` contexts; says too whether it is the last.
    pub async fn next(
        &mut self,
        shown: Shown<'_>,
        limit: usize,
    ) -> Result<(Vec<Arc<Head>>, bool), Problem> {
        let mut heads = Vec::new();
        while heads.is_empty() {
            if self.is_over(shown).await? {
                return Ok((heads, true));
            }
            heads = match self.term < shown.scope.0.len() {
                true => self.page_of_term(shown, limit).await?,
                false => self.page_again(shown, limit).await?,
            };
        }
        Ok((heads, self.is_over(shown).await?))
    }

    async fn page_of_term(
        &mut self,
        shown: Shown<'_>,
        limit: usize,
    ) -> Result<Vec<Arc<Head>>, Problem> {
        let found = match &shown.scope.0[self.term] {
            ScopeTerm::Subtree(root) => {
                let walk = self.walk.take().unwrap_or_else(|| Walk::down(root.clone()));
                self.walk_page(shown, walk, limit).await?
            }
            _ => {
                let contexts = list_of(shown.scope, shown.inherited, self.term);
                self.list_page(shown, contexts, limit).await?
            }
        };
        let mut heads = Vec::with_capacity(found.len());
        for head in found {
            if !self.was_sent(shown, &head).await? {
                heads.push(head);
            }
        }
        if self.after.is_none() && self.walk.is_none() {
            self.term += 1;
        }
        Ok(heads)
    }

    async fn page_again(
        &mut self,
        shown: Shown<'_>,
        limit: usize,
    ) -> Result<Vec<Arc<Head>>, Problem> {
        if let Some(walk) = self.walk.take() {
            return self.walk_page(shown, walk, limit).await;
        }
        let contexts = ContextList {
            addresses: Some(self.again.alone.clone()),
            ..ContextList::default()
        };
        let heads = self.list_page(shown, contexts, limit).await?;
        if self.after.is_none() {
            self.again.alone.clear();
        }
        Ok(heads)
    }

    async fn list_page(
        &mut self,
        shown: Shown<'_>,
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
        let page = shown.workspace.list(shown.principal, query).await?;
        self.after = page.next;
        Ok(page.heads)
    }

    /// Reads a page of a walk, and keeps the walk unless it came to its end.
    async fn walk_page(
        &mut self,
        shown: Shown<'_>,
        walk: Walk,
        limit: usize,
    ) -> Result<Vec<Arc<Head>>, Problem> {
        let Walk { root, after } = walk;
        let page = shown
            .workspace
            .subtree(shown.principal, &root, after, limit)
            .await?;
        self.walk = page.next.map(|next| Walk {
            root,
            after: Some(next),
        });
        Ok(page.heads)
    }

    /// Says whether an earlier term of the scope already brought this context.
    ///
    /// One that changed since may have come under that term after its page was read, so it is
    /// brought again. One that came there with a parent is read once more with that.
    async fn was_sent(&self, shown: Shown<'_>, head: &Head) -> Result<bool, Problem> {
        if self.term == 0 || head.seq > self.since {
            return Ok(false);
        }
        let earlier = Scope(shown.scope.0[..self.term].to_vec());
        let place = shown.workspace.place(head).await?;
        Ok(place_in(&earlier, shown.inherited, &head.address, &place))
    }

    /// Says whether nothing is left to read; what is, behind the last term, is taken in hand.
    async fn is_over(&mut self, shown: Shown<'_>) -> Result<bool, Problem> {
        let terms = shown.scope.0.len();
        if self.term < terms || self.walk.is_some() || !self.again.alone.is_empty() {
            return Ok(false);
        }
        if self.again.below.is_empty() {
            self.search(shown).await?;
        }
        if self.term < terms || !self.again.alone.is_empty() {
            return Ok(false);
        }
        self.walk = self.again.below.pop_front().map(Walk::down);
        Ok(self.walk.is_none())
    }

    /// Searches the log for what is to be read once more, up to its tail.
    async fn search(&mut self, shown: Shown<'_>) -> Result<(), Problem> {
        let (workspace, scope) = (shown.workspace, shown.scope);
        let walks = |term: &ScopeTerm| matches!(term, ScopeTerm::Subtree(_));
        // One list names each of its contexts wherever that stands.
        if scope.0.len() == 1 && !scope.0.iter().any(walks) {
            return Ok(());
        }
        let tail = workspace.tail().seq;
        while self.searched < tail {
            let entries = workspace.read_log(self.searched, 256).await?;
            let Some(last) = entries.last() else { break };
            self.searched = last.seq;
            for entry in &entries {
                self.again.note(shown, &entry.change);
            }
            if self.again.alone.len() + self.again.below.len() > AGAIN_MAX {
                self.searched = tail;
                self.again = Again::default();
                self.term = 0;
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Walk {
    fn down(root: Address) -> Walk {
        Walk { root, after: None }
    }
}

impl Again {
    /// Notes the context of a change that left it in the scope, though maybe by another term.
    /// What went into the scope or out of it is told of by the log.
    fn note(&mut self, shown: Shown<'_>, change: &Change) {
        let (context, after) = (&change.context, &change.place);
        let Some(before) = change.before.as_ref().filter(|_| change.branch.is_none()) else {
            return;
        };
        let below = |place| holds_below(shown.scope, context, place);
        let itself = |place| place_in(shown.scope, shown.inherited, context, place);
        if before.ancestors != after.ancestors && below(before) && below(after) {
            if !self.below.contains(context) {
                self.below.push_back(context.clone());
            }
        } else if shown.scope.0.len() > 1
            && itself(before)
            && itself(after)
            && !self.alone.contains(context)
        {
            self.alone.push(context.clone());
        }
    }
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
