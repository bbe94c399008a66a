//! Merging one line of a context's versions into another: `main` into a branch, a branch into
//! `main`, or one branch into another.
//!
//! It is three-way, and its base is the last point that both lines have in them: where one was
//! merged into the other last, whichever way, else where the branch began. Each merge is recorded
//! with the change that it makes, so what was settled in one line after a merge is a change since
//! that point, and the next merge carries it over instead of bringing back what it replaced.

use std::sync::Arc;

use syncline_api::{Code, Problem};
use syncline_merge::{KeyedPath, MergeLimits, MergeRules, Side, Sides, merge};
use syncline_model::change::{Change, ChangeType, Receipt};
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::{Address, BranchName, Seq, Version};
use syncline_model::json::{Json, JsonWriter, Object, Pointer};
use syncline_model::proposal::{Base, LineVersion, Operation, Proposal};
use syncline_rules::Principal;

use crate::lines::{own, parsed};
use crate::reads::{When, not_found};
use crate::tail::Entry;
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

/// A line that is merged, or merged into.
struct Line {
    branch: Option<BranchName>,
    address: Address,
    /// The change that began the branch; `main` has none.
    began: Option<Arc<Entry>>,
}

/// The last point that two lines have in common.
struct Common {
    /// Where in the log it became common.
    seq: Seq,
    /// The version that both have in them.
    shared: LineVersion,
    /// The version of the line that is merged into, after which it went its own way.
    into: Version,
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
        let common = self
            .common(&context, (from, proposal.branch.as_ref()))
            .await?;
        let base = self.shared_document(principal, &context, &common).await?;
        let base = unsettled(base, &source);
        if dry_run {
            let rules = self.declared_for(&context).await?;
            return Ok(tried((&base, &source, &target), &rules.merge));
        }
        let mut w = JsonWriter::new();
        w.begin_object();
        w.field_str("from_branch", from_name);
        w.field_u64("version", source.version.0);
        w.end_object();
        proposal.body = parsed(w);
        proposal.base = Some(Base::Version(common.into));
        let own = own(&mut proposal);
        own.shown = Some(Arc::new(base));
        own.wanted = Some(Arc::new(source.document.clone()));
        own.merges = Some(LineVersion {
            branch: from.cloned(),
            version: source.version,
        });
        self.submit(principal, proposal)
            .await
            .map(BranchMerge::Done)
    }

    /// Finds the last point that two lines have in common. Merges by way of a third line are not
    /// looked for.
    async fn common(
        &self,
        context: &Address,
        (from, into): (Option<&BranchName>, Option<&BranchName>),
    ) -> Result<Common, Problem> {
        let from = self.line_of(context, from).await?;
        let into = self.line_of(context, into).await?;
        let mut points = vec![forked(&from, &into)];
        if let Some((entry, shared)) = self.last_merge(&into, &from).await? {
            points.push(Common {
                seq: entry.seq,
                shared,
                into: entry.change.version,
            });
        }
        if let Some((entry, shared)) = self.last_merge(&from, &into).await? {
            points.push(Common {
                seq: entry.seq,
                into: shared.version,
                shared,
            });
        }
        let last = points.into_iter().max_by_key(|point| point.seq);
        Ok(last.expect("branches began somewhere"))
    }

    async fn line_of(
        &self,
        context: &Address,
        branch: Option<&BranchName>,
    ) -> Result<Line, Problem> {
        let address = context.line(branch);
        let began = match branch {
            Some(_) => {
                let begins = |change: &Change| change.kind == ChangeType::Create;
                let began = match self.find_back(&address, Version(1), begins).await? {
                    Some(began) => Some(began),
                    None => self.changes_of(&address, Some(Version(2)), 1).await?.pop(),
                };
                Some(began.ok_or_else(|| not_found(&address))?)
            }
            None => None,
        };
        Ok(Line {
            branch: branch.cloned(),
            address,
            began,
        })
    }

    /// Finds the last change of a line that merged the other one, and as of which version. What
    /// happened before either of them began is of a branch of that name that was deleted.
    async fn last_merge(
        &self,
        line: &Line,
        other: &Line,
    ) -> Result<Option<(Arc<Entry>, LineVersion)>, Problem> {
        let of_other = |change: &Change| {
            let merged = change.merges.as_ref();
            merged.is_some_and(|merged| merged.branch == other.branch)
        };
        let since = match line.began {
            Some(_) => line.began_at(),
            // Nothing of a branch was merged into main before it began.
            None => other.began_from(),
        };
        let found = self.find_back(&line.address, since, of_other).await?;
        let merged = found.and_then(|entry| {
            let merged = entry.change.merges.clone()?;
            let now = merged.version >= other.began_at() && entry.change.version >= since;
            now.then_some((entry, merged))
        });
        Ok(merged)
    }

    async fn shared_document(
        &self,
        principal: &Principal,
        context: &Address,
        common: &Common,
    ) -> Result<Document, Problem> {
        let LineVersion { branch, version } = &common.shared;
        // A creation that met another one was kept on a branch: both came from nothing.
        if *version == Version::ZERO {
            return Ok(Document::empty());
        }
        let line = context.line(branch.as_ref());
        let then = self.get(principal, &line, When::Version(*version)).await?;
        Ok(then.document.clone())
    }
}

impl Line {
    /// Returns the version that it began as.
    fn began_at(&self) -> Version {
        let began = self.began.as_ref();
        began.map_or(Version::ZERO, |entry| entry.change.version)
    }

    /// Returns the version of `main` that it began from.
    fn began_from(&self) -> Version {
        let began = self.began.as_ref();
        began
            .and_then(|entry| entry.change.base)
            .unwrap_or(Version::ZERO)
    }
}

/// Returns the version of `main` that both lines came from.
fn forked(from: &Line, into: &Line) -> Common {
    let branches = [from, into].into_iter().filter(|line| line.began.is_some());
    let version = branches.map(Line::began_from).min();
    let version = version.unwrap_or(Version::ZERO);
    Common {
        seq: Seq::ZERO,
        shared: LineVersion {
            branch: None,
            version,
        },
        into: match into.began {
            Some(_) => into.began_at(),
            None => version,
        },
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
