//! A subtree in pages, from the top down.

use std::sync::Arc;

use syncline_api::Problem;
use syncline_model::head::Head;
use syncline_model::ids::Address;
use syncline_rules::{Principal, Subject, visible};
use syncline_store::{HeadRow, TreePlace};

use crate::load::store_problem;
use crate::reads::{LOAD_AT_ONCE, PAGE_BYTES_MAX};
use crate::workspace::Workspace;

/// A page of a subtree.
#[derive(Clone, Debug)]
pub struct SubtreeAnswer {
    /// The heads, each before what lies below it; there may be none though more follow.
    pub heads: Vec<Arc<Head>>,
    /// Where the next page goes on.
    pub next: Option<TreePlace>,
}

impl Workspace {
    /// Returns a page of a context and what lies below it ([`syncline_store::Store::subtree`]).
    pub async fn subtree(
        &self,
        principal: &Principal,
        root: &Address,
        after: Option<TreePlace>,
        limit: usize,
    ) -> Result<SubtreeAnswer, Problem> {
        let shared = &self.shared;
        let limit = limit.clamp(1, shared.settings.page_max);
        let page = shared
            .store
            .subtree(&shared.id, root, after, limit)
            .await
            .map_err(store_problem)?;
        let (rows, places): (Vec<HeadRow>, Vec<TreePlace>) = page.heads.into_iter().unzip();
        let mut heads = Vec::with_capacity(rows.len());
        let mut bytes = 0;
        let mut read = 0;
        for some in rows.chunks(LOAD_AT_ONCE) {
            if bytes >= PAGE_BYTES_MAX {
                let next = places.into_iter().nth(read - 1);
                return Ok(SubtreeAnswer { heads, next });
            }
            read += some.len();
            for head in self.load(some).await? {
                let subject = Subject::of_head(&head);
                if !head.deleted && visible(principal, &subject, &shared.settings.rules) {
                    bytes += head.document.weight();
                    heads.push(head);
                }
            }
        }
        let next = page.next;
        Ok(SubtreeAnswer { heads, next })
    }
}
