//! Reads: heads, versions, times, lists, histories, differences. Each passes `visible`.

use std::sync::Arc;

use syncline_api::{BulkMode, Code, Problem};
use syncline_merge::{Patch, diff, readable};
use syncline_model::change::{Place, Receipt};
use syncline_model::head::Head;
use syncline_model::ids::{Address, Seq, Version};
use syncline_model::json::Json;
use syncline_model::proposal::{Base, Precondition, Proposal};
use syncline_model::time::Timestamp;
use syncline_rules::{ANCESTORS_MAX, Principal, Subject, View, named, place_of, visible};
use syncline_store::{ContextList, HeadRow, ListQuery, PageKey, Sort};

use crate::aside::aside;
use crate::heads::{Cached, CachedHead};
use crate::load::{Past, change_at, head_of_row, past, store_problem, version_as_head};
use crate::tail::Entry;
use crate::workspace::{BulkAnswer, Workspace};

/// Which moment of a context is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Now.
    Head,
    /// As of a version.
    Version(Version),
    /// As of a time, by when changes were committed.
    At(Timestamp),
}

/// Bounds the documents of one page: a page may end before its limit.
pub(crate) const PAGE_BYTES_MAX: usize = 16 << 20;
/// Bounds how many documents one read of the store brings, each of which may be the largest.
pub(crate) const LOAD_AT_ONCE: usize = 16;

/// A page of a list.
#[derive(Clone, Debug)]
pub struct ListAnswer {
    /// The heads, in order.
    pub heads: Vec<Arc<Head>>,
    /// Where the next page starts.
    pub next: Option<PageKey>,
}

/// A page of a context's history, newest first.
#[derive(Clone, Debug)]
pub struct VersionPage {
    /// The changes that made the versions.
    pub changes: Vec<Arc<Entry>>,
    /// The next page is below this version.
    pub next: Option<Version>,
}

/// What lies between two versions.
#[derive(Clone, Debug)]
pub struct Diff {
    /// From this version,
    pub from: Version,
    /// to this one,
    pub to: Version,
    /// as a JSON Patch,
    pub patch: Patch,
    /// and as text for people.
    pub text: String,
}

pub(crate) fn not_found(address: &Address) -> Problem {
    let detail = match address.of_line() {
        (context, Some(branch)) => format!("context \"{context}\" has no branch \"{branch}\""),
        (context, None) => format!("there is no context \"{context}\""),
    };
    Problem::new(Code::NotFound, detail)
}

fn deleted(head: &Head) -> Problem {
    let (line, version) = (named(&head.address), head.version);
    Problem::new(
        Code::Deleted,
        format!("{line} was deleted at version {version}"),
    )
    .hint("read an older version with ?version=, or restore it")
}

impl Workspace {
    /// Returns a context as it is or was.
    pub async fn get(
        &self,
        principal: &Principal,
        address: &Address,
        when: When,
    ) -> Result<Arc<Head>, Problem> {
        let head = match when {
            When::Head => self.head(address).await?,
            When::Version(version) => {
                self.check_seen(principal, address).await?;
                let shared = &self.shared;
                version_as_head(&*shared.store, &shared.id, address, version)
                    .await?
                    .filter(|head| head.seq <= self.tail().seq)
                    .map(Arc::new)
                    .ok_or_else(|| no_version(address, version))
                    .map(Some)?
            }
            When::At(time) => {
                self.check_seen(principal, address).await?;
                self.head_at(address, time).await?.map(Arc::new)
            }
        };
        let head = head
            .filter(|head| {
                visible(
                    principal,
                    &Subject::of_head(head),
                    &self.shared.settings.rules,
                )
            })
            .ok_or_else(|| not_found(address))?;
        if head.deleted {
            Err(deleted(&head))
        } else {
            Ok(head)
        }
    }

    /// Returns a version, a deletion with the document that it took; nothing where it is not kept,
    /// or the principal may not see it.
    pub async fn kept_version(
        &self,
        principal: &Principal,
        address: &Address,
        version: Version,
    ) -> Result<Option<Arc<Head>>, Problem> {
        let shared = &self.shared;
        let sees =
            |head: &Head| visible(principal, &Subject::of_head(head), &shared.settings.rules);
        if !self.head(address).await?.is_some_and(|head| sees(&head)) {
            return Ok(None);
        }
        Ok(
            match past(&*shared.store, &shared.id, address, version).await? {
                Past::Kept(head) if head.seq <= self.tail().seq && sees(&head) => {
                    Some(Arc::from(head))
                }
                _ => None,
            },
        )
    }

    /// Returns the head, deleted or not.
    pub(crate) async fn head(&self, address: &Address) -> Result<Option<Arc<Head>>, Problem> {
        let shared = &self.shared;
        if let Some(cached) = shared.heads.get(&shared.id, address) {
            return Ok(match cached {
                Cached::Head(cached) => Some(cached.head),
                Cached::Absent => None,
            });
        }
        let before = self.tail();
        let rows = shared
            .store
            .heads(&shared.id, std::slice::from_ref(address))
            .await
            .map_err(store_problem)?;
        let Some(row) = rows.into_iter().next().flatten() else {
            return Ok(None);
        };
        let loaded = self.row_to_head(row).await?;
        let head = loaded.head.clone();
        if head.seq <= before.seq {
            self.cache_unless_touched(before.seq, address, loaded);
        }
        self.as_shown(head).await
    }

    /// Returns a head that was read from the store as readers may see it: what lies past the tail
    /// is not acknowledged, and may yet prove not to be durable (P1).
    async fn as_shown(&self, head: Arc<Head>) -> Result<Option<Arc<Head>>, Problem> {
        let shown = self.tail().seq;
        if head.seq <= shown {
            return Ok(Some(head));
        }
        let before = self.head_as_of(&head.address, shown).await?;
        Ok(before.map(Arc::new))
    }

    /// Returns a context as it was after a record, deleted or not.
    async fn head_as_of(&self, address: &Address, seq: Seq) -> Result<Option<Head>, Problem> {
        let shared = &self.shared;
        let row = shared
            .store
            .version_at(&shared.id, address, seq)
            .await
            .map_err(store_problem)?;
        match row {
            Some(row) => version_as_head(&*shared.store, &shared.id, address, row.version).await,
            None => Ok(None),
        }
    }

    /// Puts a head that was read when the log ended at `seq` into the cache, if surely nothing
    /// touched the context since.
    fn cache_unless_touched(&self, seq: Seq, address: &Address, loaded: CachedHead) {
        let shared = &self.shared;
        let _showing = shared
            .showing
            .lock()
            .expect("nothing panics while records are shown");
        if shared.tail.touched_since(seq, address) == Some(false) {
            shared.heads.put(&shared.id, address, Cached::Head(loaded));
        }
    }

    /// Returns the head, deleted or not, without asking who wants it: for readers of the log that
    /// judge visibility themselves.
    pub async fn head_if_any(&self, address: &Address) -> Result<Option<Arc<Head>>, Problem> {
        self.head(address).await
    }

    /// Returns where a context stands now.
    pub async fn place(&self, head: &Head) -> Result<Place, Problem> {
        let mut view = View::new();
        let mut next = head.document.parent();
        for _ in 0..ANCESTORS_MAX {
            let Some(address) = next else { break };
            let parent = self.head(&address).await?;
            next = parent.as_ref().and_then(|head| head.document.parent());
            view.put_head(address, parent);
        }
        Ok(place_of(&view, &head.address, &head.document))
    }

    /// Says whether anything lies below a context, be it deleted.
    pub async fn has_children(&self, address: &Address) -> Result<bool, Problem> {
        let query = ListQuery {
            contexts: ContextList {
                parent: Some(address.clone()),
                deleted: true,
                ..Default::default()
            },
            sort: Sort::default(),
            after: None,
            limit: 1,
            bodies: false,
        };
        let shared = &self.shared;
        let page = shared
            .store
            .list(&shared.id, &query)
            .await
            .map_err(store_problem)?;
        Ok(!page.heads.is_empty())
    }

    async fn row_to_head(&self, row: HeadRow) -> Result<CachedHead, Problem> {
        head_of_row(&*self.shared.store, &self.shared.id, row).await
    }

    async fn check_seen(&self, principal: &Principal, address: &Address) -> Result<(), Problem> {
        let head = self
            .head(address)
            .await?
            .ok_or_else(|| not_found(address))?;
        if visible(
            principal,
            &Subject::of_head(&head),
            &self.shared.settings.rules,
        ) {
            return Ok(());
        }
        Err(not_found(address))
    }

    async fn head_at(&self, address: &Address, time: Timestamp) -> Result<Option<Head>, Problem> {
        let shared = &self.shared;
        let seq = shared
            .store
            .seq_at(&shared.id, time)
            .await
            .map_err(store_problem)?;
        match self.head_as_of(address, seq.min(self.tail().seq)).await? {
            None => Err(Problem::new(
                Code::NotFound,
                format!("{} was not there yet at {time}", named(address)),
            )),
            head => Ok(head),
        }
    }

    /// Lists contexts of all kinds, with their documents.
    pub async fn list(
        &self,
        principal: &Principal,
        query: ListQuery,
    ) -> Result<ListAnswer, Problem> {
        self.list_where(principal, query, |_| true).await
    }

    /// Lists contexts as people mean it: the node's own kinds only where the query names one.
    pub async fn list_usual(
        &self,
        principal: &Principal,
        query: ListQuery,
    ) -> Result<ListAnswer, Problem> {
        let all = query.contexts.kind.is_some();
        let usual = |row: &HeadRow| all || !row.address.is_built_in();
        self.list_where(principal, query, usual).await
    }

    async fn list_where(
        &self,
        principal: &Principal,
        mut query: ListQuery,
        wanted_row: impl Fn(&HeadRow) -> bool + Send,
    ) -> Result<ListAnswer, Problem> {
        let shared = &self.shared;
        let by = query.sort.by;
        query.limit = query.limit.clamp(1, shared.settings.page_max);
        query.bodies = false;
        let wanted = query.limit;
        let mut heads: Vec<Arc<Head>> = Vec::with_capacity(wanted.min(100));
        let mut bytes = 0;
        loop {
            query.limit = wanted - heads.len();
            let page = shared
                .store
                .list(&shared.id, &query)
                .await
                .map_err(store_problem)?;
            let mut left = page.heads.as_slice();
            while !left.is_empty() && bytes < PAGE_BYTES_MAX {
                let (some, rest) = left.split_at(left.len().min(LOAD_AT_ONCE));
                left = rest;
                let some: Vec<_> = some.iter().filter(|row| wanted_row(row)).cloned().collect();
                for head in self.load(&some).await? {
                    let seen = visible(principal, &Subject::of_head(&head), &shared.settings.rules);
                    if seen && (query.contexts.deleted || !head.deleted) {
                        bytes += head.document.weight();
                        heads.push(head);
                    }
                }
            }
            let cut = page.heads.len() - left.len();
            let next = match page.heads.get(cut.wrapping_sub(1)) {
                Some(last) if !left.is_empty() => Some(PageKey::of(by, last)),
                _ => page.next,
            };
            match next {
                Some(next) if heads.len() < wanted && bytes < PAGE_BYTES_MAX => {
                    query.after = Some(next);
                }
                next => return Ok(ListAnswer { heads, next }),
            }
        }
    }

    /// Returns the heads of these rows as they are now: from the cache, the rest in one read.
    pub(crate) async fn load(&self, rows: &[HeadRow]) -> Result<Vec<Arc<Head>>, Problem> {
        let shared = &self.shared;
        let mut heads = Vec::with_capacity(rows.len());
        let mut missing = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            match shared.heads.get(&shared.id, &row.address) {
                Some(Cached::Head(cached)) => heads.push((at, cached.head)),
                _ => missing.push((at, row.address.clone())),
            }
        }
        let addresses: Vec<_> = missing.iter().map(|(_, address)| address.clone()).collect();
        if !addresses.is_empty() {
            let found = shared
                .store
                .heads(&shared.id, &addresses)
                .await
                .map_err(store_problem)?;
            for ((at, _), row) in missing.into_iter().zip(found) {
                let Some(row) = row else { continue };
                let head = self.row_to_head(row).await?.head;
                if let Some(head) = self.as_shown(head).await? {
                    heads.push((at, head));
                }
            }
            heads.sort_by_key(|(at, _)| *at);
        }
        Ok(heads.into_iter().map(|(_, head)| head).collect())
    }

    /// Returns a context's changes, newest first.
    pub async fn versions(
        &self,
        principal: &Principal,
        address: &Address,
        below: Option<Version>,
        limit: usize,
    ) -> Result<VersionPage, Problem> {
        self.check_seen(principal, address).await?;
        let shared = &self.shared;
        let limit = limit.clamp(1, shared.settings.page_max);
        let rows = shared
            .store
            .versions(&shared.id, address, below, limit)
            .await
            .map_err(store_problem)?;
        let next = match rows.last() {
            Some(row) if rows.len() == limit && row.version > Version(1) => Some(row.version),
            _ => None,
        };
        let mut changes: Vec<Arc<Entry>> = Vec::with_capacity(rows.len());
        let mut bytes = 0;
        for row in rows {
            if bytes > PAGE_BYTES_MAX {
                let next = changes.last().map(|entry| entry.change.version);
                return Ok(VersionPage { changes, next });
            }
            if let Some(entry) = self.shared.entry_at(row.seq).await? {
                bytes += entry.weight();
                changes.push(entry);
            }
        }
        Ok(VersionPage { changes, next })
    }

    /// Returns what lies between two versions of a context's lines; without a version the line's
    /// head counts.
    pub async fn diff(
        &self,
        principal: &Principal,
        ends: [(&Address, Option<Version>); 2],
    ) -> Result<Diff, Problem> {
        let mut sides = Vec::with_capacity(2);
        let mut versions = [Version::ZERO; 2];
        for ((address, version), found) in ends.into_iter().zip(&mut versions) {
            self.check_seen(principal, address).await?;
            let version = match version {
                Some(version) => version,
                None => self.get(principal, address, When::Head).await?.version,
            };
            *found = version;
            let shared = &self.shared;
            let head = version_as_head(&*shared.store, &shared.id, address, version).await?;
            let shown = head.filter(|head| head.seq <= self.tail().seq);
            let head = shown.ok_or_else(|| no_version(address, version))?;
            // A deletion keeps the last document, and comparing that would say that nothing happened.
            if head.deleted {
                return Err(deleted(&head).hint("compare versions that it was not deleted at"));
            }
            sides.push(head.document.to_json());
        }
        let bytes = sides.iter().map(Json::weight).sum();
        let (patch, text) = aside(bytes, || {
            (diff(&sides[0], &sides[1]), readable(&sides[0], &sides[1]))
        });
        let [from, to] = versions;
        Ok(Diff {
            from,
            to,
            patch,
            text,
        })
    }

    /// Deletes a context and all below it, as one atomic bulk; what one part is refused for is
    /// the answer. The proposal's id is the bulk's and that of the context's own deletion; those
    /// of the others are derived from it.
    pub async fn delete_subtree(
        &self,
        principal: &Principal,
        proposal: Proposal,
    ) -> Result<BulkAnswer, Problem> {
        let bulk = proposal.id;
        if let Some(answer) = self.subtree_again(&proposal).await? {
            return Ok(answer);
        }
        let limit = self.shared.settings.bulk_max;
        let query = ListQuery {
            contexts: ContextList {
                within: Some(proposal.context.clone()),
                ..Default::default()
            },
            sort: Sort::default(),
            after: None,
            limit: limit + 1,
            bodies: false,
        };
        let shared = &self.shared;
        let page = shared
            .store
            .list(&shared.id, &query)
            .await
            .map_err(store_problem)?;
        if page.heads.len() > limit || page.next.is_some() {
            let detail = format!(
                "more than {limit} contexts lie at or below \"{}\"",
                proposal.context
            );
            return Err(Problem::new(Code::TooLarge, detail)
                .hint("delete its parts first")
                .limit(limit as u64, "max_bulk"));
        }
        let mut parts = Vec::with_capacity(page.heads.len() + 1);
        for row in page
            .heads
            .into_iter()
            .filter(|row| row.address != proposal.context)
        {
            let mut part = proposal.clone();
            part.id = bulk.derive(row.address.as_str());
            part.base = Some(Base::Version(row.version));
            part.precondition = Precondition::None;
            part.context = row.address;
            parts.push(part);
        }
        parts.push(proposal);
        let answer = self
            .submit_bulk(principal, BulkMode::Atomic, Some(bulk), parts)
            .await?;
        match cause(&answer) {
            Some(problem) => Err(problem.clone()),
            None => Ok(answer),
        }
    }

    /// Answers a subtree's deletion that was done before from its records.
    async fn subtree_again(&self, proposal: &Proposal) -> Result<Option<BulkAnswer>, Problem> {
        let shared = &self.shared;
        let bulk = proposal.id;
        let rows = shared
            .store
            .ids(&shared.id, &[bulk])
            .await
            .map_err(store_problem)?;
        let Some(row) = rows.into_iter().next().flatten() else {
            return Ok(None);
        };
        if row.digest != proposal.digest().0 {
            return Err(crate::outcome::reused(bulk));
        }
        let settled = crate::outcome::Settled::from_bytes(bulk, &row.outcome)
            .map_err(|rot| crate::load::rotten(&*shared.store, &rot))?;
        let crate::outcome::Settled::Accepted(receipt) = settled else {
            return Ok(None);
        };
        let Some(last) = receipt.seq.filter(|_| receipt.bulk == Some(bulk)) else {
            // The same id deleted the context without what lies below it.
            let answers = vec![(bulk, Ok(receipt))];
            return Ok(Some(BulkAnswer { bulk, answers }));
        };
        let first = last.0.saturating_sub(shared.settings.bulk_max as u64);
        let mut answers = Vec::new();
        // One by one, since below the low-water mark deletions are kept and others may be gone.
        for seq in (first + 1..=last.0).map(Seq) {
            let change = change_at(&*shared.store, &shared.id, seq).await?;
            if let Some(change) = change.filter(|change| change.bulk == Some(bulk)) {
                answers.push((change.id, Ok(Receipt::of_change(&change, seq))));
            }
        }
        Ok(Some(BulkAnswer { bulk, answers }))
    }
}

/// Returns what an atomic bulk was refused for: the problem of the part that the others only name.
fn cause(answer: &BulkAnswer) -> Option<&Problem> {
    let refused = || {
        answer
            .answers
            .iter()
            .filter_map(|(_, part)| part.as_ref().err())
    };
    let own = refused().find(|problem| problem.code != Code::BulkRefused);
    own.or_else(|| refused().next())
}

fn no_version(address: &Address, version: Version) -> Problem {
    Problem::new(
        Code::NotFound,
        format!("{} has no version {version}", named(address)),
    )
    .hint("`syncline log` shows which there are")
}
