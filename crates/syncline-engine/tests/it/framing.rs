//! Framing old records, and what must not notice it.

use std::sync::Arc;
use std::time::Duration;

use syncline_engine::{Compaction, Principal, Settings};
use syncline_model::ids::{Address, BranchName, Version};
use syncline_model::json::Json;
use syncline_model::proposal::Operation;
use syncline_rules::{Retention, Then};
use syncline_store::Store;
use syncline_store_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

use crate::{Bench, address};

const TASK: &str = "task/a";
const DAY_MS: i64 = 86_400_000;

async fn on_disk(settings: Settings) -> (Bench, Arc<SqliteStore>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(SqliteOptions::new(dir.path())).unwrap());
    (Bench::over(store.clone(), settings).await, store, dir)
}

async fn compact(bench: &Bench, dry_run: bool) -> Compaction {
    let owner = Principal::owner();
    bench.workspace.compact(&owner, dry_run).await.unwrap()
}

async fn write(bench: &Bench, branch: Option<&str>, count: u64) {
    for number in 0..count {
        let body = format!(r#"{{"data":{{"n":{number},"note":"as it was at {number}"}}}}"#);
        let mut proposal = bench.proposal(TASK, Operation::Merge, &body);
        proposal.branch = branch.map(|name| BranchName::parse(name).unwrap());
        bench.submit(proposal).await.unwrap();
    }
}

/// Reads every version of a line, and what each change says of itself.
async fn read(bench: &Bench, line: &Address) -> Vec<(Version, Json)> {
    let owner = Principal::owner();
    let (mut all, mut below) = (Vec::new(), None);
    loop {
        let page = bench.workspace.versions(&owner, line, below, 50).await;
        let page = page.unwrap();
        for entry in &page.changes {
            let version = entry.change.version;
            let when = syncline_engine::When::Version(version);
            let head = bench.workspace.get(&owner, line, when).await.unwrap();
            all.push((version, head.document.to_json()));
        }
        below = page.next;
        if below.is_none() {
            return all;
        }
    }
}

#[tokio::test]
async fn compaction_frames_all_lines_and_says_so() {
    let (bench, _store, _dir) = on_disk(Settings::default()).await;
    let owner = Principal::owner();
    bench.create(TASK, "{}").await;
    let mut begin = bench.proposal(TASK, Operation::Create, "{}");
    begin.branch = Some(BranchName::parse("try").unwrap());
    bench
        .workspace
        .create_branch(&owner, begin, None)
        .await
        .unwrap();
    write(&bench, None, 150).await;
    write(&bench, Some("try"), 70).await;
    let lines = [
        address(TASK),
        address(TASK).line(Some(&BranchName::parse("try").unwrap())),
    ];
    let before = [read(&bench, &lines[0]).await, read(&bench, &lines[1]).await];
    assert_eq!((before[0].len(), before[1].len()), (151, 71));
    let tried = compact(&bench, true).await;
    let done = compact(&bench, false).await;
    assert_eq!(tried, done);
    assert_eq!(done.framed, 3 * 64);
    assert!(
        done.framed_bytes_after * 3 < done.framed_bytes_before,
        "{done:?}"
    );
    assert_eq!(bench.workspace.compacted().unwrap().so_far, done);
    for (line, before) in lines.iter().zip(before) {
        assert_eq!(read(&bench, line).await, before);
    }
    let blame = bench.workspace.blame(&owner, &lines[0], "/data/n").await;
    assert_eq!(blame.unwrap().entry.change.version, Version(151));
    let report = bench.engine.verify(&|_| ()).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(compact(&bench, false).await.framed, 0);
}

#[tokio::test]
async fn a_line_that_grows_is_framed_by_itself() {
    let (bench, store, _dir) = on_disk(Settings::default()).await;
    bench.create(TASK, "{}").await;
    let unframed = async || {
        let id = bench.workspace.id();
        store.unframed(id, None).await.unwrap().lines
    };
    write(&bench, None, 255).await;
    assert_eq!(unframed().await, [address(TASK)]);
    write(&bench, None, 1).await;
    for _ in 0..500 {
        if unframed().await.is_empty() {
            assert_eq!(read(&bench, &address(TASK)).await.len(), 257);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it was not framed within ten seconds");
}

#[tokio::test]
async fn what_is_thinned_leaves_its_frame() {
    let mut settings = Settings::default();
    settings.rules.retention = Some(Retention::new(30, Then::Daily).unwrap());
    let (bench, _store, _dir) = on_disk(settings).await;
    bench.create(TASK, "{}").await;
    for _ in 0..50 {
        write(&bench, None, 4).await;
        bench.clock.advance_ms(DAY_MS);
    }
    let first = compact(&bench, false).await;
    assert!(first.thinned > 0 && first.framed > 64, "{first:?}");
    assert_eq!(first.thinned + first.framed, 3 * 64);
    for days in [5, 20, 60] {
        bench.clock.advance_ms(days * DAY_MS);
        let before = read(&bench, &address(TASK)).await;
        let done = compact(&bench, false).await;
        assert!(done.thinned > 0 && done.framed == 0, "{done:?}");
        let after = read(&bench, &address(TASK)).await;
        assert_eq!(after.len() as u64 + done.thinned, before.len() as u64);
        assert!(after.iter().all(|read| before.contains(read)));
        let report = bench.engine.verify(&|_| ()).await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
    }
}
