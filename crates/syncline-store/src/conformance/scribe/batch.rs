//! A batch in the making, and what its changes say.

use std::sync::Arc;

use syncline_merge::diff;
use syncline_model::change::{Change, ChangeType, Effect, Intent, Outcome, Place};
use syncline_model::conflict::{Conflict, ConflictId};
use syncline_model::document::Document;
use syncline_model::ids::{Address, BranchName, ChangeId, PrincipalId, Seq, Version};
use syncline_model::proposal::{Actor, Operation, Priority};
use syncline_model::record::{IdRow, StoredRecord, pack};
use syncline_model::time::Hlc;

use super::{Form, Scribe, address, document};
use crate::{Append, HeadBody, HeadRow, Store, VersionRow};

/// A batch in the making.
pub struct Batch<'a> {
    pub(super) scribe: &'a mut Scribe,
    pub after: Seq,
    pub append: Append,
    /// Where what follows goes; `None` is main.
    pub branch: Option<BranchName>,
    /// What the next change says of conflicts, as it leaves them.
    pub conflicts: Vec<Conflict>,
}

impl Batch<'_> {
    /// Creates or replaces a document.
    pub fn put(&mut self, at: &str, text: &str, form: Form) {
        let document = document(text);
        let line = self.line(at);
        let before = self.scribe.contexts.get(&line);
        let (kind, effect) = match before {
            Some(history) if !history.head.deleted => {
                let patch = diff(&history.document().to_json(), &document.to_json());
                (ChangeType::Update, Effect::Patch(patch.to_json()))
            }
            _ => (ChangeType::Create, Effect::Snapshot(document.to_json())),
        };
        self.change(line, kind, effect, document, form);
    }

    /// Deletes a context; its last document stays.
    pub fn delete(&mut self, at: &str) {
        let line = self.line(at);
        let document = self.scribe.contexts[&line].document().clone();
        let form = Form {
            without_body: true,
            snapshot: false,
        };
        self.change(line, ChangeType::Delete, Effect::Gone, document, form);
    }

    /// Keeps an id without a record, as for a proposal that changed nothing.
    pub fn keep_id(&mut self) -> ChangeId {
        let id = self.scribe.next_id();
        let row = self.scribe.row_of(id);
        self.scribe.ids.push(row.clone());
        self.append.ids.push(row);
        id
    }

    /// Advances the clock for what follows.
    pub fn later(&mut self, millis: i64) {
        self.scribe.now.0 += millis;
    }

    /// Says whether a conflict with this id was told of before, or is about to be.
    pub fn knows(&self, id: &ConflictId) -> bool {
        self.scribe.conflicts.contains_key(id)
    }

    /// Says whether a line is there and not deleted.
    pub fn lives(&self, line: &Address) -> bool {
        let history = self.scribe.contexts.get(line);
        history.is_some_and(|history| !history.head.deleted)
    }

    fn line(&self, at: &str) -> Address {
        address(at).line(self.branch.as_ref())
    }

    fn change(
        &mut self,
        line: Address,
        kind: ChangeType,
        effect: Effect,
        document: Document,
        form: Form,
    ) {
        let change = self.describe(&line, kind, effect, &document);
        let scribe = &mut *self.scribe;
        let seq = scribe.last.next();
        let salt = [u8::try_from(seq.0 % 251).unwrap_or(0); 16];
        let record = StoredRecord::seal(seq, &change, salt, &scribe.last_hash);
        scribe.last = seq;
        scribe.last_hash = record.header.hash;
        let bytes = pack(&document.to_json().to_text());
        let row = VersionRow {
            address: line.clone(),
            version: change.version,
            seq,
            committed_at: scribe.now,
            change: change.id,
            hash: change.hash,
            snapshot: form.snapshot.then(|| bytes.clone()),
            whole: matches!(change.effect, Effect::Snapshot(_)),
            thinned: false,
        };
        let body = HeadBody {
            version: change.version,
            bytes,
        };
        let before = scribe.contexts.get(&line).map(|history| &history.head);
        let head = HeadRow {
            body: (!form.without_body).then_some(body),
            conflicts: waiting(before, &change.conflicts),
            created_at: before.map_or(scribe.now, |head| head.created_at),
            ..head_of(line, seq, &change, &document)
        };
        let id_row = scribe.row_of(change.id);
        scribe.ids.push(id_row.clone());
        scribe.records.push(record.clone());
        scribe.remember(head.clone(), &row, document);
        for conflict in change.conflicts {
            scribe.conflicts.insert(conflict.id, conflict.clone());
            self.append.conflicts.retain(|c| c.id != conflict.id);
            self.append.conflicts.push(conflict);
        }
        self.push(record, row, head, id_row);
    }

    fn describe(
        &mut self,
        line: &Address,
        kind: ChangeType,
        effect: Effect,
        document: &Document,
    ) -> Change {
        let scribe = &mut *self.scribe;
        let id = scribe.next_id();
        let before = scribe.contexts.get(line);
        let from = before.map_or(Version::ZERO, |history| history.head.version);
        let operation = if kind == ChangeType::Delete {
            Operation::Delete
        } else {
            Operation::Replace
        };
        let (context, branch) = line.of_line();
        Change {
            id,
            kind,
            context,
            branch,
            version: from.next(),
            from,
            base: None,
            bulk: None,
            actor: Actor::from_principal(PrincipalId::owner()),
            hlc: Hlc::default(),
            committed_at: scribe.now,
            priority: Priority::default(),
            message: None,
            place: Place::default(),
            before: None,
            changed: Vec::new(),
            intent: Intent {
                operation,
                body: None,
                old: Vec::new(),
            },
            effect,
            outcome: Outcome::Applied,
            decisions: None,
            merges: None,
            conflicts: std::mem::take(&mut self.conflicts),
            detected: Vec::new(),
            blind: false,
            hash: document.hash(),
        }
    }

    fn push(&mut self, record: StoredRecord, row: VersionRow, head: HeadRow, id: IdRow) {
        self.append.records.push(record);
        self.append.versions.push(row);
        self.append.ids.push(id);
        // The newest body of the batch is the one that is written.
        let earlier = self
            .append
            .heads
            .iter()
            .position(|h| h.address == head.address);
        let earlier = earlier.map(|at| self.append.heads.remove(at));
        let body = head
            .body
            .clone()
            .or_else(|| earlier.and_then(|head| head.body));
        self.append.heads.push(HeadRow { body, ..head });
    }

    /// Appends the batch.
    pub async fn send(self, store: &dyn Store) {
        let (id, last) = (self.scribe.id.clone(), self.scribe.last);
        let appended = store
            .append(&id, self.after, self.append)
            .await
            .expect("an append that fits");
        assert_eq!(appended.last, last);
    }
}

/// Returns the head that a change leaves, its body and its conflicts apart.
fn head_of(line: Address, seq: Seq, change: &Change, document: &Document) -> HeadRow {
    HeadRow {
        address: line,
        parent: document.parent(),
        state: document.state().to_owned(),
        level: document.level(),
        owner: document.owner().map(|owner| owner.to_string()),
        labels: document.labels().clone(),
        title: document.title().map(str::to_owned),
        version: change.version,
        seq,
        change: change.id,
        hash: change.hash,
        deleted: change.kind == ChangeType::Delete,
        actor: change.actor.clone(),
        created_at: change.committed_at,
        updated_at: change.committed_at,
        body: None,
        conflicts: Arc::default(),
    }
}

/// Returns the conflicts that wait after a change, in the order in which they came.
fn waiting(before: Option<&HeadRow>, told: &[Conflict]) -> Arc<[Conflict]> {
    let mut all = before.map_or(Vec::new(), |head| head.conflicts.to_vec());
    for conflict in told {
        match all.iter_mut().find(|known| known.id == conflict.id) {
            Some(known) => *known = conflict.clone(),
            None => all.push(conflict.clone()),
        }
    }
    all.into_iter().filter(Conflict::is_open).collect()
}
