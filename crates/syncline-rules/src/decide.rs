//! The decision: what a proposal becomes, on a view and nothing else.

use std::sync::Arc;

use syncline_api::{Code, Problem};
use syncline_model::change::{Change, ChangeType};
use syncline_model::conflict::ConflictId;
use syncline_model::head::Head;
use syncline_model::ids::Version;
use syncline_model::json::{Fields, Pointer};
use syncline_model::proposal::{Base, Operation, Precondition, Proposal};
use syncline_model::time::{Hlc, Timestamp};

use crate::Rules;
use crate::case::{Case, KeptBoth};
use crate::conditions::{Seen, check_branch, check_precondition, check_supported, seen_base};
use crate::settle::settle;
use crate::view::{Need, View};

/// The time of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// When the batch is committed; never before the last record.
    pub committed_at: Timestamp,
    /// The node's clock, for writers that sent none.
    pub hlc: Hlc,
}

/// One change that a decision makes, and the head that it leaves. The committer fills in the seq.
#[derive(Clone, Debug)]
pub struct Step {
    /// The change.
    pub change: Change,
    /// The head after it.
    pub head: Head,
}

/// A refusal, and which versions its sides are of, so that a resend can be shown them again.
///
/// `problem.sides` may be missing though `sided` is true: they are not stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Why, with the sides.
    pub problem: Problem,
    /// The version that the writer had seen, where the sides are shown.
    pub base: Option<Version>,
    /// The head's version, where the sides are shown.
    pub theirs: Option<Version>,
    /// The sides are shown, be it only the proposal's own.
    pub sided: bool,
    /// The conflict whose sides they are, where they are not the proposal's.
    pub conflict: Option<ConflictId>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        Refusal {
            problem,
            base: None,
            theirs: None,
            sided: false,
            conflict: None,
        }
    }
}

/// What a proposal becomes.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Nothing is done, and why.
    Refused(Box<Refusal>),
    /// The head already says so.
    Unchanged {
        /// That head.
        head: Arc<Head>,
        /// It was a patch without a base.
        blind: bool,
    },
    /// These changes, in order: missing parents first, the proposal's own last.
    Commit(Vec<Step>),
    /// The view lacks this: load it, and decide again.
    Needs(Need),
}

/// Decides one proposal.
pub fn decide(view: &View, proposal: &Proposal, rules: &Rules, now: Now) -> Decision {
    if let Some(need) = missing(view, proposal) {
        return Decision::Needs(need);
    }
    match try_decide(view, proposal, rules, now) {
        Ok(decision) => decision,
        Err(Stop::Needs(need)) => Decision::Needs(need),
        Err(Stop::Refused(refusal)) => Decision::Refused(refusal),
    }
}

/// Why a decision ends before its end.
pub enum Stop {
    /// The view lacks something.
    Needs(Need),
    /// It is refused.
    Refused(Box<Refusal>),
}

impl From<Need> for Stop {
    fn from(need: Need) -> Stop {
        Stop::Needs(need)
    }
}

impl From<Box<Refusal>> for Stop {
    fn from(refusal: Box<Refusal>) -> Stop {
        Stop::Refused(refusal)
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Stop {
        Stop::Refused(Box::new(problem.into()))
    }
}

/// Returns what a proposal names that the view lacks, its own parent's line apart.
fn missing(view: &View, proposal: &Proposal) -> Option<Need> {
    let line = proposal.line();
    if !view.knows(&line) {
        return Some(Need::Head(line));
    }
    let named = match &proposal.precondition {
        Precondition::Match(etags) => etags.first().map(|etag| Base::Etag(*etag)),
        _ => None,
    };
    view.head(&line)?;
    let target = match proposal.operation {
        Operation::Rollback => rollback_version(proposal).ok().map(Base::Version),
        _ => None,
    };
    [proposal.base.clone(), named, target]
        .into_iter()
        .flatten()
        .filter(|base| *base != Base::Version(Version::ZERO))
        .find(|base| !view.knows_base(&line, base))
        .map(|base| Need::Base(line.clone(), base))
}

/// Returns the version that a rollback names.
pub fn rollback_version(proposal: &Proposal) -> Result<Version, Problem> {
    let at = Pointer::root();
    let mut fields = Fields::new(&proposal.body, &at)?;
    let version = fields.required_u64("version")?;
    fields.finish()?;
    match version {
        0 => Err(Problem::new(Code::Invalid, "versions count from 1")
            .at(Pointer::from_static("/version"))),
        version => Ok(Version(version)),
    }
}

fn try_decide(view: &View, proposal: &Proposal, rules: &Rules, now: Now) -> Result<Decision, Stop> {
    check_supported(proposal)?;
    let kind_rules = view.kind_of(&proposal.context)?;
    let line = proposal.line();
    let head = view.head(&line);
    let live = head.filter(|head| !head.deleted);
    check_branch(proposal, head)?;
    check_precondition(view, proposal, rules, head)?;
    let seen = seen_base(view, proposal, head)?;
    let meets = Case {
        view,
        proposal,
        rules,
        now,
        kind_rules: &kind_rules,
        head,
        seen: &seen,
    };
    meets.check_looked()?;
    let wanted = match proposal.operation {
        Operation::Settle => settle(view, proposal, head)?,
        _ => meets.wanted()?,
    };
    if let (ChangeType::Restore, Some(head), Operation::Restore) =
        (wanted.kind, live, proposal.operation)
    {
        return Ok(Decision::Unchanged {
            head: head.clone(),
            blind: false,
        });
    }
    if let Some(KeptBoth(branch)) = meets.kept_both(&wanted)? {
        return Ok(Decision::Commit(vec![branch]));
    }
    let blind = live.is_some()
        && matches!(seen, Seen::Nothing)
        && proposal.precondition == Precondition::None
        && matches!(proposal.operation, Operation::Merge | Operation::Patch);
    meets.commit(wanted, blind)
}
