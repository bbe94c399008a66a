//! Compaction: thins old versions as their kinds' or the workspace's policy says, and has the texts
//! of old records framed, step by step.
//!
//! What goes is decided by [`Retention::thin`]; here is found what it must spare, and what each
//! step takes is taken by the store, whole or not at all. So a run that ends half-way, be it by
//! kill -9, has left nothing to mend: the next goes on.

mod framing;
mod spared;

use std::sync::Weak;
use std::time::Duration;

use syncline_api::{Code, Problem};
use syncline_model::change::{Change, ChangeType};
use syncline_model::ids::{Address, Seq, Version};
use syncline_model::time::Timestamp;
use syncline_rules::{Aged, Principal, Retention};
use syncline_store::{ContextList, HeadRow, ListQuery, Sort, VersionRow, thin};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::Inner;
use crate::load::{change_at, store_problem};
use crate::workspace::Workspace;
pub(crate) use framing::{GROWN_MAX, Grown};
use spared::Spared;

/// How many contexts are looked at in one read.
const PAGE_CONTEXTS: usize = 64;
/// How many versions are looked at in one read.
const PAGE_VERSIONS: usize = 500;
/// Bounds one step: writers wait for it.
const STEP_VERSIONS: usize = 64;
/// Bounds the versions of a line that one run looks at; it begins with the newest of the old ones.
const LINE_VERSIONS_MAX: usize = 1_000_000;
/// When the first run after a start is due at the latest: a laptop may never run for a day.
const FIRST_AFTER_MAX: Duration = Duration::from_secs(600);

/// What a run took away and framed, or would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compaction {
    /// Contexts under a policy that have versions old enough.
    pub contexts: u64,
    /// Old versions that were looked at, over all their lines.
    pub looked_at: u64,
    /// Those that went.
    pub thinned: u64,
    /// The bytes of what they held; 0 where it was only tried.
    pub bytes: u64,
    /// Where the log can be read from now.
    pub low_water: Seq,
    /// Records whose texts were framed.
    pub framed: u64,
    /// The bytes that their bodies took before.
    pub framed_bytes_before: u64,
    /// The bytes that they take now, with their frames.
    pub framed_bytes_after: u64,
}

/// How far the last run came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended; `None` while it runs.
    pub ended_at: Option<Timestamp>,
    /// What it took so far.
    pub so_far: Compaction,
    /// Why it ended early.
    pub failed: Option<String>,
}

/// Thins and frames all workspaces now and then, and frames lines that grew, until the engine is
/// gone.
pub(crate) async fn run(engine: Weak<Inner>, mut grown: mpsc::Receiver<Grown>) {
    let wait = match engine.upgrade() {
        Some(inner) => inner.settings.compact_every.min(FIRST_AFTER_MAX),
        None => return,
    };
    let mut due = Instant::now() + wait;
    loop {
        let line = tokio::select! {
            () = tokio::time::sleep_until(due) => None,
            line = grown.recv() => match line {
                Some(line) => Some(line),
                None => return,
            },
        };
        let Some(inner) = engine.upgrade() else {
            return;
        };
        match line {
            Some(line) => framing::frame_grown(&crate::Engine { inner }, line).await,
            None => {
                due = Instant::now() + inner.settings.compact_every;
                compact_all(&crate::Engine { inner }).await;
            }
        }
    }
}

async fn compact_all(engine: &crate::Engine) {
    for workspace in engine.workspaces() {
        let (owner, id) = (Principal::owner(), workspace.id().clone());
        match workspace.compact(&owner, false).await {
            Ok(done) if done.thinned > 0 || done.framed > 0 => {
                let Compaction {
                    thinned, framed, ..
                } = done;
                tracing::info!(workspace = %id, thinned, framed, "old versions were compacted");
            }
            Ok(_) => {}
            Err(problem) => {
                tracing::warn!(workspace = %id, problem = %problem.detail, "compaction ended early");
            }
        }
    }
}

impl Workspace {
    /// Thins old versions where a policy says so, and frames what stays; with `dry_run` it only
    /// counts, framing what would be thinned too.
    ///
    /// One run at a time: another is [`Code::TooMany`].
    pub async fn compact(
        &self,
        _principal: &Principal,
        dry_run: bool,
    ) -> Result<Compaction, Problem> {
        let shared = self.shared.clone();
        let Ok(_alone) = shared.compacting.try_lock() else {
            let detail = "old versions are being compacted already";
            return Err(Problem::new(Code::TooMany, detail).hint("wait until that has ended"));
        };
        let mut run = Run {
            workspace: self,
            now: shared.clock.now(),
            dry_run,
            done: Compaction::default(),
        };
        run.tell(None);
        let ended = match run.all().await {
            Ok(()) => run.frame_all().await,
            Err(problem) => Err(problem),
        };
        let failed = ended.as_ref().err().map(|problem| problem.detail.clone());
        run.tell(Some((shared.clock.now(), failed)));
        ended.map(|()| run.done)
    }

    /// Returns how far the last run came, if there was one since the start.
    pub fn compacted(&self) -> Option<Compacted> {
        self.shared.compacted.lock().expect(COMPACTED).clone()
    }
}

const COMPACTED: &str = "nothing panics while the compaction's state is locked";

/// One run over a workspace.
struct Run<'a> {
    workspace: &'a Workspace,
    now: Timestamp,
    dry_run: bool,
    done: Compaction,
}

impl Run<'_> {
    /// Tells how far it is, for status.
    fn tell(&self, ended: Option<(Timestamp, Option<String>)>) {
        if self.dry_run {
            return;
        }
        let (ended_at, failed) = ended.unzip();
        *self.workspace.shared.compacted.lock().expect(COMPACTED) = Some(Compacted {
            began_at: self.now,
            ended_at,
            so_far: self.done,
            failed: failed.flatten(),
        });
    }

    async fn all(&mut self) -> Result<(), Problem> {
        let shared = &self.workspace.shared;
        self.done.low_water = shared.low_water();
        let mut query = ListQuery {
            contexts: ContextList {
                deleted: true,
                ..ContextList::default()
            },
            sort: Sort::default(),
            after: None,
            limit: PAGE_CONTEXTS,
            bodies: false,
        };
        loop {
            let page = shared.store.list(&shared.id, &query).await;
            let page = page.map_err(store_problem)?;
            for row in &page.heads {
                self.context(row).await?;
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Thins one context and its branches, if it has a policy and anything old.
    async fn context(&mut self, row: &HeadRow) -> Result<(), Problem> {
        // What is declared keeps its whole history: it says why the node did what it did.
        if row.address.is_built_in() {
            return Ok(());
        }
        let Some(policy) = self.policy(&row.address).await? else {
            return Ok(());
        };
        if row.created_at >= policy.cutoff(self.now) {
            return Ok(());
        }
        self.done.contexts += 1;
        let spared = Spared::of(self.workspace, &row.address).await?;
        for line in spared.lines() {
            self.line(line, &policy, &spared).await?;
        }
        Ok(())
    }

    async fn policy(&self, address: &Address) -> Result<Option<Retention>, Problem> {
        let declared = self.workspace.declared_for(address).await?;
        let rules = &self.workspace.shared.settings.rules;
        Ok(declared.retention(rules))
    }

    async fn line(
        &mut self,
        line: &Address,
        policy: &Retention,
        spared: &Spared,
    ) -> Result<(), Problem> {
        let rows = self.old(line, policy.cutoff(self.now)).await?;
        self.done.looked_at += rows.len() as u64;
        let aged = |row: &VersionRow| Aged {
            version: row.version,
            committed_at: row.committed_at,
            spared: spared.has(line, row.version),
        };
        let aged: Vec<_> = rows.iter().map(aged).collect();
        let mut goes = policy.thin(&aged, self.now);
        let mut step = Vec::with_capacity(STEP_VERSIONS);
        goes.reverse();
        while let Some(version) = goes.pop() {
            let at = rows.partition_point(|row| row.version < version);
            if self.may_go(rows[at].seq).await? {
                step.push(version);
            }
            if step.len() == STEP_VERSIONS || goes.is_empty() {
                self.take(line, std::mem::take(&mut step)).await?;
            }
        }
        Ok(())
    }

    /// Returns the kept versions of a line that are older than the cutoff, and the one after them,
    /// rising.
    async fn old(&self, line: &Address, cutoff: Timestamp) -> Result<Vec<VersionRow>, Problem> {
        let shared = &self.workspace.shared;
        let seq = shared
            .store
            .seq_at(&shared.id, Timestamp(cutoff.0 - 1))
            .await;
        let seq = seq.map_err(store_problem)?.min(self.workspace.tail().seq);
        let newest = shared.store.version_at(&shared.id, line, seq).await;
        let Some(newest) = newest.map_err(store_problem)? else {
            return Ok(Vec::new());
        };
        let after = newest.version.next();
        let after = shared.store.version(&shared.id, line, after).await;
        let mut rows: Vec<_> = after.map_err(store_problem)?.into_iter().collect();
        let mut below = newest.version.next();
        while rows.len() < LINE_VERSIONS_MAX {
            let page = shared
                .store
                .versions(&shared.id, line, Some(below), PAGE_VERSIONS)
                .await
                .map_err(store_problem)?;
            let Some(last) = page.last() else { break };
            below = last.version;
            rows.extend(page);
        }
        rows.reverse();
        Ok(rows)
    }

    /// Says whether a version may go, as far as its record tells. Deletions stay: they are little,
    /// and the request that deleted a subtree is answered from them when it comes again.
    async fn may_go(&self, seq: Seq) -> Result<bool, Problem> {
        let shared = &self.workspace.shared;
        let change = change_at(&*shared.store, &shared.id, seq).await?;
        Ok(change.is_some_and(|change: Change| change.kind != ChangeType::Delete))
    }

    async fn take(&mut self, line: &Address, versions: Vec<Version>) -> Result<(), Problem> {
        if versions.is_empty() {
            return Ok(());
        }
        if self.dry_run {
            self.done.thinned += versions.len() as u64;
            return Ok(());
        }
        let shared = &self.workspace.shared;
        let ready = thin::ready(&*shared.store, &shared.id, line, versions).await;
        let thinning = ready.map_err(store_problem)?;
        let thinned = shared.store.thin(&shared.id, thinning).await;
        let thinned = thinned.map_err(store_problem)?;
        shared.raise_low_water(thinned.low_water);
        self.done.thinned += thinned.versions;
        self.done.bytes += thinned.bytes;
        self.done.low_water = thinned.low_water;
        self.tell(None);
        tokio::task::yield_now().await;
        Ok(())
    }
}
