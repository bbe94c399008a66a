//! Proposals: what is read, what is refused, and that both ways agree.

use proptest::prelude::*;
use syncline_api::{read_proposal, write_proposal};
use syncline_model::etag::Etag;
use syncline_model::ids::{BranchName, Name, Version};
use syncline_model::json::{Json, Pointer};
use syncline_model::proposal::{Base, Operation, Precondition, Priority, Proposal};
use syncline_model::time::Hlc;

use crate::samples::{actor, address, head, id, json, text};

fn read(text: &str) -> Result<Proposal, syncline_api::Problem> {
    read_proposal(&json(text), &Pointer::root(), &actor(), &|| id(7))
}

#[test]
fn a_short_proposal_gets_an_id_and_the_actor() {
    let proposal =
        read(r#"{"context":"task/a","op":"merge","base":7,"body":{"data":{"n":1},"version":3}}"#)
            .unwrap();
    let mut expected = Proposal::new(
        id(7),
        address("task/a"),
        Operation::Merge,
        json(r#"{"data":{"n":1}}"#),
        actor(),
    );
    expected.base = Some(Base::Version(Version(7)));
    assert_eq!(proposal, expected);
}

#[test]
fn each_wrong_field_is_named() {
    for (text, pointer) in [
        (r#"[]"#, ""),
        (r#"{"op":"merge","body":{}}"#, "/context"),
        (r#"{"context":"task","op":"merge","body":{}}"#, "/context"),
        (r#"{"context":"task/a","body":{}}"#, "/op"),
        (r#"{"context":"task/a","op":"upsert","body":{}}"#, "/op"),
        (r#"{"context":"task/a","op":"merge"}"#, "/body"),
        (r#"{"context":"task/a","op":"merge","body":[]}"#, "/body"),
        (r#"{"context":"task/a","op":"patch","body":{}}"#, "/body"),
        (r#"{"context":"task/a","op":"delete","body":{}}"#, "/body"),
        (
            r#"{"context":"task/a","op":"merge","body":{"context":"task/b"}}"#,
            "/body/context",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"base":0}"#,
            "/base",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"base":-1}"#,
            "/base",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"base":1.5}"#,
            "/base",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"base":"x"}"#,
            "/base",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"base":{}}"#,
            "/base",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"change_id":"x"}"#,
            "/change_id",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"change_id":null}"#,
            "/change_id",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"create":1}"#,
            "/create",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"create_parents":"yes"}"#,
            "/create_parents",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"strategy":""}"#,
            "/strategy",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"message":3}"#,
            "/message",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"hlc":"12"}"#,
            "/hlc",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"priority":5}"#,
            "/priority",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"branch":"/x"}"#,
            "/branch",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"if_match":"x"}"#,
            "/if_match",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"if_none_match":"\"v1-0000000000000000\""}"#,
            "/if_none_match",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"if_match":"*","if_none_match":"*"}"#,
            "/if_none_match",
        ),
        (
            r#"{"context":"task/a","op":"merge","body":{},"prioritty":1}"#,
            "/prioritty",
        ),
    ] {
        let problem = read(text).unwrap_err();
        assert_eq!(problem.pointer.unwrap().to_string(), pointer, "{text}");
    }
    assert_eq!(
        read(r#"{"context":"task/a","op":"delete","bse":1}"#)
            .unwrap_err()
            .hint
            .unwrap(),
        r#"did you mean "base"?"#
    );
    let long = format!(
        r#"{{"context":"task/a","op":"delete","message":"{}"}}"#,
        "x".repeat(10_001)
    );
    assert_eq!(
        read(&long).unwrap_err().pointer.unwrap().to_string(),
        "/message"
    );
}

#[test]
fn bases_are_told_apart() {
    let etag = head().etag();
    for (base, expected) in [
        ("7".to_owned(), Base::Version(Version(7))),
        ("\"7\"".to_owned(), Base::Version(Version(7))),
        (format!("\"{}\"", id(3)), Base::Change(id(3))),
        (Json::from(etag.to_string()).to_text(), Base::Etag(etag)),
        (etag.to_string(), Base::Etag(etag)),
    ] {
        let text = format!(r#"{{"context":"task/a","op":"delete","base":{base}}}"#);
        assert_eq!(read(&text).unwrap().base, Some(expected), "{base}");
    }
}

fn any_base() -> impl Strategy<Value = Option<Base>> {
    prop_oneof![
        Just(None),
        (1u64..1 << 40).prop_map(|n| Some(Base::Version(Version(n)))),
        any::<u8>().prop_map(|n| Some(Base::Change(id(n)))),
        Just(Some(Base::Etag(head().etag()))),
        Just(Some(Base::Etag(head().etag().partial("x")))),
    ]
}

fn any_precondition() -> impl Strategy<Value = Precondition> {
    let etags = |n: u64| Etag::new(Version(n), id(1), &[], head().hash);
    prop_oneof![
        Just(Precondition::None),
        Just(Precondition::MatchAny),
        Just(Precondition::NoneMatchAny),
        prop::collection::vec(1u64..99, 1..5)
            .prop_map(move |ns| Precondition::Match(ns.into_iter().map(etags).collect())),
    ]
}

fn any_operation() -> impl Strategy<Value = (Operation, Json)> {
    prop_oneof![
        ".{0,20}".prop_map(|t| (
            Operation::Merge,
            json(&format!(
                r#"{{"data":{{"x":{}}}}}"#,
                Json::from(t).to_text()
            ))
        )),
        Just((Operation::Create, json(r#"{"title":null}"#))),
        Just((Operation::Replace, json("{}"))),
        Just((
            Operation::Patch,
            json(r#"[{"op":"remove","path":"/title"}]"#)
        )),
        Just((Operation::Delete, Json::Null)),
        Just((Operation::Restore, Json::Null)),
    ]
}

proptest! {
    #[test]
    fn proposals_round_trip(
        (operation, body) in any_operation(),
        base in any_base(),
        precondition in any_precondition(),
        create in any::<bool>(),
        create_parents in any::<bool>(),
        message in prop::option::of(".{0,50}"),
        hlc in prop::option::of(any::<u64>()),
        priority in 1u64..=4,
        branched in any::<bool>(),
    ) {
        let mut proposal = Proposal::new(id(5), address("task/a"), operation, body, actor());
        proposal.base = base;
        proposal.precondition = precondition;
        proposal.create = create;
        proposal.create_parents = create_parents;
        proposal.message = message.map(Into::into);
        proposal.hlc = hlc.map(Hlc);
        proposal.priority = Priority::new(priority).unwrap();
        proposal.branch = branched.then(|| BranchName::parse("conflict/x").unwrap());
        proposal.strategy = branched.then(|| Name::parse("manual").unwrap());
        let text = text(|w| write_proposal(w, &proposal));
        prop_assert_eq!(read(&text).unwrap(), proposal);
    }
}
