//! Merging one line of a context's versions into another: `main` into a branch, a branch into
//! `main`, or one branch into another.
//!
//! It is three-way, and its base is what both lines have in them (`common.rs`). Each merge is
//! recorded with the change that it makes, so what was settled in one line after a merge is a change
//! since that point, and the next merge carries it over instead of bringing back what it replaced.

use std::sync::Arc;

use syncline_api::{Code, Problem};
use syncline_merge::{KeyedPath, MergeLimits, MergeRules, Side, Sides, merge};
use syncline_model::change::Receipt;
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::BranchName;
use syncline_model::json::{Json, JsonWriter, Object, Pointer};
use syncline_model::proposal::{Base, LineVersion, Operation, Proposal};
use syncline_rules::Principal;

use crate::lines::{own, parsed};
use crate::reads::When;
use crate::workspace::Workspace;

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
        let context = proposal.context.clone();
        let line = context.line(from);
        let source = self.get(principal, &line, When::Head).await?;
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
        if dry_run {
            return Ok(tried((&base, &source, &target), &rules));
        }
        let mut w = JsonWriter::new();
        w.begin_object();
        w.field_str("from_branch", from_name);
        w.field_u64("version", source.version.0);
        w.end_object();
        proposal.body = parsed(w);
        let [merged, _] = ends;
        proposal.base = Some(Base::Version(target.version));
        let own = own(&mut proposal);
        own.shown = Some(Arc::new(base));
        own.wanted = Some(Arc::new(source.document.clone()));
        own.merges = Some(merged).filter(|_| !common.nothing_new);
        self.submit(principal, proposal)
            .await
            .map(BranchMerge::Done)
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

fn tried((base, source, target): (&Document, &Head, &Head), rules: &MergeRules) -> BranchMerge {
    let (base, ours, theirs) = (
        base.to_json(),
        source.document.to_json(),
        target.document.to_json(),
    );
    let sides = Sides {
        base: Some(&base),
        ours: Some(&ours),
        theirs: Some(&theirs),
        earlier: Side::Theirs,
    };
    let merged = merge(sides, rules, &MergeLimits::default());
    BranchMerge::Tried {
        clean: merged.is_clean(),
        clashes: merged
            .clashes()
            .map(|clash| clash.keyed.to_string())
            .collect(),
        document: merged.value.clone(),
    }
}
