//! What a record means to a feed: in, out, wanted, or none of its business.

use std::sync::Arc;
use std::time::Duration;

use syncline_api::{Problem, ResetReason, ScopeTerm};
use syncline_engine::Entry;
use syncline_model::change::{Change, ChangeType, Effect, Intent, Outcome, Place};
use syncline_model::cursor::Position;
use syncline_model::head::Head;
use syncline_model::ids::Address;
use syncline_model::proposal::{Operation, Priority};
use syncline_model::time::Hlc;
use syncline_rules::{Answer, Facts, Subject, Verdict, judge, moves_below, place_in, visible};

use crate::feed::Feed;
use crate::held::{Arrival, Waiting};
use crate::item::{ChangeItem, Item};
use crate::page::Page;
use crate::sent::{Form, Passing};

/// Bounds how much of the log after a move is asked whether anything left the moved context since.
const SCANNED_MAX: u64 = 4_096;
/// Bounds one push: a bulk is one, but a thousand small parts may each show a large document.
const PUSH_BYTES_MAX: usize = 32 << 20;

impl Feed {
    /// Judges one record, and puts what it means to this feed on the page.
    pub(crate) async fn take(&mut self, entry: Arc<Entry>, page: &mut Page) -> Result<(), Problem> {
        if !page.continues(&entry) {
            self.end_bulk(page);
            if !self.held.is_empty() {
                let now = if self.skims {
                    Duration::ZERO
                } else {
                    self.now()
                };
                self.tell_due(now, page).await?;
            }
        }
        let before = self.at;
        self.at = entry.position();
        page.begin_record(&entry, before);
        if self.workspace.faults().drop_event && entry.seq.0.is_multiple_of(50) {
            return Ok(());
        }
        let verdict = self.verdict(&entry.change);
        if self.moves_others(&entry).await? {
            let item = self.reset(ResetReason::Access);
            page.items.push(item);
            return Ok(());
        }
        match verdict {
            Verdict::Outside => return Ok(()),
            Verdict::Inside => self.inside(entry, before, page).await?,
            Verdict::Enters => self.enter(entry, page).await?,
            Verdict::Leaves => self.leave(entry, page),
        }
        // What was pushed of it is not more than this and one part.
        if page.bytes() > PUSH_BYTES_MAX && page.underway.is_some() {
            let item = self.reset(ResetReason::Limit);
            page.items.push(item);
        }
        Ok(())
    }

    /// Judges a change by scope and sight together: what a reader may not see any more has left,
    /// and what it may see now has come.
    fn verdict(&self, change: &Change) -> Verdict {
        let rules = &self.workspace.settings().rules;
        let sees = |subject| visible(&self.principal, &subject, rules);
        let is_new = matches!(change.kind, ChangeType::Create | ChangeType::Restore);
        let sees_after = sees(Subject::of_change(change));
        let saw_before = if is_new {
            sees_after
        } else {
            sees(Subject::before_change(change))
        };
        let verdict = judge(&self.scope, &self.inherited, change);
        let was_in = matches!(verdict, Verdict::Inside | Verdict::Leaves) && saw_before;
        let is_in = matches!(verdict, Verdict::Inside | Verdict::Enters) && sees_after;
        match (was_in, is_in) {
            (false, false) => Verdict::Outside,
            (true, true) => Verdict::Inside,
            (false, true) => Verdict::Enters,
            (true, false) => Verdict::Leaves,
        }
    }

    async fn inside(
        &mut self,
        entry: Arc<Entry>,
        before: Position,
        page: &mut Page,
    ) -> Result<(), Problem> {
        let change = &entry.change;
        if self.exclude.as_ref().is_some_and(|e| e.covers(change)) || !self.wants(&entry).await? {
            return Ok(());
        }
        let line = change.line();
        // What an earlier change did, which the filter did not let pass, is told with this one.
        let mask = &self.shape.mask;
        let shows = mask.meets_any(change) || self.sent.lags(&line, change.from, self.picks);
        if change.kind == ChangeType::Update && !shows {
            return Ok(());
        }
        if self.may_wait(change) {
            let arrival = Arrival {
                before,
                seq: entry.seq,
                from: change.from,
                weight: entry.weight(),
                change: entry.clone(),
            };
            let due = self.now() + self.coalesce.unwrap_or_default();
            self.held.hold(&line, arrival, due);
            return Ok(());
        }
        let waiting = self.held.release(&line);
        self.tell(entry, waiting.as_ref(), page).await
    }

    /// What makes, ends or restores a context, what is urgent, and bulks are never held back.
    fn may_wait(&self, change: &Change) -> bool {
        (self.coalesce.is_some() || self.skims)
            && change.kind == ChangeType::Update
            && change.bulk.is_none()
            && Some(change.priority) != Priority::new(1)
    }

    /// Says whether the filter lets a change pass, looking for its document only if it must.
    async fn wants(&self, entry: &Entry) -> Result<bool, Problem> {
        let change = &entry.change;
        match self.matcher.answer(&Facts::of_change(change)) {
            Answer::Yes => return Ok(true),
            Answer::No => return Ok(false),
            Answer::NeedsDocument => {}
        }
        let head = match change.effect {
            // Who follows what is active hears that it was deleted: what the deletion took is
            // looked at. It is the deletion's own, since the version before may have been thinned.
            Effect::Gone => {
                let (workspace, line) = (&self.workspace, change.line());
                let kept = workspace.kept_version(&self.principal, &line, change.version);
                kept.await?
            }
            Effect::Patch(_) | Effect::Snapshot(_) => self.as_of(entry).await?,
        };
        let document = head.as_ref().map(|head| &head.document);
        let facts = Facts::with_document(change, document);
        Ok(self.matcher.answer(&facts) == Answer::Yes)
    }

    /// Says whether a context is of the scope as it stands. A reader that asks for one again which
    /// is not must not be shown it: nothing would ever tell that it left.
    pub async fn covers(&self, head: &Head) -> Result<bool, Problem> {
        let place = self.workspace.place(head).await?;
        let (context, _) = head.address.of_line();
        Ok(place_in(&self.scope, &self.inherited, &context, &place))
    }

    /// Keeps those contexts that the filter lets pass as they are. Its terms on changes exclude
    /// none.
    pub(crate) async fn admitted(
        &self,
        contexts: Vec<Arc<Head>>,
    ) -> Result<Vec<Arc<Head>>, Problem> {
        if self.matcher.is_everything() {
            return Ok(contexts);
        }
        let mut admitted = Vec::with_capacity(contexts.len());
        for head in contexts {
            if self.admits(&head).await? {
                admitted.push(head);
            }
        }
        Ok(admitted)
    }

    async fn admits(&self, head: &Head) -> Result<bool, Problem> {
        let place = self.workspace.place(head).await?;
        let change = standing(head, place);
        let facts = Facts::of_context(&change, &head.document);
        Ok(self.matcher.admits(&facts))
    }

    async fn enter(&mut self, entry: Arc<Entry>, page: &mut Page) -> Result<(), Problem> {
        let Some(head) = self.as_of(&entry).await? else {
            return Ok(());
        };
        let change = &entry.change;
        let line = change.line();
        let facts = Facts::of_context(change, &head.document);
        if !self.matcher.admits(&facts) || !self.is_seen_today(&line).await? {
            return Ok(());
        }
        self.sent.note(&line, entry.seq, change.version);
        let cursor = change.bulk.is_none().then(|| self.place_to_keep());
        page.push(Item::Enter {
            head,
            entry,
            cursor,
        });
        Ok(())
    }

    /// A context that came into sight, and went out of it since, is not shown as it was.
    async fn is_seen_today(&self, line: &Address) -> Result<bool, Problem> {
        let rules = &self.workspace.settings().rules;
        let head = self.workspace.head_if_any(line).await?;
        Ok(head.is_none_or(|head| visible(&self.principal, &Subject::of_head(&head), rules)))
    }

    fn leave(&mut self, entry: Arc<Entry>, page: &mut Page) {
        let change = &entry.change;
        let line = change.line();
        self.held.release(&line);
        self.sent.forget(&line);
        let cursor = change.bulk.is_none().then(|| self.place_to_keep());
        page.push(Item::Leave { entry, cursor });
    }

    /// Tells what waited long enough by now, and what is too much to wait.
    pub(crate) async fn tell_due(&mut self, now: Duration, page: &mut Page) -> Result<(), Problem> {
        while !self.held.is_empty() && !page.is_full() && !self.over {
            let Some((_, waiting)) = self.held.take_due(now) else {
                break;
            };
            let several = (waiting.count > 1).then_some(&waiting);
            self.tell(waiting.newest.clone(), several, page).await?;
        }
        Ok(())
    }

    /// Puts a change on the page, made one with those that waited for it.
    async fn tell(
        &mut self,
        entry: Arc<Entry>,
        waited: Option<&Waiting<Arc<Entry>>>,
        page: &mut Page,
    ) -> Result<(), Problem> {
        let change = &entry.change;
        let line = change.line();
        let passing = Passing {
            seq: entry.seq,
            version: change.version,
            from: change.from,
            held: waited.map(|waiting| (waiting.first, waiting.from)),
        };
        let form = self.sent.form(&line, &passing);
        if form == Form::Known {
            return Ok(());
        }
        let Some((body, saved)) = self.body(&entry, form).await? else {
            return Ok(());
        };
        match change.effect {
            Effect::Gone => self.sent.forget(&line),
            _ => self.sent.note(&line, entry.seq, change.version),
        }
        let resume = self.resume_of(&entry);
        page.push(Item::Change(ChangeItem {
            entry,
            body,
            saved,
            resume,
        }));
        Ok(())
    }

    /// Returns the cursor to keep instead of the change's own, where that is another.
    fn resume_of(&self, entry: &Entry) -> Option<String> {
        if self.workspace.faults().ack_before_send {
            return Some(self.workspace.seal(&self.workspace.tail()));
        }
        let low = self.held.low(self.at);
        (low != entry.position()).then(|| self.workspace.seal(&low))
    }

    /// Says whether the change moved other contexts into or out of the scope with it, which no
    /// record of theirs tells: then the reader starts again from a snapshot.
    async fn moves_others(&self, entry: &Entry) -> Result<bool, Problem> {
        let change = &entry.change;
        if self.moves_a_line(change) {
            return Ok(true);
        }
        if !moves_below(&self.scope, change) {
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
            let changes = entries.iter().map(|entry| &entry.change);
            let before = changes
                .filter(|change| change.branch.is_none())
                .filter_map(|change| change.before.as_ref());
            if before.into_iter().any(|b| b.ancestors.contains(context)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says whether the line of ancestors of an `inherited` term is not what it was.
    fn moves_a_line(&self, change: &Change) -> bool {
        if change.branch.is_some() {
            return false;
        }
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
}

/// Returns a context as filters look at it: as if nothing but its being there were known.
fn standing(head: &Head, place: Place) -> Change {
    let (context, branch) = head.address.of_line();
    Change {
        id: head.change,
        kind: ChangeType::Update,
        context,
        branch,
        version: head.version,
        from: head.version,
        base: None,
        bulk: None,
        actor: head.actor.clone(),
        hlc: Hlc::default(),
        committed_at: head.updated_at,
        priority: Priority::default(),
        message: None,
        place,
        before: None,
        changed: Vec::new(),
        intent: Intent {
            operation: Operation::Merge,
            body: None,
            old: Vec::new(),
        },
        effect: Effect::Gone,
        outcome: Outcome::Applied,
        decisions: None,
        merges: None,
        conflicts: Vec::new(),
        detected: Vec::new(),
        blind: false,
        hash: head.hash,
    }
}
