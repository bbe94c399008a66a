//! Bulks: decided together, with consecutive seqs and one id.

use std::sync::Arc;

use syncline_api::{BulkMode, Code};
use syncline_engine::{Engine, Principal, Settings, SystemClock};
use syncline_model::ids::WorkspaceId;
use syncline_model::proposal::{Base, Operation, Proposal};
use syncline_store::MemoryStore;

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

/// P3: a bulk's own id stands for its parts, whatever became of them.
#[tokio::test]
async fn p3_a_bulk_s_id_stands_for_its_parts() {
    let bench = Bench::new().await;
    let owner = Principal::owner();
    let send = |mode, bulk, parts: &[Proposal]| {
        let (workspace, owner, parts) = (bench.workspace.clone(), owner.clone(), parts.to_vec());
        async move { workspace.submit_bulk(&owner, mode, Some(bulk), parts).await }
    };
    let create = |context: &str| bench.proposal(context, Operation::Create, "{}");
    for (mode, refused) in [
        (BulkMode::Atomic, false),
        (BulkMode::Atomic, true),
        (BulkMode::Independent, true),
    ] {
        let name = bench.engine.fresh_id();
        let mut parts = vec![create(&format!("note/{name}")), create("note/other")];
        if refused {
            parts[1] = bench.proposal("note/missing", Operation::Merge, "{}");
        }
        let first = send(mode, name, &parts).await.unwrap();
        let tail = bench.workspace.tail();

        let again = send(mode, name, &parts).await.unwrap();
        assert_eq!(again.answers, first.answers, "{mode:?}");
        let other_mode = match mode {
            BulkMode::Atomic => BulkMode::Independent,
            BulkMode::Independent => BulkMode::Atomic,
        };
        let more = [&parts[..], &[create("note/more")]].concat();
        let new = [create("note/new")];
        let swapped = [parts[1].clone(), parts[0].clone()];
        for (mode, parts) in [
            (mode, &more[..]),
            (mode, &new),
            (mode, &parts[..1]),
            (mode, &swapped),
            (other_mode, &parts),
        ] {
            let answer = send(mode, name, parts).await;
            assert_eq!(code(answer), Code::ChangeIdReused);
        }
        // Neither is it another proposal's id, nor is a proposal's id a bulk's.
        let mut lone = create("note/lone");
        lone.id = name;
        assert_eq!(code(bench.submit(lone).await), Code::ChangeIdReused);
        let answer = send(mode, parts[0].id, &new).await;
        assert_eq!(code(answer), Code::ChangeIdReused);
        assert_eq!(bench.workspace.tail(), tail, "nothing was written");
    }
}

/// P3: what was not decided leaves the bulk's id free.
#[tokio::test]
async fn p3_a_bulk_that_was_not_decided_may_come_again() {
    let bench = Bench::new().await;
    let owner = Principal::owner();
    let name = bench.engine.fresh_id();
    let mut part = bench.proposal("note/a", Operation::Create, "{}");
    let unknown = Some(Base::Change(bench.engine.fresh_id()));
    for (base, wanted) in [(unknown, Some(Code::BaseUnknown)), (None, None)] {
        part.base = base;
        let parts = vec![
            part.clone(),
            bench.proposal("note/b", Operation::Create, "{}"),
        ];
        let answer = bench
            .workspace
            .submit_bulk(&owner, BulkMode::Atomic, Some(name), parts)
            .await
            .unwrap();
        let found = answer.answers[0]
            .1
            .as_ref()
            .err()
            .map(|problem| problem.code);
        assert_eq!(found, wanted);
    }
}

/// P3: the same after the node was started again, from what the store keeps.
#[tokio::test]
async fn p3_a_bulk_s_id_outlives_its_node() {
    let store = Arc::new(MemoryStore::new());
    let bench = Bench::new().await;
    let (owner, name) = (Principal::owner(), bench.engine.fresh_id());
    let parts = [
        bench.proposal("note/a", Operation::Create, "{}"),
        bench.proposal("note/b", Operation::Create, "{}"),
    ];
    let mut heard = Vec::new();
    for round in 0..3 {
        let (clock, settings) = (Arc::new(SystemClock), Settings::default());
        let engine = Engine::open(store.clone(), clock, settings).await.unwrap();
        let workspace = engine.workspace(&WorkspaceId::default_workspace()).unwrap();
        let sent = parts[..if round == 2 { 1 } else { 2 }].to_vec();
        let answer = workspace.submit_bulk(&owner, BulkMode::Atomic, Some(name), sent);
        heard.push(answer.await.map(|answer| answer.answers));
    }
    assert!(heard[0].is_ok());
    assert_eq!(heard[1], heard[0]);
    assert_eq!(code(heard[2].clone()), Code::ChangeIdReused);
}

/// P9: a thousand small parts may each be decided on a large document.
#[tokio::test]
async fn p9_what_a_bulk_is_decided_on_is_bounded() {
    let settings = Settings {
        bulk_heads_bytes_max: 1 << 20,
        // What is loaded does not stay at hand.
        cache_bytes_max: 64 << 10,
        ..Settings::default()
    };
    let bench = Bench::with(settings).await;
    let text = "x".repeat(300 << 10);
    for n in 0..5 {
        let body = format!(r#"{{"data":{{"t":"{text}"}}}}"#);
        bench.create(&format!("note/n{n}"), &body).await;
    }
    let owner = Principal::owner();
    let send = |mode, parts: Vec<Proposal>| bench.workspace.submit_bulk(&owner, mode, None, parts);
    let bulk = |contexts: std::ops::Range<usize>| {
        let part = |n| bench.proposal(&format!("note/n{n}"), Operation::Merge, r#"{"title":"x"}"#);
        contexts.map(part).collect::<Vec<_>>()
    };
    let tail = bench.workspace.tail();
    for mode in [BulkMode::Atomic, BulkMode::Independent] {
        let problem = send(mode, bulk(0..5)).await.unwrap_err();
        assert_eq!(problem.code, Code::TooLarge);
        let met = problem.limit.unwrap();
        assert_eq!(met.limit, 1 << 20);
        assert_eq!(met.setting.as_deref(), Some("bulk_heads_bytes_max"));
    }
    assert_eq!(bench.workspace.tail(), tail);
    let few = bulk(0..3);
    let first = send(BulkMode::Atomic, few.clone()).await.unwrap();
    assert!(first.answers.iter().all(|(_, answer)| answer.is_ok()));
    // Many parts on one context are decided on one document.
    let part = |_| bench.proposal("note/n0", Operation::Merge, r#"{"title":"y"}"#);
    let one = send(BulkMode::Atomic, (0..20).map(part).collect())
        .await
        .unwrap();
    assert!(one.answers.iter().all(|(_, answer)| answer.is_ok()));
    // A resend hears the first answer, though its contexts would be too much today.
    for n in 0..3 {
        let more = format!(r#"{{"data":{{"u":"{text}"}}}}"#);
        bench.merge(&format!("note/n{n}"), &more).await.unwrap();
    }
    let again = send(BulkMode::Atomic, few).await.unwrap();
    assert_eq!(again.answers, first.answers);
    // Writes that only wait together are not one bulk.
    let lone = |part| bench.submit(part);
    let all = futures_util::future::join_all(bulk(0..5).into_iter().map(lone)).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

/// A bulk's id that its first part tells does not keep that part from coming again alone.
#[tokio::test]
async fn p3_a_part_may_come_again_in_another_bulk() {
    let bench = Bench::new().await;
    let owner = Principal::owner();
    let part = bench.proposal("note/a", Operation::Create, "{}");
    let other = bench.proposal("note/b", Operation::Create, "{}");
    let name = Some(part.id.derive("bulk"));
    let send = |parts: Vec<Proposal>| {
        let workspace = &bench.workspace;
        workspace.submit_bulk(&owner, BulkMode::Independent, name, parts)
    };
    let first = send(vec![part.clone(), other]).await.unwrap();
    let again = send(vec![part]).await.unwrap();
    assert_eq!(first.answers[0], again.answers[0]);
}
