//! Who set a field, and what it stood against.

use std::collections::HashSet;
use std::sync::Arc;

use syncline_api::{Code, Problem};
use syncline_merge::KeyedPath;
use syncline_model::change::{Change, Effect};
use syncline_model::conflict::ConflictId;
use syncline_model::ids::{Address, Seq, Version};
use syncline_model::json::{Json, Pointer};
use syncline_model::proposal::{LineVersion, Operation};
use syncline_rules::{Principal, Subject, array_around, began_from, visible};

use crate::load::version_as_head;
use crate::reads::{When, not_found};
use crate::tail::Entry;
use crate::workspace::Workspace;

/// Bounds the values that are named as beaten.
const BEATEN_MAX: usize = 32;
/// Bounds the changes of an array that are compared with the version before.
const CHECKED_MAX: usize = 256;
/// Bounds the lines that a value is followed through.
const HOPS_MAX: usize = 32;
/// What stands for the rule where somebody settled a conflict.
const SETTLED: &str = "settled";

/// Who last set a field.
#[derive(Clone, Debug)]
pub struct Blame {
    /// The change that did.
    pub entry: Arc<Entry>,
    /// By which rule or strategy it stands, where others wanted something else; `settled` where
    /// somebody chose.
    pub rule: Option<String>,
    /// What it beat, then and since: the other sides at that place, the newest first.
    pub beat: Vec<Json>,
}

impl Workspace {
    /// Says which change last set a field.
    pub async fn blame(
        &self,
        principal: &Principal,
        line: &Address,
        path: &str,
    ) -> Result<Blame, Problem> {
        let head = self.get(principal, line, When::Head).await?;
        let document = head.document.to_json();
        let keyed = path_in(&document, path)?;
        let Some(place) = keyed.resolve(&document) else {
            let detail = format!(
                "context \"{}\" has nothing at {path}",
                head.address.of_line().0
            );
            return Err(Problem::new(Code::NotFound, detail));
        };
        let value = keyed.get(&document);
        let mut contest = Contested {
            document: &document,
            place: &place,
            value,
            rule: None,
            beat: Vec::new(),
            reopened: HashSet::new(),
        };
        let array = array_around(&document, &place);
        let (stable, shifts) = (array.as_ref().unwrap_or(&place), array.is_some());
        let context = line.of_line().0;
        let (mut line, mut below) = (line.clone(), None);
        let (mut checked, mut hops) = (0, 0);
        let entry = loop {
            let set = |change: &Change| {
                contest.hear(change);
                let here = |p: &Pointer| p.starts_with(stable) || stable.starts_with(p);
                matches!(change.effect, Effect::Snapshot(_)) || change.touched().any(here)
            };
            let found = self.find_below(&line, below, Version(1), set).await?;
            let entry = self.unless_thinned(&line, found, (&keyed, value)).await?;
            let version = entry.change.version;
            // Who deletes a context and who brings it back write nothing of it.
            if matches!(
                entry.change.intent.operation,
                Operation::Delete | Operation::Restore
            ) {
                below = Some(version);
                continue;
            }
            if shifts && checked < CHECKED_MAX && !self.sets(&line, &entry, &keyed).await? {
                (below, checked) = (Some(version), checked + 1);
                continue;
            }
            hops += 1;
            match self
                .came_from(&context, &entry.change, (&keyed, value))
                .await?
            {
                Some(at) if hops < HOPS_MAX => {
                    line = context.line(at.branch.as_ref());
                    below = Some(at.version.next());
                }
                _ => break entry,
            }
        };
        let subject = Subject::of_change(&entry.change);
        if !visible(principal, &subject, &self.shared.settings.rules) {
            return Err(not_found(&line));
        }
        Ok(Blame {
            entry,
            rule: contest.rule,
            beat: contest.beat,
        })
    }

    /// Says whether a change made another value of a place. What items of an array it touched is told
    /// by their indexes, which others shift.
    async fn sets(
        &self,
        line: &Address,
        entry: &Entry,
        place: &KeyedPath,
    ) -> Result<bool, Problem> {
        let shared = &self.shared;
        let version = entry.change.version;
        let older = self.changes_of(line, Some(version), 1).await?;
        let Some(older) = older.first().map(|older| older.change.version) else {
            return Ok(true);
        };
        let mut values = Vec::new();
        for version in [older, version] {
            let head = version_as_head(&*shared.store, &shared.id, line, version).await?;
            let live = head.filter(|head| !head.deleted);
            let json = live.map(|head| head.document.to_json());
            values.push(json.as_ref().and_then(|json| place.get(json)).cloned());
        }
        Ok(values[0] != values[1])
    }

    /// Returns the version of another line that a change took a value from: of one that it merged, or
    /// of `main`, where it began a branch.
    async fn came_from(
        &self,
        context: &Address,
        change: &Change,
        (place, value): (&KeyedPath, Option<&Json>),
    ) -> Result<Option<LineVersion>, Problem> {
        let shared = &self.shared;
        for at in change.merges.clone().into_iter().chain(began_from(change)) {
            let line = context.line(at.branch.as_ref());
            let then = version_as_head(&*shared.store, &shared.id, &line, at.version).await;
            // One that was thinned says nothing any more.
            let Ok(Some(then)) = then else { continue };
            if !then.deleted && place.get(&then.document.to_json()) == value {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Returns the change that was found to have set a field last, unless one after it did that is
    /// no longer kept: then the field holds something else.
    async fn unless_thinned(
        &self,
        line: &Address,
        found: Option<Arc<Entry>>,
        (place, value): (&KeyedPath, Option<&Json>),
    ) -> Result<Arc<Entry>, Problem> {
        let thinned = self.low_water() > Seq::ZERO;
        let gone = || {
            let detail = format!("the change that last set {place} is no longer kept");
            Problem::new(Code::Thinned, detail).hint("`syncline log` shows which versions are kept")
        };
        let entry = match found {
            Some(entry) => entry,
            None if thinned => return Err(gone()),
            None => return Err(not_found(line)),
        };
        if !thinned {
            return Ok(entry);
        }
        let shared = &self.shared;
        let version = entry.change.version;
        let then = version_as_head(&*shared.store, &shared.id, line, version).await?;
        let then = then.map(|head| head.document.to_json());
        match then.as_ref().and_then(|then| place.get(then)) == value {
            true => Ok(entry),
            false => Err(gone()),
        }
    }
}

/// Reads a path as it is meant in a document: a plain JSON Pointer counts as one wherever it leads
/// somewhere, also through names with brackets.
fn path_in(document: &Json, path: &str) -> Result<KeyedPath, Problem> {
    let plain = Pointer::parse(path)
        .ok()
        .map(|pointer| KeyedPath::from_members(pointer.tokens().iter().map(|token| &**token)));
    match plain.filter(|plain| plain.resolve(document).is_some()) {
        Some(plain) => Ok(plain),
        None => KeyedPath::parse(path).map_err(|error| {
            Problem::new(Code::Invalid, error.to_string()).at(Pointer::from_static("/path"))
        }),
    }
}

/// What stood against a value, as the changes of its line tell, the newest first.
struct Contested<'a> {
    document: &'a Json,
    place: &'a Pointer,
    value: Option<&'a Json>,
    rule: Option<String>,
    beat: Vec<Json>,
    /// The conflicts that wait again: what settled them counts no more.
    reopened: HashSet<ConflictId>,
}

impl Contested<'_> {
    /// Hears of one change: what it beat itself, or what it wanted and did not get.
    fn hear(&mut self, change: &Change) {
        for conflict in &change.conflicts {
            if conflict.reopened == Some(change.version) {
                self.reopened.insert(conflict.id);
            }
            if self.reopened.contains(&conflict.id) {
                continue;
            }
            if conflict.settled_by == Some(change.id) && self.is_at(&conflict.path) {
                self.lost(SETTLED, [&conflict.ours, &conflict.theirs]);
                // The head's side is what was chosen by now.
                let here = |p: &Pointer| p.starts_with(self.place) || self.place.starts_with(p);
                let old = change.intent.old.iter().filter(|(p, _)| here(p));
                for (_, old) in old {
                    self.lost(SETTLED, [old]);
                }
            }
        }
        let decisions = change.decisions.as_ref().and_then(Json::as_array);
        for decision in decisions.unwrap_or_default() {
            let word = |name: &str| decision.get(name).and_then(Json::as_str);
            if !word("path").is_some_and(|path| self.is_at(path)) {
                continue;
            }
            let rule = word("strategy").or(word("rule")).unwrap_or_default();
            let side = |name: &str| decision.get(name).cloned();
            match word("action") {
                Some("ours") => self.lost(rule, [&side("theirs")]),
                Some("theirs") => self.lost(rule, [&side("ours")]),
                Some("both") => self.by(rule),
                _ => {}
            }
        }
    }

    /// Says whether a path, as conflicts and decisions have it, leads to the place or holds it.
    fn is_at(&self, path: &str) -> bool {
        let path = KeyedPath::parse(path).ok();
        let path = path.and_then(|path| path.resolve(self.document));
        path.is_some_and(|path| self.place.starts_with(&path))
    }

    fn by(&mut self, rule: &str) {
        self.rule.get_or_insert_with(|| rule.to_owned());
    }

    fn lost<const N: usize>(&mut self, rule: &str, sides: [&Option<Json>; N]) {
        self.by(rule);
        for side in sides.into_iter().flatten() {
            if Some(side) != self.value && self.beat.len() < BEATEN_MAX {
                self.beat.push(side.clone());
            }
        }
    }
}
