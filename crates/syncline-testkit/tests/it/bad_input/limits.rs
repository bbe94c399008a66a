//! P9: every limit of the design that applies here, with the answer that names it.

use std::time::{Duration, Instant};

use syncline_model::json::Json;
use syncline_testkit::raw;

use super::{JSON, MERGE, PATCH, Still, assert_problem};
use crate::run;

/// Sends one request, and expects a refusal that names the limit and its setting.
async fn check(still: &Still, request: (&str, &str, &str), body: &str, limit: (u64, &str)) {
    let (method, path, header) = request;
    let answer = raw::send(still.access(), method, path, &[header], body.as_bytes())
        .await
        .unwrap();
    assert_problem(&answer, &[413, 422], "too_large", limit.1);
    let problem = answer.json().unwrap();
    assert_eq!(
        problem.get("limit").and_then(Json::as_u64),
        Some(limit.0),
        "{}",
        problem.to_text()
    );
    assert_eq!(
        problem.get("setting").and_then(Json::as_str),
        Some(limit.1),
        "{}",
        problem.to_text()
    );
    still.check(limit.1).await;
}

fn text_of(bytes: usize) -> String {
    format!(r#"{{"data":{{"text":"{}"}}}}"#, "x".repeat(bytes))
}

#[test]
fn p9_documents_patches_and_bulks_are_bounded() {
    run(async {
        let still = Still::start().await;
        let put = ("PUT", "/v1/contexts/task/new", JSON);
        check(
            &still,
            put,
            &text_of((10 << 20) + 1),
            (10 << 20, "max_document_bytes"),
        )
        .await;
        check(
            &still,
            put,
            &text_of((16 << 20) + 1),
            (16 << 20, "max_request_bytes"),
        )
        .await;
        let merge = ("PATCH", "/v1/contexts/task/there", MERGE);
        check(
            &still,
            merge,
            &text_of((10 << 20) + 1),
            (10 << 20, "max_document_bytes"),
        )
        .await;
        let deep = format!(r#"{{"data":{{"a":{}{}}}}}"#, "[".repeat(70), "]".repeat(70));
        check(&still, put, &deep, (64, "max_document_depth")).await;
        let patch = ("PATCH", "/v1/contexts/task/there", PATCH);
        let operations = vec![r#"{"op":"test","path":"/data/n","value":1}"#; 4_097].join(",");
        check(
            &still,
            patch,
            &format!("[{operations}]"),
            (4_096, "max_patch_operations"),
        )
        .await;
        let batch = ("POST", "/v1/contexts:batch", JSON);
        let part = r#"{"context":"task/a","op":"merge","body":{"title":"x"},"create":true}"#;
        let bulk = format!(
            r#"{{"mode":"atomic","proposals":[{}]}}"#,
            vec![part; 1_001].join(",")
        );
        check(&still, batch, &bulk, (1_000, "max_bulk")).await;
    });
}

#[test]
fn p9_what_is_just_within_the_limits_is_taken() {
    run(async {
        let still = Still::start().await;
        let send = async |method: &str, path: &str, header: &str, body: &str| {
            raw::send(still.access(), method, path, &[header], body.as_bytes())
                .await
                .unwrap()
                .status
        };
        let large = text_of((10 << 20) - 2_000);
        assert_eq!(
            send("PUT", "/v1/contexts/note/large", JSON, &large).await,
            201
        );
        let deep = format!(r#"{{"data":{{"a":{}{}}}}}"#, "[".repeat(61), "]".repeat(61));
        assert_eq!(
            send("PUT", "/v1/contexts/note/deep", JSON, &deep).await,
            201
        );
        let operations = vec![r#"{"op":"test","path":"/data/n","value":1}"#; 4_095].join(",");
        let patch = format!(r#"[{operations},{{"op":"replace","path":"/data/n","value":2}}]"#);
        assert_eq!(
            send("PATCH", "/v1/contexts/task/there", PATCH, &patch).await,
            200
        );
        let part = |n: usize| {
            format!(r#"{{"context":"note/b-{n}","op":"create","body":{{"title":"x"}}}}"#)
        };
        let parts: Vec<String> = (0..1_000).map(part).collect();
        let bulk = format!(r#"{{"mode":"atomic","proposals":[{}]}}"#, parts.join(","));
        assert_eq!(send("POST", "/v1/contexts:batch", JSON, &bulk).await, 200);
    });
}

#[test]
fn p9_pages_and_waits_are_bounded() {
    run(async {
        let still = Still::start().await;
        let get = async |path: &str| {
            raw::send(still.access(), "GET", path, &[], b"")
                .await
                .unwrap()
        };
        for path in ["/v1/changes?limit=100000", "/v1/contexts?limit=100000"] {
            let answer = get(path).await;
            // Fewer than were asked for, or a word about the limit: never all there is.
            assert!(
                [200, 400, 422].contains(&answer.status),
                "{path}: {answer:?}"
            );
        }
        let begun = Instant::now();
        let status = still.node.status().await.unwrap();
        let cursor = status.get("cursor").and_then(Json::as_str).unwrap();
        let answer = get(&format!("/v1/changes?after={cursor}&wait_ms=300")).await;
        assert_eq!(answer.status, 200);
        let waited = begun.elapsed();
        assert!(
            waited >= Duration::from_millis(250) && waited < Duration::from_secs(5),
            "{waited:?}"
        );
        let path = format!("/v1/changes?after={cursor}&wait_ms=86400000");
        let answer = get(&path);
        let answer = tokio::time::timeout(Duration::from_secs(3), answer).await;
        // A day is refused at once, or shortened to the greatest wait.
        assert!(
            answer
                .as_ref()
                .map_or(true, |a| [400, 413, 422].contains(&a.status)),
            "{answer:?}"
        );
        still.check("pages and waits").await;
    });
}
