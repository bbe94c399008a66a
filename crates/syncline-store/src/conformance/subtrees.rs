//! What is promised of the walk down a subtree.

use std::collections::HashSet;

use syncline_model::ids::{Address, WorkspaceId};

use super::lists::forest;
use super::scribe::{Scribe, Shared, address};
use crate::{ContextList, HeadRow, ListQuery, Sort, Store, TreePlace};

/// Reads one page, which keeps its limit.
async fn page(
    store: &dyn Store,
    workspace: &WorkspaceId,
    root: &str,
    after: Option<TreePlace>,
    limit: usize,
) -> (Vec<HeadRow>, Option<TreePlace>) {
    let root = Address::parse_line(root).expect("a test's line is one");
    let page = store.subtree(workspace, &root, after, limit).await;
    let page = page.expect("a page");
    assert!(page.heads.len() <= limit);
    let heads = page.heads.into_iter().map(|(head, _)| head).collect();
    (heads, page.next)
}

pub(super) async fn whole(
    store: &dyn Store,
    workspace: &WorkspaceId,
    root: &str,
    limit: usize,
) -> Vec<HeadRow> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (heads, next) = page(store, workspace, root, after, limit).await;
        found.extend(heads);
        if next.is_none() {
            return found;
        }
        after = next;
    }
}

fn addresses(heads: &[HeadRow]) -> Vec<&str> {
    heads.iter().map(|head| head.address.as_str()).collect()
}

/// Pages of any size hold what a list of the subtree holds, each context once and after its parent.
pub async fn a_subtree_is_walked_in_pages(store: Shared) {
    let mut scribe = forest(&*store, 8).await;
    for number in 1..60 {
        let at = format!("note/n{number}");
        let text = format!(r#"{{"parent":"note/n{}"}}"#, (number - 1) / 3);
        scribe.put(&*store, &at, &text).await;
        if number % 7 == 0 {
            scribe.delete(&*store, &at).await;
        }
    }
    let mut largest = 0;
    let roots: Vec<Address> = scribe.contexts.keys().cloned().collect();
    for root in &roots {
        let contexts = ContextList {
            within: Some(root.clone()),
            ..ContextList::default()
        };
        let query = ListQuery {
            contexts,
            sort: Sort::default(),
            after: None,
            limit: 1_000,
            bodies: false,
        };
        let listed = store.list(&scribe.id, &query).await.expect("a list").heads;
        largest = largest.max(listed.len());
        for limit in [1, 3, 100] {
            let mut found = whole(&*store, &scribe.id, root.as_str(), limit).await;
            let mut seen = HashSet::new();
            let inside: HashSet<_> = found.iter().map(|head| head.address.clone()).collect();
            for head in &found {
                let above = head.parent.as_ref().filter(|p| inside.contains(*p));
                let first = head.address == *root;
                assert!(first || above.is_none_or(|p| seen.contains(p)), "{root}");
                assert!(seen.insert(head.address.clone()), "{root}");
            }
            found.sort_by(|a, b| a.address.cmp(&b.address));
            assert_eq!(found, listed, "below {root}, pages of {limit}");
        }
    }
    assert!(largest > 10, "there is no tree worth the walk");
}

/// Where a context was moved away, the walk goes on beside it; nothing that stayed is left out.
pub async fn a_walk_survives_moves(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    let put = |at: &'static str, parent: &'static str| (at, format!(r#"{{"parent":"{parent}"}}"#));
    for (at, text) in [
        put("task/a", "project/p"),
        put("task/a1", "task/a"),
        put("task/a11", "task/a1"),
        put("task/a2", "task/a"),
        put("task/b", "project/p"),
        put("task/b1", "task/b"),
    ] {
        scribe.put(&*store, at, &text).await;
    }
    let (heads, after) = page(&*store, &scribe.id, "project/p", None, 2).await;
    assert_eq!(addresses(&heads), ["task/a", "task/a1"]);
    let away = put("task/a", "project/q").1;
    scribe.put(&*store, "task/a", &away).await;
    let (heads, next) = page(&*store, &scribe.id, "project/p", after.clone(), 9).await;
    assert_eq!(addresses(&heads), ["task/b", "task/b1"]);
    assert_eq!(next, None);

    // What was moved deeper into the subtree is walked where it is now, or was walked already.
    let back = put("task/a", "task/b1").1;
    scribe.put(&*store, "task/a", &back).await;
    let (heads, _) = page(&*store, &scribe.id, "project/p", after, 9).await;
    let deeper = [
        "task/b", "task/b1", "task/a", "task/a1", "task/a11", "task/a2",
    ];
    assert_eq!(addresses(&heads), deeper);

    // A thousand tombstones do not make a page endless: it ends early, and the next goes on.
    for number in 0..1_005 {
        let mut batch = scribe.batch();
        let at = format!("task/b-{number}");
        batch.put(
            &at,
            r#"{"parent":"task/b"}"#,
            super::scribe::Form::default(),
        );
        batch.delete(&at);
        batch.send(&*store).await;
    }
    scribe
        .put(&*store, "task/b-last", r#"{"parent":"task/b"}"#)
        .await;
    let all = whole(&*store, &scribe.id, "task/b", 1).await;
    let (first, next) = page(&*store, &scribe.id, "task/b", None, 1).await;
    assert_eq!((addresses(&first), next.is_some()), (vec!["task/b"], true));
    assert_eq!(all.len(), deeper.len() + 1);
    assert_eq!(
        all.iter()
            .filter(|h| h.address.as_str() == "task/b-last")
            .count(),
        1
    );
}

/// Levels are counted through deleted contexts, up to the bound, which ends a cycle too.
pub async fn a_height_counts_levels(store: Shared) {
    let mut scribe = Scribe::start(&*store, "alpha").await;
    for (at, parent) in [
        ("note/a", "project/p"),
        ("note/a1", "note/a"),
        ("note/a2", "note/a"),
        ("note/a11", "note/a1"),
        ("note/x", "note/y"),
        ("note/y", "note/x"),
    ] {
        let text = format!(r#"{{"parent":"{parent}"}}"#);
        scribe.put(&*store, at, &text).await;
    }
    scribe.delete(&*store, "note/a1").await;
    for (at, levels_max, levels) in [
        ("project/p", 32, 3),
        ("project/p", 2, 2),
        ("note/a", 32, 2),
        ("note/a1", 32, 1),
        ("note/a11", 32, 0),
        ("note/none", 32, 0),
        ("note/x", 32, 32),
    ] {
        let found = store.height(&scribe.id, &address(at), levels_max).await;
        assert_eq!(found.expect("a height"), levels, "below {at}");
    }
}
