//! A step: the change that leads from one document to the next, and the head that it leaves.

use std::sync::Arc;

use syncline_merge::{ApplyLimits, Op, Patch, diff, old_values};
use syncline_model::change::{Change, ChangeType, Effect, Intent, Outcome};
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId, Seq, Version};
use syncline_model::json::{Json, Pointer};
use syncline_model::proposal::{Operation, Proposal};
use syncline_model::time::{Hlc, Timestamp};

use crate::conditions::Refused;
use crate::decide::{Now, Refusal, Step};
use crate::hierarchy::{check_kinds, place_of};
use crate::view::View;

/// Makes the missing parent of a context, if its own place needs no guess.
pub fn missing_parent(
    view: &View,
    proposal: &Proposal,
    parent: &Address,
    now: Now,
) -> Refused<Step> {
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
    Ok(created(view, &creation, document, now))
}

fn created(view: &View, proposal: &Proposal, document: Document, now: Now) -> Step {
    let parts = Parts {
        view,
        proposal,
        kind: ChangeType::Create,
        head: None,
        before: &Document::empty(),
        own_patch: None,
        now,
    };
    parts.step(document)
}

/// What one change is made of.
pub struct Parts<'a> {
    /// What is known of the hierarchy.
    pub view: &'a View,
    /// The proposal whose change it is.
    pub proposal: &'a Proposal,
    /// What kind of step it is.
    pub kind: ChangeType,
    /// The head before it, deleted or not.
    pub head: Option<&'a Arc<Head>>,
    /// The document before it.
    pub before: &'a Document,
    /// The proposal's own patch, where nothing but it leads to the document.
    pub own_patch: Option<Patch>,
    /// The time.
    pub now: Now,
}

impl Parts<'_> {
    /// Makes the change that leads to a document, and the head that it leaves.
    pub fn step(self, document: Document) -> Step {
        let Parts {
            view,
            proposal,
            kind,
            head,
            before,
            own_patch,
            now,
        } = self;
        let from = head.map_or(Version::ZERO, |head| head.version);
        let verbatim = own_patch.is_some();
        let (effect, document, changed, old) = effect_of(kind, before, document, own_patch);
        let place = place_of(view, &proposal.context, &document);
        // One that was deleted kept what lies below it, which moves with it when it is made again or
        // brought back elsewhere.
        let before_place = head
            .map(|head| place_of(view, &proposal.context, &head.document))
            .filter(|before| *before != place);
        let hash = document.hash();
        let alone = matches!(kind, ChangeType::Create | ChangeType::Restore);
        let change = Change {
            id: proposal.id,
            kind,
            context: proposal.context.clone(),
            branch: proposal.branch.clone(),
            version: from.next(),
            from: if alone { Version::ZERO } else { from },
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
                body: asked(proposal, kind).filter(|_| !verbatim),
                old,
            },
            effect,
            outcome: Outcome::Applied,
            decisions: None,
            merges: proposal.merges().cloned(),
            conflicts: Vec::new(),
            detected: Vec::new(),
            blind: false,
            hash,
        };
        let head = Head {
            address: change.line().into_owned(),
            version: change.version,
            seq: Seq::ZERO,
            change: proposal.id,
            hash,
            deleted: kind == ChangeType::Delete,
            document,
            actor: proposal.actor.clone(),
            created_at: head.map_or(now.committed_at, |head| head.created_at),
            updated_at: now.committed_at,
            conflicts: Arc::default(),
        };
        Step { change, head }
    }
}

/// Returns what the proposal asked for, where the effect alone does not tell.
fn asked(proposal: &Proposal, kind: ChangeType) -> Option<Json> {
    let told = match proposal.operation {
        Operation::Merge | Operation::Patch | Operation::Settle | Operation::Rollback => true,
        _ => kind == ChangeType::Update,
    };
    told.then(|| proposal.body.clone())
        .filter(|body| !body.is_null())
}

type Effected = (Effect, Document, Vec<Pointer>, Vec<(Pointer, Option<Json>)>);

fn effect_of(
    kind: ChangeType,
    before: &Document,
    document: Document,
    own_patch: Option<Patch>,
) -> Effected {
    let whole = || vec![Pointer::root()];
    match kind {
        ChangeType::Create | ChangeType::Restore => {
            let effect = Effect::Snapshot(document.to_json());
            (effect, document, whole(), Vec::new())
        }
        ChangeType::Delete => (Effect::Gone, document, whole(), Vec::new()),
        ChangeType::Update => {
            let (patch, document) = match own_patch {
                Some(patch) => (patch, document),
                None => effect_between(before, &document),
            };
            let changed = patch.touched();
            let old = old_values(&before.to_json(), &patch);
            (Effect::Patch(patch.to_json()), document, changed, old)
        }
    }
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
    created(&View::new(), &proposal, document, now)
}
