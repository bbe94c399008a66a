//! The committer: one for each workspace. It decides what waits, each proposal on what the one
//! before left, appends, moves the tail, and answers.
//!
//! One batch is on its way to disk while the next is being decided on what it will leave. What is
//! in flight is shown to nobody before it is durable; where it fails, all that was decided after
//! it is forgotten and decided again.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use syncline_api::{BulkMode, Code, Problem};
use syncline_model::change::Receipt;
use syncline_model::ids::{ChangeId, Kind};
use syncline_model::proposal::Proposal;
use syncline_model::record::RecordHash;
use syncline_model::time::{Hlc, Timestamp};
use syncline_rules::{KindRules, Principal};
use syncline_store::{Appended, StoreError};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::batch::{Batch, Log};
use crate::heads::Cached;
use crate::left::Left;
use crate::load::{store_problem, unknown_outcome};
use crate::outcome::Settled;
use crate::recent_ids::RecentIds;
use crate::workspace::{Shared, reopening};

/// Another node may move the log under us; after so many tries the writers are told to come back.
const TRIES_MAX: usize = 5;

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
    /// Returns the ids that it is answered under: the parts', and the bulk's own where it has one.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ChangeId> {
        let bulk = self.bulk.filter(|_| self.bulk_digest.is_some());
        self.proposals.iter().map(|part| part.id).chain(bulk)
    }

    fn weight(&self) -> usize {
        self.proposals
            .iter()
            .map(|proposal| proposal.body.weight())
            .sum()
    }
}

/// Jobs that were decided, and what they will be answered.
#[derive(Default)]
pub(crate) struct Decided {
    pub batch: Batch,
    jobs: Vec<Job>,
    answers: Vec<Answers>,
    bytes: usize,
    proposals: usize,
}

impl Decided {
    fn push(&mut self, job: Job, answers: Answers) {
        self.bytes += job.weight();
        self.proposals += job.proposals.len();
        self.jobs.push(job);
        self.answers.push(answers);
    }

    fn answer(self) {
        for (job, answers) in self.jobs.into_iter().zip(self.answers) {
            // Whoever asked may have gone; what was committed stays, and a resend hears of it.
            let _ = job.reply.send(answers);
        }
    }
}

type Append = Pin<Box<dyn Future<Output = Result<Appended, StoreError>> + Send>>;

/// A batch on its way to disk.
pub(crate) struct Flight {
    pub decided: Decided,
    append: Append,
    /// Where the log ended before it.
    before: Log,
}

impl Flight {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Appended, StoreError>> {
        self.append.as_mut().poll(cx)
    }
}

/// What the committer wakes up for.
enum Event {
    /// The batch in flight is on disk, or is not.
    Landed(Result<Appended, StoreError>),
    /// More is asked for.
    Job(Job),
    /// Nobody can ask for anything any more.
    Closed,
    /// There is something to decide meanwhile.
    Nothing,
}

/// One workspace's committer.
pub struct Committer {
    pub(crate) shared: Arc<Shared>,
    /// Where the log ends once the batch in flight has landed.
    pub(crate) log: Log,
    pub(crate) recent: RecentIds,
    /// Jobs that are not decided yet.
    pub(crate) waiting: VecDeque<Job>,
    /// What was decided on what the batch in flight will leave.
    pub(crate) open: Decided,
    pub(crate) flight: Option<Flight>,
    /// What the store says of ids that are not surely new; forgotten when a batch lands.
    pub(crate) known: HashMap<ChangeId, Option<([u8; 32], Settled)>>,
    /// What is declared for kinds, as of which changes of theirs and of the workspace's rules.
    pub(crate) kinds: HashMap<Kind, ([Option<ChangeId>; 2], Arc<KindRules>)>,
    /// What is declared for most of them.
    pub(crate) nothing: Arc<KindRules>,
    /// Heads that were left behind a moment ago: what concurrent writers still stand on.
    pub(crate) left: Left,
    /// How often in a row another node was first.
    tries: usize,
    closed: bool,
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
            waiting: VecDeque::new(),
            open: Decided::default(),
            flight: None,
            known: HashMap::new(),
            kinds: HashMap::new(),
            nothing: Arc::default(),
            left: Left::default(),
            tries: 0,
            closed: false,
        }
    }

    /// Commits until all senders are gone.
    pub async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while !self.is_done() {
            match self.next(&mut jobs).await {
                Event::Landed(result) => {
                    if !self.land(result, &mut jobs).await {
                        return;
                    }
                    self.launch();
                }
                Event::Job(job) => self.gather(job, &mut jobs),
                Event::Closed => self.closed = true,
                Event::Nothing => {}
            }
            if self.has_room() && !self.waiting.is_empty() {
                self.decide_next().await;
            }
            if self.waiting.is_empty() || !self.has_room() {
                self.launch();
            }
        }
    }

    fn is_done(&self) -> bool {
        self.closed && self.flight.is_none() && self.waiting.is_empty() && self.open.jobs.is_empty()
    }

    fn has_room(&self) -> bool {
        let settings = &self.shared.settings;
        self.open.bytes < settings.commit_bytes_max
            && self.open.proposals < settings.commit_proposals_max
            && self.open.batch.heads_bytes < settings.bulk_heads_bytes_max
    }

    /// Waits for what comes first: what is in flight before what is asked for.
    async fn next(&mut self, jobs: &mut mpsc::Receiver<Job>) -> Event {
        let takes = self.waiting.is_empty() && !self.closed && self.has_room();
        let decides = self.has_room() && !self.waiting.is_empty();
        let flight = &mut self.flight;
        poll_fn(|cx| {
            if let Some(Poll::Ready(result)) = flight.as_mut().map(|flight| flight.poll(cx)) {
                return Poll::Ready(Event::Landed(result));
            }
            if decides {
                return Poll::Ready(Event::Nothing);
            }
            match takes.then(|| jobs.poll_recv(cx)) {
                Some(Poll::Ready(Some(job))) => Poll::Ready(Event::Job(job)),
                Some(Poll::Ready(None)) => Poll::Ready(Event::Closed),
                Some(Poll::Pending) | None => Poll::Pending,
            }
        })
        .await
    }

    /// Takes what else waits, so that it is looked up together.
    fn gather(&mut self, first: Job, jobs: &mut mpsc::Receiver<Job>) {
        let settings = &self.shared.settings;
        let mut bytes = self.open.bytes + first.weight();
        let mut proposals = self.open.proposals + first.proposals.len();
        self.waiting.push_back(first);
        while bytes < settings.commit_bytes_max && proposals < settings.commit_proposals_max {
            let Ok(job) = jobs.try_recv() else { break };
            bytes += job.weight();
            proposals += job.proposals.len();
            self.waiting.push_back(job);
        }
    }

    async fn decide_next(&mut self) {
        let Some(job) = self.waiting.pop_front() else {
            return;
        };
        if self.flight.is_none() && self.open.jobs.is_empty() {
            self.shared.committing.begin();
        }
        match self.decide(&job).await {
            Ok(answers) => self.open.push(job, answers),
            // Parts of a bulk may be in the batch already: it is begun anew without them.
            Err(problem) => {
                if job.proposals.len() > 1 {
                    self.decide_again();
                }
                answer_all([job], &problem);
            }
        }
    }

    /// Forgets what was decided after the batch in flight, to decide it again.
    fn decide_again(&mut self) {
        let open = std::mem::take(&mut self.open);
        for job in open.jobs.into_iter().rev() {
            self.waiting.push_front(job);
        }
    }

    /// Sends what was decided on its way to disk, unless something is on it.
    fn launch(&mut self) {
        if self.flight.is_some() || self.open.jobs.is_empty() {
            return;
        }
        self.shared.committing.begin();
        let mut decided = std::mem::take(&mut self.open);
        let before = self.log;
        let batch = &mut decided.batch;
        // The store has not moved them yet.
        self.open.batch.view.carry_moves(&batch.view);
        let append: Append = if batch.changes.is_empty() && batch.ids.is_empty() {
            let last = before.last;
            Box::pin(async move { Ok(Appended { last }) })
        } else {
            // Held before they are stored, and whatever comes of it.
            batch.ids.iter().for_each(|row| self.recent.hold(row.id));
            batch.seal(&mut self.log);
            let append = batch.hand_over();
            let shared = self.shared.clone();
            Box::pin(async move { shared.store.append(&shared.id, before.last, append).await })
        };
        self.flight = Some(Flight {
            decided,
            append,
            before,
        });
    }

    /// Makes of a batch what its append came to. Returns false if nobody can ask for anything any
    /// more.
    async fn land(
        &mut self,
        result: Result<Appended, StoreError>,
        jobs: &mut mpsc::Receiver<Job>,
    ) -> bool {
        let flight = self.flight.take().expect("it was in flight");
        self.shared.committing.end();
        self.known.clear();
        match result {
            Ok(_) => {
                self.tries = 0;
                let mut decided = flight.decided;
                self.publish(std::mem::take(&mut decided.batch));
                decided.answer();
                return true;
            }
            Err(StoreError::Unknown(why)) => {
                tracing::error!(workspace = %self.shared.id, why, "a commit failed half-way; the store reopens");
                answer_all(flight.decided.jobs, &unknown_outcome());
                // Nothing of these was sent to the store.
                let open = std::mem::take(&mut self.open);
                answer_all(open.jobs, &reopening());
                answer_all(self.waiting.drain(..), &reopening());
                return self.recover(jobs).await;
            }
            Err(StoreError::Moved { .. }) => self.follow(flight).await,
            Err(error) => {
                self.log = flight.before;
                answer_all(flight.decided.jobs, &store_problem(error));
                self.decide_again();
            }
        }
        true
    }

    /// Decides a batch again on what another node wrote first.
    async fn follow(&mut self, flight: Flight) {
        self.tries += 1;
        self.decide_again();
        let reloaded = match self.tries < TRIES_MAX {
            true => self.reload().await,
            false => {
                let problem = Problem::new(Code::Unavailable, "another node kept writing first");
                self.tries = 0;
                self.reload().await.and(Err(problem))
            }
        };
        match reloaded {
            Ok(()) => {
                for job in flight.decided.jobs.into_iter().rev() {
                    self.waiting.push_front(job);
                }
            }
            Err(problem) => answer_all(flight.decided.jobs, &problem),
        }
    }

    /// Makes what was committed visible: heads first, then records, then the bell.
    fn publish(&mut self, mut batch: Batch) {
        let shared = self.shared.clone();
        for left in batch.take_left() {
            self.left.push(left.head, left.weight);
        }
        let _showing = shared
            .showing
            .lock()
            .expect("nothing panics while records are shown");
        let changes = batch.changes.into_iter().zip(&batch.records);
        let entries = changes.map(|(change, record)| {
            let header = &record.header;
            shared.note_met(&change.detected);
            shared.note_grown(&change);
            // Of several changes of one context all are taken to leave what the last did.
            let head = batch.heads.get(&*change.line());
            let bytes = head.map_or(0, |cached| cached.weight);
            shared.entry(header.seq, header.hash.tag(), change, bytes)
        });
        let entries: Vec<_> = entries.collect();
        for (address, cached) in batch.heads.drain() {
            shared.heads.put(&shared.id, &address, Cached::Head(cached));
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
        self.shared.recovering.store(true, Ordering::SeqCst);
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
        self.shared.recovering.store(false, Ordering::SeqCst);
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
        self.left = Left::default();
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
                Some(job) => answer_all([job], &reopening()),
                None => return false,
            },
        }
    }
}

fn answer_all(jobs: impl IntoIterator<Item = Job>, problem: &Problem) {
    for job in jobs {
        let answers = job.proposals.iter().map(|_| Err(problem.clone())).collect();
        let _ = job.reply.send(answers);
    }
}
