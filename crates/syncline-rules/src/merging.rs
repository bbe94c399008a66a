//! Merging: what becomes of a write that was made on an old version.

use std::sync::Arc;

use syncline_merge::{
    Action, Choice, Contest, Decision as Decided, KeyedPath, MergeLimits, Merged, Side, Sides,
    chain, merge,
};
use syncline_model::change::Outcome;
use syncline_model::conflict::{Conflict, ConflictId, ConflictKind, ConflictState, Strategy};
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::Version;
use syncline_model::json::{Json, JsonWriter, Pointer};
use syncline_model::proposal::{Base, Proposal};
use syncline_model::time::{Hlc, Timestamp};

use crate::Rules;
use crate::authors::Authors;
use crate::decide::Now;
use crate::gone::stand_in;
use crate::kinds::KindRules;
use crate::view::Touch;

/// What a concurrent write is decided on.
pub struct Meeting<'a> {
    /// The proposal.
    pub proposal: &'a Proposal,
    /// What its writer had seen; `None` where that is gone.
    pub base: Option<&'a Document>,
    /// The head that it meets.
    pub head: &'a Arc<Head>,
    /// Who set what on the head's line, as far as sides clash.
    pub theirs: Authors<'a>,
    /// Who set what on the line that is merged, where one is.
    pub ours: Authors<'a>,
    /// What is declared for the kind.
    pub kind: &'a KindRules,
    /// What is declared for the workspace.
    pub rules: &'a Rules,
    /// The time.
    pub now: Now,
}

/// What a merge comes to.
pub struct Met {
    /// The document; at a place that waits it shows the head.
    pub document: Option<Json>,
    /// What was decided, as it is recorded.
    pub decisions: Option<Json>,
    /// The places that wait.
    pub waiting: Vec<Conflict>,
    /// The conflicts that waited already and whose own side this writes anew.
    pub revised: Vec<Conflict>,
    /// Both sides wanted something else at one place, however that was resolved.
    pub clashed: bool,
    /// How clashes were resolved.
    pub strategy: Strategy,
    /// Something that the proposal wanted was beaten: history must keep it, though the document
    /// stays as it is (P4).
    pub beaten: bool,
}

impl Met {
    /// Says what came of the proposal.
    pub fn outcome(&self) -> Outcome {
        let document = self.document.as_ref();
        let waits = |c: &Conflict| !agreed(c, &value_at(c, document));
        match self.waiting.is_empty() && !self.revised.iter().any(waits) {
            true => Outcome::Merged,
            false => Outcome::Conflict,
        }
    }

    /// Lets conflicts that waited already take the proposal's side, and leaves out what waits
    /// below their places: they show it.
    pub fn revise(&mut self, revised: Vec<Conflict>) {
        let shown = |path: &str| {
            let above = |c: &Conflict| {
                let below = path.strip_prefix(&*c.path);
                below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            revised.iter().any(above)
        };
        self.waiting.retain(|conflict| !shown(&conflict.path));
        self.revised = revised;
    }
}

/// Returns the strategy that holds: the proposal's, else the context's, the kind's, the
/// workspace's.
pub fn strategy_of(
    proposal: &Proposal,
    head: Option<&Head>,
    kind: &KindRules,
    rules: &Rules,
) -> Result<Strategy, &'static str> {
    if let Some(word) = &proposal.strategy {
        return word.as_str().parse();
    }
    // An undo takes back what is the writer's own, and never overrules anybody.
    if proposal.undoes().is_some() {
        return Ok(Strategy::Manual);
    }
    let metadata = head.and_then(|head| head.document.object().get("metadata"));
    let own = metadata.and_then(|m| m.get("strategy")?.as_str()?.parse().ok());
    Ok(own.unwrap_or_else(|| kind.strategy(rules)))
}

impl Meeting<'_> {
    /// Merges the proposal's document, or its deletion, with the head.
    pub fn merge(&self, ours: Option<&Document>) -> Merged {
        let theirs = self.head.document.to_json();
        let ours = ours.map(Document::to_json);
        let base = match self.base {
            Some(base) => base.to_json(),
            None => stand_in(ours.as_ref().unwrap_or(&Json::Null), &theirs),
        };
        let sides = Sides {
            base: Some(&base),
            ours: ours.as_ref(),
            theirs: (!self.head.deleted).then_some(&theirs),
            earlier: Side::Theirs,
        };
        let limits = MergeLimits::default();
        let mut merged = match self.proposal.undoes() {
            // What others wrote since stays, whoever comes last.
            Some(_) => merge(sides, &self.kind.merge.without_order(), &limits),
            None => merge(sides, &self.kind.merge, &limits),
        };
        if self.base.is_none() {
            // What stood for the base is nothing that anybody saw.
            let decisions = merged.decisions.iter_mut();
            decisions.for_each(|decision| decision.base = None);
        }
        merged
    }

    /// Resolves what clashes, as far as the strategy and its fallback do.
    pub fn resolve(&self, merged: Merged, strategy: Strategy) -> Met {
        let left_to = self.left_to(strategy);
        let waits_by = match left_to {
            Strategy::KeepBoth | Strategy::UserChoice => left_to,
            _ => strategy,
        };
        let clashes: Vec<_> = merged.clashes().cloned().collect();
        let choose = |clash: &Decided| {
            let by = |strategy| {
                self.choose(clash, strategy)
                    .map(|choice| (choice, strategy))
            };
            by(strategy).or_else(|| by(left_to))
        };
        let chosen: Vec<_> = clashes.iter().map(choose).collect();
        let choices: Vec<_> = chosen
            .iter()
            .map(|chosen| {
                chosen
                    .as_ref()
                    .map_or(Choice::Leave, |(choice, _)| choice.clone())
            })
            .collect();
        let document = merged
            .settle(&choices)
            .unwrap_or_else(|_| merged.value.clone());
        let waiting = clashes
            .iter()
            .zip(&chosen)
            .filter(|(_, chosen)| chosen.is_none());
        let waiting = waiting.map(|(clash, _)| self.conflict_at(clash, waits_by, &document));
        let waiting = waiting.collect();
        let lost = |choice: &Option<(Choice, Strategy)>| {
            choice
                .as_ref()
                .is_some_and(|(choice, _)| *choice == Choice::Theirs)
        };
        Met {
            beaten: chosen.iter().any(lost)
                || merged.decisions.iter().any(|d| d.action == Action::Theirs),
            decisions: write_decisions(&merged, &chosen),
            document,
            waiting,
            revised: Vec::new(),
            clashed: !clashes.is_empty(),
            strategy: waits_by,
        }
    }

    /// Returns the strategy that takes what another leaves. Who said what is to become of all
    /// clashes is not overruled.
    fn left_to(&self, strategy: Strategy) -> Strategy {
        match strategy {
            Strategy::Manual | Strategy::KeepBoth | Strategy::UserChoice => strategy,
            _ => self.kind.fallback(self.rules),
        }
    }

    /// Returns the waiting conflicts whose own side the proposal writes anew, with that side: its
    /// writer stands on what was wanted there, and wants something else now.
    ///
    /// (base, theirs, ours) followed by (ours, theirs, ours2) is (base, theirs, ours2).
    pub fn revised(&self, ours: &Document) -> Vec<Conflict> {
        let Some(base) = self.base.filter(|_| !self.head.conflicts.is_empty()) else {
            return Vec::new();
        };
        // No version of the line shows that side: only a base that is named by a change id does,
        // or the line that was merged before and is again.
        let named = matches!(self.proposal.base, Some(Base::Change(_)));
        let own = self.proposal.own.as_ref();
        let stood_on = |conflict: &&Conflict| {
            named || own.is_some_and(|own| own.continues.contains(&conflict.id))
        };
        let (base, ours) = (base.to_json(), ours.to_json());
        let revise = |conflict: &Conflict| {
            let first = Contest {
                base: conflict.base.clone(),
                ours: conflict.ours.clone(),
                theirs: conflict.theirs.clone(),
            };
            let second = Contest {
                base: value_at(conflict, Some(&base)),
                ours: value_at(conflict, Some(&ours)),
                theirs: conflict.theirs.clone(),
            };
            let left = chain(&first, &second)?;
            let message = self.proposal.message.clone();
            (left.ours != first.ours).then(|| Conflict {
                message: message.or(conflict.message.clone()),
                ..with_ours(conflict, left.ours, self.proposal, self.head)
            })
        };
        let conflicts = self.head.conflicts.iter().filter(stood_on);
        conflicts.filter_map(revise).collect()
    }

    /// Chooses a side where the strategy knows one. Where several may have set a side, all of them
    /// must say the same.
    fn choose(&self, clash: &Decided, strategy: Strategy) -> Option<Choice> {
        let [since_ours, since_theirs] = self.proposal.since();
        let ours = self.may_have_set(&self.ours, &clash.path, since_ours);
        let theirs = self.may_have_set(&self.theirs, &clash.path, since_theirs);
        match strategy {
            Strategy::LatestWins => {
                let clocks = ours.iter().map(|touch| Some(touch.hlc));
                // A clock that runs ahead wins nothing by it.
                let own = |clock: Option<Hlc>| clock.unwrap_or(self.now.hlc).min(self.now.hlc);
                let (earliest, latest) = bounds(clocks.map(own))
                    .unwrap_or((own(self.proposal.hlc), own(self.proposal.hlc)));
                match bounds(theirs.iter().map(|touch| touch.hlc)) {
                    Some((_, theirs)) if earliest > theirs => Some(Choice::Ours),
                    Some((theirs, _)) if latest <= theirs => Some(Choice::Theirs),
                    Some(_) => None,
                    // Nobody knows who set it: it was before all that is known, or with the head.
                    None => {
                        let known = self.theirs.oldest().map(|touch| touch.hlc);
                        let known = known.unwrap_or(Hlc::at(self.head.updated_at));
                        (earliest > known).then_some(Choice::Ours)
                    }
                }
            }
            Strategy::SourcePriority => {
                let rank = |actor| self.kind.rank(actor, self.rules);
                let own = rank(&self.proposal.actor);
                let ranks = bounds(ours.iter().map(|touch| rank(&touch.actor)));
                let (lowest, highest) = ranks.unwrap_or((own, own));
                match bounds(theirs.iter().map(|touch| rank(&touch.actor))) {
                    Some((_, theirs)) if lowest > theirs => Some(Choice::Ours),
                    Some((theirs, _)) if highest < theirs => Some(Choice::Theirs),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Returns who may have set a place of a line: one change, unless it lies in an array.
    fn may_have_set<'t>(
        &self,
        authors: &Authors<'t>,
        place: &Pointer,
        since: Version,
    ) -> Vec<&'t Touch> {
        match array_around(&self.head.document.to_json(), place) {
            Some(array) => authors.of_array(&array, since),
            None => authors.of_place(place).into_iter().collect(),
        }
    }

    /// Returns the change that last set a place of the head.
    fn set_by(&self, place: &Pointer) -> Option<&Touch> {
        self.theirs.of_place(place)
    }

    /// Returns the change that last set a place of the line that is merged, where one is: whoever
    /// merges it wants what others wrote.
    fn wanted_by(&self, place: &Pointer) -> Option<&Touch> {
        self.ours.of_place(place)
    }

    fn conflict_at(
        &self,
        clash: &Decided,
        strategy: Strategy,
        document: &Option<Json>,
    ) -> Conflict {
        let theirs_by = self
            .set_by(&clash.path)
            .map_or(&self.head.actor, |touch| &touch.actor);
        let mut conflict = self.conflict(&clash.keyed.to_string(), strategy);
        conflict.reason = clash.rule.as_str().into();
        conflict.base = clash.base.clone();
        conflict.ours = clash.ours.clone();
        conflict.theirs = clash.theirs.clone();
        conflict.by_theirs = theirs_by.clone();
        if let Some(touch) = self.wanted_by(&clash.path) {
            conflict.by_ours = touch.actor.clone();
        }
        // Where the head deleted what the proposal edits, the edit stays in sight: it is what the
        // head holds now, and the deletion waits.
        let shown = document.as_ref().and_then(|doc| clash.keyed.get(doc));
        if clash.theirs.is_none() && shown.is_some() && shown == clash.ours.as_ref() {
            std::mem::swap(&mut conflict.ours, &mut conflict.theirs);
            std::mem::swap(&mut conflict.by_ours, &mut conflict.by_theirs);
        }
        conflict
    }

    /// Makes a conflict of this proposal at a place; its sides are to be filled in.
    pub fn conflict(&self, path: &str, strategy: Strategy) -> Conflict {
        let created_at = self.now.committed_at;
        let deadline_ms = self.kind.conflict_deadline_ms(self.rules);
        Conflict {
            id: ConflictId::new(self.proposal.id, path),
            version: 1,
            context: self.proposal.context.clone(),
            branch: self.proposal.branch.clone(),
            path: path.into(),
            kind: ConflictKind::Data,
            reason: "".into(),
            base: None,
            ours: None,
            theirs: None,
            strategy,
            by_ours: self.proposal.actor.clone(),
            by_theirs: self.head.actor.clone(),
            message: self.proposal.message.clone(),
            created_at,
            deadline: Timestamp(created_at.0.saturating_add(deadline_ms)),
            opened: self.head.version.next(),
            reopened: None,
            revised: None,
            state: ConflictState::Open,
            closed: None,
            settled_by: None,
        }
    }
}

/// Returns the least and the greatest.
fn bounds<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<(T, T)> {
    values.fold(None, |bounds, value| match bounds {
        None => Some((value, value)),
        Some((least, greatest)) => Some((value.min(least), value.max(greatest))),
    })
}

/// Returns the outermost array that a place lies in.
pub fn array_around(document: &Json, place: &Pointer) -> Option<Pointer> {
    let (mut part, mut value) = (Pointer::root(), Some(document));
    for token in place.tokens() {
        match value {
            Some(Json::Array(_)) => return Some(part),
            Some(json) => value = json.get(token),
            None => return None,
        }
        part.push(token.clone());
    }
    None
}

/// Bounds the sides that are recorded where both edits stayed.
const BOTH_BYTES_MAX: usize = 1 << 10;

/// Writes what was decided: where both sides changed something, who won by which rule.
fn write_decisions(merged: &Merged, chosen: &[Option<(Choice, Strategy)>]) -> Option<Json> {
    if merged.decisions.is_empty() {
        return None;
    }
    let mut chosen = chosen.iter();
    let mut w = JsonWriter::with_capacity(512);
    w.begin_array();
    for decision in &merged.decisions {
        let by = match decision.action {
            Action::Clash => chosen.next().and_then(Option::as_ref),
            _ => None,
        };
        w.begin_object();
        w.field_str("path", &decision.keyed.to_string());
        let sides = [
            ("base", &decision.base),
            ("ours", &decision.ours),
            ("theirs", &decision.theirs),
        ];
        // Where both edits are in the value nothing was beaten, and a long array says too much.
        let weight: usize = sides
            .iter()
            .filter_map(|(_, side)| side.as_ref())
            .map(Json::weight)
            .sum();
        let told = decision.action != Action::Both || weight <= BOTH_BYTES_MAX;
        for (name, side) in sides.into_iter().filter(|_| told) {
            if let Some(side) = side {
                w.field_json(name, side);
            }
        }
        let action = match by {
            Some((Choice::Ours, _)) => Action::Ours,
            Some(_) => Action::Theirs,
            None => decision.action,
        };
        w.field_str("action", action.as_str());
        w.field_str("rule", decision.rule.as_str());
        if let Some((_, strategy)) = by {
            w.field_str("strategy", strategy.as_str());
        }
        w.end_object();
    }
    w.end_array();
    let text = w.into_string();
    Json::parse(text.as_bytes(), &DECISIONS).ok()
}

/// Returns a waiting conflict whose own side a proposal writes anew.
pub fn with_ours(
    conflict: &Conflict,
    ours: Option<Json>,
    proposal: &Proposal,
    head: &Head,
) -> Conflict {
    Conflict {
        version: conflict.version + 1,
        ours,
        by_ours: proposal.actor.clone(),
        revised: Some(head.version.next()),
        ..conflict.clone()
    }
}

/// Says whether nobody disagrees at a conflict's place any more where the head shows `theirs`: both
/// sides say the same, or whoever wanted something else took it back.
fn agreed(conflict: &Conflict, theirs: &Option<Json>) -> bool {
    let withdrawn = conflict.revised.is_some() && conflict.ours == conflict.base;
    conflict.ours == *theirs || withdrawn
}

/// Follows a line's waiting conflicts into the document that a change makes: a head side that moved
/// counts as a new version of its conflict, and one that agrees with the other side ends it. Those
/// whose other side the change wrote anew are `revised`.
///
/// Returns those that still wait, and those that this touched, as it left them.
pub fn follow(
    conflicts: &[Conflict],
    revised: &[Conflict],
    document: Option<&Json>,
    proposal: &Proposal,
    version: Version,
) -> (Vec<Conflict>, Vec<Conflict>) {
    let (mut waiting, mut touched) = (Vec::new(), Vec::new());
    for conflict in conflicts {
        let anew = revised.iter().find(|revised| revised.id == conflict.id);
        let now = value_at(conflict, document);
        if anew.is_none() && now == conflict.theirs {
            waiting.push(conflict.clone());
            continue;
        }
        let mut moved = anew.unwrap_or(conflict).clone();
        if now != moved.theirs {
            moved.version += 1;
            moved.theirs = now;
            moved.by_theirs = proposal.actor.clone();
        }
        if agreed(&moved, &moved.theirs) {
            moved.state = ConflictState::Agreed;
            moved.closed = Some(version);
            moved.settled_by = Some(proposal.id);
        } else {
            waiting.push(moved.clone());
        }
        touched.push(moved);
    }
    (waiting, touched)
}

/// Returns what a document holds at a conflict's place.
pub fn value_at(conflict: &Conflict, document: Option<&Json>) -> Option<Json> {
    let path = KeyedPath::parse(&conflict.path).ok()?;
    path.get(document?).cloned()
}

/// What we wrote ourselves is read back whole.
const DECISIONS: syncline_model::json::Limits = syncline_model::json::Limits {
    bytes_max: usize::MAX,
    depth_max: 200,
};
