//! What must hold before a proposal may become a change: support, preconditions, base, operation.

use std::sync::Arc;

use syncline_api::{Code, Problem, Sides};
use syncline_model::change::ChangeType;
use syncline_model::conflict::Strategy;
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::{Address, Version};
use syncline_model::json::{Json, Pointer};
use syncline_model::proposal::{Base, MESSAGE_LENGTH_MAX, Operation, Precondition, Proposal};
use syncline_model::time::Timestamp;

use crate::Rules;
use crate::decide::Refusal;
use crate::document::propose;
use crate::view::{BaseState, View};

pub type Refused<T> = Result<T, Box<Refusal>>;

/// Names a line of versions for people.
pub fn named(line: &Address) -> String {
    match line.of_line() {
        (context, Some(branch)) => format!("branch \"{branch}\" of context \"{context}\""),
        (context, None) => format!("context \"{context}\""),
    }
}

pub fn refuse<T>(problem: Problem) -> Refused<T> {
    Err(Box::new(problem.into()))
}

/// Refuses, undecided, what is fixed on the wire but not built yet: nothing may be done half.
pub fn check_supported(proposal: &Proposal) -> Refused<()> {
    let at = |name: &str| Pointer::root().child(name);
    if let Some(word) = &proposal.strategy
        && let Err(why) = word.as_str().parse::<Strategy>()
    {
        return refuse(Problem::new(Code::Invalid, why).at(at("strategy")));
    }
    if proposal.context.is_built_in() && proposal.own.is_none() {
        return refuse(
            Problem::new(
                Code::Invalid,
                "kinds that begin with syncline_ are the node's own",
            )
            .at(at("context")),
        );
    }
    match &proposal.message {
        Some(message) if message.chars().count() > MESSAGE_LENGTH_MAX => refuse(
            Problem::new(
                Code::TooLarge,
                format!("a message has at most {MESSAGE_LENGTH_MAX} characters"),
            )
            .at(at("message"))
            .fixed_limit(MESSAGE_LENGTH_MAX as u64),
        ),
        _ => Ok(()),
    }
}

/// Refuses to begin a branch by writing to it: it would come from nothing.
pub fn check_branch(proposal: &Proposal, head: Option<&Arc<Head>>) -> Refused<()> {
    let Some(branch) = &proposal.branch else {
        return Ok(());
    };
    if head.is_some() || proposal.own.is_some() {
        return Ok(());
    }
    let detail = format!(
        "context \"{}\" has no branch \"{branch}\"",
        proposal.context
    );
    let hint = "POST …/branches begins one";
    refuse(
        Problem::new(Code::NotFound, detail)
            .at(Pointer::from_static("/branch"))
            .hint(hint),
    )
}

pub fn check_precondition(
    view: &View,
    proposal: &Proposal,
    rules: &Rules,
    head: Option<&Arc<Head>>,
) -> Refused<()> {
    let live = head.filter(|head| !head.deleted);
    let line = named(&proposal.line());
    let failed = |detail: String, hint: &str| {
        let problem = Problem::new(Code::PreconditionFailed, detail).hint(hint);
        Err(with_sides(problem, view, proposal, rules, head))
    };
    match (&proposal.precondition, live) {
        (Precondition::None, _)
        | (Precondition::MatchAny, Some(_))
        | (Precondition::NoneMatchAny, None) => Ok(()),
        (Precondition::MatchAny, None) => failed(
            format!("there is no {line} to overwrite"),
            "leave If-Match out to create it",
        ),
        (Precondition::NoneMatchAny, Some(head)) => failed(
            format!("{line} is there already, at version {}", head.version),
            "read it, and write with If-Match or Syncline-Base",
        ),
        (Precondition::Match(_), None) => {
            failed(format!("there is no {line} any more"), "read it again")
        }
        (Precondition::Match(etags), Some(head)) => {
            if etags.contains(&head.etag()) {
                return Ok(());
            }
            let merges = proposal
                .own
                .as_ref()
                .is_some_and(|own| own.wanted.is_some());
            let hint = if merges {
                MERGE_AGAIN
            } else if etags.iter().any(|etag| etag.is_partial()) {
                "the ETag is of a partial answer; read the whole context"
            } else {
                "read it again, or send Syncline-Base instead of If-Match"
            };
            failed(
                format!("{line} is at {}, not at what If-Match names", head.etag()),
                hint,
            )
        }
    }
}

/// What helps where the line that another is merged into moved on: a merge takes no base.
pub const MERGE_AGAIN: &str = "read it again, and merge anew with a new change id";

/// What the writer had seen of the line.
pub enum Seen {
    /// It did not say.
    Nothing,
    /// The head.
    Head {
        /// Its version.
        version: Version,
        /// When it was committed.
        at: Timestamp,
    },
    /// A version that the head has left behind; 0 is that there was nothing.
    Old {
        /// Which.
        version: Version,
        /// Its document.
        document: Arc<Document>,
        /// When it was committed.
        at: Timestamp,
    },
    /// A version that was taken away.
    Gone {
        /// Which.
        version: Version,
        /// When it was committed.
        at: Timestamp,
    },
}

/// Resolves the base.
pub fn seen_base(view: &View, proposal: &Proposal, head: Option<&Arc<Head>>) -> Refused<Seen> {
    let Some(base) = &proposal.base else {
        return Ok(Seen::Nothing);
    };
    let at = || Pointer::root().child("base");
    let context = &proposal.context;
    // Two creations of one address merge from an empty base.
    if *base == Base::Version(Version::ZERO) {
        return Ok(match head {
            None => Seen::Nothing,
            Some(_) => Seen::Old {
                version: Version::ZERO,
                document: Arc::new(Document::empty()),
                at: Timestamp(0),
            },
        });
    }
    // A branch begins as its base was, which is a version of `main`.
    if let (Some(_), Operation::Create, Base::Version(version), true) = (
        &proposal.branch,
        proposal.operation,
        base,
        proposal.own.is_some(),
    ) {
        return Ok(Seen::Head {
            version: *version,
            at: Timestamp(0),
        });
    }
    let Some(head) = head else {
        let detail = format!("context \"{context}\" never existed, so {base} is not its base");
        return refuse(Problem::new(Code::BaseUnknown, detail).at(at()));
    };
    if matches!(base, Base::Etag(etag) if etag.is_partial()) {
        let problem = Problem::new(Code::Invalid, "the base is the ETag of a partial answer")
            .at(at())
            .hint("read the whole context, and send that ETag");
        return refuse(problem);
    }
    let shown = proposal.own.as_ref().and_then(|own| own.shown.clone());
    if let (Some(document), Base::Version(version)) = (shown, base) {
        return Ok(Seen::Old {
            version: *version,
            document,
            at: Timestamp(0),
        });
    }
    match view.base(&proposal.line(), base) {
        BaseState::Known {
            version,
            document,
            at,
        } if version == head.version && *document == head.document => {
            Ok(Seen::Head { version, at })
        }
        BaseState::Known {
            version,
            document,
            at,
        } => Ok(Seen::Old {
            version,
            document,
            at,
        }),
        BaseState::Thinned { version, at } => Ok(Seen::Gone { version, at }),
        BaseState::Unknown => refuse(
            Problem::new(
                Code::BaseUnknown,
                format!("{base} is no base that the history of \"{context}\" holds"),
            )
            .at(at())
            .hint("read the context, and send its ETag as the base"),
        ),
    }
}

/// Says what kind of change the operation makes of this head, or why it makes none.
pub fn check_operation(proposal: &Proposal, head: Option<&Arc<Head>>) -> Refused<ChangeType> {
    let context = &proposal.context;
    let line = named(&proposal.line());
    let conditional = proposal.base.is_some() || proposal.precondition != Precondition::None;
    let is_branch = proposal.branch.is_some();
    let missing = || {
        let hint = match is_branch {
            true => "begin the branch first",
            false => "create it first",
        };
        refuse(Problem::new(Code::NotFound, format!("there is no {line}")).hint(hint))
    };
    let deleted = |head: &Head| {
        refuse(
            Problem::new(
                Code::Deleted,
                format!("{line} was deleted at version {}", head.version),
            )
            .hint(match is_branch {
                true => "begin the branch again, or restore it",
                false => "restore it first",
            }),
        )
    };
    let live = head.filter(|head| !head.deleted);
    match (proposal.operation, head, live) {
        (Operation::Create, _, Some(head)) => refuse(
            Problem::new(
                Code::PreconditionFailed,
                format!("{line} is there already, at version {}", head.version),
            )
            .hint("read it, and write with a base"),
        ),
        (Operation::Create, _, None) => Ok(ChangeType::Create),
        // What the node's own kinds declare is overwritten unless its writer says otherwise.
        (Operation::Replace, _, Some(_)) if !conditional && context.is_built_in() => {
            Ok(ChangeType::Update)
        }
        (Operation::Replace | Operation::Delete, _, Some(_)) if !conditional => refuse(
            Problem::new(
                Code::PreconditionRequired,
                format!("{line} is there, and the write does not say what it was made on"),
            )
            .hint("send If-Match or Syncline-Base with the ETag that a read gave; If-Match: * overwrites on purpose"),
        ),
        (Operation::Delete, _, Some(_)) if context.as_str() == "global/main" => {
            refuse(Problem::new(Code::Invalid, "global/main always exists and cannot be deleted"))
        }
        (Operation::Delete, _, Some(_)) => Ok(ChangeType::Delete),
        (Operation::Restore, _, Some(_)) | (Operation::Restore, Some(_), None) => Ok(ChangeType::Restore),
        (_, _, Some(_)) => Ok(ChangeType::Update),
        (
            Operation::Delete | Operation::Restore | Operation::Settle | Operation::Rollback,
            None,
            _,
        ) => missing(),
        (Operation::Delete | Operation::Settle | Operation::Rollback, Some(head), None) => {
            deleted(head)
        }
        (_, _, None) if proposal.create => Ok(ChangeType::Create),
        (_, Some(head), None) => deleted(head),
        (_, None, None) => missing(),
    }
}

pub fn with_sides(
    problem: Problem,
    view: &View,
    proposal: &Proposal,
    rules: &Rules,
    head: Option<&Arc<Head>>,
) -> Box<Refusal> {
    if !matches!(
        problem.code,
        Code::StaleBase | Code::PreconditionFailed | Code::TestFailed
    ) {
        return Box::new(problem.into());
    }
    let live = head.filter(|head| !head.deleted);
    let base = seen(view, proposal);
    let mut problem = problem;
    let seen = base
        .as_ref()
        .map(|(version, document)| (*version, &**document));
    problem.sides = Some(Box::new(sides(
        proposal,
        seen,
        live.map(|head| &**head),
        rules,
    )));
    Box::new(Refusal {
        problem,
        base: base.map(|(version, _)| version),
        theirs: live.map(|head| head.version),
        sided: true,
        conflict: None,
    })
}

/// Returns what the writer had seen: its base, or the version that its `If-Match` names.
fn seen(view: &View, proposal: &Proposal) -> Option<(Version, Arc<Document>)> {
    let shown = proposal.own.as_ref().and_then(|own| own.shown.clone());
    if let (Some(document), Some(Base::Version(version))) = (shown, &proposal.base) {
        return Some((*version, document));
    }
    let by_etag = match &proposal.precondition {
        Precondition::Match(etags) => etags.first().map(|etag| Base::Etag(*etag)),
        _ => None,
    };
    match view.base(&proposal.line(), &proposal.base.clone().or(by_etag)?) {
        BaseState::Known {
            version, document, ..
        } => Some((version, document)),
        BaseState::Thinned { .. } | BaseState::Unknown => None,
    }
}

/// Returns the three sides of a proposal: the document that its writer had seen, that document
/// with the proposal applied (or the bare body where the base is not known), and the head.
pub fn sides(
    proposal: &Proposal,
    base: Option<(Version, &Document)>,
    theirs: Option<&Head>,
    rules: &Rules,
) -> Sides {
    let wanted = proposal.own.as_ref().and_then(|own| own.wanted.as_ref());
    let ours = match (proposal.operation, base) {
        (Operation::Delete, _) => None,
        _ if wanted.is_some() => wanted.map(|wanted| wanted.to_json()),
        (_, Some((_, base))) => match propose(base, proposal, rules) {
            Ok(proposed) => Some(proposed.document.to_json()),
            Err(_) => Some(proposal.body.clone()),
        },
        (_, None) => Some(proposal.body.clone()),
    };
    let base = base.map(|(version, document)| {
        let mut side = document.object().clone();
        // What two lines have in common need not be a version of either.
        if proposal.merges().is_none() {
            side.insert("version", Json::from(version.0));
        }
        Json::Object(side)
    });
    let theirs = theirs.map(|head| {
        let mut side = head.document.object().clone();
        side.insert("version", Json::from(head.version.0));
        side.insert("etag", Json::from(head.etag().to_string()));
        Json::Object(side)
    });
    Sides { base, ours, theirs }
}
