//! Merging one line of a context's versions into another: `main` into a branch, a branch into
//! `main`, or one branch into another.
//!
//! It is three-way, and its base is what both lines have in them (`common.rs`). Each merge is
//! recorded with the change that it makes, so what was settled in one line after a merge is a change
//! since that point, and the next merge carries it over instead of bringing back what it replaced.

use std::sync::Arc;
use std::time::Duration;

use syncline_api::{Code, Problem};
use syncline_merge::KeyedPath;
use syncline_model::change::Receipt;
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::BranchName;
use syncline_model::json::{Json, JsonWriter, Object, Pointer};
use syncline_model::proposal::{Base, LineVersion, Operation, Proposal};
use syncline_model::time::Hlc;
use syncline_rules::{
    ANCESTORS_MAX, Decision, LINE_MOVED, Need, Now, Principal, Touch, View, decide,
};

use crate::asked::TOUCHES_MAX;
use crate::deciding::NEEDS_MAX;
use crate::lines::{own, parsed};
use crate::load::store_problem;
use crate::reads::When;
use crate::workspace::Workspace;

/// How often a merge is prepared anew where others merge into the same line.
const TRIES_MAX: u32 = 100;

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
        if proposal.context.is_built_in() {
            let detail = "kinds that begin with syncline_ are the node's own";
            return Err(Problem::new(Code::Invalid, detail));
        }
        for again in 0..TRIES_MAX {
            let prepared = self.prepared(principal, &proposal, from).await?;
            if dry_run {
                return self.tried(principal, prepared).await;
            }
            match self.submit(principal, prepared).await {
                Err(problem) if problem.detail == LINE_MOVED => {
                    // The other merge is seen once it is durable.
                    tokio::time::sleep(Duration::from_millis(1 << again.min(6))).await;
                }
                answer => return answer.map(BranchMerge::Done),
            }
        }
        let detail = format!("others merge into this line all the time; {TRIES_MAX} tries met one");
        Err(Problem::new(Code::Unavailable, detail).hint("try again"))
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
        let base = match common.nothing_new {
            true => source.document.clone(),
            false => unsettled(common.document, &source),
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
        if !common.nothing_new {
            own.merges = Some(merged);
            // What the other line merged already it was asked about already.
            let waits = source.conflicts.iter();
            own.waits = waits.filter(|c| c.opened > common.seen).cloned().collect();
        }
        Ok(proposal)
    }

    /// Decides a merge as it would be decided now, and does nothing.
    async fn tried(
        &self,
        principal: &Principal,
        proposal: Proposal,
    ) -> Result<BranchMerge, Problem> {
        let target = self.get(principal, &proposal.line(), When::Head).await?;
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

/// Takes what waits in the line that is merged out of the base: what such a place shows was not
/// chosen by anybody yet, so where the other line has something else the two clash there too.
fn unsettled(base: Document, source: &Head) -> Document {
    let (mut json, shown) = (base.to_json(), source.document.to_json());
    for conflict in source.conflicts.iter() {
        let Ok(path) = KeyedPath::parse(&conflict.path) else {
            continue;
        };
        if path.get(&json) == path.get(&shown) {
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
