//! The subscriptions of a connection: which are there, whose turn it is, and what they are told.

use std::time::Duration;

use syncline_api::{
    Code, ErrorMessage, Problem, Resync, Subscribe, change_opening, write_begin,
    write_change_message, write_end, write_enter, write_error, write_lagging, write_leave,
    write_reset, write_snapshot, write_subscribed,
};
use syncline_delivery::{Exclude, Feed, FeedRequest, Item, Shape, Turns};
use syncline_engine::{When, aside};
use syncline_model::head::Head;
use syncline_model::json::Pointer;
use tokio::time::Instant;

use super::frames::{FRAME_BYTES_MAX, Frames};
use super::session::Session;
use crate::live::Listed;
use crate::seats::Seat;

/// Bounds the pages that are taken before the peer is heard again.
const PAGES_MAX: usize = 128;
/// A peer that took nothing for so long is slow: what waits for it becomes less.
const SLOW: Duration = Duration::from_secs(1);

/// One subscription of the connection.
pub(super) struct Sub {
    pub id: String,
    /// What each of its changes begins with.
    opening: String,
    pub feed: Feed,
    /// The log may have more for it.
    pub hungry: bool,
    shape: Shape,
    /// Counts changes, enters and leaves, so that the client can prove that there is no hole.
    n: u64,
    turns: Turns,
    listed: Listed,
    /// Its place among those of its principal.
    _seat: Seat,
}

impl Session {
    pub(super) async fn subscribe(&mut self, subscribe: Subscribe) {
        let id = subscribe.id.clone();
        if let Err(problem) = self.try_subscribe(subscribe).await {
            self.error(Some(&id), &problem);
        }
    }

    /// Takes a place, if the connection has room for one more subscription, and its principal too.
    pub(super) fn take_seat(&self) -> Result<Seat, Problem> {
        let max = self.node.doors.limits.subscriptions_max;
        if self.subs.len() + self.durables.len() >= max {
            let detail = format!("a connection has at most {max} subscriptions");
            return Err(Problem::new(Code::TooMany, detail)
                .hint("unsubscribe one, or open another connection")
                .limit(max as u64, "max_subscriptions"));
        }
        self.node.seats.take(&self.principal.id)
    }

    async fn try_subscribe(&mut self, subscribe: Subscribe) -> Result<(), Problem> {
        if let Some(name) = subscribe.durable.clone() {
            return self.subscribe_durable(subscribe, &name).await;
        }
        let id = subscribe.id;
        if self.knows(&id) {
            return Err(there_already(&id));
        }
        let seat = self.take_seat()?;
        let request = FeedRequest {
            filter: subscribe.filter,
            condition: subscribe.condition,
            fields: subscribe.fields,
            mode: subscribe.mode,
            exclude_self: subscribe.exclude_self.then(|| Exclude {
                id: self.actor.id.clone(),
                agent: self.actor.agent.clone(),
                session: self.actor.session.clone(),
            }),
            old: subscribe.old,
            coalesce: subscribe
                .coalesce_ms
                .filter(|ms| *ms > 0)
                .map(Duration::from_millis),
            ..FeedRequest::new(subscribe.scope, subscribe.from)
        };
        let opened = Feed::open(self.workspace.clone(), self.principal.clone(), request).await;
        let (mut feed, opening) = opened.map_err(|problem| match problem.code {
            Code::BadCursor => problem.at(Pointer::from_static("/from/cursor")),
            _ => problem,
        })?;
        self.node.router.follow(&mut feed, &self.bell);
        self.frames.push(|w| {
            write_subscribed(w, &id, &opening.cursor, opening.recovered, opening.reason);
        });
        // Most connections have one, and a vector that grows by itself makes room for four.
        self.subs.reserve_exact(1);
        self.subs.push(Sub {
            shape: feed.shape(),
            listed: self.node.live.list(
                (&self.connection, &id),
                &self.workspace,
                &self.principal,
                &feed,
            ),
            opening: change_opening(&id),
            id,
            feed,
            n: 0,
            hungry: true,
            turns: Turns::default(),
            _seat: seat,
        });
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, id: &str) {
        if !self.knows(id) {
            return self.error(Some(id), &no_such_sub(id));
        }
        self.subs.retain(|sub| sub.id != id);
        self.durables.retain(|sub| sub.id != id);
    }

    /// Sends a context again, unless the client holds it as it is.
    pub(super) async fn resync(&mut self, resync: Resync) {
        let named = resync.sub.as_deref();
        let reference = resync.id.as_deref().or(named);
        let line = resync.context.line(resync.branch.as_ref());
        let head = match self.workspace.get(&self.principal, &line, When::Head).await {
            Ok(head) => head,
            Err(problem) => return self.error(reference, &problem),
        };
        let shape = match self.shape_of(named, &head).await {
            Ok(shape) => shape,
            Err(problem) => return self.error(reference, &problem),
        };
        let shown = (!is_held(&resync, &head)).then_some(&head);
        let frames = &mut self.frames;
        aside(head.document.weight(), || {
            frames.push(|w| {
                let contexts = |w: &mut _| {
                    if let Some(head) = shown {
                        shape.write_context(w, head);
                    }
                };
                write_snapshot(w, named, reference, contexts, true, None);
            });
        });
    }

    /// Returns how a subscription shows a context, which it then knows to be shown.
    async fn shape_of(&mut self, named: Option<&str>, head: &Head) -> Result<Shape, Problem> {
        let sub = self
            .subs
            .iter_mut()
            .find(|sub| Some(sub.id.as_str()) == named);
        // A subscription that is over may still be asked with.
        let Some(sub) = sub else {
            return Ok(Shape::whole(&self.principal));
        };
        if !sub.feed.covers(head).await? {
            let (context, id) = (&head.address, &sub.id);
            let detail = format!("context \"{context}\" is not in the scope of {id:?}");
            return Err(Problem::new(Code::NotFound, detail));
        }
        sub.feed.note_shown(head);
        Ok(sub.shape.clone())
    }

    /// Notes for which subscriptions there may be something.
    pub(super) fn wake(&mut self, has_news: impl Fn(&Feed) -> bool) {
        for sub in &mut self.subs {
            sub.hungry |= has_news(&sub.feed);
        }
    }

    /// Asks the feeds for what the log has for them, page by page in turn, until there is enough
    /// for one flush.
    pub(super) async fn compose(&mut self) {
        self.mind_the_slow();
        for _ in 0..PAGES_MAX {
            // While the socket still has the last batch, nothing more is read from the log for it.
            if self.unflushed || self.frames.is_full() {
                break;
            }
            let Some(at) = self.next_turn() else { break };
            self.feed(at).await;
        }
        self.subs.retain(|sub| !sub.feed.is_over());
    }

    fn mind_the_slow(&mut self) {
        if self.unflushed {
            self.blocked.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.blocked.take()
            && since.elapsed() >= SLOW
        {
            let feeds = self.subs.iter_mut().map(|sub| &mut sub.feed);
            feeds.for_each(Feed::note_slow_reader);
        }
    }

    fn next_turn(&mut self) -> Option<usize> {
        let hungry: Vec<usize> = (0..self.subs.len())
            .filter(|at| self.subs[*at].hungry)
            .collect();
        if hungry.len() < 2 {
            return hungry.first().copied();
        }
        let subs = self.subs.iter_mut().filter(|sub| sub.hungry);
        let mut waiting: Vec<_> = subs
            .map(|sub| (&mut sub.turns, sub.feed.urgency()))
            .collect();
        Turns::choose(&mut waiting).map(|chosen| hungry[chosen])
    }

    /// Takes one page of a feed.
    async fn feed(&mut self, at: usize) {
        let sub = &mut self.subs[at];
        // A bulk comes in parts, like all else: a peer that stops reading in the middle of a large
        // one is owed no more than a batch of frames.
        let page = sub.feed.next_part(self.frames.room(), FRAME_BYTES_MAX);
        let items = match Box::pin(page).await {
            Ok(items) => items,
            // It is not read again in place: what was judged for this page is lost with it, and its
            // client has a cursor behind which nothing is missing.
            Err(problem) => {
                let sub = self.subs.remove(at);
                return self.ended(&sub.id, &problem);
            }
        };
        self.node.sent.page(&self.workspace, &items);
        sub.listed.note(&sub.feed, &items);
        sub.hungry = !items.is_empty() || sub.feed.is_hungry();
        sub.hungry &= !sub.feed.is_over();
        let bytes = items.iter().map(Item::weight).sum();
        self.frames.expect(bytes);
        aside(bytes, || {
            for item in items {
                push_item(&mut self.frames, sub, &item);
            }
        });
        self.frames.expect(0);
    }

    /// Tells why a subscription that could not be read on is over; the others go on.
    pub(super) fn ended(&mut self, id: &str, problem: &Problem) {
        tracing::warn!(%problem, "a subscription could not be read on");
        self.node.sent.failed();
        let error = ErrorMessage::ended(Some(id), problem);
        self.frames.push(|w| write_error(w, &error));
    }
}

/// Says whether the client holds what there is, by all that it says of what it holds.
fn is_held(resync: &Resync, head: &Head) -> bool {
    let says = resync.version.is_some() || resync.hash.is_some();
    says && resync.version.is_none_or(|version| version == head.version)
        && resync.hash.is_none_or(|hash| hash == head.hash)
}

pub(super) fn there_already(id: &str) -> Problem {
    let detail = format!("there is a subscription {id:?} already");
    Problem::new(Code::Invalid, detail)
        .at(Pointer::from_static("/id"))
        .hint("unsubscribe it first, or take another id")
}

pub(super) fn not_durable(id: &str) -> Problem {
    let detail = format!("the subscription {id:?} acknowledges nothing: it is not durable");
    Problem::new(Code::Invalid, detail)
        .at(Pointer::from_static("/sub"))
        .hint("keep the cursor of what was handled, or join a durable subscription")
}

pub(super) fn no_such_sub(id: &str) -> Problem {
    Problem::new(Code::NotFound, format!("there is no subscription {id:?}"))
}

fn push_item(frames: &mut Frames, sub: &mut Sub, item: &Item) {
    if matches!(
        item,
        Item::Change(_) | Item::Enter { .. } | Item::Leave { .. }
    ) {
        sub.n += 1;
    }
    let (id, n, shape) = (sub.id.as_str(), sub.n, &sub.shape);
    frames.push(|w| match item {
        Item::Snapshot {
            contexts,
            last,
            cursor,
        } => {
            let write = |w: &mut _| {
                contexts
                    .iter()
                    .for_each(|head| shape.write_context(w, head))
            };
            write_snapshot(w, Some(id), None, write, *last, cursor.as_deref());
        }
        Item::Change(change) => {
            write_change_message(w, &sub.opening, n, change.body(), change.resume.as_deref());
        }
        Item::Enter { head, cursor, .. } => {
            let write = |w: &mut _| shape.write_context(w, head);
            write_enter(w, id, n, write, cursor.as_deref());
        }
        Item::Leave { entry, cursor } => {
            write_leave(w, id, n, &entry.change.line(), cursor.as_deref());
        }
        Item::Begin { bulk } => write_begin(w, id, *bulk),
        Item::End { bulk, cursor } => write_end(w, id, *bulk, cursor),
        Item::Lagging => write_lagging(w, id),
        Item::Reset(reason) => write_reset(w, id, *reason),
    });
}
