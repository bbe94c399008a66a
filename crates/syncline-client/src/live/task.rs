//! The task that owns the socket.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use syncline_api::{ClientMessage, Code, Problem, Resync, ServerMessage, Submit, Welcome};
use syncline_model::json::{Json, Pointer};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::connect::{self, Socket};
use super::subs::{Step, Subs};
use super::{Answer, Command, Event};
use crate::calls::strange;
use crate::http::{ClientOptions, read_json};
use crate::target::Endpoint;

/// Bounds the submits that wait for their receipts; more wait in the command channel.
const WAITING_MAX: usize = 256;
/// Bounds the frames that wait for the socket.
const OUTGOING_MAX: usize = 64;
/// A connection that lasted this long was no failure.
const STEADY: Duration = Duration::from_secs(5);
/// Silence of ours after which we send a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(25);
/// Silence of the node's, in heartbeats, after which the connection counts as lost.
const SILENCE_MAX: u32 = 3;

pub(crate) struct Task {
    endpoint: Endpoint,
    options: ClientOptions,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    subs: Subs,
    waiting: BTreeMap<u64, Waiting>,
    next_ref: u64,
    /// Subscriptions that the node could not read on, and when each is asked for again.
    interrupted: Vec<(Instant, String)>,
    outgoing: VecDeque<String>,
    /// How many connections failed or soon ended, one after the other.
    failures: u32,
}

/// A submit that was not answered yet.
struct Waiting {
    text: String,
    answer: Answer,
}

/// Why serving a connection ended.
enum End {
    /// It is gone, and comes back.
    Lost(Problem),
    /// It is gone for good.
    Final(Problem),
    /// Nobody wants it any more.
    Unwanted,
}

impl Task {
    pub(crate) fn new(
        endpoint: Endpoint,
        options: ClientOptions,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Event>,
    ) -> Task {
        Task {
            endpoint,
            options,
            commands,
            events,
            subs: Subs::default(),
            waiting: BTreeMap::new(),
            next_ref: 1,
            interrupted: Vec::new(),
            outgoing: VecDeque::new(),
            failures: 0,
        }
    }

    pub(crate) async fn run(mut self, socket: Socket, welcome: Welcome) {
        let mut opened = Some((socket, welcome));
        loop {
            let since = Instant::now();
            let end = match opened.take() {
                Some((socket, welcome)) => self.serve(socket, welcome).await,
                None => return,
            };
            // A node that lets us in and at once out again is not asked ten times a second.
            if since.elapsed() > STEADY {
                self.failures = 0;
            }
            let end = match end {
                End::Lost(problem) => match self.reconnect(problem).await {
                    Ok(again) => {
                        opened = Some(again);
                        continue;
                    }
                    Err(end) => end,
                },
                end => end,
            };
            if let End::Final(problem) = end {
                self.give_up(problem).await;
            }
            return;
        }
    }

    async fn give_up(mut self, problem: Problem) {
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            let _ = waiting.answer.send(Err(problem.clone()));
        }
        let _ = self.events.send(Event::Closed(problem)).await;
    }

    /// Tries until the node lets us in again; commands are taken down meanwhile.
    async fn reconnect(&mut self, mut problem: Problem) -> Result<(Socket, Welcome), End> {
        loop {
            let retry = connect::backoff(self.failures, problem.retry_after_ms);
            self.failures = self.failures.saturating_add(1);
            self.tell(Event::Disconnected { problem, retry })
                .await
                .map_err(|()| End::Unwanted)?;
            let due = Instant::now() + retry;
            loop {
                let room = self.waiting.len() < WAITING_MAX;
                tokio::select! {
                    () = tokio::time::sleep_until(due) => break,
                    command = self.commands.recv(), if room => match command {
                        Some(command) => self.take(command),
                        None => return Err(End::Unwanted),
                    },
                }
            }
            match connect::open(&self.endpoint, &self.options).await {
                Ok(opened) => return Ok(opened),
                Err(error) if connect::is_final(&error) => return Err(End::Final(error)),
                Err(error) => problem = error,
            }
        }
    }

    async fn serve(&mut self, socket: Socket, welcome: Welcome) -> End {
        let heartbeat = Duration::from_secs(welcome.heartbeat_s.clamp(1, 600));
        let Welcome { epoch, cursor, .. } = welcome;
        if self.tell(Event::Connected { epoch, cursor }).await.is_err() {
            return End::Unwanted;
        }
        self.outgoing.clear();
        self.interrupted.clear();
        let again = self.subs.resume().into_iter().map(ClientMessage::Subscribe);
        self.outgoing.extend(again.map(|message| message.to_text()));
        self.outgoing
            .extend(self.waiting.values().map(|waiting| waiting.text.clone()));
        let (sink, stream) = socket.split();
        let (frames, frames_in) = mpsc::channel(OUTGOING_MAX);
        let writer = tokio::spawn(write(sink, frames_in));
        let end = self.exchange(stream, frames, heartbeat).await;
        // The writer ends by itself once the channel is closed; it must not outlive a dead peer.
        if tokio::time::timeout(Duration::from_secs(2), writer)
            .await
            .is_err()
        {
            return end;
        }
        end
    }

    async fn exchange(
        &mut self,
        mut stream: SplitStream<Socket>,
        frames: mpsc::Sender<String>,
        heartbeat: Duration,
    ) -> End {
        let mut sent = Instant::now();
        let mut heard = Instant::now();
        let mut tick = tokio::time::interval(HEARTBEAT / 5);
        let mut open = true;
        loop {
            if !open && self.waiting.is_empty() && self.outgoing.is_empty() {
                return End::Unwanted;
            }
            let room =
                open && self.waiting.len() < WAITING_MAX && self.outgoing.len() < OUTGOING_MAX;
            let again = self.interrupted.iter().map(|(at, _)| *at).min();
            tokio::select! {
                frame = stream.next() => {
                    heard = Instant::now();
                    match self.frame(frame).await {
                        Ok(()) => {}
                        Err(end) => return end,
                    }
                }
                permit = frames.reserve(), if !self.outgoing.is_empty() => match permit {
                    Ok(permit) => {
                        sent = Instant::now();
                        permit.send(self.outgoing.pop_front().unwrap_or_default());
                    }
                    Err(_) => return End::Lost(gone("the socket takes nothing more")),
                },
                command = self.commands.recv(), if room => match command {
                    Some(command) => self.take_connected(command),
                    // What was sent is still to be answered.
                    None => open = false,
                },
                () = sleep_until(again) => self.ask_again(),
                _ = tick.tick() => {
                    if heard.elapsed() > heartbeat * SILENCE_MAX {
                        return End::Lost(gone("the node fell silent"));
                    }
                    if sent.elapsed() >= HEARTBEAT && self.outgoing.is_empty() {
                        self.outgoing.push_back(ClientMessage::Heartbeat.to_text());
                    }
                }
            }
        }
    }

    /// Takes a command down while there is no connection; it is sent with the next.
    fn take(&mut self, command: Command) {
        match command {
            Command::Subscribe(request) => self.subs.add(request),
            Command::Unsubscribe(id) => self.subs.remove(&id),
            Command::Resync { .. } => {}
            Command::Submit {
                proposals,
                mode,
                answer,
            } => {
                let reference = self.next_ref;
                self.next_ref += 1;
                let submit = Submit {
                    id: format!("r{reference}"),
                    proposals,
                    mode,
                };
                let text = ClientMessage::Submit(submit).to_text();
                self.waiting.insert(reference, Waiting { text, answer });
            }
        }
    }

    fn take_connected(&mut self, command: Command) {
        let text = match &command {
            Command::Subscribe(request) => {
                Some(ClientMessage::Subscribe(request.clone()).to_text())
            }
            Command::Unsubscribe(id) => {
                Some(ClientMessage::Unsubscribe { id: id.clone() }.to_text())
            }
            Command::Resync { sub, context } => {
                let id = Some(format!("resync {context}"));
                let resync = Resync {
                    id,
                    sub: sub.clone(),
                    context: context.clone(),
                    branch: None,
                    version: None,
                    hash: None,
                };
                Some(ClientMessage::Resync(resync).to_text())
            }
            Command::Submit { .. } => None,
        };
        self.take(command);
        let submitted = || {
            self.waiting
                .values()
                .next_back()
                .map(|waiting| waiting.text.clone())
        };
        self.outgoing.extend(text.or_else(submitted));
    }

    async fn frame(
        &mut self,
        frame: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Result<(), End> {
        let text = match frame {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => {
                return Err(end_for(connect::closed(frame.as_ref())));
            }
            Some(Ok(_)) => return Ok(()),
            Some(Err(error)) => return Err(End::Lost(connect::lost(&error))),
            None => return Err(End::Lost(connect::closed(None))),
        };
        let json = read_json(text.as_bytes()).map_err(End::Lost)?;
        match json.as_array() {
            Some(items) => {
                for item in items {
                    self.message(item.clone()).await?;
                }
                Ok(())
            }
            None => self.message(json).await,
        }
    }

    async fn message(&mut self, json: Json) -> Result<(), End> {
        let message = ServerMessage::read(&json, &Pointer::root());
        let message = message.map_err(|error| End::Lost(strange(&error)))?;
        match message {
            ServerMessage::Receipt {
                reference,
                receipts,
                ..
            } => {
                if let Some(waiting) = self.waiting_for(&reference) {
                    let _ = waiting.answer.send(Ok(receipts));
                }
                Ok(())
            }
            ServerMessage::Error(error) => {
                let problem = error.to_problem();
                // What names no message is about the connection: the node stops, for one, and
                // says when to come back.
                let Some(reference) = error.reference else {
                    return Err(end_for(problem));
                };
                if let Some(waiting) = self.waiting_for(&reference) {
                    let _ = waiting.answer.send(Err(problem));
                    return Ok(());
                }
                if let (true, true, Some(failures)) =
                    (error.ended, error.retry, self.subs.fail(&reference))
                {
                    return self.interrupt(reference, problem, failures).await;
                }
                self.subs.remove(&reference);
                self.pass(Event::Refused { reference, problem }).await
            }
            message => self.subscription(message, json).await,
        }
    }

    /// Waits a while with a subscription that the node could not read on; the others go on.
    async fn interrupt(&mut self, sub: String, problem: Problem, failures: u32) -> Result<(), End> {
        let retry = connect::backoff(failures, problem.retry_after_ms);
        self.interrupted.push((Instant::now() + retry, sub.clone()));
        self.pass(Event::Interrupted {
            sub,
            problem,
            retry,
        })
        .await
    }

    /// Asks for what was interrupted, and is still wanted.
    fn ask_again(&mut self) {
        let now = Instant::now();
        let due = self.interrupted.extract_if(.., |(at, _)| *at <= now);
        for (_, id) in due {
            let again = self.subs.again(&id).map(ClientMessage::Subscribe);
            self.outgoing.extend(again.map(|message| message.to_text()));
        }
    }

    async fn subscription(&mut self, message: ServerMessage, json: Json) -> Result<(), End> {
        let over = match &message {
            ServerMessage::Reset { sub, .. } => Some(sub.clone()),
            _ => None,
        };
        match self.subs.hear(message, json) {
            Step::Events(events) => {
                for event in events {
                    self.pass(event).await?;
                }
            }
            Step::Hole(event) => {
                self.pass(event).await?;
                return Err(End::Lost(gone("a change was left out")));
            }
        }
        if let Some(again) = over.and_then(|id| self.subs.restart(&id)) {
            self.outgoing
                .push_back(ClientMessage::Subscribe(again).to_text());
        }
        Ok(())
    }

    fn waiting_for(&mut self, reference: &str) -> Option<Waiting> {
        let number = reference.strip_prefix('r')?.parse().ok()?;
        self.waiting.remove(&number)
    }

    async fn pass(&mut self, event: Event) -> Result<(), End> {
        self.tell(event).await.map_err(|()| End::Unwanted)
    }

    /// Hands an event over. A reader that has gone is no reason to stop: submits may be under way.
    async fn tell(&mut self, event: Event) -> Result<(), ()> {
        let unread = self.events.send(event).await.is_err();
        if unread && self.commands.is_closed() && self.waiting.is_empty() {
            Err(())
        } else {
            Ok(())
        }
    }
}

fn end_for(problem: Problem) -> End {
    if connect::is_final(&problem) {
        End::Final(problem)
    } else {
        End::Lost(problem)
    }
}

/// Waits until then; for ever where nothing waits.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn gone(why: &str) -> Problem {
    Problem::new(Code::Unreachable, why)
}

/// Writes what waits in one flush.
async fn write(mut sink: SplitSink<Socket, Message>, mut frames: mpsc::Receiver<String>) {
    let mut batch = Vec::new();
    while frames.recv_many(&mut batch, OUTGOING_MAX).await > 0 {
        for text in batch.drain(..) {
            if sink.feed(Message::text(text)).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
    let _ = sink.close().await;
}
