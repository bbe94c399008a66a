//! What becomes of writes that were made on an old version, and of the conflicts that they leave.

use std::sync::Arc;

use syncline_api::Code;
use syncline_model::change::{ChangeType, Outcome};
use syncline_model::conflict::{Conflict, ConflictKind, ConflictState, Strategy};
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::{Address, BranchName, Name, PrincipalId, Version};
use syncline_model::json::{Json, Object, Pointer};
use syncline_model::proposal::{Base, Operation, Proposal};
use syncline_model::time::{Hlc, Timestamp};
use syncline_rules::{
    BaseState, Decision, KindRules, Need, Ranks, Rules, Step, Touch, View, decide, genesis,
};

use crate::{actor, head, json, now, proposal};

const BASE: &str = r#"{"title":"T","data":{"a":1,"b":1,"s":"open"}}"#;

/// A head at version 3, and a write that was made on version 1.
struct Meeting {
    view: View,
    rules: Rules,
    proposal: Proposal,
}

impl Meeting {
    fn new(theirs: &str, body: &str) -> Meeting {
        let mut view = View::new();
        view.put_head(
            Address::global_main(),
            Some(Arc::new(genesis(Timestamp(0), actor()).head)),
        );
        let line = Address::parse("task/a").unwrap();
        let theirs = head(theirs, 3, false);
        let touch = Touch {
            id: theirs.change,
            version: Version(3),
            actor: theirs.actor.clone(),
            hlc: Hlc::from_parts(1_799_999_999_000, 0),
            changed: vec![Pointer::root()],
            operation: Operation::Merge,
            merges: None,
        };
        view.put_head(line.clone(), Some(Arc::new(theirs)));
        view.put_touches(line.clone(), Version(1), vec![touch]);
        let base = Base::Version(Version(1));
        let state = BaseState::Known {
            version: Version(1),
            document: Arc::new(head(BASE, 1, false).document),
            at: Timestamp(0),
        };
        view.put_base(line, base.clone(), state);
        let mut proposal = proposal(Operation::Merge, json(body));
        proposal.base = Some(base);
        Meeting {
            view,
            rules: Rules::default(),
            proposal,
        }
    }

    fn strategy(mut self, strategy: Strategy) -> Meeting {
        self.proposal.strategy = Some(Name::parse(strategy.as_str()).unwrap());
        self
    }

    fn decide(&mut self) -> Decision {
        loop {
            let mut now = now();
            now.hlc = Hlc::from_parts(1_800_000_000_000, 0);
            match decide(&self.view, &self.proposal, &self.rules, now) {
                Decision::Needs(Need::Kind(kind)) => self.view.put_kind(kind, Arc::default()),
                Decision::Needs(Need::Conflicts(address)) => {
                    self.view.put_conflicts(address, Vec::new());
                }
                Decision::Needs(need) => panic!("{need:?}"),
                decision => return decision,
            }
        }
    }

    fn step(&mut self) -> Step {
        match self.decide() {
            Decision::Commit(steps) => steps.into_iter().last().unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

fn data(step: &Step) -> Json {
    step.head.document.object().get("data").cloned().unwrap()
}

const THEIRS: &str = r#"{"title":"T","data":{"a":2,"b":1,"s":"done"}}"#;

#[test]
fn p4_disjoint_fields_merge() {
    let step = Meeting::new(THEIRS, r#"{"data":{"b":5}}"#).step();
    assert_eq!(data(&step), json(r#"{"a":2,"b":5,"s":"done"}"#));
    assert_eq!(step.change.outcome, Outcome::Merged);
    assert_eq!(step.change.base, Some(Version(1)));
    assert_eq!(step.change.detected, [ConflictKind::Version]);
    assert!(step.head.conflicts.is_empty());
}

#[test]
fn p4_a_clash_waits_and_the_rest_is_applied() {
    let step = Meeting::new(THEIRS, r#"{"data":{"b":5,"s":"stuck"}}"#).step();
    assert_eq!(data(&step), json(r#"{"a":2,"b":5,"s":"done"}"#));
    assert_eq!(step.change.outcome, Outcome::Conflict);
    assert_eq!(step.change.detected, [ConflictKind::Data]);
    let [conflict] = &*step.head.conflicts else {
        panic!("{:?}", step.head.conflicts)
    };
    assert_eq!(&*conflict.path, "/data/s");
    assert_eq!(conflict.base, Some(Json::from("open")));
    assert_eq!(conflict.ours, Some(Json::from("stuck")));
    assert_eq!(conflict.theirs, Some(Json::from("done")));
    assert_eq!(conflict.deadline.0 - conflict.created_at.0, 300_000);
    assert_eq!(step.change.conflicts, std::slice::from_ref(conflict));
}

#[test]
fn a_merge_that_says_nothing_new_is_unchanged() {
    let decision = Meeting::new(THEIRS, r#"{"data":{"a":2}}"#).decide();
    assert!(
        matches!(decision, Decision::Unchanged { .. }),
        "{decision:?}"
    );
}

#[test]
fn the_later_clock_wins_and_a_clock_ahead_wins_nothing_by_it() {
    let body = r#"{"data":{"s":"stuck"}}"#;
    let at = |ms| Some(Hlc::from_parts(ms, 0));
    let mut meeting = Meeting::new(THEIRS, body).strategy(Strategy::LatestWins);
    for (hlc, expected) in [(None, "stuck"), (at(1_799_999_998_000), "done")] {
        meeting.proposal.hlc = hlc;
        let decision = meeting.decide();
        let shown = match &decision {
            Decision::Commit(steps) => data(&steps[0]).get("s").cloned(),
            Decision::Unchanged { head, .. } => {
                let data = head.document.object().get("data").cloned().unwrap();
                data.get("s").cloned()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(shown, Some(Json::from(expected)));
    }
    meeting.proposal.hlc = at(1_900_000_000_000);
    assert!(
        meeting
            .step()
            .change
            .detected
            .contains(&ConflictKind::Timestamp)
    );
}

#[test]
fn what_the_later_clock_beat_is_kept() {
    let body = r#"{"data":{"s":"stuck"}}"#;
    let step = Meeting::new(THEIRS, body)
        .strategy(Strategy::LatestWins)
        .step();
    let decisions = step.change.decisions.unwrap();
    let decision = &decisions.as_array().unwrap()[0];
    assert_eq!(decision.get("theirs"), Some(&Json::from("done")));
    assert_eq!(decision.get("action"), Some(&Json::from("ours")));
    assert_eq!(decision.get("strategy"), Some(&Json::from("latest_wins")));
}

#[test]
fn the_higher_rank_wins_and_equal_ranks_fall_back() {
    let body = r#"{"data":{"s":"stuck"}}"#;
    let ana = PrincipalId::parse("person/ana").unwrap();
    let mut meeting = Meeting::new(THEIRS, body).strategy(Strategy::SourcePriority);
    meeting.proposal.actor.id = ana;
    assert_eq!(meeting.step().change.outcome, Outcome::Conflict);
    meeting.rules.ranks = Ranks(vec![("person/ana".to_owned(), 5)]);
    let step = meeting.step();
    assert_eq!(step.change.outcome, Outcome::Merged);
    assert_eq!(data(&step).get("s"), Some(&Json::from("stuck")));
    // Who has no rank has that of its agent, else of its provider, else of the node.
    let name = |text: &str| Some(Name::parse(text).unwrap());
    meeting.proposal.actor.agent = name("claude-1");
    meeting.proposal.actor.provider = name("anthropic");
    meeting.rules.node = "laptop".to_owned();
    let ranks = [
        ("node/laptop", 1),
        ("provider/anthropic", 2),
        ("agent/claude-1", 3),
    ];
    for (own, rank) in ranks {
        meeting
            .rules
            .ranks
            .0
            .retain(|(name, _)| name != "person/ana");
        meeting.rules.ranks.0.push((own.to_owned(), rank));
        assert_eq!(
            KindRules::default().rank(&meeting.proposal.actor, &meeting.rules),
            rank,
            "{own}"
        );
    }
    // All who write to one node have its rank, and so nobody is above another by that.
    meeting.proposal.actor.agent = None;
    meeting.proposal.actor.provider = None;
    assert_eq!(meeting.step().change.outcome, Outcome::Conflict);
    meeting.proposal.actor.provider = name("anthropic");
    assert_eq!(meeting.step().change.outcome, Outcome::Merged);
}

#[test]
fn keep_both_leaves_the_head_and_makes_a_branch() {
    let body = r#"{"data":{"s":"stuck","b":5}}"#;
    let mut meeting = Meeting::new(THEIRS, body).strategy(Strategy::KeepBoth);
    let step = meeting.step();
    let name = format!("conflict/{}", meeting.proposal.id);
    let branch = BranchName::parse(&name).unwrap();
    assert_eq!(step.change.branch, Some(branch.clone()));
    assert_eq!(
        step.head.address,
        meeting.proposal.context.line(Some(&branch))
    );
    assert_eq!(step.change.outcome, Outcome::KeptBoth);
    assert_eq!(data(&step), json(r#"{"a":1,"b":5,"s":"stuck"}"#));
}

#[test]
fn user_choice_applies_nothing_and_shows_the_sides() {
    let body = r#"{"data":{"s":"stuck","b":5}}"#;
    let decision = Meeting::new(THEIRS, body)
        .strategy(Strategy::UserChoice)
        .decide();
    let Decision::Refused(refusal) = decision else {
        panic!("{decision:?}")
    };
    assert_eq!(refusal.problem.code, Code::StaleBase);
    let sides = refusal.problem.sides.unwrap();
    assert_eq!(
        sides.ours.unwrap().get("data").unwrap().get("s"),
        Some(&Json::from("stuck"))
    );
}

#[test]
fn a_deletion_that_meets_an_edit_waits() {
    let mut meeting = Meeting::new(THEIRS, "{}");
    meeting.proposal.operation = Operation::Delete;
    meeting.proposal.body = Json::Null;
    let step = meeting.step();
    assert_eq!(step.change.kind, ChangeType::Update);
    assert!(!step.head.deleted);
    let [conflict] = &*step.head.conflicts else {
        panic!("{:?}", step.head.conflicts)
    };
    assert_eq!((&*conflict.path, &conflict.ours), ("", &None));
    // Its choice deletes after all.
    let settled = settle_on(&step.head, conflict, r#""choose":"ours""#);
    assert_eq!(settled.change.kind, ChangeType::Delete);
}

#[test]
fn an_edit_that_meets_a_deletion_restores_it_as_a_conflict() {
    let mut meeting = Meeting::new(THEIRS, r#"{"data":{"b":5}}"#);
    let mut gone = head(BASE, 3, true);
    gone.deleted = true;
    let line = meeting.proposal.context.clone();
    meeting.view.put_head(line.clone(), Some(Arc::new(gone)));
    meeting.view.put_touches(line, Version(1), Vec::new());
    let step = meeting.step();
    assert_eq!(step.change.kind, ChangeType::Restore);
    assert_eq!(data(&step).get("b"), Some(&json("5")));
    let [conflict] = &*step.head.conflicts else {
        panic!("{:?}", step.head.conflicts)
    };
    assert_eq!((&*conflict.path, &conflict.ours), ("", &None));
    assert!(conflict.theirs.is_some());
}

#[test]
fn two_creations_merge_from_nothing() {
    let mut meeting = Meeting::new(THEIRS, r#"{"data":{"c":9}}"#);
    meeting.proposal.operation = Operation::Replace;
    meeting.proposal.base = Some(Base::Version(Version::ZERO));
    let line = meeting.proposal.context.clone();
    meeting.view.put_touches(line, Version::ZERO, Vec::new());
    let step = meeting.step();
    assert_eq!(data(&step), json(r#"{"a":2,"b":1,"c":9,"s":"done"}"#));
}

/// Decides a settlement on a head.
fn settle_on(head: &Head, conflict: &Conflict, choice: &str) -> Step {
    match try_settle(head, conflict.version, conflict, choice) {
        Decision::Commit(steps) => steps.into_iter().last().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn try_settle(head: &Head, version: u64, conflict: &Conflict, choice: &str) -> Decision {
    let mut meeting = Meeting::new(THEIRS, "{}");
    meeting
        .view
        .put_head(head.address.clone(), Some(Arc::new(head.clone())));
    let body = format!(
        r#"{{"conflict":"{}","version":{version},{choice}}}"#,
        conflict.id
    );
    meeting.proposal = proposal(Operation::Settle, json(&body));
    meeting.decide()
}

#[test]
fn a_conflict_is_settled_by_a_side_or_a_value() {
    let step = Meeting::new(THEIRS, r#"{"data":{"s":"stuck"}}"#).step();
    let conflict = &step.head.conflicts[0];
    for (choice, expected) in [
        (r#""choose":"ours""#, "stuck"),
        (r#""choose":"theirs""#, "done"),
        (r#""value":"half""#, "half"),
    ] {
        let settled = settle_on(&step.head, conflict, choice);
        assert_eq!(data(&settled).get("s"), Some(&Json::from(expected)));
        assert!(settled.head.conflicts.is_empty());
        let [ended] = &*settled.change.conflicts else {
            panic!("{:?}", settled.change.conflicts)
        };
        assert_eq!(ended.state, ConflictState::Settled);
        assert_eq!(ended.settled_by, Some(settled.change.id));
        assert_eq!(settled.head.version, step.head.version.next());
    }
    let moved = try_settle(&step.head, 7, conflict, r#""choose":"ours""#);
    let Decision::Refused(refusal) = moved else {
        panic!("{moved:?}")
    };
    assert_eq!(refusal.problem.code, Code::PreconditionFailed);
    assert!(refusal.problem.sides.is_some());
}

#[test]
fn a_conflict_follows_the_head_and_ends_when_both_agree() {
    let step = Meeting::new(THEIRS, r#"{"data":{"s":"stuck"}}"#).step();
    let write = |head: &Head, value: &str| {
        let mut meeting = Meeting::new(THEIRS, "{}");
        meeting
            .view
            .put_head(head.address.clone(), Some(Arc::new(head.clone())));
        let body = format!(r#"{{"data":{{"s":"{value}"}}}}"#);
        meeting.proposal = proposal(Operation::Merge, json(&body));
        meeting.step()
    };
    let moved = write(&step.head, "later");
    assert_eq!(moved.head.conflicts[0].theirs, Some(Json::from("later")));
    assert_eq!(moved.head.conflicts[0].version, 2);
    let agreed = write(&moved.head, "stuck");
    assert!(agreed.head.conflicts.is_empty());
    assert_eq!(agreed.change.conflicts[0].state, ConflictState::Agreed);
}

#[test]
fn declared_rules_merge_and_misfits_are_refused() {
    let declared = r#"{"schema":{"properties":{
        "n":{"type":"integer","x-merge":"counter"},"s":{"enum":["open","done"]}}}}"#;
    let rules = KindRules::read(&json(declared), &Pointer::root()).unwrap();
    let rules = Arc::new(rules);
    let base = r#"{"data":{"n":1}}"#;
    let mut meeting = Meeting::new(r#"{"data":{"n":4}}"#, r#"{"data":{"n":3}}"#);
    let line = meeting.proposal.context.clone();
    let kind = syncline_model::ids::Kind::parse("task").unwrap();
    meeting.view.put_kind(kind.clone(), rules.clone());
    meeting.view.put_base(
        line,
        Base::Version(Version(1)),
        BaseState::Known {
            version: Version(1),
            document: Arc::new(head(base, 1, false).document),
            at: Timestamp(0),
        },
    );
    assert_eq!(data(&meeting.step()), json(r#"{"n":6}"#));

    let mut direct = Meeting::new(r#"{"data":{"n":4}}"#, "{}");
    direct.proposal = proposal(Operation::Merge, json(r#"{"data":{"s":"odd","n":"x"}}"#));
    direct.view.put_kind(kind, rules);
    let decision = direct.decide();
    let Decision::Refused(refusal) = decision else {
        panic!("{decision:?}")
    };
    assert_eq!(refusal.problem.code, Code::Invalid);
    let places: Vec<_> = refusal
        .problem
        .errors
        .as_ref()
        .unwrap()
        .0
        .iter()
        .map(|(p, _)| p.to_string())
        .collect();
    assert!(places.contains(&"/data/s".to_owned()) && places.contains(&"/data/n".to_owned()));
}

/// Writes again on what the writer of the first clash wanted, of which the head shows nothing.
fn write_on_own(step: &Step, operation: Operation, body: &str) -> Step {
    let mut meeting = Meeting::new(THEIRS, "{}");
    let line = meeting.proposal.context.clone();
    let head = Arc::new(step.head.clone());
    meeting.view.put_head(line.clone(), Some(head));
    let own = json(r#"{"title":"T","data":{"a":1,"b":1,"s":"stuck"}}"#);
    let base = Base::Change(step.change.id);
    meeting.view.put_base(
        line.clone(),
        base.clone(),
        BaseState::Known {
            version: step.head.version,
            document: Arc::new(Document::from_json(&own, &Pointer::root()).unwrap()),
            at: Timestamp(0),
        },
    );
    meeting
        .view
        .put_touches(line, step.head.version, Vec::new());
    meeting.proposal = proposal(operation, json(body));
    meeting.proposal.base = Some(base);
    meeting.step()
}

#[test]
fn p4_whoever_writes_again_on_what_he_wanted_moves_his_side_of_the_conflict() {
    let first = Meeting::new(THEIRS, r#"{"data":{"s":"stuck"}}"#).step();
    let moved = write_on_own(&first, Operation::Merge, r#"{"data":{"s":"freed","b":7}}"#);
    assert_eq!(data(&moved), json(r#"{"a":2,"b":7,"s":"done"}"#));
    assert_eq!(moved.change.outcome, Outcome::Conflict);
    let [conflict] = &*moved.head.conflicts else {
        panic!("{:?}", moved.head.conflicts)
    };
    assert_eq!(conflict.id, first.head.conflicts[0].id);
    assert_eq!(
        (conflict.version, conflict.revised),
        (2, Some(moved.head.version))
    );
    assert_eq!(conflict.base, Some(Json::from("open")));
    assert_eq!(conflict.theirs, Some(Json::from("done")));
    assert_eq!(conflict.ours, Some(Json::from("freed")));
    assert!(moved.change.opened().eq([conflict]));
    // What was not written again stays as it was.
    let beside = write_on_own(&first, Operation::Merge, r#"{"data":{"b":7}}"#);
    assert_eq!(beside.head.conflicts, first.head.conflicts);
    assert_eq!(beside.change.outcome, Outcome::Merged);
    // Going over to the head's side, or back to the base, ends it.
    for (value, operation) in [("done", Operation::Merge), ("open", Operation::Merge)] {
        let body = format!(r#"{{"data":{{"s":"{value}"}}}}"#);
        let agreed = write_on_own(&first, operation, &body);
        assert!(agreed.head.conflicts.is_empty(), "{value}");
        assert_eq!(data(&agreed).get("s"), Some(&Json::from("done")));
        assert_eq!(agreed.change.outcome, Outcome::Merged, "{value}");
        assert_eq!(agreed.change.conflicts[0].state, ConflictState::Agreed);
        assert_eq!(agreed.change.conflicts[0].closed, Some(agreed.head.version));
    }
}

/// A counter that may not pass 10; both sides counted from 5.
fn counted(theirs: u64, ours: u64) -> Meeting {
    let declared = r#"{"schema":{"properties":{
        "n":{"type":"integer","maximum":10,"x-merge":"counter"}}}}"#;
    let rules = KindRules::read(&json(declared), &Pointer::root()).unwrap();
    let body = |n| format!(r#"{{"data":{{"n":{n}}}}}"#);
    let mut meeting = Meeting::new(&body(theirs), &body(ours));
    let kind = syncline_model::ids::Kind::parse("task").unwrap();
    meeting.view.put_kind(kind, Arc::new(rules));
    let state = BaseState::Known {
        version: Version(1),
        document: Arc::new(head(&body(5), 1, false).document),
        at: Timestamp(0),
    };
    let line = meeting.proposal.context.clone();
    meeting
        .view
        .put_base(line, Base::Version(Version(1)), state);
    meeting
}

#[test]
fn p4_a_sum_that_does_not_fit_waits_though_both_sides_are_equal() {
    for ours in [8, 9] {
        let step = counted(9, ours).step();
        assert_eq!(data(&step), json(r#"{"n":9}"#));
        assert_eq!(step.change.outcome, Outcome::Conflict);
        assert_eq!(step.change.detected, [ConflictKind::Data]);
        let [conflict] = &*step.head.conflicts else {
            panic!("{ours}: {:?}", step.head.conflicts)
        };
        let ours = format!(r#"{{"n":{ours}}}"#);
        let own = conflict.ours.as_ref().unwrap();
        assert_eq!(own.get("data"), Some(&json(&ours)));
    }
    let refused = counted(9, 9).strategy(Strategy::UserChoice).decide();
    let Decision::Refused(refusal) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(refusal.problem.code, Code::StaleBase);
}

#[test]
fn what_a_strategy_resolves_is_detected_as_a_clash_of_data() {
    let mut meeting =
        Meeting::new(THEIRS, r#"{"data":{"s":"stuck"}}"#).strategy(Strategy::LatestWins);
    let step = meeting.step();
    assert_eq!(step.change.outcome, Outcome::Merged);
    assert_eq!(step.change.detected, [ConflictKind::Data]);
}

#[test]
fn settling_brings_back_a_deleted_context_as_it_was() {
    let mut step = Meeting::new(THEIRS, r#"{"data":{"s":"stuck"}}"#).step();
    step.head.deleted = true;
    let mut conflict = step.head.conflicts[0].clone();
    conflict.theirs = None;
    step.head.conflicts = [conflict.clone()].into();
    let restored = settle_on(&step.head, &conflict, r#""choose":"ours""#);
    assert_eq!(restored.change.kind, ChangeType::Restore);
    assert_eq!(data(&restored), json(r#"{"a":2,"b":1,"s":"stuck"}"#));
    assert_eq!(restored.head.document.title(), Some("T"));
    let gone = settle_on(&step.head, &conflict, r#""choose":"theirs""#);
    assert!(gone.head.deleted);
}

/// Where the whole document waits, a value names what becomes other, as a replacement does.
#[test]
fn p4_a_value_for_the_whole_document_leaves_what_it_does_not_name() {
    let mut step = Meeting::new(THEIRS, r#"{"data":{"s":"stuck"}}"#).step();
    let mut conflict = step.head.conflicts[0].clone();
    conflict.path = "".into();
    let document = r#"{"title":"T","level":"restricted","labels":{"k":"v"},"parent":"global/main","owner":"person/owner","data":{"c":9}}"#;
    step.head.document = Document::from_json(&json(document), &Pointer::root()).unwrap();
    step.head.conflicts = [conflict.clone()].into();
    let settled = settle_on(&step.head, &conflict, r#""value":{"data":{"c":10}}"#);
    let before = step.head.document.object().clone();
    let expected = before.iter().map(|(name, value)| match name {
        "data" => (name, json(r#"{"c":10}"#)),
        _ => (name, value.clone()),
    });
    let expected = Json::Object(expected.collect());
    assert_eq!(settled.head.document.to_json(), expected);
    let nothing = settle_on(&step.head, &conflict, r#""value":{}"#);
    assert_eq!(nothing.head.document, step.head.document);
    let refused = try_settle(&step.head, 1, &conflict, r#""value":7"#);
    assert!(matches!(refused, Decision::Refused(_)), "{refused:?}");
}

#[test]
fn a_part_of_an_item_that_is_gone_is_no_choice() {
    let mut step = Meeting::new(THEIRS, r#"{"data":{"s":"stuck"}}"#).step();
    let mut conflict = step.head.conflicts[0].clone();
    conflict.path = "/data/steps[id=s1]/owner".into();
    conflict.theirs = None;
    let with_steps = r#"{"parent":"global/main","data":{"steps":[{"id":"s2"}]}}"#;
    step.head.document = Document::from_json(&json(with_steps), &Pointer::root()).unwrap();
    step.head.conflicts = [conflict.clone()].into();
    let refused = try_settle(&step.head, 1, &conflict, r#""choose":"ours""#);
    let Decision::Refused(refusal) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(refusal.problem.code, Code::Invalid);
    let settled = settle_on(&step.head, &conflict, r#""choose":"theirs""#);
    assert_eq!(settled.head.document, step.head.document);
}

#[test]
fn a_fallback_takes_what_a_strategy_leaves_and_overrules_none() {
    let clash = |fallback: Strategy, strategy: Option<Strategy>| {
        let mut meeting = Meeting::new(THEIRS, r#"{"data":{"s":"stuck"}}"#);
        meeting.rules.fallback = fallback;
        match strategy {
            Some(strategy) => meeting.strategy(strategy).decide(),
            None => meeting.decide(),
        }
    };
    let shown = |decision: Decision| match decision {
        Decision::Commit(steps) => {
            let mut heads = steps.iter().map(|step| data(step).get("s").cloned());
            let branches = steps.iter().filter(|step| step.change.branch.is_some());
            (
                branches.count(),
                heads.next_back().unwrap(),
                steps.last().unwrap().change.outcome,
            )
        }
        other => panic!("{other:?}"),
    };
    let done = Some(Json::from("done"));
    for fallback in [Strategy::LatestWins, Strategy::Manual, Strategy::KeepBoth] {
        let (branches, head, outcome) = shown(clash(fallback, Some(Strategy::Manual)));
        assert_eq!(
            (branches, head, outcome),
            (0, done.clone(), Outcome::Conflict)
        );
        let Decision::Refused(refusal) = clash(fallback, Some(Strategy::UserChoice)) else {
            panic!("{fallback:?}")
        };
        assert_eq!(refusal.problem.code, Code::StaleBase);
    }
    let (_, head, outcome) = shown(clash(Strategy::LatestWins, None));
    assert_eq!(
        (head, outcome),
        (Some(Json::from("stuck")), Outcome::Merged)
    );
    let asked = clash(Strategy::Manual, Some(Strategy::KeepBoth));
    let fallen = clash(Strategy::KeepBoth, None);
    assert_eq!(shown(asked), shown(fallen));
    let Decision::Refused(refusal) = clash(Strategy::UserChoice, None) else {
        panic!("it was not refused")
    };
    assert_eq!(refusal.problem.code, Code::StaleBase);
}

#[test]
fn p9_more_conflicts_than_a_head_holds_are_refused_or_one() {
    let fields = |value: u32, count: u32| {
        let fields: Vec<_> = (0..count).map(|n| format!(r#""f{n}":{value}"#)).collect();
        format!(r#"{{"data":{{{}}}}}"#, fields.join(","))
    };
    let mut whole = Meeting::new(&fields(1, 30), &fields(2, 30));
    whole.rules.open_conflicts_max = 20;
    let step = whole.step();
    let [conflict] = &*step.head.conflicts else {
        panic!("{:?}", step.head.conflicts)
    };
    assert_eq!((&*conflict.path, &*conflict.reason), ("", "bound"));
    assert_eq!(data(&step).as_object().map(Object::len), Some(30));
    let mut full = Meeting::new(&fields(1, 15), &fields(2, 15));
    let first = full.step();
    assert_eq!(first.head.conflicts.len(), 15);
    let mut next = Meeting::new(&fields(1, 15), &fields(3, 15));
    next.rules.open_conflicts_max = 20;
    let line = next.proposal.context.clone();
    let head = Arc::new(first.head.clone());
    next.view.put_head(line.clone(), Some(head));
    next.view.put_touches(line, Version(1), Vec::new());
    let Decision::Refused(refusal) = next.decide() else {
        panic!("it was not refused")
    };
    assert_eq!(refusal.problem.code, Code::TooLarge);
}

#[test]
fn a_clock_that_ran_ahead_counts_as_the_commit_s_time() {
    let step = Meeting::new(THEIRS, r#"{"data":{"s":"stuck"}}"#).step();
    let mut change = step.change.clone();
    change.hlc = Hlc::from_parts(u64::from(u32::MAX) << 12, 0);
    let touch = Touch::of(&change);
    assert_eq!(touch.hlc.millis(), change.committed_at.0.unsigned_abs());
    change.hlc = Hlc::from_parts(5, 0);
    assert_eq!(Touch::of(&change).hlc, change.hlc);
}
