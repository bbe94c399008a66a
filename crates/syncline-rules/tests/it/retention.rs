//! What thinning takes away, and what becomes of writes whose base went.

use proptest::prelude::*;
use syncline_api::Code;
use syncline_model::change::Outcome;
use syncline_model::conflict::Strategy as How;
use syncline_model::ids::{Address, Name, Version};
use syncline_model::json::{Json, Pointer};
use syncline_model::proposal::{Base, Operation};
use syncline_model::time::{Hlc, Timestamp};
use syncline_rules::{
    Aged, BaseState, Decision, KindRules, Need, Now, Retention, Rules, Step, Then, View, decide,
};

use crate::{head, json, now, proposal, view};

const DAY: i64 = 86_400_000;

fn lines() -> impl Strategy<Value = Vec<Aged>> {
    let steps = prop::collection::vec((0..DAY, any::<bool>(), 1u64..4), 0..80);
    steps.prop_map(|steps| {
        let (mut at, mut version) = (1_000 * DAY, 0);
        let age = |(gap, spared, skipped): (i64, bool, u64)| {
            at += gap;
            version += skipped;
            Aged {
                version: Version(version),
                committed_at: Timestamp(at),
                spared,
            }
        };
        steps.into_iter().map(age).collect()
    })
}

fn policies() -> impl Strategy<Value = Retention> {
    let then = prop_oneof![
        Just(Then::Daily),
        Just(Then::Tagged),
        (0u64..9).prop_map(Then::Newest)
    ];
    (30u64..60, then).prop_map(|(days, then)| Retention::new(days, then).unwrap())
}

fn without(line: &[Aged], gone: &[Version]) -> Vec<Aged> {
    let left = line.iter().filter(|aged| !gone.contains(&aged.version));
    left.copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn thinning_spares_what_it_must(line in lines(), policy in policies(), days in 0i64..200) {
        let now = Timestamp((1_000 + days) * DAY + 7);
        let gone = policy.thin(&line, now);
        prop_assert!(gone.windows(2).all(|pair| pair[0] < pair[1]));
        for aged in line.iter().filter(|aged| gone.contains(&aged.version)) {
            let age = now.0 - aged.committed_at.0;
            prop_assert!(age > 30 * DAY && age > i64::try_from(policy.keep_all_days).unwrap() * DAY);
            prop_assert!(!aged.spared);
        }
        prop_assert!(line.last().is_none_or(|head| !gone.contains(&head.version)));
    }

    #[test]
    fn thinning_comes_to_the_same_however_often_it_runs(
        line in lines(), policy in policies(), days in prop::collection::vec(0i64..40, 1..6),
    ) {
        let mut now = Timestamp(1_000 * DAY);
        let mut left = line.clone();
        for days in days {
            now.0 += days * DAY + 12_345;
            left = without(&left, &policy.thin(&left, now));
            prop_assert_eq!(policy.thin(&left, now), vec![]);
        }
        prop_assert_eq!(left, without(&line, &policy.thin(&line, now)));
    }

    #[test]
    fn what_a_policy_promises_stays(line in lines(), policy in policies(), days in 0i64..200) {
        let now = Timestamp((1_000 + days) * DAY);
        let left = without(&line, &policy.thin(&line, now));
        let old = |all: &[Aged]| {
            let old = all.iter().filter(|aged| aged.committed_at < policy.cutoff(now));
            old.filter(|aged| !aged.spared).copied().collect::<Vec<_>>()
        };
        match policy.then {
            Then::Daily => for aged in &line {
                let day = |aged: &Aged| aged.committed_at.0 / DAY;
                let last = line.iter().rfind(|other| day(other) == day(aged)).unwrap();
                prop_assert!(left.contains(last));
            },
            Then::Newest(count) => {
                let before = line.split_last().map_or(&[][..], |(_, before)| before);
                let kept = old(before);
                let wanted = kept.len().saturating_sub(usize::try_from(count).unwrap());
                prop_assert!(kept[wanted..].iter().all(|aged| left.contains(aged)));
            }
            Then::Tagged => prop_assert!(old(&left).len() <= 1),
        }
    }
}

#[test]
fn policies_are_read() {
    let read = |text: &str| Retention::read(&json(text), &Pointer::root());
    let policy = |days, then| Ok(Retention::new(days, then).unwrap());
    assert_eq!(read(r#"{"then":"daily"}"#), policy(30, Then::Daily));
    assert_eq!(
        read(r#"{"keep_all_days":90,"then":"tagged"}"#),
        policy(90, Then::Tagged)
    );
    assert_eq!(
        read(r#"{"keep_all_days":31,"then":7}"#),
        policy(31, Then::Newest(7))
    );
    for (text, place) in [
        (r#"{"keep_all_days":29,"then":"daily"}"#, "/keep_all_days"),
        (
            r#"{"keep_all_days":36501,"then":"daily"}"#,
            "/keep_all_days",
        ),
        (r#"{"keep_all_days":"30","then":"daily"}"#, "/keep_all_days"),
        (r#"{"keep_all_days":30}"#, "/then"),
        (r#"{"then":"weekly"}"#, "/then"),
        (r#"{"then":-1}"#, "/then"),
        (r#"{"then":null}"#, "/then"),
        (r#"{"then":"daily","keep":1}"#, "/keep"),
        ("7", ""),
    ] {
        let problem = read(text).unwrap_err();
        assert_eq!(problem.code, Code::Invalid, "{text}");
        let at = problem.pointer.map(|at| at.to_string()).unwrap_or_default();
        assert_eq!(at, place, "{text}");
    }
    let declared = json(r#"{"strategy":"manual","retention":{"then":"daily"}}"#);
    let rules = KindRules::read(&declared, &Pointer::root()).unwrap();
    assert_eq!(
        rules.retention,
        Some(Retention::new(30, Then::Daily).unwrap())
    );
}

/// Decides a write whose base, version 1, was thinned, on a head at version 3.
fn decided(operation: Operation, body: &str, strategy: Option<How>) -> Decision {
    let theirs = head(
        r#"{"title":"T","data":{"a":2,"s":"done","list":[1,2],"o":{"x":1}}}"#,
        3,
        false,
    );
    let mut view = view(Some(theirs));
    let line = Address::parse("task/a").unwrap();
    let base = Base::Version(Version(1));
    let state = BaseState::Thinned {
        version: Version(1),
        at: Timestamp(0),
    };
    view.put_base(line.clone(), base.clone(), state);
    view.put_touches(line, Version(1), Vec::new());
    let mut proposal = proposal(operation, json(body));
    proposal.base = Some(base);
    proposal.strategy = strategy.map(|how| Name::parse(how.as_str()).unwrap());
    settled(&mut view, &proposal)
}

fn settled(view: &mut View, proposal: &syncline_model::proposal::Proposal) -> Decision {
    // Long after the head was written.
    let now = Now {
        hlc: Hlc::at(now().committed_at),
        ..now()
    };
    loop {
        match decide(view, proposal, &Rules::default(), now) {
            Decision::Needs(Need::Conflicts(address)) => view.put_conflicts(address, Vec::new()),
            Decision::Needs(need) => panic!("{need:?}"),
            decision => return decision,
        }
    }
}

fn step(decision: Decision) -> Step {
    match decision {
        Decision::Commit(steps) => steps.into_iter().last().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Checks at which places a write clashes; the head stays as it is there.
fn check_clashes(operation: Operation, body: &str, places: &[&str]) {
    let step = step(decided(operation, body, None));
    let found: Vec<_> = step.head.conflicts.iter().map(|c| &*c.path).collect();
    assert_eq!(found, places, "{body}");
    for conflict in &*step.head.conflicts {
        assert_eq!(conflict.base, None, "nobody saw what stood for the base");
        let at = conflict.theirs.as_ref();
        assert_ne!(conflict.ours.as_ref(), at);
    }
    let data = step.head.document.object().get("data").unwrap();
    assert_eq!(data.get("s"), Some(&Json::from("done")), "{body}");
    assert_eq!(data.get("a"), Some(&Json::from(2)), "{body}");
    assert_eq!(step.change.outcome, Outcome::Conflict);
    assert_eq!(step.change.base, Some(Version(1)));
    assert!(
        !step
            .change
            .decisions
            .as_ref()
            .unwrap()
            .to_text()
            .contains("\"base\"")
    );
}

#[test]
fn p4_what_a_thinned_base_cannot_tell_clashes() {
    use Operation::{Merge, Patch, Replace};
    check_clashes(Merge, r#"{"data":{"s":"stuck"}}"#, &["/data/s"]);
    check_clashes(Merge, r#"{"data":{"s":null}}"#, &["/data/s"]);
    check_clashes(
        Merge,
        r#"{"data":{"s":{"deep":1},"o":{"x":2}}}"#,
        &["/data/o/x", "/data/s"],
    );
    check_clashes(Merge, r#"{"data":{"s":"stuck","a":2}}"#, &["/data/s"]);
    check_clashes(Merge, r#"{"data":{"new":1}}"#, &["/data/new"]);
    let list = r#"[{"op":"add","path":"/data/list/-","value":3}]"#;
    check_clashes(Patch, list, &["/data/list"]);
    let whole = r#"{"title":"T","data":{"a":2,"o":{"x":1,"y":null}}}"#;
    check_clashes(Replace, whole, &["/data/list", "/data/o/y", "/data/s"]);
}

#[test]
fn p4_a_deletion_on_a_thinned_base_waits() {
    let step = step(decided(Operation::Delete, "null", None));
    assert!(!step.head.deleted);
    assert_eq!(step.head.conflicts.len(), 1);
    assert_eq!(step.change.outcome, Outcome::Conflict);
}

#[test]
fn on_a_thinned_base_strategies_hold() {
    let latest = decided(
        Operation::Merge,
        r#"{"data":{"s":"stuck"}}"#,
        Some(How::LatestWins),
    );
    let latest = step(latest);
    assert!(latest.head.conflicts.is_empty());
    let both = decided(
        Operation::Merge,
        r#"{"data":{"s":"stuck"}}"#,
        Some(How::KeepBoth),
    );
    let both = step(both);
    assert_eq!(both.change.outcome, Outcome::KeptBoth);
    assert!(both.change.branch.is_some());
    let choice = decided(
        Operation::Merge,
        r#"{"data":{"s":"stuck"}}"#,
        Some(How::UserChoice),
    );
    let Decision::Refused(refusal) = choice else {
        panic!("{choice:?}")
    };
    assert_eq!(refusal.problem.code, Code::StaleBase);
    let same = decided(Operation::Merge, r#"{"data":{"s":"done"}}"#, None);
    assert!(matches!(same, Decision::Unchanged { .. }), "{same:?}");
}

#[test]
fn a_thinned_version_is_not_rolled_back_to() {
    let mut view = view(Some(head(r#"{"title":"T"}"#, 3, false)));
    let line = Address::parse("task/a").unwrap();
    let state = BaseState::Thinned {
        version: Version(2),
        at: Timestamp(0),
    };
    view.put_base(line, Base::Version(Version(2)), state);
    let proposal = proposal(Operation::Rollback, json(r#"{"version":2}"#));
    let Decision::Refused(refusal) = settled(&mut view, &proposal) else {
        panic!("it is gone")
    };
    assert_eq!(refusal.problem.code, Code::Thinned);
}
