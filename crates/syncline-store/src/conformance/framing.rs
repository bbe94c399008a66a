//! What is promised of framing: whoever reads does not notice it. A store that frames nothing
//! keeps these promises too.

use syncline_model::ids::{Seq, Version, WorkspaceId};

use super::scribe::{Dice, Scribe, Shared, address, line, shown};
use super::thinning::{Gone, check_thinned, write_lines};
use crate::thin::ready;
use crate::{Framed, Store};

/// Frames all there is of a workspace, as an engine does; returns what that did.
pub async fn frame_all(store: &dyn Store, id: &WorkspaceId, dry_run: bool) -> Framed {
    let (mut all, mut after) = (Framed::default(), None);
    loop {
        let page = store.unframed(id, after.as_ref()).await.expect("lines");
        for line in &page.lines {
            let mut at = Version::ZERO;
            loop {
                let framed = store.frame(id, line, at, dry_run).await;
                let framed = framed.expect("a stretch");
                all.records += framed.records;
                all.bytes_before += framed.bytes_before;
                all.bytes_after += framed.bytes_after;
                let Some(next) = framed.next else { break };
                assert!(next > at, "{line}: {next} after {at}");
                at = next;
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

/// Records, pages of them, versions and documents are the same before and after, and a second run
/// finds nothing to do.
pub async fn framing_changes_nothing_that_is_read(store: Shared) {
    let mut scribe = write_lines(&*store, 450).await;
    let before = shown(&*store, &scribe).await;
    let pages = pages(&*store, &scribe).await;
    let tried = frame_all(&*store, &scribe.id, true).await;
    assert_eq!(shown(&*store, &scribe).await, before);
    let framed = frame_all(&*store, &scribe.id, false).await;
    assert_eq!(framed, tried);
    assert_eq!(shown(&*store, &scribe).await, before);
    assert_eq!(self::pages(&*store, &scribe).await, pages);
    check_thinned(&*store, &scribe, &Gone::new()).await;
    assert_eq!(
        frame_all(&*store, &scribe.id, false).await,
        Framed::default()
    );
    for number in 0..130 {
        let text = format!(r#"{{"data":{{"later":{number}}}}}"#);
        scribe.now.0 += 1_000;
        scribe.put(&*store, "task/a", &text).await;
    }
    let later = frame_all(&*store, &scribe.id, false).await;
    assert_eq!(later.records > 0, framed.records > 0);
    check_thinned(&*store, &scribe, &Gone::new()).await;
}

/// Reads the log page by page, in several sizes.
async fn pages(store: &dyn Store, scribe: &Scribe) -> Vec<usize> {
    let mut sizes = Vec::new();
    for (limit, bytes_max) in [(7, usize::MAX), (100, 3_000), (1_000, 1)] {
        let mut after = Seq::ZERO;
        while after < scribe.last {
            let page = store
                .records(&scribe.id, after, scribe.last, limit, bytes_max)
                .await
                .expect("records");
            let from = usize::try_from(after.0).expect("a small number");
            assert_eq!(page, scribe.records[from..from + page.len()]);
            sizes.push(page.len());
            after = Seq(after.0 + page.len() as u64);
        }
    }
    sizes
}

/// What is thinned before or after it was framed is gone, and all else reads as it did.
pub async fn p3_framing_and_thinning_go_together(store: Shared) {
    let mut scribe = write_lines(&*store, 350).await;
    let (mut gone, mut dice) = (Gone::new(), Dice(11));
    for round in 0..4 {
        for at in [address("task/a"), address("task/b"), line("task/b", "side")] {
            let newest = scribe.contexts[&at].head.version;
            // A run, as a policy takes it, and some here and there.
            let from = dice.roll(usize::try_from(newest.0).expect("a small number")) as u64;
            let chosen = (1..newest.0).filter(|v| (from..from + 40).contains(v) || v % 31 == round);
            let chosen: Vec<_> = chosen.map(Version).collect();
            let thinning = ready(&*store, &scribe.id, &at, chosen.clone()).await;
            let thinning = thinning.expect("what stays can be read");
            let thinned = store.thin(&scribe.id, thinning).await;
            let thinned = thinned.expect("it is whole");
            assert_eq!(thinned.versions > 0, thinned.bytes > 0);
            gone.extend(chosen.into_iter().map(|version| (at.clone(), version)));
        }
        check_thinned(&*store, &scribe, &gone).await;
        frame_all(&*store, &scribe.id, false).await;
        check_thinned(&*store, &scribe, &gone).await;
        for number in 0..30 {
            let text = format!(r#"{{"data":{{"round":{round},"n":{number}}}}}"#);
            scribe.now.0 += 1_000;
            scribe.put(&*store, "task/b", &text).await;
        }
    }
}
