//! A history as the engine writes it: records with effects, a snapshot now and then, the body of
//! the head.

use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_merge::{Patch, diff, old_values};
use syncline_model::change::{Change, ChangeType, Effect, Intent, Outcome, Place};
use syncline_model::document::Document;
use syncline_model::ids::{Address, ChangeId, PrincipalId, Seq, Version};
use syncline_model::json::{Json, Pointer};
use syncline_model::proposal::{Actor, Operation, Priority};
use syncline_model::record::{RecordHash, StoredRecord, pack};
use syncline_model::time::{Hlc, Timestamp};
use syncline_store::{HeadBody, Rebuild, is_snapshot_due, replay};

use super::framed::Framed;
use crate::run::Result;

/// As `BODY_PART` and `BODY_EFFECTS_MIN` in the engine's `batch.rs`.
const BODY_PART: usize = 4;
const BODY_EFFECTS_MIN: usize = 1 << 10;

/// How many versions are rebuilt to know how long that takes.
const REBUILT: usize = 101;
/// How often each is rebuilt; the shortest counts, since what else the machine does is not ours.
const REBUILT_TIMES: usize = 5;

/// One version, as texts before they are packed.
pub struct Step {
    /// The document in full form.
    pub document: String,
    /// What led to it: a patch, or the whole document for the first.
    pub effect: String,
}

/// A history in memory, and what a store would hold of it.
#[derive(Default)]
pub struct History {
    /// Every so many versions a whole document is kept; as the engine does, if that is not said.
    distance: Option<u64>,
    /// The versions.
    pub steps: Vec<Step>,
    /// The first document, and the last so far.
    pub ends: Option<(Document, Document)>,
    records: Vec<StoredRecord>,
    /// By version.
    snapshots: Vec<HeadBody>,
    /// The body in the head's row, which each later one replaces.
    body: Arc<[u8]>,
    effects_since_body: usize,
    effects_since_snapshot: usize,
}

/// Bytes of the parts of a history.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// The effects, framed as a store frames records.
    pub effects: usize,
    /// The effects, each packed alone, as they are until they are framed.
    pub alone: usize,
    /// The packed snapshots.
    pub snapshots: usize,
    /// The body of the head.
    pub body: usize,
    /// The records' bodies, with effects, old values, ids, hashes and places, framed.
    pub records: usize,
    /// The records' bodies, each packed alone.
    pub records_alone: usize,
}

impl Sizes {
    /// Returns the bytes of documents: what is kept so that each version can be read.
    pub fn documents(&self) -> usize {
        self.effects + self.snapshots + self.body
    }
}

impl History {
    /// Begins a history that keeps a whole document every so many versions, not as the engine does.
    pub fn with_distance(distance: u64) -> History {
        History {
            distance: Some(distance),
            ..History::default()
        }
    }

    /// Takes the next version; one that is equal to the last makes none.
    pub fn push(&mut self, data: Json) {
        let document = Document::empty().with("data", data);
        let last = self.ends.as_ref().map(|(_, last)| last);
        let patch = last.map(|last| diff(&last.to_json(), &document.to_json()));
        if patch.as_ref().is_some_and(Patch::is_empty) {
            return;
        }
        let change = self.change(patch.as_ref(), &document);
        let text = document.to_json().to_text();
        let effect = match &change.effect {
            Effect::Patch(patch) => patch.to_text(),
            _ => text.clone(),
        };
        self.keep_documents(&change, &document, &text);
        let seq = Seq(change.version.0);
        let genesis = || RecordHash::genesis(&[0; 16]);
        let before = self.records.last().map_or_else(genesis, |r| r.header.hash);
        let record = StoredRecord::seal(seq, &change, [0; 16], &before);
        self.records.push(record);
        self.steps.push(Step {
            document: text,
            effect,
        });
        let first = self.ends.take().map(|(first, _)| first);
        self.ends = Some((first.unwrap_or_else(|| document.clone()), document));
    }

    /// Makes the change that a writer's JSON Patch becomes.
    fn change(&self, patch: Option<&Patch>, document: &Document) -> Change {
        let from = self.records.len() as u64;
        let last = self.ends.as_ref().map(|(_, last)| last.to_json());
        let (effect, changed, old) = match (patch, last) {
            (Some(patch), Some(last)) => (
                Effect::Patch(patch.to_json()),
                patch.touched(),
                old_values(&last, patch),
            ),
            _ => (
                Effect::Snapshot(document.to_json()),
                vec![Pointer::root()],
                Vec::new(),
            ),
        };
        let alone = patch.is_none();
        Change {
            id: ChangeId::from_parts(from, &[7; 10]),
            kind: match alone {
                true => ChangeType::Create,
                false => ChangeType::Update,
            },
            context: Address::parse("task/history").expect("a kind and an id"),
            branch: None,
            version: Version(from + 1),
            from: Version(from),
            base: None,
            bulk: None,
            actor: Actor::from_principal(PrincipalId::owner()),
            hlc: Hlc::from_parts(from, 0),
            committed_at: Timestamp(0),
            priority: Priority::default(),
            message: None,
            place: Place::default(),
            before: None,
            changed,
            intent: Intent {
                operation: match alone {
                    true => Operation::Create,
                    false => Operation::Patch,
                },
                body: None,
                old,
            },
            effect,
            outcome: Outcome::Applied,
            decisions: None,
            merges: None,
            conflicts: Vec::new(),
            detected: Vec::new(),
            blind: false,
            hash: document.hash(),
        }
    }

    /// Keeps a snapshot and the head's body where they are due.
    fn keep_documents(&mut self, change: &Change, document: &Document, text: &str) {
        let version = change.version;
        let effect = match &change.effect {
            Effect::Patch(patch) => {
                let weight = patch.weight();
                self.effects_since_snapshot += weight;
                let due = match self.distance {
                    Some(distance) => version.0.is_multiple_of(distance),
                    None => {
                        is_snapshot_due(version, self.effects_since_snapshot, document.weight())
                    }
                };
                if due {
                    let bytes = pack(text);
                    self.snapshots.push(HeadBody { version, bytes });
                    self.effects_since_snapshot = 0;
                }
                weight
            }
            _ => usize::MAX / 2,
        };
        self.effects_since_body = self.effects_since_body.saturating_add(effect);
        let outgrown = (document.weight() / BODY_PART).max(BODY_EFFECTS_MIN);
        if self.effects_since_body > outgrown {
            self.body = pack(text);
            self.effects_since_body = 0;
        }
    }

    /// Returns what the store holds.
    pub fn sizes(&self) -> Sizes {
        let effects: Vec<_> = self.steps.iter().map(|step| pack(&step.effect)).collect();
        let records = self.bodies();
        let alone = |bodies: &[Arc<[u8]>]| bodies.iter().map(|body| body.len()).sum();
        let snapshots = self.snapshots.iter().map(|snapshot| snapshot.bytes.len());
        Sizes {
            alone: alone(&effects),
            effects: Framed::of(effects).bytes(),
            snapshots: snapshots.sum(),
            body: self.body.len(),
            records_alone: alone(&records),
            records: Framed::of(records).bytes(),
        }
    }

    fn bodies(&self) -> Vec<Arc<[u8]>> {
        let bodies = self.records.iter().map(|record| record.body.clone());
        bodies.collect()
    }

    /// Rebuilds some versions from frames, spread evenly, each checked as a node checks it; returns
    /// how long each took at best, the shortest first.
    pub fn rebuild(&self) -> Result<Vec<Duration>> {
        let count = self.records.len();
        let sample = REBUILT.min(count);
        let framed = Framed::of(self.bodies());
        let best = |index: usize| {
            let version = (index + 1) * count / sample;
            let asked = self.rebuild_of(version);
            let times = (0..REBUILT_TIMES).map(|_| rebuild_time(asked.clone(), &framed));
            let times = times.collect::<Result<Vec<_>>>()?;
            Ok(times.into_iter().min().unwrap_or_default())
        };
        let mut times = (0..sample).map(best).collect::<Result<Vec<_>>>()?;
        times.sort_unstable();
        Ok(times)
    }

    /// What a store hands over for a version: the nearest snapshot and the records after it.
    fn rebuild_of(&self, version: usize) -> Rebuild {
        let near = |snapshot: &HeadBody| snapshot.version.0 <= version as u64;
        let start = self.snapshots.iter().rfind(|snapshot| near(snapshot));
        let stands = |snapshot: &HeadBody| {
            let is_in = |record: &StoredRecord| record.header.seq.0 <= snapshot.version.0;
            self.records.partition_point(is_in)
        };
        let after = start.map_or(0, stands);
        Rebuild {
            start: start.cloned(),
            records: self.records[after..version].to_vec(),
            hash: None,
        }
    }
}

/// Returns how long it takes to rebuild what a store handed over, whose records it takes out of
/// their frames.
fn rebuild_time(mut asked: Rebuild, framed: &Framed) -> Result<Duration> {
    let last = asked.records.last().map_or(0, |record| record.header.seq.0);
    let last = usize::try_from(last).map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let bodies = framed.read(last - asked.records.len()..last)?;
    for (record, body) in asked.records.iter_mut().zip(bodies) {
        record.body = body;
    }
    let rebuilt = replay(&asked).map_err(|error| error.to_string())?;
    let took = begun.elapsed();
    rebuilt
        .map(|_| took)
        .ok_or_else(|| "a version is not there".to_owned())
}
