//! The committer: one for each workspace. It takes everything that waits as one batch, looks the
//! change ids up, decides each proposal on what the one before left, appends, moves the tail,
//! and answers.

use std::collections::HashSet;
use std::sync::Arc;

use syncline_api::{BulkMode, Code, Problem};
use syncline_model::change::{Outcome, Receipt};
use syncline_model::ids::{Address, ChangeId, Seq};
use syncline_model::proposal::Proposal;
use syncline_model::record::RecordHash;
use syncline_model::time::{Hlc, Timestamp};
use syncline_rules::{
    ANCESTORS_MAX, Decision, Need, Now, Principal, Refusal, Step, View, decide, may_write,
};
use syncline_store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::batch::{Batch, Log, writes_body};
use crate::heads::Cached;
use crate::load::{base_state, head_of_row, rotten, store_problem, unknown_outcome};
use crate::outcome::{Settled, reused};
use crate::reads::LOAD_AT_ONCE;
use crate::recent_ids::RecentIds;
use crate::workspace::Shared;

/// Another node may move the log under us; after so many tries the writers are told to come back.
const TRIES_MAX: usize = 5;
/// A decision names its head, its base, and its ancestors; each is loaded at most once.
const NEEDS_MAX: usize = 80;

/// What each proposal of a job hears.
pub type Answers = Vec<Result<Receipt, Problem>>;

/// Proposals that are decided together.
pub struct Job {
    /// Who acts.
    pub principal: Principal,
    /// One refusal refuses all.
    pub mode: BulkMode,
    /// The bulk's id, where this is one.
    pub bulk: Option<ChangeId>,
    /// What is asked for.
    pub proposals: Vec<Proposal>,
    /// The digest of each, which whoever submits computes, since the committer is only one.
    pub digests: Vec<[u8; 32]>,
    /// The digest of them all, where the sender gave the bulk an id of its own.
    pub bulk_digest: Option<[u8; 32]>,
    /// Where the answers go; whoever asked may be gone.
    pub reply: oneshot::Sender<Answers>,
    /// The room that it takes in the queue, given back when the job is answered and dropped.
    #[expect(dead_code, reason = "held for its drop")]
    pub permit: OwnedSemaphorePermit,
}

impl Job {
    fn weight(&self) -> usize {
        self.proposals
            .iter()
            .map(|proposal| proposal.body.weight())
            .sum()
    }
}

/// What is known of a commit that was tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tried {
    /// All were answered by what happened.
    Known,
    /// It failed half-way.
    Unknown,
}

/// One workspace's committer.
pub struct Committer {
    shared: Arc<Shared>,
    log: Log,
    recent: RecentIds,
}

impl Committer {
    /// Makes the committer of a workspace whose log ends as `shared` says.
    pub fn new(
        shared: Arc<Shared>,
        (last_hash, last_committed_at): (RecordHash, Timestamp),
        recent: RecentIds,
    ) -> Committer {
        let last = shared.tail.end().seq;
        let log = Log {
            last,
            last_hash,
            last_committed_at,
            hlc: Hlc::default(),
        };
        Committer {
            shared,
            log,
            recent,
        }
    }

    /// Commits until all senders are gone.
    pub async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.recv().await {
            let batch = self.take_batch(first, &mut jobs);
            self.shared.committing.begin();
            let tried = self.commit(batch).await;
            if tried == Tried::Unknown && !self.recover(&mut jobs).await {
                return;
            }
            self.shared.committing.end();
        }
    }

    fn take_batch(&self, first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
        let settings = &self.shared.settings;
        let mut bytes = first.weight();
        let mut proposals = first.proposals.len();
        let mut batch = vec![first];
        while bytes < settings.commit_bytes_max && proposals < settings.commit_proposals_max {
            let Ok(job) = jobs.try_recv() else { break };
            bytes += job.weight();
            proposals += job.proposals.len();
            batch.push(job);
        }
        batch
    }

    async fn commit(&mut self, jobs: Vec<Job>) -> Tried {
        for _ in 0..TRIES_MAX {
            let (mut batch, answers) = match self.decide_all(&jobs).await {
                Ok(decided) => decided,
                Err(problem) => {
                    answer_all(jobs, &problem);
                    return Tried::Known;
                }
            };
            match self.append(&mut batch).await {
                Ok(()) => {
                    self.publish(batch);
                    answer(jobs, answers);
                    return Tried::Known;
                }
                Err(StoreError::Moved { .. }) => {
                    if let Err(problem) = self.reload().await {
                        answer_all(jobs, &problem);
                        return Tried::Known;
                    }
                }
                Err(StoreError::Unknown(why)) => {
                    tracing::error!(workspace = %self.shared.id, why, "a commit failed half-way; the store reopens");
                    answer_all(jobs, &unknown_outcome());
                    return Tried::Unknown;
                }
                Err(error) => {
                    answer_all(jobs, &store_problem(error));
                    return Tried::Known;
                }
            }
        }
        let problem = Problem::new(Code::Unavailable, "another node kept writing first");
        answer_all(jobs, &problem);
        Tried::Known
    }

    /// Decides all jobs in order. Fails only where the store cannot be read.
    async fn decide_all(&mut self, jobs: &[Job]) -> Result<(Batch, Vec<Answers>), Problem> {
        let mut batch = Batch::default();
        self.look_up_ids(jobs, &mut batch).await?;
        self.prefetch(jobs, &mut batch.view).await?;
        let wall = self.shared.clock.now();
        let now = Now {
            committed_at: wall.max(self.log.last_committed_at),
            hlc: self.log.hlc.tick(Hlc::default(), wall),
        };
        self.log.hlc = now.hlc;
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push(self.decide_once(job, &mut batch, now).await?);
        }
        Ok((batch, answers))
    }

    // The change id is looked up before `decide`: a resend must hear what happened the first
    // time, even if the writer has lost the right since.
    async fn look_up_ids(&self, jobs: &[Job], batch: &mut Batch) -> Result<(), Problem> {
        let ids: Vec<_> = jobs
            .iter()
            .flat_map(|job| {
                let bulk = job.bulk.filter(|_| job.bulk_digest.is_some());
                job.proposals.iter().map(|p| p.id).chain(bulk)
            })
            .filter(|id| !self.recent.surely_new(id))
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let rows = self
            .shared
            .store
            .ids(&self.shared.id, &ids)
            .await
            .map_err(store_problem)?;
        for row in rows.into_iter().flatten() {
            let settled = Settled::from_bytes(row.id, &row.outcome)
                .map_err(|rot| rotten(&*self.shared.store, &rot))?;
            batch.settled.insert(row.id, (row.digest, settled));
        }
        Ok(())
    }

    async fn prefetch(&self, jobs: &[Job], view: &mut View) -> Result<(), Problem> {
        let named = jobs
            .iter()
            .flat_map(|job| &job.proposals)
            .map(|p| p.context.clone());
        let named: HashSet<_> = named.collect();
        let mut missing = Vec::new();
        for address in named {
            match self.shared.heads.get(&self.shared.id, &address) {
                Some(cached) => put_cached(view, address, &cached),
                None => missing.push(address),
            }
        }
        match self.load_bounded(&missing, view).await {
            // What is rotten is refused where it is decided: others must not suffer for it.
            Err(problem) if problem.code == Code::Rot => Ok(()),
            loaded => loaded.map(drop),
        }
    }

    /// Loads heads, some at once, until they are all there or more than one bulk may hold; says
    /// whether they are within that.
    async fn load_bounded(&self, named: &[Address], view: &mut View) -> Result<bool, Problem> {
        let mut bytes = 0;
        for some in named.chunks(LOAD_AT_ONCE) {
            let missing = some.iter().filter(|address| !view.knows(address)).cloned();
            self.load_heads(missing.collect(), view).await?;
            let heads = some.iter().filter_map(|address| view.head(address));
            bytes += heads.map(|head| head.document.weight()).sum::<usize>();
            if bytes > self.shared.settings.bulk_heads_bytes_max {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Refuses a bulk whose parts are decided on more than fits into memory, before it is loaded.
    ///
    /// What was settled before is only heard again, and needs no head.
    async fn bound_bulk(&self, job: &Job, batch: &mut Batch) -> Result<Option<Problem>, Problem> {
        if job.proposals.len() < 2 {
            return Ok(None);
        }
        let new = job.proposals.iter();
        let new = new.filter(|part| !batch.settled.contains_key(&part.id));
        let named: HashSet<_> = new.map(|part| part.context.clone()).collect();
        let named: Vec<_> = named.into_iter().collect();
        let before = batch.view.clone();
        match self.load_bounded(&named, &mut batch.view).await {
            Ok(true) => Ok(None),
            Err(problem) if problem.code == Code::Rot => Ok(None),
            Err(problem) => Err(problem),
            Ok(false) => {
                batch.view = before;
                Ok(Some(heads_too_large(
                    self.shared.settings.bulk_heads_bytes_max,
                )))
            }
        }
    }

    async fn load_heads(&self, missing: Vec<Address>, view: &mut View) -> Result<(), Problem> {
        if missing.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        let rows = shared
            .store
            .heads(&shared.id, &missing)
            .await
            .map_err(store_problem)?;
        for (address, row) in missing.into_iter().zip(rows) {
            let cached = match row {
                Some(row) => Cached::Head(head_of_row(&*shared.store, &shared.id, row).await?),
                None => Cached::Absent,
            };
            // Only the committer moves heads, so what it loads between its commits is the newest.
            shared.heads.put(&shared.id, &address, cached.clone());
            put_cached(view, address, &cached);
        }
        Ok(())
    }

    /// Decides a job, unless it is a bulk whose own id stands for another: then each part hears so.
    async fn decide_once(
        &self,
        job: &Job,
        batch: &mut Batch,
        now: Now,
    ) -> Result<Answers, Problem> {
        let (Some(bulk), Some(digest)) = (job.bulk, job.bulk_digest) else {
            return self.decide_job(job, batch, now).await;
        };
        let known = batch.settled.get(&bulk).map(|(known, _)| *known);
        if known.is_some_and(|known| known != digest) {
            return Ok(job.proposals.iter().map(|_| Err(reused(bulk))).collect());
        }
        let answers = self.decide_job(job, batch, now).await?;
        // Where nothing was decided the bulk may come again with other parts, as each part may.
        let decided = |part: &Proposal| batch.settled.contains_key(&part.id);
        if known.is_none() && job.proposals.iter().any(decided) {
            batch.keep(bulk, digest, Settled::Bulk);
        }
        Ok(answers)
    }

    async fn decide_job(&self, job: &Job, batch: &mut Batch, now: Now) -> Result<Answers, Problem> {
        // Not kept: the same bulk may fit once its contexts are smaller, or the limit is larger.
        if let Some(problem) = self.bound_bulk(job, batch).await? {
            return Ok(job.proposals.iter().map(|_| Err(problem.clone())).collect());
        }
        let atomic = job.mode == BulkMode::Atomic && job.proposals.len() > 1;
        let before = atomic.then(|| batch.mark());
        batch.begin_job();
        let mut answers = Vec::with_capacity(job.proposals.len());
        let mut refused_at = None;
        for index in 0..job.proposals.len() {
            let answer = self.decide_one(job, index, batch, now).await?;
            if answer.is_err() && refused_at.is_none() {
                refused_at = Some(index);
            }
            answers.push(answer);
            if atomic && refused_at.is_some() {
                break;
            }
        }
        if let (Some(mark), Some(index)) = (before, refused_at) {
            let cause = answers
                .pop()
                .and_then(Result::err)
                .expect("the last one was refused");
            // Not that of other content which was refused under the same id.
            let cause = match batch.settled.get(&job.proposals[index].id) {
                Some((digest, Settled::Refused(refusal))) if *digest == job.digests[index] => {
                    (**refusal).clone()
                }
                _ => Refusal::from(cause),
            };
            batch.rewind(mark);
            batch.begin_job();
            return self.refuse_bulk(job, (index, &cause), batch, now).await;
        }
        Ok(answers)
    }

    /// Refuses all parts of an atomic bulk for the sake of one, and keeps that under their ids.
    ///
    /// A part whose id was settled before hears that again: a bulk that is sent again after a
    /// refusal gets the same answers.
    async fn refuse_bulk(
        &self,
        job: &Job,
        (at, cause): (usize, &Refusal),
        batch: &mut Batch,
        now: Now,
    ) -> Result<Answers, Problem> {
        let mut answers = Vec::with_capacity(job.proposals.len());
        for (index, proposal) in job.proposals.iter().enumerate() {
            if batch.settled.contains_key(&proposal.id) {
                answers.push(self.decide_one(job, index, batch, now).await?);
                continue;
            }
            let refusal = match index == at {
                true => cause.clone(),
                false => bulk_refused(at, &job.proposals[at], &cause.problem).into(),
            };
            answers.push(Err(refusal.problem.clone()));
            if cause.problem.code.decided() && !self.shared.settings.faults.forget_id {
                batch.keep(
                    proposal.id,
                    job.digests[index],
                    Settled::Refused(Box::new(refusal)),
                );
            }
        }
        Ok(answers)
    }

    async fn decide_one(
        &self,
        job: &Job,
        index: usize,
        batch: &mut Batch,
        now: Now,
    ) -> Result<Result<Receipt, Problem>, Problem> {
        let (proposal, digest) = (&job.proposals[index], job.digests[index]);
        if let Some((known, settled)) = batch.settled.get(&proposal.id) {
            if *known != digest {
                return Ok(Err(reused(proposal.id)));
            }
            return match settled.clone() {
                Settled::Accepted(receipt) => Ok(Ok(receipt)),
                Settled::Bulk => Ok(Err(reused(proposal.id))),
                Settled::Refused(refusal) => {
                    let again = self.shared.refusal_again(proposal, *refusal).await;
                    let mut problem = again?;
                    batch.bound_sides(&mut problem);
                    Ok(Err(problem))
                }
            };
        }
        if !may_write(
            &job.principal,
            &proposal.context,
            &self.shared.settings.rules,
        ) {
            let detail = format!("{} may not write in this workspace", job.principal.id);
            return Ok(Err(Problem::new(Code::Forbidden, detail)));
        }
        let decision = match self.decide_loaded(proposal, batch, now).await {
            Err(problem) if problem.code == Code::Rot => return Ok(Err(problem)),
            decision => decision?,
        };
        let settled = match decision {
            Decision::Needs(need) => {
                return Err(Problem::new(
                    Code::Internal,
                    format!("{need:?} could not be loaded"),
                ));
            }
            Decision::Refused(mut refusal) => {
                batch.bound_sides(&mut refusal.problem);
                Settled::Refused(refusal)
            }
            Decision::Unchanged { head, blind } => Settled::Accepted(Receipt {
                id: proposal.id,
                outcome: Outcome::Unchanged,
                seq: None,
                version: Some(head.version),
                etag: Some(head.etag()),
                conflicts: Vec::new(),
                blind,
                bulk: job.bulk,
            }),
            Decision::Commit(steps) => match self.taken_id(&steps, batch).await? {
                Some(id) => Settled::Refused(Box::new(reused(id).into())),
                None => Settled::Accepted(self.take_steps(job, steps, batch)),
            },
        };
        let keep = match &settled {
            Settled::Accepted(_) | Settled::Bulk => true,
            Settled::Refused(refusal) => refusal.problem.code.decided(),
        };
        if keep && !self.shared.settings.faults.forget_id {
            batch.keep(proposal.id, digest, settled.clone());
        }
        Ok(match settled {
            Settled::Accepted(receipt) => Ok(receipt),
            Settled::Refused(refusal) => Err(refusal.problem),
            Settled::Bulk => Err(reused(proposal.id)),
        })
    }

    async fn decide_loaded(
        &self,
        proposal: &Proposal,
        batch: &mut Batch,
        now: Now,
    ) -> Result<Decision, Problem> {
        let shared = &self.shared;
        for _ in 0..NEEDS_MAX {
            match decide(&batch.view, proposal, &shared.settings.rules, now) {
                Decision::Needs(Need::Head(address)) => {
                    match shared.heads.get(&shared.id, &address) {
                        Some(cached) => put_cached(&mut batch.view, address, &cached),
                        None => self.load_heads(vec![address], &mut batch.view).await?,
                    }
                }
                Decision::Needs(Need::Base(address, base)) => {
                    let state = match batch.superseded(&address, &base) {
                        Some(state) => state,
                        None => base_state(&*shared.store, &shared.id, &address, &base).await?,
                    };
                    batch.put_base(address, base, state);
                }
                Decision::Needs(Need::Height(address)) => {
                    let levels = shared
                        .store
                        .height(&shared.id, &address, ANCESTORS_MAX)
                        .await
                        .map_err(store_problem)?;
                    batch.view.put_height(address, levels);
                }
                decision => return Ok(decision),
            }
        }
        Err(Problem::new(
            Code::Internal,
            "a decision kept asking for more",
        ))
    }

    /// Returns an id that a decision derived for a parent, and that somebody sent before.
    async fn taken_id(&self, steps: &[Step], batch: &Batch) -> Result<Option<ChangeId>, Problem> {
        let made = &steps[..steps.len().saturating_sub(1)];
        let made: Vec<_> = made.iter().map(|step| step.change.id).collect();
        if made.is_empty() {
            return Ok(None);
        }
        let store = &self.shared.store;
        let rows = store.ids(&self.shared.id, &made).await;
        let rows = rows.map_err(store_problem)?;
        let taken = |id: &ChangeId| {
            batch.settled.contains_key(id) || rows.iter().flatten().any(|row| row.id == *id)
        };
        Ok(made.into_iter().find(taken))
    }

    /// Takes a decision's changes into the batch, and returns the receipt of the last.
    ///
    /// The others, parents that it made, are kept under their ids here: each change of the log
    /// can be asked for by its id.
    fn take_steps(&self, job: &Job, steps: Vec<Step>, batch: &mut Batch) -> Receipt {
        let mut receipt = None;
        for Step {
            mut change,
            mut head,
        } in steps
        {
            if job.bulk.is_some() {
                change.bulk = job.bulk;
            }
            let seq = Seq(self.log.last.0 + batch.changes.len() as u64 + 1);
            head.seq = seq;
            if let Some(made) = receipt.take() {
                batch.keep_made(made);
            }
            receipt = Some(Receipt {
                id: change.id,
                outcome: change.outcome,
                seq: Some(seq),
                version: Some(change.version),
                etag: Some(change.etag()),
                conflicts: Vec::new(),
                blind: change.blind,
                bulk: change.bulk,
            });
            batch.take(&self.shared, change, Arc::new(head));
        }
        receipt.expect("a commit has at least one step")
    }

    async fn append(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        if batch.changes.is_empty() && batch.ids.is_empty() {
            return Ok(());
        }
        // Held before they are stored, and whatever comes of it.
        batch.ids.iter().for_each(|row| self.recent.hold(row.id));
        batch.seal(&self.log);
        let append = batch.to_append();
        self.shared
            .store
            .append(&self.shared.id, self.log.last, append)
            .await
            .map(|_| ())
    }

    /// Makes what was committed visible: heads first, then records, then the bell.
    fn publish(&mut self, batch: Batch) {
        let shared = &self.shared;
        let _showing = shared
            .showing
            .lock()
            .expect("nothing panics while records are shown");
        for address in &batch.touched {
            let mut cached = batch.heads[address].clone();
            if writes_body(&cached) {
                cached.effects_since_body = 0;
            }
            shared.heads.put(&shared.id, address, Cached::Head(cached));
        }
        let mut entries = Vec::with_capacity(batch.changes.len());
        for (change, record) in batch.changes.into_iter().zip(&batch.records) {
            let header = &record.header;
            self.log.last = header.seq;
            self.log.last_hash = header.hash;
            self.log.last_committed_at = header.committed_at;
            entries.push(shared.entry(header.seq, header.hash.tag(), change));
        }
        shared.note_commit(entries.len());
        shared.tail.push(entries);
    }

    /// Learns where the log ends after another node moved it.
    async fn reload(&mut self) -> Result<(), Problem> {
        // The other node stored ids that are not held here.
        self.recent = RecentIds::unsure();
        let rows = self
            .shared
            .store
            .workspaces()
            .await
            .map_err(store_problem)?;
        self.take_end(rows).await
    }

    /// Reopens the store after a commit whose outcome is unknown, and goes on from what is found.
    ///
    /// Until that succeeds the workspace takes no writes: what waits is told to come back. Returns
    /// false if nobody can ask for anything any more.
    async fn recover(&mut self, jobs: &mut mpsc::Receiver<Job>) -> bool {
        self.shared
            .recovering
            .store(true, std::sync::atomic::Ordering::SeqCst);
        let mut pause = std::time::Duration::from_millis(50);
        loop {
            match self.try_recover().await {
                Ok(()) => break,
                Err(problem) => {
                    tracing::error!(workspace = %self.shared.id, %problem, "the store does not reopen")
                }
            }
            if !turn_away(jobs, pause).await {
                return false;
            }
            pause = (pause * 2).min(std::time::Duration::from_secs(5));
        }
        self.shared
            .recovering
            .store(false, std::sync::atomic::Ordering::SeqCst);
        tracing::warn!(workspace = %self.shared.id, seq = %self.log.last, "the store reopened");
        true
    }

    async fn try_recover(&mut self) -> Result<(), Problem> {
        let rows = self.shared.store.recover().await.map_err(store_problem)?;
        self.take_end(rows).await
    }

    /// Takes the end that the store reports, and shows readers what lies before it.
    async fn take_end(&mut self, rows: Vec<syncline_store::WorkspaceRow>) -> Result<(), Problem> {
        let row = rows.into_iter().find(|row| row.id == self.shared.id);
        let row = row.ok_or_else(|| Problem::new(Code::Internal, "the workspace is gone"))?;
        let shown = self.shared.tail.end().seq;
        if row.last < shown {
            return Err(Problem::new(
                Code::Rot,
                format!("the log ends at {}, and {shown} was acknowledged", row.last),
            ));
        }
        let mut entries = Vec::new();
        let mut after = shown;
        while after < row.last {
            let page = self.shared.read_store(after, row.last, 1_000).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            entries.extend(page);
        }
        self.log.last = row.last;
        self.log.last_hash = row.last_hash;
        self.log.last_committed_at = row.last_committed_at;
        let _showing = self
            .shared
            .showing
            .lock()
            .expect("nothing panics while records are shown");
        // Whatever was cached may be older than what is shown now.
        self.shared.heads.clear();
        self.shared.tail.push(entries);
        Ok(())
    }
}

/// Answers for a while that the store reopens. Returns false once all senders are gone.
///
/// A job may have come in just before the workspace was closed: a disk that stays bad must not
/// keep it waiting.
async fn turn_away(jobs: &mut mpsc::Receiver<Job>, how_long: std::time::Duration) -> bool {
    let over = tokio::time::sleep(how_long);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return true,
            job = jobs.recv() => match job {
                Some(job) => answer_all(vec![job], &crate::workspace::reopening()),
                None => return false,
            },
        }
    }
}

fn bulk_refused(at: usize, part: &Proposal, cause: &Problem) -> Problem {
    let context = &part.context;
    let detail = format!(
        "part {at} of the bulk, for context \"{context}\", was refused: {}",
        cause.detail
    );
    Problem::new(Code::BulkRefused, detail)
        .hint("mend that part, and send all again with new change ids")
}

/// The setting that bounds what a bulk is decided on.
pub const BULK_HEADS: &str = "bulk_heads_bytes_max";

fn heads_too_large(max: usize) -> Problem {
    let detail = format!("the contexts of this bulk hold more than {max} bytes together");
    Problem::new(Code::TooLarge, detail)
        .hint("send its parts as several bulks")
        .limit(max as u64, BULK_HEADS)
}

fn answer(jobs: Vec<Job>, answers: Vec<Answers>) {
    for (job, answers) in jobs.into_iter().zip(answers) {
        // Whoever asked may have gone; what was committed stays, and a resend hears of it.
        let _ = job.reply.send(answers);
    }
}

fn answer_all(jobs: Vec<Job>, problem: &Problem) {
    for job in jobs {
        let answers = job.proposals.iter().map(|_| Err(problem.clone())).collect();
        let _ = job.reply.send(answers);
    }
}

fn put_cached(view: &mut View, address: Address, cached: &Cached) {
    let head = match cached {
        Cached::Head(cached) => Some(cached.head.clone()),
        Cached::Absent => None,
    };
    view.put_head(address, head);
}
