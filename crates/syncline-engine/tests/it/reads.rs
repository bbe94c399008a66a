//! What readers see: versions, times, lists, differences, cursors.

use std::sync::Arc;

use syncline_api::{Code, ResetReason};
use syncline_engine::{Principal, Settings, When};
use syncline_model::cursor::{Position, Tag8};
use syncline_model::ids::{Epoch, Seq, Version, WorkspaceId};
use syncline_model::json::Json;
use syncline_model::proposal::Operation;
use syncline_store::{ContextList, ListQuery, MemoryStore, Sort, Store as _};

use crate::{Bench, address, code};

/// Writes many small changes to a document; returns how many records a version is rebuilt from.
async fn rebuilt_from(bytes: usize, version: u64) -> usize {
    let store = Arc::new(MemoryStore::new());
    let bench = Bench::over(store.clone(), Settings::default()).await;
    let big = "x".repeat(bytes);
    bench
        .create("task/a", &format!(r#"{{"data":{{"big":"{big}","n":0}}}}"#))
        .await;
    for n in 1..=200 {
        let body = format!(r#"{{"data":{{"n":{n}}}}}"#);
        bench.merge("task/a", &body).await.unwrap();
    }
    let workspace = WorkspaceId::default_workspace();
    let context = address("task/a");
    let rebuild = store.rebuild(&workspace, &context, Version(version)).await;
    rebuild.unwrap().records.len()
}

#[tokio::test]
async fn whole_documents_are_kept_farther_apart_where_they_are_large() {
    assert_eq!(rebuilt_from(10, 140).await, 140 - 128);
    assert_eq!(rebuilt_from(10, 127).await, 127 - 64);
    // From the head's body, which was written when the context was made.
    assert_eq!(rebuilt_from(100_000, 140).await, 140 - 1);
}

#[tokio::test]
async fn p2_every_version_can_be_read_and_the_log_has_no_gap() {
    let bench = Bench::new().await;
    let owner = Principal::owner();
    let big = "x".repeat(20_000);
    bench
        .create("task/a", &format!(r#"{{"data":{{"big":"{big}","n":0}}}}"#))
        .await;
    for n in 1..=200 {
        bench.clock.advance_ms(10);
        bench
            .merge("task/a", &format!(r#"{{"data":{{"n":{n}}}}}"#))
            .await
            .unwrap();
    }
    for n in [0u64, 1, 63, 64, 65, 127, 199, 200] {
        let when = When::Version(Version(n + 1));
        let head = bench
            .workspace
            .get(&owner, &address("task/a"), when)
            .await
            .unwrap();
        let data = head.document.object().get("data").unwrap();
        assert_eq!(data.get("n").and_then(Json::as_u64), Some(n));
        assert_eq!(head.version, Version(n + 1));
    }
    let missing = When::Version(Version(300));
    let missing = bench
        .workspace
        .get(&owner, &address("task/a"), missing)
        .await;
    assert_eq!(code(missing), Code::NotFound);

    let mut after = Seq::ZERO;
    while after < bench.workspace.tail().seq {
        for entry in bench.workspace.read_log(after, 7).await.unwrap() {
            assert_eq!(entry.seq, after.next());
            after = entry.seq;
        }
    }
    assert_eq!(after, Seq(202));
    let diff = bench
        .workspace
        .diff(
            &owner,
            [
                (&address("task/a"), Some(Version(1))),
                (&address("task/a"), Some(Version(201))),
            ],
        )
        .await
        .unwrap();
    assert!(diff.text.contains("/data/n"), "{}", diff.text);
    let page = bench
        .workspace
        .versions(&owner, &address("task/a"), None, 50)
        .await
        .unwrap();
    assert_eq!(page.changes[0].change.version, Version(201));
    assert_eq!(page.next, Some(Version(152)));
}

#[tokio::test]
async fn a_time_shows_what_was_then() {
    let bench = Bench::new().await;
    let owner = Principal::owner();
    bench.create("task/a", r#"{"title":"one"}"#).await;
    let first = bench.engine.now();
    bench.clock.advance_ms(1_000);
    bench.merge("task/a", r#"{"title":"two"}"#).await.unwrap();
    for (ms, title) in [(0, "one"), (999, "one"), (1_000, "two"), (50_000, "two")] {
        let at = When::At(syncline_model::time::Timestamp(first.0 + ms));
        let head = bench
            .workspace
            .get(&owner, &address("task/a"), at)
            .await
            .unwrap();
        assert_eq!(head.document.title(), Some(title), "after {ms} ms");
    }
    let before = When::At(syncline_model::time::Timestamp(first.0 - 1));
    assert_eq!(
        code(
            bench
                .workspace
                .get(&owner, &address("task/a"), before)
                .await
        ),
        Code::NotFound
    );
}

#[tokio::test]
async fn lists_page_by_key() {
    let bench = Bench::new().await;
    for n in 0..25 {
        bench
            .create(&format!("task/t{n:02}"), r#"{"labels":{"area":"auth"}}"#)
            .await;
    }
    let contexts = ContextList {
        labels: vec![("area".to_owned(), Some("auth".to_owned()))],
        ..ContextList::default()
    };
    let mut query = ListQuery {
        contexts,
        sort: Sort::default(),
        after: None,
        limit: 10,
        bodies: true,
    };
    let mut seen = Vec::new();
    loop {
        let page = bench
            .workspace
            .list(&Principal::owner(), query.clone())
            .await
            .unwrap();
        seen.extend(page.heads.iter().map(|head| head.address.to_string()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    let wanted: Vec<_> = (0..25).map(|n| format!("task/t{n:02}")).collect();
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn p5_a_cursor_that_the_log_does_not_hold_is_told_reset() {
    let bench = Bench::new().await;
    bench.create("task/a", "{}").await;
    let workspace = &bench.workspace;
    let here = workspace.tail();
    let cursor = workspace.seal(&here);
    assert_eq!(workspace.resume(&cursor).await.unwrap(), here);
    assert_eq!(
        workspace
            .resume(&workspace.seal_fresh(&here))
            .await
            .unwrap(),
        here
    );
    assert_eq!(code(workspace.resume("nonsense").await), Code::BadCursor);

    let reason = |position: Position| async move {
        workspace
            .resume(&workspace.seal(&position))
            .await
            .unwrap_err()
            .reason
            .unwrap()
    };
    assert_eq!(
        reason(Position {
            epoch: Epoch(1),
            ..here
        })
        .await,
        ResetReason::Epoch
    );
    let epoch = workspace.epoch();
    let other_log = Position {
        tag: Tag8([7; 8]),
        ..here
    };
    assert_eq!(reason(other_log).await, ResetReason::Rewound);
    assert_ne!(workspace.epoch(), epoch, "a restored log takes a new epoch");
    // What was handed out before is of the old life now.
    assert_eq!(reason(here).await, ResetReason::Epoch);
    let ahead = Position {
        epoch: workspace.epoch(),
        seq: Seq(99),
        tag: Tag8::default(),
    };
    assert_eq!(reason(ahead).await, ResetReason::Rewound);
}

/// Many readers come back at once after a restart: what one of them had read from the store is at
/// hand for the others, and is what was there before.
#[tokio::test]
async fn what_was_read_from_the_store_is_at_hand_afterwards() {
    let store = Arc::new(MemoryStore::new());
    let before = Bench::over(store.clone(), Settings::default()).await;
    for number in 0..20 {
        before.create(&format!("note/n{number}"), "{}").await;
    }
    let told = before.workspace.recent(Seq(1), 100).unwrap();
    drop(before);
    let after = Bench::over(store, Settings::default()).await;
    assert!(after.workspace.recent(Seq(1), 100).is_none());
    // A page that does not reach what is at hand leaves a gap, and is not kept.
    after.workspace.read_log(Seq(1), 5).await.unwrap();
    assert!(after.workspace.recent(Seq(1), 100).is_none());
    let read = after.workspace.read_log(Seq(6), 100).await.unwrap();
    assert_eq!(read.len(), 15);
    after.workspace.read_log(Seq(1), 5).await.unwrap();
    let kept = after.workspace.recent(Seq(1), 100).unwrap();
    assert_eq!(kept.len(), told.len());
    for (kept, told) in kept.iter().zip(&told) {
        assert_eq!(kept.seq, told.seq);
        assert_eq!(kept.delta_json(true), told.delta_json(true));
    }
    // What comes next follows what was put back.
    let created = after.create("note/last", "{}").await;
    let all = after.workspace.recent(Seq(1), 100).unwrap();
    assert_eq!(all.last().map(|entry| entry.seq), created.seq);
    assert_eq!(all.len(), told.len() + 1);
}

/// However many workspaces were written to, their recent records share one room.
#[tokio::test]
async fn p9_recent_records_of_all_workspaces_share_one_room() {
    let settings = Settings {
        recent_bytes_max: 64 << 10,
        ..Settings::default()
    };
    let bench = Bench::with(settings).await;
    let owner = Principal::owner();
    let mut at_hand = Vec::new();
    for number in 0..40 {
        let id = WorkspaceId::parse(&format!("w{number}")).unwrap();
        let workspace = bench.engine.create_workspace(&owner, &id).await.unwrap();
        for note in 0..60 {
            let proposal = bench.proposal(&format!("note/n{note}"), Operation::Create, "{}");
            workspace.submit(&owner, proposal).await.unwrap();
        }
        let last = workspace.tail().seq.0;
        let oldest = (0..last).find(|after| workspace.recent(Seq(*after), 1).is_some());
        at_hand.push(last - oldest.unwrap());
    }
    let (first, last) = (at_hand[0], at_hand[39]);
    assert!(
        first > 30,
        "while there is room each keeps its own: {at_hand:?}"
    );
    assert!(
        (1..first / 2).contains(&last),
        "then each has its share: {at_hand:?}"
    );
}
