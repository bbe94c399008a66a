//! Contexts as readers see them, whole or in part.

use syncline_model::change::{parse_hash, read_actor};
use syncline_model::document::{Document, DocumentHash, MEMBERS, SERVER_MEMBERS};
use syncline_model::etag::Etag;
use syncline_model::head::Head;
use syncline_model::ids::{Address, BranchName, Seq, Version};
use syncline_model::json::{FieldError, Fields, Json, JsonWriter, Object, Pointer};
use syncline_model::proposal::Actor;
use syncline_model::time::Timestamp;

/// A version of a context as `GET` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ContextView {
    /// Which context.
    pub context: Address,
    /// On which line of versions; absent is `main`.
    pub branch: Option<BranchName>,
    /// Its document.
    pub document: Document,
    /// Which version.
    pub version: Version,
    /// The record that made it, for those who may read the whole workspace.
    pub seq: Option<Seq>,
    /// Its ETag.
    pub etag: Etag,
    /// The document's hash; none where parts of it are shown only.
    pub hash: Option<DocumentHash>,
    /// Who made it.
    pub actor: Actor,
    /// When version 1 was committed.
    pub created_at: Timestamp,
    /// When this version was committed.
    pub updated_at: Timestamp,
    /// Its open conflicts.
    pub conflicts: Vec<String>,
    /// How many changes wait for the topmost node.
    pub pending: u64,
    /// It was deleted; shown only in lists that ask for deleted ones.
    pub deleted: bool,
}

impl ContextView {
    /// Shows a head; `seq` only to those who may read the whole workspace.
    pub fn from_head(head: &Head, show_seq: bool) -> ContextView {
        let (context, branch) = head.address.of_line();
        ContextView {
            context,
            branch,
            document: head.document.clone(),
            version: head.version,
            seq: show_seq.then_some(head.seq),
            etag: head.etag(),
            hash: Some(head.hash),
            actor: head.actor.clone(),
            created_at: head.created_at,
            updated_at: head.updated_at,
            conflicts: head.conflicts.iter().map(|c| c.id.to_string()).collect(),
            pending: 0,
            deleted: head.deleted,
        }
    }

    /// Writes the context: its address, the document's members, and what the server knows.
    pub fn write(&self, w: &mut JsonWriter) {
        w.begin_object();
        w.field_str("context", self.context.as_str());
        if let Some(branch) = &self.branch {
            w.field_str("branch", branch.as_str());
        }
        for (name, value) in self.document.object().iter() {
            w.field_json(name, value);
        }
        w.field_u64("version", self.version.0);
        if let Some(seq) = self.seq {
            w.field_u64("seq", seq.0);
        }
        w.field_str("etag", &self.etag.to_string());
        if let Some(hash) = self.hash {
            w.field_str("hash", &hash.to_string());
        }
        w.key("actor");
        self.actor.write(w);
        w.field_str("created_at", &self.created_at.to_string());
        w.field_str("updated_at", &self.updated_at.to_string());
        w.key("conflicts");
        w.begin_array();
        self.conflicts.iter().for_each(|id| w.string(id));
        w.end_array();
        w.field_u64("pending", self.pending);
        if self.deleted {
            w.field_bool("deleted", true);
        }
        w.end_object();
    }

    /// Returns the context's JSON text.
    pub fn to_text(&self) -> String {
        let mut w = JsonWriter::with_capacity(self.document.weight() + 600);
        self.write(&mut w);
        w.into_string()
    }

    /// Returns the context as a value, to take parts of it.
    pub fn to_json(&self) -> Json {
        let mut actor = Object::new();
        actor.insert("id", Json::from(self.actor.id.as_str()));
        for (key, name) in self.actor.named() {
            actor.insert(key, Json::from(name.as_str()));
        }
        let mut view = self.document.object().clone();
        view.insert("context", Json::from(self.context.as_str()));
        if let Some(branch) = &self.branch {
            view.insert("branch", Json::from(branch.as_str()));
        }
        view.insert("version", Json::from(self.version.0));
        if let Some(seq) = self.seq {
            view.insert("seq", Json::from(seq.0));
        }
        view.insert("etag", Json::from(self.etag.to_string()));
        if let Some(hash) = self.hash {
            view.insert("hash", Json::from(hash.to_string()));
        }
        view.insert("actor", Json::from(actor));
        view.insert("created_at", Json::from(self.created_at.to_string()));
        view.insert("updated_at", Json::from(self.updated_at.to_string()));
        view.insert(
            "conflicts",
            self.conflicts
                .iter()
                .map(|id| Json::from(id.as_str()))
                .collect(),
        );
        view.insert("pending", Json::from(self.pending));
        if self.deleted {
            view.insert("deleted", Json::from(true));
        }
        Json::Object(view)
    }

    /// Reads a whole context that a node sent; what is not known is ignored.
    pub fn read(value: &Json, at: &Pointer) -> Result<ContextView, FieldError> {
        let mut f = Fields::new(value, at)?;
        let object = value.as_object().expect("Fields::new accepts objects only");
        let members = object
            .entries()
            .filter(|(key, _)| MEMBERS.contains(&key.as_str()));
        let document: Object = members
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let conflicts = f.array("conflicts")?.unwrap_or_default();
        Ok(ContextView {
            context: f.required_parse("context", Address::parse)?,
            branch: f.parse("branch", BranchName::parse)?,
            document: Document::from_stored(document),
            version: Version(f.required_u64("version")?),
            seq: f.u64("seq")?.map(Seq),
            etag: f.required_parse("etag", Etag::parse)?,
            hash: f.parse("hash", parse_hash)?,
            actor: read_actor(f.required("actor")?, &at.child("actor"))?,
            created_at: f.required_parse("created_at", Timestamp::parse)?,
            updated_at: f.required_parse("updated_at", Timestamp::parse)?,
            conflicts: conflicts
                .iter()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect(),
            pending: f.u64("pending")?.unwrap_or(0),
            deleted: f.bool("deleted")?.unwrap_or(false),
        })
    }
}

/// Drops what the server adds from a document or merge patch that a writer sends back.
pub fn strip_server_members(body: &Json) -> Json {
    match body {
        Json::Object(object) if SERVER_MEMBERS.iter().any(|name| object.contains_key(name)) => {
            let mut object = object.clone();
            for name in SERVER_MEMBERS {
                object.remove(name);
            }
            Json::Object(object)
        }
        other => other.clone(),
    }
}

/// What every part of a context keeps, so that it can be told which one it is.
const ALWAYS: [&str; 9] = [
    "context",
    "version",
    "seq",
    "etag",
    "hash",
    "updated_at",
    "pending",
    "conflicts",
    "deleted",
];

/// Returns the parts of a context that `fields` name, with what says which context it is.
///
/// A pointer into an array gives the whole array, since an item elsewhere than at its own index
/// would mislead. What a pointer does not find is left out.
pub fn project(view: &Json, fields: &[Pointer]) -> Json {
    let mut part = Object::new();
    for name in ALWAYS {
        if let Some(value) = view.get(name) {
            part.insert(name, value.clone());
        }
    }
    for field in fields {
        copy_path(view, field.tokens(), &mut part);
    }
    let mut partial = Object::new();
    partial.insert(
        "fields",
        fields.iter().map(|f| Json::from(f.to_string())).collect(),
    );
    part.insert("partial", Json::Object(partial));
    Json::Object(part)
}

/// Returns the parts of a context that a subscription's `fields` name, for its reader to hold and
/// to apply patches to: without the hash, which is that of the whole document.
pub fn partial_context(view: &ContextView, fields: &[Pointer]) -> Json {
    let whole = view.to_json();
    let mut part = project(&whole, fields);
    if let Json::Object(part) = &mut part {
        part.remove("hash");
        for name in ["branch", "actor", "created_at"] {
            if let Some(value) = whole.get(name) {
                part.insert(name, value.clone());
            }
        }
    }
    part
}

fn copy_path(from: &Json, tokens: &[std::sync::Arc<str>], into: &mut Object) {
    let Some((name, rest)) = tokens.split_first() else {
        return;
    };
    let Some(value) = from.get(name) else { return };
    let descends = !rest.is_empty() && value.as_object().is_some();
    if !descends {
        // A scalar has nothing below it: the pointer found nothing.
        if rest.is_empty() || value.as_array().is_some() {
            into.insert(&**name, value.clone());
        }
        return;
    }
    if !into.contains_key(name) {
        into.insert(&**name, Json::Object(Object::new()));
    }
    if let Some(Json::Object(inner)) = into.get_mut(name) {
        copy_path(value, rest, inner);
    }
}

/// About how many bytes of JSON make a token.
const BYTES_PER_TOKEN: f64 = 2.7;
/// What `partial` itself takes.
const PARTIAL_BYTES: usize = 150;
/// What is left for a member below this would say nothing.
const SHARE_MIN: usize = 24;
/// Bounds how many places are named as left out; the last one then stands for more.
const LEFT_OUT_MAX: usize = 20;

/// Shortens a context to about `max_tokens`, and says whether anything was left out.
///
/// Small members stay whole and large ones share what is left: strings keep their beginning,
/// arrays their first items. `partial.left_out` names what was shortened.
pub fn shorten(view: &Json, max_tokens: usize) -> (Json, bool) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    let budget = (max_tokens.min(10_000_000) as f64 * BYTES_PER_TOKEN) as usize;
    let Some(object) = view.as_object().filter(|_| view.weight() > budget) else {
        return (view.clone(), false);
    };
    let mut part = Object::new();
    for name in ALWAYS {
        if let Some(value) = view.get(name) {
            part.insert(name, value.clone());
        }
    }
    let rest: Object = object
        .entries()
        .filter(|(key, _)| !ALWAYS.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut left_out = Vec::new();
    let budget = budget.saturating_sub(Json::Object(part.clone()).weight() + PARTIAL_BYTES);
    let fitted = fit_object(&rest, budget, &Pointer::root(), &mut left_out);
    part.extend(
        fitted
            .entries()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    left_out.truncate(LEFT_OUT_MAX);
    let mut partial = Object::new();
    partial.insert("max_tokens", Json::from(max_tokens));
    partial.insert(
        "left_out",
        left_out.iter().map(|p| Json::from(p.to_string())).collect(),
    );
    part.insert("partial", Json::Object(partial));
    (Json::Object(part), true)
}

fn fit(value: &Json, budget: usize, at: &Pointer, left_out: &mut Vec<Pointer>) -> Option<Json> {
    if value.weight() <= budget {
        return Some(value.clone());
    }
    if budget < SHARE_MIN {
        note(at, left_out);
        return None;
    }
    match value {
        Json::String(text) => {
            note(at, left_out);
            let mut end = budget - 5;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            Some(Json::from(format!("{}…", &text[..end])))
        }
        Json::Array(items) => {
            note(at, left_out);
            let mut spent = 2;
            let mut kept = Vec::new();
            for (index, item) in items.iter().enumerate() {
                let weight = item.weight() + 1;
                if spent + weight > budget {
                    if kept.is_empty() {
                        kept.extend(fit(item, budget - spent, &at.index(index), left_out));
                    }
                    break;
                }
                spent += weight;
                kept.push(item.clone());
            }
            Some(kept.into())
        }
        Json::Object(object) => Some(Json::Object(fit_object(object, budget, at, left_out))),
        Json::Null | Json::Bool(_) | Json::Number(_) => {
            note(at, left_out);
            None
        }
    }
}

/// Gives each member an equal share of the budget, smallest first, so that what a small one does
/// not need goes to the larger ones.
fn fit_object(object: &Object, budget: usize, at: &Pointer, left_out: &mut Vec<Pointer>) -> Object {
    let mut members: Vec<_> = object
        .entries()
        .map(|(k, v)| (v.weight() + k.as_str().len() + 4, k, v))
        .collect();
    members.sort_by_key(|(weight, ..)| *weight);
    let mut left = budget.saturating_sub(2);
    let mut fitted = Object::new();
    let count = members.len();
    for (index, (_, key, value)) in members.into_iter().enumerate() {
        let overhead = key.as_str().len() + 4;
        let share = (left / (count - index)).saturating_sub(overhead);
        if let Some(part) = fit(value, share, &at.child(key.as_str()), left_out) {
            left = left.saturating_sub(part.weight() + overhead);
            fitted.insert(key.clone(), part);
        }
    }
    fitted
}

fn note(at: &Pointer, left_out: &mut Vec<Pointer>) {
    if left_out.len() < LEFT_OUT_MAX {
        left_out.push(at.clone());
    }
}
