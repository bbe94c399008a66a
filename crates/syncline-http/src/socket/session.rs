//! A connection after `hello`: reads, answers, follows, and flushes once for all that waits.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{Sink, Stream};
use syncline_api::{
    ClientMessage, Code, ContextView, ErrorMessage, Problem, Resync, Submit, Subscribe, Welcome,
    write_begin, write_change_message, write_end, write_enter, write_error, write_heartbeat,
    write_lagging, write_leave, write_reset, write_snapshot, write_subscribed,
};
use syncline_delivery::{Exclude, Feed, FeedRequest, Item};
use syncline_engine::{Principal, When, Workspace, aside};
use syncline_model::json::{Json, Pointer};
use syncline_model::proposal::Actor;
use tokio::time::Instant;

use super::Close;
use super::frames::{FRAME_BYTES_MAX, Frames};
use super::hello::{read_frame, unreadable_frame, write_answer};
use super::submit::Submitter;
use crate::doors::Node;

/// A peer that was silent for so many heartbeats, pings included, is gone.
const SILENT_HEARTBEATS_MAX: u32 = 3;

/// One subscription of the connection.
struct Sub {
    id: String,
    feed: Feed,
    /// Counts changes, enters and leaves, so that the client can prove that there is no hole.
    n: u64,
    /// The log may have more for it.
    hungry: bool,
}

/// A connection after `hello`.
pub(super) struct Session {
    node: Node,
    workspace: Workspace,
    principal: Principal,
    actor: Actor,
    subs: Vec<Sub>,
    /// Which subscription is asked first, so that a busy one does not starve the others.
    turn: usize,
    submits: FuturesUnordered<BoxFuture<'static, String>>,
    /// Messages of the frame that was read last, while earlier submits are not answered.
    waiting: VecDeque<Json>,
    frames: Frames,
    unflushed: bool,
    /// When the peer was last heard, and when something was last sent.
    heard: Instant,
    sent: Instant,
}

/// What a connection wakes up for.
enum Event {
    /// The peer sent a frame.
    Frame(Message),
    /// A submit was answered.
    Answered(String),
    /// The socket took all that was composed.
    Flushed,
    /// The socket is closed or broken.
    Gone(Option<Close>),
}

impl Session {
    /// Begins a session with its welcome.
    pub fn new(
        node: Node,
        workspace: Workspace,
        principal: Principal,
        actor: Actor,
        welcome: &Welcome,
    ) -> Session {
        let mut frames = Frames::default();
        frames.push(|w| write_answer(w, welcome));
        let now = Instant::now();
        Session {
            node,
            workspace,
            principal,
            actor,
            subs: Vec::new(),
            turn: 0,
            submits: FuturesUnordered::new(),
            waiting: VecDeque::new(),
            frames,
            unflushed: false,
            heard: now,
            sent: now,
        }
    }

    /// Runs until the connection ends; returns what the peer is to be told.
    pub async fn run(mut self, socket: &mut WebSocket, first: Vec<Json>) -> Option<Close> {
        let mut tail = self.workspace.tail_watch();
        let node = self.node.clone();
        let heartbeat = self.node.doors.limits.heartbeat;
        self.waiting.extend(first);
        // Both are made once: a busy connection wakes up often, and timers are not free.
        let mut stopped = pin!(node.stopped());
        let mut alarm = pin!(tokio::time::sleep(heartbeat));
        loop {
            if let Err(close) = self.handle_waiting().await {
                return Some(close);
            }
            if let Err(close) = self.compose().await {
                return Some(close);
            }
            let rings = !self.subs.is_empty();
            let more =
                !self.unflushed && !self.frames.is_full() && self.subs.iter().any(|sub| sub.hungry);
            let event = tokio::select! {
                event = self.io(socket) => event,
                rung = tail.changed(), if rings => {
                    if rung.is_err() {
                        return Some(stop(&self.node, &mut self.frames));
                    }
                    self.subs.iter_mut().for_each(|sub| sub.hungry = true);
                    continue;
                }
                // A long way through the log is gone in steps, between which the peer is heard.
                () = tokio::task::yield_now(), if more => continue,
                () = alarm.as_mut() => {
                    if let Some(close) = self.beat() {
                        return Some(close);
                    }
                    alarm.as_mut().reset(self.sent + heartbeat);
                    continue;
                }
                () = stopped.as_mut() => {
                    return Some(self.say_stopping(socket).await);
                }
            };
            match event {
                Event::Frame(message) => {
                    self.heard = Instant::now();
                    if let Err(close) = self.take(message) {
                        self.flush_for(socket, GOODBYE).await;
                        return Some(close);
                    }
                }
                Event::Answered(text) => self.frames.push(|w| w.raw(&text)),
                Event::Flushed => self.sent = Instant::now(),
                Event::Gone(close) => return close,
            }
        }
    }

    /// Moves frames to the socket, reads from it, and collects answers: whatever comes first.
    ///
    /// Reading and writing are polled in one place, since both need the socket, and a peer that
    /// writes much before it reads must still be read.
    fn io<'a>(&'a mut self, socket: &'a mut WebSocket) -> impl Future<Output = Event> + 'a {
        std::future::poll_fn(move |cx| {
            while !self.frames.is_empty() {
                match Pin::new(&mut *socket).poll_ready(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone(None)),
                    Poll::Pending => break,
                }
                let Some(frame) = self.frames.pop() else {
                    break;
                };
                if Pin::new(&mut *socket).start_send(frame).is_err() {
                    return Poll::Ready(Event::Gone(None));
                }
                self.unflushed = true;
            }
            if self.unflushed && self.frames.is_empty() {
                match Pin::new(&mut *socket).poll_flush(cx) {
                    Poll::Ready(Ok(())) => {
                        self.unflushed = false;
                        return Poll::Ready(Event::Flushed);
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone(None)),
                    Poll::Pending => {}
                }
            }
            if !self.submits.is_empty()
                && !self.frames.is_full()
                && let Poll::Ready(Some(text)) = Pin::new(&mut self.submits).poll_next(cx)
            {
                return Poll::Ready(Event::Answered(text));
            }
            if self.may_read() {
                match Pin::new(&mut *socket).poll_next(cx) {
                    Poll::Ready(Some(Ok(message))) => return Poll::Ready(Event::Frame(message)),
                    Poll::Ready(Some(Err(error))) => {
                        return Poll::Ready(Event::Gone(broken(&error)));
                    }
                    Poll::Ready(None) => return Poll::Ready(Event::Gone(None)),
                    Poll::Pending => {}
                }
            }
            Poll::Pending
        })
    }

    /// Says whether another frame may be read: not while answers to earlier ones pile up.
    fn may_read(&self) -> bool {
        self.waiting.is_empty()
            && self.submits.len() < self.node.doors.limits.submits_max
            && !self.frames.is_full()
    }

    /// Takes a frame apart.
    fn take(&mut self, message: Message) -> Result<(), Close> {
        let read = match message {
            Message::Text(text) => read_frame(&text, self.node.doors.limits.request_bytes_max),
            Message::Binary(_) => Err(Problem::new(Code::BadJson, "frames are text")),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            // The answer to a close frame is sent by the socket itself.
            Message::Close(_) => return Ok(()),
        };
        match read {
            Ok(messages) => {
                self.waiting.extend(messages);
                Ok(())
            }
            Err(problem) => {
                self.error(None, &problem);
                Err(unreadable_frame(&problem))
            }
        }
    }

    /// Handles the messages that were read, as far as there is room for their answers.
    async fn handle_waiting(&mut self) -> Result<(), Close> {
        let limits = &self.node.doors.limits;
        let submits_max = limits.submits_max;
        while self.submits.len() < submits_max && !self.frames.is_full() {
            let Some(json) = self.waiting.pop_front() else {
                break;
            };
            match ClientMessage::read(&json, &Pointer::root()) {
                Ok(message) => self.handle(message).await?,
                Err(problem) => self.error(ClientMessage::reference(&json), &problem),
            }
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 0 {
            self.waiting = VecDeque::new();
        }
        Ok(())
    }

    async fn handle(&mut self, message: ClientMessage) -> Result<(), Close> {
        match message {
            ClientMessage::Hello(_) => {
                return Err(Close::new(Close::PROTOCOL, "hello came twice"));
            }
            ClientMessage::Subscribe(subscribe) => Box::pin(self.subscribe(subscribe)).await,
            ClientMessage::Unsubscribe { id } => self.unsubscribe(&id),
            ClientMessage::Submit(submit) => self.submit(submit),
            ClientMessage::Resync(resync) => Box::pin(self.resync(resync)).await,
            // These subscriptions keep no place for their reader: an ack changes nothing.
            ClientMessage::Ack { sub, .. } if self.subs.iter().any(|known| known.id == sub) => {}
            ClientMessage::Ack { sub, .. } => self.error(Some(&sub), &no_such_sub(&sub)),
            ClientMessage::Heartbeat => {}
            ClientMessage::Error(error) => {
                tracing::debug!(code = error.code.name(), "a client reports an error");
            }
            ClientMessage::Other { kind, id } => {
                let problem = match NOT_BUILT.contains(&kind.as_str()) {
                    true => Problem::not_built(&format!("the message {kind}")),
                    false => {
                        Problem::new(Code::BadRequest, format!("unknown message type {kind:?}"))
                    }
                };
                self.error(id.as_deref(), &problem.at(Pointer::from_static("/type")));
            }
        }
        Ok(())
    }

    fn error(&mut self, reference: Option<&str>, problem: &Problem) {
        let error = ErrorMessage::from_problem(reference, problem);
        self.frames.push(|w| write_error(w, &error));
    }

    async fn subscribe(&mut self, subscribe: Subscribe) {
        let id = subscribe.id.clone();
        if let Err(problem) = self.try_subscribe(subscribe).await {
            self.error(Some(&id), &problem);
        }
    }

    async fn try_subscribe(&mut self, subscribe: Subscribe) -> Result<(), Problem> {
        let id = subscribe.id;
        if self.subs.iter().any(|sub| sub.id == id) {
            return Err(Problem::new(
                Code::Invalid,
                format!("there is a subscription {id:?} already"),
            )
            .at(Pointer::from_static("/id"))
            .hint("unsubscribe it first, or take another id"));
        }
        let max = self.node.doors.limits.subscriptions_max;
        if self.subs.len() >= max {
            return Err(Problem::new(
                Code::TooMany,
                format!("a connection has at most {max} subscriptions"),
            )
            .limit(max as u64, "max_subscriptions"));
        }
        let filtered = !subscribe.filter.is_empty() || subscribe.condition.is_some();
        if filtered || !subscribe.fields.is_empty() || subscribe.coalesce_ms.is_some() {
            return Err(Problem::not_built("filter, where, fields and coalesce_ms"));
        }
        let request = FeedRequest {
            scope: subscribe.scope,
            mode: subscribe.mode,
            from: subscribe.from,
            exclude_self: subscribe.exclude_self.then(|| Exclude {
                id: self.actor.id.clone(),
                agent: self.actor.agent.clone(),
                session: self.actor.session.clone(),
            }),
            old: subscribe.old,
        };
        let (feed, opening) =
            Feed::open(self.workspace.clone(), self.principal.clone(), request).await?;
        self.frames.push(|w| {
            write_subscribed(w, &id, &opening.cursor, opening.recovered, opening.reason);
        });
        self.subs.push(Sub {
            id,
            feed,
            n: 0,
            hungry: true,
        });
        Ok(())
    }

    fn unsubscribe(&mut self, id: &str) {
        let before = self.subs.len();
        self.subs.retain(|sub| sub.id != id);
        if self.subs.len() == before {
            self.error(Some(id), &no_such_sub(id));
        }
    }

    fn submit(&mut self, submit: Submit) {
        let submitter = Submitter {
            engine: self.node.doors.engine.clone(),
            workspace: self.workspace.clone(),
            principal: self.principal.clone(),
            actor: self.actor.clone(),
        };
        // They are polled first in the order in which they came, and so reach the committer in it:
        // its queue is fair, and no budget makes one of them wait where there is room.
        let answer = tokio::task::coop::unconstrained(submitter.answer(submit));
        self.submits.push(Box::pin(answer));
    }

    async fn resync(&mut self, resync: Resync) {
        let sub = resync.sub.as_deref();
        let reference = resync.id.as_deref().or(sub);
        match self
            .workspace
            .get(&self.principal, &resync.context, When::Head)
            .await
        {
            Ok(head) => {
                let view = ContextView::from_head(&head, self.principal.reads_all());
                let frames = &mut self.frames;
                aside(head.document.weight(), || {
                    frames.push(|w| {
                        write_snapshot(w, sub, reference, std::iter::once(&view), true, None);
                    });
                });
            }
            Err(problem) => self.error(reference, &problem),
        }
    }

    /// Asks the feeds for what the log has for them, page by page in turn, until there is enough
    /// for one flush.
    async fn compose(&mut self) -> Result<(), Close> {
        for _ in 0..PAGES_MAX {
            // While the socket still has the last batch, nothing more is read from the log for it.
            if self.unflushed || self.frames.is_full() {
                break;
            }
            let count = self.subs.len();
            let hungry = (0..count).map(|step| (self.turn + step) % count);
            let Some(at) = hungry.into_iter().find(|at| self.subs[*at].hungry) else {
                break;
            };
            self.turn = at + 1;
            self.feed(at).await?;
        }
        self.subs.retain(|sub| !sub.feed.is_over());
        Ok(())
    }

    /// Takes one page of a feed.
    async fn feed(&mut self, at: usize) -> Result<(), Close> {
        let sub = &mut self.subs[at];
        let page = sub.feed.next_page(self.frames.room(), FRAME_BYTES_MAX);
        let items = match Box::pin(page).await {
            Ok(items) => items,
            Err(problem) => {
                tracing::warn!(%problem, "a subscription could not be read on");
                let id = sub.id.clone();
                self.error(Some(&id), &problem);
                return Err(Close::new(Close::STOPPING, "the log could not be read"));
            }
        };
        sub.hungry = !items.is_empty() || sub.feed.behind() > 0;
        sub.hungry &= !sub.feed.is_over();
        let bytes = items.iter().map(Item::weight).sum();
        aside(bytes, || {
            for item in items {
                push_item(&mut self.frames, sub, &item, &self.principal);
            }
        });
        Ok(())
    }

    /// Shows that the node is there, and that each subscription has all up to its cursor.
    fn beat(&mut self) -> Option<Close> {
        let heartbeat = self.node.doors.limits.heartbeat;
        if self.sent.elapsed() < heartbeat {
            return None;
        }
        let silent = self.heard.elapsed();
        if silent > heartbeat * SILENT_HEARTBEATS_MAX {
            return Some(Close::new(Close::SLOW, "nothing was heard for too long"));
        }
        let subs = self
            .subs
            .iter()
            .map(|sub| (sub.id.as_str(), sub.feed.cursor()));
        self.frames.push(|w| write_heartbeat(w, subs));
        if silent >= heartbeat {
            // A client that has nothing to say still answers this.
            self.frames.control(Message::Ping(Bytes::new()));
        }
        self.sent = Instant::now();
        None
    }

    /// Lets what was submitted be answered, then tells when to come back.
    async fn say_stopping(&mut self, socket: &mut WebSocket) -> Close {
        self.waiting.clear();
        let deadline = Instant::now() + DRAIN;
        while !self.submits.is_empty() {
            match tokio::time::timeout_at(deadline, self.io(socket)).await {
                Ok(Event::Answered(text)) => self.frames.push(|w| w.raw(&text)),
                Ok(Event::Frame(_) | Event::Flushed) => {}
                Ok(Event::Gone(_)) | Err(_) => break,
            }
        }
        let close = stop(&self.node, &mut self.frames);
        self.flush_for(socket, GOODBYE).await;
        close
    }

    /// Sends what is composed, if the peer takes it in time.
    async fn flush_for(&mut self, socket: &mut WebSocket, time: Duration) {
        let deadline = Instant::now() + time;
        while self.unflushed || !self.frames.is_empty() {
            match tokio::time::timeout_at(deadline, self.io(socket)).await {
                Ok(Event::Gone(_)) | Err(_) => break,
                Ok(_) => {}
            }
        }
    }
}

/// Bounds the pages that are taken before the peer is heard again.
const PAGES_MAX: usize = 128;
/// How long submits may take to be answered once the node stops.
const DRAIN: Duration = Duration::from_secs(4);
/// How long the last messages may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// Messages that PROTOCOL names and no node can do yet.
const NOT_BUILT: [&str; 7] = [
    "nack",
    "extend",
    "lease",
    "presence",
    "push",
    "pushed",
    "checkpoint",
];

fn no_such_sub(id: &str) -> Problem {
    Problem::new(Code::NotFound, format!("there is no subscription {id:?}"))
}

/// Tells the peer to come back, each at a moment of its own, so that not all come at once.
fn stop(node: &Node, frames: &mut Frames) -> Close {
    let id = node.doors.engine.fresh_id();
    let jitter = u64::from(u16::from_be_bytes([id.as_bytes()[14], id.as_bytes()[15]]));
    let after_ms = 500 + jitter % 2_500;
    let mut problem = Problem::new(Code::Unavailable, "the node is stopping");
    problem.retry_after_ms = Some(after_ms);
    let error = ErrorMessage::from_problem(None, &problem);
    frames.push(|w| write_error(w, &error));
    Close::new(
        Close::STOPPING,
        format!("the node is stopping; come back in {after_ms} ms"),
    )
}

/// Says what the peer is told when its bytes cannot be read.
fn broken(error: &axum::Error) -> Option<Close> {
    tracing::debug!(%error, "a socket broke");
    Some(Close::new(Close::PROTOCOL, error.to_string()))
}

fn push_item(frames: &mut Frames, sub: &mut Sub, item: &Item, principal: &Principal) {
    if matches!(
        item,
        Item::Change(_) | Item::Enter { .. } | Item::Leave { .. }
    ) {
        sub.n += 1;
    }
    let (id, n) = (sub.id.as_str(), sub.n);
    let view = |head| ContextView::from_head(head, principal.reads_all());
    frames.push(|w| match item {
        Item::Snapshot {
            contexts,
            last,
            cursor,
        } => {
            let views: Vec<_> = contexts.iter().map(|head| view(head)).collect();
            write_snapshot(w, Some(id), None, views.iter(), *last, cursor.as_deref());
        }
        Item::Change(change) => write_change_message(w, id, n, &change.body),
        Item::Enter { head, cursor, .. } => write_enter(w, id, n, &view(head), cursor.as_deref()),
        Item::Leave {
            address, cursor, ..
        } => write_leave(w, id, n, address, cursor.as_deref()),
        Item::Begin { bulk } => write_begin(w, id, *bulk),
        Item::End { bulk, cursor } => write_end(w, id, *bulk, cursor),
        Item::Lagging => write_lagging(w, id),
        Item::Reset(reason) => write_reset(w, id, *reason),
    });
}
