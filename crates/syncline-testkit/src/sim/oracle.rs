//! What a simulated reader should have got, judged from the whole log in a simple way.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_engine::{Entry, Principal, When, Workspace};
use syncline_model::change::{ChangeType, Place};
use syncline_model::ids::{Address, Seq, Version};
use syncline_model::json::Json;
use syncline_rules::place_in;

use super::choice::Choice;
use super::reader::{Reader, Session};
use super::world::World;

/// The log, with each context as every record left it.
pub struct Oracle {
    records: Vec<Record>,
    deleted: Vec<Address>,
    /// Where each context stands in the end that is not deleted, and at which version.
    standing: BTreeMap<Address, (Place, Version)>,
}

struct Record {
    entry: Arc<Entry>,
    /// The document after it; after a deletion the last one.
    document: Json,
}

/// What a record is to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Nothing,
    /// Told, if the parts that are shown changed.
    Told,
    Leaves,
}

impl Oracle {
    /// Reads the whole log.
    pub async fn of(world: &World) -> Oracle {
        let workspace = world.workspace();
        let (mut records, mut at) = (Vec::new(), Seq::ZERO);
        let mut last: BTreeMap<Address, (Json, bool)> = BTreeMap::new();
        while let Ok(entries) = workspace.read_log(at, 256).await {
            let Some(end) = entries.last() else { break };
            at = end.seq;
            for entry in entries {
                let change = &entry.change;
                let owner = Principal::owner();
                let when = When::Version(change.version);
                let head = workspace.get(&owner, &change.context, when).await;
                let gone = change.kind == ChangeType::Delete;
                let document = match head {
                    Ok(head) => head.document.to_json(),
                    Err(_) => last
                        .get(&change.context)
                        .map(|(document, _)| document.clone())
                        .unwrap_or_default(),
                };
                last.insert(change.context.clone(), (document.clone(), gone));
                records.push(Record { entry, document });
            }
        }
        let standing = standing(&workspace, last.keys()).await;
        let deleted = last.into_iter().filter(|(_, (_, gone))| *gone);
        Oracle {
            records,
            deleted: deleted.map(|(address, _)| address).collect(),
            standing,
        }
    }

    /// Holds all that a reader got, and what it holds now, against the log.
    pub fn check(&self, reader: &Reader, wrong: &mut Vec<String>) {
        for session in &reader.sessions {
            self.check_session(session, wrong);
        }
        self.check_state(reader, wrong);
        self.check_scope(reader, wrong);
    }

    /// At the end a reader holds nothing that is out of its scope, however it went there, and who
    /// chooses by the context alone holds all that is in. A deletion may be what a filter left out,
    /// and then what followed it elsewhere.
    fn check_scope(&self, reader: &Reader, wrong: &mut Vec<String>) {
        let choice = &reader.choice;
        for (context, (place, version)) in &self.standing {
            let is_in = place_in(&choice.scope, &[], context, place);
            let held = reader.held.get(context).map(|(version, _)| *version);
            let admitted = choice.admits(place, context.kind(), &Json::Null);
            let is_right = match held {
                Some(held) if choice.is_plain() => is_in && admitted && held == *version,
                Some(_) => is_in || self.was_deleted(context),
                None => !(choice.is_plain() && is_in && admitted),
            };
            if !is_right {
                wrong.push(format!(
                    "{context} v{version} stands below {:?}, and {held:?} is held: {choice:?}",
                    place.ancestors
                ));
            }
        }
    }

    fn was_deleted(&self, context: &Address) -> bool {
        let mut changes = self.records.iter().map(|record| &record.entry.change);
        changes.any(|change| change.kind == ChangeType::Delete && change.context == *context)
    }

    /// Up to the place that a session was told to keep, each change was told, or made one with a
    /// later one that was; and nothing else was.
    fn check_session(&self, session: &Session, wrong: &mut Vec<String>) {
        let choice = &session.choice;
        let mut parts: BTreeMap<&Address, (Version, Json)> = BTreeMap::new();
        for record in &self.records {
            let change = &record.entry.change;
            let seq = record.entry.seq;
            let meaning = meaning(choice, record);
            let got = session.got.iter().find(|(got, ..)| *got == seq);
            if got.is_some() && meaning == Meaning::Nothing {
                wrong.push(format!("{seq} was told and is not wanted: {choice:?}"));
            }
            let part = choice.part(&record.document);
            let before = self.before(record).map(|before| choice.part(before));
            let same = |known: Option<&Json>| known == Some(&part);
            let shown = session.shown.get(&change.context).copied();
            let shown_part = shown.and_then(|shown| self.document(&change.context, shown));
            let shown_part = shown_part.map(|document| choice.part(document));
            // What was told last counts unless a snapshot showed something newer since.
            let told = parts.get(&change.context);
            let told = told.filter(|(version, _)| shown.is_none_or(|shown| shown < *version));
            let known = told.map(|(_, part)| part).or(shown_part.as_ref());
            let shows_nothing = change.kind == ChangeType::Update
                && !choice.fields.is_empty()
                // Made one, changes to and fro are none: what is held at the end tells.
                && (choice.coalesces
                    || same(before.as_ref())
                    || same(known));
            if meaning == Meaning::Told {
                parts.insert(&change.context, (change.version, part));
            }
            let expected =
                meaning != Meaning::Nothing && seq > session.start && seq <= session.kept;
            if !expected || got.is_some() {
                continue;
            }
            let later = |(got, context, _): &(Seq, Address, Option<Version>)| {
                *got > seq && *context == change.context
            };
            let made_one = choice.coalesces && session.got.iter().any(later);
            let was_shown = shown.is_some_and(|shown| shown >= change.version);
            let shows_nothing = shows_nothing && meaning == Meaning::Told;
            if !(made_one || was_shown || shows_nothing) {
                let (context, version, kept) = (&change.context, change.version, session.kept);
                wrong.push(format!(
                    "{seq} ({context} v{version}, {meaning:?}) was not told up to {kept}, from {}: \
                     {choice:?}",
                    session.start
                ));
            }
        }
    }

    /// Says whether a change leaves the parts that are shown as they were.
    fn changes_nothing(&self, choice: &Choice, record: &Record) -> bool {
        let part = choice.part(&record.document);
        record.entry.change.kind == ChangeType::Update
            && !choice.fields.is_empty()
            && self.before(record).map(|before| choice.part(before)) == Some(part)
    }

    fn before(&self, record: &Record) -> Option<&Json> {
        let change = &record.entry.change;
        let at = usize::try_from(record.entry.seq.0).ok()?.checked_sub(1)?;
        let before = self.records.get(..at)?.iter().rev();
        let mut of_context = before.filter(|r| r.entry.change.context == change.context);
        of_context.next().map(|record| &record.document)
    }

    /// At the end a reader holds each context as it was told last, exactly.
    fn check_state(&self, reader: &Reader, wrong: &mut Vec<String>) {
        let Some(began) = reader.sessions.iter().rposition(|session| session.snapshot) else {
            return wrong.push("a reader never had a snapshot".to_owned());
        };
        let (start, choice) = (reader.sessions[began].start, &reader.choice);
        let shown = &reader.sessions[reader.sessions.len() - 1].shown;
        // Of each context the version that was told last, and whether it went with it.
        let mut told: BTreeMap<&Address, (Version, bool)> = BTreeMap::new();
        let mut may: BTreeMap<&Address, Version> = BTreeMap::new();
        for record in self.records.iter().filter(|r| r.entry.seq > start) {
            let change = &record.entry.change;
            let gone = change.kind == ChangeType::Delete;
            match meaning(choice, record) {
                Meaning::Nothing => {}
                // What touches none of the parts may be told, and need not be.
                Meaning::Told if self.changes_nothing(choice, record) => {
                    may.insert(&change.context, change.version);
                }
                Meaning::Told if !gone => {
                    told.insert(&change.context, (change.version, false));
                }
                Meaning::Told | Meaning::Leaves => {
                    may.remove(&change.context);
                    told.insert(&change.context, (change.version, true));
                }
            }
        }
        let all: std::collections::BTreeSet<_> = told
            .keys()
            .copied()
            .chain(shown.keys())
            .chain(reader.held.keys())
            .collect();
        for context in all {
            let asked = reader.asked_again.contains(context);
            if asked && self.deleted.contains(context) {
                continue;
            }
            let shown = shown.get(context).copied();
            let last = match told.get(context) {
                None => shown,
                // A page may show what came to be after it went, before that is told.
                Some((version, true)) => shown.filter(|shown| shown > version),
                Some((version, false)) => Some(shown.map_or(*version, |shown| shown.max(*version))),
            };
            let held = reader.held.get(context);
            let version = held.map(|(version, _)| *version);
            // What need not be told counts only if it was.
            let may = may
                .get(context)
                .copied()
                .filter(|may| version <= Some(*may));
            let last = last.or(version.filter(|_| may.is_some()));
            if !self.agree(choice, context, version, last) {
                wrong.push(format!(
                    "{context} is held as {version:?}, and should be as {last:?}: {choice:?}"
                ));
            } else if let Some((version, document)) = held
                && self.document(context, *version).map(|d| choice.part(d))
                    != Some(document.clone())
            {
                wrong.push(format!(
                    "{context} v{version} is not what is held: {choice:?}"
                ));
            }
        }
    }

    /// Versions agree, too, between which nothing that is shown changed.
    fn agree(
        &self,
        choice: &Choice,
        context: &Address,
        held: Option<Version>,
        last: Option<Version>,
    ) -> bool {
        match (held, last) {
            // What is held exactly is checked on its own.
            (Some(held), Some(last)) if !choice.fields.is_empty() => {
                let part = |version| self.document(context, version).map(|d| choice.part(d));
                held >= last || part(held) == part(last)
            }
            _ => held == last,
        }
    }

    fn document(&self, context: &Address, version: Version) -> Option<&Json> {
        let made = |record: &&Record| {
            record.entry.change.context == *context && record.entry.change.version == version
        };
        self.records
            .iter()
            .find(made)
            .map(|record| &record.document)
    }
}

/// Returns where contexts stand that are not deleted.
async fn standing(
    workspace: &Workspace,
    contexts: impl Iterator<Item = &Address>,
) -> BTreeMap<Address, (Place, Version)> {
    let mut standing = BTreeMap::new();
    for context in contexts {
        let head = workspace.head_if_any(context).await;
        let Some(head) = head.ok().flatten().filter(|head| !head.deleted) else {
            continue;
        };
        if let Ok(place) = workspace.place(&head).await {
            standing.insert(context.clone(), (place, head.version));
        }
    }
    standing
}

fn meaning(choice: &Choice, record: &Record) -> Meaning {
    let change = &record.entry.change;
    let within = |place: &Place| place_in(&choice.scope, &[], &change.context, place);
    let is_in = within(&change.place);
    let is_new = matches!(change.kind, ChangeType::Create | ChangeType::Restore);
    let was_in = match &change.before {
        Some(place) if !is_new => within(place),
        _ => is_in,
    };
    let kind = change.context.kind();
    let told = match (was_in, is_in) {
        (true, false) => return Meaning::Leaves,
        (false, false) => false,
        (false, true) => choice.admits(&change.place, kind, &record.document),
        (true, true) => choice.wants(change, &record.document),
    };
    if told {
        Meaning::Told
    } else {
        Meaning::Nothing
    }
}
