//! Depth: no move puts what lies below a context too deep to be written again.

use syncline_api::{BulkMode, Code, Problem};
use syncline_engine::Principal;
use syncline_model::json::Pointer;
use syncline_model::proposal::Operation;

use crate::Bench;

/// Makes `note/<name>1` below `project/p`, and each further one below the one before.
async fn chain(bench: &Bench, name: &str, length: usize) {
    let mut parent = "project/p".to_owned();
    for n in 1..=length {
        let context = format!("note/{name}{n}");
        bench.create(&context, &below(&parent)).await;
        parent = context;
    }
}

fn below(parent: &str) -> String {
    format!(r#"{{"parent":"{parent}"}}"#)
}

fn assert_too_deep(refused: Problem) {
    assert_eq!(refused.code, Code::Invalid, "{refused:?}");
    assert_eq!(refused.pointer, Some(Pointer::from_static("/parent")));
    assert!(refused.detail.contains("32 levels"), "{refused:?}");
}

async fn bench() -> Bench {
    let bench = Bench::new().await;
    bench.create("project/p", "{}").await;
    // The last of it has 21 ancestors, so what is moved below it has 22.
    chain(&bench, "n", 20).await;
    bench
}

#[tokio::test]
async fn what_lies_below_a_moved_context_stays_within_the_depth() {
    let bench = bench().await;
    chain(&bench, "m", 12).await;
    let refused = bench.merge("note/m1", &below("note/n20")).await;
    assert_too_deep(refused.unwrap_err());
    bench.merge("note/m1", &below("note/n19")).await.unwrap();
    let deepest = bench.merge("note/m12", r#"{"title":"still written"}"#);
    deepest.await.unwrap();
    // The last level is taken: neither a creation nor a move goes below it.
    let create = bench.proposal("note/over", Operation::Create, &below("note/m12"));
    assert_too_deep(bench.submit(create).await.unwrap_err());
    // What makes nothing deeper is never refused.
    bench.merge("note/m2", &below("note/n20")).await.unwrap();
    bench.merge("note/m2", &below("note/n1")).await.unwrap();
}

/// A deleted context is a parent still, and takes its children along when it is made again.
#[tokio::test]
async fn what_was_deleted_counts() {
    let bench = bench().await;
    chain(&bench, "m", 12).await;
    for context in ["note/m1", "note/m2", "note/m12"] {
        let mut delete = bench.proposal(context, Operation::Delete, "null");
        delete.precondition = syncline_model::proposal::Precondition::MatchAny;
        bench.submit(delete).await.unwrap();
    }
    let again = bench.proposal("note/m1", Operation::Create, &below("note/n20"));
    assert_too_deep(bench.submit(again).await.unwrap_err());
    let again = bench.proposal("note/m1", Operation::Create, &below("note/n19"));
    bench.submit(again).await.unwrap();
    let back = bench.proposal("note/m12", Operation::Restore, "null");
    bench.submit(back).await.unwrap();
}

/// What an earlier part of the same bulk moved or made is not in the store yet, and counts.
#[tokio::test]
async fn what_the_same_batch_put_below_counts() {
    let bench = bench().await;
    chain(&bench, "m", 4).await;
    chain(&bench, "k", 7).await;
    let merge = |at: &str, parent: &str| bench.proposal(at, Operation::Merge, &below(parent));
    let create = bench.proposal("note/k8", Operation::Create, &below("note/k7"));
    let parts = vec![
        merge("note/k1", "note/m4"),
        create,
        merge("note/m1", "note/n20"),
    ];
    let owner = Principal::owner();
    let answer = bench
        .workspace
        .submit_bulk(&owner, BulkMode::Independent, None, parts)
        .await
        .unwrap();
    // 22 above, m1 to m4, k1 to k8: the last would have 33 ancestors.
    let answers: Vec<_> = answer
        .answers
        .into_iter()
        .map(|(_, answer)| answer)
        .collect();
    assert!(answers[0].is_ok() && answers[1].is_ok(), "{answers:?}");
    assert_too_deep(answers[2].clone().unwrap_err());
    bench.merge("note/k1", &below("note/m3")).await.unwrap();
    bench.merge("note/m1", &below("note/n20")).await.unwrap();
    bench.merge("note/k8", r#"{"title":"x"}"#).await.unwrap();
}
