//! Changes as they travel.

use std::str::FromStr;
use std::sync::Arc;

use syncline_model::change::{Change, ChangeType, Effect, Outcome, parse_hash, read_actor};
use syncline_model::conflict::ConflictId;
use syncline_model::document::DocumentHash;
use syncline_model::ids::{Address, BranchName, ChangeId, Seq, Version};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Object, Pointer};
use syncline_model::proposal::{Actor, LineVersion, Priority};
use syncline_model::time::{Hlc, Timestamp};
use syncline_model::words;

words! {
    /// What a subscription is sent of a change.
    #[derive(Default)]
    pub enum Mode {
        /// The patch from the version before.
        #[default]
        Delta = "delta",
        /// The whole document after the change.
        Snapshot = "snapshot",
        /// That it happened.
        Thin = "thin",
    }
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Mode, &'static str> {
        Mode::of_word(text).ok_or("a mode is delta, snapshot or thin")
    }
}

words! {
    /// In which form a change carries its body.
    pub enum Enc {
        /// A JSON Patch from version `from`.
        Patch = "patch",
        /// The whole document.
        Snapshot = "snapshot",
        /// None.
        Thin = "thin",
    }
}

/// A change with what its reader may see of it.
#[derive(Clone, Copy, Debug)]
pub struct ChangeView<'a> {
    /// The change.
    pub change: &'a Change,
    /// Its place in the log, for those who may read the whole workspace.
    pub seq: Option<Seq>,
    /// Its cursor; the parts of a bulk carry none.
    pub cursor: Option<&'a str>,
    /// In which form.
    pub mode: Mode,
    /// The document after the change, in full form: for [`Mode::Snapshot`].
    pub document: Option<&'a Json>,
    /// With the document's hash: not where only parts of it are shown.
    pub show_hash: bool,
    /// With the values before.
    pub old: bool,
}

/// Writes a change whose body is its own effect, or none.
pub fn write_change(
    w: &mut JsonWriter,
    change: &Change,
    seq: Option<Seq>,
    cursor: Option<&str>,
    mode: Mode,
    show_hash: bool,
    old: bool,
) {
    ChangeView {
        change,
        seq,
        cursor,
        mode,
        document: None,
        show_hash,
        old,
    }
    .write(w);
}

impl ChangeView<'_> {
    /// Writes the change; defaults and empty members are left out.
    pub fn write(&self, w: &mut JsonWriter) {
        w.begin_object();
        self.write_name(w);
        self.write_circumstances(w);
        self.write_body(w);
        w.end_object();
    }

    fn write_name(&self, w: &mut JsonWriter) {
        let change = self.change;
        w.field_str("id", &change.id.to_string());
        if let Some(seq) = self.seq {
            w.field_u64("seq", seq.0);
        }
        if let Some(cursor) = self.cursor {
            w.field_str("cursor", cursor);
        }
        w.field_str("type", change.kind.as_str());
        w.field_str("context", change.context.as_str());
        if let Some(branch) = &change.branch {
            w.field_str("branch", branch.as_str());
        }
        let parent = change.place.parent();
        if let Some(parent) = parent.filter(|parent| **parent != Address::global_main()) {
            w.field_str("parent", parent.as_str());
        }
        if let Some(project) = &change.place.project {
            w.field_str("project", project.as_str());
        }
        if !change.place.labels.is_empty() {
            w.field_json("labels", &Json::Object(change.place.labels.clone()));
        }
    }

    fn write_circumstances(&self, w: &mut JsonWriter) {
        let change = self.change;
        w.field_u64("version", change.version.0);
        if change.from > Version::ZERO {
            w.field_u64("from", change.from.0);
        }
        if let Some(base) = change.base {
            w.field_u64("base", base.0);
        }
        if let Some(merged) = &change.merges {
            w.key("merges");
            w.begin_object();
            w.field_str("branch", merged.name());
            w.field_u64("version", merged.version.0);
            w.end_object();
        }
        if let Some(bulk) = change.bulk {
            w.field_str("bulk", &bulk.to_string());
        }
        w.key("actor");
        change.actor.write(w);
        w.field_str("hlc", &change.hlc.to_string());
        w.field_str("committed_at", &change.committed_at.to_string());
        if change.priority != Priority::default() {
            w.field_u64("priority", change.priority.get().into());
        }
        if let Some(message) = change.message.as_deref().filter(|m| !m.is_empty()) {
            w.field_str("message", message);
        }
        if !change.changed.is_empty() {
            w.key("changed");
            w.begin_array();
            change
                .changed
                .iter()
                .for_each(|pointer| w.string(&pointer.to_string()));
            w.end_array();
        }
    }

    fn write_body(&self, w: &mut JsonWriter) {
        let change = self.change;
        let document = match (&change.effect, self.mode) {
            (Effect::Gone, _) | (_, Mode::Thin) => None,
            (Effect::Snapshot(document), _) => Some(document),
            (Effect::Patch(_), Mode::Snapshot) => self.document,
            (Effect::Patch(_), Mode::Delta) => None,
        };
        match (document, &change.effect, self.mode) {
            (Some(document), ..) => {
                w.field_str("enc", Enc::Snapshot.as_str());
                w.field_json("snapshot", document);
            }
            (None, Effect::Patch(patch), Mode::Delta | Mode::Snapshot) => {
                w.field_str("enc", Enc::Patch.as_str());
                w.field_json("patch", patch);
            }
            _ => w.field_str("enc", Enc::Thin.as_str()),
        }
        if self.old && !change.intent.old.is_empty() {
            w.key("old");
            w.begin_object();
            for (pointer, value) in &change.intent.old {
                if let Some(value) = value {
                    w.field_json(&pointer.to_string(), value);
                }
            }
            w.end_object();
        }
        if change.outcome != Outcome::Applied {
            w.field_str("outcome", change.outcome.as_str());
        }
        let open: Vec<_> = change.opened().collect();
        let ended: Vec<_> = change.conflicts.iter().filter(|c| !c.is_open()).collect();
        for (name, conflicts) in [("conflicts", open), ("settled", ended)] {
            if !conflicts.is_empty() {
                w.key(name);
                w.begin_array();
                conflicts.iter().for_each(|c| w.string(&c.id.to_string()));
                w.end_array();
            }
        }
        if change.blind {
            w.field_bool("blind", true);
        }
        if self.show_hash {
            w.field_str("hash", &change.hash.to_string());
        }
    }
}

/// A change's body, as a client reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum WireBody {
    /// A JSON Patch from version `from`.
    Patch(Json),
    /// The whole document, in full form.
    Snapshot(Json),
    /// Nothing: a deletion, or a thin subscription.
    Thin,
}

/// A change as a client reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct WireChange {
    /// The writer's id for it.
    pub id: ChangeId,
    /// Its place in the log, where it may be seen.
    pub seq: Option<Seq>,
    /// Its cursor; the parts of a bulk carry none.
    pub cursor: Option<String>,
    /// What kind of step.
    pub kind: ChangeType,
    /// Which context.
    pub context: Address,
    /// Which line of versions; absent is `main`.
    pub branch: Option<BranchName>,
    /// The parent after the change.
    pub parent: Option<Address>,
    /// The project after the change.
    pub project: Option<Address>,
    /// The labels after the change.
    pub labels: Object,
    /// The version that it made.
    pub version: Version,
    /// The version that a patch applies to; 0 where the body stands alone.
    pub from: Version,
    /// What the writer had seen, if it said so.
    pub base: Option<Version>,
    /// The line that it merged, as it was then.
    pub merges: Option<LineVersion>,
    /// The bulk that it is a part of.
    pub bulk: Option<ChangeId>,
    /// Who wrote it.
    pub actor: Actor,
    /// The writer's clock.
    pub hlc: Hlc,
    /// When the topmost node committed it.
    pub committed_at: Timestamp,
    /// How soon others want to know.
    pub priority: Priority,
    /// Why, in the writer's words.
    pub message: Option<Arc<str>>,
    /// The pointers that it touches.
    pub changed: Vec<Pointer>,
    /// What it did.
    pub body: WireBody,
    /// The values before, by pointer, where they were asked for.
    pub old: Object,
    /// What came of the proposal.
    pub outcome: Outcome,
    /// The conflicts that it opened.
    pub conflicts: Vec<ConflictId>,
    /// The conflicts that it ended.
    pub settled: Vec<ConflictId>,
    /// It was a patch without a base.
    pub blind: bool,
    /// The document's hash after it, where it was sent.
    pub hash: Option<DocumentHash>,
}

impl WireChange {
    /// Reads a change that a node sent; what is not known is ignored.
    pub fn read(value: &Json, at: &Pointer) -> Result<WireChange, FieldError> {
        let mut f = Fields::new(value, at)?;
        let context = f.required_parse("context", Address::parse)?;
        let top = Address::global_main();
        let parent = f.parse("parent", Address::parse)?;
        let parent = parent.or_else(|| (context != top).then_some(top));
        let changed = f.array("changed")?.unwrap_or_default();
        let pointer = |v: &Json| v.as_str().and_then(|text| Pointer::parse(text).ok());
        Ok(WireChange {
            id: f.required_parse("id", ChangeId::parse)?,
            seq: f.u64("seq")?.map(Seq),
            cursor: f.string("cursor")?.map(str::to_owned),
            kind: f.required_parse("type", ChangeType::from_str)?,
            context,
            branch: f.parse("branch", BranchName::parse)?,
            parent,
            project: f.parse("project", Address::parse)?,
            labels: f.object("labels")?.cloned().unwrap_or_default(),
            version: Version(f.required_u64("version")?),
            from: Version(f.u64("from")?.unwrap_or(0)),
            base: f.u64("base")?.map(Version),
            merges: read_merges(&mut f)?,
            bulk: f.parse("bulk", ChangeId::parse)?,
            actor: read_actor(f.required("actor")?, &at.child("actor"))?,
            hlc: f.parse("hlc", Hlc::parse)?.unwrap_or_default(),
            committed_at: f.required_parse("committed_at", Timestamp::parse)?,
            priority: f
                .u64("priority")?
                .and_then(Priority::new)
                .unwrap_or_default(),
            message: f.string("message")?.map(Arc::from),
            changed: changed.iter().filter_map(pointer).collect(),
            body: read_body(&mut f)?,
            old: f.object("old")?.cloned().unwrap_or_default(),
            outcome: f.parse("outcome", Outcome::from_str)?.unwrap_or_default(),
            conflicts: read_ids(f.array("conflicts")?),
            settled: read_ids(f.array("settled")?),
            blind: f.bool("blind")?.unwrap_or(false),
            hash: f.parse("hash", parse_hash)?,
        })
    }
}

fn read_merges(f: &mut Fields<'_>) -> Result<Option<LineVersion>, FieldError> {
    let at = f.at("merges");
    let Some(merged) = f.optional("merges") else {
        return Ok(None);
    };
    let mut merged = Fields::new(merged, &at)?;
    let line = merged.required_parse("branch", BranchName::parse)?;
    let version = Version(merged.required_u64("version")?);
    Ok(Some(LineVersion::named(line, version)))
}

fn read_ids(ids: Option<&[Json]>) -> Vec<ConflictId> {
    let ids = ids.unwrap_or_default().iter();
    ids.filter_map(|id| ConflictId::parse(id.as_str()?).ok())
        .collect()
}

fn read_body(f: &mut Fields<'_>) -> Result<WireBody, FieldError> {
    match f.string("enc")?.unwrap_or("thin") {
        "patch" => Ok(WireBody::Patch(f.required("patch")?.clone())),
        "snapshot" => Ok(WireBody::Snapshot(f.required("snapshot")?.clone())),
        "thin" => Ok(WireBody::Thin),
        _ => Err(FieldError::invalid(
            f.at("enc"),
            "an enc is patch, snapshot or thin",
        )),
    }
}
