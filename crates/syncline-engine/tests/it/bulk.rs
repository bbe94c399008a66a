//! Bulks: decided together, with consecutive seqs and one id.

use syncline_api::{BulkMode, Code};
use syncline_engine::Principal;
use syncline_model::proposal::Operation;

use crate::{Bench, based, code};

#[tokio::test]
async fn one_refusal_refuses_an_atomic_bulk() {
    let bench = Bench::new().await;
    let owner = Principal::owner();
    let tail = bench.workspace.tail();
    let parts = vec![
        bench.proposal("task/a", Operation::Create, r#"{"title":"A"}"#),
        bench.proposal("task/b", Operation::Merge, r#"{"title":"B"}"#),
        bench.proposal("task/c", Operation::Create, r#"{"title":"C"}"#),
    ];
    let answer = bench
        .workspace
        .submit_bulk(&owner, BulkMode::Atomic, None, parts.clone())
        .await
        .unwrap();
    let codes: Vec<_> = answer
        .answers
        .iter()
        .map(|(_, result)| result.clone().unwrap_err().code)
        .collect();
    assert_eq!(
        codes,
        [Code::BulkRefused, Code::NotFound, Code::BulkRefused]
    );
    assert_eq!(bench.workspace.tail(), tail);
    let again = bench
        .workspace
        .submit_bulk(&owner, BulkMode::Atomic, None, parts)
        .await
        .unwrap();
    for (first, second) in answer.answers.iter().zip(&again.answers) {
        assert_eq!(
            first.1.as_ref().unwrap_err(),
            second.1.as_ref().unwrap_err()
        );
    }
}

#[tokio::test]
async fn parts_see_what_the_parts_before_them_did() {
    let bench = Bench::new().await;
    let parts = vec![
        bench.proposal("project/p", Operation::Create, "{}"),
        bench.proposal("branch/b", Operation::Create, r#"{"parent":"project/p"}"#),
        bench.proposal("branch/b", Operation::Merge, r#"{"title":"x"}"#),
    ];
    let answer = bench
        .workspace
        .submit_bulk(&Principal::owner(), BulkMode::Atomic, None, parts)
        .await
        .unwrap();
    let seqs: Vec<_> = answer
        .answers
        .iter()
        .map(|(_, r)| r.as_ref().unwrap().seq.unwrap().0)
        .collect();
    assert_eq!(seqs, [2, 3, 4]);
    let records = bench
        .workspace
        .read_log(syncline_model::ids::Seq(1), 10)
        .await
        .unwrap();
    assert!(
        records
            .iter()
            .all(|entry| entry.change.bulk == Some(answer.bulk))
    );
    assert_eq!(
        records[2].change.place.project.as_ref().unwrap().as_str(),
        "project/p"
    );
}

#[tokio::test]
async fn an_independent_bulk_keeps_what_is_good() {
    let bench = Bench::new().await;
    let parts = vec![
        bench.proposal("task/a", Operation::Create, "{}"),
        bench.proposal("task/b", Operation::Merge, "{}"),
        bench.proposal("task/c", Operation::Create, "{}"),
    ];
    let answer = bench
        .workspace
        .submit_bulk(&Principal::owner(), BulkMode::Independent, None, parts)
        .await
        .unwrap();
    let good: Vec<_> = answer
        .answers
        .iter()
        .map(|(_, result)| result.is_ok())
        .collect();
    assert_eq!(good, [true, false, true]);
}

#[tokio::test]
async fn a_subtree_is_deleted_as_one_bulk_and_only_once() {
    let bench = Bench::new().await;
    bench.create("project/p", "{}").await;
    bench.create("branch/b", r#"{"parent":"project/p"}"#).await;
    bench.create("task/t", r#"{"parent":"branch/b"}"#).await;
    bench.create("task/other", "{}").await;
    let delete = based(bench.proposal("project/p", Operation::Delete, "null"), "1");
    let owner = Principal::owner();
    let answer = bench
        .workspace
        .delete_subtree(&owner, delete.clone())
        .await
        .unwrap();
    assert_eq!(answer.answers.len(), 3);
    assert!(answer.answers.iter().all(|(_, result)| result.is_ok()));
    for context in ["project/p", "branch/b", "task/t"] {
        let gone = bench.merge(context, r#"{"title":"x"}"#).await;
        assert_eq!(code(gone), Code::Deleted, "{context}");
    }
    bench.head("task/other").await;
    let again = bench
        .workspace
        .delete_subtree(&owner, delete)
        .await
        .unwrap();
    assert_eq!(again.answers.len(), 3);
    for (first, second) in answer.answers.iter().zip(&again.answers) {
        assert_eq!(first.0, second.0);
        assert_eq!(first.1.as_ref().unwrap(), second.1.as_ref().unwrap());
    }
}
