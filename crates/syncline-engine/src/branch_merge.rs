//! Merging one line of a context's versions into another: `main` into a branch, a branch into
//! `main`, or one branch into another.
//!
//! It is three-way, and its base is what both lines have in them (`common.rs`). Each merge is
//! recorded with the change that it makes, so what was settled in one line after a merge is a change
//! since that point, and the next merge carries it over instead of bringing back what it replaced.

use std::collections::BTreeSet;
use std::sync::Arc;

use syncline_api::{Code, Problem};
use syncline_merge::KeyedPath;
use syncline_model::change::Receipt;
use syncline_model::conflict::{Conflict, ConflictId};
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::{Address, BranchName, Version};
use syncline_model::json::{Json, JsonWriter, Object, Pointer};
use syncline_model::proposal::{Base, LineVersion, Operation, Precondition, Proposal};
use syncline_model::time::Hlc;
use syncline_rules::{
    ANCESTORS_MAX, Decision, LINE_MOVED, MERGE_AGAIN, Need, Now, Principal, Touch, View, decide,
    named,
};
use syncline_store::ConflictQuery;

use crate::asked::TOUCHES_MAX;
use crate::common::Common;
use crate::deciding::NEEDS_MAX;
use crate::lines::{TRIES_MAX, busy, check_not_built_in, look_again_after, own, parsed};
use crate::load::store_problem;
use crate::outcome::Settled;
use crate::reads::When;
use crate::workspace::Workspace;

/// Bounds the conflicts of a context that a merge of its lines looks at, those that wait first.
const DISPUTES_MAX: usize = 1_000;
/// Bounds the changes that left conflicts and are asked whether they merged the same line.
const CONTINUED_MAX: usize = 64;
/// What merging a line would come to, or came to.
#[derive(Clone, Debug)]
pub enum BranchMerge {
    /// It was merged.
    Done(Receipt),
    /// It was only tried.
    Tried {
        /// Nothing would clash.
        clean: bool,
        /// The paths that would.
        clashes: Vec<String>,
        /// The document that would come of it.
        document: Option<Json>,
    },
}

impl Workspace {
    /// Merges a line of a context, `main` where no branch is named, into the proposal's line, or
    /// says what that would come to.
    pub async fn merge_branch(
        &self,
        principal: &Principal,
        mut proposal: Proposal,
        from: Option<&BranchName>,
        dry_run: bool,
    ) -> Result<BranchMerge, Problem> {
        let from_name = from.map_or("main", BranchName::as_str);
        let mut sent = Object::new();
        sent.insert("from_branch", Json::from(from_name));
        let sent = Json::Object(sent);
        if !dry_run
            && let Some(receipt) = self
                .heard_before(&mut proposal, Operation::Replace, sent)
                .await?
        {
            return Ok(BranchMerge::Done(receipt));
        }
        if proposal.branch.as_ref() == from {
            let detail = format!("{from_name} is not merged into itself");
            return Err(Problem::new(Code::Invalid, detail).at(Pointer::from_static("/into")));
        }
        if proposal.base.is_some() {
            let detail = "a merge of lines has no base of the caller's: it starts from what they have in common";
            return Err(Problem::new(Code::Invalid, detail).at(Pointer::from_static("/base")));
        }
        check_not_built_in(&proposal.context)?;
        for again in 0..TRIES_MAX {
            let prepared = self.prepared(principal, &proposal, from).await?;
            let answer = match dry_run {
                true => self.tried(principal, prepared).await,
                false => self
                    .submit(principal, prepared)
                    .await
                    .map(BranchMerge::Done),
            };
            match answer {
                Err(problem) if problem.detail == LINE_MOVED => look_again_after(again).await,
                answer => return answer,
            }
        }
        Err(busy())
    }

    /// Says what a merge starts from and what it wants, as the lines are now.
    async fn prepared(
        &self,
        principal: &Principal,
        proposal: &Proposal,
        from: Option<&BranchName>,
    ) -> Result<Proposal, Problem> {
        let mut proposal = proposal.clone();
        let context = proposal.context.clone();
        let source = self.get(principal, &context.line(from), When::Head).await?;
        let target = self.get(principal, &proposal.line(), When::Head).await?;
        let rules = self.declared_for(&context).await?.merge;
        let ends = [(from, &source), (proposal.branch.as_ref(), &target)];
        let ends = ends.map(|(branch, head)| LineVersion {
            branch: branch.cloned(),
            version: head.version,
        });
        let common = self.common(principal, &context, &ends, &rules).await?;
        let nothing_new = common.nothing_new(&source.document);
        let base = match nothing_new {
            true => source.document.clone(),
            false => {
                let disputes = self.disputes(&context, &common, &ends).await?;
                unsettled(common.document, &disputes, [&source, &target])
            }
        };
        let mut w = JsonWriter::new();
        w.begin_object();
        w.field_str("from_branch", from.map_or("main", BranchName::as_str));
        w.field_u64("version", source.version.0);
        w.end_object();
        proposal.body = parsed(w);
        proposal.base = Some(Base::Version(target.version));
        let [merged, _] = ends;
        let own = own(&mut proposal);
        own.shown = Some(Arc::new(base));
        own.wanted = Some(Arc::new(source.document.clone()));
        own.looked = Some(target.version);
        if !nothing_new {
            own.merges = Some(merged);
            own.continues = self.continued(&target, from).await?;
            // What the other line merged already it was asked about already.
            let waits = source.conflicts.iter();
            own.since = common.seen.map(|seen| seen.unwrap_or(Version::ZERO));
            let [seen, _] = own.since;
            own.waits = waits.filter(|c| c.opened > seen).cloned().collect();
        }
        Ok(proposal)
    }

    /// Returns the conflicts on which two lines may stand: those that wait anywhere and that the line
    /// which is merged into has not settled for itself, and those that were settled on one of the two
    /// since they had that line in common.
    async fn disputes(
        &self,
        context: &Address,
        common: &Common,
        ends: &[LineVersion; 2],
    ) -> Result<Vec<Conflict>, Problem> {
        let shared = &self.shared;
        let mut query = ConflictQuery {
            context: Some(context.clone()),
            limit: DISPUTES_MAX,
            open: true,
            ..ConflictQuery::default()
        };
        let open = shared.store.conflicts(&shared.id, &query).await;
        let mut disputes = open.map_err(store_problem)?;
        query.open = false;
        let ended = shared.store.conflicts(&shared.id, &query).await;
        let mut ended = ended.map_err(store_problem)?;
        ended.retain(|conflict| !conflict.is_open());
        disputes.retain(|dispute| {
            let settled_there = |conflict: &Conflict| {
                let there = conflict.branch == ends[1].branch && conflict.path == dispute.path;
                there && conflict.created_at >= dispute.created_at
            };
            !ended.iter().any(settled_there)
        });
        ended.retain(|conflict| {
            let since = |(end, seen): (&LineVersion, Option<Version>)| {
                let here = end.branch == conflict.branch;
                here && seen.is_some_and(|seen| conflict.closed > Some(seen))
            };
            ends.iter().zip(common.seen).any(since)
        });
        disputes.extend(ended);
        Ok(disputes)
    }

    /// Returns the conflicts of a line that merges of another one left.
    async fn continued(
        &self,
        target: &Head,
        from: Option<&BranchName>,
    ) -> Result<Vec<ConflictId>, Problem> {
        let shared = &self.shared;
        let changes: BTreeSet<_> = target.conflicts.iter().map(|c| c.id.change()).collect();
        let changes: Vec<_> = changes.into_iter().rev().take(CONTINUED_MAX).collect();
        let rows = shared.store.ids(&shared.id, &changes).await;
        let mut merges = BTreeSet::new();
        for (id, row) in changes.iter().zip(rows.map_err(store_problem)?) {
            let settled = row.map(|row| Settled::from_bytes(*id, &row.outcome));
            let Some(Ok(Settled::Accepted(receipt))) = settled else {
                continue;
            };
            let entry = match receipt.seq {
                Some(seq) => shared.entry_at(seq).await?,
                None => None,
            };
            let merged = entry
                .as_ref()
                .and_then(|entry| entry.change.merges.as_ref());
            if merged.is_some_and(|merged| merged.branch.as_ref() == from) {
                merges.insert(*id);
            }
        }
        let conflicts = target.conflicts.iter().map(|conflict| conflict.id);
        Ok(conflicts
            .filter(|id| merges.contains(&id.change()))
            .collect())
    }

    /// Decides a merge as it would be decided now, and does nothing.
    async fn tried(
        &self,
        principal: &Principal,
        proposal: Proposal,
    ) -> Result<BranchMerge, Problem> {
        let target = self.get(principal, &proposal.line(), When::Head).await?;
        let proposal = met(proposal, &target)?;
        let steps = match self.decided(&proposal).await? {
            Decision::Refused(refusal) => return Err(refusal.problem),
            Decision::Commit(steps) => steps,
            Decision::Unchanged { .. } | Decision::Needs(_) => Vec::new(),
        };
        let own = steps.last();
        let kept_both = own.is_some_and(|step| step.change.branch != proposal.branch);
        let opened = own.into_iter().flat_map(|step| step.change.opened());
        let clashes: Vec<_> = opened.map(|conflict| conflict.path.to_string()).collect();
        let head = own.filter(|_| !kept_both).map(|step| &step.head);
        let head = head.unwrap_or(&*target);
        Ok(BranchMerge::Tried {
            clean: clashes.is_empty() && !kept_both,
            clashes,
            document: (!head.deleted).then(|| head.document.to_json()),
        })
    }

    /// Decides a proposal on what is acknowledged.
    async fn decided(&self, proposal: &Proposal) -> Result<Decision, Problem> {
        let shared = &self.shared;
        let at = shared.clock.now();
        let now = Now {
            committed_at: at,
            hlc: Hlc::at(at),
        };
        let mut view = View::new();
        for _ in 0..NEEDS_MAX {
            match decide(&view, proposal, &shared.settings.rules, now) {
                Decision::Needs(Need::Head(address)) => {
                    let head = self.head_if_any(&address).await?;
                    view.put_head(address, head);
                }
                Decision::Needs(Need::Touches(line, after)) => {
                    let changes = self.changes_of(&line, None, TOUCHES_MAX).await?;
                    let later = changes.iter().map(|entry| Touch::of(&entry.change));
                    let touches = later.take_while(|touch| touch.version > after).collect();
                    view.put_touches(line, after, touches);
                }
                Decision::Needs(Need::Kind(kind)) => {
                    let rules = self.declared_for_kind(&kind).await?;
                    view.put_kind(kind, Arc::new(rules));
                }
                Decision::Needs(Need::Height(address)) => {
                    let store = &shared.store;
                    let levels = store.height(&shared.id, &address, ANCESTORS_MAX).await;
                    view.put_height(address, levels.map_err(store_problem)?);
                }
                decision => return Ok(decision),
            }
        }
        let detail = "a decision kept asking for more";
        Err(Problem::new(Code::Internal, detail))
    }
}

/// Checks what an `If-Match` names against the head, since a trial has no sides to show.
fn met(mut proposal: Proposal, head: &Head) -> Result<Proposal, Problem> {
    let Precondition::Match(etags) = &proposal.precondition else {
        return Ok(proposal);
    };
    if !etags.contains(&head.etag()) {
        let (line, etag) = (named(&proposal.line()), head.etag());
        let detail = format!("{line} is at {etag}, not at what If-Match names");
        return Err(Problem::new(Code::PreconditionFailed, detail).hint(MERGE_AGAIN));
    }
    proposal.precondition = Precondition::None;
    Ok(proposal)
}

/// Takes what was not decided yet, or was since, out of the base, where the lines have different
/// things there: neither is merely what the other one started from.
fn unsettled(base: Document, disputes: &[Conflict], lines: [&Head; 2]) -> Document {
    let mut json = base.to_json();
    let [ours, theirs] = lines.map(|head| head.document.to_json());
    for conflict in disputes {
        let Ok(path) = KeyedPath::parse(&conflict.path) else {
            continue;
        };
        let (base, ours, theirs) = (path.get(&json), path.get(&ours), path.get(&theirs));
        let sides = [conflict.ours.as_ref(), conflict.theirs.as_ref()];
        let [waits_here, waits_there] =
            lines.map(|line| line.conflicts.iter().any(|c| c.id == conflict.id));
        let undecided = match conflict.is_open() {
            // What the line that is merged shows is not its own wish, unless it shows the base.
            true if waits_here && base != ours => true,
            // Where it waits in the other line, it is asked there already.
            true => !waits_there && (sides == [ours, theirs] || sides == [theirs, ours]),
            // Whoever chose what was there already changed nothing, and meant it.
            false if lines[0].address.of_line().1 == conflict.branch => base == ours,
            false => base == theirs,
        };
        // Two equal sides may be in dispute as well: two counts whose sum does not fit.
        let agreed = ours == theirs && sides[0] != sides[1];
        if agreed || !undecided {
            continue;
        }
        if let Some(Some(before)) = path.put(Some(&json), conflict.base.clone()) {
            json = before;
        }
    }
    match json {
        Json::Object(object) => Document::from_stored(object),
        _ => base,
    }
}
