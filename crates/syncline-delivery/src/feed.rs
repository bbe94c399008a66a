//! A feed: one subscription's way along the log.

use std::sync::Arc;

use syncline_api::{ChangeView, Code, From, Mode, Problem, ResetReason, Scope, ScopeTerm};
use syncline_engine::{Entry, Principal, When, Workspace};
use syncline_model::change::{Change, ChangeType};
use syncline_model::cursor::Position;
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId, Name, PrincipalId, Seq};
use syncline_model::json::JsonWriter;
use syncline_rules::{Subject, Verdict, judge, place_in, visible};

use crate::item::{ChangeItem, Item};
use crate::snapshot::Pager;

/// Bounds how many records are judged before a page is handed out, even if none matches.
const JUDGED_MAX: usize = 1_024;
/// Bounds a snapshot's page, in contexts.
const SNAPSHOT_PAGE: usize = 100;
/// Bounds how much of the log after a move is asked whether anything left the moved context since.
const SCANNED_MAX: u64 = 4_096;
/// Bounds one push: a bulk is one, but a thousand small parts may each show a large document.
const PUSH_BYTES_MAX: usize = 32 << 20;

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
    fn covers(&self, change: &Change) -> bool {
        let actor = &change.actor;
        actor.id == self.id && actor.agent == self.agent && actor.session == self.session
    }
}

/// A subscription that is asked for.
#[derive(Clone, Debug)]
pub struct FeedRequest {
    /// Which contexts.
    pub scope: Scope,
    /// In which form.
    pub mode: Mode,
    /// From where.
    pub from: From,
    /// Leave out what this actor did.
    pub exclude_self: Option<Exclude>,
    /// With the values before.
    pub old: bool,
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
    workspace: Workspace,
    principal: Principal,
    scope: Scope,
    /// The ancestors of each `inherited` term's context, in the order of those terms.
    inherited: Vec<Vec<Address>>,
    mode: Mode,
    exclude: Option<Exclude>,
    old: bool,
    at: Position,
    pager: Option<Pager>,
    over: bool,
    /// It has been at the tail, so falling behind is news.
    was_live: bool,
    lagging: bool,
    /// Only with the fault `live_before_listen`: where it jumps to the tail.
    jump_at: Option<Seq>,
}

impl Feed {
    /// Opens a subscription.
    ///
    /// A cursor whose place is no more is not an error here: the feed begins with a snapshot and
    /// says why. Only text that is no cursor is refused.
    pub async fn open(
        workspace: Workspace,
        principal: Principal,
        request: FeedRequest,
    ) -> Result<(Feed, Opening), Problem> {
        let faults = workspace.faults();
        // The place is taken before anything is read, so that nothing can fall between.
        let tail = workspace.tail();
        let (at, reason) = match &request.from {
            From::Now | From::Snapshot => (tail, None),
            From::Cursor(cursor) => match workspace.resume(cursor).await {
                Ok(position) => (position, None),
                Err(problem) if problem.code == Code::Reset => (
                    workspace.tail(),
                    Some(problem.reason.unwrap_or(ResetReason::Epoch)),
                ),
                Err(problem) => return Err(problem),
            },
        };
        let snapshot = request.from == From::Snapshot || reason.is_some();
        let resumed = matches!(request.from, From::Cursor(_)) && !snapshot;
        let mut feed = Feed {
            inherited: Vec::new(),
            principal,
            scope: request.scope,
            mode: request.mode,
            exclude: request.exclude_self,
            old: request.old,
            at,
            pager: snapshot.then(|| Pager::new(at.seq)),
            over: false,
            was_live: false,
            lagging: false,
            jump_at: (faults.live_before_listen && resumed).then_some(tail.seq),
            workspace,
        };
        feed.resolve_inherited().await?;
        let opening = Opening {
            cursor: feed.cursor(),
            recovered: reason.is_none(),
            reason,
            snapshot,
        };
        Ok((feed, opening))
    }

    async fn resolve_inherited(&mut self) -> Result<(), Problem> {
        for term in &self.scope.0 {
            if let ScopeTerm::Inherited(context) = term {
                let line = match self.workspace.head_if_any(context).await? {
                    Some(head) => self.workspace.place(&head).await?.ancestors.to_vec(),
                    None => Vec::new(),
                };
                self.inherited.push(line);
            }
        }
        Ok(())
    }

    /// Returns the place up to which everything was judged, freshly sealed.
    pub fn cursor(&self) -> String {
        self.workspace.seal_fresh(&self.at)
    }

    /// Returns how many records lie between here and the tail.
    pub fn behind(&self) -> u64 {
        self.workspace.tail().seq.0.saturating_sub(self.at.seq.0)
    }

    /// Says whether the feed ended with a reset.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Returns what is there now, up to about `items_max` and `bytes_max`; a bulk is always
    /// whole. Nothing means that the feed is at the tail. Never waits for new records.
    pub async fn next_page(
        &mut self,
        items_max: usize,
        bytes_max: usize,
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
        let mut judged = 0;
        while !page.is_full() && judged < JUDGED_MAX && !self.over {
            let room = (items_max - page.items.len()).clamp(1, 256);
            let entries = self.read(room, &mut page).await?;
            if entries.is_empty() {
                self.was_live = true;
                self.lagging = false;
                break;
            }
            judged += entries.len();
            for entry in entries {
                // A page ends between changes, or after a bulk's last part.
                if page.is_full() && !page.continues(&entry) {
                    break;
                }
                self.take(entry, &mut page).await?;
                if self.over {
                    break;
                }
            }
        }
        self.finish_bulk(&mut page).await?;
        Ok(page.items)
    }

    async fn snapshot_page(&mut self, items_max: usize) -> Result<Vec<Item>, Problem> {
        let Some(mut pager) = self.pager.take() else {
            return Ok(Vec::new());
        };
        let limit = items_max.clamp(1, SNAPSHOT_PAGE);
        let (contexts, last) = pager
            .next(
                &self.workspace,
                &self.principal,
                &self.scope,
                &self.inherited,
                limit,
            )
            .await?;
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

    async fn read(&mut self, limit: usize, page: &mut Page) -> Result<Vec<Arc<Entry>>, Problem> {
        if self.jump_at.is_some_and(|seq| self.at.seq >= seq) {
            self.jump_at = None;
            self.at = self.workspace.tail();
        }
        if let Some(entries) = self.workspace.recent(self.at.seq, limit) {
            return Ok(entries);
        }
        if self.was_live && !self.lagging {
            self.lagging = true;
            page.items.push(Item::Lagging);
        }
        self.workspace.read_log(self.at.seq, limit).await
    }

    /// Judges one record, and puts what it means to this feed on the page.
    async fn take(&mut self, entry: Arc<Entry>, page: &mut Page) -> Result<(), Problem> {
        if !page.continues(&entry) {
            page.end_bulk(self);
        }
        self.at = entry.position();
        page.bulk_at = entry.change.bulk;
        page.parts += 1;
        if self.workspace.faults().drop_event && entry.seq.0.is_multiple_of(50) {
            return Ok(());
        }
        let change = &entry.change;
        let rules = &self.workspace.settings().rules;
        let verdict = judge(&self.scope, &self.inherited, change);
        if self.moves_others(&entry).await? {
            let item = self.reset(ResetReason::Access);
            page.items.push(item);
            return Ok(());
        }
        if verdict == Verdict::Outside
            || !visible(&self.principal, &Subject::of_change(change), rules)
        {
            return Ok(());
        }
        let cursor = change.bulk.is_none().then(|| entry.cursor().to_owned());
        let item = match verdict {
            Verdict::Outside => return Ok(()),
            Verdict::Inside if self.exclude.as_ref().is_some_and(|e| e.covers(change)) => {
                return Ok(());
            }
            Verdict::Inside => {
                let body = self.encode(&entry).await?;
                Item::Change(ChangeItem { entry, body })
            }
            Verdict::Enters => match self.as_of(&entry).await? {
                Some(head) => Item::Enter {
                    head,
                    entry,
                    cursor,
                },
                None => return Ok(()),
            },
            Verdict::Leaves => Item::Leave {
                address: change.context.clone(),
                entry,
                cursor,
            },
        };
        page.push(item);
        // What was pushed of it is not more than this and one part.
        if page.bytes > PUSH_BYTES_MAX && page.bulk_at.is_some() {
            let item = self.reset(ResetReason::Limit);
            page.items.push(item);
        }
        Ok(())
    }

    /// Says whether the change moved other contexts into or out of the scope with it, which no
    /// record of theirs tells: then the reader starts again from a snapshot.
    async fn moves_others(&self, entry: &Entry) -> Result<bool, Problem> {
        let change = &entry.change;
        if self.moves_a_line(change) {
            return Ok(true);
        }
        let Some(before) = &change.before else {
            return Ok(false);
        };
        let holds = |place| place_in(&self.scope, &self.inherited, &change.context, place);
        if before.ancestors == change.place.ancestors || holds(before) == holds(&change.place) {
            return Ok(false);
        }
        let children = self.workspace.has_children(&change.context).await?;
        Ok(children || self.was_left_since(entry).await?)
    }

    /// Says whether anything moved away from below a context after the record that moved it: then
    /// it had children that nobody finds below it today. Where that is far back, it is assumed.
    async fn was_left_since(&self, entry: &Entry) -> Result<bool, Problem> {
        let (context, tail) = (&entry.change.context, self.workspace.tail().seq);
        if tail.0.saturating_sub(entry.seq.0) > SCANNED_MAX {
            return Ok(true);
        }
        let mut at = entry.seq;
        while at < tail {
            let entries = self.workspace.read_log(at, 256).await?;
            let Some(last) = entries.last() else { break };
            at = last.seq;
            let before = entries.iter().filter_map(|e| e.change.before.as_ref());
            if before.into_iter().any(|b| b.ancestors.contains(context)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says whether the line of ancestors of an `inherited` term is not what it was.
    fn moves_a_line(&self, change: &Change) -> bool {
        let moved = change
            .before
            .as_ref()
            .is_some_and(|b| b.ancestors != change.place.ancestors);
        let named = self.scope.0.iter().filter_map(|term| match term {
            ScopeTerm::Inherited(context) => Some(context),
            _ => None,
        });
        named.zip(&self.inherited).any(|(context, line)| {
            // The line that is known here is today's, and the record may be older: so each record
            // that gives the context a line counts, whether or not it is today's.
            let gives_line =
                moved || change.kind == ChangeType::Create || *line != *change.place.ancestors;
            (*context == change.context && gives_line) || (moved && line.contains(&change.context))
        })
    }

    /// Returns the context as of the version that the change made.
    async fn as_of(&self, entry: &Entry) -> Result<Option<Arc<Head>>, Problem> {
        let change = &entry.change;
        let line = change.line();
        if let Some(head) = self.workspace.head_if_any(&line).await?
            && head.version == change.version
            && head.change == change.id
        {
            return Ok(Some(head));
        }
        let when = When::Version(change.version);
        match self.workspace.get(&self.principal, &line, when).await {
            Ok(head) => Ok(Some(head)),
            Err(problem) if matches!(problem.code, Code::Deleted | Code::NotFound) => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    async fn encode(&self, entry: &Arc<Entry>) -> Result<Arc<str>, Problem> {
        let all = self.principal.reads_all();
        if self.mode == Mode::Delta && all && !self.old {
            return Ok(entry.delta_json().clone());
        }
        let change = &entry.change;
        let document = match self.mode {
            Mode::Snapshot => self.as_of(entry).await?.map(|head| head.document.to_json()),
            Mode::Delta | Mode::Thin => None,
        };
        let view = ChangeView {
            change,
            seq: all.then_some(entry.seq),
            cursor: change.bulk.is_none().then(|| entry.cursor()),
            mode: self.mode,
            document: document.as_ref(),
            show_hash: self.mode != Mode::Thin,
            old: self.old,
        };
        let mut w = JsonWriter::with_capacity(512);
        view.write(&mut w);
        Ok(w.into_string().into())
    }

    /// Reads on until the bulk that the page stopped in is whole: it comes in one push.
    async fn finish_bulk(&mut self, page: &mut Page) -> Result<(), Problem> {
        while page.bulk_at.is_some() && !self.over {
            let entries = self.read(1, page).await?;
            match entries.into_iter().next() {
                Some(entry) if page.continues(&entry) => self.take(entry, page).await?,
                // A bulk is appended at once, so at the tail it is whole.
                _ => break,
            }
        }
        if !self.over {
            page.end_bulk(self);
        }
        Ok(())
    }

    fn reset(&mut self, reason: ResetReason) -> Item {
        self.over = true;
        Item::Reset(reason)
    }
}

/// A page that is being filled.
struct Page {
    items: Vec<Item>,
    items_max: usize,
    bytes: usize,
    bytes_max: usize,
    /// The bulk of the record that was judged last.
    bulk_at: Option<ChangeId>,
    /// How many records of it were judged: bulks of one name are not one endless bulk.
    parts: usize,
    parts_max: usize,
    /// The bulk whose `begin` is on the page and whose `end` is not.
    open: Option<ChangeId>,
}

impl Page {
    fn new(items_max: usize, bytes_max: usize, parts_max: usize) -> Page {
        Page {
            items: Vec::new(),
            items_max,
            bytes: 0,
            bytes_max,
            bulk_at: None,
            parts: 0,
            parts_max,
            open: None,
        }
    }

    fn is_full(&self) -> bool {
        self.items.len() >= self.items_max || self.bytes >= self.bytes_max
    }

    /// Says whether a record belongs to the bulk that was judged last.
    fn continues(&self, entry: &Entry) -> bool {
        self.bulk_at.is_some() && entry.change.bulk == self.bulk_at && self.parts < self.parts_max
    }

    fn push(&mut self, item: Item) {
        if let (Some(bulk), None) = (self.bulk_at, self.open) {
            self.items.push(Item::Begin { bulk });
            self.open = Some(bulk);
        }
        self.bytes += item.weight();
        self.items.push(item);
    }

    fn end_bulk(&mut self, feed: &Feed) {
        if let Some(bulk) = self.open.take() {
            let cursor = feed.workspace.seal(&feed.at);
            self.items.push(Item::End { bulk, cursor });
        }
        self.bulk_at = None;
        self.parts = 0;
    }
}
