//! One durable subscription: its window, the feed that fills it, and what is kept of it.
//!
//! All that is done to it is done by whoever calls, one at a time; between calls nothing runs, so a
//! subscription that nobody asks costs nothing. What a call decides is kept before anything of it
//! leaves the node: so counts hold over restarts, and what was acknowledged stays so.

use std::time::Duration;

use syncline_api::{Code, From, Problem, ResetReason};
use syncline_engine::{Entry, Principal, Told, Workspace};
use syncline_model::cursor::Position;
use syncline_model::ids::{Seq, Version, WorkspaceId};
use syncline_model::time::Timestamp;
use syncline_store::{Kept, KeptQuery};
use tokio::time::Instant;

use super::dead::{self, Letter};
use super::definition::Definition;
use super::saved::{Counts, Saved};
use super::standing::Standing;
use super::state::{Began, Beginning, State};
use super::units::{Cache, units, weight};
use super::window::{Consumer, Delivery, Touches, Unit, Window};
use crate::feed::{Feed, place_of};
use crate::item::Item;

/// The space of what is kept; its keys are the names.
const SPACE: &str = "durable";
/// Bounds a page that is read from the log.
const PAGE_ITEMS: usize = 256;
const PAGE_BYTES: usize = 1 << 20;
/// Bounds how long one call reads on, before others have their turn.
const TURN: Duration = Duration::from_millis(250);

/// What is delivered as one.
pub struct Given {
    /// Its place, sealed: what it is acknowledged by.
    pub cursor: String,
    /// How often it was delivered, this time included.
    pub delivery: u32,
    /// Its items: one, or a bulk's parts between begin and end.
    pub items: Vec<Item>,
}

/// What a consumer asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who asks.
    pub consumer: Consumer,
    /// At most so many changes; a bulk that has more passes alone.
    pub changes_max: usize,
    /// At most about so many bytes; one larger unit passes alone.
    pub bytes_max: usize,
}

/// What a subscription tells of itself.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// All up to here is acknowledged or given up.
    pub acknowledged: Position,
    /// Up to here the log was read.
    pub read: Position,
    /// Records between what is acknowledged and the end of the log.
    pub behind: u64,
    /// How old the oldest of them is, in milliseconds; none where there is none.
    pub behind_ms: Option<i64>,
    /// Changes that are delivered and not acknowledged.
    pub in_flight: usize,
    /// Units that were read and are not done.
    pub waiting: usize,
    /// Contexts that wait behind something stuck, and are read again later.
    pub deferred: usize,
    /// Deliveries since the start of the node.
    pub delivered: u64,
    /// Those of them that were not the first of theirs.
    pub redelivered: u64,
    /// Acknowledged since the start of the node.
    pub acked: u64,
    /// Dead letters that are kept.
    pub dead: usize,
    /// Dead letters that were forgotten since the start of the node: there were too many.
    pub dead_forgotten: u64,
    /// How many changes each consumer has.
    pub consumers: Vec<(Consumer, usize)>,
}

/// What a subscription counts since the start of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionCounts {
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Its name.
    pub name: String,
    /// Records between what is acknowledged and the end of the log.
    pub behind: u64,
    /// Changes that are delivered and not acknowledged.
    pub in_flight: usize,
    /// Units that were read and are not done.
    pub waiting: usize,
    /// Deliveries.
    pub delivered: u64,
    /// Those of them that were not the first of theirs.
    pub redelivered: u64,
    /// Acknowledged units.
    pub acked: u64,
    /// Dead letters that are kept.
    pub dead: usize,
    /// How often `where` had no value for a change, since its log was opened last.
    pub where_failed: u64,
}

/// A durable subscription at work.
pub(super) struct Subscription {
    workspace: Workspace,
    name: String,
    pub(super) version: Version,
    pub(super) definition: Definition,
    window: Window,
    /// What lies before it was not delivered by what is known today.
    began: Beginning,
    /// Taken out while it is used: a call that is given up drops it, and the next begins at the
    /// window's place.
    feed: Option<Feed>,
    cache: Cache,
    dead: usize,
    dead_forgotten: u64,
    delivered: u64,
    /// What the store has.
    kept: Option<State>,
}

impl Subscription {
    /// Takes up a subscription where it was left, or begins it.
    pub(super) async fn load(
        workspace: Workspace,
        name: &str,
        (version, seq): (Version, Seq),
        definition: Definition,
    ) -> Result<Subscription, Problem> {
        let query = KeptQuery {
            space: SPACE.to_owned(),
            prefix: name.to_owned(),
            after: None,
            limit: 1,
        };
        let kept = workspace.kept(&query).await?;
        let kept = kept.into_iter().find(|(key, _)| key == name);
        let known = kept
            .as_ref()
            .and_then(|(_, value)| State::from_bytes(value));
        let begin = |place, why| (Saved::at(place), Beginning { place, why });
        let (saved, began) = match &known {
            Some(state) if state.version == version => (state.saved.clone(), state.began),
            // What is defined anew begins at what was acknowledged.
            Some(state) => begin(state.saved.floor, Began::Defined),
            None => {
                let place = first_place(&workspace, &definition.from, seq).await?;
                begin(place, Began::Made)
            }
        };
        let mut subscription = Subscription {
            window: Window::new(definition.terms(), &saved),
            began,
            workspace,
            name: name.to_owned(),
            version,
            definition,
            feed: None,
            cache: Cache::default(),
            dead: 0,
            dead_forgotten: 0,
            delivered: 0,
            kept: known,
        };
        subscription.dead = subscription.count_dead().await?;
        for (before, seq, counts) in saved.again {
            subscription.put_back(before, seq, counts).await?;
        }
        subscription.keep(Vec::new()).await?;
        Ok(subscription)
    }

    async fn count_dead(&self) -> Result<usize, Problem> {
        let (mut count, mut after) = (0, None);
        loop {
            let page = dead::page(&self.workspace, &self.name, after, 1_000).await?;
            let Some(last) = page.last() else {
                return Ok(count);
            };
            after = Some(last.unit.seq);
            count += page.len();
        }
    }

    /// Goes by another definition, from what was acknowledged on.
    pub(super) async fn define(
        &mut self,
        version: Version,
        definition: Definition,
    ) -> Result<(), Problem> {
        let floor = self.window.acknowledged();
        self.version = version;
        self.window.set_terms(definition.terms());
        self.definition = definition;
        self.begin_at(floor, Began::Defined).await
    }

    async fn begin_at(&mut self, place: Position, why: Began) -> Result<(), Problem> {
        self.window.begin_at(place);
        self.began = Beginning { place, why };
        (self.feed, self.cache) = (None, Cache::default());
        self.keep(Vec::new()).await
    }

    /// Begins again at another place; what is in flight is forgotten.
    pub(super) async fn seek(&mut self, from: &From) -> Result<(), Problem> {
        let place = place_of(&self.workspace, from).await?;
        self.begin_at(place, Began::Moved).await
    }

    /// Delivers what is there, reading on as far as that takes.
    pub(super) async fn take(
        &mut self,
        principal: &Principal,
        asked: &Asked,
    ) -> Result<Vec<Given>, Problem> {
        let began = Instant::now();
        let mut taken = Vec::new();
        let mut bytes = 0;
        loop {
            let now = self.workspace.now();
            self.window.expire(now);
            let room = asked.changes_max.saturating_sub(taken.len());
            let more = self.window.take(&asked.consumer, room, now);
            let full = self
                .collect(principal, more, asked, (&mut taken, &mut bytes))
                .await?;
            let time = began.elapsed() < TURN;
            if full || taken.len() >= asked.changes_max || !time {
                break;
            }
            match self.read_on(principal).await {
                Ok(true) => {}
                Ok(false) => break,
                // What was taken must not stay in nobody's hands; who asks again hears of it.
                Err(_) if !taken.is_empty() => break,
                Err(problem) => return Err(problem),
            }
        }
        self.keep(Vec::new()).await?;
        self.delivered += taken.len() as u64;
        for given in taken.iter().filter(|given| given.delivery == 1) {
            self.count(Told::Delivered, &given.items);
        }
        Ok(taken)
    }

    fn count(&self, what: Told, items: &[Item]) {
        let entries = items.iter().filter_map(Item::entry);
        self.workspace
            .count_told(what, entries.map(|entry| &**entry));
    }

    /// Fetches what was taken; says whether no more fits.
    async fn collect(
        &mut self,
        principal: &Principal,
        more: Vec<Delivery>,
        asked: &Asked,
        (taken, bytes): (&mut Vec<Given>, &mut usize),
    ) -> Result<bool, Problem> {
        let mut more = more.into_iter();
        while let Some(delivery) = more.next() {
            let unit = &delivery.unit;
            let items = match self.cache.take(unit.seq) {
                Some(items) => items,
                None => match self.read_again(principal, unit).await {
                    Ok(items) => items,
                    // This delivery has failed; the others were none yet.
                    Err(problem) => {
                        let rest: Vec<Seq> = more.map(|delivery| delivery.unit.seq).collect();
                        self.window.untake(&rest);
                        return if taken.is_empty() {
                            Err(problem)
                        } else {
                            Ok(true)
                        };
                    }
                },
            };
            if items.is_empty() {
                // Nobody may see it today, or the filter has changed.
                self.window.forget(unit.seq);
                continue;
            }
            let weight = weight(&items);
            if !taken.is_empty() && *bytes + weight > asked.bytes_max {
                self.cache.put(unit.seq, items);
                let rest = more.map(|delivery| delivery.unit.seq);
                let back: Vec<Seq> = std::iter::once(unit.seq).chain(rest).collect();
                self.window.untake(&back);
                return Ok(true);
            }
            *bytes += weight;
            taken.push(Given {
                cursor: self.workspace.seal(&unit.place(self.workspace.epoch())),
                delivery: delivery.delivery,
                items,
            });
        }
        Ok(*bytes >= asked.bytes_max)
    }

    /// Reads one unit again from the log, with the filter and the rights of now.
    async fn read_again(&self, principal: &Principal, unit: &Unit) -> Result<Vec<Item>, Problem> {
        if unit.touches == Touches::All {
            return Ok(vec![Item::Reset(ResetReason::Access)]);
        }
        let from = From::Cursor(self.workspace.seal(&unit.before));
        let request = self.definition.request_from(from);
        let (mut feed, opening) =
            Feed::open(self.workspace.clone(), principal.clone(), request).await?;
        while opening.recovered && feed.place().seq < unit.seq && feed.is_hungry() {
            let before = feed.place();
            let items = feed.next_page(1, PAGE_BYTES).await?;
            let read = units(&self.workspace, items, before, feed.place())?;
            if let Some(read) = read.into_iter().find(|read| read.unit.seq == unit.seq) {
                return Ok(read.items);
            }
        }
        Ok(Vec::new())
    }

    /// Reads a page on; says whether anything was read.
    async fn read_on(&mut self, principal: &Principal) -> Result<bool, Problem> {
        if let Some(from) = self.window.begin_refill() {
            self.refill(principal, from).await?;
            return Ok(true);
        }
        if !self.window.has_room() {
            return Ok(false);
        }
        let mut feed = match self.feed.take() {
            Some(feed) => feed,
            None => match self.open(principal).await? {
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

    /// Opens the feed at the window's place. Where that is no more, the consumer is told, and all
    /// goes on from the end of the log: what was before is for it to read anew.
    async fn open(&mut self, principal: &Principal) -> Result<Option<Feed>, Problem> {
        let place = self.window.reads_from();
        let request = self
            .definition
            .request_from(From::Cursor(self.workspace.seal(&place)));
        let opened = Feed::open(self.workspace.clone(), principal.clone(), request).await?;
        let (feed, opening) = opened;
        if opening.recovered {
            return Ok(Some(feed));
        }
        let floor = self.window.acknowledged();
        let now = feed.place();
        self.window.begin_at(now);
        self.began = Beginning {
            place: now,
            why: Began::Reset,
        };
        self.cache = Cache::default();
        self.window.offer(Unit {
            seq: now.seq,
            tag: now.tag,
            before: floor,
            touches: Touches::All,
            changes: 1,
        });
        let reason = opening.reason.unwrap_or(ResetReason::Epoch);
        self.cache.put(now.seq, vec![Item::Reset(reason)]);
        Ok(None)
    }

    /// Reads again what was put off, until nothing more of it fits.
    async fn refill(&mut self, principal: &Principal, from: Position) -> Result<(), Problem> {
        let until = self.window.reads_from().seq;
        let request = self
            .definition
            .request_from(From::Cursor(self.workspace.seal(&from)));
        let (mut feed, opening) =
            Feed::open(self.workspace.clone(), principal.clone(), request).await?;
        let mut fits = opening.recovered;
        while fits && feed.place().seq < until && !feed.is_over() {
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

    /// Acknowledges: all that the consumer has up to a place, or single units.
    pub(super) async fn ack(
        &mut self,
        principal: &Principal,
        consumer: &Consumer,
        up_to: Option<Position>,
        each: &[Position],
    ) -> Result<usize, Problem> {
        self.catch_up(principal).await?;
        let mut acked = 0;
        if let Some(place) = up_to {
            acked += self.window.ack_to(consumer, place.seq);
            // Whoever has the cursor of a first delivery was given it, under whatever name.
            if acked == 0
                && let Some(holder) = self.window.first_holder(place.seq)
            {
                acked += self.window.ack_to(&holder, place.seq);
            }
        }
        let each: Vec<Seq> = each.iter().map(|place| place.seq).collect();
        acked += self.window.ack_each(&each);
        self.keep(Vec::new()).await?;
        Ok(acked)
    }

    /// Comes to where it was before a restart: until then it is not known what is done.
    async fn catch_up(&mut self, principal: &Principal) -> Result<(), Problem> {
        while self.window.is_replaying() && self.read_on(principal).await? {}
        Ok(())
    }

    /// Gives one unit back, to come again after a delay.
    pub(super) async fn nack(
        &mut self,
        place: Position,
        delay_ms: i64,
        reason: &str,
    ) -> Result<bool, Problem> {
        let until = Timestamp(self.workspace.now().0.saturating_add(delay_ms));
        let there = self.window.nack(place.seq, until, reason);
        self.keep(Vec::new()).await?;
        Ok(there)
    }

    /// Gives a consumer the whole time again. Nothing of that is kept: a restart begins it anew.
    pub(super) fn extend(&mut self, consumer: &Consumer, place: Option<Position>) -> usize {
        let now = self.workspace.now();
        self.window.expire(now);
        self.window
            .extend(consumer, place.map(|place| place.seq), now)
    }

    /// Takes back what a consumer has.
    pub(super) async fn leave(&mut self, consumer: &Consumer) -> Result<(), Problem> {
        self.window.leave(consumer);
        self.keep(Vec::new()).await
    }

    /// Keeps what has changed, with all that was given up.
    async fn keep(&mut self, mut values: Vec<Kept>) -> Result<(), Problem> {
        let now = self.workspace.now();
        let dead = self.window.take_dead();
        values.extend(dead.iter().map(|dead| dead::kept(&self.name, dead, now)));
        let over = (self.dead + dead.len()).saturating_sub(dead::DEAD_MAX);
        if over > 0 {
            let oldest = dead::page(&self.workspace, &self.name, None, over).await?;
            let forgotten = oldest
                .iter()
                .map(|letter| dead::key(&self.name, letter.unit.seq));
            values.extend(forgotten.map(|key| Kept::forget(dead::SPACE, key)));
            self.dead_forgotten += oldest.len() as u64;
            self.dead -= oldest.len();
        }
        self.dead += dead.len();
        let state = State {
            version: self.version,
            began: self.began,
            saved: self.window.saved(),
        };
        if values.is_empty() && self.kept.as_ref() == Some(&state) {
            return Ok(());
        }
        values.push(Kept::put(SPACE, &*self.name, state.to_bytes()));
        self.workspace.keep(values).await?;
        self.kept = Some(state);
        for dead in &dead {
            self.workspace.count_told_at(Told::Failed, dead.unit.seq);
        }
        Ok(())
    }

    /// Reads a page of dead letters.
    pub(super) async fn letters(
        &mut self,
        after: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<(String, Letter)>, Problem> {
        self.window.expire(self.workspace.now());
        self.keep(Vec::new()).await?;
        let letters = dead::page(&self.workspace, &self.name, after, limit).await?;
        let epoch = self.workspace.epoch();
        let sealed = |letter: Letter| (self.workspace.seal(&letter.unit.place(epoch)), letter);
        Ok(letters.into_iter().map(sealed).collect())
    }

    /// Delivers a dead letter once more.
    pub(super) async fn replay(&mut self, place: Position) -> Result<(), Problem> {
        let letter = dead::one(&self.workspace, &self.name, &place).await?;
        let Some(letter) = letter else {
            let detail = "there is no dead letter with this cursor";
            return Err(Problem::new(Code::NotFound, detail));
        };
        let counts = Counts {
            deliveries: letter.deliveries,
            failures: 0,
        };
        let key = dead::key(&self.name, letter.unit.seq);
        self.window.again(letter.unit, counts);
        self.dead = self.dead.saturating_sub(1);
        self.keep(vec![Kept::forget(dead::SPACE, key)]).await
    }

    /// Puts back what was taken back from the dead before a restart.
    async fn put_back(
        &mut self,
        before: Position,
        seq: Seq,
        counts: Counts,
    ) -> Result<(), Problem> {
        let owner = Principal::owner();
        let from = From::Cursor(self.workspace.seal(&before));
        let request = self.definition.request_from(from);
        let (mut feed, opening) = Feed::open(self.workspace.clone(), owner, request).await?;
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

    /// Forgets all that is kept.
    pub(super) async fn forget(&mut self) -> Result<(), Problem> {
        loop {
            let page = dead::page(&self.workspace, &self.name, None, 1_000).await?;
            if page.is_empty() {
                let state = Kept::forget(SPACE, &*self.name);
                return self.workspace.keep(vec![state]).await;
            }
            let keys = page
                .iter()
                .map(|letter| dead::key(&self.name, letter.unit.seq));
            let values = keys.map(|key| Kept::forget(dead::SPACE, key)).collect();
            self.workspace.keep(values).await?;
        }
    }

    /// Tells how it is.
    pub(super) async fn inspect(&mut self) -> Result<Inspection, Problem> {
        let now = self.workspace.now();
        self.window.expire(now);
        self.keep(Vec::new()).await?;
        let acknowledged = self.window.acknowledged();
        let same = acknowledged.epoch == self.workspace.epoch();
        let tail = self.workspace.tail().seq.0;
        let behind = tail.saturating_sub(if same { acknowledged.seq.0 } else { 0 });
        let oldest = match behind {
            0 => None,
            _ => match self.workspace.read_log(Seq(tail - behind), 1).await {
                Ok(mut next) => next.pop(),
                // How late it is, is not known then; all else is, and asked for just now.
                Err(problem) if problem.code == Code::Rot => None,
                Err(problem) => return Err(problem),
            },
        };
        Ok(Inspection {
            acknowledged,
            read: self.window.reads_from(),
            behind,
            behind_ms: oldest.map(|entry| now.0 - entry.change.committed_at.0),
            in_flight: self.window.in_flight(),
            waiting: self.window.held().len(),
            deferred: self.window.deferred(),
            delivered: self.delivered,
            redelivered: self.window.redelivered(),
            acked: self.window.acked(),
            dead: self.dead,
            dead_forgotten: self.dead_forgotten,
            consumers: self.window.consumers().into_iter().collect(),
        })
    }

    /// Returns how many dead letters there are.
    pub(super) fn dead(&self) -> usize {
        self.dead
    }

    /// Counts, without a look at the store.
    pub(super) fn counts(&self) -> SubscriptionCounts {
        let acknowledged = self.window.acknowledged();
        let same = acknowledged.epoch == self.workspace.epoch();
        let from = if same { acknowledged.seq.0 } else { 0 };
        SubscriptionCounts {
            workspace: self.workspace.id().clone(),
            name: self.name.clone(),
            behind: self.workspace.tail().seq.0.saturating_sub(from),
            in_flight: self.window.in_flight(),
            waiting: self.window.held().len(),
            delivered: self.delivered,
            redelivered: self.window.redelivered(),
            acked: self.window.acked(),
            dead: self.dead,
            where_failed: self.feed.as_ref().map_or(0, Feed::where_failed),
        }
    }

    /// Tells how one record stands: as it is held, or as a dead letter.
    pub(super) async fn standing(
        &mut self,
        entry: &Entry,
    ) -> Result<(Standing, Option<Letter>), Problem> {
        self.window.expire(self.workspace.now());
        self.keep(Vec::new()).await?;
        let (workspace, name) = (&self.workspace, &self.name);
        let letter = match entry.change.bulk {
            None => dead::one(workspace, name, &entry.position()).await?,
            Some(_) => dead::of_bulk(workspace, name, entry.seq).await?,
        };
        Ok((self.standing_of(entry), letter))
    }

    fn standing_of(&self, entry: &Entry) -> Standing {
        let (seq, began) = (entry.seq, &self.began);
        let epoch = self.workspace.epoch();
        if self.window.reads_from().epoch != epoch {
            // Places of another life of the log say nothing of this one's.
            return Standing::NotRead;
        }
        let unit = match entry.change.bulk {
            None => seq,
            Some(_) => self.window.unit_of(seq).unwrap_or(seq),
        };
        let is_before = began.place.epoch == epoch && seq <= began.place.seq;
        match self.window.standing(unit) {
            // What stands at that place itself is the reset.
            _ if is_before && began.why == Began::Reset => Standing::Before(began.why),
            Standing::Done if is_before => Standing::Before(began.why),
            standing => standing,
        }
    }

    /// Returns when something happens by itself.
    pub(super) fn due(&self) -> Option<Duration> {
        let due = self.window.next_due()?.0 - self.workspace.now().0;
        Some(Duration::from_millis(u64::try_from(due).unwrap_or(0)))
    }
}

/// Finds where a new subscription begins.
async fn first_place(workspace: &Workspace, from: &From, seq: Seq) -> Result<Position, Problem> {
    match from {
        From::Now | From::Snapshot => {
            let place = workspace.place_after(seq).await?;
            Ok(place.unwrap_or_else(|| workspace.tail()))
        }
        from => place_of(workspace, from).await,
    }
}
