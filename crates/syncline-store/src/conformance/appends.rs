//! What is promised of writing.

use syncline_model::ids::{Epoch, Seq, Version};
use syncline_model::record::RecordHash;

use super::scribe::{
    Form, Scribe, Shared, address, check_shown, conflict, join_all, shown, whole_log, workspace_id,
};
use crate::{Append, CommitFault, NewWorkspace, StoreError, StoreHealth};

/// Making a workspace that is there returns it as it is.
pub async fn a_workspace_is_made_once(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    scribe.put(&*store, "task/a", r#"{"title":"A"}"#).await;
    let again = NewWorkspace {
        id: scribe.id.clone(),
        log: [9; 16],
        epoch: Epoch(9),
        cursor_key: [9; 32],
        created_at: scribe.now,
    };
    let row = store.create_workspace(again).await.expect("it is there");
    assert_eq!(
        (row.last, row.log, row.cursor_key),
        (Seq(1), scribe.log, [3; 32])
    );
    assert_eq!(row.epoch, Epoch(0xFFFF_FFFF_0000_0001));
    assert_eq!(store.workspaces().await.expect("workspaces"), [row]);
}

/// Every call names a workspace that is not there.
pub async fn an_unknown_workspace_is_named(store: Shared) {
    let id = workspace_id("nobody");
    let append = store.append(&id, Seq::ZERO, Append::default()).await;
    assert!(matches!(append, Err(StoreError::NoWorkspace(name)) if name == "nobody"));
    let records = store.records(&id, Seq::ZERO, Seq(9), 9, 9).await;
    assert!(matches!(records, Err(StoreError::NoWorkspace(_))));
    let epoch = store.set_epoch(&id, Epoch(1)).await;
    assert!(matches!(epoch, Err(StoreError::NoWorkspace(_))));
}

/// A new epoch is seen, and changes nothing else.
pub async fn an_epoch_is_kept(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    scribe.put(&*store, "task/a", "{}").await;
    store
        .set_epoch(&scribe.id, Epoch(u64::MAX))
        .await
        .expect("an epoch");
    assert_eq!(
        store.workspaces().await.expect("workspaces")[0].epoch,
        Epoch(u64::MAX)
    );
    scribe.put(&*store, "task/a", r#"{"title":"B"}"#).await;
    assert_eq!(
        store.workspaces().await.expect("workspaces")[0].epoch,
        Epoch(u64::MAX)
    );
    check_shown(&*store, &scribe).await;
}

/// After `close` every call is answered, with `Closed`.
pub async fn a_closed_store_refuses(store: Shared) {
    let scribe = Scribe::start(&*store, "alpha").await;
    store.close().await.expect("it closes");
    let append = store.append(&scribe.id, Seq::ZERO, Append::default()).await;
    assert!(matches!(append, Err(StoreError::Closed)), "{append:?}");
    let read = store.workspaces().await;
    assert!(matches!(read, Err(StoreError::Closed)), "{read:?}");
    store.close().await.expect("closing twice is closing once");
}

/// Records, heads, versions and ids come back as they were written.
pub async fn p2_an_append_is_read_back_as_it_was(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let mut batch = scribe.batch();
    batch.put(
        "task/a",
        r#"{"title":"A","labels":{"k":"v"},"owner":"person/ana"}"#,
        Form::default(),
    );
    batch.put(
        "task/b",
        r#"{"parent":"task/a","state":"done"}"#,
        Form::default(),
    );
    batch.later(5);
    batch.put(
        "task/a",
        r#"{"title":"A2","level":"public"}"#,
        Form::default(),
    );
    batch.send(&*store).await;
    check_shown(&*store, &scribe).await;
    let row = &store.workspaces().await.expect("workspaces")[0];
    assert_eq!(row.last_committed_at, scribe.now);
}

/// `Moved` names the log's true end, and nothing is written.
pub async fn p2_an_append_decided_elsewhere_writes_nothing(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    scribe.put(&*store, "task/a", "{}").await;
    let before = shown(&*store, &scribe).await;
    for wrong in [Seq::ZERO, Seq(2), Seq(7)] {
        let mut other = scribe.clone();
        let mut batch = other.batch();
        batch.put("task/b", "{}", Form::default());
        let answer = store.append(&scribe.id, wrong, batch.append).await;
        assert!(
            matches!(answer, Err(StoreError::Moved { last: Seq(1) })),
            "{answer:?}"
        );
    }
    assert_eq!(shown(&*store, &scribe).await, before);
}

/// Records that do not follow the log's last, or one another, are refused.
pub async fn p2_a_log_that_would_break_is_not_written(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    scribe.put(&*store, "task/a", "{}").await;
    let mut twin = scribe.clone();
    twin.last_hash = RecordHash([0; 32]);
    let mut batch = twin.batch();
    batch.put("task/a", r#"{"title":"B"}"#, Form::default());
    let answer = store.append(&scribe.id, batch.after, batch.append).await;
    assert!(
        matches!(answer, Err(StoreError::NotWritten(_))),
        "{answer:?}"
    );
    let mut twin = scribe.clone();
    let mut batch = twin.batch();
    batch.put("task/a", r#"{"title":"B"}"#, Form::default());
    batch.put("task/a", r#"{"title":"C"}"#, Form::default());
    batch.append.records.swap(0, 1);
    let answer = store.append(&scribe.id, batch.after, batch.append).await;
    assert!(
        matches!(answer, Err(StoreError::NotWritten(_))),
        "{answer:?}"
    );
    check_shown(&*store, &scribe).await;
}

/// Ids are kept in the same transaction, also those of a batch without records; each once.
pub async fn p3_ids_are_kept_with_and_without_records(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    scribe.put(&*store, "task/a", "{}").await;
    let mut batch = scribe.batch();
    let kept = batch.keep_id();
    batch.keep_id();
    batch.send(&*store).await;
    check_shown(&*store, &scribe).await;
    let unseen = super::scribe::change_id(9_999);
    let found = store
        .ids(&scribe.id, &[unseen, kept, unseen])
        .await
        .expect("ids");
    assert_eq!(
        (found[0].is_none(), found[1].is_some(), found[2].is_none()),
        (true, true, true)
    );
    let newest = scribe.ids.iter().map(|row| row.id).max();
    assert_eq!(store.newest_id(&scribe.id).await.expect("ids"), newest);
    let again = Append {
        ids: vec![scribe.ids[0].clone()],
        ..Append::default()
    };
    let answer = store.append(&scribe.id, scribe.last, again).await;
    assert!(
        matches!(answer, Err(StoreError::NotWritten(_))),
        "{answer:?}"
    );
    check_shown(&*store, &scribe).await;
}

/// An append that cannot be written whole is not written at all, and the next one can be.
pub async fn p1_a_failing_append_leaves_nothing(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    scribe
        .put(&*store, "task/a", r#"{"title":"A","labels":{"k":"v"}}"#)
        .await;
    let before = shown(&*store, &scribe).await;
    type Break = fn(&mut Append);
    let breaks: [Break; 6] = [
        |append| append.ids.push(append.ids[0].clone()),
        |append| append.versions[1].version = Version(7),
        |append| append.heads.truncate(1),
        |append| append.heads[1].version = Version(7),
        |append| append.versions.truncate(1),
        |append| append.heads[0].seq = Seq(1),
    ];
    for (number, broken) in breaks.into_iter().enumerate() {
        let mut twin = scribe.clone();
        let mut batch = twin.batch();
        batch.put(
            "task/a",
            r#"{"title":"B","labels":{"k":"w"}}"#,
            Form::default(),
        );
        batch.put(
            "task/new",
            r#"{"title":"N","labels":{"k":"v"}}"#,
            Form::default(),
        );
        broken(&mut batch.append);
        let answer = store.append(&scribe.id, batch.after, batch.append).await;
        assert!(
            matches!(answer, Err(StoreError::NotWritten(_))),
            "break {number}: {answer:?}"
        );
        assert_eq!(shown(&*store, &scribe).await, before, "break {number}");
        assert_eq!(
            store
                .heads(&scribe.id, &twin.addresses())
                .await
                .expect("heads")[1],
            None
        );
    }
    scribe
        .put(&*store, "task/new", r#"{"labels":{"k":"v"}}"#)
        .await;
    scribe
        .put(&*store, "task/a", r#"{"labels":{"k":"w"}}"#)
        .await;
    check_shown(&*store, &scribe).await;
}

/// Appends of one workspace that are sent at once are written in the order that they name; one
/// that was decided on a failed one fails too.
pub async fn appends_that_wait_follow_one_another(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let id = scribe.id.clone();
    let mut sent = Vec::new();
    for number in 0..20 {
        let mut batch = scribe.batch();
        batch.put(
            "task/a",
            &format!(r#"{{"data":{{"n":{number}}}}}"#),
            Form::default(),
        );
        sent.push((batch.after, batch.append));
    }
    let calls = sent
        .into_iter()
        .map(|(after, append)| store.append(&id, after, append))
        .collect();
    for answer in join_all(calls).await {
        answer.expect("each follows the one before");
    }
    check_shown(&*store, &scribe).await;

    let good = scribe.clone();
    let mut first = scribe.batch();
    first.put("task/a", "{}", Form::default());
    let (at_first, mut broken) = (first.after, first.append);
    broken.ids.push(broken.ids[0].clone());
    let mut second = scribe.batch();
    second.put("task/b", "{}", Form::default());
    let (at_second, fine) = (second.after, second.append);
    let calls = vec![
        store.append(&id, at_first, broken),
        store.append(&id, at_second, fine),
    ];
    let answers = join_all(calls).await;
    assert!(
        matches!(answers[0], Err(StoreError::NotWritten(_))),
        "{:?}",
        answers[0]
    );
    assert!(
        matches!(answers[1], Err(StoreError::Moved { last: Seq(20) })),
        "{:?}",
        answers[1]
    );
    check_shown(&*store, &good).await;
}

/// Two workspaces with the same addresses and ids see nothing of each other.
pub async fn workspaces_are_apart(store: Shared) {
    let mut alpha = Scribe::start(&*store, "alpha").await;
    let mut beta = Scribe::start(&*store, "beta").await;
    alpha
        .put(&*store, "task/a", r#"{"title":"alpha","labels":{"k":"v"}}"#)
        .await;
    check_shown(&*store, &beta).await;
    beta.put(&*store, "task/a", r#"{"title":"beta"}"#).await;
    beta.put(&*store, "task/b", "{}").await;
    alpha.delete(&*store, "task/a").await;
    check_shown(&*store, &alpha).await;
    check_shown(&*store, &beta).await;
    let none = store
        .heads(&alpha.id, &[super::scribe::address("task/b")])
        .await
        .expect("heads");
    assert_eq!(none, [None]);
}

/// Many workspaces write at once, some of them wrongly: each good append is written, each bad
/// one fails alone.
pub async fn appends_of_many_workspaces_at_once(store: Shared) {
    const WORKSPACES: usize = 16;
    let names = (0..WORKSPACES).map(|number| format!("w{number}"));
    let mut scribes = Vec::new();
    for name in names {
        scribes.push(Scribe::start(&*store, &name).await);
    }
    let write = |mut scribe: Scribe, number: usize| {
        let store = store.clone();
        async move {
            for round in 0..12 {
                let text = format!(r#"{{"title":"{round}","labels":{{"round":"{round}"}}}}"#);
                let mut twin = scribe.clone();
                let mut batch = twin.batch();
                batch.put("task/a", &text, Form::default());
                batch.put(&format!("task/t{round}"), &text, Form::default());
                let bad = (round + number).is_multiple_of(4);
                if bad {
                    batch.append.ids.push(batch.append.ids[0].clone());
                }
                let answer = store.append(&scribe.id, batch.after, batch.append).await;
                assert_eq!(answer.is_err(), bad, "{answer:?}");
                if !bad {
                    scribe = twin;
                }
            }
            scribe
        }
    };
    let calls = scribes
        .into_iter()
        .enumerate()
        .map(|(number, scribe)| write(scribe, number));
    for scribe in join_all(calls.collect()).await {
        check_shown(&*store, &scribe).await;
    }
}

/// A commit whose outcome is unknown stops writing until `recover`, which tells what is true.
pub async fn p1_an_unknown_commit_is_found_out(store: Shared, fault: CommitFault) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    // Stores differ in whether making a workspace is a commit.
    let counted = store.stats().await.expect("stats").commits;
    for _ in counted..fault.at - 1 {
        scribe.put(&*store, "task/a", "{}").await;
    }
    let before = scribe.clone();
    let mut batch = scribe.batch();
    batch.conflicts = vec![conflict(1, &address("task/a"), "/data")];
    batch.put(
        "task/a",
        r#"{"title":"unknown","labels":{"k":"v"}}"#,
        Form::default(),
    );
    batch.put("task/b", "{}", Form::default());
    let answer = store.append(&before.id, batch.after, batch.append).await;
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
    assert!(matches!(store.health(), StoreHealth::Unknown(_)));
    let refused = store
        .append(&before.id, before.last, Append::default())
        .await;
    assert!(
        matches!(refused, Err(StoreError::Unknown(_))),
        "{refused:?}"
    );
    // Reads go on.
    assert!(whole_log(&*store, &before.id).await.len() >= before.records.len());
    let rows = store.recover().await.expect("it recovers");
    assert_eq!(store.health(), StoreHealth::Good);
    let mut truth = if fault.written { scribe } else { before };
    assert_eq!(
        (rows[0].last, rows[0].last_hash),
        (truth.last, truth.last_hash)
    );
    check_shown(&*store, &truth).await;
    truth.put(&*store, "task/b", r#"{"title":"after"}"#).await;
    check_shown(&*store, &truth).await;
    assert_eq!(store.recover().await.expect("nothing is unknown").len(), 1);
}
