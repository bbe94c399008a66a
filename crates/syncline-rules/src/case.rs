//! One proposal and all that it is decided on: what it wants, merged with what it meets, becomes
//! changes.

use std::sync::Arc;

use syncline_api::{Code, Misfits, Problem};
use syncline_merge::Patch;
use syncline_model::change::{ChangeType, Outcome};
use syncline_model::conflict::{Conflict, Strategy};
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::Version;
use syncline_model::json::{Json, Pointer};
use syncline_model::proposal::{Base, Operation, Proposal};

use crate::Rules;
use crate::authors::Authors;
use crate::conditions::{Seen, check_operation, named, with_sides};
use crate::decide::{Now, Step, Stop, rollback_version};
use crate::document::propose;
use crate::hierarchy::ANCESTORS_MAX;
use crate::kinds::KindRules;
use crate::merging::{Meeting, Met, strategy_of, value_at, with_ours};
use crate::view::{BaseState, Need, Touch, View};

/// What a proposal wants to become of its line.
pub struct Wanted {
    /// What kind of step it is.
    pub kind: ChangeType,
    /// The document.
    pub document: Document,
    /// The proposal's own patch, where nothing but it leads to the document.
    pub own_patch: Option<Patch>,
    /// What came of it.
    pub outcome: Outcome,
    /// What a merge decided.
    pub decisions: Option<Json>,
    /// The conflicts that it opens.
    pub opened: Vec<Conflict>,
    /// The conflicts whose own side it writes anew.
    pub revised: Vec<Conflict>,
    /// It met a clash, however that was resolved.
    pub clashed: bool,
    /// A conflict that it ends, as it leaves it.
    pub settled: Option<Conflict>,
    /// The conflicts that it opens again.
    pub reopened: Vec<Conflict>,
    /// It makes a version though the document stays.
    pub anyway: bool,
}

impl Wanted {
    /// Wants a document as it was asked.
    pub fn plain(kind: ChangeType, document: Document, own_patch: Option<Patch>) -> Wanted {
        Wanted {
            kind,
            document,
            own_patch,
            outcome: Outcome::Applied,
            decisions: None,
            opened: Vec::new(),
            revised: Vec::new(),
            clashed: false,
            settled: None,
            reopened: Vec::new(),
            anyway: false,
        }
    }
}

/// Why the node must look again at what a call stands on.
pub const LINE_MOVED: &str = "the line moved while the call was prepared";

/// A branch that keeps what clashed with the head.
pub struct KeptBoth(pub Step);

/// One proposal and all that it is decided on.
pub struct Case<'a> {
    pub view: &'a View,
    pub proposal: &'a Proposal,
    pub rules: &'a Rules,
    pub now: Now,
    pub kind_rules: &'a KindRules,
    pub head: Option<&'a Arc<Head>>,
    pub seen: &'a Seen,
}

impl Case<'_> {
    /// Returns what the proposal wants, merged with what it met.
    pub fn wanted(&self) -> Result<Wanted, Stop> {
        let (proposal, head) = (self.proposal, self.head);
        match (head, self.seen) {
            (Some(head), Seen::Old { document, .. }) => return self.met(head, document),
            (Some(head), Seen::Gone { .. }) => return self.met(head, &head.document),
            _ => {}
        }
        let kind = check_operation(proposal, head)?;
        let before = match (kind, head) {
            (ChangeType::Create, _) | (_, None) => Document::empty(),
            (_, Some(head)) => head.document.clone(),
        };
        if proposal.operation == Operation::Rollback {
            return self.rolled_back(None);
        }
        if let Some(document) = self.own_document() {
            return Ok(Wanted::plain(kind, document.clone(), None));
        }
        let proposed = propose(&before, proposal, self.rules)
            .map_err(|p| with_sides(p, self.view, proposal, self.rules, head))?;
        Ok(Wanted::plain(kind, proposed.document, proposed.patch))
    }

    /// Returns what a rollback wants, merged with the head if it was made on an older one.
    fn rolled_back(&self, on: Option<(&Arc<Head>, &Document)>) -> Result<Wanted, Stop> {
        let (view, proposal) = (self.view, self.proposal);
        let version = rollback_version(proposal)?;
        let line = proposal.line();
        let Some(head) = self.head.filter(|head| !head.deleted) else {
            let detail = format!("there is no context \"{}\" to roll back", proposal.context);
            return Err(Problem::new(Code::NotFound, detail)
                .hint("restore it first")
                .into());
        };
        let target = match view.base(&line, &Base::Version(version)) {
            BaseState::Known { document, .. } => document,
            BaseState::Thinned { .. } => {
                let detail = format!(
                    "version {version} of context \"{}\" was thinned",
                    proposal.context
                );
                return Err(Problem::new(Code::Thinned, detail)
                    .at(Pointer::from_static("/version"))
                    .hint("`syncline log` shows which versions are kept")
                    .into());
            }
            BaseState::Unknown => {
                let detail = format!("context \"{}\" has no version {version}", proposal.context);
                return Err(Problem::new(Code::NotFound, detail)
                    .at(Pointer::from_static("/version"))
                    .into());
            }
        };
        let mut wanted = match on {
            Some((head, base)) => self.merged(head, base, Some(&target))?,
            None => Wanted::plain(ChangeType::Update, (*target).clone(), None),
        };
        let known = view.conflicts(&proposal.context)?;
        let waited = known.iter().filter(|c| {
            c.branch == proposal.branch
                && !c.is_open()
                && c.opened <= version
                && c.closed.is_some_and(|closed| closed > version)
        });
        wanted.reopened = waited.cloned().collect();
        // Undoing a write takes back what it wanted where it clashed, too.
        let undone = head.conflicts.iter();
        let undone = undone.filter(|c| Some(c.id.change()) == proposal.undoes());
        wanted.revised = undone
            .map(|c| with_ours(c, c.base.clone(), proposal, head))
            .collect();
        wanted.anyway |= !wanted.revised.is_empty();
        wanted.anyway |= !wanted.reopened.is_empty() && head.version > version;
        Ok(wanted)
    }

    /// Returns what is wanted where the head moved on since the writer looked. Where what it saw is
    /// gone, what it asks for is asked of the head.
    fn met(&self, head: &Arc<Head>, base: &Document) -> Result<Wanted, Stop> {
        let proposal = self.proposal;
        match proposal.operation {
            Operation::Restore | Operation::Create if head.deleted => {
                let kind = check_operation(proposal, Some(head))?;
                let before = match kind {
                    ChangeType::Create => Document::empty(),
                    _ => head.document.clone(),
                };
                let proposed = propose(&before, proposal, self.rules)?;
                Ok(Wanted::plain(kind, proposed.document, proposed.patch))
            }
            Operation::Restore => Ok(Wanted::plain(
                ChangeType::Restore,
                head.document.clone(),
                None,
            )),
            Operation::Delete if head.deleted => {
                check_operation(proposal, Some(head))?;
                Ok(Wanted::plain(
                    ChangeType::Delete,
                    head.document.clone(),
                    None,
                ))
            }
            Operation::Delete => self.merged(head, base, None),
            Operation::Rollback => self.rolled_back(Some((head, base))),
            Operation::Replace if self.own_document().is_some() => {
                self.merged(head, base, self.own_document())
            }
            _ => {
                let proposed = propose(base, proposal, self.rules)
                    .map_err(|p| with_sides(p, self.view, proposal, self.rules, Some(head)))?;
                self.merged(head, base, Some(&proposed.document))
            }
        }
    }

    /// Returns the document that a typed call wants whole.
    pub fn own_document(&self) -> Option<&Document> {
        self.proposal.own.as_ref()?.wanted.as_deref()
    }

    /// Says whether the proposal merges one line into another.
    pub fn merges_line(&self) -> bool {
        self.proposal.merges().is_some()
    }

    /// Merges what the proposal makes of its base with the head.
    fn merged(
        &self,
        head: &Arc<Head>,
        base: &Document,
        ours: Option<&Document>,
    ) -> Result<Wanted, Stop> {
        let (proposal, line) = (self.proposal, self.proposal.line());
        let (Seen::Old { version, .. } | Seen::Gone { version, .. }) = self.seen else {
            unreachable!("only what is old is merged")
        };
        let strategy =
            strategy_of(proposal, Some(head), self.kind_rules, self.rules).map_err(|why| {
                Problem::new(Code::Invalid, why).at(Pointer::from_static("/strategy"))
            })?;
        let mut meeting = Meeting {
            proposal,
            base: match self.seen {
                Seen::Gone { .. } => None,
                _ => Some(base),
            },
            head,
            theirs: Authors::default(),
            ours: Authors::default(),
            kind: self.kind_rules,
            rules: self.rules,
            now: self.now,
        };
        let merged = meeting.merge(ours);
        if !merged.is_clean() {
            self.name_authors(&mut meeting, *version)?;
        }
        let mut met = meeting.resolve(merged, strategy);
        self.carry_waiting(&meeting, &mut met);
        if let Some(ours) = ours.filter(|_| !head.deleted) {
            self.check_merged(&meeting, &mut met, ours)?;
        }
        if met.strategy == Strategy::UserChoice && !met.waiting.is_empty() {
            let detail = match proposal.merges() {
                Some(merged) => format!("{} clashes with {}", merged.name(), named(&line)),
                None => format!(
                    "context \"{}\" is at version {}, and the write was made on version {version}",
                    proposal.context, head.version
                ),
            };
            let problem = Problem::new(Code::StaleBase, detail)
                .hint("choose between the sides, and write again on the head with a new change id");
            return Err(with_sides(problem, self.view, proposal, self.rules, Some(head)).into());
        }
        if let Some(ours) = ours {
            met.revise(meeting.revised(ours));
        }
        self.check_waiting(head, met.waiting.len())?;
        let mut wanted = self.as_wanted(met, head);
        // Also where the head has all of it already: the next merge of the line must start from
        // here, or it would bring back what is taken out of the head meanwhile.
        wanted.anyway |= self.merges_line();
        Ok(wanted)
    }

    /// Says that the node must look again, since what the call stands on moved meanwhile: something
    /// else was merged into the line, or whoever undoes his newest change made a newer one.
    pub fn check_looked(&self) -> Result<(), Stop> {
        let own = self.proposal.own.as_ref();
        let (Some(own), Some(head)) = (own, self.head) else {
            return Ok(());
        };
        let Some(looked) = own.looked.filter(|looked| *looked < head.version) else {
            return Ok(());
        };
        let actor = &self.proposal.actor;
        let moved = |touch: &Touch| match own.undoes {
            Some(_) => touch.actor.is_mine(actor),
            None => touch.merges.is_some(),
        };
        let mut since = self.view.touches(&self.proposal.line(), looked)?.iter();
        match since.any(moved) {
            true => Err(Problem::new(Code::Unavailable, LINE_MOVED).into()),
            false => Ok(()),
        }
    }

    /// Looks up who set what, on the head's line and on the one that is merged. Where two lines
    /// are merged that is always long before they clash.
    fn name_authors<'a>(&'a self, meeting: &mut Meeting<'a>, base: Version) -> Result<(), Need> {
        let (view, proposal) = (self.view, self.proposal);
        let (context, branch) = (&proposal.context, proposal.branch.as_ref());
        let Some(merged) = proposal.merges() else {
            meeting.theirs = Authors::of(view, context, branch, base, None)?;
            return Ok(());
        };
        meeting.theirs = Authors::of(view, context, branch, Version::ZERO, None)?;
        let (branch, newest) = (merged.branch.as_ref(), Some(merged.version));
        meeting.ours = Authors::of(view, context, branch, Version::ZERO, newest)?;
        Ok(())
    }

    /// Lets wait here what waits in the line that is merged, as far as this line takes what that one
    /// shows: nobody chose it yet.
    fn carry_waiting(&self, meeting: &Meeting<'_>, met: &mut Met) {
        let own = self.proposal.own.as_ref();
        for waits in own.iter().flat_map(|own| &own.waits) {
            let shown = value_at(waits, met.document.as_ref());
            let known = met.waiting.iter().any(|c| c.path == waits.path);
            if known || shown != waits.theirs || shown == waits.ours {
                continue;
            }
            let conflict = meeting.conflict(&waits.path, waits.strategy);
            met.waiting.push(Conflict {
                kind: waits.kind,
                reason: waits.reason.clone(),
                base: waits.base.clone(),
                ours: waits.ours.clone(),
                theirs: shown,
                by_ours: waits.by_ours.clone(),
                by_theirs: waits.by_theirs.clone(),
                message: waits.message.clone(),
                ..conflict
            });
            met.clashed = true;
        }
    }

    /// Checks that not more comes to wait than a head can hold.
    fn check_waiting(&self, head: &Head, opened: usize) -> Result<(), Stop> {
        let (waiting, most) = (head.conflicts.len(), self.rules.open_conflicts_max);
        if opened == 0 || waiting + opened <= most {
            return Ok(());
        }
        let context = &self.proposal.context;
        let detail = format!(
            "{waiting} conflicts wait on context \"{context}\", and the write would leave {opened} more; \
            {most} is the limit"
        );
        Err(Problem::new(Code::TooLarge, detail)
            .hint(format!(
                "settle some (`syncline conflicts {context}`), or write on its newest version"
            ))
            .limit(most as u64, "max_open_conflicts")
            .into())
    }

    /// Turns a merge into what it makes of the line.
    fn as_wanted(&self, met: Met, head: &Head) -> Wanted {
        let outcome = met.outcome();
        let document = match &met.document {
            Some(json) => Document::from_json(json, &Pointer::root()).ok(),
            None => None,
        };
        let kind = match (&document, head.deleted) {
            (None, _) => ChangeType::Delete,
            (Some(_), true) => ChangeType::Restore,
            (Some(_), false) => ChangeType::Update,
        };
        let document = document.unwrap_or_else(|| head.document.clone());
        Wanted {
            outcome,
            decisions: met.decisions,
            anyway: met.beaten || !met.waiting.is_empty() || !met.revised.is_empty(),
            clashed: met.clashed,
            opened: met.waiting,
            revised: met.revised,
            ..Wanted::plain(kind, document, None)
        }
    }

    /// Makes a conflict on the whole document of a merge that gives no good one, and one on the
    /// parent of a merge whose line of ancestors would run in a circle.
    fn check_merged(
        &self,
        meeting: &Meeting<'_>,
        met: &mut Met,
        ours: &Document,
    ) -> Result<(), Stop> {
        let Some(json) = &met.document else {
            return Ok(());
        };
        let head = &meeting.head.document;
        // More than a head can hold is one.
        if met.waiting.len() > self.rules.open_conflicts_max {
            self.clash_whole(meeting, met, ours, "bound");
            return Ok(());
        }
        let why = match Document::from_json(json, &Pointer::root()) {
            Err(error) => Some(error.to_string()),
            Ok(document)
                if json.depth() > self.rules.document_depth_max
                    || document.weight() > self.rules.document_bytes_max =>
            {
                Some("the merged document is too large".to_owned())
            }
            Ok(document) => self
                .misfit(&document, Some(head))
                .map(|problem| problem.detail),
        };
        if let Some(why) = why {
            self.clash_whole(meeting, met, ours, &why);
            return Ok(());
        }
        self.check_circle(meeting, met)
    }

    /// Leaves the head as it is, and one conflict on the whole document.
    fn clash_whole(&self, meeting: &Meeting<'_>, met: &mut Met, ours: &Document, why: &str) {
        let head = meeting.head.document.to_json();
        let mut conflict = meeting.conflict("", met.strategy);
        conflict.reason = why.into();
        conflict.base = meeting.base.map(Document::to_json);
        conflict.ours = Some(ours.to_json());
        conflict.theirs = Some(head.clone());
        met.document = Some(head);
        met.waiting = vec![conflict];
        met.clashed = true;
    }

    fn check_circle(&self, meeting: &Meeting<'_>, met: &mut Met) -> Result<(), Stop> {
        let Some(document) = met.document.as_ref().and_then(Json::as_object) else {
            return Ok(());
        };
        let merged = Document::from_stored(document.clone());
        let before = meeting.head.document.parent();
        if merged.parent() == before || self.proposal.branch.is_some() {
            return Ok(());
        }
        if let Some(gap) = self.view.gap(merged.parent(), ANCESTORS_MAX + 1) {
            return Err(Need::Head(gap).into());
        }
        let chain = self.view.chain(merged.parent(), ANCESTORS_MAX + 1);
        if !chain.contains(&self.proposal.context) {
            return Ok(());
        }
        let mut conflict = meeting.conflict("/parent", met.strategy);
        conflict.reason = "circle".into();
        let base = meeting.base.and_then(|base| base.object().get("parent"));
        conflict.base = base.cloned();
        conflict.ours = document.get("parent").cloned();
        conflict.theirs = meeting.head.document.object().get("parent").cloned();
        let mut document = document.clone();
        match &conflict.theirs {
            Some(parent) => drop(document.insert("parent", parent.clone())),
            None => drop(document.remove("parent")),
        }
        met.document = Some(Json::Object(document));
        met.waiting.push(conflict);
        met.clashed = true;
        Ok(())
    }

    /// Says why a document does not fit its kind's schema, counting only what the head lacks.
    pub fn misfit(&self, document: &Document, head: Option<&Document>) -> Option<Problem> {
        let schema = self.kind_rules.schema.as_ref()?;
        let data = |document: &Document| {
            let data = document.object().get("data").cloned();
            data.unwrap_or_else(|| Json::Object(Default::default()))
        };
        let report = schema.check(&data(document));
        if report.fits() {
            return None;
        }
        let before = head.map(|head| schema.check(&data(head)));
        let added = match &before {
            Some(before) => report.added(before),
            None => report.failures.iter().collect(),
        };
        let first = added.first()?;
        let place = |failure: &syncline_schema::Failure| {
            let mut at = Pointer::from_static("/data");
            failure
                .place
                .tokens()
                .iter()
                .for_each(|token| at.push(token.clone()));
            at
        };
        let lines: Vec<_> = added
            .iter()
            .map(|failure| format!("{}: {}", place(failure), failure.reason))
            .collect();
        let kind = self.proposal.context.kind();
        let detail = format!(
            "the document does not fit the schema of {kind}: {}",
            lines.join("; ")
        );
        let errors = added.iter().map(|f| (place(f), f.reason.clone())).collect();
        let mut problem = Problem::new(Code::Invalid, detail).at(place(first));
        problem.errors = Some(Box::new(Misfits(errors)));
        Some(problem.hint(format!("`syncline schema show {kind}` shows what fits")))
    }
}
