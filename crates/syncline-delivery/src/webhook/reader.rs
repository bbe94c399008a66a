//! How a webhook reads the log: a feed whose items become events.

use std::sync::Arc;

use syncline_api::{ContextView, Filters, From, Problem, ResetReason, Scope};
use syncline_engine::{Entry, Principal, Workspace};
use syncline_model::cursor::Position;
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId, Seq};
use syncline_model::json::JsonWriter;

use crate::feed::{Feed, FeedRequest};
use crate::item::Item;
use crate::webhook::definition::{Definition, WEBHOOK_KIND};
use crate::webhook::event::{self, Message};
use crate::webhook::state::{About, Slot};

/// Bounds the bytes of a page: events are sent soon, and made again where they are not.
const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Reads a webhook's share of the log.
#[derive(Clone)]
pub struct Reader {
    workspace: Workspace,
    principal: Principal,
    definition: Arc<Definition>,
}

/// An event as it was read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Which.
    pub slot: Slot,
    /// Its `webhook-id`.
    pub id: ChangeId,
    /// What it is kept in order with.
    pub context: Option<Address>,
    /// What is posted.
    pub message: Message,
}

/// An event that was made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remade {
    /// So it reads today.
    As(Message),
    /// The log does not hold it any more.
    Gone,
    /// There is nothing to tell any more; [`Reader::why_not`] says why.
    Nothing,
}

/// Why there is nothing to tell of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untold {
    /// Its context is not in the scope.
    Scope,
    /// The filter does not let it pass.
    Filter,
    /// It is about a webhook's definition.
    Webhook,
    /// The log does not have it any more.
    Gone,
    /// It may not be seen any more, or an older node did not note why.
    Unknown,
}

impl Untold {
    /// Says it in words; these are kept in delivery logs.
    pub fn words(self) -> &'static str {
        match self {
            Untold::Scope => "its context is outside of the scope",
            Untold::Filter => "the filter does not let it pass",
            Untold::Webhook => "a webhook is told nothing of webhooks",
            Untold::Gone => "the log does not hold it any more",
            Untold::Unknown => "nothing was left to send",
        }
    }

    /// Reads the words back.
    pub fn of_words(words: &str) -> Untold {
        let all = [Untold::Scope, Untold::Filter, Untold::Webhook, Untold::Gone];
        let found = all.into_iter().find(|one| one.words() == words);
        found.unwrap_or(Untold::Unknown)
    }
}

/// A way along the log that goes on.
pub struct Way {
    feed: Feed,
}

impl Reader {
    /// Reads for a definition, as its owner may.
    pub fn new(workspace: Workspace, principal: Principal, definition: Arc<Definition>) -> Reader {
        Reader {
            workspace,
            principal,
            definition,
        }
    }

    /// Goes on from a place; where it is no more, from the end of the log, and says why.
    pub async fn open(&self, cursor: &str) -> Result<(Way, Option<ResetReason>), Problem> {
        let (feed, opening) = self.feed(From::Cursor(cursor.to_owned())).await?;
        if let Some(reason) = opening.reason {
            let (feed, _) = self.feed(From::Now).await?;
            return Ok((Way { feed }, Some(reason)));
        }
        Ok((Way { feed }, None))
    }

    /// Goes on after a record; where that is no more, as [`Reader::open`].
    pub async fn open_after(&self, seq: Seq) -> Result<(Way, Option<ResetReason>), Problem> {
        let cursor = self.cursor_after(seq).await?;
        self.open(&cursor).await
    }

    /// Returns the place after a record, sealed.
    pub async fn cursor_after(&self, seq: Seq) -> Result<String, Problem> {
        let position = match seq {
            Seq::ZERO => Some(self.beginning()),
            seq => self.entry(seq).await?.map(|entry| entry.position()),
        };
        let position = position.ok_or_else(|| Problem::reset(ResetReason::Compacted))?;
        Ok(self.workspace.seal(&position))
    }

    fn beginning(&self) -> Position {
        Position {
            epoch: self.workspace.epoch(),
            seq: Seq::ZERO,
            tag: Default::default(),
        }
    }

    async fn entry(&self, seq: Seq) -> Result<Option<Arc<Entry>>, Problem> {
        let before = Seq(seq.0.saturating_sub(1));
        let entries = self.workspace.read_log(before, 1).await?;
        Ok(entries.into_iter().find(|entry| entry.seq == seq))
    }

    async fn feed(&self, from: From) -> Result<(Feed, crate::feed::Opening), Problem> {
        let definition = &self.definition;
        let request = FeedRequest {
            filter: definition.filter.clone(),
            condition: definition.condition.clone(),
            mode: definition.mode,
            ..FeedRequest::new(definition.scope.clone(), from)
        };
        Feed::open(self.workspace.clone(), self.principal.clone(), request).await
    }

    /// Reads on, about so many events; a bulk comes whole. None means that the way is at the tail.
    pub async fn read(&self, way: &mut Way, limit: usize) -> Result<Vec<Reading>, Problem> {
        let items = way.feed.next_page(limit, PAGE_BYTES_MAX).await?;
        let mut readings = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::Reset(reason) => {
                    // In a bulk it goes on amid that: before it stands the same reset.
                    let cursor = self.workspace.seal(&way.feed.place());
                    readings.push(self.reset(reason, &cursor).await?);
                    let (next, again) = match reason {
                        // The feed's own place is good: it only cannot say what moved along.
                        ResetReason::Access | ResetReason::Limit => self.open(&cursor).await?,
                        _ => (
                            Way {
                                feed: self.feed(From::Now).await?.0,
                            },
                            None,
                        ),
                    };
                    *way = next;
                    if let Some(reason) = again {
                        let cursor = way.feed.cursor();
                        readings.push(self.reset(reason, &cursor).await?);
                    }
                    break;
                }
                item => readings.extend(self.reading(item)),
            }
        }
        Ok(readings)
    }

    /// Makes the event that tells of a place that is no more.
    pub async fn reset(&self, reason: ResetReason, cursor: &str) -> Result<Reading, Problem> {
        let place = self.workspace.position_of(cursor)?.seq;
        let slot = Slot {
            seq: place,
            about: About::Reset(reason),
        };
        let id = match self.entry(place).await? {
            Some(entry) => entry.change.id.derive("webhook/reset"),
            None => ChangeId::from_parts(0, &[0; 10]).derive(cursor),
        };
        Ok(self.reset_of(slot, id, reason, cursor))
    }

    /// Makes the event that tells, up to a place, that the log does not hold any more what was to be
    /// sent; `first` is such a change. It has an id of its own for each: a receiver that knows an id
    /// passes over it.
    pub fn gone(&self, first: ChangeId, cursor: &str) -> Result<Reading, Problem> {
        let reason = ResetReason::Compacted;
        let slot = Slot {
            seq: self.workspace.position_of(cursor)?.seq,
            about: About::Reset(reason),
        };
        Ok(self.reset_of(slot, first.derive("webhook/gone"), reason, cursor))
    }

    fn reset_of(&self, slot: Slot, id: ChangeId, reason: ResetReason, cursor: &str) -> Reading {
        let (workspace, now) = (self.workspace.id(), self.workspace.now());
        Reading {
            slot,
            id,
            context: None,
            message: event::of_reset(workspace, &id.to_string(), reason, cursor, now),
        }
    }

    /// Makes an event again: by what the log, the scope and the rights say today.
    pub async fn again(&self, slot: Slot, id: ChangeId) -> Result<Remade, Problem> {
        if let About::Reset(reason) = slot.about {
            let cursor = self.cursor_after(slot.seq).await;
            // The record may be gone too: then the end of the log is where to go on from.
            let cursor = cursor.unwrap_or_else(|_| self.workspace.seal(&self.workspace.tail()));
            return Ok(Remade::As(self.reset_of(slot, id, reason, &cursor).message));
        }
        let Some(before) = slot.seq.0.checked_sub(1) else {
            return Ok(Remade::Nothing);
        };
        let (mut way, moved) = match self.open_after(Seq(before)).await {
            Ok(opened) => opened,
            Err(problem) if problem.reason == Some(ResetReason::Compacted) => {
                return Ok(Remade::Gone);
            }
            Err(problem) => return Err(problem),
        };
        if moved.is_some() {
            return Ok(Remade::Gone);
        }
        let items = way.feed.next_page(1, PAGE_BYTES_MAX).await?;
        let place = way.feed.place();
        if let ([.., Item::Reset(reason)], true) = (items.as_slice(), place.seq == slot.seq) {
            // It came to move others too: what it says now is that they are to be read anew.
            let cursor = self.workspace.seal(&place);
            return Ok(Remade::As(
                self.reset_of(slot, id, *reason, &cursor).message,
            ));
        }
        let mut readings = items.into_iter().filter_map(|item| self.reading(item));
        let found = readings.find(|reading| reading.slot == slot && reading.id == id);
        Ok(found.map_or(Remade::Nothing, |reading| Remade::As(reading.message)))
    }

    /// Says why [`Reader::again`] finds nothing to tell of a change: what it would tell without the
    /// filter, and without the scope too, says by which of them.
    pub async fn why_not(&self, slot: Slot, id: ChangeId) -> Result<Untold, Problem> {
        let entry = match self.entry(slot.seq).await {
            Err(problem) if problem.reason == Some(ResetReason::Compacted) => None,
            entry => entry?,
        };
        let Some(entry) = entry.filter(|entry| entry.change.id == id) else {
            return Ok(Untold::Gone);
        };
        if entry.change.context.kind() == WEBHOOK_KIND {
            return Ok(Untold::Webhook);
        }
        let asked = &self.definition;
        let unfiltered = Definition {
            filter: Filters::default(),
            condition: None,
            ..Definition::clone(asked)
        };
        let unscoped = Definition {
            scope: Scope::workspace(),
            ..unfiltered.clone()
        };
        for (definition, why) in [(unfiltered, Untold::Filter), (unscoped, Untold::Scope)] {
            let (workspace, principal) = (self.workspace.clone(), self.principal.clone());
            let reader = Reader::new(workspace, principal, Arc::new(definition));
            if let Remade::As(_) = reader.again(slot, id).await? {
                return Ok(why);
            }
        }
        Ok(Untold::Unknown)
    }

    fn reading(&self, item: Item) -> Option<Reading> {
        let workspace = self.workspace.id();
        let (entry, message) = match item {
            Item::Change(item) => {
                let message = event::of_change(workspace, &item.entry, item.body());
                (item.entry, message)
            }
            Item::Enter { head, entry, .. } => {
                let context = self.context_text(&head);
                let message = event::of_enter(workspace, &entry.change, &head, &context);
                (entry, message)
            }
            Item::Leave { entry, .. } => {
                let message = event::of_leave(workspace, &entry.change);
                (entry, message)
            }
            Item::Begin { .. } | Item::End { .. } | Item::Lagging => return None,
            // Ways are never opened with a snapshot, and resets are handled before.
            Item::Snapshot { .. } | Item::Reset(_) => return None,
        };
        // Where others post to is no endpoint's business: a URL may be all that guards its owner.
        if entry.change.context.kind() == WEBHOOK_KIND {
            return None;
        }
        Some(Reading {
            slot: Slot {
                seq: entry.seq,
                about: About::Change,
            },
            id: entry.change.id,
            context: Some(entry.change.context.clone()),
            message,
        })
    }

    fn context_text(&self, head: &Head) -> String {
        let mut w = JsonWriter::with_capacity(512);
        ContextView::from_head(head, self.principal.reads_all()).write(&mut w);
        w.into_string()
    }
}

impl Way {
    /// Returns the place up to which all was read.
    pub fn cursor(&self) -> String {
        self.feed.cursor()
    }

    /// Returns the place up to which all was judged.
    pub fn place(&self) -> Position {
        self.feed.place()
    }

    /// Returns how often `where` had no value for a change.
    pub fn where_failed(&self) -> u64 {
        self.feed.where_failed()
    }

    /// Returns how many records lie between here and the tail.
    pub fn behind(&self) -> u64 {
        self.feed.behind()
    }
}
