//! A feed: one subscription's way along the log.

use std::sync::Arc;
use std::time::Duration;

use syncline_api::{Code, Condition, Filters, From, Mode, Problem, ResetReason, Scope, ScopeTerm};
use syncline_engine::{Entry, Principal, Workspace};
use syncline_model::change::Change;
use syncline_model::cursor::Position;
use syncline_model::head::Head;
use syncline_model::ids::{Address, Name, PrincipalId, Seq, Version};
use syncline_model::json::Pointer;
use syncline_model::proposal::Priority;
use syncline_rules::Matcher;
use tokio::time::Instant;

use crate::held::Held;
use crate::item::{Item, Shape};
use crate::mask::Mask;
use crate::page::{Page, Underway};
use crate::router::{Gauge, QUEUE_MAX, Route, Step};
use crate::sent::Sent;
use crate::snapshot::{Pager, Shown};
use crate::terms::{Terms, lines};
use crate::waits::Waits;

/// Bounds how many records are judged before a page is handed out, even if none matches.
const JUDGED_MAX: usize = 1_024;
/// Bounds how many records are read at once.
const READ_MAX: usize = 256;
/// What a message is taken to have until some were seen, in bytes.
const TYPICAL_BYTES: usize = 512;
/// Bounds a snapshot's page, in contexts.
const SNAPSHOT_PAGE: usize = 100;
/// Bounds how many pages are read for one that a filter leaves something of.
const PAGES_MAX: usize = 8;
/// Bounds how far ahead it is looked for how urgent the next changes are.
const AHEAD_MAX: usize = 64;

/// Whose changes are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclude {
    /// The principal.
    pub id: PrincipalId,
    /// The agent, as it called itself.
    pub agent: Option<Name>,
    /// Its session.
    pub session: Option<Name>,
}

impl Exclude {
    /// Says whether a change is of this actor.
    pub fn covers(&self, change: &Change) -> bool {
        let actor = &change.actor;
        actor.id == self.id && actor.agent == self.agent && actor.session == self.session
    }
}

/// A subscription that is asked for.
#[derive(Clone, Debug)]
pub struct FeedRequest {
    /// Which contexts.
    pub scope: Scope,
    /// Which of their changes; empty is all.
    pub filter: Filters,
    /// Which of those that the filter lets pass.
    pub condition: Option<Condition>,
    /// Which parts of a document; empty is all.
    pub fields: Vec<Pointer>,
    /// In which form.
    pub mode: Mode,
    /// From where.
    pub from: From,
    /// Leave out what this actor did.
    pub exclude_self: Option<Exclude>,
    /// With the values before.
    pub old: bool,
    /// Hold changes for so long, so that several of one context become one.
    pub coalesce: Option<Duration>,
}

impl FeedRequest {
    /// Asks for all changes of a scope, as deltas; the rest is set by name.
    pub fn new(scope: Scope, from: From) -> FeedRequest {
        FeedRequest {
            scope,
            filter: Filters::default(),
            condition: None,
            fields: Vec::new(),
            mode: Mode::Delta,
            from,
            exclude_self: None,
            old: false,
            coalesce: None,
        }
    }
}

/// How a subscription began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The place that it goes on from, sealed.
    pub cursor: String,
    /// Nothing is missing between the cursor that was asked for and what follows.
    pub recovered: bool,
    /// Why not.
    pub reason: Option<ResetReason>,
    /// Snapshot pages follow first.
    pub snapshot: bool,
}

/// One subscription's way along the log.
pub struct Feed {
    pub(crate) workspace: Workspace,
    pub(crate) principal: Principal,
    pub(crate) scope: Scope,
    /// The ancestors of each `inherited` term's context, in the order of those terms.
    pub(crate) inherited: Vec<Vec<Address>>,
    pub(crate) matcher: Arc<Matcher>,
    pub(crate) shape: Shape,
    pub(crate) mode: Mode,
    pub(crate) exclude: Option<Exclude>,
    pub(crate) old: bool,
    pub(crate) coalesce: Option<Duration>,
    /// The reader takes its messages slowly: what is read ahead for it becomes one by context.
    pub(crate) skims: bool,
    pub(crate) at: Position,
    pub(crate) sent: Sent,
    /// It leaves changes out, not only parts of them.
    pub(crate) picks: bool,
    pub(crate) held: Held<Arc<Entry>>,
    /// The bulk that its last page ended in.
    underway: Underway,
    /// About how many bytes one of its messages has.
    typical: usize,
    begun: Instant,
    passed: Duration,
    route: Option<Route>,
    pager: Option<Pager>,
    pub(crate) over: bool,
    /// It has been at the tail, so falling behind is news.
    was_live: bool,
    lagging: bool,
    /// Only with the fault `live_before_listen`: where it jumps to the tail.
    jump_at: Option<Seq>,
}

/// Records to judge, and the place that they lead to where nothing else up to it matters.
struct Batch {
    entries: Vec<Arc<Entry>>,
    then: Option<Position>,
}

impl Feed {
    /// Opens a subscription.
    ///
    /// A cursor whose place is no more is not an error here: the feed begins with a snapshot and
    /// says why. Only text that is no cursor, and a `where` that is none, are refused.
    pub async fn open(
        workspace: Workspace,
        principal: Principal,
        request: FeedRequest,
    ) -> Result<(Feed, Opening), Problem> {
        let condition = request.condition.as_ref().map(Condition::as_str);
        let matcher = Arc::new(Matcher::compile(&request.filter, condition)?);
        let mask = Mask::new(request.fields);
        let picks = !matcher.is_of_context() || request.exclude_self.is_some();
        let chooses = request.mode == Mode::Delta && (picks || !mask.is_whole());
        // The place is taken before anything is read, so that nothing can fall between.
        let tail = workspace.tail();
        let (at, reason) = match place_of(&workspace, &request.from).await {
            Ok(position) => (position, None),
            Err(problem) if problem.code == Code::Reset => (
                workspace.tail(),
                Some(problem.reason.unwrap_or(ResetReason::Epoch)),
            ),
            Err(problem) => return Err(problem),
        };
        let snapshot = request.from == From::Snapshot || reason.is_some();
        let resumed = !matches!(request.from, From::Now | From::Snapshot) && !snapshot;
        let mut sent = Sent::new(chooses);
        // A reader that goes back to an older place holds what it was sent from there on, which is
        // what it is sent again, unless that depends on what came before it. Who chooses and goes on
        // amid what its snapshot's pages showed may hold a version between two that it is sent: it
        // compares `from`, and asks again.
        if resumed && request.coalesce.is_some() {
            sent.goes_back_from(tail.seq);
        } else if resumed && !mask.is_whole() {
            sent.unsure_until(tail.seq);
        }
        let jumps = workspace.faults().live_before_listen && resumed;
        let feed = Feed {
            inherited: lines(&workspace, &request.scope).await?,
            shape: Shape {
                all: principal.reads_all(),
                mask,
            },
            principal,
            scope: request.scope,
            matcher,
            mode: request.mode,
            exclude: request.exclude_self,
            old: request.old,
            coalesce: request.coalesce,
            skims: false,
            at,
            sent,
            picks,
            held: Held::default(),
            underway: Underway::default(),
            typical: TYPICAL_BYTES,
            begun: Instant::now(),
            passed: Duration::ZERO,
            route: None,
            pager: snapshot.then(|| Pager::new(at.seq)),
            over: false,
            was_live: false,
            lagging: false,
            jump_at: jumps.then_some(tail.seq),
            workspace,
        };
        let opening = Opening {
            cursor: feed.cursor(),
            recovered: reason.is_none(),
            reason,
            snapshot,
        };
        Ok((feed, opening))
    }

    /// Returns the highest place below which all was handed out, freshly sealed.
    pub fn cursor(&self) -> String {
        // Who comes back in the middle of a bulk gets it from its beginning.
        let at = self.underway.before().unwrap_or(self.at);
        self.workspace.seal_fresh(&self.held.low(at))
    }

    /// Returns the place up to which everything was judged.
    pub fn place(&self) -> Position {
        self.at
    }

    /// Returns how many records lie between here and the tail.
    pub fn behind(&self) -> u64 {
        self.workspace.tail().seq.0.saturating_sub(self.at.seq.0)
    }

    /// Says whether the feed ended with a reset.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Returns how whole contexts are shown to its reader.
    pub fn shape(&self) -> Shape {
        self.shape.clone()
    }

    /// Returns by what it chooses.
    pub fn terms(&self) -> Terms {
        Terms {
            scope: self.scope.clone(),
            inherited: self.inherited.clone(),
            matcher: self.matcher.clone(),
            exclude: self.exclude.clone(),
        }
    }

    /// Returns how far it lies behind at any time, where the router watches for it.
    pub fn gauge(&self) -> Option<Gauge> {
        self.route.as_ref().map(Route::gauge)
    }

    /// Returns what waits to become one with later changes, at any time.
    pub fn waits(&self) -> Waits {
        Waits::new(self.begun, self.held.noted())
    }

    /// Says whether it has been at the tail: falling behind is news since then.
    pub fn was_live(&self) -> bool {
        self.was_live
    }

    /// Says whether its reader fell behind what is at hand, and was told so.
    pub fn is_lagging(&self) -> bool {
        self.lagging
    }

    /// Says whether all that happens in the workspace is for it: then the tail's own bell is the
    /// one to listen to.
    pub fn takes_everything(&self) -> bool {
        self.scope.0.contains(&ScopeTerm::Workspace) && self.matcher.is_everything()
    }

    /// Returns how often `where` had no value for a change.
    pub fn where_failed(&self) -> u64 {
        self.matcher.failed()
    }

    pub(crate) fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    pub(crate) fn scope(&self) -> (&Scope, &[Vec<Address>]) {
        (&self.scope, &self.inherited)
    }

    pub(crate) fn follow(&mut self, route: Route) {
        self.route = Some(route);
    }

    /// Says whether a page would bring anything, or move the feed on.
    pub fn is_hungry(&self) -> bool {
        if self.over {
            return false;
        }
        let due = self.due().is_some_and(|due| due <= Instant::now());
        self.pager.is_some()
            || due
            || self.underway.is_some()
            || self.workspace.epoch() != self.at.epoch
            || match &self.route {
                Some(route) => route.has_news(self.at.seq),
                None => self.behind() > 0,
            }
    }

    /// Returns when something that waits to become one with later changes is due.
    pub fn due(&self) -> Option<Instant> {
        let due = self.held.due()?;
        Some(self.begun + due.saturating_sub(self.passed))
    }

    /// Returns how urgent the most urgent of the next changes is.
    pub fn urgency(&self) -> Priority {
        if let Some(route) = &self.route
            && !route.reads_log(self.at.seq)
        {
            return route.urgency();
        }
        let ahead = self.workspace.recent(self.at.seq, AHEAD_MAX);
        let ahead = ahead.unwrap_or_default();
        let priorities = ahead.iter().map(|entry| entry.change.priority);
        priorities.min_by_key(|p| p.get()).unwrap_or_default()
    }

    /// Tells the feed that its reader took nothing for a while: if its queue is half full by now,
    /// what is read ahead becomes one by context, up to the tail.
    pub fn note_slow_reader(&mut self) {
        let waiting = match &self.route {
            Some(route) => route.waiting(),
            None => usize::try_from(self.behind()).unwrap_or(usize::MAX),
        };
        self.skims |= self.was_live && !self.lagging && waiting >= QUEUE_MAX / 2;
    }

    /// Moves on over what is not for this feed, where nothing else comes next: an idle
    /// subscription's cursor must not fall behind what can still be read.
    pub fn pass_over(&mut self) {
        let step = self.route.as_ref().map(|route| route.step(self.at.seq, 1));
        if let Some(Step::Records {
            seqs,
            then: Some(then),
        }) = step
            && seqs.is_empty()
            && self.pager.is_none()
            && !self.underway.is_some()
        {
            self.at = then;
        }
    }

    /// Notes that the reader was shown a context as of this version, beside the feed's own way.
    pub fn note_shown(&mut self, head: &Head) {
        self.sent.unsure_until(self.workspace.tail().seq);
        self.sent.show(&head.address, head.version);
    }

    /// Returns what is there now, up to about `items_max` and `bytes_max`; a bulk is always
    /// whole. Nothing means that the feed is at the tail. Never waits for new records.
    pub async fn next_page(
        &mut self,
        items_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Item>, Problem> {
        self.page(items_max, bytes_max, false).await
    }

    /// As [`Feed::next_page`], for a reader who follows and hears where a bulk begins and ends: it
    /// may be in the middle of one, so that a large one is never there whole.
    pub async fn next_part(
        &mut self,
        items_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Item>, Problem> {
        self.page(items_max, bytes_max, true).await
    }

    async fn page(
        &mut self,
        items_max: usize,
        bytes_max: usize,
        breaks_bulks: bool,
    ) -> Result<Vec<Item>, Problem> {
        if self.over {
            return Ok(Vec::new());
        }
        if self.workspace.epoch() != self.at.epoch {
            return Ok(vec![self.reset(ResetReason::Epoch)]);
        }
        if self.pager.is_some() {
            return self.snapshot_page(items_max).await;
        }
        // A part may make a missing parent, which is a record of its own.
        let parts_max = 2 * self.workspace.settings().bulk_max;
        let mut page = Page::new(items_max, bytes_max, parts_max);
        page.go_on(std::mem::take(&mut self.underway), breaks_bulks);
        // What is read ahead for a slow reader waits for no time, but for the end of the page.
        let now = if self.skims {
            Duration::MAX
        } else {
            self.now()
        };
        if !page.underway.is_some() {
            self.tell_due(now, &mut page).await?;
        }
        self.fill(&mut page).await?;
        self.finish_bulk(&mut page).await?;
        if !page.underway.is_some() {
            self.tell_due(now, &mut page).await?;
        }
        self.underway = page.underway;
        Ok(page.items)
    }

    async fn fill(&mut self, page: &mut Page) -> Result<(), Problem> {
        let mut judged = 0;
        while !page.is_full() && judged < JUDGED_MAX && !self.over {
            // What does not fit would be read from the store and taken apart for nothing.
            let fits = 1 + page.bytes_left() / self.typical;
            let room = page.room().min(fits).clamp(1, READ_MAX);
            let room = if self.skims { READ_MAX } else { room };
            let (items, bytes) = (page.items.len(), page.bytes());
            let batch = match self.read(room, page).await {
                Ok(batch) => batch,
                // What is on the page was read, and is handed out; who reads on hears of it.
                Err(_) if page.can_end() => break,
                Err(problem) => return Err(problem),
            };
            if batch.entries.is_empty() {
                self.at = batch.then.unwrap_or(self.at);
                self.was_live = true;
                self.lagging = false;
                self.skims &= !self.held.is_empty();
                break;
            }
            judged += batch.entries.len();
            let mut all = true;
            for entry in batch.entries {
                if self.over || !page.takes(&entry) {
                    all = false;
                    break;
                }
                self.take(entry, page).await?;
            }
            if let (true, Some(then)) = (all, batch.then) {
                self.at = then;
            }
            if let Some(each) = (page.bytes() - bytes).checked_div(page.items.len() - items) {
                self.typical = (self.typical + each).div_ceil(2);
            }
        }
        Ok(())
    }

    async fn snapshot_page(&mut self, items_max: usize) -> Result<Vec<Item>, Problem> {
        let Some(mut pager) = self.pager.take() else {
            return Ok(Vec::new());
        };
        let limit = items_max.clamp(1, SNAPSHOT_PAGE);
        let (mut contexts, mut last) = (Vec::new(), false);
        for _ in 0..PAGES_MAX {
            let shown = Shown {
                workspace: &self.workspace,
                principal: &self.principal,
                scope: &self.scope,
                inherited: &self.inherited,
            };
            (contexts, last) = pager.next(shown, limit).await?;
            contexts = self.admitted(contexts).await?;
            if last || !contexts.is_empty() {
                break;
            }
        }
        self.sent.unsure_until(self.workspace.tail().seq);
        for head in &contexts {
            self.sent.show(&head.address, head.version);
        }
        if last && self.workspace.faults().live_before_listen {
            self.at = self.workspace.tail();
        }
        let cursor = last.then(|| self.cursor());
        if !last {
            self.pager = Some(pager);
        }
        Ok(vec![Item::Snapshot {
            contexts,
            last,
            cursor,
        }])
    }

    async fn read(&mut self, limit: usize, page: &mut Page) -> Result<Batch, Problem> {
        if self.jump_at.is_some_and(|seq| self.at.seq >= seq) {
            self.jump_at = None;
            self.at = self.workspace.tail();
        }
        if let Some(route) = &self.route
            && let Step::Records { seqs, then } = route.step(self.at.seq, limit)
        {
            let mut entries = Vec::with_capacity(seqs.len());
            for seq in seqs {
                let before = Seq(seq.0 - 1);
                entries.append(&mut self.workspace.read_log(before, 1).await?);
            }
            return Ok(Batch { entries, then });
        }
        let queued = self.behind() <= QUEUE_MAX as u64;
        let recent = self.workspace.recent(self.at.seq, limit);
        let dropped = !queued || (recent.is_none() && !self.skims);
        if dropped && self.was_live && !self.lagging {
            self.lagging = true;
            self.skims = false;
            page.items.push(Item::Lagging);
        }
        let entries = match recent {
            Some(entries) => entries,
            None => self.workspace.read_log(self.at.seq, limit).await?,
        };
        Ok(Batch {
            entries,
            then: None,
        })
    }

    /// Reads on until the bulk that the page stopped in is whole, or its parts fill the page.
    async fn finish_bulk(&mut self, page: &mut Page) -> Result<(), Problem> {
        while page.must_finish_bulk() && !self.over {
            let batch = match self.read(1, page).await {
                Ok(batch) => batch,
                Err(_) if page.can_end() => return Ok(()),
                Err(problem) => return Err(problem),
            };
            match batch.entries.into_iter().next() {
                Some(entry) if page.continues(&entry) => self.take(entry, page).await?,
                // A bulk is appended at once, so at the tail it is whole.
                _ => {
                    self.end_bulk(page);
                    break;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn end_bulk(&self, page: &mut Page) {
        page.end_bulk(|| self.place_to_keep());
    }

    /// Returns the cursor that a reader of all that was handed out keeps.
    pub(crate) fn place_to_keep(&self) -> String {
        self.workspace.seal(&self.held.low(self.at))
    }

    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed() + self.passed
    }

    /// Lets time pass for what waits, as far as this feed knows: simulations do not wait for it.
    pub fn let_pass(&mut self, time: Duration) {
        self.passed += time;
    }

    pub(crate) fn reset(&mut self, reason: ResetReason) -> Item {
        self.over = true;
        Item::Reset(reason)
    }

    /// Returns a context's version, where it can still be read and seen.
    pub(crate) async fn version(
        &self,
        line: &Address,
        version: Version,
    ) -> Result<Option<Arc<Head>>, Problem> {
        let kept = self.workspace.kept_version(&self.principal, line, version);
        Ok(kept.await?.filter(|head| !head.deleted))
    }
}

pub(crate) async fn place_of(workspace: &Workspace, from: &From) -> Result<Position, Problem> {
    match from {
        From::Now | From::Snapshot => Ok(workspace.tail()),
        From::Cursor(cursor) => workspace.resume(cursor).await,
        From::Start => workspace.beginning(),
        From::Time(time) => workspace.place_at(*time).await,
    }
}
