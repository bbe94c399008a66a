//! Digests: all changes of a context since a place in the log, as one patch, with who made them
//! and why.
//!
//! A digest covers a stretch of the log from the reader's cursor on. What does not fit the reader's
//! budget is left for the next: the stretch is made shorter, so the cursor never skips anything.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_api::{Mode, Problem, ResetReason, write_line};
use syncline_engine::{Entry, Principal, Workspace, aside};
use syncline_merge::diff;
use syncline_model::change::{Change, ChangeType};
use syncline_model::cursor::Position;
use syncline_model::head::Head;
use syncline_model::ids::{Address, Version};
use syncline_model::json::{Json, JsonWriter};

use crate::durable::units;
use crate::feed::{Feed, FeedRequest};
use crate::item::Item;

/// Bounds the changes of one digest.
const CHANGES_MAX: usize = 2_000;
/// Bounds how long the log is read for one.
const TIME_MAX: Duration = Duration::from_secs(1);
const PAGE_BYTES: usize = 1 << 20;
/// Bounds who and why of one context: the newest are told.
const BY_MAX: usize = 20;
/// Bounds the places that are named as changed.
const CHANGED_MAX: usize = 50;
/// What a context takes of the budget at least: else a thousand of them would hide in no bytes.
const ITEM_BYTES: usize = 2;

/// A digest of a stretch of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// What fits.
    pub fitting: Fitting,
    /// The place to go on from, sealed.
    pub cursor: String,
    /// More may follow at once.
    pub more: bool,
}

/// What fits a reader's budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitting {
    /// How many units, from the first on.
    pub count: usize,
    /// For each of their contexts what became of it, as JSON.
    pub contexts: Vec<String>,
    /// How many changes are in it.
    pub changes: usize,
    /// How many changes did not fit, and of how many contexts.
    pub left_out: (usize, usize),
}

/// What is known of one line of a context over the stretch.
struct Line {
    line: Address,
    from: Version,
    entries: Vec<Arc<Entry>>,
    entered: bool,
    left: bool,
}

/// Makes digests for one reader.
pub struct Digester {
    workspace: Workspace,
    principal: Principal,
    /// It is not told every change of its contexts, so what it was told last is not known from the
    /// log.
    chooses: bool,
}

impl Digester {
    /// Makes digests of what a request asks for.
    pub fn new(
        workspace: Workspace,
        principal: Principal,
        request: &FeedRequest,
    ) -> Result<Digester, Problem> {
        let condition = request
            .condition
            .as_ref()
            .map(syncline_api::Condition::as_str);
        let matcher = syncline_rules::Matcher::compile(&request.filter, condition)?;
        Ok(Digester {
            workspace,
            principal,
            chooses: !matcher.is_of_context() || request.exclude_self.is_some(),
        })
    }

    /// Reads on from where the request begins, and digests as much as fits the budget, of at most
    /// so many contexts; a bulk that has more passes alone.
    pub async fn digest(
        &self,
        mut request: FeedRequest,
        budget_bytes: usize,
        contexts_max: usize,
    ) -> Result<Digest, Problem> {
        // What the changes say is read from the versions; of the records only their names count.
        request.mode = Mode::Thin;
        request.coalesce = None;
        let (mut feed, opening) =
            Feed::open(self.workspace.clone(), self.principal.clone(), request).await?;
        if !opening.recovered {
            return Err(Problem::reset(opening.reason.unwrap_or(ResetReason::Epoch)));
        }
        let begun = Instant::now();
        let (mut parts, mut changes, mut cut) = (Vec::new(), 0, false);
        while changes < CHANGES_MAX && begun.elapsed() < TIME_MAX && feed.is_hungry() {
            let before = feed.place();
            let items = match feed.next_page(CHANGES_MAX - changes, PAGE_BYTES).await {
                Ok(items) => items,
                // What lies before it is told first, here too.
                Err(_) if !parts.is_empty() => {
                    cut = true;
                    break;
                }
                Err(problem) => return Err(problem),
            };
            if let Some(Item::Reset(reason)) = items.last() {
                // What lies before it is told first; the next call meets it alone.
                if parts.is_empty() && items.len() == 1 {
                    return Err(Problem::reset(*reason));
                }
            }
            cut = feed.is_over();
            for read in units(&self.workspace, items, before, feed.place())? {
                if !matches!(read.items.as_slice(), [Item::Reset(_)]) {
                    changes += read.unit.changes;
                    parts.push((read.unit.place(self.workspace.epoch()), read.items));
                }
            }
            if cut {
                break;
            }
        }
        let whole = match (cut, parts.last()) {
            (true, Some((place, _))) => self.workspace.seal(place),
            (true, None) => return Err(Problem::reset(ResetReason::Access)),
            (false, _) => feed.cursor(),
        };
        let most = within(&parts, contexts_max);
        let items: Vec<&[Item]> = parts.iter().map(|(_, items)| items.as_slice()).collect();
        let fitting = self.fitting(&items, most, budget_bytes).await?;
        let short = fitting.count < parts.len();
        Ok(Digest {
            cursor: match short {
                true => self.workspace.seal(&parts[fitting.count - 1].0),
                false => whole,
            },
            more: short || cut || feed.is_hungry(),
            fitting,
        })
    }

    /// Digests the longest beginning of units that fits, as far as halving finds it: of `most` of
    /// them at most, and of the first whatever it holds.
    pub async fn fitting(
        &self,
        units: &[&[Item]],
        most: usize,
        budget_bytes: usize,
    ) -> Result<Fitting, Problem> {
        let mut count = most.min(units.len());
        loop {
            let lines = lines(units[..count].iter().copied().flatten());
            let contexts = self.contexts(&lines, budget_bytes, count <= 1).await?;
            let bytes: usize = contexts.iter().map(|text| text.len() + ITEM_BYTES).sum();
            if count <= 1 || bytes <= budget_bytes {
                let changes = |units: &[&[Item]]| {
                    let entries = units.iter().copied().flatten().filter_map(entry_of);
                    let lines = entries.map(|entry| entry.change.line().into_owned());
                    lines.collect::<Vec<_>>()
                };
                let mut left = changes(&units[count..]);
                let left_out = left.len();
                left.sort();
                left.dedup();
                return Ok(Fitting {
                    count,
                    contexts,
                    changes: changes(&units[..count]).len(),
                    left_out: (left_out, left.len()),
                });
            }
            count = count.div_ceil(2);
        }
    }

    /// Digests lines; `thin`: what is larger than the budget by itself is named without its body.
    async fn contexts(
        &self,
        lines: &[Line],
        budget_bytes: usize,
        thin: bool,
    ) -> Result<Vec<String>, Problem> {
        let mut texts = Vec::new();
        let mut left = budget_bytes;
        for (done, line) in lines.iter().enumerate() {
            // A fair share of what is left: the first must not take what the others need.
            let share = thin.then_some(left / (lines.len() - done));
            let Some(text) = self.text(line, share).await? else {
                continue;
            };
            left = left.saturating_sub(text.len() + ITEM_BYTES);
            texts.push(text);
        }
        Ok(texts)
    }

    /// Writes what became of one line; nothing where nobody may see it today.
    async fn text(&self, line: &Line, room: Option<usize>) -> Result<Option<String>, Problem> {
        let Some(last) = line.entries.last() else {
            return Ok(None);
        };
        let change = &last.change;
        if line.left {
            return Ok(Some(written(line, change, "leave", &Body::None)));
        }
        if change.kind == ChangeType::Delete {
            return Ok(Some(written(line, change, "delete", &Body::None)));
        }
        let Some(after) = self.version(&line.line, change.version).await? else {
            return Ok(None);
        };
        let kind = match (line.entered, line.from) {
            (true, _) => "enter",
            (false, Version::ZERO) => "create",
            (false, _) => "update",
        };
        let body = self.body(line, &after).await?;
        let text = written(line, change, kind, &body);
        let fits = |text: &String| room.is_none_or(|room| text.len() + ITEM_BYTES <= room);
        if fits(&text) {
            return Ok(Some(text));
        }
        let thin = written(line, change, kind, &Body::Thin);
        if fits(&thin) {
            return Ok(Some(thin));
        }
        Ok(Some(written(line, change, kind, &Body::Bare)))
    }

    async fn body(&self, line: &Line, after: &Head) -> Result<Body, Problem> {
        // Of a branch its reader may have nothing: snapshots show `main` alone.
        let unknown = self.chooses || line.line.is_branch();
        let whole = line.entered || line.from == Version::ZERO || unknown;
        let before = match whole {
            true => None,
            false => self.version(&line.line, line.from).await?,
        };
        let document = after.document.to_json();
        Ok(match before {
            None => Body::Snapshot(document),
            Some(before) => {
                let before = before.document.to_json();
                let weight = before.weight() + document.weight();
                Body::Patch(aside(weight, || diff(&before, &document).to_json()))
            }
        })
    }

    /// Returns a version that the reader may see, and that was not a deletion.
    async fn version(
        &self,
        line: &Address,
        version: Version,
    ) -> Result<Option<Arc<Head>>, Problem> {
        let kept = self.workspace.kept_version(&self.principal, line, version);
        Ok(kept.await?.filter(|head| !head.deleted))
    }
}

enum Body {
    None,
    Thin,
    /// Without most of who and why either: a bulk is told as one, however many changes it has.
    Bare,
    Patch(Json),
    Snapshot(Json),
}

/// What is told as one, and the place behind it.
type Part = (Position, Vec<Item>);

/// Returns how many parts from the first on are of at most so many contexts; the first is told
/// whatever it holds.
fn within(parts: &[Part], contexts_max: usize) -> usize {
    let mut lines = HashSet::new();
    let fits = |(_, items): &&Part| {
        let entries = items.iter().filter_map(entry_of);
        lines.extend(entries.map(|entry| entry.change.line().into_owned()));
        lines.len() <= contexts_max
    };
    let fitting = parts.iter().take_while(fits).count();
    fitting.max(1).min(parts.len())
}

fn entry_of(item: &Item) -> Option<&Arc<Entry>> {
    match item {
        Item::Change(change) => Some(&change.entry),
        Item::Enter { entry, .. } | Item::Leave { entry, .. } => Some(entry),
        _ => None,
    }
}

/// Sorts items by line, in the order in which each was touched first.
fn lines<'a>(items: impl Iterator<Item = &'a Item>) -> Vec<Line> {
    let mut all: Vec<Line> = Vec::new();
    let mut at: HashMap<Address, usize> = HashMap::new();
    for item in items {
        let Some(entry) = entry_of(item) else {
            continue;
        };
        let change = &entry.change;
        let name = change.line().into_owned();
        let index = *at.entry(name.clone()).or_insert_with(|| {
            all.push(Line {
                line: name,
                from: change.from,
                entries: Vec::new(),
                entered: false,
                left: false,
            });
            all.len() - 1
        });
        let line = &mut all[index];
        line.entries.push(entry.clone());
        line.left = matches!(item, Item::Leave { .. });
        // Whoever was told that it left holds it no more.
        line.entered |= matches!(item, Item::Enter { .. });
        // A context that was made anew has nothing in common with what was deleted.
        if matches!(change.kind, ChangeType::Create | ChangeType::Restore) {
            line.from = Version::ZERO;
        }
    }
    all
}

fn written(line: &Line, last: &Change, kind: &str, body: &Body) -> String {
    let mut w = JsonWriter::with_capacity(512);
    w.begin_object();
    write_line(&mut w, &last.line());
    w.field_str("type", kind);
    if !matches!(body, Body::Snapshot(_)) && line.from != Version::ZERO && kind == "update" {
        w.field_u64("from", line.from.0);
    }
    if kind != "leave" {
        w.field_u64("version", last.version.0);
    }
    match body {
        Body::None => {}
        Body::Thin | Body::Bare => w.field_str("enc", "thin"),
        Body::Patch(patch) => {
            w.field_str("enc", "patch");
            w.field_json("patch", patch);
        }
        Body::Snapshot(document) => {
            w.field_str("enc", "snapshot");
            w.field_json("snapshot", document);
        }
    }
    if matches!(body, Body::Patch(_) | Body::Snapshot(_)) {
        w.field_str("hash", &last.hash.to_string());
    }
    // Nothing is said of what became of a context after it left.
    if kind != "leave" {
        write_changed(&mut w, line);
        let by_max = if matches!(body, Body::Bare) {
            1
        } else {
            BY_MAX
        };
        write_by(&mut w, line, by_max);
    }
    w.end_object();
    w.into_string()
}

fn write_changed(w: &mut JsonWriter, line: &Line) {
    let places = line.entries.iter().flat_map(|entry| &entry.change.changed);
    let mut places: Vec<String> = places.map(ToString::to_string).collect();
    places.sort();
    places.dedup();
    if places.is_empty() {
        return;
    }
    w.key("changed");
    w.begin_array();
    places
        .iter()
        .take(CHANGED_MAX)
        .for_each(|place| w.string(place));
    w.end_array();
}

/// Writes who made the changes, why, and what came of each.
fn write_by(w: &mut JsonWriter, line: &Line, by_max: usize) {
    w.field_u64("changes", line.entries.len() as u64);
    w.key("by");
    w.begin_array();
    let skip = line.entries.len().saturating_sub(by_max);
    for entry in line.entries.iter().skip(skip) {
        let change = &entry.change;
        w.begin_object();
        w.field_str("change", &change.id.to_string());
        w.field_u64("version", change.version.0);
        w.key("actor");
        change.actor.write(w);
        if let Some(message) = &change.message {
            w.field_str("message", message);
        }
        w.field_str("outcome", change.outcome.as_str());
        w.field_str("committed_at", &change.committed_at.to_string());
        w.end_object();
    }
    w.end_array();
}
