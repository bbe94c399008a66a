//! Deciding: what a job's proposals become, on what the batch so far and the one in flight leave.

use std::collections::HashSet;
use std::sync::Arc;

use syncline_api::{BulkMode, Code, Problem};
use syncline_model::change::{Change, Outcome, Receipt};
use syncline_model::ids::{Address, ChangeId, Seq, Version};
use syncline_model::proposal::{Base, Precondition, Proposal};
use syncline_model::time::Hlc;
use syncline_rules::{
    ANCESTORS_MAX, BaseState, Decision, Need, Now, Refusal, Step, View, decide, may_write,
};

use crate::committer::{Answers, Committer, Job};
use crate::heads::{Cached, CachedHead};
use crate::load::{base_state, head_of_row, intended, rotten, store_problem};
use crate::outcome::{Settled, reused};
use crate::reads::LOAD_AT_ONCE;

/// A decision names its head, its base, and its ancestors; each is loaded at most once.
pub(crate) const NEEDS_MAX: usize = 80;
/// Bounds what is looked up at once for jobs that wait.
const LOOK_UP_MAX: usize = 1_024;

impl Committer {
    /// Decides a job into the open batch, unless it is a bulk whose own id stands for another: then
    /// each part hears so. Fails only where the store cannot be read.
    pub(crate) async fn decide(&mut self, job: &Job) -> Result<Answers, Problem> {
        self.look_up_ids(job).await?;
        let (Some(bulk), Some(digest)) = (job.bulk, job.bulk_digest) else {
            return self.decide_job(job).await;
        };
        let known = self.settled(&bulk).map(|(known, _)| *known);
        if known.is_some_and(|known| known != digest) {
            return Ok(job.proposals.iter().map(|_| Err(reused(bulk))).collect());
        }
        let answers = self.decide_job(job).await?;
        // Where nothing was decided the bulk may come again with other parts, as each part may.
        let decided = |part: &Proposal| self.settled(&part.id).is_some();
        if known.is_none() && job.proposals.iter().any(decided) {
            self.open.batch.keep(bulk, digest, Settled::Bulk);
        }
        Ok(answers)
    }

    async fn decide_job(&mut self, job: &Job) -> Result<Answers, Problem> {
        // Not kept: the same bulk may fit once its contexts are smaller, or the limit is larger.
        if let Some(problem) = self.bound_bulk(job).await? {
            return Ok(job.proposals.iter().map(|_| Err(problem.clone())).collect());
        }
        self.prefetch(job).await?;
        let now = self.tick();
        let atomic = job.mode == BulkMode::Atomic && job.proposals.len() > 1;
        let before = atomic.then(|| self.open.batch.mark());
        self.open.batch.begin_job();
        let mut answers = Vec::with_capacity(job.proposals.len());
        let mut refused_at = None;
        for index in 0..job.proposals.len() {
            let answer = self.decide_one(job, index, now).await?;
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
            let cause = match self.settled(&job.proposals[index].id) {
                Some((digest, Settled::Refused(refusal))) if *digest == job.digests[index] => {
                    (**refusal).clone()
                }
                _ => Refusal::from(cause),
            };
            self.open.batch.rewind(mark);
            self.open.batch.begin_job();
            return self.refuse_bulk(job, (index, &cause), now).await;
        }
        Ok(answers)
    }

    /// Returns the time of the next decision: never before that of the one before.
    fn tick(&mut self) -> Now {
        let wall = self.shared.clock.now();
        let committed_at = wall.max(self.log.last_committed_at);
        let hlc = self.log.hlc.tick(Hlc::default(), wall);
        self.log.last_committed_at = committed_at;
        self.log.hlc = hlc;
        Now { committed_at, hlc }
    }

    /// Returns what became of an id, as far as that is at hand.
    fn settled(&self, id: &ChangeId) -> Option<&([u8; 32], Settled)> {
        let flight = self.flight.as_ref();
        let batches = [Some(&self.open.batch), flight.map(|f| &f.decided.batch)];
        let mut batches = batches.into_iter().flatten();
        batches
            .find_map(|batch| batch.settled.get(id))
            .or_else(|| self.known.get(id)?.as_ref())
    }

    /// Looks up the ids of the job that are not surely new, and with them those of jobs behind it.
    ///
    /// The change id is looked up before `decide`: a resend must hear what happened the first
    /// time, even if the writer has lost the right since.
    async fn look_up_ids(&mut self, job: &Job) -> Result<(), Problem> {
        let ids = self.unknown_ids(job);
        if ids.is_empty() {
            return Ok(());
        }
        let rows = self.shared.store.ids(&self.shared.id, &ids).await;
        for (id, row) in ids.iter().zip(rows.map_err(store_problem)?) {
            let settled = match row {
                Some(row) => {
                    let settled = Settled::from_bytes(row.id, &row.outcome)
                        .map_err(|rot| rotten(&*self.shared.store, &rot))?;
                    Some((row.digest, settled))
                }
                None => None,
            };
            self.known.insert(*id, settled);
        }
        Ok(())
    }

    fn unknown_ids(&self, job: &Job) -> Vec<ChangeId> {
        let unknown = |id: &ChangeId| {
            !self.recent.surely_new(id)
                && !self.known.contains_key(id)
                && self.settled(id).is_none()
        };
        if !job.ids().any(|id| unknown(&id)) {
            return Vec::new();
        }
        let behind = self.waiting.iter().flat_map(Job::ids).take(LOOK_UP_MAX);
        job.ids().chain(behind).filter(unknown).collect()
    }

    /// Returns a head that no store has to be asked for.
    pub(crate) fn at_hand(&self, address: &Address) -> Option<Cached> {
        let flight = self.flight.as_ref();
        if let Some(cached) = flight.and_then(|f| f.decided.batch.heads.get(address)) {
            return Some(Cached::Head(cached.clone()));
        }
        self.shared.heads.get(&self.shared.id, address)
    }

    /// Loads the heads that the job names, and where any is missing those of jobs behind it.
    async fn prefetch(&mut self, job: &Job) -> Result<(), Problem> {
        let mut missing = HashSet::new();
        for proposal in &job.proposals {
            let line = proposal.line();
            if self.open.batch.view.knows(&line) {
                continue;
            }
            match self.at_hand(&line) {
                Some(cached) => put_cached(&mut self.open.batch.view, &line, &cached),
                None => drop(missing.insert(line)),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let behind = self.waiting.iter().flat_map(|job| &job.proposals);
        for proposal in behind.take(LOOK_UP_MAX) {
            let line = proposal.line();
            if !self.open.batch.view.knows(&line) && self.at_hand(&line).is_none() {
                missing.insert(line);
            }
        }
        let missing: Vec<_> = missing.into_iter().collect();
        match self.load_bounded(&missing).await {
            // What is rotten is refused where it is decided: others must not suffer for it.
            Err(problem) if problem.code == Code::Rot => Ok(()),
            loaded => loaded.map(drop),
        }
    }

    /// Loads heads, some at once, until they are all there or more than one bulk may hold; says
    /// whether they are within that.
    async fn load_bounded(&mut self, named: &[Address]) -> Result<bool, Problem> {
        let mut bytes = 0;
        for some in named.chunks(LOAD_AT_ONCE) {
            let mut missing = Vec::new();
            for address in some {
                if self.open.batch.view.knows(address) {
                    continue;
                }
                match self.at_hand(address) {
                    Some(cached) => put_cached(&mut self.open.batch.view, address, &cached),
                    None => missing.push(address.clone()),
                }
            }
            self.load_heads(missing).await?;
            let view = &self.open.batch.view;
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
    async fn bound_bulk(&mut self, job: &Job) -> Result<Option<Problem>, Problem> {
        if job.proposals.len() < 2 {
            return Ok(None);
        }
        let new = job.proposals.iter();
        let new = new.filter(|part| self.settled(&part.id).is_none());
        let named: HashSet<_> = new.map(Proposal::line).collect();
        let named: Vec<_> = named.into_iter().collect();
        let before = self.open.batch.view.clone();
        match self.load_bounded(&named).await {
            Ok(true) => Ok(None),
            Err(problem) if problem.code == Code::Rot => Ok(None),
            Err(problem) => Err(problem),
            Ok(false) => {
                self.open.batch.view = before;
                Ok(Some(heads_too_large(
                    self.shared.settings.bulk_heads_bytes_max,
                )))
            }
        }
    }

    pub(crate) async fn load_heads(&mut self, missing: Vec<Address>) -> Result<(), Problem> {
        if missing.is_empty() {
            return Ok(());
        }
        let shared = self.shared.clone();
        let rows = shared.store.heads(&shared.id, &missing).await;
        for (address, row) in missing.into_iter().zip(rows.map_err(store_problem)?) {
            let cached = match row {
                Some(row) => Cached::Head(head_of_row(&*shared.store, &shared.id, row).await?),
                None => Cached::Absent,
            };
            // Only the committer moves heads, and what is in flight is not asked of the store, so
            // what it loads is the newest.
            put_cached(&mut self.open.batch.view, &address, &cached);
            shared.heads.put(&shared.id, &address, cached);
        }
        Ok(())
    }

    /// Refuses all parts of an atomic bulk for the sake of one, and keeps that under their ids.
    ///
    /// A part whose id was settled before hears that again: a bulk that is sent again after a
    /// refusal gets the same answers.
    async fn refuse_bulk(
        &mut self,
        job: &Job,
        (at, cause): (usize, &Refusal),
        now: Now,
    ) -> Result<Answers, Problem> {
        let mut answers = Vec::with_capacity(job.proposals.len());
        for (index, proposal) in job.proposals.iter().enumerate() {
            if self.settled(&proposal.id).is_some() {
                answers.push(self.decide_one(job, index, now).await?);
                continue;
            }
            let refusal = match index == at {
                true => cause.clone(),
                false => bulk_refused(at, &job.proposals[at], &cause.problem).into(),
            };
            answers.push(Err(refusal.problem.clone()));
            if cause.problem.code.decided() && !self.shared.settings.faults.forget_id {
                let refused = Settled::Refused(Box::new(refusal));
                self.open
                    .batch
                    .keep(proposal.id, job.digests[index], refused);
            }
        }
        Ok(answers)
    }

    async fn decide_one(
        &mut self,
        job: &Job,
        index: usize,
        now: Now,
    ) -> Result<Result<Receipt, Problem>, Problem> {
        let (proposal, digest) = (&job.proposals[index], job.digests[index]);
        if let Some((known, settled)) = self.settled(&proposal.id) {
            if *known != digest {
                return Ok(Err(reused(proposal.id)));
            }
            return match settled.clone() {
                Settled::Accepted(receipt) => Ok(Ok(receipt)),
                Settled::Bulk => Ok(Err(reused(proposal.id))),
                Settled::Refused(refusal) => {
                    let again = self.shared.refusal_again(proposal, *refusal).await;
                    let mut problem = again?;
                    self.open.batch.bound_sides(&mut problem);
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
        let decision = match self.decide_loaded(proposal, now).await {
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
                self.open.batch.bound_sides(&mut refusal.problem);
                Settled::Refused(refusal)
            }
            Decision::Unchanged { head, blind } => Settled::Accepted(Receipt {
                id: proposal.id,
                outcome: Outcome::Unchanged,
                seq: None,
                version: Some(head.version),
                etag: Some(head.etag()),
                conflicts: Vec::new(),
                detected: Vec::new(),
                branch: proposal.branch.clone(),
                blind,
                bulk: job.bulk,
            }),
            Decision::Commit(steps) => match self.taken_id(&steps).await? {
                Some(id) => Settled::Refused(Box::new(reused(id).into())),
                None => Settled::Accepted(self.take_steps(job, steps)),
            },
        };
        let keep = match &settled {
            Settled::Accepted(_) | Settled::Bulk => true,
            Settled::Refused(refusal) => refusal.problem.code.decided(),
        };
        if keep && !self.shared.settings.faults.forget_id {
            self.open.batch.keep(proposal.id, digest, settled.clone());
        }
        Ok(match settled {
            Settled::Accepted(receipt) => Ok(receipt),
            Settled::Refused(refusal) => Err(refusal.problem),
            Settled::Bulk => Err(reused(proposal.id)),
        })
    }

    async fn decide_loaded(&mut self, proposal: &Proposal, now: Now) -> Result<Decision, Problem> {
        let shared = self.shared.clone();
        let unseen = shared.settings.faults.ignore_base.then(|| Proposal {
            base: None,
            precondition: Precondition::None,
            ..proposal.clone()
        });
        let proposal = unseen.as_ref().unwrap_or(proposal);
        for _ in 0..NEEDS_MAX {
            match decide(&self.open.batch.view, proposal, &shared.settings.rules, now) {
                Decision::Needs(Need::Head(address)) => match self.at_hand(&address) {
                    Some(cached) => put_cached(&mut self.open.batch.view, &address, &cached),
                    None => self.load_heads(vec![address]).await?,
                },
                Decision::Needs(Need::Base(address, base)) => {
                    let state = self.base(&address, &base).await?;
                    self.open.batch.put_base(address, base, state);
                }
                Decision::Needs(Need::Height(address)) => {
                    let store = &shared.store;
                    let levels = store.height(&shared.id, &address, ANCESTORS_MAX).await;
                    let levels = levels.map_err(store_problem)?;
                    self.open.batch.view.put_height(address, levels);
                }
                Decision::Needs(Need::Touches(line, after)) => {
                    let touches = self.touches(&line, after).await?;
                    self.open.batch.view.put_touches(line, after, touches);
                }
                Decision::Needs(Need::Kind(kind)) => {
                    let rules = self.kind_rules(&kind).await?;
                    self.open.batch.view.put_kind(kind, rules);
                }
                Decision::Needs(Need::Conflicts(address)) => {
                    let known = self.conflicts_of(&address).await?;
                    self.open.batch.view.put_conflicts(address, known);
                }
                decision => return Ok(decision),
            }
        }
        Err(Problem::new(
            Code::Internal,
            "a decision kept asking for more",
        ))
    }

    /// Finds what a base stands for.
    async fn base(&mut self, address: &Address, base: &Base) -> Result<BaseState, Problem> {
        let shared = self.shared.clone();
        let rules = &shared.settings.rules;
        let merged = match base {
            Base::Change(id) => self.merged_in_batch(address, id),
            _ => None,
        };
        let Some((change, seen)) = merged else {
            return match self.left_behind(address, base) {
                Some(state) => Ok(state),
                None => base_state(&*shared.store, &shared.id, address, base, rules).await,
            };
        };
        // What its writer saw is its own base with its intent applied.
        let seen = Base::Version(seen);
        let seen = match self.left_behind(address, &seen) {
            Some(state) => state,
            None => base_state(&*shared.store, &shared.id, address, &seen, rules).await?,
        };
        let BaseState::Known { document, .. } = seen else {
            return Ok(BaseState::Unknown);
        };
        Ok(match intended(&change, &document, rules) {
            Some(document) => BaseState::Known {
                version: change.version,
                document: Arc::new(document),
                at: change.committed_at,
            },
            None => BaseState::Unknown,
        })
    }

    /// Returns a change of a batch that is not on disk yet, and its base, if it was merged.
    fn merged_in_batch(&self, address: &Address, id: &ChangeId) -> Option<(Change, Version)> {
        let flight = self.flight.as_ref().map(|f| &f.decided.batch.changes);
        let batches = [Some(&self.open.batch.changes), flight];
        let mut changes = batches.into_iter().flatten().flatten();
        let change = changes.find(|change| change.id == *id && *change.line() == *address)?;
        let merged = change.outcome != Outcome::Applied;
        Some((change.clone(), change.base?)).filter(|_| merged)
    }

    /// Returns what a base stands for that no store has yet.
    fn left_behind(&self, address: &Address, base: &Base) -> Option<BaseState> {
        let flight = self.flight.as_ref().map(|f| &f.decided.batch);
        let open = &self.open.batch;
        // The view holds that head too, but does not answer for it where a base names a change.
        let made = open.heads.get(address);
        let made = made.and_then(|head| BaseState::if_named(base, &head.head));
        let decided = made.or_else(|| open.superseded(address, base)).or_else(|| {
            let flight = flight?;
            let head = flight.heads.get(address)?;
            BaseState::if_named(base, &head.head).or_else(|| flight.superseded(address, base))
        });
        decided.or_else(|| self.left.base(address, base, self.shared.low_water()))
    }

    /// Returns an id that a decision derived for a parent, and that somebody sent before.
    async fn taken_id(&mut self, steps: &[Step]) -> Result<Option<ChangeId>, Problem> {
        let made = &steps[..steps.len().saturating_sub(1)];
        let made: Vec<_> = made.iter().map(|step| step.change.id).collect();
        if made.is_empty() {
            return Ok(None);
        }
        let store = &self.shared.store;
        let rows = store.ids(&self.shared.id, &made).await;
        let rows = rows.map_err(store_problem)?;
        let taken = |id: &ChangeId| {
            self.settled(id).is_some() || rows.iter().flatten().any(|row| row.id == *id)
        };
        Ok(made.into_iter().find(taken))
    }

    /// Takes a decision's changes into the batch, and returns the receipt of the last.
    ///
    /// The others, parents that it made, are kept under their ids here: each change of the log
    /// can be asked for by its id.
    fn take_steps(&mut self, job: &Job, steps: Vec<Step>) -> Receipt {
        let mut receipt = None;
        for Step {
            mut change,
            mut head,
        } in steps
        {
            if job.bulk.is_some() {
                change.bulk = job.bulk;
            }
            let seq = Seq(self.log.last.0 + self.open.batch.changes.len() as u64 + 1);
            head.seq = seq;
            if let Some(made) = receipt.take() {
                self.open.batch.keep_made(made);
            }
            receipt = Some(Receipt::of_change(&change, seq));
            let before = self.written(&head.address);
            self.open.batch.take(before, change, Arc::new(head));
        }
        receipt.expect("a commit has at least one step")
    }

    /// Returns a head as the batch so far, the one in flight or the store has it.
    fn written(&self, address: &Address) -> Option<CachedHead> {
        if let Some(cached) = self.open.batch.heads.get(address) {
            return Some(cached.clone());
        }
        match self.at_hand(address)? {
            Cached::Head(cached) => Some(cached),
            Cached::Absent => None,
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

pub(crate) fn put_cached(view: &mut View, address: &Address, cached: &Cached) {
    let head = match cached {
        Cached::Head(cached) => Some(cached.head.clone()),
        Cached::Absent => None,
    };
    view.put_head(address.clone(), head);
}
