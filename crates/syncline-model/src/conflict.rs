//! A conflict: a place where two writers want different things, kept as data until it is settled.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::change::read_actor;
use crate::ids::{Address, BranchName, ChangeId, IdError, Version};
use crate::json::{FieldError, Fields, Json, JsonWriter, Pointer};
use crate::proposal::Actor;
use crate::time::Timestamp;

/// `<change id>.<16 hex of SHA-256(path)>`: the proposal that clashed, and where.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConflictId {
    change: ChangeId,
    place: [u8; 8],
}

impl ConflictId {
    /// Returns the id of the conflict that a change left at a path.
    pub fn new(change: ChangeId, path: &str) -> ConflictId {
        let digest = Sha256::digest(path.as_bytes());
        let place = digest[..8].try_into().expect("a digest has 32 bytes");
        ConflictId { change, place }
    }

    /// Reads an id.
    pub fn parse(text: &str) -> Result<ConflictId, IdError> {
        let (change, hex) = text.split_once('.').ok_or(IdError::BadConflictId)?;
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.len() != 16 || !hex.bytes().all(lower_hex) {
            return Err(IdError::BadConflictId);
        }
        let place = u64::from_str_radix(hex, 16).map_err(|_| IdError::BadConflictId)?;
        Ok(ConflictId {
            change: ChangeId::parse(change).map_err(|_| IdError::BadConflictId)?,
            place: place.to_be_bytes(),
        })
    }

    /// Returns the proposal that clashed.
    pub fn change(&self) -> ChangeId {
        self.change
    }
}

impl fmt::Display for ConflictId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = u64::from_be_bytes(self.place);
        write!(f, "{}.{place:016x}", self.change)
    }
}

impl fmt::Debug for ConflictId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ConflictId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        ConflictId::parse(text)
    }
}

words! {
    /// What made two writes meet badly.
    #[derive(PartialOrd, Ord)]
    pub enum ConflictKind {
        /// The write was made on an old version, and merged cleanly.
        Version = "version",
        /// A path clashed, or the merged document does not fit its schema.
        Data = "data",
        /// Rights or the access level changed under the writer.
        Access = "access",
        /// The writer's clock lies behind what it wrote on, or too far ahead of ours.
        Timestamp = "timestamp",
    }
}

impl FromStr for ConflictKind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ConflictKind, &'static str> {
        ConflictKind::of_word(text)
            .ok_or("a kind of conflict is version, data, access or timestamp")
    }
}

words! {
    /// How far a conflict is.
    #[derive(PartialOrd, Ord)]
    pub enum ConflictState {
        /// It waits to be settled.
        Open = "open",
        /// Somebody chose.
        Settled = "settled",
        /// Both sides came to say the same.
        Agreed = "agreed",
    }
}

impl FromStr for ConflictState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ConflictState, &'static str> {
        ConflictState::of_word(text).ok_or("a state of a conflict is open, settled or agreed")
    }
}

words! {
    /// How a clash is resolved (DESIGN, section 5).
    #[derive(PartialOrd, Ord)]
    pub enum Strategy {
        /// Three-way; what is left falls to the fallback.
        Merge = "merge",
        /// Three-way by the schema's `x-merge` rules.
        FieldMerge = "field_merge",
        /// At each clash the later by hybrid logical clock.
        LatestWins = "latest_wins",
        /// At each clash the higher-ranked source.
        SourcePriority = "source_priority",
        /// The head stays, and the proposal becomes a branch.
        KeepBoth = "keep_both",
        /// What merges cleanly is applied, and the clashes wait.
        Manual = "manual",
        /// Nothing is applied; the writer chooses at once.
        UserChoice = "user_choice",
    }
}

impl FromStr for Strategy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Strategy, &'static str> {
        Strategy::of_word(text).ok_or("a strategy is merge, field_merge, latest_wins, source_priority, keep_both, manual or user_choice")
    }
}

/// A place where two writers want different things.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// Its id.
    pub id: ConflictId,
    /// Counts the changes of its sides, from 1: settling names it.
    pub version: u64,
    /// Whose place it is.
    pub context: Address,
    /// On which line of versions; absent is `main`.
    pub branch: Option<BranchName>,
    /// The place: a JSON Pointer in which items of keyed arrays are named by their key.
    pub path: Arc<str>,
    /// What it is.
    pub kind: ConflictKind,
    /// Why it clashed: the merge's rule, or the schema's reason.
    pub reason: Arc<str>,
    /// What both sides started from; `None` where nothing was.
    pub base: Option<Json>,
    /// What the proposal wanted; `None` where it wanted nothing there.
    pub ours: Option<Json>,
    /// What the head holds; follows the head.
    pub theirs: Option<Json>,
    /// By which strategy it came to wait.
    pub strategy: Strategy,
    /// Who wanted ours.
    pub by_ours: Actor,
    /// Who set what the head holds.
    pub by_theirs: Actor,
    /// The proposal's message.
    pub message: Option<Arc<str>>,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it should be settled; later it is only more urgent.
    pub deadline: Timestamp,
    /// The context's version that it came with.
    pub opened: Version,
    /// The context's version that opened it again after it had ended, the last of them.
    pub reopened: Option<Version>,
    /// The context's version whose writer wrote *ours* anew, the last of them.
    pub revised: Option<Version>,
    /// How far it is.
    pub state: ConflictState,
    /// The context's version that ended it.
    pub closed: Option<Version>,
    /// The change that ended it.
    pub settled_by: Option<ChangeId>,
}

impl Conflict {
    /// Writes the wire form, which is the stored one too; what is missing is left out.
    pub fn write(&self, w: &mut JsonWriter) {
        w.begin_object();
        self.write_members(w);
        w.end_object();
    }

    /// Writes the members of the wire form, for a door that adds what holds at the moment.
    pub fn write_members(&self, w: &mut JsonWriter) {
        w.field_str("id", &self.id.to_string());
        w.field_u64("version", self.version);
        w.field_str("context", self.context.as_str());
        if let Some(branch) = &self.branch {
            w.field_str("branch", branch.as_str());
        }
        w.field_str("path", &self.path);
        w.field_str("kind", self.kind.as_str());
        w.field_str("reason", &self.reason);
        let sides = [
            ("base", &self.base),
            ("ours", &self.ours),
            ("theirs", &self.theirs),
        ];
        for (name, side) in sides {
            if let Some(side) = side {
                w.field_json(name, side);
            }
        }
        w.field_str("strategy", self.strategy.as_str());
        w.key("by");
        w.begin_object();
        w.key("ours");
        self.by_ours.write(w);
        w.key("theirs");
        self.by_theirs.write(w);
        w.end_object();
        if let Some(message) = &self.message {
            w.field_str("message", message);
        }
        w.field_str("created_at", &self.created_at.to_string());
        w.field_str("deadline", &self.deadline.to_string());
        w.field_u64("opened", self.opened.0);
        if let Some(reopened) = self.reopened {
            w.field_u64("reopened", reopened.0);
        }
        if let Some(revised) = self.revised {
            w.field_u64("revised", revised.0);
        }
        w.field_str("state", self.state.as_str());
        if let Some(closed) = self.closed {
            w.field_u64("closed", closed.0);
        }
        if let Some(id) = self.settled_by {
            w.field_str("settled_by", &id.to_string());
        }
    }

    /// Returns the wire form.
    pub fn to_text(&self) -> String {
        let mut w = JsonWriter::with_capacity(512);
        self.write(&mut w);
        w.into_string()
    }

    /// Reads the wire form; what is not known is ignored.
    pub fn read(value: &Json, at: &Pointer) -> Result<Conflict, FieldError> {
        let mut f = Fields::new(value, at)?;
        let by = f.required("by")?;
        let mut by = Fields::new(by, &at.child("by"))?;
        Ok(Conflict {
            id: f.required_parse("id", ConflictId::parse)?,
            version: f.required_u64("version")?,
            context: f.required_parse("context", Address::parse)?,
            branch: f.parse("branch", BranchName::parse)?,
            path: f.string("path")?.unwrap_or_default().into(),
            kind: f.required_parse("kind", ConflictKind::from_str)?,
            reason: f.string("reason")?.unwrap_or_default().into(),
            base: f.optional("base").cloned(),
            ours: f.optional("ours").cloned(),
            theirs: f.optional("theirs").cloned(),
            strategy: f.required_parse("strategy", Strategy::from_str)?,
            by_ours: read_actor(by.required("ours")?, &at.child("by"))?,
            by_theirs: read_actor(by.required("theirs")?, &at.child("by"))?,
            message: f.string("message")?.map(Arc::from),
            created_at: f.required_parse("created_at", Timestamp::parse)?,
            deadline: f.required_parse("deadline", Timestamp::parse)?,
            opened: Version(f.u64("opened")?.unwrap_or(0)),
            reopened: f.u64("reopened")?.map(Version),
            revised: f.u64("revised")?.map(Version),
            state: f.required_parse("state", ConflictState::from_str)?,
            closed: f.u64("closed")?.map(Version),
            settled_by: f.parse("settled_by", ChangeId::parse)?,
        })
    }

    /// Reads several; anything else is no conflict.
    pub fn read_all(values: &[Json]) -> Result<Vec<Conflict>, FieldError> {
        let at = Pointer::root();
        let read = |(index, value)| Conflict::read(value, &at.index(index));
        values.iter().enumerate().map(read).collect()
    }

    /// Returns about how many bytes it takes.
    pub fn weight(&self) -> usize {
        let sides = [&self.base, &self.ours, &self.theirs];
        let sides: usize = sides.into_iter().flatten().map(Json::weight).sum();
        400 + self.path.len() + sides
    }

    /// Says how urgent it is: 1 when it waits beyond its deadline, else 2.
    pub fn priority(&self, now: Timestamp) -> u64 {
        match self.is_open() && self.deadline < now {
            true => 1,
            false => 2,
        }
    }

    /// Says whether it waits.
    pub fn is_open(&self) -> bool {
        self.state == ConflictState::Open
    }
}

/// Writes several as an array.
pub fn write_all<'a>(w: &mut JsonWriter, conflicts: impl IntoIterator<Item = &'a Conflict>) {
    w.begin_array();
    conflicts.into_iter().for_each(|conflict| conflict.write(w));
    w.end_array();
}
