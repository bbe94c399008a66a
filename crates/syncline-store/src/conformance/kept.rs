//! What is promised of values kept beside the log.

use std::pin::Pin;
use std::sync::Arc;

use syncline_model::ids::WorkspaceId;

use super::scribe::{Scribe, Shared, check_shown, join_all, workspace_id};
use crate::{
    CommitFault, KEPT_AT_ONCE_MAX, KEPT_NAME_BYTES_MAX, KEPT_PAGE_BYTES_MAX, KEPT_VALUE_BYTES_MAX,
    Kept, KeptQuery, Store, StoreError,
};

fn put(key: &str, value: &str) -> Kept {
    Kept::put("acks", key, value.as_bytes())
}

async fn keep(store: &dyn Store, id: &WorkspaceId, values: Vec<Kept>) {
    store.keep(id, values).await.expect("it is kept");
}

/// Returns all of a space in one text, read two at a time.
async fn shown(store: &dyn Store, id: &WorkspaceId, space: &str, prefix: &str) -> String {
    let mut query = KeptQuery {
        space: space.to_owned(),
        prefix: prefix.to_owned(),
        after: None,
        limit: 2,
    };
    let mut all = Vec::new();
    loop {
        let page = store.kept(id, &query).await.expect("a page");
        assert!(page.len() <= 2, "{} values", page.len());
        let Some((last, _)) = page.last() else {
            return all.join(" ");
        };
        query.after = Some(last.clone());
        let text = |bytes: &Arc<[u8]>| String::from_utf8_lossy(bytes).into_owned();
        all.extend(
            page.iter()
                .map(|(key, value)| format!("{key}={}", text(value))),
        );
    }
}

/// Values come back by the bytes of their keys, a later one in place of an earlier, and none that
/// was forgotten; the log knows nothing of them.
pub async fn kept_values_come_in_order(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    scribe.put(&*store, "task/a", "{}").await;
    let id = scribe.id.clone();
    assert_eq!(shown(&*store, &id, "acks", "").await, "");
    let keys = ["b/2", "a", "é", "b/10", "b", "B", "b0", "b/1"];
    keep(&*store, &id, keys.iter().map(|key| put(key, "1")).collect()).await;
    keep(&*store, &id, vec![Kept::put("other", "a", b"x".as_slice())]).await;
    assert_eq!(
        shown(&*store, &id, "acks", "").await,
        "B=1 a=1 b=1 b/1=1 b/10=1 b/2=1 b0=1 é=1"
    );
    assert_eq!(
        shown(&*store, &id, "acks", "b/").await,
        "b/1=1 b/10=1 b/2=1"
    );
    let again = vec![
        put("b/1", "2"),
        Kept::forget("acks", "b/10"),
        Kept::forget("acks", "nobody"),
        put("c", "1"),
        put("c", "2"),
        put("d", "1"),
        Kept::forget("acks", "d"),
    ];
    keep(&*store, &id, again).await;
    assert_eq!(
        shown(&*store, &id, "acks", "").await,
        "B=1 a=1 b=1 b/1=2 b/2=1 b0=1 c=2 é=1"
    );
    assert_eq!(shown(&*store, &id, "other", "").await, "a=x");
    check_shown(&*store, &scribe).await;
    let query = |after: &str, limit| KeptQuery {
        space: "acks".to_owned(),
        prefix: "b/".to_owned(),
        after: Some(after.to_owned()),
        limit,
    };
    // What lies before the prefix is no place in it, and what lies after it is its end.
    let page = store.kept(&id, &query("a", 9)).await.expect("a page");
    assert_eq!(page.len(), 2);
    let page = store.kept(&id, &query("c", 9)).await.expect("a page");
    assert_eq!(page.len(), 0);
    let report = store.verify(&|_| ()).await.expect("it is verified");
    assert_eq!(report.problems, Vec::<String>::new());
}

/// Each workspace has its own.
pub async fn kept_values_of_workspaces_are_apart(store: Shared) {
    let alpha = Scribe::start(&*store, "alpha").await.id;
    let beta = Scribe::start(&*store, "beta").await.id;
    keep(&*store, &alpha, vec![put("a", "alpha"), put("b", "alpha")]).await;
    keep(&*store, &beta, vec![put("a", "beta")]).await;
    keep(&*store, &alpha, vec![Kept::forget("acks", "b")]).await;
    assert_eq!(shown(&*store, &alpha, "acks", "").await, "a=alpha");
    assert_eq!(shown(&*store, &beta, "acks", "").await, "a=beta");
    let nobody = workspace_id("nobody");
    let kept = store.keep(&nobody, vec![put("a", "x")]).await;
    assert!(matches!(kept, Err(StoreError::NoWorkspace(name)) if name == "nobody"));
    let read = store.kept(&nobody, &KeptQuery::default()).await;
    assert!(matches!(read, Err(StoreError::NoWorkspace(_))), "{read:?}");
}

/// What is beyond a limit is refused with all that came with it; what is at the limit is kept.
pub async fn kept_values_are_bounded(store: Shared) {
    let id = Scribe::start(&*store, "alpha").await.id;
    let large = |bytes: usize| Kept::put("acks", "large", vec![7u8; bytes]);
    let name = "n".repeat(KEPT_NAME_BYTES_MAX + 1);
    let beyond = [
        vec![put("a", "1"), large(KEPT_VALUE_BYTES_MAX + 1)],
        vec![put("a", "1"), put(&name, "1")],
        vec![put("a", "1"), Kept::put(&name, "k", b"1".as_slice())],
        vec![put("a", "1"); KEPT_AT_ONCE_MAX + 1],
    ];
    for values in beyond {
        let kept = store.keep(&id, values).await;
        assert!(matches!(kept, Err(StoreError::NotWritten(_))), "{kept:?}");
    }
    assert_eq!(shown(&*store, &id, "acks", "").await, "");
    keep(&*store, &id, vec![large(KEPT_VALUE_BYTES_MAX)]).await;
    // A page ends once its bytes are many, though its limit is not reached.
    let many = 100;
    let values =
        (0..many).map(|n| Kept::put("many", format!("{n:03}"), vec![n; KEPT_VALUE_BYTES_MAX]));
    keep(&*store, &id, values.collect()).await;
    let mut query = KeptQuery {
        space: "many".to_owned(),
        limit: usize::from(many),
        ..KeptQuery::default()
    };
    let first = store.kept(&id, &query).await.expect("a page");
    assert_eq!(first.len(), KEPT_PAGE_BYTES_MAX / KEPT_VALUE_BYTES_MAX);
    query.after = first.last().map(|(key, _)| key.clone());
    let rest = store.kept(&id, &query).await.expect("a page");
    assert_eq!(first.len() + rest.len(), usize::from(many));
    assert!(
        rest.iter()
            .all(|(key, value)| key == &format!("{:03}", value[0]))
    );
}

/// Keeping and appending at once, by many, loses nothing of either.
pub async fn keeping_waits_with_appends(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let id = scribe.id.clone();
    let mut calls: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for n in 0..32 {
        let (store, id) = (store.clone(), id.clone());
        calls.push(Box::pin(async move {
            keep(&*store, &id, vec![put(&format!("{n:02}"), "1")]).await;
        }));
    }
    calls.push(Box::pin(async {
        for n in 0..8 {
            let text = format!(r#"{{"data":{{"n":{n}}}}}"#);
            scribe.put(&*store, "task/a", &text).await;
        }
    }));
    join_all(calls).await;
    let all = shown(&*store, &id, "acks", "").await;
    assert_eq!(all.split(' ').count(), 32);
    check_shown(&*store, &scribe).await;
}

/// Of a commit whose outcome is unknown, all that was to be kept is there after recovery, or none
/// of it.
pub async fn p1_an_unknown_keep_is_found_out(store: Shared, fault: CommitFault) {
    let id = Scribe::start(&*store, "alpha").await.id;
    let counted = store.stats().await.expect("stats").commits;
    for _ in counted..fault.at - 1 {
        keep(&*store, &id, vec![put("a", "1"), put("b", "1")]).await;
    }
    let values = vec![put("a", "2"), Kept::forget("acks", "b"), put("c", "2")];
    let answer = store.keep(&id, values.clone()).await;
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
    let refused = store.keep(&id, values.clone()).await;
    assert!(
        matches!(refused, Err(StoreError::Unknown(_))),
        "{refused:?}"
    );
    store.recover().await.expect("it recovers");
    let found = if fault.written { "a=2 c=2" } else { "a=1 b=1" };
    assert_eq!(shown(&*store, &id, "acks", "").await, found);
    keep(&*store, &id, values).await;
    assert_eq!(shown(&*store, &id, "acks", "").await, "a=2 c=2");
}
