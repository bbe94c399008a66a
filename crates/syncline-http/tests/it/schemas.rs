//! What is declared for kinds: schemas that refuse, rules that merge, strategies.

use syncline_model::json::Json;

use crate::merge::{A, data, on_first};
use crate::node::{Node, json, text};

const TASK: &str = "/v1/schemas/task";
const COUNTED: &str = r#"{"schema":{"type":"object","properties":{
    "n":{"type":"integer","x-merge":"counter"},
    "status":{"enum":["open","done"]},
    "tags":{"type":"array","x-merge":"set"}},"required":["n"]}}"#;

async fn with_schema(body: &str) -> Node {
    let node = Node::start().await;
    let made = node.put(TASK, &[], body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.header("location"), Some(TASK));
    node
}

#[tokio::test]
async fn a_schema_is_kept_read_listed_and_taken_back() {
    let node = with_schema(COUNTED).await;
    let read = node.get(TASK).await.ok();
    let shown = read.json();
    assert_eq!(text(&shown, "kind"), "task");
    assert_eq!(shown.get("schema"), json(COUNTED).get("schema"));
    assert_eq!(shown.get("version"), Some(&Json::from(1)));
    assert_eq!(text(&shown, "etag"), read.etag());
    let held = [("if-none-match", read.etag())];
    assert_eq!(node.send("GET", TASK, &held, "").await.status, 304);
    // What was read may come back with a change; what it was read as is strict if asked for.
    let mut sent = shown.clone();
    let members = sent.as_object_mut().unwrap();
    members.insert("strategy", Json::from("latest_wins"));
    let seen = [("if-match", read.etag())];
    let second = node.put(TASK, &seen, &sent.to_text()).await.ok();
    assert_eq!(second.json().get("version"), Some(&Json::from(2)));
    node.put(TASK, &seen, &sent.to_text())
        .await
        .problem(412, "precondition_failed");
    node.put(TASK, &[("if-none-match", "*")], &sent.to_text())
        .await
        .problem(412, "precondition_failed");
    let now = node.get(TASK).await.json();
    assert_eq!(text(&now, "strategy"), "latest_wins");
    let old = node.get(&format!("{TASK}?version=1")).await.ok().json();
    assert_eq!(old.get("strategy"), None);
    let list = node.get("/v1/schemas").await.ok().json();
    let list = list.get("schemas").unwrap().as_array().unwrap().to_vec();
    assert_eq!(list.len(), 1);
    assert_eq!(
        (text(&list[0], "kind"), list[0].get("schema")),
        ("task", None)
    );
    node.send("DELETE", TASK, &[], "").await.ok();
    node.get(TASK).await.problem(404, "not_found");
    node.send("DELETE", TASK, &[], "")
        .await
        .problem(404, "not_found");
    let list = node.get("/v1/schemas").await.ok().json();
    assert_eq!(list.get("schemas"), Some(&json("[]")));
    // Nothing is declared any more.
    node.put(A, &[], r#"{"data":{"status":"lost"}}"#).await.ok();
}

#[tokio::test]
async fn a_rule_without_effect_is_named() {
    let node = Node::start().await;
    let declared = r#"{"schema":{"properties":{"tags":{"anyOf":[{"x-merge":"set"}]},
        "at":{"prefixItems":[{"x-merge":"counter"}]},"n":{"x-merge":"counter"}}}}"#;
    let made = node.put(TASK, &[], declared).await.ok().json();
    let places = |answer: &Json| {
        let ignored = answer.get("ignored").and_then(Json::as_array);
        let ignored = ignored.unwrap_or_default().iter();
        let named = ignored.map(|rule| {
            assert!(!text(rule, "reason").is_empty());
            text(rule, "pointer").to_owned()
        });
        named.collect::<Vec<_>>()
    };
    let expected = [
        "/schema/properties/at/prefixItems/0",
        "/schema/properties/tags/anyOf/0",
    ];
    assert_eq!(places(&made), expected);
    let shown = node.get(TASK).await.ok().json();
    assert_eq!(places(&shown), expected);
    // What was read may come back.
    node.put(TASK, &[], &shown.to_text()).await.ok();
    let good = node.put(TASK, &[], r#"{"schema":{"type":"object"}}"#);
    assert_eq!(good.await.ok().json().get("ignored"), None);
}

#[tokio::test]
async fn a_wrong_declaration_names_its_field() {
    let node = Node::start().await;
    for (body, pointer) in [
        (r#"{"schema":{"type":"objekt"}}"#, "/schema/type"),
        (
            r#"{"schema":{"properties":{"a":{"x-merge":"guess"}}}}"#,
            "/schema/properties/a/x-merge",
        ),
        (r#"{"strategy":"coin_toss"}"#, "/strategy"),
        (r#"{"fallback":7}"#, "/fallback"),
        (
            r#"{"retention":{"keep_all_days":7,"then":"daily"}}"#,
            "/retention/keep_all_days",
        ),
        (r#"{"retention":{"then":"weekly"}}"#, "/retention/then"),
        (r#"{"schema":{},"shema":{}}"#, "/shema"),
        (r#"{}"#, "/schema"),
        (r#"{"schema":{},"kind":"project"}"#, "/kind"),
    ] {
        let problem = node.put(TASK, &[], body).await.problem(422, "invalid");
        assert_eq!(text(&problem, "pointer"), pointer, "{body}");
    }
    for kind in ["Task", "syncline_schema", "syncline_tags"] {
        node.put(&format!("/v1/schemas/{kind}"), &[], r#"{"schema":{}}"#)
            .await
            .problem(422, "invalid");
    }
    // The general doors do not write it.
    node.put("/v1/contexts/syncline_schema/task", &[], r#"{"data":{}}"#)
        .await
        .problem(422, "invalid");
    node.get(TASK).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_document_that_does_not_fit_is_refused_place_by_place() {
    let node = with_schema(COUNTED).await;
    let body = r#"{"data":{"status":"lost","tags":7}}"#;
    let problem = node.put(A, &[], body).await.problem(422, "invalid");
    let errors = problem.get("errors").unwrap().as_array().unwrap();
    let mut places: Vec<_> = errors.iter().map(|e| text(e, "pointer")).collect();
    places.sort_unstable();
    assert_eq!(places, ["/data", "/data/status", "/data/tags"]);
    assert!(errors.iter().all(|error| !text(error, "detail").is_empty()));
    assert_eq!(text(&problem, "pointer"), text(&errors[0], "pointer"));
    // Sent again, the refusal is the same.
    let key = [("idempotency-key", "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f")];
    let first = node.put(A, &key, body).await.problem(422, "invalid");
    let again = node.put(A, &key, body).await.problem(422, "invalid");
    assert_eq!(again, first);
    node.put(A, &[], r#"{"data":{"n":1,"status":"open"}}"#)
        .await
        .ok();
    let problem = node.merge(A, &[], r#"{"data":{"n":"one"}}"#).await;
    let problem = problem.problem(422, "invalid");
    assert_eq!(text(&problem, "pointer"), "/data/n");
}

#[tokio::test]
async fn declared_fields_merge_as_declared() {
    let node = with_schema(COUNTED).await;
    node.put(A, &[], r#"{"data":{"n":10,"tags":["a"]}}"#)
        .await
        .ok();
    on_first(&node, &[], r#"{"data":{"n":13,"tags":["a","b"]}}"#).await;
    let second = on_first(&node, &[], r#"{"data":{"n":14,"tags":["a","c"]}}"#).await;
    assert_eq!(text(&second, "outcome"), "merged");
    let merged = data(&node, A).await;
    assert_eq!(merged.get("n"), Some(&Json::from(17)));
    assert_eq!(merged.get("tags"), Some(&json(r#"["a","b","c"]"#)));
    let blame = node.get(&format!("{A}/blame?path=/data/n")).await.ok();
    assert_eq!(text(&blame.json(), "rule"), "counter");
}

#[tokio::test]
async fn a_kind_chooses_its_strategy_and_its_fallback() {
    for (declared, outcome) in [
        (r#"{"strategy":"latest_wins"}"#, "merged"),
        (r#"{"fallback":"latest_wins"}"#, "merged"),
        (r#"{"strategy":"keep_both"}"#, "kept_both"),
        (r#"{"strategy":"manual"}"#, "conflict"),
    ] {
        let node = with_schema(declared).await;
        node.put(A, &[], r#"{"data":{"x":0}}"#).await.ok();
        on_first(&node, &[], r#"{"data":{"x":1}}"#).await;
        let second = on_first(&node, &[], r#"{"data":{"x":2}}"#).await;
        assert_eq!(text(&second, "outcome"), outcome, "{declared}");
    }
}

/// What merging.md says of texts, a schema may declare for texts.
#[tokio::test]
async fn texts_merge_by_the_rules_that_are_declared_for_them() {
    let node = with_schema(
        r#"{"schema":{"properties":{
        "due":{"type":"string","x-merge":"max"},
        "since":{"type":"string","x-merge":"min"},
        "log":{"type":"string","x-merge":"append"}}}}"#,
    )
    .await;
    let data = |due: &str, since: &str, log: &str| {
        format!(r#"{{"data":{{"due":"{due}","since":"{since}","log":"{log}"}}}}"#)
    };
    node.put(A, &[], &data("2026-01-01", "2026-01-09", "a"))
        .await
        .ok();
    let base = [("syncline-base", "1")];
    node.merge(A, &base, &data("2026-01-03", "2026-01-05", "ab"))
        .await
        .ok();
    let second = data("2026-01-02", "2026-01-04", "ac");
    let second = node.merge(A, &base, &second).await.ok().json();
    assert_eq!(text(&second, "outcome"), "merged");
    let head = node.get(A).await.ok().json();
    assert_eq!(
        head.get("data"),
        Some(&json(
            r#"{"due":"2026-01-03","log":"abc","since":"2026-01-04"}"#
        ))
    );
}
