//! How a durable subscription reads the log: on, again, and from where it was before a restart.

use std::sync::Arc;

use syncline_api::{From, Problem, ResetReason};
use syncline_engine::{Principal, Told};
use syncline_model::cursor::{Position, Tag8};
use syncline_model::ids::Seq;

use super::saved::Counts;
use super::state::{Began, Beginning};
use super::subscription::Subscription;
use super::units::{Cache, Read as UnitRead, units};
use super::window::{Touches, Unit};
use crate::feed::{Feed, Opening};
use crate::item::Item;

/// Bounds a page that is read from the log.
const PAGE_ITEMS: usize = 256;
const PAGE_BYTES: usize = 1 << 20;
/// Why something that was taken back from the dead is given up again.
pub(super) const COMPACTED: &str = "what it said was compacted away";

impl Subscription {
    /// Reads a page on; says whether anything was read.
    pub(super) async fn read_on(&mut self, principal: &Principal) -> Result<bool, Problem> {
        if let Some(from) = self.window.begin_refill() {
            self.refill(principal, from).await?;
            return Ok(true);
        }
        if !self.window.has_room() {
            return Ok(false);
        }
        let mut feed = match self.feed.take() {
            Some(feed) => feed,
            None => match self.open(principal, self.window.reads_from()).await? {
                Some(feed) => feed,
                None => return Ok(true),
            },
        };
        if !feed.is_hungry() {
            self.feed = Some(feed);
            return Ok(false);
        }
        let before = feed.place();
        let items = feed.next_page(PAGE_ITEMS, PAGE_BYTES).await?;
        let at = feed.place();
        for read in units(&self.workspace, items, before, at)? {
            let seq = read.unit.seq;
            self.count(Told::Wanted, &read.items);
            self.window.offer(read.unit);
            if self.window.holds(seq) {
                self.cache.put(seq, read.items);
            }
        }
        self.window.read_to(at);
        self.feed = (!feed.is_over()).then_some(feed);
        Ok(true)
    }

    /// Opens a feed at a place; none where that is no more, of which the consumer is told.
    async fn open(
        &mut self,
        principal: &Principal,
        place: Position,
    ) -> Result<Option<Feed>, Problem> {
        let request = self
            .definition
            .request_from(From::Cursor(self.workspace.seal(&place)));
        let opened = Feed::open(self.workspace.clone(), principal.clone(), request).await?;
        let (feed, opening) = opened;
        if opening.recovered {
            return Ok(Some(feed));
        }
        self.reset(opening.reason.unwrap_or(ResetReason::Epoch));
        Ok(None)
    }

    /// Tells the consumer that something before is no more, and goes on from the end of the log:
    /// what was before is for it to read anew.
    pub(super) fn reset(&mut self, reason: ResetReason) {
        let (floor, now) = (self.window.acknowledged(), self.workspace.tail());
        self.window.begin_at(now);
        self.began = Beginning {
            place: now,
            why: Began::Reset,
        };
        (self.feed, self.cache) = (None, Cache::default());
        self.window.offer(Unit {
            seq: now.seq,
            tag: now.tag,
            before: floor,
            touches: Touches::All,
            changes: 1,
        });
        self.cache.put(now.seq, vec![Item::Reset(reason)]);
    }

    /// Reads again what was put off, until nothing more of it fits.
    async fn refill(&mut self, principal: &Principal, from: Position) -> Result<(), Problem> {
        let until = self.window.reads_from().seq;
        let Some(mut feed) = self.open(principal, from).await? else {
            return Ok(());
        };
        let mut fits = true;
        while fits && feed.place().seq < until {
            if feed.is_over() {
                // A reset is one of what was put off; more may lie behind it.
                match self.open(principal, feed.place()).await? {
                    Some(next) => feed = next,
                    None => return Ok(()),
                }
            }
            let before = feed.place();
            let items = feed.next_page(PAGE_ITEMS, PAGE_BYTES).await?;
            for read in units(&self.workspace, items, before, feed.place())? {
                let seq = read.unit.seq;
                fits = fits && self.window.refill(read.unit);
                if self.window.holds(seq) {
                    self.cache.put(seq, read.items);
                }
            }
            if feed.place() == before {
                break;
            }
        }
        self.window.refilled();
        Ok(())
    }

    /// Reads one unit again from the log, with the filter and the rights of now.
    pub(super) async fn read_again(
        &self,
        principal: &Principal,
        unit: &Unit,
    ) -> Result<Read, Problem> {
        let from = From::Cursor(self.workspace.seal(&unit.before));
        let request = self.definition.request_from(from);
        let (mut feed, opening) =
            Feed::open(self.workspace.clone(), principal.clone(), request).await?;
        if unit.touches == Touches::All {
            let reason = opening.reason.unwrap_or(ResetReason::Access);
            return Ok(Read::Items(vec![Item::Reset(reason)]));
        }
        if !opening.recovered {
            return Ok(Read::gone(&opening));
        }
        while feed.place().seq < unit.seq && feed.is_hungry() {
            let before = feed.place();
            let items = feed.next_page(1, PAGE_BYTES).await?;
            let read = units(&self.workspace, items, before, feed.place())?;
            let is_it = |read: &UnitRead| {
                // A part of a bulk may have come to move others too: it ends there, with a reset.
                read.unit.seq == unit.seq || read.unit.touches == Touches::All
            };
            if let Some(read) = read.into_iter().find(is_it) {
                return Ok(Read::Items(read.items));
            }
        }
        Ok(Read::Items(Vec::new()))
    }

    /// Comes to where it was before a restart: until then it is not known what is done.
    pub(super) async fn catch_up(&mut self, principal: &Principal) -> Result<(), Problem> {
        while self.window.is_replaying() && self.read_on(principal).await? {}
        Ok(())
    }

    /// Puts back what was taken back from the dead before a restart.
    pub(super) async fn put_back(
        &mut self,
        before: Position,
        seq: Seq,
        counts: Counts,
    ) -> Result<(), Problem> {
        let owner = Principal::owner();
        let from = From::Cursor(self.workspace.seal(&before));
        let request = self.definition.request_from(from);
        let (mut feed, opening) = Feed::open(self.workspace.clone(), owner, request).await?;
        if !opening.recovered {
            // What it said is not known any more, but that it was given up is.
            let unit = Unit {
                seq,
                tag: Tag8::default(),
                before,
                touches: Touches::Contexts(Arc::new([])),
                changes: 1,
            };
            self.window.again(unit, counts);
            self.window.bury(seq, COMPACTED);
        }
        while opening.recovered && feed.place().seq < seq && feed.is_hungry() {
            let before = feed.place();
            let items = feed.next_page(1, PAGE_BYTES).await?;
            let read = units(&self.workspace, items, before, feed.place())?;
            if let Some(read) = read.into_iter().find(|read| read.unit.seq == seq) {
                self.window.again(read.unit, counts);
                return Ok(());
            }
        }
        Ok(())
    }
}

/// What was read of one unit again.
pub(super) enum Read {
    /// What it says; nothing where nobody may see it today, or the filter has changed.
    Items(Vec<Item>),
    /// Its place is no more.
    Gone(ResetReason),
}

impl Read {
    fn gone(opening: &Opening) -> Read {
        Read::Gone(opening.reason.unwrap_or(ResetReason::Epoch))
    }
}
