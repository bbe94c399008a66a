//! The checker of P1, P2 and P3: what the doors tell, against what the writers heard.

use std::collections::{BTreeMap, HashMap};

use syncline_api::{Code, ReceiptView, WireBody, WireChange};
use syncline_client::{ChangesQuery, Client, When};
use syncline_merge::{ApplyLimits, Patch, apply_merge_patch};
use syncline_model::change::{ChangeType, Outcome};
use syncline_model::ids::{Address, ChangeId, Seq, Version};
use syncline_model::json::{Json, Object, Pointer};
use syncline_model::proposal::{Operation, Proposal};

use crate::ledger::{Heard, Ledger};
use crate::workload::{Sender, object};
use crate::{Access, Door};

/// What was found to be broken. A harness that finds something stops soon after.
#[derive(Clone, Debug, Default)]
pub struct Violations(Vec<String>);

/// Bounds what is kept: after a few, more say nothing new.
const KEPT_MAX: usize = 12;
/// Bounds one text: whole documents say less than their beginnings.
const TEXT_MAX: usize = 600;

impl Violations {
    /// Takes note of one.
    pub fn add(&mut self, what: impl Into<String>) {
        if self.0.len() < KEPT_MAX {
            let what: String = what.into();
            self.0.push(what.chars().take(TEXT_MAX).collect());
        }
    }

    /// Takes note of one unless `holds`.
    pub fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.add(what());
        }
    }

    /// Takes note of what went wrong.
    pub fn note(&mut self, outcome: Result<(), String>) {
        if let Err(error) = outcome {
            self.add(error);
        }
    }

    /// Says whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what was found.
    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

/// Where a change stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its place.
    pub seq: Seq,
    /// The version that it made.
    pub version: Version,
    /// Of which context.
    pub context: Address,
    /// The bulk that it was a part of.
    pub bulk: Option<ChangeId>,
}

/// One context, rebuilt twice: from what the log says happened, and from what writers asked for.
#[derive(Clone, Debug, Default)]
struct Track {
    version: u64,
    deleted: bool,
    told: Json,
    asked: Json,
    last: Option<ChangeId>,
}

/// Follows the log through the doors, and holds it against the ledger.
#[derive(Clone, Debug, Default)]
pub struct Auditor {
    /// Where it stands.
    pub cursor: Option<String>,
    last_seq: u64,
    places: HashMap<ChangeId, Place>,
    order: Vec<ChangeId>,
    tracks: BTreeMap<Address, Track>,
}

impl Auditor {
    /// Returns the last seq that was read.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Returns where a change stands, if the log holds it.
    pub fn place(&self, id: &ChangeId) -> Option<&Place> {
        self.places.get(id)
    }

    /// Returns the changes in the log's order; the first has seq 1.
    pub fn order(&self) -> &[ChangeId] {
        &self.order
    }

    /// Returns the whole log as it was read.
    pub fn life(&self) -> crate::subscriber::Life {
        let place = |id: &ChangeId| (*id, self.places[id].context.clone());
        std::sync::Arc::new(self.order.iter().map(place).collect())
    }

    /// Reads what is new in the log, and checks it as it comes: no gap, no change twice, versions
    /// one by one, nothing that nobody sent, and each document as the writers asked for.
    pub async fn follow(&mut self, client: &Client, ledger: &Ledger, found: &mut Violations) {
        loop {
            let query = ChangesQuery {
                after: self.cursor.clone(),
                limit: Some(1_000),
                ..ChangesQuery::default()
            };
            let page = match client.changes(&query).await {
                Ok(page) => page,
                Err(problem) => return found.add(format!("the log cannot be read: {problem}")),
            };
            let changes = match page.changes() {
                Ok(changes) => changes,
                Err(problem) => return found.add(format!("the log is not understood: {problem}")),
            };
            for change in &changes {
                self.take(change, ledger, found);
            }
            let moved = page.cursor.is_some() && page.cursor != self.cursor;
            if page.cursor.is_some() {
                self.cursor = page.cursor;
            }
            if page.items.is_empty() || !moved || !found.is_empty() {
                return;
            }
        }
    }

    fn take(&mut self, change: &WireChange, ledger: &Ledger, found: &mut Violations) {
        let seq = change.seq.unwrap_or_default();
        let due = self.last_seq + 1;
        found.check(seq.0 == due, || {
            format!(
                "the log has a gap: after seq {} comes {seq}, {}",
                self.last_seq, change.id
            )
        });
        self.last_seq = seq.0;
        let place = Place {
            seq,
            version: change.version,
            context: change.context.clone(),
            bulk: change.bulk,
        };
        if let Some(before) = self.places.insert(change.id, place) {
            found.add(format!(
                "change {} is there twice: seq {} and {seq}",
                change.id, before.seq
            ));
        }
        self.order.push(change.id);
        let track = self.tracks.entry(change.context.clone()).or_default();
        found.check(change.version.0 == track.version + 1, || {
            let address = &change.context;
            format!(
                "{address} jumps from version {} to {}",
                track.version, change.version
            )
        });
        track.version = change.version.0;
        track.last = Some(change.id);
        track.tell(change, found);
        match ledger.get(&change.id) {
            Some(sent) => track.ask(&sent.proposal, change, found),
            // What exists from the start, and parents that were made on the way, nobody sent.
            None if change.actor.id.as_str() == "system" => {}
            None if change.context == Address::global_main() => {}
            None => found.add(format!("change {} at seq {seq} was never sent", change.id)),
        }
    }

    /// Checks that all that was acknowledged is there, where the receipt said; that nothing is
    /// there which was refused; and that an atomic bulk is there as a whole or not at all.
    pub fn check_ledger<'a>(
        &self,
        sent: impl Iterator<Item = (&'a ChangeId, &'a crate::ledger::Sent)>,
        found: &mut Violations,
    ) {
        let mut bulks: BTreeMap<ChangeId, Vec<Option<u64>>> = BTreeMap::new();
        for (id, sent) in sent {
            let place = self.places.get(id);
            match &sent.heard {
                Heard::Receipt(receipt) => self.check_receipt(id, receipt, found),
                Heard::Refused(problem) | Heard::Undecided(problem) => {
                    found.check(place.is_none(), || {
                        format!("{id} was refused ({problem}), and is there: {place:?}")
                    });
                }
                Heard::Nothing | Heard::Unknown(_) => {}
            }
            if let Some(bulk) = sent.bulk {
                bulks
                    .entry(bulk)
                    .or_default()
                    .push(place.map(|place| place.seq.0));
            }
        }
        for (bulk, mut seqs) in bulks {
            seqs.sort_unstable();
            let none = seqs.iter().all(Option::is_none);
            // An unchanged part takes no place; the workload makes none.
            let whole = seqs
                .windows(2)
                .all(|w| matches!(w, [Some(a), Some(b)] if *b == a + 1));
            found.check(none || whole && seqs.iter().all(Option::is_some), || {
                format!("the atomic bulk of {bulk} is there in parts: {seqs:?}")
            });
        }
    }

    /// Checks one receipt against the log.
    pub fn check_receipt(&self, id: &ChangeId, receipt: &ReceiptView, found: &mut Violations) {
        let place = self.places.get(id);
        let Some(seq) = receipt.seq else {
            found.check(
                receipt.outcome == Outcome::Unchanged && place.is_none(),
                || {
                    format!(
                        "{id}: a receipt without seq says {:?}, place {place:?}",
                        receipt.outcome
                    )
                },
            );
            return;
        };
        match place {
            None => found.add(format!(
                "acknowledged and lost: {id}, seq {seq}; the log ends at {}",
                self.last_seq
            )),
            Some(place) => {
                found.check(
                    place.seq == seq && Some(place.version) == receipt.version,
                    || {
                        format!(
                            "{id}: acknowledged as seq {seq} version {:?}, and is at {place:?}",
                            receipt.version
                        )
                    },
                );
            }
        }
    }

    /// Reads heads through a door, and checks them against the log; `max` bounds how many.
    pub async fn check_heads(&self, client: &Client, max: usize, found: &mut Violations) {
        let step = (self.tracks.len() / max.max(1)).max(1);
        for (address, track) in self.tracks.iter().step_by(step) {
            match client.get(address, &When::Head).await {
                Ok(head) => {
                    let version = head.version.0;
                    found.check(!track.deleted && version == track.version, || {
                        format!(
                            "the head of {address} is version {version}, and the log says {}{}",
                            track.version,
                            if track.deleted { ", deleted" } else { "" }
                        )
                    });
                    let shown = head.document.object().get("data").cloned();
                    let told = track.told.get("data").cloned();
                    found.check(or_empty(shown) == or_empty(told), || {
                        format!("the head of {address} shows other data than its history")
                    });
                }
                Err(problem) if problem.code == Code::Deleted && track.deleted => {}
                Err(problem) => found.add(format!("the head of {address}: {problem}")),
            }
        }
    }

    /// Sends proposals again through another door, each with its old id. What was answered must be
    /// answered the same; what was not is settled now.
    pub async fn resend(
        &self,
        access: &Access,
        ids: &[ChangeId],
        ledger: &mut Ledger,
        found: &mut Violations,
    ) {
        let mut senders: BTreeMap<Door, Sender> = BTreeMap::new();
        for (turn, id) in ids.iter().enumerate() {
            let Some(sent) = ledger.get(id).cloned() else {
                continue;
            };
            let door = other_door(sent.door, turn);
            if let std::collections::btree_map::Entry::Vacant(entry) = senders.entry(door) {
                match Sender::open(access, door).await {
                    Ok(sender) => drop(entry.insert(sender)),
                    Err(problem) => return found.add(format!("{door:?} does not open: {problem}")),
                }
            }
            let heard = senders[&door].send(&sent.proposal).await;
            self.compare(id, &sent.heard, &heard, found);
            if let Some(entry) = ledger.get_mut(id).filter(|_| is_settled(&heard)) {
                entry.heard = heard;
            }
        }
    }

    fn compare(&self, id: &ChangeId, first: &Heard, again: &Heard, found: &mut Violations) {
        match (first, again) {
            (Heard::Receipt(first), Heard::Receipt(again)) => {
                found.check(same(first, again), || {
                    format!("{id} was answered {first:?}, and then {again:?}")
                });
            }
            (Heard::Refused(first), Heard::Refused(again)) => {
                found.check(first.code == again.code, || {
                    format!("{id} was refused as {first}, and then as {again}")
                });
            }
            (Heard::Nothing | Heard::Unknown(_), Heard::Receipt(receipt)) => {
                // If the log had it already, the receipt must tell of that place.
                if self.places.contains_key(id) {
                    self.check_receipt(id, receipt, found);
                } else if let Some(seq) = receipt.seq {
                    found.check(seq.0 > self.last_seq, || {
                        format!("{id} was not in the log and is now said to be at seq {seq}")
                    });
                }
            }
            (Heard::Nothing | Heard::Unknown(_), Heard::Refused(problem)) => {
                found.check(!self.places.contains_key(id), || {
                    format!("{id} is in the log, and its resend is refused: {problem}")
                });
            }
            (Heard::Undecided(_), Heard::Receipt(_) | Heard::Refused(_)) => {}
            (first, again) => {
                found.add(format!(
                    "{id} heard {first:?}, and when sent again {again:?}"
                ));
            }
        }
    }
}

/// Says whether two receipts promise the same.
pub fn same(first: &ReceiptView, again: &ReceiptView) -> bool {
    let promise = |r: &ReceiptView| (r.id, r.outcome, r.seq, r.version, r.etag);
    promise(first) == promise(again)
}

fn is_settled(heard: &Heard) -> bool {
    matches!(heard, Heard::Receipt(_) | Heard::Refused(_))
}

/// Returns a door that is not the one through which something came first.
pub fn other_door(first: Door, turn: usize) -> Door {
    let others: Vec<_> = Door::ALL
        .into_iter()
        .filter(|door| *door != first)
        .collect();
    others[turn % others.len()]
}

fn or_empty(value: Option<Json>) -> Json {
    value.unwrap_or_else(|| Object::new().into())
}

const UNBOUNDED: ApplyLimits = ApplyLimits {
    depth_max: usize::MAX,
    weight_max: usize::MAX,
};

impl Track {
    /// Applies what the log says happened.
    fn tell(&mut self, change: &WireChange, found: &mut Violations) {
        self.deleted = change.kind == ChangeType::Delete;
        match &change.body {
            WireBody::Snapshot(document) => self.told = document.clone(),
            WireBody::Patch(patch) => {
                found.check(change.from.0 + 1 == change.version.0, || {
                    format!(
                        "{}: a patch from {} to {}",
                        change.id, change.from, change.version
                    )
                });
                let patch = Patch::from_json(patch, &Pointer::root(), usize::MAX);
                let applied = patch
                    .map_err(|error| error.to_string())
                    .and_then(|p| p.apply(&self.told, &UNBOUNDED).map_err(|e| e.to_string()));
                match applied {
                    Ok(document) => self.told = document,
                    Err(error) => found.add(format!("{}: its patch: {error}", change.id)),
                }
            }
            WireBody::Thin => {
                found.check(self.deleted, || {
                    format!("{} comes without a body", change.id)
                });
            }
        }
    }

    /// Applies what its writer asked for, and compares.
    fn ask(&mut self, proposal: &Proposal, change: &WireChange, found: &mut Violations) {
        let body = &proposal.body;
        match proposal.operation {
            Operation::Create => self.asked = body.clone(),
            Operation::Replace => {
                let members = body.as_object().into_iter().flat_map(Object::entries);
                if let Some(document) = self.asked.as_object_mut() {
                    document.extend(members.map(|(key, value)| (key, value.clone())));
                }
            }
            Operation::Merge => {
                let before = match &self.asked {
                    // Each document has data, also one that begins with labels.
                    Json::Null => object([("data", Object::new().into())]),
                    document => document.clone(),
                };
                self.asked = apply_merge_patch(&before, body);
            }
            Operation::Patch => {
                let patch = Patch::from_json(body, &Pointer::root(), usize::MAX).ok();
                let applied = patch.and_then(|patch| patch.apply(&self.asked, &UNBOUNDED).ok());
                match applied {
                    Some(document) => self.asked = document,
                    None => found.add(format!("{} cannot apply here, and did", change.id)),
                }
            }
            Operation::Delete | Operation::Restore | Operation::Settle | Operation::Rollback => {}
        }
        found.check(change.context == proposal.context, || {
            format!(
                "{} was for {}, and is in {}",
                change.id, proposal.context, change.context
            )
        });
        if self.deleted {
            return;
        }
        let data = |document: &Json| or_empty(document.get("data").cloned());
        found.check(data(&self.asked) == data(&self.told), || {
            let address = &change.context;
            format!(
                "{address} version {}: the document is not what its writers asked for",
                change.version
            )
        });
        let labels = |document: &Json| or_empty(document.get("labels").cloned());
        // Who asks for no parent gets one.
        let parent = self.asked.get("parent");
        let is_there = parent.is_none() || parent == self.told.get("parent");
        found.check(
            is_there && labels(&self.asked) == labels(&self.told),
            || {
                let address = &change.context;
                format!(
                    "{address} version {}: it has not the place or labels that were asked for",
                    change.version
                )
            },
        );
    }
}
