//! Decisions as laws: what holds of `decide` whatever is proposed on whatever head.
#![allow(clippy::unwrap_used, missing_docs)]

mod ancestry;
mod filter;
mod merging;
mod retention;
mod scope;

use std::sync::Arc;

use proptest::prelude::*;
use syncline_api::Code;
use syncline_model::change::{ChangeType, Effect, Outcome};
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId, Kind, PrincipalId, Seq, Version};
use syncline_model::json::{Json, Limits, Pointer};
use syncline_model::proposal::{Actor, Base, Operation, Precondition, Proposal};
use syncline_model::time::{Hlc, Timestamp};
use syncline_rules::{BaseState, Decision, Need, Now, Rules, View, decide, genesis};

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Limits::default()).unwrap()
}

fn actor() -> Actor {
    Actor::from_principal(PrincipalId::owner())
}

fn now() -> Now {
    Now {
        committed_at: Timestamp(1_800_000_000_000),
        hlc: Hlc(1),
    }
}

/// A view with `global/main` and, where it is given, the head of `task/a`.
fn view(head: Option<Head>) -> View {
    let mut view = View::new();
    let root = genesis(Timestamp(0), actor()).head;
    view.put_head(Address::global_main(), Some(Arc::new(root)));
    view.put_head(Address::parse("task/a").unwrap(), head.map(Arc::new));
    view.put_kind(Kind::parse("task").unwrap(), Arc::default());
    view
}

fn head(document: &str, version: u64, deleted: bool) -> Head {
    let document = Document::from_json(&json(document), &Pointer::root()).unwrap();
    let document = document.with("parent", Json::from("global/main"));
    Head {
        address: Address::parse("task/a").unwrap(),
        version: Version(version),
        seq: Seq(version),
        change: ChangeId::from_parts(1, &[9; 10]),
        hash: document.hash(),
        deleted,
        document,
        actor: actor(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        conflicts: Arc::default(),
    }
}

fn proposal(operation: Operation, body: Json) -> Proposal {
    let id = ChangeId::from_parts(2, &[1; 10]);
    Proposal::new(
        id,
        Address::parse("task/a").unwrap(),
        operation,
        body,
        actor(),
    )
}

fn operations() -> impl Strategy<Value = Operation> {
    prop::sample::select(vec![
        Operation::Create,
        Operation::Replace,
        Operation::Merge,
        Operation::Patch,
        Operation::Delete,
        Operation::Restore,
    ])
}

fn bodies() -> impl Strategy<Value = Json> {
    prop::sample::select(vec![
        "null",
        "{}",
        "[]",
        "7",
        r#"{"title":"T"}"#,
        r#"{"title":7}"#,
        r#"{"data":{"n":1}}"#,
        r#"{"data":{"n":2,"m":{"x":[1,2]}}}"#,
        r#"{"labels":{"a":"b"},"state":"archived"}"#,
        r#"{"parent":"task/a"}"#,
        r#"{"parent":"global/main"}"#,
        r#"{"nonsense":1}"#,
        r#"[{"op":"add","path":"/data/n","value":3}]"#,
        r#"[{"op":"remove","path":"/labels"}]"#,
        r#"[{"op":"test","path":"/data/n","value":1}]"#,
        r#"[{"op":"replace","path":"","value":{"title":"whole"}}]"#,
    ])
    .prop_map(json)
}

fn heads() -> impl Strategy<Value = Option<Head>> {
    let documents = prop::sample::select(vec![
        "{}",
        r#"{"title":"T","owner":"person/owner"}"#,
        r#"{"data":{"n":1},"labels":{"a":"b"},"owner":"person/owner"}"#,
    ]);
    prop::option::of(
        (documents, 1u64..9, any::<bool>())
            .prop_map(|(text, version, gone)| head(text, version, gone)),
    )
}

fn conditions() -> impl Strategy<Value = (Option<Base>, Precondition, bool)> {
    let bases = prop::option::of((1u64..9).prop_map(|version| Base::Version(Version(version))));
    let preconditions = prop::sample::select(vec![
        Precondition::None,
        Precondition::MatchAny,
        Precondition::NoneMatchAny,
    ]);
    (bases, preconditions, any::<bool>())
}

/// What an old base stands for.
fn olds() -> impl Strategy<Value = BaseState> {
    let documents = prop::sample::select(vec![
        "{}",
        r#"{"title":"old","data":{"n":0,"m":{"x":[1]}},"owner":"person/owner"}"#,
    ]);
    prop::option::of(documents).prop_map(|text| match text {
        None => BaseState::Unknown,
        Some(text) => BaseState::Known {
            version: Version(1),
            document: Arc::new(head(text, 1, false).document),
            at: Timestamp(0),
        },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Replaying the effect gives the document that the decision made, with its hash; versions
    /// go on by one; nothing but the head is looked at.
    #[test]
    fn p2_what_is_decided_can_be_replayed(
        head in heads(),
        operation in operations(),
        body in bodies(),
        (base, precondition, create) in conditions(),
        old in olds(),
    ) {
        let mut proposal = proposal(operation, body);
        (proposal.base, proposal.precondition, proposal.create) = (base, precondition, create);
        let mut view = view(head.clone());
        let mut decision = decide(&view, &proposal, &Rules::default(), now());
        while let Decision::Needs(need) = decision {
            match need {
                Need::Head(address) => view.put_head(address, None),
                Need::Base(address, base) => {
                    view.put_base(address, base, old.clone());
                }
                Need::Height(address) => view.put_height(address, 0),
                Need::Touches(line, after) => view.put_touches(line, after, Vec::new()),
                Need::Kind(kind) => view.put_kind(kind, Arc::default()),
                Need::Conflicts(address) => view.put_conflicts(address, Vec::new()),
            }
            decision = decide(&view, &proposal, &Rules::default(), now());
        }
        match decision {
            Decision::Commit(steps) => {
                let step = steps.last().unwrap();
                let before = head.as_ref().map(|head| head.document.clone());
                let version = head.as_ref().map_or(0, |head| head.version.0);
                prop_assert_eq!(step.change.version, Version(version + 1));
                prop_assert_eq!(step.change.hash, step.head.document.hash());
                prop_assert_eq!(step.head.deleted, step.change.kind == ChangeType::Delete);
                let replayed = match &step.change.effect {
                    Effect::Snapshot(document) => document.clone(),
                    Effect::Gone => before.unwrap().to_json(),
                    Effect::Patch(patch) => {
                        let patch = syncline_merge::Patch::from_json(patch, &Pointer::root(), 100).unwrap();
                        let limits = syncline_merge::ApplyLimits { depth_max: 100, weight_max: 1 << 20 };
                        patch.apply(&before.unwrap().to_json(), &limits).unwrap()
                    }
                };
                prop_assert_eq!(replayed, step.head.document.to_json());
                // A change that says nothing is no change, unless it leaves a conflict.
                if step.change.kind == ChangeType::Update && step.change.outcome != Outcome::Conflict {
                    prop_assert!(!step.change.changed.is_empty());
                }
            }
            Decision::Unchanged { head: kept, .. } => {
                prop_assert_eq!(Some(&*kept), head.as_ref());
            }
            Decision::Refused(refusal) => {
                prop_assert_ne!(refusal.problem.code, Code::Internal);
                prop_assert!(!refusal.problem.detail.is_empty());
            }
            Decision::Needs(_) => unreachable!("the loop answered every need"),
        }
    }

    /// A replacement or deletion of a live context never happens unseen (P4).
    #[test]
    fn p4_nothing_is_replaced_unseen(head in heads(), body in bodies()) {
        for operation in [Operation::Replace, Operation::Delete] {
            let decision =
                decide(&view(head.clone()), &proposal(operation, body.clone()), &Rules::default(), now());
            if head.as_ref().is_some_and(|head| !head.deleted) {
                let Decision::Refused(refusal) = decision else {
                    return Err(TestCaseError::fail("it was not refused"));
                };
                prop_assert_eq!(refusal.problem.code, Code::PreconditionRequired);
            }
        }
    }
}

/// A list of any length grows by its item: the record keeps nothing else of it.
#[test]
fn an_append_to_a_long_list_keeps_its_item_alone() {
    let items = vec!["7"; 10_000].join(",");
    let before = head(&format!(r#"{{"data":{{"list":[{items}]}}}}"#), 1, false);
    for path in ["/data/list/-", "/data/list/10000"] {
        let body = format!(r#"[{{"op":"add","path":"{path}","value":8}}]"#);
        let append = proposal(Operation::Patch, json(&body));
        let view = view(Some(before.clone()));
        let Decision::Commit(steps) = decide(&view, &append, &Rules::default(), now()) else {
            panic!("it was not applied");
        };
        let change = &steps[0].change;
        let index = Pointer::from_static("/data/list/10000");
        assert_eq!(change.intent.old, [(index, None)]);
        assert_eq!(change.changed, [Pointer::from_static("/data/list")]);
        let bytes = change.to_stored().len();
        assert!(bytes < 1_000, "{bytes} bytes");
    }
}

/// What a batch in flight moved is not where the store has it, and counts for the next one too.
#[test]
fn a_height_counts_what_a_batch_in_flight_moved() {
    let address = |text: &str| Address::parse(text).unwrap();
    let note = |at: &str, parent: &str| {
        let document = Document::empty().with("parent", Json::from(parent));
        let address = address(at);
        Some(Arc::new(Head {
            address,
            document,
            ..head("{}", 1, false)
        }))
    };
    let mut flight = View::new();
    for (at, parent) in [
        ("note/a", "global/main"),
        ("note/b", "note/a"),
        ("note/m", "global/main"),
    ] {
        flight.put_head(address(at), note(at, parent));
    }
    flight.put_height(address("note/m"), 3);
    // Moved below b, and c was made below b.
    flight.put_head(address("note/m"), note("note/m", "note/b"));
    flight.put_head(address("note/c"), None);
    flight.put_head(address("note/c"), note("note/c", "note/b"));

    let mut next = View::new();
    assert_eq!(
        next.height(&address("note/a")),
        Err(Need::Height(address("note/a")))
    );
    next.put_height(address("note/a"), 1);
    assert_eq!(next.height(&address("note/a")), Ok(1));
    next.carry_moves(&flight);
    assert_eq!(next.height(&address("note/a")), Ok(1 + 1 + 3));
    assert_eq!(next.height(&address("note/c")), Ok(0));
    // What the next batch moves away since counts no more, as far as the store never had it there.
    next.put_head(address("note/m"), note("note/m", "global/main"));
    assert_eq!(next.height(&address("note/a")), Ok(2));
}
