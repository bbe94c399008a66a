//! A process that is killed while it thins: each step is there whole or not at all, what stays
//! reads as before, and the next run goes on.

use std::path::Path;

use syncline_model::ids::Version;
use syncline_store::conformance::scribe::{Form, Scribe, address, workspace_id};
use syncline_store::{Store, StoreError, replay, thin};

use crate::faults::{at_each_sync, killed_at_sync};
use crate::open;

const DIR: &str = "SYNCLINE_TEST_THINNING_DIR";
const VERSIONS: u64 = 40;
const STEP: usize = 4;

/// Returns the steps: of each ten versions the first stays.
fn steps() -> Vec<Vec<Version>> {
    let goes = (1..VERSIONS).filter(|version| !version.is_multiple_of(10));
    let goes: Vec<_> = goes.map(Version).collect();
    goes.chunks(STEP).map(<[_]>::to_vec).collect()
}

fn text(version: u64) -> String {
    format!(r#"{{"data":{{"n":{version}}},"title":"version {version}"}}"#)
}

/// The script: writes a history, thins it step by step, and notes each step that was answered.
#[tokio::test]
#[ignore = "a part of the test below"]
async fn the_script() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let dir = Path::new(&dir);
    let store = open(&dir.join("data"));
    let mut scribe = Scribe::start(&store, "alpha").await;
    let mut batch = scribe.batch();
    for version in 1..=VERSIONS {
        let form = Form {
            without_body: version % 3 > 0,
            snapshot: version % 16 == 0,
        };
        batch.put("task/a", &text(version), form);
    }
    batch.send(&store).await;
    std::fs::write(dir.join("written"), "").unwrap();
    for (number, step) in steps().into_iter().enumerate() {
        thin_step(&store, step).await;
        std::fs::write(dir.join("answered"), (number + 1).to_string()).unwrap();
    }
    std::fs::write(dir.join("done"), "").unwrap();
}

async fn thin_step(store: &dyn Store, step: Vec<Version>) {
    let (id, at) = (workspace_id("alpha"), address("task/a"));
    let thinning = thin::ready(store, &id, &at, step).await.unwrap();
    store.thin(&id, thinning).await.unwrap();
}

/// Checks that exactly the first steps were done, and that all is sound.
async fn check_left(store: &dyn Store, done: usize) {
    let (id, at) = (workspace_id("alpha"), address("task/a"));
    let gone: Vec<_> = steps().into_iter().take(done).flatten().collect();
    for version in (1..=VERSIONS).map(Version) {
        match store.rebuild(&id, &at, version).await {
            Err(StoreError::Compacted { .. }) => assert!(gone.contains(&version), "{version}"),
            rebuild => {
                assert!(!gone.contains(&version), "{version}");
                let (document, _) = replay(&rebuild.unwrap()).unwrap().unwrap();
                let title = format!("version {version}");
                assert_eq!(document.title(), Some(title.as_str()));
            }
        }
    }
    let report = store.verify(&|_| ()).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

/// Runs the script, killed at a sync; says whether it came to its end.
async fn check_killed(when: u32) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let output = killed_at_sync("thinning::the_script", (DIR, dir.path()), when);
    let is_there = |name: &str| dir.path().join(name).exists();
    if !is_there("written") {
        assert!(!output.status.success());
        return false;
    }
    let answered = std::fs::read_to_string(dir.path().join("answered")).unwrap_or_default();
    let answered: usize = answered.parse().unwrap_or(0);
    let store = open(&dir.path().join("data"));
    let low_water = store.workspaces().await.unwrap()[0].low_water;
    let steps = steps();
    let newest = |step: &Vec<Version>| step.last().map(|version| version.0);
    let done = steps
        .iter()
        .filter(|step| newest(step) <= Some(low_water.0))
        .count();
    assert!(
        done == answered || done == answered + 1,
        "{when}: {answered}, {done}"
    );
    check_left(&store, done).await;
    for step in steps.iter().cloned() {
        thin_step(&store, step).await;
    }
    check_left(&store, steps.len()).await;
    is_there("done")
}

#[tokio::test]
async fn p1_a_process_killed_while_it_thins_leaves_whole_steps() {
    at_each_sync(60, check_killed).await;
}
