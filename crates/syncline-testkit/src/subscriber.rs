//! Readers of the log that come and go, and the check of what they got.
//!
//! A follower reads in sessions. Each begins at a cursor that it was given before, the newest or
//! an older one, and ends at random: by its own will, by a cut connection, by a killed node.
//! [`Session::check`] holds what a session got against the whole log, read afterwards.

mod events;
mod session;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use syncline_api::{
    Attribute, Code, Filter, Filters, Mode, Problem, ResetReason, Scope, ServerMessage, WireChange,
};
use syncline_client::ChangesQuery;
use syncline_model::ids::{Address, ChangeId};
use syncline_model::json::{Json, JsonWriter, Pointer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Error;

pub use events::{Events, SseEvent};
pub use session::{Began, Life, Session};

use crate::Access;
use crate::audit::Violations;
use crate::raw::RawSocket;
use crate::rng::Rng;

/// Bounds the places that a follower may go back to.
const PLACES_MAX: usize = 400;
/// Silence after which a follower that has all believes that nothing more comes.
const QUIET: Duration = Duration::from_millis(1_500);
/// Silence after which what is still missing counts as lost. A busy machine may need a while, and
/// who connected anew instead of waiting would not find a subscription that has gone deaf.
const LOST: Duration = Duration::from_secs(20);

/// How a follower reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// A subscription on the WebSocket.
    Ws,
    /// Server-sent events.
    Sse,
    /// Pull, waiting for more.
    Poll,
}

/// A place in the log as a follower knows it.
#[derive(Clone, Debug)]
struct Known {
    cursor: String,
    /// The change that it lies after; unknown after a snapshot.
    after: Option<(u64, ChangeId)>,
}

/// What followers are told to do.
#[derive(Clone, Debug)]
pub enum Phase {
    /// Come and go.
    Roam,
    /// Read to the end of this log, to which nothing is added any more, and stop.
    Finish(Life),
    /// Stop at once.
    Stop,
}

/// A reader that comes and goes.
pub struct Follower {
    /// How it reads.
    pub feed: Feed,
    /// The one context that it follows; absent is all.
    pub scope: Option<Address>,
    /// It goes from one kind of feed to the next, and from mode to mode, with the same cursors.
    pub roams: bool,
    /// By a filter, only contexts of this kind.
    pub kind: Option<&'static str>,
    /// What it got.
    pub sessions: Vec<Session>,
    /// How often it was told to begin again.
    pub resets: u64,
    /// What it found to be broken by itself.
    pub found: Violations,
    access: Access,
    rng: Rng,
    places: Vec<Known>,
    /// Versions held by context, since the last snapshot.
    held: Option<BTreeMap<Address, u64>>,
    /// Since it last began again.
    furthest: Option<(u64, ChangeId)>,
    /// What it is to read to, once it was told to finish.
    end: Option<ChangeId>,
    /// When it last began a session, or was told anything of a context.
    heard_at: Instant,
    mode: Mode,
}

impl Follower {
    /// Makes a follower; it begins at the log's beginning.
    pub fn new(feed: Feed, scope: Option<Address>, access: Access, rng: Rng) -> Follower {
        Follower {
            feed,
            scope,
            roams: false,
            kind: None,
            sessions: Vec::new(),
            resets: 0,
            found: Violations::default(),
            access,
            rng,
            places: Vec::new(),
            held: None,
            furthest: None,
            end: None,
            heard_at: Instant::now(),
            mode: Mode::Delta,
        }
    }

    /// Says whether it asks for changes of a context.
    pub fn wants(&self, context: &Address) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope == context)
            && self.kind.is_none_or(|kind| context.kind() == kind)
    }

    fn filter(&self) -> Filters {
        let kind = |kind: &str| Filter::Exact(Attribute::Kind, Json::from(kind));
        Filters(self.kind.map(kind).into_iter().collect())
    }

    /// Returns the newest change that it got. That is not always the one that came last: who was at
    /// the end may go back to an older place, and be stopped there.
    pub fn furthest(&self) -> Option<(u64, ChangeId)> {
        self.furthest
    }

    /// Says whether it got to the end that it was told.
    pub fn has_all(&self) -> bool {
        // Behind a snapshot there may be nothing more to get.
        match self.furthest {
            Some((_, id)) => self.end == Some(id),
            None => self.end.is_none() || self.held.is_some() || self.resets > 0,
        }
    }

    /// Returns the end that it was told.
    pub fn end(&self) -> Option<ChangeId> {
        self.end
    }

    /// Returns until when it waits for more. Signs of life that say nothing prolong nothing.
    fn patience(&self) -> Instant {
        self.heard_at + if self.has_all() { QUIET } else { LOST }
    }

    /// Comes and goes until it is told to finish, and then reads to the end.
    pub async fn follow(mut self, mut phase: watch::Receiver<Phase>) -> Follower {
        loop {
            let finish = match phase.borrow().clone() {
                Phase::Roam => false,
                Phase::Finish(log) => {
                    let mine = |(_, there): &&(_, Address)| self.wants(there);
                    self.end = log.iter().rev().find(mine).map(|(id, _)| *id);
                    true
                }
                Phase::Stop => return self,
            };
            let length = Duration::from_millis(self.rng.between(10, 400));
            let reading = self.session(finish);
            let ended = if finish {
                reading.await
            } else {
                tokio::select! {
                    ended = tokio::time::timeout(length, reading) => ended.unwrap_or(End::Dropped),
                    _ = phase.wait_for(|phase| !matches!(phase, Phase::Roam)) => End::Dropped,
                }
            };
            match ended {
                End::Quiet if finish => return self,
                End::Broken(what) => {
                    self.found.add(what);
                    return self;
                }
                // The node is down, or has just closed.
                End::Lost => tokio::time::sleep(Duration::from_millis(15)).await,
                End::Quiet | End::Dropped => {}
            }
        }
    }

    async fn session(&mut self, to_the_end: bool) -> End {
        if self.roams {
            self.feed = *self.rng.choose(&[Feed::Ws, Feed::Sse, Feed::Poll]);
            let modes = [Mode::Delta, Mode::Snapshot, Mode::Thin];
            self.mode = *self.rng.choose(&modes);
        }
        self.heard_at = Instant::now();
        let start = self.choose_start(to_the_end);
        let began = match &start {
            Some(Known {
                after: Some((seq, id)),
                ..
            }) => Began::After(*seq, *id),
            Some(Known { after: None, .. }) => Began::Anywhere,
            None if self.feed == Feed::Sse => Began::Anywhere,
            None => Began::Beginning,
        };
        self.sessions.push(Session {
            began,
            got: Vec::new(),
        });
        let cursor = start.map(|known| known.cursor);
        let session = Box::pin(async {
            match self.feed {
                Feed::Ws => self.read_ws(cursor).await,
                Feed::Sse => self.read_sse(cursor).await,
                Feed::Poll => self.read_poll(cursor, to_the_end).await,
            }
        });
        session.await
    }

    fn choose_start(&mut self, newest: bool) -> Option<Known> {
        if !newest && self.held.is_none() && self.rng.chance(25) && !self.places.is_empty() {
            let older = self.rng.choose(&self.places).clone();
            self.held = None;
            return Some(older);
        }
        self.places.last().cloned()
    }

    // ------------------------------------------------------------------ the WebSocket

    async fn read_ws(&mut self, cursor: Option<String>) -> End {
        let connected = RawSocket::hello(self.access.authority(), &self.access.key);
        let mut socket = match tokio::time::timeout(QUIET, connected).await {
            Ok(Ok((socket, _))) => socket,
            Ok(Err(Error::Http(answer))) if answer.status().is_client_error() => {
                return End::Broken(format!("the upgrade was refused: {}", answer.status()));
            }
            _ => return End::Lost,
        };
        let mut w = JsonWriter::new();
        w.begin_object();
        w.field_str("type", "subscribe");
        w.field_str("id", "s");
        w.key("scope");
        self.scope().write(&mut w);
        w.key("filter");
        self.filter().write(&mut w);
        w.field_str("mode", self.mode.as_str());
        w.key("from");
        match &cursor {
            Some(cursor) => {
                w.begin_object();
                w.field_str("cursor", cursor);
                w.end_object();
            }
            None => w.string("snapshot"),
        }
        w.end_object();
        if cursor.is_none() {
            self.begin_again();
        }
        if socket.send(&w.into_string()).await.is_err() {
            return End::Lost;
        }
        let mut reading = Reading::default();
        loop {
            let json = match tokio::time::timeout_at(self.patience().into(), socket.next()).await {
                Err(_) => return End::Quiet,
                Ok(Err(_)) => return End::Lost,
                Ok(Ok(json)) => json,
            };
            let message = match ServerMessage::read(&json, &Pointer::root()) {
                Ok(message) => message,
                Err(error) => {
                    return End::Broken(format!("not understood: {error}: {}", json.to_text()));
                }
            };
            if let Some(end) = self.hear(message, &mut reading) {
                return end;
            }
        }
    }

    fn hear(&mut self, message: ServerMessage, reading: &mut Reading) -> Option<End> {
        match message {
            ServerMessage::Subscribed {
                recovered,
                reason,
                cursor,
                ..
            } => {
                reading.snapshot_cursor = Some(cursor);
                if !recovered && self.session_began() != Began::Anywhere {
                    return self.told_to_reset(reason);
                }
                None
            }
            ServerMessage::Change { n, change, .. } => {
                reading.n += 1;
                if n != reading.n {
                    return Some(End::Broken(format!(
                        "count {n} came where {} was due",
                        reading.n
                    )));
                }
                self.take_change(&change, reading);
                None
            }
            ServerMessage::Snapshot {
                contexts,
                last,
                cursor,
                ..
            } => {
                self.heard_at = Instant::now();
                let held = self.held.get_or_insert_with(BTreeMap::new);
                for context in contexts {
                    held.insert(context.context, context.version.0);
                }
                if let Some(cursor) = cursor.or(reading.snapshot_cursor.clone()).filter(|_| last) {
                    self.places = vec![Known {
                        cursor,
                        after: None,
                    }];
                }
                None
            }
            ServerMessage::Enter { n, .. } | ServerMessage::Leave { n, .. } => {
                reading.n = n;
                None
            }
            ServerMessage::Begin { .. } => {
                reading.bulk = true;
                None
            }
            ServerMessage::End { cursor, .. } => {
                reading.bulk = false;
                self.keep(Some(cursor), reading.last);
                None
            }
            ServerMessage::Reset { reason, .. } => self.told_to_reset(reason).or(Some(End::Lost)),
            ServerMessage::Error(error) => {
                let problem = error.to_problem();
                match problem.code.retry() {
                    true => Some(End::Lost),
                    false => Some(End::Broken(format!(
                        "the subscription was refused: {problem}"
                    ))),
                }
            }
            _ => None,
        }
    }

    /// A reset says why, and a snapshot follows; the session is one of its own.
    fn told_to_reset(&mut self, reason: Option<ResetReason>) -> Option<End> {
        self.resets += 1;
        self.begin_again();
        self.sessions.push(Session {
            began: Began::Anywhere,
            got: Vec::new(),
        });
        reason
            .is_none()
            .then(|| End::Broken("a reset came without its reason".to_owned()))
    }

    fn begin_again(&mut self) {
        self.places.clear();
        self.held = Some(BTreeMap::new());
        self.furthest = None;
        self.heard_at = Instant::now();
        if let Some(session) = self.sessions.last_mut() {
            session.began = Began::Anywhere;
        }
    }

    // ------------------------------------------------------------------ server-sent events

    async fn read_sse(&mut self, cursor: Option<String>) -> End {
        let mut request = format!(
            "GET /v1/changes/stream{} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n",
            self.query(),
            self.access.authority(),
            self.access.key
        );
        if let Some(cursor) = &cursor {
            request.push_str(&format!("Last-Event-ID: {cursor}\r\n"));
        }
        request.push_str("\r\n");
        let Ok(mut stream) = TcpStream::connect(self.access.authority()).await else {
            return End::Lost;
        };
        if stream.write_all(request.as_bytes()).await.is_err() {
            return End::Lost;
        }
        let mut events = Events::default();
        let mut reading = Reading::default();
        let mut buffer = vec![0u8; 16 * 1024];
        loop {
            let count =
                match tokio::time::timeout_at(self.patience().into(), stream.read(&mut buffer))
                    .await
                {
                    Err(_) => return End::Quiet,
                    Ok(Ok(count @ 1..)) => count,
                    Ok(_) => return End::Lost,
                };
            events.feed(&buffer[..count]);
            if let Some(status) = events.refused() {
                return self.answer_status(status);
            }
            while let Some(event) = events.take() {
                if let Some(end) = self.hear_event(&event, &mut reading) {
                    return end;
                }
            }
        }
    }

    fn hear_event(&mut self, event: &SseEvent, reading: &mut Reading) -> Option<End> {
        let Some(json) = crate::raw::parse(event.data.as_bytes()) else {
            return Some(End::Broken(format!(
                "an event without JSON: {:?}",
                event.data
            )));
        };
        match event.name.as_str() {
            "change" => match WireChange::read(&json, &Pointer::root()) {
                Ok(change) => self.take_change(&change, reading),
                Err(error) => return Some(End::Broken(format!("an event: {error}"))),
            },
            "begin" => reading.bulk = true,
            "end" => {
                reading.bulk = false;
                self.keep(event.id.clone(), reading.last);
            }
            "reset" => {
                let reason = json
                    .get("reason")
                    .and_then(Json::as_str)
                    .and_then(ResetReason::of_word);
                return self.told_to_reset(reason).or(Some(End::Lost));
            }
            _ => {}
        }
        None
    }

    fn answer_status(&mut self, status: u16) -> End {
        match status {
            410 => {
                self.told_to_reset(Some(ResetReason::Epoch));
                self.held = None;
                End::Lost
            }
            429 | 500.. => End::Lost,
            _ => End::Broken(format!("the stream was refused with {status}")),
        }
    }

    // ------------------------------------------------------------------ pull

    async fn read_poll(&mut self, mut cursor: Option<String>, to_the_end: bool) -> End {
        let client = self.access.http();
        let begun = Instant::now();
        loop {
            let query = ChangesQuery {
                after: cursor.clone(),
                scope: Some(self.scope()),
                filter: self.filter(),
                mode: Some(self.mode),
                limit: Some(usize::try_from(self.rng.between(1, 200)).expect("a small number")),
                wait_ms: Some(if to_the_end { 300 } else { 1_000 }),
                ..ChangesQuery::default()
            };
            let page = match client.changes(&query).await {
                Ok(page) => page,
                Err(problem) => return self.answer_problem(&problem),
            };
            let changes = match page.changes() {
                Ok(changes) => changes,
                Err(problem) => return End::Broken(format!("a page: {problem}")),
            };
            // Inside a page, cursors of single changes are as good as the page's own.
            let mut reading = Reading::default();
            changes
                .iter()
                .for_each(|change| self.take_change(change, &mut reading));
            if page.cursor.is_none() {
                return End::Broken("a page without a cursor".to_owned());
            }
            if !changes.is_empty() {
                self.keep(page.cursor.clone(), reading.last);
            }
            // An empty page may have read past what does not match; else it is the log's end.
            let choosy = self.scope.is_some() || self.kind.is_some();
            let ends = !choosy || self.has_all() || begun.elapsed() > LOST;
            if changes.is_empty() && to_the_end && ends {
                return End::Quiet;
            }
            cursor = page.cursor;
        }
    }

    fn answer_problem(&mut self, problem: &Problem) -> End {
        match problem.code {
            Code::Reset => {
                let end = self.told_to_reset(problem.reason);
                self.held = None;
                end.unwrap_or(End::Lost)
            }
            code if code.retry() => End::Lost,
            _ => End::Broken(format!("pull was refused: {problem}")),
        }
    }

    // ------------------------------------------------------------------ what all share

    fn take_change(&mut self, change: &WireChange, reading: &mut Reading) {
        let Some(seq) = change.seq else {
            return self
                .found
                .add(format!("{} came without its seq to the owner", change.id));
        };
        self.check_version(change);
        let place = (seq.0, change.id);
        self.furthest = self.furthest.max(Some(place));
        self.heard_at = Instant::now();
        reading.last = Some(place);
        if let Some(session) = self.sessions.last_mut() {
            session.got.push(place);
        }
        if !reading.bulk {
            self.keep(change.cursor.clone(), Some(place));
        }
    }

    /// Behind a snapshot, each change is one that the snapshot had or the very next version.
    fn check_version(&mut self, change: &WireChange) {
        let Some(held) = &mut self.held else { return };
        let version = held.entry(change.context.clone()).or_insert(0);
        let (had, now) = (*version, change.version.0);
        // Deleted contexts are in no snapshot: the first that is heard of them counts.
        let known = had > 0;
        *version = had.max(now);
        self.found.check(!known || now <= had + 1, || {
            format!(
                "{} jumps from version {had} to {now} behind a snapshot",
                change.context
            )
        });
    }

    fn keep(&mut self, cursor: Option<String>, after: Option<(u64, ChangeId)>) {
        let (Some(cursor), Some(after)) = (cursor, after) else {
            return;
        };
        if self.places.len() == PLACES_MAX {
            self.places.remove(0);
        }
        // Going back and reading again must not make an old place the newest.
        let newest = self
            .places
            .last()
            .and_then(|known| known.after)
            .map_or(0, |(seq, _)| seq);
        if after.0 > newest {
            self.places.push(Known {
                cursor,
                after: Some(after),
            });
        }
    }

    fn session_began(&self) -> Began {
        self.sessions
            .last()
            .map_or(Began::Anywhere, |session| session.began)
    }

    fn scope(&self) -> Scope {
        match &self.scope {
            Some(address) => Scope(vec![syncline_api::ScopeTerm::Context(address.clone())]),
            None => Scope::workspace(),
        }
    }

    fn query(&self) -> String {
        // Only letters, digits and dashes stand in the harness's addresses.
        let mut query = format!("?mode={}", self.mode.as_str());
        if let Some(address) = &self.scope {
            let escaped = address.as_str().replace('/', "%2F");
            query.push_str("&scope=%5B%7B%22context%22%3A%22");
            query.push_str(&escaped);
            query.push_str("%22%7D%5D");
        }
        if let Some(kind) = self.kind {
            query.push_str("&filter=%7B%22exact%22%3A%7B%22kind%22%3A%22");
            query.push_str(kind);
            query.push_str("%22%7D%7D");
        }
        query
    }
}

enum End {
    /// Nothing came for a while.
    Quiet,
    /// The connection was lost.
    Lost,
    /// We went.
    Dropped,
    /// What came is wrong.
    Broken(String),
}

#[derive(Default)]
struct Reading {
    n: u64,
    bulk: bool,
    last: Option<(u64, ChangeId)>,
    snapshot_cursor: Option<String>,
}
