//! P3: a change id takes effect once, and a resend hears what happened the first time.

use syncline_api::Code;
use syncline_engine::Principal;
use syncline_model::proposal::{Base, Operation};

use crate::{Bench, based, choosing, code, json};

#[tokio::test]
async fn p3_a_resend_hears_the_first_answer() {
    let bench = Bench::new().await;
    let proposal = bench.proposal("task/a", Operation::Create, r#"{"title":"A"}"#);
    let first = bench.submit(proposal.clone()).await.unwrap();
    bench.merge("task/a", r#"{"title":"B"}"#).await.unwrap();
    assert_eq!(bench.submit(proposal.clone()).await.unwrap(), first);
    assert_eq!(bench.head("task/a").await.document.title(), Some("B"));

    let mut other = proposal.clone();
    other.body = json(r#"{"title":"C"}"#);
    assert_eq!(code(bench.submit(other).await), Code::ChangeIdReused);
    let mut elsewhere = proposal;
    elsewhere.context = "task/b".parse().unwrap();
    assert_eq!(code(bench.submit(elsewhere).await), Code::ChangeIdReused);
}

#[tokio::test]
async fn p3_refused_and_unchanged_outcomes_are_kept() {
    let bench = Bench::new().await;
    bench.create("task/a", r#"{"data":{"n":1}}"#).await;
    let unchanged = bench.proposal("task/a", Operation::Merge, r#"{"data":{"n":1}}"#);
    let missing = bench.proposal("task/b", Operation::Merge, r#"{"title":"x"}"#);
    let stale = {
        bench.merge("task/a", r#"{"data":{"n":2}}"#).await.unwrap();
        choosing(based(
            bench.proposal("task/a", Operation::Replace, r#"{"data":{"n":3}}"#),
            "1",
        ))
    };
    let said_stale = bench.submit(stale.clone()).await.unwrap_err();
    // The head says 2 now, so this would be applied; only its first answer is asked for later.
    bench.merge("task/a", r#"{"data":{"n":1}}"#).await.unwrap();
    let said_unchanged = bench.submit(unchanged.clone()).await.unwrap();
    let said_missing = bench.submit(missing.clone()).await.unwrap_err();

    bench.merge("task/a", r#"{"data":{"n":9}}"#).await.unwrap();
    bench.create("task/b", "{}").await;
    assert_eq!(bench.submit(unchanged).await.unwrap(), said_unchanged);
    assert_eq!(bench.submit(missing).await.unwrap_err(), said_missing);
    assert_eq!(
        bench.submit(stale).await.unwrap_err(),
        said_stale,
        "the sides are those of then"
    );
    assert_eq!(said_stale.code, Code::StaleBase);
}

#[tokio::test]
async fn p3_what_was_not_decided_may_come_again() {
    let bench = Bench::new().await;
    bench.create("task/a", "{}").await;
    let mut proposal = bench.proposal("task/a", Operation::Merge, r#"{"title":"x"}"#);
    proposal.base = Some(Base::Change(bench.engine.fresh_id()));
    assert_eq!(
        code(bench.submit(proposal.clone()).await),
        Code::BaseUnknown
    );
    proposal.base = None;
    bench.submit(proposal).await.unwrap();
}

#[tokio::test]
async fn p3_resends_that_race_take_effect_once() {
    let bench = Bench::new().await;
    bench.create("task/a", r#"{"data":{"n":0}}"#).await;
    let proposal = bench.proposal("task/a", Operation::Merge, r#"{"data":{"n":1}}"#);
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (workspace, proposal) = (bench.workspace.clone(), proposal.clone());
        racing.spawn(async move {
            workspace
                .submit(&Principal::owner(), proposal)
                .await
                .unwrap()
        });
    }
    let receipts = racing.join_all().await;
    assert!(receipts.iter().all(|receipt| *receipt == receipts[0]));
    assert_eq!(bench.head("task/a").await.version.0, 2);
}
