//! Snapshots of a scope in fuzzy pages: each context as of its page, then the log from the place
//! that was taken first.

use std::sync::Arc;

use syncline_api::{Problem, Scope, ScopeTerm};
use syncline_engine::{Principal, Workspace};
use syncline_model::head::Head;
use syncline_model::ids::{Address, Seq};
use syncline_rules::place_in;
use syncline_store::{ContextList, ListQuery, PageKey, Sort};

/// Where a snapshot is: which term of the scope, and after which context.
#[derive(Debug)]
pub struct Pager {
    /// The place that was taken first, and that the log is read from afterwards.
    since: Seq,
    term: usize,
    after: Option<PageKey>,
}

impl Pager {
    /// Begins a snapshot at a place of the log.
    pub fn new(since: Seq) -> Pager {
        Pager {
            since,
            term: 0,
            after: None,
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
            let Some(contexts) = list_of(scope, inherited, self.term) else {
                return Ok((heads, true));
            };
            let query = ListQuery {
                contexts,
                sort: Sort::default(),
                after: self.after.take(),
                limit,
                bodies: true,
            };
            let page = workspace.list(principal, query).await?;
            for head in page.heads {
                if !self.was_sent(workspace, scope, inherited, &head).await? {
                    heads.push(head);
                }
            }
            self.after = page.next;
            if self.after.is_none() {
                self.term += 1;
            }
        }
        let last = list_of(scope, inherited, self.term).is_none();
        Ok((heads, last))
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

/// Returns what the store is asked for one term; `None` past the last.
fn list_of(scope: &Scope, inherited: &[Vec<Address>], term: usize) -> Option<ContextList> {
    let list = ContextList::default();
    Some(match scope.0.get(term)? {
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
    })
}
