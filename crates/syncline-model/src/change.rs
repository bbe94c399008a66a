//! A change: one committed step of one context, with what was asked and what came of it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::conflict::{Conflict, ConflictKind, write_all};
use crate::document::{DocumentHash, Level};
use crate::etag::Etag;
use crate::ids::{Address, BranchName, ChangeId, Name, PrincipalId, Seq, Version};
use crate::json::{FieldError, Fields, Json, JsonWriter, Object, Pointer};
use crate::proposal::{Actor, LineVersion, Operation, Priority};
use crate::time::{Hlc, Timestamp};

words! {
    /// What kind of step a change was.
    pub enum ChangeType {
        /// The context came to be, or came to be again after a deletion.
        Create = "create",
        /// Its document changed.
        Update = "update",
        /// It was deleted.
        Delete = "delete",
        /// It was brought back as it had been.
        Restore = "restore",
    }
}

words! {
    /// What came of a proposal.
    #[derive(Default)]
    pub enum Outcome {
        /// It stands as it was asked.
        #[default]
        Applied = "applied",
        /// It was merged with what others wrote.
        Merged = "merged",
        /// The head stayed, and the proposal became a branch.
        KeptBoth = "kept_both",
        /// What clashes waits in the queue.
        Conflict = "conflict",
        /// The head already said so; no record was made.
        Unchanged = "unchanged",
        /// It waits for the topmost node.
        Pending = "pending",
    }
}

/// Says that a text is no word of ours for what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown word {0:?}")]
pub struct WordError(String);

impl FromStr for ChangeType {
    type Err = WordError;

    fn from_str(text: &str) -> Result<ChangeType, WordError> {
        ChangeType::of_word(text).ok_or_else(|| WordError(text.chars().take(40).collect()))
    }
}

impl FromStr for Outcome {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Outcome, WordError> {
        Outcome::of_word(text).ok_or_else(|| WordError(text.chars().take(40).collect()))
    }
}

/// Where a context stood: what scopes are judged by.
///
/// Kept in each record, since a resumed scope is judged as of the change, not as of today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The parent, its parent, and so on up to the root.
    pub ancestors: Arc<[Address]>,
    /// The nearest of itself and its ancestors that is a project.
    pub project: Option<Address>,
    /// Its labels.
    pub labels: Object,
    /// Its access level.
    pub level: Level,
}

impl Place {
    /// Returns the parent.
    pub fn parent(&self) -> Option<&Address> {
        self.ancestors.first()
    }
}

/// What the writer asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// The operation.
    pub operation: Operation,
    /// Its body; `None` where the effect is the body, as for a JSON Patch that applied as it was.
    pub body: Option<Json>,
    /// The values before, at each path that the effect touches; `None` where nothing was. An array
    /// that only gets longer at its end is named by its new indexes, not kept whole.
    pub old: Vec<(Pointer, Option<Json>)>,
}

/// What the change did to the version before. Reading and replay use nothing else.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A JSON Patch (RFC 6902) from version `from`.
    Patch(Json),
    /// The whole document, in full form: a creation or restoration.
    Snapshot(Json),
    /// No document any more: a deletion.
    Gone,
}

impl Effect {
    /// Reads the effect out of a change's stored JSON, and nothing else of it.
    pub fn from_stored(value: &Json) -> Result<Effect, FieldError> {
        Ok(Effect::read(&mut Fields::new(value, &Pointer::root())?))
    }

    fn read(fields: &mut Fields<'_>) -> Effect {
        match (fields.optional("patch"), fields.optional("snapshot")) {
            (Some(patch), _) => Effect::Patch(patch.clone()),
            (None, Some(document)) => Effect::Snapshot(document.clone()),
            (None, None) => Effect::Gone,
        }
    }
}

/// One committed step of one context.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The writer's id for it.
    pub id: ChangeId,
    /// What kind of step.
    pub kind: ChangeType,
    /// Which context.
    pub context: Address,
    /// Which line of versions; absent is `main`.
    pub branch: Option<BranchName>,
    /// The version that it made.
    pub version: Version,
    /// The version that the effect applies to; 0 where the effect stands alone.
    pub from: Version,
    /// What the writer had seen, if it said so.
    pub base: Option<Version>,
    /// The bulk that it is a part of.
    pub bulk: Option<ChangeId>,
    /// Who wrote it.
    pub actor: Actor,
    /// The writer's clock, or the node's where the writer sent none.
    pub hlc: Hlc,
    /// When the topmost node committed it; never falls along a log.
    pub committed_at: Timestamp,
    /// How soon others want to know.
    pub priority: Priority,
    /// Why, in the writer's words.
    pub message: Option<Arc<str>>,
    /// Where the context stands after the change.
    pub place: Place,
    /// Where it stood before, if that differs; of one that was deleted, where it stood last.
    pub before: Option<Place>,
    /// The pointers that the effect touches.
    pub changed: Vec<Pointer>,
    /// What was asked.
    pub intent: Intent,
    /// What was done.
    pub effect: Effect,
    /// What came of it.
    pub outcome: Outcome,
    /// What the merge decided where both sides changed something, a decision an item.
    pub decisions: Option<Json>,
    /// The line that it merged.
    pub merges: Option<LineVersion>,
    /// The conflicts that it opened, moved or ended, as it left them.
    pub conflicts: Vec<Conflict>,
    /// Which kinds of conflict were met.
    pub detected: Vec<ConflictKind>,
    /// It was a patch without a base.
    pub blind: bool,
    /// The document's hash after the change; for a deletion that of the last document.
    pub hash: DocumentHash,
}

impl Change {
    /// Returns the key of the line of versions that it is on.
    pub fn line(&self) -> Cow<'_, Address> {
        match &self.branch {
            Some(branch) => Cow::Owned(self.context.line(Some(branch))),
            None => Cow::Borrowed(&self.context),
        }
    }

    /// Returns the conflicts that it left open: new ones, those it opened again, and those of
    /// which it wrote a side anew.
    pub fn opened(&self) -> impl Iterator<Item = &Conflict> {
        let version = self.version;
        let opened = move |c: &&Conflict| {
            let new = c.opened == version && c.version == 1;
            c.is_open() && (new || [c.reopened, c.revised].contains(&Some(version)))
        };
        self.conflicts.iter().filter(opened)
    }

    /// Returns the places that it touched. Where an array only got longer at its end, these are
    /// the new items, since the others were left as they were.
    pub fn touched(&self) -> impl Iterator<Item = &Pointer> {
        // What lies before is kept for each place; for changes of old it is not.
        let exact = self.intent.old.iter().map(|(pointer, _)| pointer);
        let named = self.changed.iter().filter(|_| self.intent.old.is_empty());
        exact.chain(named)
    }

    /// Returns the ETag of the version that it made.
    pub fn etag(&self) -> Etag {
        Etag::new(self.version, self.id, &[], self.hash)
    }

    /// Writes the stored JSON. `committed_at` is not in it: the record's header has it.
    pub fn to_stored(&self) -> String {
        let mut w = JsonWriter::with_capacity(512);
        w.begin_object();
        w.field_str("id", &self.id.to_string());
        w.field_str("type", self.kind.as_str());
        w.field_str("context", self.context.as_str());
        if let Some(branch) = &self.branch {
            w.field_str("branch", branch.as_str());
        }
        w.field_u64("version", self.version.0);
        w.field_u64("from", self.from.0);
        if let Some(base) = self.base {
            w.field_u64("base", base.0);
        }
        if let Some(bulk) = self.bulk {
            w.field_str("bulk", &bulk.to_string());
        }
        w.key("actor");
        self.actor.write(&mut w);
        w.field_str("hlc", &self.hlc.to_string());
        if self.priority != Priority::default() {
            w.field_u64("priority", self.priority.get().into());
        }
        if let Some(message) = &self.message {
            w.field_str("message", message);
        }
        w.key("place");
        write_place(&mut w, &self.place);
        if let Some(before) = &self.before {
            w.key("before");
            write_place(&mut w, before);
        }
        w.key("changed");
        w.begin_array();
        self.changed
            .iter()
            .for_each(|pointer| w.string(&pointer.to_string()));
        w.end_array();
        w.key("intent");
        write_intent(&mut w, &self.intent);
        match &self.effect {
            Effect::Patch(patch) => w.field_json("patch", patch),
            Effect::Snapshot(document) => w.field_json("snapshot", document),
            Effect::Gone => {}
        }
        w.field_str("hash", &self.hash.to_string());
        if self.outcome != Outcome::Applied {
            w.field_str("outcome", self.outcome.as_str());
        }
        if let Some(decisions) = &self.decisions {
            w.field_json("decisions", decisions);
        }
        if let Some(merged) = &self.merges {
            w.field_str("merges", merged.name());
            w.field_u64("merges_version", merged.version.0);
        }
        if !self.conflicts.is_empty() {
            w.key("conflicts");
            write_all(&mut w, &self.conflicts);
        }
        write_kinds(&mut w, &self.detected);
        if self.blind {
            w.field_bool("blind", true);
        }
        w.end_object();
        w.into_string()
    }

    /// Reads the stored JSON back.
    ///
    /// Members that this version does not know are ignored: a newer node may have written them,
    /// and what they say then matters to nobody here.
    pub fn from_stored(value: &Json, committed_at: Timestamp) -> Result<Change, FieldError> {
        let at = Pointer::root();
        let mut f = Fields::new(value, &at)?;
        let id = need(&mut f, "id", ChangeId::parse)?;
        let kind = need(&mut f, "type", ChangeType::from_str)?;
        let context = need(&mut f, "context", Address::parse)?;
        let effect = Effect::read(&mut f);
        let before = f
            .optional("before")
            .map(|v| read_place(v, &at.child("before")))
            .transpose()?;
        let changed = f.array("changed")?.unwrap_or_default();
        Ok(Change {
            id,
            kind,
            context,
            branch: f.parse("branch", BranchName::parse)?,
            version: Version(f.u64("version")?.unwrap_or(0)),
            from: Version(f.u64("from")?.unwrap_or(0)),
            base: f.u64("base")?.map(Version),
            bulk: f.parse("bulk", ChangeId::parse)?,
            actor: read_actor(f.required("actor")?, &at.child("actor"))?,
            hlc: f.parse("hlc", Hlc::parse)?.unwrap_or_default(),
            committed_at,
            priority: f
                .u64("priority")?
                .and_then(Priority::new)
                .unwrap_or_default(),
            message: f.string("message")?.map(Arc::from),
            place: read_place(f.required("place")?, &at.child("place"))?,
            before,
            changed: changed.iter().filter_map(read_pointer).collect(),
            intent: read_intent(f.required("intent")?, &at.child("intent"))?,
            effect,
            outcome: f.parse("outcome", Outcome::from_str)?.unwrap_or_default(),
            decisions: f.optional("decisions").cloned(),
            merges: read_merges(&mut f)?,
            conflicts: Conflict::read_all(f.array("conflicts")?.unwrap_or_default())?,
            detected: read_kinds(&mut f)?,
            blind: f.bool("blind")?.unwrap_or(false),
            hash: need(&mut f, "hash", parse_hash)?,
        })
    }
}

/// Writes which kinds of conflict were met, as the member `detected`, if there are any.
pub fn write_kinds(w: &mut JsonWriter, kinds: &[ConflictKind]) {
    if kinds.is_empty() {
        return;
    }
    w.key("detected");
    w.begin_array();
    kinds.iter().for_each(|kind| w.string(kind.as_str()));
    w.end_array();
}

/// Reads the member `detected`; kinds that this version does not know are left out.
pub fn read_kinds(f: &mut Fields<'_>) -> Result<Vec<ConflictKind>, FieldError> {
    let kinds = f.array("detected")?.unwrap_or_default();
    let known = |kind: &Json| ConflictKind::from_str(kind.as_str()?).ok();
    Ok(kinds.iter().filter_map(known).collect())
}

fn read_merges(f: &mut Fields<'_>) -> Result<Option<LineVersion>, FieldError> {
    let branch = f.parse("merges", BranchName::parse)?;
    let version = f.u64("merges_version")?.map(Version);
    let merged = branch.zip(version);
    Ok(merged.map(|(line, version)| LineVersion::named(line, version)))
}

fn need<T, E: fmt::Display>(
    fields: &mut Fields<'_>,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, FieldError> {
    fields.required(name)?;
    Ok(fields
        .parse(name, parse)?
        .expect("a required member is there"))
}

fn read_pointer(value: &Json) -> Option<Pointer> {
    value.as_str().and_then(|text| Pointer::parse(text).ok())
}

/// Reads 64 hex digits.
pub fn parse_hash(text: &str) -> Result<DocumentHash, &'static str> {
    const BAD: &str = "a hash is 64 hex digits";
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(BAD);
    if text.len() != 64 {
        return Err(BAD);
    }
    let mut bytes = [0u8; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::try_from(16 * digit(pair[0])? + digit(pair[1])?).map_err(|_| BAD)?;
    }
    Ok(DocumentHash(bytes))
}

fn write_place(w: &mut JsonWriter, place: &Place) {
    w.begin_object();
    w.key("ancestors");
    w.begin_array();
    place
        .ancestors
        .iter()
        .for_each(|address| w.string(address.as_str()));
    w.end_array();
    if let Some(project) = &place.project {
        w.field_str("project", project.as_str());
    }
    if !place.labels.is_empty() {
        w.field_json("labels", &Json::Object(place.labels.clone()));
    }
    w.field_str("level", place.level.as_str());
    w.end_object();
}

fn read_place(value: &Json, at: &Pointer) -> Result<Place, FieldError> {
    let mut f = Fields::new(value, at)?;
    let ancestors = f.array("ancestors")?.unwrap_or_default();
    let ancestors = ancestors
        .iter()
        .filter_map(|v| v.as_str().and_then(|t| Address::parse(t).ok()));
    Ok(Place {
        ancestors: ancestors.collect(),
        project: f.parse("project", Address::parse)?,
        labels: f.object("labels")?.cloned().unwrap_or_default(),
        level: f.parse("level", Level::from_str)?.unwrap_or_default(),
    })
}

fn write_intent(w: &mut JsonWriter, intent: &Intent) {
    w.begin_object();
    w.field_str("op", intent.operation.as_str());
    if let Some(body) = &intent.body {
        w.field_json("body", body);
    }
    if !intent.old.is_empty() {
        w.key("old");
        w.begin_array();
        for (pointer, value) in &intent.old {
            w.begin_array();
            w.string(&pointer.to_string());
            if let Some(value) = value {
                w.value(value);
            }
            w.end_array();
        }
        w.end_array();
    }
    w.end_object();
}

fn read_intent(value: &Json, at: &Pointer) -> Result<Intent, FieldError> {
    let mut f = Fields::new(value, at)?;
    let old = f.array("old")?.unwrap_or_default();
    let old = old.iter().filter_map(|pair| {
        let pair = pair.as_array()?;
        Some((read_pointer(pair.first()?)?, pair.get(1).cloned()))
    });
    let old = old.collect();
    Ok(Intent {
        operation: need(&mut f, "op", Operation::from_str)?,
        body: f.optional("body").cloned(),
        old,
    })
}

/// Reads an actor's wire form; members that this version does not know are ignored.
pub fn read_actor(value: &Json, at: &Pointer) -> Result<Actor, FieldError> {
    let mut f = Fields::new(value, at)?;
    Ok(Actor {
        id: need(&mut f, "id", PrincipalId::parse)?,
        agent: f.parse("agent", Name::parse)?,
        session: f.parse("session", Name::parse)?,
        tool_call: f.parse("tool_call", Name::parse)?,
        provider: f.parse("provider", Name::parse)?,
    })
}

/// The answer to a proposal that was not refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// The proposal's id.
    pub id: ChangeId,
    /// What came of it.
    pub outcome: Outcome,
    /// Its place in the log; an unchanged one has none.
    pub seq: Option<Seq>,
    /// The version that it made, or for an unchanged one the head's.
    pub version: Option<Version>,
    /// That version's ETag.
    pub etag: Option<Etag>,
    /// The conflicts that it left.
    pub conflicts: Vec<String>,
    /// Which kinds of conflict were met.
    pub detected: Vec<ConflictKind>,
    /// The line that the version is on; absent is `main`.
    pub branch: Option<BranchName>,
    /// It was a patch without a base.
    pub blind: bool,
    /// The bulk that it was a part of.
    pub bulk: Option<ChangeId>,
}

impl Receipt {
    /// Returns what the writer of a change hears, once it stands in the log.
    pub fn of_change(change: &Change, seq: Seq) -> Receipt {
        Receipt {
            id: change.id,
            outcome: change.outcome,
            seq: Some(seq),
            version: Some(change.version),
            etag: Some(change.etag()),
            conflicts: change.opened().map(|c| c.id.to_string()).collect(),
            detected: change.detected.clone(),
            branch: change.branch.clone(),
            blind: change.blind,
            bulk: change.bulk,
        }
    }
}
