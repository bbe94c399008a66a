//! A connection after `hello`: reads, answers, follows, and flushes once for all that waits.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use syncline_api::{
    ClientMessage, Code, ErrorMessage, Problem, Submit, Welcome, catalog, write_error,
    write_heartbeat,
};
use syncline_delivery::Feed;
use syncline_engine::{Principal, Workspace};
use syncline_model::json::{Json, Pointer};
use syncline_model::proposal::Actor;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::Close;
use super::durables::{DurableSub, Said, Work};
use super::frames::{Frame, Frames};
use super::hello::{read_frame, unreadable_frame, write_answer};
use super::submit::Submitter;
use super::subs::Sub;
use super::wire::Wire;
use crate::doors::Node;

/// A peer that was silent for so many heartbeats, pings included, is gone.
const SILENT_HEARTBEATS_MAX: u32 = 3;

/// A connection after `hello`.
pub(super) struct Session {
    pub(super) node: Node,
    pub(super) workspace: Workspace,
    pub(super) principal: Principal,
    pub(super) actor: Actor,
    /// The connection's id, as its welcome says.
    pub(super) connection: String,
    pub(super) subs: Vec<Sub>,
    /// Rung when there may be something for a subscription that the router watches for.
    pub(super) bell: Arc<Notify>,
    submits: FuturesUnordered<BoxFuture<'static, String>>,
    /// What is done for the durable subscriptions; dropped before them, since it may hold what
    /// they need to leave.
    pub(super) works: FuturesUnordered<BoxFuture<'static, Work>>,
    pub(super) durables: Vec<DurableSub>,
    /// Messages of the frame that was read last, while earlier submits are not answered.
    waiting: VecDeque<Json>,
    pub(super) frames: Frames,
    pub(super) unflushed: bool,
    /// Since when the peer has not taken what was composed.
    pub(super) blocked: Option<Instant>,
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
    /// Something was done for a durable subscription.
    Worked(Work),
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
            connection: welcome.connection.clone(),
            subs: Vec::new(),
            bell: Arc::new(Notify::new()),
            submits: FuturesUnordered::new(),
            works: FuturesUnordered::new(),
            durables: Vec::new(),
            waiting: VecDeque::new(),
            frames,
            unflushed: false,
            blocked: None,
            heard: now,
            sent: now,
        }
    }

    /// Runs until the connection ends; returns what the peer is to be told.
    pub async fn run(mut self, socket: &mut Wire, first: Vec<Json>) -> Option<Close> {
        let mut tail = self.workspace.tail_watch();
        let node = self.node.clone();
        let heartbeat = self.node.doors.limits.heartbeat;
        self.waiting.extend(first);
        // Both are made once: a busy connection wakes up often, and timers are not free.
        let mut stopped = pin!(node.stopped());
        let mut alarm = pin!(tokio::time::sleep(heartbeat));
        let mut due = pin!(tokio::time::sleep(heartbeat));
        let bell = self.bell.clone();
        loop {
            // Boxed, as all that a connection does seldom: it waits for most of its life.
            if !self.waiting.is_empty()
                && let Err(close) = Box::pin(self.handle_waiting()).await
            {
                return Some(close);
            }
            self.compose().await;
            self.ask_durables();
            let listens = self.subs.iter().any(|sub| sub.feed.takes_everything());
            let more =
                !self.unflushed && !self.frames.is_full() && self.subs.iter().any(|sub| sub.hungry);
            let next_due = self.subs.iter().filter_map(|sub| sub.feed.due()).min();
            if let Some(at) = next_due.filter(|at| *at != due.deadline()) {
                due.as_mut().reset(at);
            }
            let event = tokio::select! {
                event = self.io(socket) => event,
                rung = tail.changed(), if listens => {
                    if rung.is_err() {
                        return Some(stop(&self.node, &mut self.frames));
                    }
                    self.wake(|feed| feed.takes_everything());
                    continue;
                }
                () = bell.notified() => {
                    self.wake(Feed::is_hungry);
                    continue;
                }
                () = due.as_mut(), if next_due.is_some() && !more && !self.unflushed => {
                    self.wake(Feed::is_hungry);
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
                    return Some(Box::pin(self.say_stopping(socket)).await);
                }
            };
            match event {
                // The peer takes nothing more, and its subscriptions end here; the socket answers.
                Event::Frame(Message::Close(_)) => return None,
                Event::Frame(message) => {
                    self.heard = Instant::now();
                    if let Err(close) = self.take(message) {
                        Box::pin(self.flush_for(socket, GOODBYE)).await;
                        return Some(close);
                    }
                }
                Event::Answered(text) => self.frames.push(|w| w.raw(&text)),
                Event::Worked(work) => self.worked(work),
                Event::Flushed => {}
                Event::Gone(close) => return close,
            }
        }
    }

    /// Moves frames to the socket, reads from it, and collects answers: whatever comes first.
    ///
    /// Reading and writing are polled in one place, since both need the socket, and a peer that
    /// writes much before it reads must still be read.
    fn io<'a>(&'a mut self, socket: &'a mut Wire) -> impl Future<Output = Event> + 'a {
        std::future::poll_fn(move |cx| {
            let mut flushed = false;
            // One batch is on its way at a time: what comes meanwhile waits here, and is counted.
            if !self.unflushed
                && let Some(batch) = self.frames.take()
            {
                for frame in batch {
                    match frame {
                        Frame::Text(text) => socket.put_text(text),
                        Frame::Control(message) => {
                            if socket.put_control(message).is_err() {
                                return Poll::Ready(Event::Gone(None));
                            }
                        }
                    }
                }
                self.unflushed = true;
            }
            if self.unflushed {
                match socket.poll_flush(cx) {
                    Poll::Ready(Ok(())) => {
                        self.unflushed = false;
                        self.sent = Instant::now();
                        flushed = true;
                        // A peer that takes all at once is heard all the same, while there is
                        // more for it.
                        if !self.subs.iter().any(|sub| sub.hungry) {
                            return Poll::Ready(Event::Flushed);
                        }
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone(None)),
                    Poll::Pending => {}
                }
            }
            if !self.submits.is_empty()
                && !self.frames.is_full()
                && let Poll::Ready(Some(text)) = poll_without_echo(&mut self.submits, cx)
            {
                return Poll::Ready(Event::Answered(text));
            }
            // Whatever the peer takes: one of these may hold what others wait for.
            if !self.works.is_empty()
                && let Poll::Ready(Some(work)) = poll_without_echo(&mut self.works, cx)
            {
                return Poll::Ready(Event::Worked(work));
            }
            if self.may_read() {
                match socket.poll_next(cx) {
                    Poll::Ready(Some(Ok(message))) => return Poll::Ready(Event::Frame(message)),
                    Poll::Ready(Some(Err(error))) => {
                        return Poll::Ready(Event::Gone(broken(&error)));
                    }
                    Poll::Ready(None) => return Poll::Ready(Event::Gone(None)),
                    Poll::Pending => {}
                }
            }
            if flushed {
                return Poll::Ready(Event::Flushed);
            }
            Poll::Pending
        })
    }

    /// Says whether another frame may be read: not while answers to earlier ones pile up.
    fn may_read(&self) -> bool {
        self.waiting.is_empty()
            && self.submits.len() < self.node.doors.limits.submits_max
            && self.works.len() < self.durables.len() + self.node.doors.limits.submits_max
            && !self.frames.is_full()
    }

    /// Takes a frame apart.
    fn take(&mut self, message: Message) -> Result<(), Close> {
        let read = match message {
            Message::Text(text) => read_frame(&self.node, &text),
            Message::Binary(_) => Err(Problem::new(Code::BadJson, "frames are text")),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) | Message::Close(_) => {
                return Ok(());
            }
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
            ClientMessage::Ack { sub, cursor } if self.subs.iter().any(|known| known.id == sub) => {
                if let Err(problem) = self.place(&cursor) {
                    self.error(Some(&sub), &problem);
                }
            }
            ClientMessage::Ack { sub, cursor } => {
                let said = self.place(&cursor).map(Said::Ack);
                self.said(&sub, said);
            }
            ClientMessage::Nack {
                sub,
                cursor,
                delay_ms,
                reason,
            } => self.nack(&sub, &cursor, delay_ms, reason),
            ClientMessage::Extend { sub, cursor } => {
                let place = cursor.map(|cursor| self.place(&cursor)).transpose();
                self.said(&sub, place.map(Said::Extend));
            }
            ClientMessage::Heartbeat => {}
            ClientMessage::Error(error) => {
                tracing::debug!(code = error.code.name(), "a client reports an error");
            }
            ClientMessage::Other { kind, id } => {
                let problem = match catalog::client_message(&kind).is_some() {
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

    pub(super) fn error(&mut self, reference: Option<&str>, problem: &Problem) {
        let error = ErrorMessage::from_problem(reference, problem);
        self.frames.push(|w| write_error(w, &error));
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
        let subs = self.subs.iter_mut().map(|sub| {
            sub.feed.pass_over();
            (sub.id.as_str(), sub.feed.cursor())
        });
        self.frames.push(|w| write_heartbeat(w, subs));
        if silent >= heartbeat {
            // A client that has nothing to say still answers this.
            self.frames.control(Message::Ping(Bytes::new()));
        }
        self.sent = Instant::now();
        None
    }

    /// Lets what was submitted be answered, then tells when to come back.
    async fn say_stopping(&mut self, socket: &mut Wire) -> Close {
        self.waiting.clear();
        let deadline = Instant::now() + DRAIN;
        while !self.submits.is_empty() {
            match tokio::time::timeout_at(deadline, self.io(socket)).await {
                Ok(Event::Answered(text)) => self.frames.push(|w| w.raw(&text)),
                Ok(Event::Frame(_) | Event::Flushed | Event::Worked(_)) => {}
                Ok(Event::Gone(_)) | Err(_) => break,
            }
        }
        let close = stop(&self.node, &mut self.frames);
        self.flush_for(socket, GOODBYE).await;
        close
    }

    /// Sends what is composed, if the peer takes it in time.
    async fn flush_for(&mut self, socket: &mut Wire, time: Duration) {
        let deadline = Instant::now() + time;
        while self.unflushed || !self.frames.is_empty() {
            match tokio::time::timeout_at(deadline, self.io(socket)).await {
                Ok(Event::Gone(_)) | Err(_) => break,
                Ok(_) => {}
            }
        }
    }
}

/// Polls what is under way.
///
/// `FuturesUnordered` wakes its own task whenever it polled all that it holds, so that one submit
/// that waits would make the connection run twice, the second time on another thread. What is new
/// is therefore polled for nobody first, and the second time there is nothing left to poll. Between
/// the two nothing is lost: the second takes the task down before it looks for what is ready.
fn poll_without_echo<T>(
    under_way: &mut FuturesUnordered<BoxFuture<'static, T>>,
    cx: &mut Context<'_>,
) -> Poll<Option<T>> {
    let mut nobody = Context::from_waker(Waker::noop());
    match Pin::new(&mut *under_way).poll_next(&mut nobody) {
        Poll::Ready(Some(done)) => Poll::Ready(Some(done)),
        Poll::Ready(None) | Poll::Pending => Pin::new(under_way).poll_next(cx),
    }
}

/// How long submits may take to be answered once the node stops.
const DRAIN: Duration = Duration::from_secs(4);
/// How long the last messages may take.
const GOODBYE: Duration = Duration::from_secs(2);

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
fn broken(error: &SocketError) -> Option<Close> {
    tracing::debug!(%error, "a socket broke");
    Some(Close::new(Close::PROTOCOL, error.to_string()))
}
