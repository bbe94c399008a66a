//! What is declared for the whole workspace.

use syncline_model::json::Json;

use crate::merge::{A, data};
use crate::node::{Node, json, text};

const RULES: &str = "/v1/rules";

#[tokio::test]
async fn rules_of_the_workspace_are_kept_read_and_taken_back() {
    let node = Node::start().await;
    let shown = node.get(RULES).await.ok().json();
    let in_force =
        json(r#"{"strategy":"merge","fallback":"manual","ranks":{},"conflict_deadline_s":300}"#);
    assert_eq!(shown.get("in_force"), Some(&in_force));
    assert_eq!(shown.get("version"), None);
    let declared = r#"{"strategy":"source_priority","ranks":{"person/ana":10,"agent/ci":-1},
        "conflict_deadline_s":60,"retention":{"keep_all_days":30,"then":"daily"}}"#;
    let made = node.put(RULES, &[], declared).await;
    assert_eq!((made.status, made.header("location")), (201, Some(RULES)));
    let shown = node.get(RULES).await.ok().json();
    for (name, value) in json(declared).as_object().unwrap().iter() {
        assert_eq!(shown.get(name), Some(value));
        assert_eq!(shown.get("in_force").unwrap().get(name), Some(value));
    }
    // What was read may come back; what it was read as is strict if asked for.
    let seen = [("if-match", text(&shown, "etag"))];
    let mut sent = shown.as_object().unwrap().clone();
    sent.insert("fallback", Json::from("latest_wins"));
    let sent = Json::Object(sent).to_text();
    node.put(RULES, &seen, &sent).await.ok();
    node.put(RULES, &seen, &sent)
        .await
        .problem(412, "precondition_failed");
    node.send("DELETE", RULES, &[], "").await.ok();
    node.send("DELETE", RULES, &[], "")
        .await
        .problem(404, "not_found");
    let shown = node.get(RULES).await.ok().json();
    assert_eq!(shown.get("in_force"), Some(&in_force));
    assert_eq!(shown.get("strategy"), None);
    // The general doors do not write it.
    node.put(
        "/v1/contexts/syncline_rules/workspace",
        &[],
        r#"{"data":{}}"#,
    )
    .await
    .problem(422, "invalid");
}

#[tokio::test]
async fn a_wrong_rule_names_its_field() {
    let node = Node::start().await;
    for (body, pointer) in [
        (r#"{"strategy":"coin_toss"}"#, "/strategy"),
        (r#"{"fallback":7}"#, "/fallback"),
        (r#"{"ranks":["person/ana"]}"#, "/ranks"),
        (r#"{"ranks":{"ana":1}}"#, "/ranks/ana"),
        (r#"{"ranks":{"agent/a":1.5}}"#, "/ranks/agent~1a"),
        (r#"{"conflict_deadline_s":0}"#, "/conflict_deadline_s"),
        (r#"{"retention":{"then":"weekly"}}"#, "/retention/then"),
        (r#"{"schema":{}}"#, "/schema"),
        ("{}", "/strategy"),
    ] {
        let problem = node.put(RULES, &[], body).await.problem(422, "invalid");
        assert_eq!(text(&problem, "pointer"), pointer, "{body}");
    }
}

/// A strategy is the write's own, else its context's, its kind's, the workspace's, the node's.
#[tokio::test]
async fn a_workspace_says_what_kinds_leave_out() {
    let node = Node::start().await;
    let outcome = async |own: &[(&str, &str)]| {
        node.send("DELETE", A, &[("if-match", "*")], "").await;
        let made = node.put(A, &[], r#"{"data":{"s":"open"}}"#).await.json();
        let first = made
            .get("version")
            .and_then(Json::as_u64)
            .unwrap()
            .to_string();
        node.merge(A, &[], r#"{"data":{"s":"done"}}"#).await.ok();
        let mut headers = vec![("syncline-base", first.as_str())];
        headers.extend(own);
        let met = node
            .merge(A, &headers, r#"{"data":{"s":"stuck"}}"#)
            .await
            .ok();
        text(&met.json(), "outcome").to_owned()
    };
    assert_eq!(outcome(&[]).await, "conflict");
    node.put(RULES, &[], r#"{"strategy":"latest_wins"}"#)
        .await
        .ok();
    assert_eq!(outcome(&[]).await, "merged");
    let schema = "/v1/schemas/task";
    node.put(schema, &[], r#"{"strategy":"keep_both"}"#)
        .await
        .ok();
    assert_eq!(outcome(&[]).await, "kept_both");
    assert_eq!(
        outcome(&[("syncline-strategy", "manual")]).await,
        "conflict"
    );
    node.send("DELETE", schema, &[], "").await.ok();
    assert_eq!(outcome(&[]).await, "merged");
    // Equal ranks fall to the fallback; a rank that the workspace gives decides.
    node.put(RULES, &[], r#"{"strategy":"source_priority"}"#)
        .await
        .ok();
    let agent = [("syncline-agent", "ana")];
    assert_eq!(outcome(&agent).await, "conflict");
    let ranks =
        r#"{"strategy":"source_priority","ranks":{"agent/ana":1},"conflict_deadline_s":60}"#;
    node.put(RULES, &[], ranks).await.ok();
    assert_eq!(outcome(&agent).await, "merged");
    assert_eq!(data(&node, A).await.get("s"), Some(&Json::from("stuck")));
    assert_eq!(outcome(&[]).await, "conflict");
    let waiting = node.get("/v1/conflicts?context=task/a");
    let waiting = waiting.await.ok().json();
    let last = waiting
        .get("conflicts")
        .and_then(Json::as_array)
        .unwrap()
        .last()
        .unwrap()
        .clone();
    let time = |name: &str| syncline_model::time::Timestamp::parse(text(&last, name)).unwrap();
    assert_eq!(time("deadline").0 - time("created_at").0, 60_000);
}

#[tokio::test]
async fn p3_some_rules_are_declared_and_taken_back_once() {
    let node = Node::start().await;
    let patch = async |number: u8, body: &str| {
        let id = format!("01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e{number:02x}");
        let headers = [
            ("content-type", "application/merge-patch+json"),
            ("idempotency-key", id.as_str()),
        ];
        let first = node.send("PATCH", RULES, &headers, body).await;
        let again = node.send("PATCH", RULES, &headers, body).await;
        assert_eq!(again.json(), first.json(), "{body}");
        first
    };
    patch(
        0,
        r#"{"strategy":"latest_wins","ranks":{"agent/a":1,"agent/b":2}}"#,
    )
    .await
    .ok();
    patch(1, r#"{"conflict_deadline_s":60,"ranks":{"agent/a":null}}"#)
        .await
        .ok();
    let shown = node.get(RULES).await.ok().json();
    assert_eq!(text(&shown, "strategy"), "latest_wins");
    assert_eq!(shown.get("ranks"), Some(&json(r#"{"agent/b":2}"#)));
    patch(
        2,
        r#"{"strategy":null,"ranks":null,"conflict_deadline_s":null}"#,
    )
    .await
    .ok();
    let shown = node.get(RULES).await.ok().json();
    for name in ["strategy", "ranks", "conflict_deadline_s"] {
        assert_eq!(shown.get(name), None, "{name}");
    }
    // After all was taken back there is nothing left of it.
    patch(3, r#"{"strategy":"latest_wins"}"#).await.ok();
    node.send("DELETE", RULES, &[], "").await.ok();
    patch(4, r#"{"conflict_deadline_s":7}"#).await.ok();
    let shown = node.get(RULES).await.ok().json();
    assert_eq!(shown.get("strategy"), None);
    assert_eq!(shown.get("conflict_deadline_s"), Some(&Json::from(7)));
    let wrong = patch(5, r#"{"ranks":{"ana":1}}"#).await;
    let wrong = wrong.problem(422, "invalid");
    assert_eq!(text(&wrong, "pointer"), "/ranks/ana");
}
