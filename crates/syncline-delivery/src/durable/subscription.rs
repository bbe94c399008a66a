//! One durable subscription: its window, the feed that fills it, and what is kept of it.
//!
//! All that is done to it is done by whoever calls, one at a time; between calls nothing runs, so a
//! subscription that nobody asks costs nothing. What a call decides is kept before anything of it
//! leaves the node: so counts hold over restarts, and what was acknowledged stays so.

use std::time::Duration;

use syncline_api::{Code, From, Problem};
use syncline_engine::{Entry, Principal, Told, Workspace};
use syncline_model::cursor::Position;
use syncline_model::ids::{Seq, Version, WorkspaceId};
use syncline_model::time::Timestamp;
use syncline_store::{Kept, KeptQuery};
use tokio::time::Instant;

use super::dead::{self, Letter};
use super::definition::Definition;
use super::fetch::{COMPACTED, Read};
use super::reading::is_behind;
use super::saved::{Counts, Saved};
use super::standing::Standing;
use super::state::{Began, Beginning, State};
use super::units::{Cache, weight};
use super::window::{Consumer, Dead, Delivery, Window};
use crate::feed::{Feed, place_of};
use crate::item::Item;

/// The space of what is kept; its keys are the names.
const SPACE: &str = "durable";
/// Bounds how long one call reads on, before others have their turn.
const TURN: Duration = Duration::from_millis(250);

/// What is delivered as one.
pub struct Given {
    /// Its place, sealed: what it is acknowledged by.
    pub cursor: String,
    /// How often it was delivered, this time included.
    pub delivery: u32,
    /// Its last record.
    pub(super) seq: Seq,
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
    pub(super) workspace: Workspace,
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) definition: Definition,
    pub(super) window: Window,
    /// What lies before it was not delivered by what is known today.
    pub(super) began: Beginning,
    /// Taken out while it is used: a call that is given up drops it, and the next begins at the
    /// window's place.
    pub(super) feed: Option<Feed>,
    pub(super) cache: Cache,
    pub(super) dead: usize,
    pub(super) dead_forgotten: u64,
    pub(super) delivered: u64,
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
            Some(state) => {
                let (saved, began) = begin(state.saved.floor, Began::Defined);
                let again = state.saved.again.iter().filter(|(before, seq, _)| {
                    // What lies behind the place is read anyway.
                    !is_behind(before, *seq, &saved.floor)
                });
                let again = again.cloned().collect();
                (Saved { again, ..saved }, began)
            }
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

    /// Takes what is there, reading on as far as that takes; [`Subscription::hand_over`] follows.
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
            let room = self
                .collect(principal, more, asked, (&mut taken, &mut bytes))
                .await?;
            let time = began.elapsed() < TURN;
            match room {
                // What was taken is told first.
                Room::Reset if taken.is_empty() => continue,
                Room::Reset | Room::None => break,
                Room::Some if taken.len() >= asked.changes_max || !time => break,
                Room::Some => {}
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
        Ok(taken)
    }

    /// Counts the first of what a consumer took as delivered, and puts the rest back as if it had
    /// never been taken.
    pub(super) async fn hand_over(
        &mut self,
        consumer: &Consumer,
        taken: &mut Vec<Given>,
        count: usize,
    ) -> Result<(), Problem> {
        let rest = taken.split_off(count.min(taken.len()));
        self.delivered += taken.len() as u64;
        for given in taken.iter().filter(|given| given.delivery == 1) {
            self.count(Told::Delivered, &given.items);
        }
        if rest.is_empty() {
            return Ok(());
        }
        let back: Vec<Seq> = rest.iter().map(|given| given.seq).collect();
        self.window.untake(consumer, &back);
        for given in rest {
            self.cache.put(given.seq, given.items);
        }
        self.keep(Vec::new()).await
    }

    pub(super) fn count(&self, what: Told, items: &[Item]) {
        let entries = items.iter().filter_map(Item::entry);
        self.workspace
            .count_told(what, entries.map(|entry| &**entry));
    }

    /// Fetches what was taken; says whether more fits.
    async fn collect(
        &mut self,
        principal: &Principal,
        more: Vec<Delivery>,
        asked: &Asked,
        (taken, bytes): (&mut Vec<Given>, &mut usize),
    ) -> Result<Room, Problem> {
        let mut more = more.into_iter();
        while let Some(delivery) = more.next() {
            let unit = &delivery.unit;
            let items = match self.cache.take(unit.seq) {
                Some(items) => items,
                None => match self.read_again(principal, unit).await {
                    Ok(Read::Items(items)) => items,
                    Ok(Read::Gone(_)) if self.window.is_again(unit.seq) => {
                        self.window.bury(unit.seq, COMPACTED);
                        continue;
                    }
                    Ok(Read::Gone(reason)) => {
                        self.reset(reason);
                        return Ok(Room::Reset);
                    }
                    // This delivery has failed; the others were none yet.
                    Err(problem) => {
                        let rest: Vec<Seq> = more.map(|delivery| delivery.unit.seq).collect();
                        self.window.untake(&asked.consumer, &rest);
                        return match taken.is_empty() {
                            true => Err(problem),
                            false => Ok(Room::None),
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
                self.window.untake(&asked.consumer, &back);
                return Ok(Room::None);
            }
            *bytes += weight;
            taken.push(Given {
                cursor: self.workspace.seal(&unit.place(self.workspace.epoch())),
                delivery: delivery.delivery,
                seq: unit.seq,
                items,
            });
        }
        Ok(match *bytes < asked.bytes_max {
            true => Room::Some,
            false => Room::None,
        })
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
    async fn keep(&mut self, values: Vec<Kept>) -> Result<(), Problem> {
        let dead = self.window.take_dead();
        let kept = self.keep_all(values, &dead).await;
        match kept {
            Ok(()) => dead
                .iter()
                .for_each(|dead| self.workspace.count_told_at(Told::Failed, dead.unit.seq)),
            // Nothing else knows of it: it is kept with what is kept next.
            Err(_) => self.window.return_dead(dead),
        }
        kept
    }

    async fn keep_all(&mut self, mut values: Vec<Kept>, dead: &[Dead]) -> Result<(), Problem> {
        let now = self.workspace.now();
        values.extend(dead.iter().map(|dead| dead::kept(&self.name, dead, now)));
        let state = State {
            version: self.version,
            began: self.began,
            saved: self.window.saved(),
        };
        if values.is_empty() && self.kept.as_ref() == Some(&state) {
            return Ok(());
        }
        // What was given up before, and again after the subscription was moved back, is one.
        let mut count = self.dead + dead.len();
        for dead in dead.iter().filter(|_| self.dead > 0) {
            let known = dead::is_kept(&self.workspace, &self.name, dead.unit.seq);
            count -= usize::from(known.await?);
        }
        let over = count.saturating_sub(dead::DEAD_MAX);
        let oldest = match over {
            0 => Vec::new(),
            _ => dead::page(&self.workspace, &self.name, None, over).await?,
        };
        let forgotten = oldest
            .iter()
            .map(|letter| dead::key(&self.name, letter.unit.seq));
        values.extend(forgotten.map(|key| Kept::forget(dead::SPACE, key)));
        values.push(Kept::put(SPACE, &*self.name, state.to_bytes()));
        self.workspace.keep(values).await?;
        self.dead = count - oldest.len();
        self.dead_forgotten += oldest.len() as u64;
        self.kept = Some(state);
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

    /// Delivers a dead letter once more, where it can still be read.
    pub(super) async fn replay(
        &mut self,
        principal: &Principal,
        place: Position,
    ) -> Result<(), Problem> {
        let letter = dead::one(&self.workspace, &self.name, &place).await?;
        let Some(letter) = letter else {
            let detail = "there is no dead letter with this cursor";
            return Err(Problem::new(Code::NotFound, detail));
        };
        match self.read_again(principal, &letter.unit).await? {
            Read::Gone(reason) => return Err(Problem::reset(reason)),
            Read::Items(items) if items.is_empty() => {
                let detail = "the filter and the rights of now do not let it through";
                return Err(Problem::new(Code::Invalid, detail));
            }
            Read::Items(_) => {}
        }
        let counts = Counts {
            deliveries: letter.deliveries,
            failures: 0,
        };
        let key = dead::key(&self.name, letter.unit.seq);
        self.window.again(letter.unit, counts);
        self.keep(vec![Kept::forget(dead::SPACE, key)]).await?;
        self.dead = self.dead.saturating_sub(1);
        Ok(())
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
                // How late it is, is not known where that is damaged or was compacted away; all
                // else is, and asked for just now.
                Err(problem) if matches!(problem.code, Code::Rot | Code::Reset) => None,
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

/// Forgets all that is kept of a name.
pub(super) async fn forget(workspace: &Workspace, name: &str) -> Result<(), Problem> {
    loop {
        let page = dead::page(workspace, name, None, 1_000).await?;
        if page.is_empty() {
            return workspace.keep(vec![Kept::forget(SPACE, name)]).await;
        }
        let keys = page.iter().map(|letter| dead::key(name, letter.unit.seq));
        let values = keys.map(|key| Kept::forget(dead::SPACE, key)).collect();
        workspace.keep(values).await?;
    }
}

/// Whether more fits what a consumer asked for.
enum Room {
    Some,
    None,
    /// The subscription begins again with a reset.
    Reset,
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
