//! A workspace: the handle through which doors submit, and the state that it shares with its
//! committer and its readers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use syncline_api::{BulkMode, Code, Problem, ResetReason};
use syncline_model::change::{Change, Receipt};
use syncline_model::conflict::ConflictKind;
use syncline_model::cursor::{CursorKey, Position, Tag8};
use syncline_model::ids::{ChangeId, Epoch, Seq, WorkspaceId};
use syncline_model::proposal::{Proposal, bulk_digest};
use syncline_model::time::Timestamp;
use syncline_rules::Principal;
use syncline_store::{Store, StoreError};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::aside::aside;
use crate::clock::Clock;
use crate::committer::{Answers, Job};
use crate::compact::{Compacted, Grown};
use crate::deciding::BULK_HEADS;
use crate::forms::Forms;
use crate::heads::Heads;
use crate::load::{rotten, store_problem};
use crate::outcome::reused;
use crate::settings::Settings;
use crate::tail::{Entry, Room, Tail};

/// What a workspace's handles, committer and readers share.
pub struct Shared {
    pub(crate) id: WorkspaceId,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) heads: Arc<Heads>,
    pub(crate) key: Arc<CursorKey>,
    pub(crate) tail: Tail,
    forms: Forms,
    low_water: AtomicU64,
    /// Held while old versions are thinned and framed, and what became of that.
    pub(crate) compacting: tokio::sync::Mutex<()>,
    pub(crate) compacted: Mutex<Option<Compacted>>,
    /// Where lines are named that grew.
    pub(crate) grown: mpsc::Sender<Grown>,
    pub(crate) recovering: AtomicBool,
    pub(crate) committing: Committing,
    pub(crate) totals: Arc<Totals>,
    /// Held while heads and records are shown together, and while a reader puts a head that it
    /// loaded into the cache: else an older head could replace a newer one.
    pub(crate) showing: Mutex<()>,
    epoch: Mutex<Epoch>,
    /// Held while the log takes a new epoch.
    beginning: tokio::sync::Mutex<()>,
    room: Arc<Semaphore>,
}

/// Counts since the start, over all workspaces.
#[derive(Debug, Default)]
pub struct Totals {
    /// Commits.
    pub commits: AtomicU64,
    /// Changes.
    pub changes: AtomicU64,
    /// Refusals, whether decided or not.
    pub refusals: AtomicU64,
    /// Which kinds of conflict changes met, in the order of [`ConflictKind::ALL`].
    pub met: [AtomicU64; 4],
    /// What readers count.
    pub(crate) told: crate::told::Totals,
}

/// Since when the committer has been at one commit; for the truth about a stuck writer (P10).
#[derive(Debug, Default)]
pub(crate) struct Committing(Mutex<Option<Instant>>);

impl Committing {
    pub(crate) fn begin(&self) {
        *self.0.lock().expect("nothing panics while this is locked") = Some(Instant::now());
    }

    pub(crate) fn end(&self) {
        *self.0.lock().expect("nothing panics while this is locked") = None;
    }

    pub(crate) fn elapsed(&self) -> Option<Duration> {
        self.0
            .lock()
            .expect("nothing panics while this is locked")
            .map(|since| since.elapsed())
    }
}

/// The permits are kilobytes, so that their count fits the semaphore's.
fn permits(bytes: usize, all: usize) -> u32 {
    let kilobytes = (bytes / 1_024 + 1).min(all / 1_024).max(1);
    u32::try_from(kilobytes).unwrap_or(u32::MAX)
}

/// What a shared workspace is made of.
pub(crate) struct Parts {
    pub id: WorkspaceId,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub settings: Arc<Settings>,
    pub heads: Arc<Heads>,
    pub key: CursorKey,
    pub end: Position,
    pub low_water: Seq,
    pub room: Arc<Semaphore>,
    pub recent: Arc<Room>,
    pub totals: Arc<Totals>,
    pub grown: mpsc::Sender<Grown>,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Shared {
        let tail = Tail::new(parts.end, parts.recent);
        Shared {
            id: parts.id,
            store: parts.store,
            clock: parts.clock,
            settings: parts.settings,
            heads: parts.heads,
            key: Arc::new(parts.key),
            tail,
            forms: Forms::default(),
            low_water: AtomicU64::new(parts.low_water.0),
            compacting: tokio::sync::Mutex::default(),
            compacted: Mutex::default(),
            grown: parts.grown,
            recovering: AtomicBool::new(false),
            committing: Committing::default(),
            totals: parts.totals,
            showing: Mutex::new(()),
            epoch: Mutex::new(parts.end.epoch),
            beginning: tokio::sync::Mutex::default(),
            room: parts.room,
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        *self
            .epoch
            .lock()
            .expect("nothing panics while the epoch is locked")
    }

    pub(crate) fn low_water(&self) -> Seq {
        Seq(self.low_water.load(Ordering::SeqCst))
    }

    /// Takes note of where the log can be read from now.
    pub(crate) fn raise_low_water(&self, to: Seq) {
        self.low_water.fetch_max(to.0, Ordering::SeqCst);
    }

    /// Returns one record, from those at hand or from the store; `None` where it was thinned.
    pub(crate) async fn entry_at(&self, seq: Seq) -> Result<Option<Arc<Entry>>, Problem> {
        let recent = self.tail.recent(Seq(seq.0 - 1), 1);
        if let Some(entry) = recent.as_deref().and_then(<[_]>::first) {
            return Ok(Some(entry.clone()));
        }
        let record = self.store.record(&self.id, seq).await;
        let Some(record) = record.map_err(store_problem)? else {
            return Ok(None);
        };
        let change = record.open().map_err(|rot| rotten(&*self.store, &rot))?;
        Ok(Some(self.entry(seq, record.header.hash.tag(), change, 0)))
    }

    /// Makes a record as readers see it. How large the document after it is tells what its patch
    /// saves; 0 where that is not known.
    pub(crate) fn entry(
        &self,
        seq: Seq,
        tag: Tag8,
        change: Change,
        document_bytes: usize,
    ) -> Arc<Entry> {
        let mut entry = Entry::new(seq, tag, change, self.epoch(), self.key.clone());
        entry.note_document(document_bytes);
        Arc::new(entry)
    }

    pub(crate) fn note_met(&self, kinds: &[ConflictKind]) {
        for kind in kinds {
            let at = ConflictKind::ALL.iter().position(|known| known == kind);
            if let Some(count) = at.and_then(|at| self.totals.met.get(at)) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn note_commit(&self, changes: usize) {
        self.totals.commits.fetch_add(1, Ordering::Relaxed);
        self.totals
            .changes
            .fetch_add(changes as u64, Ordering::Relaxed);
    }

    /// Reads records from the store and checks their commitments.
    pub(crate) async fn read_store(
        &self,
        after: Seq,
        until: Seq,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, Problem> {
        let mut limit = limit;
        let records = loop {
            let read = self
                .store
                .records(&self.id, after, until, limit, READ_BYTES_MAX);
            match read.await {
                // What lies before it is sound; who reads on hears of it.
                Err(StoreError::Rot(_)) if limit > 1 => limit /= 2,
                read => break read.map_err(store_problem)?,
            }
        };
        let mut entries = Vec::with_capacity(records.len());
        let mut bytes = 0;
        for record in &records {
            // What is stored may unpack to a thousandfold.
            if bytes >= ENTRIES_BYTES_MAX {
                break;
            }
            let change = match record.open() {
                Ok(change) => change,
                Err(_) if !entries.is_empty() => break,
                Err(rot) => return Err(rotten(&*self.store, &rot)),
            };
            let entry = self.entry(record.header.seq, record.header.hash.tag(), change, 0);
            bytes += entry.weight();
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Gives the log a new epoch after `lost`: it was found to be restored from a backup.
    async fn begin_epoch(&self, lost: Epoch) -> Result<(), Problem> {
        let _one_at_a_time = self.beginning.lock().await;
        if self.epoch() != lost {
            return Ok(());
        }
        let mut bytes = [0u8; 8];
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        let epoch = Epoch(u64::from_be_bytes(bytes));
        self.store
            .set_epoch(&self.id, epoch)
            .await
            .map_err(store_problem)?;
        {
            // Not between a commit's entries and its tail: that would take the tail back.
            let _showing = self
                .showing
                .lock()
                .expect("nothing panics while records are shown");
            *self
                .epoch
                .lock()
                .expect("nothing panics while the epoch is locked") = epoch;
            let end = self.tail.end();
            self.tail.reset(Position { epoch, ..end });
        }
        tracing::warn!(workspace = %self.id, %epoch, "the log was restored from a backup; it takes a new epoch");
        Ok(())
    }
}

/// How far a caller's clock may be ahead of ours before a time that it names lies in the future.
const CLOCKS_APART_MS_MAX: i64 = 60_000;
/// Bounds the stored bytes that one read of the log brings into memory.
const READ_BYTES_MAX: usize = 4 << 20;
/// Bounds what they unpack to, but for the last record.
const ENTRIES_BYTES_MAX: usize = 16 << 20;

/// A workspace, as doors use it. Cheap to clone.
#[derive(Clone)]
pub struct Workspace {
    pub(crate) shared: Arc<Shared>,
    pub(crate) jobs: mpsc::Sender<Job>,
}

/// Which id a bulk goes by.
#[derive(Clone, Copy)]
enum Bulk {
    /// It is none.
    None,
    /// One that its parts tell, or that one of them bears.
    Derived(ChangeId),
    /// One that its sender gave it, which is kept: it stands for these parts alone.
    Named(ChangeId),
}

/// What a bulk hears.
#[derive(Clone, Debug)]
pub struct BulkAnswer {
    /// The bulk's id.
    pub bulk: ChangeId,
    /// Each part's id and answer, in the order sent.
    pub answers: Vec<(ChangeId, Result<Receipt, Problem>)>,
}

impl Workspace {
    /// Returns the workspace's name.
    pub fn id(&self) -> &WorkspaceId {
        &self.shared.id
    }

    /// Returns which life of the log this is.
    pub fn epoch(&self) -> Epoch {
        self.shared.epoch()
    }

    /// Returns the engine's settings.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Returns the deliberate faults; all are off but in harnesses.
    pub fn faults(&self) -> crate::settings::TestFaults {
        self.shared.settings.faults
    }

    /// Submits one proposal, and waits until it is durable or refused.
    pub async fn submit(
        &self,
        principal: &Principal,
        proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        let mut answers = self
            .send(principal, BulkMode::Independent, Bulk::None, vec![proposal])
            .await?;
        answers.pop().expect("a job of one proposal has one answer")
    }

    /// Submits proposals that are decided together, as one bulk.
    pub async fn submit_bulk(
        &self,
        principal: &Principal,
        mode: BulkMode,
        bulk: Option<ChangeId>,
        proposals: Vec<Proposal>,
    ) -> Result<BulkAnswer, Problem> {
        let limit = self.shared.settings.bulk_max;
        if proposals.is_empty() || proposals.len() > limit {
            let detail = format!(
                "a bulk has 1 to {limit} proposals, and this has {}",
                proposals.len()
            );
            return Err(Problem::new(Code::TooLarge, detail).limit(limit as u64, "max_bulk"));
        }
        let ids: Vec<_> = proposals.iter().map(|proposal| proposal.id).collect();
        let (bulk, named) = match bulk {
            // A part that bears the bulk's id has its own digest under it; and a name that the
            // first part tells says no more than none, so that a part may come again alone.
            Some(bulk) if ids.contains(&bulk) || bulk == ids[0].derive("bulk") => {
                (bulk, Bulk::Derived(bulk))
            }
            Some(bulk) => (bulk, Bulk::Named(bulk)),
            // A resend that names its parts but not the bulk hears of the same bulk.
            None => {
                let bulk = ids[0].derive("bulk");
                (bulk, Bulk::Derived(bulk))
            }
        };
        let answers = self.send(principal, mode, named, proposals).await?;
        if let Some(problem) = refused_whole(named, &answers) {
            return Err(problem);
        }
        Ok(BulkAnswer {
            bulk,
            answers: ids.into_iter().zip(answers).collect(),
        })
    }

    async fn send(
        &self,
        principal: &Principal,
        mode: BulkMode,
        bulk: Bulk,
        proposals: Vec<Proposal>,
    ) -> Result<Answers, Problem> {
        let shared = &self.shared;
        if shared.recovering.load(Ordering::SeqCst) {
            return Err(reopening());
        }
        let weight: usize = proposals.iter().map(|p| p.body.weight() + 512).sum();
        let all = shared.settings.queue_bytes_max;
        let room = shared.room.clone().acquire_many_owned(permits(weight, all));
        let permit = tokio::time::timeout(shared.settings.queue_wait_max, room)
            .await
            .map_err(|_| {
                Problem::new(Code::TooMany, "too many writes wait").limit(all as u64, "queue_bytes")
            })?
            .map_err(|_| stopping())?;
        let (reply, answer) = oneshot::channel();
        let principal = principal.clone();
        let digest = || proposals.iter().map(Proposal::digest).collect();
        let digests: Vec<_> = aside(weight, digest);
        let parts = proposals.iter().map(|proposal| &proposal.id).zip(&digests);
        let (bulk, bulk_digest) = match bulk {
            Bulk::None => (None, None),
            Bulk::Derived(id) => (Some(id), None),
            Bulk::Named(id) => (Some(id), Some(bulk_digest(mode.as_str(), parts).0)),
        };
        let job = Job {
            principal,
            mode,
            bulk,
            digests: digests.into_iter().map(|digest| digest.0).collect(),
            bulk_digest,
            proposals,
            reply,
            permit,
        };
        self.jobs.send(job).await.map_err(|_| stopping())?;
        // Without an answer the committer stopped with the batch in hand: its outcome is not known.
        let answers: Answers = answer.await.map_err(|_| crate::load::unknown_outcome())?;
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        shared
            .totals
            .refusals
            .fetch_add(refused as u64, Ordering::Relaxed);
        Ok(answers)
    }

    /// Returns the end of the log that readers may see.
    pub fn tail(&self) -> Position {
        self.shared.tail.end()
    }

    /// Returns the bytes of recent changes in other forms than the plain one.
    pub fn forms(&self) -> &Forms {
        &self.shared.forms
    }

    /// Rings at each move of the tail.
    pub fn tail_watch(&self) -> watch::Receiver<Position> {
        self.shared.tail.watch()
    }

    /// Rings when a context of a built-in kind changed, and when the log may be another.
    pub fn configuration_watch(&self) -> watch::Receiver<Seq> {
        self.shared.tail.watch_configuration()
    }

    /// Seals a place: always the same text for the same place.
    pub fn seal(&self, position: &Position) -> String {
        self.shared.key.seal(position)
    }

    /// Seals a place so that two texts do not tell whether anything lies between them.
    pub fn seal_fresh(&self, position: &Position) -> String {
        let mut nonce = [0u8; 12];
        getrandom::fill(&mut nonce).expect("the system gives random bytes");
        self.shared.key.seal_fresh(position, nonce)
    }

    /// Opens a cursor without asking whether its place is still there.
    pub fn position_of(&self, cursor: &str) -> Result<Position, Problem> {
        self.shared.key.open(cursor).map_err(|error| {
            Problem::new(Code::BadCursor, error.to_string())
                .hint("read from the beginning, or subscribe from a snapshot")
        })
    }

    /// Returns the cursor of what a receipt tells of, for reading one's own write.
    pub async fn receipt_cursor(&self, receipt: &Receipt) -> Result<Option<String>, Problem> {
        let Some(seq) = receipt.seq else {
            return Ok(None);
        };
        let position = self.position_at(seq).await?;
        Ok(position.map(|position| self.seal(&position)))
    }

    pub(crate) async fn position_at(&self, seq: Seq) -> Result<Option<Position>, Problem> {
        let shared = &self.shared;
        let epoch = shared.epoch();
        if seq == Seq::ZERO {
            return Ok(Some(Position {
                epoch,
                seq,
                tag: Tag8::default(),
            }));
        }
        let before = Seq(seq.0 - 1);
        if let Some(entry) = shared
            .tail
            .recent(before, 1)
            .as_deref()
            .and_then(<[_]>::first)
        {
            return Ok(Some(entry.position()));
        }
        let header = shared.store.header(&shared.id, seq).await;
        let tag = header
            .map_err(store_problem)?
            .map(|header| header.hash.tag());
        Ok(tag.map(|tag| Position { epoch, seq, tag }))
    }

    /// Finds the place that a reader goes on from.
    ///
    /// A cursor of this epoch that the log does not hold shows that the log was restored from a
    /// backup: it takes a new epoch, so that no other reader of the lost part is misled, however
    /// far the log grows (DESIGN, P5).
    pub async fn resume(&self, cursor: &str) -> Result<Position, Problem> {
        let position = self.position_of(cursor)?;
        let shared = &self.shared;
        if position.epoch != shared.epoch() {
            return Err(Problem::reset(ResetReason::Epoch));
        }
        if position.seq < shared.low_water() {
            return Err(Problem::reset(ResetReason::Compacted));
        }
        let here = match position.seq <= self.tail().seq {
            true => self.position_at(position.seq).await?,
            false => None,
        };
        if here == Some(position) {
            return Ok(position);
        }
        shared.begin_epoch(position.epoch).await?;
        Err(Problem::reset(ResetReason::Rewound))
    }

    /// Returns the place before the first record, unless it was compacted away.
    pub fn beginning(&self) -> Result<Position, Problem> {
        if self.low_water() > Seq::ZERO {
            return Err(Problem::reset(ResetReason::Compacted));
        }
        Ok(Position {
            epoch: self.epoch(),
            seq: Seq::ZERO,
            tag: Tag8::default(),
        })
    }

    /// Returns the place after the last record that was committed by then. A time that is still to
    /// come is refused: what happens until then would be told as if it had happened after it.
    pub async fn place_at(&self, time: Timestamp) -> Result<Position, Problem> {
        let shared = &self.shared;
        if time.0 > self.now().0.saturating_add(CLOCKS_APART_MS_MAX) {
            let detail = format!("{time} lies in the future");
            return Err(Problem::new(Code::Invalid, detail)
                .hint("`now` begins with the next change, whenever it comes"));
        }
        let tail = self.tail();
        let seq = shared
            .store
            .seq_at(&shared.id, time)
            .await
            .map_err(store_problem)?;
        if seq >= tail.seq {
            return Ok(tail);
        }
        match self.position_at(seq).await? {
            Some(position) if seq >= shared.low_water() => Ok(position),
            _ => Err(Problem::reset(ResetReason::Compacted)),
        }
    }

    /// Returns up to `limit` records after `after`, from those at hand or from the store; never
    /// past the tail.
    pub async fn read_log(&self, after: Seq, limit: usize) -> Result<Vec<Arc<Entry>>, Problem> {
        if let Some(entries) = self.shared.tail.recent(after, limit) {
            return Ok(entries);
        }
        let entries = self
            .shared
            .read_store(after, self.tail().seq, limit)
            .await?;
        self.shared.tail.put_back(&entries);
        Ok(entries)
    }

    /// Returns records that are at hand, without waiting; `None` where the store must be read.
    pub fn recent(&self, after: Seq, limit: usize) -> Option<Vec<Arc<Entry>>> {
        self.shared.tail.recent(after, limit)
    }

    /// Returns the oldest place that can still be read.
    pub fn low_water(&self) -> Seq {
        self.shared.low_water()
    }
}

/// Returns why a bulk was refused before its parts were decided: then each was told the same.
fn refused_whole(bulk: Bulk, answers: &Answers) -> Option<Problem> {
    let Some(Err(problem)) = answers.first() else {
        return None;
    };
    let met = problem.limit.as_ref();
    let setting = met.and_then(|met| met.setting.as_deref());
    let whole = match bulk {
        _ if setting == Some(BULK_HEADS) => true,
        Bulk::Named(id) => *problem == reused(id),
        Bulk::None | Bulk::Derived(_) => false,
    };
    whole.then(|| problem.clone())
}

/// Says that the workspace takes no writes until its store has reopened.
pub(crate) fn reopening() -> Problem {
    Problem::new(Code::Unavailable, "the store reopens after a failed commit")
        .hint("send the same change id again in a moment")
}

fn stopping() -> Problem {
    Problem::new(Code::Unavailable, "the node is stopping").hint("send the same change id again")
}

/// Draws a change id.
pub(crate) fn fresh_id(clock: &dyn Clock) -> ChangeId {
    let mut random = [0u8; 10];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    ChangeId::from_parts(u64::try_from(clock.now().0).unwrap_or(0), &random)
}
