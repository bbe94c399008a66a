//! What is wanted becomes changes: the branch that keeps it, missing parents, conflicts that follow
//! the head.

use std::sync::Arc;

use syncline_model::change::{ChangeType, Outcome};
use syncline_model::conflict::{Conflict, ConflictKind, ConflictState, Strategy};
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::{Address, BranchName};
use syncline_model::json::Json;
use syncline_model::proposal::{LineVersion, Operation, Proposal};

use crate::case::{Case, KeptBoth, Wanted};
use crate::conditions::Seen;
use crate::decide::{Decision, Step, Stop};
use crate::document::propose;
use crate::hierarchy::{ANCESTORS_MAX, check_height, check_parent};
use crate::merging::{follow, value_at};
use crate::step::{Parts, missing_parent};
use crate::view::{Need, View};

impl Case<'_> {
    /// Makes the branch that keeps the proposal, where the strategy keeps both and they clash.
    pub fn kept_both(&self, wanted: &Wanted) -> Result<Option<KeptBoth>, Stop> {
        let keeps = |c: &Conflict| c.strategy == Strategy::KeepBoth;
        let Some(head) = self.head else {
            return Ok(None);
        };
        let (document, version) = match self.seen {
            Seen::Old {
                document, version, ..
            } => (&**document, version),
            Seen::Gone { version, .. } => (&head.document, version),
            Seen::Head { .. } | Seen::Nothing => return Ok(None),
        };
        if !wanted.opened.iter().any(keeps) || self.proposal.operation == Operation::Delete {
            return Ok(None);
        }
        let name = format!("conflict/{}", self.proposal.id);
        let branch = BranchName::parse(&name);
        let on_branch = Proposal {
            branch: Some(branch.expect("a change id is a good part of a branch's name")),
            ..self.proposal.clone()
        };
        let ours = match (self.proposal.operation, self.own_document()) {
            (Operation::Rollback, _) => wanted.document.clone(),
            (_, Some(own)) => own.clone(),
            _ => propose(document, self.proposal, self.rules)?.document,
        };
        if let Some(gap) = self.view.gap(ours.parent(), ANCESTORS_MAX + 1) {
            return Err(Need::Head(gap).into());
        }
        let parts = Parts {
            view: self.view,
            proposal: &on_branch,
            kind: ChangeType::Create,
            head: None,
            before: &Document::empty(),
            own_patch: None,
            now: self.now,
        };
        let mut step = parts.step(ours);
        step.change.base = Some(*version);
        if self.proposal.branch.is_some() || self.merges_line() {
            // It begins as another branch was, not as `main` was.
            step.change.base = None;
            step.change.merges.get_or_insert(LineVersion {
                branch: self.proposal.branch.clone(),
                version: *version,
            });
        }
        step.change.outcome = Outcome::KeptBoth;
        step.change.decisions = wanted.decisions.clone();
        step.change.detected = self.detected(true, head);
        Ok(Some(KeptBoth(step)))
    }

    /// Says which kinds of conflict were met, where two writers `clashed` or did not.
    fn detected(&self, clashed: bool, head: &Head) -> Vec<ConflictKind> {
        let mut kinds = Vec::new();
        let met = match clashed {
            true => ConflictKind::Data,
            false => ConflictKind::Version,
        };
        let at = match self.seen {
            Seen::Old { document, at, .. } => {
                kinds.push(met);
                let guarded = ["level", "permissions", "collaborators"];
                let moved =
                    |name: &&str| document.object().get(name) != head.document.object().get(name);
                if guarded.iter().any(moved) {
                    kinds.push(ConflictKind::Access);
                }
                Some(*at)
            }
            Seen::Gone { at, .. } => {
                kinds.push(met);
                Some(*at)
            }
            Seen::Head { at, .. } => Some(*at),
            Seen::Nothing => None,
        };
        if let Some(hlc) = self.proposal.hlc {
            let behind = at.is_some_and(|at| i128::from(hlc.millis()) < i128::from(at.0));
            let ahead = hlc.millis() > self.now.hlc.millis() + self.rules.clock_ahead_max_ms;
            if behind || ahead {
                kinds.push(ConflictKind::Timestamp);
            }
        }
        kinds
    }

    /// Makes the changes of what is wanted, or says that the head says so already.
    pub fn commit(&self, wanted: Wanted, blind: bool) -> Result<Decision, Stop> {
        let (proposal, head) = (self.proposal, self.head);
        let live = head.filter(|head| !head.deleted);
        let document = self.completed(wanted.kind, wanted.document.clone());
        if let Some(head) = live.filter(|head| {
            wanted.kind == ChangeType::Update && !wanted.anyway && head.document == document
        }) {
            return Ok(Decision::Unchanged {
                head: head.clone(),
                blind,
            });
        }
        if wanted.outcome == Outcome::Applied && wanted.kind != ChangeType::Delete {
            let before = live.map(|head| &head.document);
            if let Some(problem) = self.misfit(&document, before) {
                return Err(problem.into());
            }
        }
        let above = head.and_then(|head| head.document.parent());
        for parent in [document.parent(), above] {
            if let Some(gap) = self.view.gap(parent, ANCESTORS_MAX + 1) {
                return Err(Need::Head(gap).into());
            }
        }
        let (mut steps, grown) = self.parents(wanted.kind, &document)?;
        let view = grown.as_ref().unwrap_or(self.view);
        if wanted.kind != ChangeType::Delete {
            self.check_place(view, &document)?;
        }
        let before = match (wanted.kind, head) {
            (ChangeType::Create, _) | (_, None) => Document::empty(),
            (_, Some(head)) => head.document.clone(),
        };
        // Where a default was put back (a parent that the patch removed), the patch alone does not
        // lead to the document, and a replay of it would not have its hash.
        let own_patch = wanted
            .own_patch
            .clone()
            .filter(|_| wanted.kind == ChangeType::Update && document == wanted.document);
        let parts = Parts {
            view,
            proposal,
            kind: wanted.kind,
            head,
            before: &before,
            own_patch,
            now: self.now,
        };
        let mut step = parts.step(document);
        step.change.base = match self.seen {
            Seen::Nothing => None,
            Seen::Head { version, .. } | Seen::Old { version, .. } | Seen::Gone { version, .. } => {
                Some(*version)
            }
        };
        step.change.blind = blind;
        step.change.outcome = wanted.outcome;
        step.change.decisions = wanted.decisions.clone();
        if let Some(head) = head {
            step.change.detected = self.detected(wanted.clashed, head);
        }
        self.carry_conflicts(&wanted, &mut step);
        if !steps.is_empty() {
            let bulk = Some(proposal.id.derive("bulk"));
            steps.iter_mut().for_each(|step| step.change.bulk = bulk);
            step.change.bulk = bulk;
        }
        steps.push(step);
        Ok(Decision::Commit(steps))
    }

    /// Puts in what every document has.
    fn completed(&self, kind: ChangeType, mut document: Document) -> Document {
        if kind == ChangeType::Create && document.owner().is_none() {
            document = document.with("owner", Json::from(self.proposal.actor.id.as_str()));
        }
        if document.parent().is_none() && self.proposal.context.kind() != "global" {
            document = document.with("parent", Json::from("global/main"));
        }
        document
    }

    /// Makes the missing parent, where that is asked for; returns the view that knows it.
    fn parents(
        &self,
        kind: ChangeType,
        document: &Document,
    ) -> Result<(Vec<Step>, Option<View>), Stop> {
        let view = self.view;
        if !self.proposal.create_parents || kind == ChangeType::Delete {
            return Ok((Vec::new(), None));
        }
        let Some(parent) = document
            .parent()
            .filter(|parent| view.head(parent).is_none())
        else {
            return Ok((Vec::new(), None));
        };
        let step = missing_parent(view, self.proposal, &parent, self.now)?;
        let root = Address::global_main();
        if !view.knows(&root) {
            return Err(Need::Head(root).into());
        }
        let mut grown = view.clone();
        grown.put_head(parent, Some(Arc::new(step.head.clone())));
        Ok((vec![step], Some(grown)))
    }

    /// Checks where the context comes to stand.
    fn check_place(&self, view: &View, document: &Document) -> Result<(), Stop> {
        let (context, head) = (&self.proposal.context, self.head);
        check_parent(view, context, document.parent().as_ref())?;
        let line = (
            head.and_then(|head| head.document.parent()),
            document.parent(),
        );
        if head.is_some() && line.0 != line.1 && self.proposal.branch.is_none() {
            let levels = view.height(context)?;
            check_height(view, context, line, levels)?;
        }
        Ok(())
    }

    /// Leaves in the head what waits, and in the change what became of it.
    fn carry_conflicts(&self, wanted: &Wanted, step: &mut Step) {
        let before = self
            .head
            .map(|head| head.conflicts.clone())
            .unwrap_or_default();
        if before.is_empty() && wanted.opened.is_empty() && wanted.reopened.is_empty() {
            return;
        }
        let version = step.head.version;
        let left: Vec<_> = before
            .iter()
            .filter(|c| {
                wanted
                    .settled
                    .as_ref()
                    .is_none_or(|settled| settled.id != c.id)
            })
            .cloned()
            .collect();
        // What waited in an earlier life of a branch is not asked of the next one.
        let begins = step.change.kind == ChangeType::Create && self.proposal.branch.is_some();
        if begins {
            step.head.conflicts = Default::default();
            step.change.conflicts = left
                .into_iter()
                .map(|conflict| Conflict {
                    version: conflict.version + 1,
                    state: ConflictState::Agreed,
                    closed: Some(version),
                    settled_by: Some(self.proposal.id),
                    ..conflict
                })
                .collect();
            return;
        }
        let json = step.head.document.to_json();
        let document = (!step.head.deleted).then_some(&json);
        let (mut waiting, mut touched) =
            follow(&left, &wanted.revised, document, self.proposal, version);
        if let Some(mut settled) = wanted.settled.clone() {
            settled.closed = Some(version);
            touched.push(settled);
        }
        let again = wanted.reopened.iter().map(|conflict| Conflict {
            state: ConflictState::Open,
            version: conflict.version + 1,
            reopened: Some(version),
            closed: None,
            settled_by: None,
            theirs: value_at(conflict, document),
            ..conflict.clone()
        });
        let again = again.filter(|conflict| conflict.theirs != conflict.ours);
        // Two equal sides wait as well: two counts of one counter, whose sum does not fit.
        for conflict in again.chain(wanted.opened.iter().cloned()) {
            waiting.push(conflict.clone());
            touched.push(conflict);
        }
        step.head.conflicts = waiting.into();
        step.change.conflicts = touched;
    }
}
