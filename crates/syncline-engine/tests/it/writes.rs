//! What proposals become.

use syncline_api::Code;
use syncline_model::change::Outcome;
use syncline_model::etag::Etag;
use syncline_model::ids::Version;
use syncline_model::proposal::{Base, Operation, Precondition};

use crate::{Bench, based, choosing, code, json, when};

#[tokio::test]
async fn a_creation_gets_its_defaults() {
    let bench = Bench::new().await;
    let receipt = bench.create("task/a", r#"{"title":"A"}"#).await;
    assert_eq!(
        (receipt.version, receipt.outcome),
        (Some(Version(1)), Outcome::Applied)
    );
    let head = bench.head("task/a").await;
    assert_eq!(head.document.parent().unwrap().as_str(), "global/main");
    assert_eq!(head.document.owner().unwrap().as_str(), "person/owner");
    assert_eq!(
        (head.document.state(), head.document.level().as_str()),
        ("active", "private")
    );
    assert_eq!(head.etag(), receipt.etag.unwrap());
}

#[tokio::test]
async fn each_operation_does_what_it_says() {
    let bench = Bench::new().await;
    bench
        .create("task/a", r#"{"title":"A","data":{"x":1,"y":{"z":2}}}"#)
        .await;
    let merged = bench
        .merge("task/a", r#"{"data":{"x":null,"w":3}}"#)
        .await
        .unwrap();
    assert!(merged.blind);
    let data = |head: &syncline_model::head::Head| head.document.object().get("data").cloned();
    assert_eq!(
        data(&*bench.head("task/a").await),
        Some(json(r#"{"y":{"z":2},"w":3}"#))
    );

    let patch = r#"[{"op":"test","path":"/data/w","value":3},{"op":"add","path":"/data/l","value":[1]},{"op":"add","path":"/data/l/-","value":2}]"#;
    bench
        .submit(bench.proposal("task/a", Operation::Patch, patch))
        .await
        .unwrap();
    assert_eq!(
        data(&*bench.head("task/a").await),
        Some(json(r#"{"y":{"z":2},"w":3,"l":[1,2]}"#))
    );

    let replace = bench.proposal("task/a", Operation::Replace, r#"{"data":{"n":1}}"#);
    let receipt = bench.submit(based(replace, "3")).await.unwrap();
    assert_eq!((receipt.version, receipt.blind), (Some(Version(4)), false));
    let head = bench.head("task/a").await;
    assert_eq!(data(&head), Some(json(r#"{"n":1}"#)));
    assert_eq!(
        head.document.title(),
        Some("A"),
        "a member that is not named stays"
    );

    let delete = bench.proposal("task/a", Operation::Delete, "null");
    bench.submit(based(delete, "4")).await.unwrap();
    let gone = bench.merge("task/a", r#"{"title":"B"}"#).await;
    assert_eq!(code(gone), Code::Deleted);
    let restored = bench
        .submit(bench.proposal("task/a", Operation::Restore, "null"))
        .await
        .unwrap();
    assert_eq!(restored.version, Some(Version(6)));
    assert_eq!(bench.head("task/a").await.document, head.document);
    let again = bench
        .submit(bench.proposal("task/a", Operation::Restore, "null"))
        .await
        .unwrap();
    assert_eq!((again.outcome, again.seq), (Outcome::Unchanged, None));
}

#[tokio::test]
async fn what_changes_nothing_makes_no_version() {
    let bench = Bench::new().await;
    bench.create("task/a", r#"{"data":{"n":1}}"#).await;
    let tail = bench.workspace.tail();
    let receipt = bench
        .merge("task/a", r#"{"data":{"n":1.0}}"#)
        .await
        .unwrap();
    assert_eq!(
        (receipt.outcome, receipt.version),
        (Outcome::Unchanged, Some(Version(1)))
    );
    assert_eq!(bench.workspace.tail(), tail);
}

#[tokio::test]
async fn conditions_are_strict() {
    let bench = Bench::new().await;
    let first = bench
        .create("task/a", r#"{"data":{"n":1}}"#)
        .await
        .etag
        .unwrap();
    let second = bench
        .merge("task/a", r#"{"data":{"n":2}}"#)
        .await
        .unwrap()
        .etag
        .unwrap();
    let write = |body: &str| bench.proposal("task/a", Operation::Replace, body);
    assert_eq!(
        code(bench.submit(write("{}")).await),
        Code::PreconditionRequired
    );

    let old = when(
        write(r#"{"data":{"n":3}}"#),
        Precondition::Match(vec![first]),
    );
    let problem = bench.submit(old).await.unwrap_err();
    assert_eq!(problem.code, Code::PreconditionFailed);
    let sides = problem.sides.unwrap();
    let n = |side: &Option<syncline_model::json::Json>| {
        side.as_ref()
            .unwrap()
            .get("data")
            .unwrap()
            .get("n")
            .unwrap()
            .as_u64()
    };
    assert_eq!(
        (n(&sides.base), n(&sides.ours), n(&sides.theirs)),
        (Some(1), Some(3), Some(2))
    );

    let stale = choosing(based(write(r#"{"data":{"n":3}}"#), "1"));
    assert_eq!(code(bench.submit(stale).await), Code::StaleBase);
    let unknown = based(write("{}"), "\"v1-0000000000000000\"");
    assert_eq!(code(bench.submit(unknown).await), Code::BaseUnknown);
    let part = based(write("{}"), &second.partial("/title").to_string());
    assert_eq!(code(bench.submit(part).await), Code::Invalid);
    let there = when(write("{}"), Precondition::NoneMatchAny);
    assert_eq!(code(bench.submit(there).await), Code::PreconditionFailed);
    let overwrite = when(write(r#"{"data":{"n":4}}"#), Precondition::MatchAny);
    bench.submit(overwrite).await.unwrap();
    let by_id = bench.head("task/a").await.change.to_string();
    bench
        .submit(based(write(r#"{"data":{"n":5}}"#), &by_id))
        .await
        .unwrap();
    let etag: Etag = bench.head("task/a").await.etag();
    let matched = when(
        write(r#"{"data":{"n":6}}"#),
        Precondition::Match(vec![first, etag]),
    );
    bench.submit(matched).await.unwrap();
}

#[tokio::test]
async fn the_hierarchy_is_checked() {
    let bench = Bench::new().await;
    for (context, parent, good) in [
        ("project/p", "global/main", true),
        ("branch/b", "project/p", true),
        ("branch/c", "global/main", false),
        ("project/q", "project/p", false),
        ("task/t", "branch/b", true),
        ("task/u", "task/t", false),
        ("note/n", "task/t", true),
        ("note/m", "task/none", false),
        ("note/self", "note/self", false),
        ("global/x", "global/main", false),
    ] {
        let body = format!(r#"{{"parent":"{parent}"}}"#);
        let result = bench
            .submit(bench.proposal(context, Operation::Create, &body))
            .await;
        assert_eq!(result.is_ok(), good, "{context} under {parent}: {result:?}");
        if let Err(problem) = result {
            assert_eq!(problem.pointer.unwrap().to_string(), "/parent");
        }
    }
    bench.create("note/deep", r#"{"parent":"note/n"}"#).await;
    let cycle = bench
        .merge("note/n", r#"{"parent":"note/deep"}"#)
        .await
        .unwrap_err();
    assert!(cycle.detail.contains("below itself"), "{cycle}");
    let no_parent = bench
        .submit(bench.proposal("branch/d", Operation::Create, "{}"))
        .await;
    assert_eq!(code(no_parent), Code::Invalid);
}

#[tokio::test]
async fn missing_parents_are_made_on_request() {
    let bench = Bench::new().await;
    let mut proposal = bench.proposal("branch/b", Operation::Create, r#"{"parent":"project/new"}"#);
    proposal.create_parents = true;
    let receipt = bench.submit(proposal).await.unwrap();
    assert!(receipt.bulk.is_some());
    let made = bench.head("project/new").await;
    assert_eq!(made.version, Version(1));
    // A parent's change can be named like any other, by a base and by verification.
    let mut onto = bench.proposal("project/new", Operation::Merge, r#"{"title":"New"}"#);
    onto.base = Some(Base::Change(made.change));
    assert_eq!(bench.submit(onto).await.unwrap().version, Some(Version(2)));
    // An id that somebody sent before is not given to a parent.
    let mut proposal = bench.proposal("branch/c", Operation::Create, r#"{"parent":"project/c"}"#);
    proposal.create_parents = true;
    let mut taken = bench.proposal("note/n", Operation::Create, "{}");
    taken.id = proposal.id.derive("project/c");
    bench.submit(taken).await.unwrap();
    assert_eq!(code(bench.submit(proposal).await), Code::ChangeIdReused);
    let mut guess = bench.proposal("task/t", Operation::Create, r#"{"parent":"branch/none"}"#);
    guess.create_parents = true;
    assert_eq!(code(bench.submit(guess).await), Code::Invalid);
}

#[tokio::test]
async fn what_is_wrong_is_named_and_changes_nothing() {
    let bench = Bench::new().await;
    bench.create("task/a", r#"{"data":{"n":1}}"#).await;
    let tail = bench.workspace.tail();
    for (operation, body, wanted, pointer) in [
        (
            Operation::Merge,
            r#"{"titel":"x"}"#,
            Code::Invalid,
            "/titel",
        ),
        (Operation::Merge, r#"{"data":1}"#, Code::Invalid, "/data"),
        (
            Operation::Merge,
            r#"{"labels":{"a":{"b":1}}}"#,
            Code::Invalid,
            "/labels/a",
        ),
        (Operation::Merge, "[]", Code::Invalid, ""),
        (Operation::Patch, "{}", Code::Invalid, ""),
        (
            Operation::Patch,
            r#"[{"op":"add"}]"#,
            Code::Invalid,
            "/0/path",
        ),
        (
            Operation::Patch,
            r#"[{"op":"remove","path":"/data/none"}]"#,
            Code::Invalid,
            "/0/path",
        ),
        (
            Operation::Patch,
            r#"[{"op":"test","path":"/data/n","value":2}]"#,
            Code::TestFailed,
            "/0/path",
        ),
        (
            Operation::Patch,
            r#"[{"op":"test","path":"/data/none","value":2}]"#,
            Code::TestFailed,
            "/0/path",
        ),
        (Operation::Create, r#"{}"#, Code::PreconditionFailed, ""),
    ] {
        let problem = bench
            .submit(bench.proposal("task/a", operation, body))
            .await
            .unwrap_err();
        let at = problem
            .pointer
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert_eq!(
            (problem.code, at.as_str()),
            (wanted, pointer),
            "{body}: {problem}"
        );
    }
    assert_eq!(bench.workspace.tail(), tail);
    let value = format!("{}{}", "[".repeat(60), "]".repeat(60));
    let deep = format!(r#"[{{"op":"add","path":"/data/x","value":{value}}}]"#);
    bench
        .submit(bench.proposal("task/a", Operation::Patch, &deep))
        .await
        .unwrap();
    let tail = bench.workspace.tail();
    let path = format!("/data/x{}/-", "/0".repeat(59));
    let deeper = format!(r#"[{{"op":"add","path":"{path}","value":[[["x"]]]}}]"#);
    let deep = bench
        .submit(bench.proposal("task/a", Operation::Patch, &deeper))
        .await;
    assert_eq!(code(deep), Code::TooLarge);
    assert_eq!(bench.workspace.tail(), tail);
    assert_eq!(code(bench.merge("task/none", "{}").await), Code::NotFound);
    let mut on_branch = bench.proposal("task/a", Operation::Merge, "{}");
    on_branch.branch = Some("x".parse().unwrap());
    assert_eq!(code(bench.submit(on_branch).await), Code::NotFound);
}

#[tokio::test]
async fn what_the_server_owns_is_ignored_when_it_comes_back() {
    let bench = Bench::new().await;
    bench.create("task/a", r#"{"title":"A"}"#).await;
    let body = r#"{"context":"task/a","title":"B","version":9,"seq":1,"etag":"x","hash":"y","actor":{},"created_at":"z","updated_at":"z","conflicts":[],"pending":0}"#;
    let replace = bench.proposal("task/a", Operation::Replace, body);
    bench.submit(based(replace, "1")).await.unwrap();
    assert_eq!(bench.head("task/a").await.document.title(), Some("B"));
}

#[tokio::test]
async fn times_never_fall() {
    let bench = Bench::new().await;
    bench.create("task/a", "{}").await;
    let before = bench.head("task/a").await.updated_at;
    bench.clock.advance_ms(-60_000);
    bench.merge("task/a", r#"{"title":"x"}"#).await.unwrap();
    assert!(bench.head("task/a").await.updated_at >= before);
}
