//! The decision: what a proposal becomes, on a view and nothing else.

use std::sync::Arc;

use syncline_api::Problem;
use syncline_merge::{ApplyLimits, Op, Patch, diff, old_values};
use syncline_model::change::{Change, ChangeType, Effect, Intent, Outcome};
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId, Seq, Version};
use syncline_model::json::{Json, Pointer};
use syncline_model::proposal::{Base, Operation, Precondition, Proposal};
use syncline_model::time::{Hlc, Timestamp};

use crate::Rules;
use crate::conditions::{
    Refused, check_base, check_operation, check_precondition, check_supported, with_sides,
};
use crate::document::propose;
use crate::hierarchy::{ANCESTORS_MAX, check_height, check_kinds, check_parent, place_of};
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
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        Refusal {
            problem,
            base: None,
            theirs: None,
            sided: false,
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
        Err(refusal) => Decision::Refused(refusal),
    }
}

/// Returns what a proposal names that the view lacks, its own parent's line apart.
fn missing(view: &View, proposal: &Proposal) -> Option<Need> {
    if !view.knows(&proposal.context) {
        return Some(Need::Head(proposal.context.clone()));
    }
    let named = match &proposal.precondition {
        Precondition::Match(etags) => etags.first().map(|etag| Base::Etag(*etag)),
        _ => None,
    };
    view.head(&proposal.context)?;
    [proposal.base.clone(), named]
        .into_iter()
        .flatten()
        .find(|base| !view.knows_base(&proposal.context, base))
        .map(|base| Need::Base(proposal.context.clone(), base))
}

fn try_decide(view: &View, proposal: &Proposal, rules: &Rules, now: Now) -> Refused<Decision> {
    check_supported(proposal)?;
    let head = view.head(&proposal.context);
    let live = head.filter(|head| !head.deleted);
    check_precondition(view, proposal, rules, head)?;
    let base = check_base(view, proposal, rules, head)?;
    let kind = check_operation(proposal, head)?;
    let blind = live.is_some()
        && base.is_none()
        && proposal.precondition == Precondition::None
        && matches!(proposal.operation, Operation::Merge | Operation::Patch);

    if let (ChangeType::Restore, Some(head)) = (kind, live) {
        return Ok(Decision::Unchanged {
            head: head.clone(),
            blind: false,
        });
    }
    let before = before_document(proposal, kind, head);
    let proposed = propose(&before, proposal, rules)
        .map_err(|p| with_sides(p, view, proposal, rules, head))?;
    let mut document = proposed.document.clone();
    if kind == ChangeType::Create && document.owner().is_none() {
        document = document.with("owner", Json::from(proposal.actor.id.as_str()));
    }
    if document.parent().is_none() && proposal.context.kind() != "global" {
        document = document.with("parent", Json::from("global/main"));
    }
    if let Some(head) = live.filter(|head| kind == ChangeType::Update && head.document == document)
    {
        return Ok(Decision::Unchanged {
            head: head.clone(),
            blind,
        });
    }

    let lines = [
        document.parent(),
        head.and_then(|head| head.document.parent()),
    ];
    if let Some(address) = lines
        .into_iter()
        .find_map(|parent| view.gap(parent, ANCESTORS_MAX + 1))
    {
        return Ok(Decision::Needs(Need::Head(address)));
    }
    let mut steps = Vec::new();
    let mut grown;
    let mut view = view;
    if proposal.create_parents
        && kind != ChangeType::Delete
        && let Some(parent) = document
            .parent()
            .filter(|parent| view.head(parent).is_none())
    {
        let step = missing_parent(view, proposal, &parent, now)?;
        let root = Address::global_main();
        if !view.knows(&root) {
            return Ok(Decision::Needs(Need::Head(root)));
        }
        grown = view.clone();
        grown.put_head(parent, Some(Arc::new(step.head.clone())));
        steps.push(step);
        view = &grown;
    }
    if kind != ChangeType::Delete {
        check_parent(view, &proposal.context, document.parent().as_ref())
            .map_err(|p| Box::new(p.into()))?;
        if let Some(need) = check_move(view, proposal, head, &document)? {
            return Ok(Decision::Needs(need));
        }
    }
    // Where a default was put back (a parent that the patch removed), the patch alone does not
    // lead to the document, and a replay of it would not have its hash.
    let own_patch = proposed
        .patch
        .filter(|_| kind == ChangeType::Update && document == proposed.document);
    let mut step = make_step(
        view, proposal, kind, head, &before, document, own_patch, now,
    );
    step.change.base = base;
    step.change.blind = blind;
    if !steps.is_empty() {
        let bulk = Some(proposal.id.derive("bulk"));
        steps.iter_mut().for_each(|step| step.change.bulk = bulk);
        step.change.bulk = bulk;
    }
    steps.push(step);
    Ok(Decision::Commit(steps))
}

/// Checks that what lies below a context can follow it; returns what is needed to tell.
fn check_move(
    view: &View,
    proposal: &Proposal,
    head: Option<&Arc<Head>>,
    document: &Document,
) -> Refused<Option<Need>> {
    let Some(head) = head else { return Ok(None) };
    let line = (head.document.parent(), document.parent());
    if line.0 == line.1 {
        return Ok(None);
    }
    let levels = match view.height(&proposal.context) {
        Ok(levels) => levels,
        Err(need) => return Ok(Some(need)),
    };
    check_height(view, &proposal.context, line, levels).map_err(|p| Box::new(p.into()))?;
    Ok(None)
}

fn before_document(proposal: &Proposal, kind: ChangeType, head: Option<&Arc<Head>>) -> Document {
    match (kind, head) {
        (ChangeType::Create, _) | (_, None) => Document::empty(),
        (_, Some(head)) => {
            debug_assert!(!head.deleted || proposal.operation == Operation::Restore);
            head.document.clone()
        }
    }
}

/// Makes the missing parent of a context, if its own place needs no guess.
fn missing_parent(view: &View, proposal: &Proposal, parent: &Address, now: Now) -> Refused<Step> {
    let root = Address::global_main();
    let grandparent = (parent.kind() != "global").then_some(&root);
    check_kinds(parent, grandparent).map_err(|problem| {
        let hint = format!("create {parent} first, and say under which project it lies");
        Box::new(Refusal::from(
            problem.at(Pointer::root().child("parent")).hint(hint),
        ))
    })?;
    let mut document = Document::empty().with("owner", Json::from(proposal.actor.id.as_str()));
    if let Some(grandparent) = grandparent {
        document = document.with("parent", Json::from(grandparent.as_str()));
    }
    let id = proposal.id.derive(parent.as_str());
    let creation = Proposal::new(
        id,
        parent.clone(),
        Operation::Create,
        Json::Null,
        proposal.actor.clone(),
    );
    let before = Document::empty();
    Ok(make_step(
        view,
        &creation,
        ChangeType::Create,
        None,
        &before,
        document,
        None,
        now,
    ))
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one change, gathered in one place"
)]
fn make_step(
    view: &View,
    proposal: &Proposal,
    kind: ChangeType,
    head: Option<&Arc<Head>>,
    before: &Document,
    document: Document,
    own_patch: Option<Patch>,
    now: Now,
) -> Step {
    let from = head.map_or(Version::ZERO, |head| head.version);
    let version = from.next();
    let verbatim = own_patch.is_some();
    let mut document = document;
    let (effect, changed, old) = match kind {
        ChangeType::Create | ChangeType::Restore => (
            Effect::Snapshot(document.to_json()),
            vec![Pointer::root()],
            Vec::new(),
        ),
        ChangeType::Delete => (Effect::Gone, vec![Pointer::root()], Vec::new()),
        ChangeType::Update => {
            let patch = own_patch.unwrap_or_else(|| {
                let (patch, replayed) = effect_between(before, &document);
                document = replayed;
                patch
            });
            let changed = patch.touched();
            let old = old_values(&before.to_json(), &patch);
            (Effect::Patch(patch.to_json()), changed, old)
        }
    };
    let body = match (kind, proposal.operation) {
        _ if verbatim => None,
        (ChangeType::Update, _) | (_, Operation::Merge | Operation::Patch) => {
            Some(proposal.body.clone())
        }
        _ => None,
    };
    let place = place_of(view, &proposal.context, &document);
    let before_place = match (kind, head) {
        // One that was deleted kept what lies below it, which moves with it when it is made again.
        (ChangeType::Update | ChangeType::Create, Some(head)) => {
            Some(place_of(view, &proposal.context, &head.document)).filter(|old| *old != place)
        }
        _ => None,
    };
    let hash = document.hash();
    let change = Change {
        id: proposal.id,
        kind,
        context: proposal.context.clone(),
        branch: None,
        version,
        from: if kind == ChangeType::Update || kind == ChangeType::Delete {
            from
        } else {
            Version::ZERO
        },
        base: None,
        bulk: None,
        actor: proposal.actor.clone(),
        hlc: proposal.hlc.unwrap_or(now.hlc),
        committed_at: now.committed_at,
        priority: proposal.priority,
        message: proposal.message.clone(),
        place,
        before: before_place,
        changed,
        intent: Intent {
            operation: proposal.operation,
            body,
            old,
        },
        effect,
        outcome: Outcome::Applied,
        blind: false,
        hash,
    };
    let head = Head {
        address: proposal.context.clone(),
        version,
        seq: Seq::ZERO,
        change: proposal.id,
        hash,
        deleted: kind == ChangeType::Delete,
        document,
        actor: proposal.actor.clone(),
        created_at: head.map_or(now.committed_at, |head| head.created_at),
        updated_at: now.committed_at,
    };
    Step { change, head }
}

/// Returns the patch that leads from one document to the other, and what a replay of it gives:
/// equal to `after`, with the older text of numbers that are equal but spelt otherwise.
///
/// The head must be what a replay gives, byte for byte, or else it would change with its eviction
/// from a cache. A patch that does not lead there would leave a version that nobody can read, so
/// each is tried, and the whole document stands in for it.
fn effect_between(before: &Document, after: &Document) -> (Patch, Document) {
    let patch = diff(&before.to_json(), &after.to_json());
    let replayed = match patch.apply(&before.to_json(), &REPLAY_LIMITS) {
        Ok(Json::Object(object)) => Document::from_stored(object),
        _ => Document::empty(),
    };
    if replayed == *after {
        return (patch, replayed);
    }
    let whole = Op::Replace {
        path: Pointer::root(),
        value: after.to_json(),
    };
    (Patch(vec![whole]), after.clone())
}

/// What was decided is applied again without a bound of its own.
const REPLAY_LIMITS: ApplyLimits = ApplyLimits {
    depth_max: usize::MAX,
    weight_max: usize::MAX,
};

/// Returns the record that every log begins with: `global/main`, with a fixed change id and no owner.
pub fn genesis(committed_at: Timestamp, actor: syncline_model::proposal::Actor) -> Step {
    let id = ChangeId::from_parts(0, b"\0syncline\0");
    let address = Address::global_main();
    let proposal = Proposal::new(id, address, Operation::Create, Json::Null, actor);
    let now = Now {
        committed_at,
        hlc: Hlc::default().tick(Hlc::default(), committed_at),
    };
    let document = Document::empty()
        .with("title", Json::from("Global"))
        .with("level", Json::from("public"));
    make_step(
        &View::new(),
        &proposal,
        ChangeType::Create,
        None,
        &Document::empty(),
        document,
        None,
        now,
    )
}
