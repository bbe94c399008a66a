//! Thinning over HTTP: policies of kinds, a run, and what is answered of versions that went.

use std::sync::Arc;

use syncline_engine::{ManualClock, Settings};
use syncline_model::json::Json;
use syncline_model::time::Timestamp;

use crate::node::{Node, json, text};

const A: &str = "/v1/contexts/task/a";
const DAY_MS: i64 = 86_400_000;

#[tokio::test]
async fn a_policy_is_declared_and_old_versions_are_thinned() {
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
    let node = Node::with_clock(Settings::default(), clock.clone()).await;
    let policy = r#"{"retention":{"keep_all_days":30,"then":"tagged"}}"#;
    node.put("/v1/schemas/task", &[], policy).await.ok();
    let shown = node.get("/v1/schemas/task").await.ok().json();
    let retention = json(r#"{"keep_all_days":30,"then":"tagged"}"#);
    assert_eq!(shown.get("retention"), Some(&retention));
    for number in 0..5 {
        let body = format!(r#"{{"data":{{"n":{number}}}}}"#);
        match number {
            0 => node.put(A, &[], &body).await.ok(),
            _ => node.merge(A, &[], &body).await.ok(),
        };
        clock.advance_ms(DAY_MS / 8);
    }
    node.post(&format!("{A}/tags"), &[], r#"{"name":"good","version":2}"#)
        .await
        .ok();
    let cursor = node.get("/v1/changes").await.ok().json();
    let first = text(
        &cursor.get("changes").unwrap().as_array().unwrap()[0],
        "cursor",
    )
    .to_owned();
    clock.advance_ms(40 * DAY_MS);
    let status = node.get("/v1/status").await.ok().json();
    assert_eq!(status.get("compaction"), None);
    assert_eq!(status.get("conflicts_open"), Some(&Json::from(0)));

    let run = async |body: &str| node.post("/v1/compact", &[], body).await.ok().json();
    let tried = run(r#"{"dry_run":true}"#).await;
    assert_eq!(tried.get("thinned"), Some(&Json::from(3)));
    node.get(&format!("{A}?version=1")).await.ok();
    let done = run("{}").await;
    for (name, count) in [("contexts", 1), ("looked_at", 5), ("thinned", 3)] {
        assert_eq!(done.get(name), Some(&Json::from(count)), "{name}");
    }
    node.post("/v1/compact", &[], r#"{"dry":true}"#)
        .await
        .problem(422, "invalid");
    let told = node.get("/v1/status").await.ok().json();
    let told = told.get("compaction").unwrap();
    assert_eq!(told.get("thinned"), Some(&Json::from(3)));
    assert!(told.get("ended_at").is_some());
    // All that it could say may be left out, and so may the body.
    let reply = node.send("POST", "/v1/compact", &[], "").await;
    assert_eq!(reply.ok().json().get("thinned"), Some(&Json::from(0)));

    for version in [2, 5] {
        node.get(&format!("{A}?version={version}")).await.ok();
    }
    let gone = node
        .get(&format!("{A}?version=3"))
        .await
        .problem(410, "thinned");
    assert_eq!(text(&gone, "hint"), "the nearest that are kept: 2 and 5");
    let before = node
        .get(&format!("{A}?version=1"))
        .await
        .problem(410, "thinned");
    assert_eq!(text(&before, "hint"), "the nearest that are kept: 2");
    node.get(&format!("{A}?version=6"))
        .await
        .problem(404, "not_found");
    let reset = node.get(&format!("/v1/changes?after={first}")).await;
    assert_eq!(text(&reset.problem(410, "reset"), "reason"), "compacted");
    // The snapshot's own cursor goes on.
    let now = text(&node.get("/v1/status").await.json(), "cursor").to_owned();
    node.get(&format!("/v1/changes?after={now}")).await.ok();
    let sound = node.post("/v1/verify", &[], "").await.ok().json();
    assert_eq!(sound.get("sound"), Some(&Json::from(true)));
}
