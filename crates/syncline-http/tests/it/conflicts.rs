//! Conflicts through each door: how they come, where they show, and how they end.

use syncline_model::json::{Json, Pointer};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::merge::{A, data, on_first, with_a};
use crate::node::{KEY, Node, Reply, json, text};

/// Leaves a conflict on `/data/x`: base 0, ours 2, theirs 1.
async fn clashed() -> (Node, String) {
    let node = with_a(r#"{"data":{"x":0}}"#).await;
    on_first(&node, &[], r#"{"data":{"x":1}}"#).await;
    let why = [("syncline-message", "mine")];
    let receipt = on_first(&node, &why, r#"{"data":{"x":2}}"#).await;
    let id = receipt
        .pointer(&Pointer::from_static("/conflicts/0"))
        .unwrap();
    let id = id.as_str().unwrap().to_owned();
    (node, id)
}

async fn settle(node: &Node, id: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    node.post(&format!("/v1/conflicts/{id}"), headers, body)
        .await
}

async fn listed(node: &Node, query: &str) -> Vec<Json> {
    let answer = node.get(&format!("/v1/conflicts{query}")).await.ok().json();
    answer
        .get("conflicts")
        .unwrap()
        .as_array()
        .unwrap()
        .to_vec()
}

#[tokio::test]
async fn a_conflict_shows_in_the_queue_and_in_its_context() {
    let (node, id) = clashed().await;
    let all = listed(&node, "").await;
    assert_eq!(all.len(), 1);
    let conflict = &all[0];
    assert_eq!(text(conflict, "id"), id);
    assert_eq!(text(conflict, "context"), "task/a");
    assert_eq!(text(conflict, "path"), "/data/x");
    assert_eq!(text(conflict, "kind"), "data");
    assert_eq!(text(conflict, "state"), "open");
    assert_eq!(text(conflict, "message"), "mine");
    assert_eq!(conflict.get("version"), Some(&Json::from(1)));
    assert_eq!(conflict.get("priority"), Some(&Json::from(2)));
    assert!(conflict.get("by").unwrap().get("ours").is_some());
    let one = node.get(&format!("/v1/conflicts/{id}")).await.ok().json();
    assert_eq!(one, *conflict);
    let context = node.get(A).await.ok().json();
    assert_eq!(
        context.get("conflicts"),
        Some(&json(&format!(r#"["{id}"]"#)))
    );
    assert_eq!(listed(&node, "?context=task/a").await.len(), 1);
    assert!(listed(&node, "?context=task/b").await.is_empty());
    node.get("/v1/conflicts/x").await.problem(422, "invalid");
    node.get("/v1/conflicts?context=x")
        .await
        .problem(422, "invalid");
    let none = "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f.0123456789abcdef";
    node.get(&format!("/v1/conflicts/{none}"))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn the_queue_comes_in_pages() {
    let node = with_a(r#"{"data":{"a":0,"b":0,"c":0}}"#).await;
    on_first(&node, &[], r#"{"data":{"a":1,"b":1,"c":1}}"#).await;
    on_first(&node, &[], r#"{"data":{"a":2,"b":2,"c":2}}"#).await;
    let all = listed(&node, "").await;
    assert_eq!(all.len(), 3);
    let (mut seen, mut page) = (Vec::new(), String::new());
    loop {
        let answer = node.get(&format!("/v1/conflicts?limit=2{page}")).await.ok();
        let answer = answer.json();
        let some = answer
            .get("conflicts")
            .unwrap()
            .as_array()
            .unwrap()
            .to_vec();
        assert!(some.len() <= 2);
        seen.extend(some);
        match answer.get("next").and_then(Json::as_str) {
            Some(next) => page = format!("&page={next}"),
            None => break,
        }
    }
    assert_eq!(seen, all);
    for other in ["open=false&", "context=task/a&"] {
        let problem = node.get(&format!("/v1/conflicts?{other}{page}")).await;
        let problem = problem.problem(400, "bad_request");
        assert_eq!(text(&problem, "pointer"), "/page");
    }
    node.get(&format!("/v1/conflicts?open=true{page}"))
        .await
        .ok();
    node.get("/v1/conflicts?page=x")
        .await
        .problem(400, "bad_request");
}

#[tokio::test]
async fn what_waits_beyond_its_deadline_is_more_urgent() {
    let mut settings = syncline_engine::Settings::default();
    settings.rules.conflict_deadline_ms = -1;
    let node = Node::with_settings(settings).await;
    node.put(A, &[], r#"{"data":{"x":0}}"#).await.ok();
    on_first(&node, &[], r#"{"data":{"x":1}}"#).await;
    on_first(&node, &[], r#"{"data":{"x":2}}"#).await;
    let all = listed(&node, "").await;
    assert_eq!(all[0].get("priority"), Some(&Json::from(1)));
}

#[tokio::test]
async fn settling_takes_ours_theirs_or_a_value() {
    for (choice, x) in [
        (r#""choose":"ours""#, 2),
        (r#""choose":"theirs""#, 1),
        (r#""value":7"#, 7),
    ] {
        let (node, id) = clashed().await;
        let body = format!(r#"{{"version":1,{choice}}}"#);
        let settled = settle(&node, &id, &[("syncline-message", "so%20be%20it")], &body).await;
        let receipt = settled.ok().json();
        assert_eq!(text(&receipt, "outcome"), "applied", "{choice}");
        assert_eq!(receipt.get("version"), Some(&Json::from(4)), "{choice}");
        assert_eq!(data(&node, A).await.get("x"), Some(&Json::from(x)));
        assert!(listed(&node, "").await.is_empty());
        let ended = &listed(&node, "?open=false").await[0];
        assert_eq!(text(ended, "state"), "settled");
        assert_eq!(text(ended, "settled_by"), text(&receipt, "change_id"));
        assert_eq!(ended.get("closed"), Some(&Json::from(4)));
        let context = node.get(A).await.json();
        assert_eq!(context.get("conflicts"), Some(&json("[]")));
        let versions = node.get(&format!("{A}/versions?limit=1")).await.json();
        let last = versions
            .pointer(&Pointer::from_static("/versions/0"))
            .unwrap();
        assert_eq!(text(last, "message"), "so be it");
        assert_eq!(
            last.get("settled"),
            Some(&json(&format!(r#"["{id}"]"#))),
            "{choice}"
        );
    }
}

#[tokio::test]
async fn a_side_that_moved_is_shown_before_it_is_settled() {
    let (node, id) = clashed().await;
    node.merge(A, &[], r#"{"data":{"x":5}}"#).await.ok();
    let moved = settle(&node, &id, &[], r#"{"version":1,"choose":"ours"}"#).await;
    let problem = moved.problem(412, "precondition_failed");
    let sides = ["base", "ours", "theirs"].map(|side| problem.get(side).cloned());
    assert_eq!(sides, [0, 2, 5].map(|n| Some(Json::from(n))));
    let conflict = node.get(&format!("/v1/conflicts/{id}")).await.json();
    assert_eq!(conflict.get("version"), Some(&Json::from(2)));
    let ours = r#"{"version":2,"choose":"ours"}"#;
    settle(&node, &id, &[], ours).await.ok();
    assert_eq!(data(&node, A).await.get("x"), Some(&Json::from(2)));
    // Once is enough: it does not wait any more, and its sides say what it was.
    let twice = settle(&node, &id, &[], ours).await;
    let problem = twice.problem(412, "precondition_failed");
    assert_eq!(problem.get("base"), Some(&Json::from(0)));
    assert!(problem.get("ours").is_some() && problem.get("theirs").is_some());
}

#[tokio::test]
async fn a_conflict_ends_by_itself_when_both_sides_agree() {
    let (node, id) = clashed().await;
    node.merge(A, &[], r#"{"data":{"x":2}}"#).await.ok();
    assert!(listed(&node, "").await.is_empty());
    let ended = node.get(&format!("/v1/conflicts/{id}")).await.json();
    assert_eq!(text(&ended, "state"), "agreed");
}

#[tokio::test]
async fn p3_settling_that_is_sent_again_hears_the_same() {
    let (node, id) = clashed().await;
    let key = [("idempotency-key", "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f")];
    let ours = r#"{"version":1,"choose":"ours"}"#;
    let first = settle(&node, &id, &key, ours).await.ok().json();
    let again = settle(&node, &id, &key, ours).await.ok().json();
    assert_eq!(again, first);
    settle(&node, &id, &key, r#"{"version":1,"choose":"theirs"}"#)
        .await
        .problem(422, "change_id_reused");
    // A refusal is final too.
    let key = [("idempotency-key", "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e10")];
    for _ in 0..2 {
        settle(&node, &id, &key, ours)
            .await
            .problem(412, "precondition_failed");
    }
}

#[tokio::test]
async fn rolling_a_settlement_back_opens_the_conflict_again() {
    let (node, id) = clashed().await;
    settle(&node, &id, &[], r#"{"version":1,"choose":"ours"}"#)
        .await
        .ok();
    node.post(&format!("{A}/rollback"), &[], r#"{"version":3}"#)
        .await
        .ok();
    assert_eq!(data(&node, A).await.get("x"), Some(&Json::from(1)));
    let open = listed(&node, "").await;
    assert_eq!(text(&open[0], "id"), id);
    let version = open[0].get("version").and_then(Json::as_u64).unwrap();
    assert!(version > 1);
    let theirs = format!(r#"{{"version":{version},"choose":"theirs"}}"#);
    settle(&node, &id, &[], &theirs).await.ok();
    assert!(listed(&node, "").await.is_empty());
}

#[tokio::test]
async fn a_wrong_settlement_names_its_field() {
    let (node, id) = clashed().await;
    for (body, pointer) in [
        (r#"{"version":1}"#, "/choose"),
        (r#"{"version":"1","choose":"ours"}"#, "/version"),
        (r#"{"version":1,"choose":"both"}"#, "/choose"),
        (r#"{"version":1,"choose":"ours","value":1}"#, "/choose"),
        (r#"{"version":1,"chose":"ours"}"#, "/chose"),
        (
            r#"{"version":1,"choose":"ours","conflict":"x"}"#,
            "/conflict",
        ),
        (r#"[]"#, ""),
    ] {
        let problem = settle(&node, &id, &[], body).await.problem(422, "invalid");
        assert_eq!(text(&problem, "pointer"), pointer, "{body}");
    }
    assert_eq!(listed(&node, "").await.len(), 1);
    // Without a version it is chosen from the sides as they are; sent again, the answer is the same.
    let key = [("idempotency-key", "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f")];
    let ours = r#"{"choose":"ours"}"#;
    let first = settle(&node, &id, &key, ours).await.ok().json();
    let again = settle(&node, &id, &key, ours).await.ok().json();
    assert_eq!(again, first);
    assert_eq!(listed(&node, "").await.len(), 0);
}

#[tokio::test]
async fn sse_and_websocket_tell_of_conflicts_and_of_their_end() {
    let node = with_a(r#"{"data":{"x":0}}"#).await;
    let mut stream = node.connect().await;
    let request = format!(
        "GET /v1/changes/stream HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {KEY}\r\n\r\n",
        node.address
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    while !lines.next_line().await.unwrap().unwrap().is_empty() {}
    let mut socket = node.hello().await;
    socket
        .say(r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"from":"now"}"#)
        .await;
    socket.hear_type("subscribed").await;
    on_first(&node, &[], r#"{"data":{"x":1}}"#).await;
    socket.hear_type("change").await;
    // A proposal over the socket leaves the conflict, another ends it.
    let submit = |body: &str| format!(r#"{{"type":"submit","id":"r","proposals":[{body}]}}"#);
    let clash =
        r#"{"context":"task/a","op":"merge","base":1,"strategy":"manual","body":{"data":{"x":2}}}"#;
    socket.say(&submit(clash)).await;
    let (receipt, change) = socket.hear_both("receipt", "change").await;
    let first = receipt
        .pointer(&Pointer::from_static("/receipts/0"))
        .unwrap();
    assert_eq!(text(first, "outcome"), "conflict");
    let id = first.pointer(&Pointer::from_static("/conflicts/0"));
    let id = id.unwrap().as_str().unwrap();
    let change = change.get("change").unwrap();
    assert_eq!(text(change, "outcome"), "conflict");
    let ids = json(&format!(r#"["{id}"]"#));
    assert_eq!(change.get("conflicts"), Some(&ids));
    let end = format!(
        r#"{{"context":"task/a","op":"settle","body":{{"conflict":"{id}","version":1,"value":9}}}}"#
    );
    socket.say(&submit(&end)).await;
    let (_, change) = socket.hear_both("receipt", "change").await;
    assert_eq!(change.get("change").unwrap().get("settled"), Some(&ids));
    // Rolling back, on a branch that is not there.
    let lost = r#"{"context":"task/a","op":"rollback","branch":"none","body":{"version":1}}"#;
    socket.say(&submit(lost)).await;
    let receipt = socket.hear_type("receipt").await;
    let error = receipt.pointer(&Pointer::from_static("/receipts/0/error"));
    assert_eq!(text(error.unwrap(), "code"), "not_found");
    let mut told = Vec::new();
    while told.len() < 3 {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some(data) = line.strip_prefix("data: ") {
            told.push(json(data));
        }
    }
    assert_eq!(told[1].get("conflicts"), Some(&ids));
    assert_eq!(told[2].get("settled"), Some(&ids));
}
