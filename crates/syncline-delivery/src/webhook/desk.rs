//! One webhook at work: the only owner of its state machine.
//!
//! It reads the log while there is room, keeps what the machine says, then begins attempts; each
//! runs in a task of its own and comes back with its end. Doors ask it by message.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use syncline_api::{Code, Problem};
use syncline_engine::{Told, Workspace};
use syncline_model::cursor::Position;
use syncline_model::ids::{ChangeId, Seq};
use syncline_model::json::Pointer;
use syncline_model::time::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, JoinSet};

use crate::webhook::attempt::{end_of, failed, in_words, is_success, post};
use crate::webhook::definition::Definition;
use crate::webhook::event::{self, Message};
use crate::webhook::exchange::{Answer, Exchange, ExchangeError};
use crate::webhook::machine::{Attempt, End, Machine, Row, Step};
use crate::webhook::reader::{Reader, Reading, Remade, Untold, Way};
use crate::webhook::rows::{self, Secrets};
use crate::webhook::standing::{Standing, word};
use crate::webhook::state::{About, Event, Replay, Slot};
use crate::webhook::tally::{Noted, Tally};

/// Bounds a page of the log.
const PAGE: usize = 32;
/// Bounds how many pages are read before what was read is sent.
const PAGES_MAX: usize = 8;
/// Bounds the messages that wait for their first attempt; the others are made again.
const READY_MAX: usize = 64;
/// How long attempts may go on once the node stops.
const CLOSE_MAX: Duration = Duration::from_secs(2);
/// How long it waits when the store takes nothing.
const STORE_WAIT: Duration = Duration::from_secs(1);
/// How often a cursor that moved over what does not match is kept.
const CURSOR_KEPT_EVERY: Duration = Duration::from_secs(60);
/// Bounds a sleep, so that a clock that was set is noticed.
const SLEEP_MAX_MS: i64 = 60_000;

/// What doors ask of a webhook.
pub(crate) enum Command {
    /// Call the endpoint again.
    Enable(oneshot::Sender<()>),
    /// Sign with these from now on.
    Reload(Secrets),
    /// Send again what is asked for.
    Replay(Again, oneshot::Sender<Result<u64, Problem>>),
    /// Fire an event at the endpoint, and say what came of it.
    Test(oneshot::Sender<Result<u16, String>>),
    /// Say how it stands.
    Stand(oneshot::Sender<Standing>),
}

/// What is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// One change.
    Change(ChangeId),
    /// All that was given up.
    Dead,
    /// What lies after one place, up to another.
    Range(Replay),
}

/// What a desk is made of.
pub(crate) struct Parts {
    pub id: String,
    pub workspace: Workspace,
    pub definition: Arc<Definition>,
    pub secrets: Secrets,
    pub reader: Reader,
    pub machine: Machine,
    pub exchange: Arc<Exchange>,
    pub tally: Tally,
    pub letters: BTreeSet<Slot>,
}

pub(crate) struct Desk {
    id: String,
    workspace: Workspace,
    definition: Arc<Definition>,
    secrets: Secrets,
    reader: Reader,
    machine: Machine,
    exchange: Arc<Exchange>,
    tally: Tally,
    tail: watch::Receiver<Position>,
    way: Option<Way>,
    replay: Option<Way>,
    /// What is to be kept and begun, until the store has kept it.
    step: Option<Step>,
    ready: BTreeMap<Slot, Message>,
    /// The dead letters that the store has: whoever asks how many waits for no store.
    letters: BTreeSet<Slot>,
    attempts: JoinSet<End>,
    /// Which event each of them is at.
    flights: HashMap<task::Id, (Slot, ChangeId)>,
    challenge: JoinSet<Result<(), String>>,
    tests: JoinSet<()>,
    /// There is more to read than a turn takes.
    more: bool,
    /// The first that was skipped because the log does not hold it any more: the endpoint is to be
    /// told that something is missing.
    gone: Option<ChangeId>,
    wake_at: Option<Timestamp>,
    /// Why it cannot go on, since when.
    stuck: Option<(Timestamp, String)>,
}

impl Desk {
    pub(crate) fn new(parts: Parts) -> Desk {
        let desk = Desk {
            tail: parts.workspace.tail_watch(),
            id: parts.id,
            workspace: parts.workspace,
            definition: parts.definition,
            secrets: parts.secrets,
            reader: parts.reader,
            machine: parts.machine,
            exchange: parts.exchange,
            tally: parts.tally,
            way: None,
            replay: None,
            step: None,
            ready: BTreeMap::new(),
            letters: parts.letters,
            attempts: JoinSet::new(),
            flights: HashMap::new(),
            challenge: JoinSet::new(),
            tests: JoinSet::new(),
            more: false,
            gone: None,
            wake_at: None,
            stuck: None,
        };
        desk.tally.note(desk.noted());
        desk
    }

    /// Works until the node stops or nobody holds the webhook any more.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let mut keep_cursor = tokio::time::interval(CURSOR_KEPT_EVERY);
        loop {
            self.tail.mark_unchanged();
            let turned = if self.definition.enabled {
                self.turn().await
            } else {
                Ok(())
            };
            match turned {
                Ok(()) => self.stuck = None,
                Err(problem) => {
                    tracing::warn!(webhook = %self.id, %problem, "a webhook cannot go on for now");
                    let since = self.now();
                    let since = self.stuck.take().map_or(since, |(since, _)| since);
                    self.stuck = Some((since, problem.to_string()));
                    self.wake_in(STORE_WAIT);
                }
            }
            self.tally.note(self.noted());
            let sleep = self.sleep();
            tokio::select! {
                () = stopped(&mut stopping) => break,
                command = commands.recv() => match command {
                    Some(command) => self.answer(command).await,
                    None => break,
                },
                Some(ended) = self.attempts.join_next_with_id() => self.ended(ended),
                Some(proved) = self.challenge.join_next() => {
                    let proved = proved.unwrap_or_else(|_| Err("the challenge failed".to_owned()));
                    self.machine.challenged(proved, self.now(), dice());
                }
                Some(_) = self.tests.join_next() => {}
                rung = self.tail.changed() => if rung.is_err() { break },
                () = tokio::time::sleep(sleep) => {}
                _ = keep_cursor.tick() => self.machine.keep_cursor(),
            }
            // What ended at about the same time is kept with one fsync.
            while let Some(ended) = self.attempts.try_join_next_with_id() {
                self.ended(ended);
            }
        }
        self.close().await;
    }

    fn now(&self) -> Timestamp {
        self.workspace.now()
    }

    fn wake_in(&mut self, after: Duration) {
        let ms = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        self.wake_at = Some(Timestamp(self.now().0.saturating_add(ms)));
        self.more = false;
    }

    fn sleep(&self) -> Duration {
        if self.more {
            return Duration::ZERO;
        }
        let wait = self.wake_at.map_or(SLEEP_MAX_MS, |at| at.0 - self.now().0);
        Duration::from_millis(wait.clamp(0, SLEEP_MAX_MS).unsigned_abs())
    }

    /// Reads, keeps, and begins what is due. What cannot be read holds up nothing that was.
    async fn turn(&mut self) -> Result<(), Problem> {
        let mut read = Ok(());
        if self.step.is_none() {
            read = self.read_on().await;
            self.tell_of_gone()?;
            self.step = Some(self.machine.step(self.now()));
        }
        if let Some(step) = &self.step {
            rows::keep(&self.workspace, &self.id, &step.keep).await?;
        }
        let Some(step) = self.step.take() else {
            return read;
        };
        self.count_letters(&step.keep);
        self.wake_at = step.wake_at;
        if step.challenge {
            self.challenge();
        }
        step.send
            .into_iter()
            .for_each(|attempt| self.begin(attempt));
        if step.keep.iter().any(is_hundredth_death) {
            rows::trim_dead(&self.workspace, &self.id).await?;
            while self.letters.len() > rows::DEAD_MAX {
                self.letters.pop_first();
            }
        }
        read
    }

    /// Takes note of the dead letters that were kept and that went.
    fn count_letters(&mut self, kept: &[Row]) {
        for row in kept {
            match row {
                Row::Dead(event, _) => drop(self.letters.insert(event.slot)),
                Row::Revived(slot) => drop(self.letters.remove(slot)),
                Row::State(_) | Row::Event(_) | Row::Settled(_) | Row::Logged(..) => {}
            }
        }
    }

    /// Tells of what the log does not hold any more: one reset for all of it, which is kept together
    /// with the skip.
    fn tell_of_gone(&mut self) -> Result<(), Problem> {
        if let Some(first) = self.gone {
            let reading = self.reader.gone(first, &self.machine.state().cursor)?;
            self.offer(reading);
            self.gone = None;
        }
        Ok(())
    }

    async fn read_on(&mut self) -> Result<(), Problem> {
        self.more = false;
        self.more = self.read().await?;
        self.more |= self.read_again().await?;
        Ok(())
    }

    /// Reads the log while there is room; says whether there is more to read at once.
    async fn read(&mut self) -> Result<bool, Problem> {
        for _ in 0..PAGES_MAX {
            let room = self.machine.room().min(PAGE);
            if room == 0 || self.machine.is_busy(self.now()) {
                return Ok(false);
            }
            let mut way = match self.way.take() {
                Some(way) => way,
                None => self.open().await?,
            };
            let readings = self.reader.read(&mut way, room).await?;
            let at_the_tail = readings.is_empty() && way.behind() == 0;
            self.machine.read_to(way.cursor());
            self.way = Some(way);
            readings.into_iter().for_each(|reading| self.offer(reading));
            if at_the_tail {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn open(&mut self) -> Result<Way, Problem> {
        let (way, reason) = self.reader.open(&self.machine.state().cursor).await?;
        if let Some(reason) = reason {
            let reading = self.reader.reset(reason, &way.cursor()).await?;
            self.machine.read_to(way.cursor());
            self.offer(reading);
        }
        Ok(way)
    }

    fn offer(&mut self, reading: Reading) {
        self.count(Told::Wanted, reading.slot);
        if self.ready.len() < READY_MAX {
            self.ready.insert(reading.slot, reading.message);
        }
        let event = Event::new(reading.slot, reading.id, reading.context, self.now());
        self.machine.offer(event);
    }

    /// Reads what is replayed while there is room.
    async fn read_again(&mut self) -> Result<bool, Problem> {
        let Some(replay) = self.machine.state().replay else {
            return Ok(false);
        };
        let room = self.machine.room().min(PAGE);
        if room == 0 || self.machine.is_busy(self.now()) {
            return Ok(false);
        }
        let mut way = match self.replay.take() {
            Some(way) => way,
            None => self.reader.open_after(replay.after).await?.0,
        };
        let readings = self.reader.read(&mut way, room).await?;
        let at = self.workspace.position_of(&way.cursor())?.seq;
        let within = |reading: &Reading| {
            reading.slot.about == About::Change
                && (replay.after..=replay.until).contains(&reading.slot.seq)
                && reading.slot.seq != replay.after
        };
        let now = self.now();
        for reading in readings.into_iter().filter(within) {
            let event = Event::new(reading.slot, reading.id, reading.context, now);
            self.machine.revive(event);
        }
        if at >= replay.until || at <= replay.after {
            self.machine.replay(None);
            return Ok(false);
        }
        let rest = Replay {
            after: at,
            ..replay
        };
        self.machine.replay(Some(rest));
        self.replay = Some(way);
        Ok(true)
    }

    fn begin(&mut self, attempt: Attempt) {
        let message = self.ready.remove(&attempt.slot);
        let (reader, exchange) = (self.reader.clone(), self.exchange.clone());
        let (url, secrets) = (self.definition.url.clone(), self.secrets.clone());
        let workspace = self.workspace.clone();
        let task = self.attempts.spawn(async move {
            let message = match message {
                Some(message) => Ok(Remade::As(message)),
                None => reader.again(attempt.slot, attempt.id).await,
            };
            match message {
                Ok(Remade::As(message)) => {
                    end_of(post(&exchange, &url, &secrets, message, workspace.now()).await)
                }
                Ok(Remade::Gone) => End::Skipped(Untold::Gone.words()),
                Ok(Remade::Nothing) => match reader.why_not(attempt.slot, attempt.id).await {
                    Ok(why) => End::Skipped(why.words()),
                    Err(_) => End::Skipped(Untold::Unknown.words()),
                },
                Err(problem) => {
                    tracing::warn!(%problem, "an event could not be read for its attempt");
                    failed(None, "the event could not be read".to_owned())
                }
            }
        });
        self.flights.insert(task.id(), (attempt.slot, attempt.id));
    }

    fn ended(&mut self, ended: Result<(task::Id, End), task::JoinError>) {
        let (task, end) = ended.unwrap_or_else(|error| {
            tracing::error!(webhook = %self.id, %error, "an attempt broke off");
            (error.id(), failed(None, "the attempt broke off".to_owned()))
        });
        if let Some((slot, id)) = self.flights.remove(&task) {
            match &end {
                End::Delivered(_) => self.count(Told::Delivered, slot),
                End::Failed(_) => self.count(Told::Failed, slot),
                End::Skipped(words)
                    if Untold::of_words(words) == Untold::Gone
                        && !self.machine.will_reset(slot) =>
                {
                    self.gone.get_or_insert(id);
                }
                End::Skipped(_) | End::Interrupted => {}
            }
            self.machine.ended(slot, end, self.now(), dice());
        }
    }

    fn count(&self, what: Told, slot: Slot) {
        if slot.about == About::Change {
            self.workspace.count_told_at(what, slot.seq);
        }
    }

    fn noted(&self) -> Noted {
        let state = self.machine.state();
        let now = self.now();
        let stands = (self.machine.is_proved(), self.stuck.is_some());
        Noted {
            read: self.read_to(),
            status: word(state, &self.definition, stands, now),
            outstanding: self.machine.outstanding(),
            in_flight: self.machine.in_flight(),
            delivered: state.delivered,
            failed: state.failed,
            retried: state.retried,
            dead: state.dead,
            letters: self.letters.len(),
            where_failed: self.way.as_ref().map_or(0, Way::where_failed),
        }
    }

    /// Returns the place up to which the log was read.
    fn read_to(&self) -> Seq {
        match &self.way {
            Some(way) => way.place().seq,
            None => {
                let at = self.workspace.position_of(&self.machine.state().cursor);
                at.map_or(Seq::ZERO, |at| at.seq)
            }
        }
    }

    fn challenge(&mut self) {
        let word = ChangeId::from_parts(0, &random())
            .derive(&self.id)
            .to_string();
        let id = ChangeId::from_parts(now_ms(self.now()), &random()).to_string();
        let message = event::of_challenge(self.workspace.id(), &id, &word, self.now());
        let posting = self.posting(message);
        self.challenge.spawn(async move {
            match posting.await {
                Ok(answer) if !is_success(answer.status) => Err(format!(
                    "the endpoint answered its challenge with {}",
                    answer.status
                )),
                Ok(answer) if event::echoes(&answer.body, &word) => Ok(()),
                Ok(_) => Err("the endpoint did not answer with its challenge".to_owned()),
                Err(error) => Err(in_words(&error)),
            }
        });
    }

    fn posting(
        &self,
        message: Message,
    ) -> impl Future<Output = Result<Answer, ExchangeError>> + Send + 'static {
        let (exchange, url) = (self.exchange.clone(), self.definition.url.clone());
        let (secrets, now) = (self.secrets.clone(), self.now());
        async move { post(&exchange, &url, &secrets, message, now).await }
    }

    async fn answer(&mut self, command: Command) {
        match command {
            Command::Enable(done) => {
                self.machine.enable(self.now());
                let rows = self.machine.rows();
                match rows::keep(&self.workspace, &self.id, &rows).await {
                    Ok(()) => {
                        let _ = done.send(());
                    }
                    Err(problem) => {
                        tracing::warn!(webhook = %self.id, %problem, "it was not kept");
                        self.machine.keep_again(rows);
                    }
                }
            }
            Command::Reload(secrets) => self.secrets = secrets,
            Command::Replay(again, done) => {
                let replayed = self.again(again).await;
                let _ = done.send(replayed);
            }
            Command::Test(done) => self.test(done),
            Command::Stand(done) => {
                let _ = done.send(self.standing());
            }
        }
    }

    fn test(&mut self, done: oneshot::Sender<Result<u16, String>>) {
        if !self.tests.is_empty() {
            let _ = done.send(Err("another test is under way".to_owned()));
            return;
        }
        let id = ChangeId::from_parts(now_ms(self.now()), &random()).to_string();
        let posting = self.posting(event::of_test(self.workspace.id(), &id, self.now()));
        self.tests.spawn(async move {
            let answer = posting.await;
            let told = answer.map(|answer| answer.status);
            let _ = done.send(told.map_err(|error| in_words(&error)));
        });
    }

    fn standing(&self) -> Standing {
        let tail = self.workspace.tail().seq;
        Standing {
            state: self.machine.state().clone(),
            proved: self.machine.is_proved(),
            asks: self.machine.asks(),
            outstanding: self.machine.outstanding(),
            in_flight: self.machine.in_flight(),
            behind: tail.0.saturating_sub(self.read_to().0),
            stuck: self.stuck.clone(),
        }
    }

    /// Takes in what is sent again, and says how many events these are so far.
    async fn again(&mut self, again: Again) -> Result<u64, Problem> {
        match again {
            Again::Change(id) => {
                let seq = self.workspace.seq_of(&id).await?;
                let seq = seq.ok_or_else(|| no_change(&id))?;
                let entries = self.workspace.read_log(Seq(seq.0 - 1), 1).await?;
                let entry = entries.first().ok_or_else(|| no_change(&id))?;
                let slot = Slot {
                    seq,
                    about: About::Change,
                };
                let why = match self.reader.again(slot, id).await? {
                    Remade::As(_) => None,
                    Remade::Gone => Some(Untold::Gone),
                    Remade::Nothing => Some(self.reader.why_not(slot, id).await?),
                };
                if let Some(why) = why {
                    return Err(not_told(&id, why));
                }
                let context = entry.change.context.clone();
                let event = Event::new(slot, id, Some(context), self.now());
                self.machine.revive(event);
                Ok(1)
            }
            Again::Dead => {
                let room = self.machine.room();
                let (letters, _) = rows::dead(&self.workspace, &self.id, None, room.max(1)).await?;
                let (count, now) = (letters.len() as u64, self.now());
                for letter in letters {
                    let event = letter.event;
                    self.machine
                        .revive(Event::new(event.slot, event.id, event.context, now));
                }
                Ok(count)
            }
            Again::Range(replay) => {
                self.replay = None;
                self.machine.replay(Some(replay));
                Ok(0)
            }
        }
    }

    /// Gives attempts a moment, then keeps what is known.
    async fn close(mut self) {
        let end = tokio::time::Instant::now() + CLOSE_MAX;
        while let Ok(Some(ended)) =
            tokio::time::timeout_at(end, self.attempts.join_next_with_id()).await
        {
            self.ended(ended);
        }
        self.attempts.shutdown().await;
        let flying: Vec<Slot> = self.machine.in_the_air();
        for slot in flying {
            self.machine.ended(slot, End::Interrupted, self.now(), 0);
        }
        self.machine.keep_cursor();
        let mut keep = self.step.take().map(|step| step.keep).unwrap_or_default();
        keep.extend(self.machine.rows());
        if let Err(problem) = rows::keep(&self.workspace, &self.id, &keep).await {
            // What is kept from before says that these attempts were begun; that is good enough.
            tracing::warn!(webhook = %self.id, %problem, "a webhook's last step was not kept");
        }
    }
}

/// Waits until the node stops.
pub(crate) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and so is the node.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

fn is_hundredth_death(row: &Row) -> bool {
    matches!(row, Row::State(state) if state.dead > 0 && state.dead.is_multiple_of(100))
}

fn no_change(id: &ChangeId) -> Problem {
    Problem::new(Code::NotFound, format!("there is no change {id}"))
}

/// Says why a change is not sent again: the attempt would find nothing to send.
fn not_told(id: &ChangeId, why: Untold) -> Problem {
    let detail = format!("the webhook is not told of change {id}: {}", why.words());
    Problem::new(Code::Invalid, detail)
        .at(Pointer::from_static("/change"))
        .hint("`syncline explain delivery CHANGE --webhook ID` shows by which terms")
}

fn now_ms(now: Timestamp) -> u64 {
    u64::try_from(now.0).unwrap_or(0)
}

fn random() -> [u8; 10] {
    let mut random = [0u8; 10];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    random
}

fn dice() -> u64 {
    let mut random = [0u8; 8];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    u64::from_le_bytes(random)
}
