//! A simulated reader: it drops and resumes, goes back, changes its ways, and keeps what it is sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use syncline_api::{ContextView, From, Mode, WireBody, WireChange};
use syncline_delivery::{Feed, Item};
use syncline_engine::{Principal, When};
use syncline_merge::{ApplyLimits, Patch};
use syncline_model::change::ChangeType;
use syncline_model::document::{Document, MEMBERS};
use syncline_model::head::Head;
use syncline_model::ids::{Address, Seq, Version};
use syncline_model::json::{Json, JsonWriter, Object, Pointer};
use tokio::sync::Notify;

use super::choice::{Choice, LONG};
use super::world::World;
use crate::rng::Rng;

/// How many cursors are kept to go back to.
const PLACES_MAX: usize = 20;
/// Bounds how often a reader asks at the end.
const ASKED_MAX: usize = 2_000;

/// What came between connecting and losing the connection.
#[derive(Clone, Debug)]
pub struct Session {
    /// What was asked for.
    pub choice: Choice,
    /// The place that it began at.
    pub start: Seq,
    /// It began with a snapshot.
    pub snapshot: bool,
    /// The newest place that it was told to keep.
    pub kept: Seq,
    /// What came, in its order: place, context, version (none where it left).
    pub got: Vec<(Seq, Address, Option<Version>)>,
    /// What snapshots showed by its end.
    pub shown: BTreeMap<Address, Version>,
}

struct Connection {
    feed: Feed,
    /// What was sent and did not arrive yet.
    under_way: VecDeque<Sent>,
    /// It began behind what the reader holds, or under other wishes.
    may_differ: bool,
}

enum Sent {
    Item(Item),
    HighWater(String),
}

/// A reader.
pub struct Reader {
    rng: Rng,
    /// What it asks for.
    pub choice: Choice,
    /// What it holds.
    pub held: BTreeMap<Address, (Version, Json)>,
    /// All its sessions.
    pub sessions: Vec<Session>,
    /// What went wrong already when it came.
    pub wrong: Vec<String>,
    /// How often it asked for one context again.
    pub resyncs: u64,
    /// How often it was told to start again.
    pub resets: u64,
    /// How many changes stood for several.
    pub coalesced: u64,
    /// How many contexts came and went.
    pub crossings: u64,
    /// The contexts that it asked for again since its last snapshot.
    pub asked_again: BTreeSet<Address>,
    shown: BTreeMap<Address, Version>,
    places: Vec<String>,
    /// It holds more than its newest place says.
    ahead: bool,
    /// Where the log ended when the last snapshot page was made.
    fuzzy_until: Seq,
    connection: Option<Connection>,
    bell: Arc<Notify>,
}

impl Reader {
    /// Makes a reader with random wishes.
    pub fn new(mut rng: Rng) -> Reader {
        Reader {
            choice: Choice::any(&mut rng),
            rng,
            held: BTreeMap::new(),
            sessions: Vec::new(),
            wrong: Vec::new(),
            resyncs: 0,
            resets: 0,
            coalesced: 0,
            crossings: 0,
            asked_again: BTreeSet::new(),
            shown: BTreeMap::new(),
            places: Vec::new(),
            ahead: false,
            fuzzy_until: Seq::ZERO,
            connection: None,
            bell: Arc::new(Notify::new()),
        }
    }

    /// Returns how much it got.
    pub fn got(&self) -> u64 {
        self.sessions.iter().map(|s| s.got.len() as u64).sum()
    }

    /// Loses the connection with all that is under way.
    pub fn lose_connection(&mut self) {
        self.connection = None;
        if self.places.is_empty() {
            // Half a snapshot is none.
            self.held.clear();
        }
    }

    /// Reads for a while.
    pub async fn read(&mut self, world: &World) {
        if self.connection.is_none() {
            self.connect(world).await;
        }
        for _ in 0..self.rng.below(3) {
            tokio::task::yield_now().await;
        }
        self.send(world).await;
        let arrives = self.rng.below(30);
        for _ in 0..arrives {
            if self.rng.chance(2) {
                return self.lose_connection();
            }
            if !self.receive(world).await {
                break;
            }
        }
        let leaves = if self.choice.pulls { 60 } else { 12 };
        if self.rng.chance(leaves) {
            self.lose_connection();
        }
    }

    /// Reads until nothing more comes.
    pub async fn finish(&mut self, world: &World) {
        for _ in 0..ASKED_MAX {
            if self.connection.is_none() {
                self.connect(world).await;
            }
            tokio::task::yield_now().await;
            if let Some(connection) = &mut self.connection {
                connection.feed.let_pass(LONG);
            }
            self.send(world).await;
            let mut idle = true;
            while self.receive(world).await {
                idle = false;
            }
            let Some(connection) = &self.connection else {
                continue;
            };
            if idle && connection.feed.behind() == 0 && connection.feed.due().is_none() {
                return;
            }
        }
        self.wrong.push("a reader never came to the end".to_owned());
    }

    async fn connect(&mut self, world: &World) {
        let mut may_differ = self.ahead;
        if self.rng.chance(40) {
            self.choice.change_ways(&mut self.rng);
            may_differ = true;
        }
        if self.places.len() > 1 && self.rng.chance(15) {
            let back = self.rng.between(1, self.places.len() as u64 - 1);
            self.places
                .truncate(usize::try_from(back).expect("a small number"));
            may_differ = true;
        }
        self.ahead = may_differ;
        let from = match self.places.last() {
            Some(cursor) => From::Cursor(cursor.clone()),
            None => From::Snapshot,
        };
        let request = self.choice.request(from);
        let opened = Feed::open(world.workspace(), Principal::owner(), request).await;
        let Ok((mut feed, opening)) = opened else {
            return self.wrong.push("a feed did not open".to_owned());
        };
        if !self.choice.pulls {
            world.router.follow(&mut feed, &self.bell);
        }
        if opening.snapshot {
            self.begin_again();
        }
        let start = self.seq_of(world, &opening.cursor);
        // Amid what the pages showed it may hold a version between two that it chooses.
        may_differ |= !opening.snapshot && !self.choice.is_plain() && start < self.fuzzy_until;
        self.sessions.push(Session {
            choice: self.choice.clone(),
            start,
            snapshot: opening.snapshot,
            kept: start,
            got: Vec::new(),
            shown: self.shown.clone(),
        });
        self.connection = Some(Connection {
            feed,
            under_way: VecDeque::new(),
            may_differ,
        });
    }

    fn begin_again(&mut self) {
        self.places.clear();
        self.held.clear();
        self.shown.clear();
        self.asked_again.clear();
        self.ahead = false;
    }

    fn seq_of(&mut self, world: &World, cursor: &str) -> Seq {
        match world.workspace().position_of(cursor) {
            Ok(position) => position.seq,
            Err(problem) => {
                self.wrong.push(format!("a cursor is none: {problem}"));
                Seq::ZERO
            }
        }
    }

    /// Lets the node send some pages.
    async fn send(&mut self, world: &World) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        if self.rng.chance(15) {
            connection.feed.let_pass(LONG);
        }
        for _ in 0..=self.rng.below(3) {
            let most = *self.rng.choose(&[2, 20, 20]);
            let items_max = usize::try_from(self.rng.between(1, most)).expect("a small number");
            match connection.feed.next_page(items_max, 1 << 20).await {
                Ok(items) => {
                    if items
                        .iter()
                        .any(|item| matches!(item, Item::Snapshot { .. }))
                    {
                        self.fuzzy_until = world.workspace().tail().seq;
                    }
                    connection
                        .under_way
                        .extend(items.into_iter().map(Sent::Item));
                }
                Err(problem) => self.wrong.push(format!("a page: {problem}")),
            }
        }
        // As a heartbeat tells it, and at the end of each page that is pulled.
        if self.rng.chance(20)
            && self
                .sessions
                .last()
                .is_some_and(|s| !s.snapshot || s.kept > s.start)
        {
            connection.feed.pass_over();
            let cursor = connection.feed.cursor();
            connection.under_way.push_back(Sent::HighWater(cursor));
        }
    }

    /// Takes the next of what is under way; false where nothing is.
    async fn receive(&mut self, world: &World) -> bool {
        let next = self
            .connection
            .as_mut()
            .and_then(|connection| connection.under_way.pop_front());
        match next {
            None => return false,
            Some(Sent::HighWater(cursor)) => self.keep(world, Some(&cursor)),
            Some(Sent::Item(item)) => self.take(world, item).await,
        }
        // A reset takes back what was shown, but of the session that it ended this stays true.
        if let (Some(session), Some(_)) = (self.sessions.last_mut(), &self.connection) {
            session.shown.clone_from(&self.shown);
        }
        true
    }

    fn keep(&mut self, world: &World, cursor: Option<&str>) {
        let Some(cursor) = cursor else { return };
        let seq = self.seq_of(world, cursor);
        if let Some(session) = self.sessions.last_mut() {
            session.kept = session.kept.max(seq);
            let newest = session.got.iter().map(|(seq, ..)| *seq).max();
            self.ahead |= newest.is_some_and(|newest| newest > seq);
        }
        if self.places.len() == PLACES_MAX {
            self.places.remove(0);
        }
        self.places.push(cursor.to_owned());
    }

    async fn take(&mut self, world: &World, item: Item) {
        match item {
            Item::Snapshot {
                contexts,
                last,
                cursor,
            } => {
                for head in &contexts {
                    self.show(head);
                }
                if last {
                    self.keep(world, cursor.as_deref());
                }
            }
            Item::Change(change) => {
                let cursor = change.cursor().map(str::to_owned);
                let read = crate::raw::parse(change.body().as_bytes())
                    .and_then(|json| WireChange::read(&json, &Pointer::root()).ok());
                match read {
                    Some(wire) => self.change(world, change.entry.seq, &wire).await,
                    None => self.wrong.push(format!("no change: {}", change.body())),
                }
                self.keep(world, cursor.as_deref());
            }
            Item::Enter {
                head,
                entry,
                cursor,
            } => {
                self.crossings += 1;
                self.note(entry.seq, &entry.change.context, Some(head.version));
                let (version, document) = self.as_sent(&head);
                let held = self.held.get(&head.address);
                if held.is_none_or(|(held, _)| *held < version) {
                    self.held.insert(head.address.clone(), (version, document));
                }
                self.keep(world, cursor.as_deref());
            }
            Item::Leave { entry, cursor } => {
                let line = entry.change.line();
                self.crossings += 1;
                self.note(entry.seq, &line, None);
                self.held.remove(&*line);
                self.keep(world, cursor.as_deref());
            }
            Item::Begin { .. } | Item::Lagging => {}
            Item::End { cursor, .. } => self.keep(world, Some(&cursor)),
            Item::Reset(_) => {
                self.resets += 1;
                self.connection = None;
                self.begin_again();
            }
        }
    }

    fn show(&mut self, head: &Head) {
        let (version, document) = self.as_sent(head);
        let held = self.held.get(&head.address);
        if held.is_none_or(|(held, _)| *held < version) {
            self.held.insert(head.address.clone(), (version, document));
        }
        self.shown.insert(head.address.clone(), version);
    }

    /// Reads a context from the bytes in which it is sent.
    fn as_sent(&mut self, head: &Head) -> (Version, Json) {
        let Some(connection) = &self.connection else {
            return (head.version, Json::Null);
        };
        let mut w = JsonWriter::new();
        connection.feed.shape().write_context(&mut w, head);
        let json = crate::raw::parse(w.into_string().as_bytes()).unwrap_or_default();
        if self.choice.fields.is_empty() {
            match ContextView::read(&json, &Pointer::root()) {
                Ok(view) => return (view.version, view.document.to_json()),
                Err(error) => self.wrong.push(format!("no context: {error}")),
            }
        }
        let members = json.as_object().map(|object| {
            let members = object.entries();
            let members = members.filter(|(key, _)| MEMBERS.contains(&key.as_str()));
            members
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect::<Object>()
        });
        let version = json.get("version").and_then(Json::as_u64).unwrap_or(0);
        (Version(version), Json::Object(members.unwrap_or_default()))
    }

    /// Notes what came, and that it came in order.
    fn note(&mut self, seq: Seq, context: &Address, version: Option<Version>) {
        let coalesces = self.choice.coalesces;
        let Some(session) = self.sessions.last_mut() else {
            return;
        };
        let before = session
            .got
            .iter()
            .filter(|(_, known, _)| !coalesces || known == context)
            .map(|(seq, ..)| *seq)
            .max();
        if before.is_some_and(|before| seq <= before) {
            self.wrong.push(format!("{seq} came after {before:?}"));
        }
        session.got.push((seq, context.clone(), version));
    }

    async fn change(&mut self, world: &World, seq: Seq, change: &WireChange) {
        self.note(seq, &change.context, Some(change.version));
        self.coalesced += u64::from(change.from.0 + 1 < change.version.0 && change.from.0 > 0);
        let held = self.held.get(&change.context).cloned();
        // What is not above the version held is dropped.
        if held
            .as_ref()
            .is_some_and(|(held, _)| *held >= change.version)
        {
            return;
        }
        let document = match (&change.body, held) {
            (WireBody::Snapshot(document), _) => document.clone(),
            (WireBody::Thin, _) => {
                if change.kind != ChangeType::Delete || self.choice.mode == Mode::Thin {
                    self.wrong
                        .push(format!("{} came without a body", change.id));
                }
                self.held.remove(&change.context);
                return;
            }
            (WireBody::Patch(patch), Some((version, document))) if version == change.from => {
                match apply(patch, &document) {
                    Ok(document) => document,
                    Err(error) => return self.wrong.push(error),
                }
            }
            (WireBody::Patch(_), held) => {
                let held = held.map(|(version, _)| version);
                return self.does_not_fit(world, seq, change, held).await;
            }
        };
        self.check_hash(change, &document);
        self.held
            .insert(change.context.clone(), (change.version, document));
    }

    fn check_hash(&mut self, change: &WireChange, document: &Json) {
        let (Some(hash), Some(object)) = (change.hash, document.as_object()) else {
            return;
        };
        if Document::from_stored(object.clone()).hash() != hash {
            let (context, version) = (&change.context, change.version);
            self.wrong
                .push(format!("{context} v{version} is not what its hash says"));
        }
    }

    /// Asks for a context again, whose patch does not fit. That may be so where the reader went
    /// back or changed its ways, and where what a page was made without is gone.
    async fn does_not_fit(
        &mut self,
        world: &World,
        seq: Seq,
        change: &WireChange,
        held: Option<Version>,
    ) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        if held.is_none() && seq <= self.fuzzy_until {
            return;
        }
        if !connection.may_differ {
            self.wrong.push(format!(
                "{} v{} is a patch from {}, and {held:?} is held ({:?})",
                change.context, change.version, change.from, self.choice
            ));
        }
        self.resyncs += 1;
        self.asked_again.insert(change.context.clone());
        let head = world
            .workspace()
            .get(&Principal::owner(), &change.context, When::Head)
            .await;
        let covered = match &head {
            Ok(head) => connection.feed.covers(head).await.unwrap_or(false),
            Err(_) => false,
        };
        match head {
            Ok(head) if covered => {
                connection.feed.note_shown(&head);
                self.show(&head);
            }
            _ => {
                self.held.remove(&change.context);
            }
        }
    }
}

fn apply(patch: &Json, document: &Json) -> Result<Json, String> {
    let patch = Patch::from_json(patch, &Pointer::root(), usize::MAX).map_err(|e| e.to_string())?;
    let limits = ApplyLimits {
        depth_max: 200,
        weight_max: usize::MAX,
    };
    patch
        .apply(document, &limits)
        .map_err(|error| format!("a patch does not apply: {error}"))
}
