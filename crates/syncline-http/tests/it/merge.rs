//! Writes that meet: what merges, what clashes, and what each strategy makes of it.

use syncline_model::json::{Json, Pointer};

use crate::node::{Node, Reply, json, text};

pub const A: &str = "/v1/contexts/task/a";

/// Makes `task/a` and returns a node on which both writers have seen version 1.
pub async fn with_a(body: &str) -> Node {
    let node = Node::start().await;
    assert_eq!(node.put(A, &[], body).await.status, 201);
    node
}

/// Writes on version 1, and returns the receipt.
pub async fn on_first(node: &Node, headers: &[(&str, &str)], patch: &str) -> Json {
    let seen = [("syncline-base", "1")];
    node.merge(A, &[&seen, headers].concat(), patch)
        .await
        .ok()
        .json()
}

pub async fn data(node: &Node, path: &str) -> Json {
    let context = node.get(path).await.ok().json();
    context.get("data").cloned().unwrap_or(Json::Null)
}

#[tokio::test]
async fn p4_two_writers_of_one_version_lose_nothing() {
    let node = with_a(r#"{"data":{"a":1,"b":1}}"#).await;
    let first = on_first(&node, &[], r#"{"data":{"a":2}}"#).await;
    assert_eq!(text(&first, "outcome"), "applied");
    let second = on_first(&node, &[], r#"{"data":{"b":2}}"#).await;
    assert_eq!(text(&second, "outcome"), "merged");
    assert_eq!(second.get("version"), Some(&Json::from(3)));
    assert_eq!(second.get("detected"), Some(&json(r#"["version"]"#)));
    assert_eq!(data(&node, A).await, json(r#"{"a":2,"b":2}"#));
    // The same through a whole replacement, and through a JSON Patch.
    let seen = [("syncline-base", "1")];
    let put = node.put(A, &seen, r#"{"title":"T"}"#).await.ok();
    assert_eq!(text(&put.json(), "outcome"), "merged");
    let patch = r#"[{"op":"add","path":"/data/c","value":3}]"#;
    let patched = node.patch(A, &seen, patch).await.ok();
    assert_eq!(text(&patched.json(), "outcome"), "merged");
    assert_eq!(data(&node, A).await, json(r#"{"a":2,"b":2,"c":3}"#));
    // Both say the same: nothing clashes, and the head says so already.
    let agreed = on_first(&node, &[], r#"{"data":{"a":2}}"#).await;
    assert_eq!(text(&agreed, "outcome"), "unchanged");
    // If-Match stays strict.
    let created = node.get(&format!("{A}?version=1")).await.ok();
    node.merge(A, &[("if-match", created.etag())], r#"{"data":{"d":1}}"#)
        .await
        .problem(412, "precondition_failed");
}

/// Makes both writers want `/data/x`, the second by a strategy.
async fn clash(strategy: &str) -> (Node, Reply) {
    let node = with_a(r#"{"data":{"x":0,"y":0}}"#).await;
    on_first(&node, &[("syncline-agent", "low")], r#"{"data":{"x":1}}"#).await;
    let headers = [
        ("syncline-base", "1"),
        ("syncline-strategy", strategy),
        ("syncline-agent", "high"),
    ];
    let reply = node.merge(A, &headers, r#"{"data":{"x":2,"y":2}}"#).await;
    (node, reply)
}

async fn check_waits(strategy: &str) {
    let (node, reply) = clash(strategy).await;
    let receipt = reply.ok().json();
    assert_eq!(text(&receipt, "outcome"), "conflict", "{strategy}");
    let ids = receipt.get("conflicts").unwrap().as_array().unwrap();
    assert_eq!(ids.len(), 1, "{strategy}");
    // What does not clash is applied, and the place shows the head.
    assert_eq!(data(&node, A).await, json(r#"{"x":1,"y":2}"#), "{strategy}");
    let path = format!("/v1/conflicts/{}", ids[0].as_str().unwrap());
    let conflict = node.get(&path).await.ok().json();
    let sides = ["base", "ours", "theirs"].map(|side| conflict.get(side).cloned());
    assert_eq!(sides, [0, 2, 1].map(|n| Some(Json::from(n))), "{strategy}");
    assert_eq!(text(&conflict, "strategy"), strategy);
}

#[tokio::test]
async fn merge_field_merge_and_manual_let_a_clash_wait() {
    for strategy in ["merge", "field_merge", "manual"] {
        check_waits(strategy).await;
    }
}

#[tokio::test]
async fn latest_wins_takes_the_later() {
    let (node, reply) = clash("latest_wins").await;
    assert_eq!(text(&reply.ok().json(), "outcome"), "merged");
    assert_eq!(data(&node, A).await, json(r#"{"x":2,"y":2}"#));
    // History keeps what lost.
    let blame = node.get(&format!("{A}/blame?path=/data/x")).await.ok();
    let blame = blame.json();
    assert_eq!(text(&blame, "rule"), "latest_wins");
    assert_eq!(blame.get("beat"), Some(&json("[1]")));
}

#[tokio::test]
async fn source_priority_takes_the_higher_rank() {
    use syncline_engine::Settings;
    for (ranks, x, outcome) in [
        (vec![("agent/high".to_owned(), 5)], 2, "merged"),
        (vec![("agent/low".to_owned(), 5)], 1, "merged"),
        (vec![], 1, "conflict"),
    ] {
        let mut settings = Settings::default();
        settings.rules.ranks = syncline_engine::Ranks(ranks);
        let node = Node::with_settings(settings).await;
        node.put(A, &[], r#"{"data":{"x":0}}"#).await.ok();
        on_first(&node, &[("syncline-agent", "low")], r#"{"data":{"x":1}}"#).await;
        let headers = [
            ("syncline-strategy", "source_priority"),
            ("syncline-agent", "high"),
        ];
        let receipt = on_first(&node, &headers, r#"{"data":{"x":2}}"#).await;
        assert_eq!(text(&receipt, "outcome"), outcome);
        assert_eq!(data(&node, A).await.get("x"), Some(&Json::from(x)));
    }
}

#[tokio::test]
async fn keep_both_leaves_the_head_and_makes_a_branch() {
    let (node, reply) = clash("keep_both").await;
    let receipt = reply.ok().json();
    assert_eq!(text(&receipt, "outcome"), "kept_both");
    let name = format!("conflict/{}", text(&receipt, "change_id"));
    assert_eq!(text(&receipt, "branch"), name);
    assert_eq!(data(&node, A).await, json(r#"{"x":1,"y":0}"#));
    let branches = node.get(&format!("{A}/branches")).await.ok().json();
    let branch = branches
        .pointer(&Pointer::from_static("/branches/0"))
        .unwrap();
    assert_eq!(text(branch, "name"), name);
    assert_eq!(branch.get("from"), Some(&Json::from(1)));
    let path = format!("{A}?branch={}", name.replace('/', "%2F"));
    let kept = node.get(&path).await.ok();
    assert_eq!(kept.etag(), text(branch, "etag"));
    let kept = kept.json();
    assert_eq!(kept.get("data"), Some(&json(r#"{"x":2,"y":2}"#)));
    assert_eq!(
        (text(&kept, "context"), text(&kept, "branch")),
        ("task/a", name.as_str())
    );
}

#[tokio::test]
async fn user_choice_applies_nothing_and_shows_the_sides() {
    let (node, reply) = clash("user_choice").await;
    let problem = reply.problem(409, "stale_base");
    let x = |side: &str| {
        let at = Pointer::from_static("/data/x");
        problem.get(side).unwrap().pointer(&at).cloned()
    };
    let sides = ["base", "ours", "theirs"].map(x);
    assert_eq!(sides, [0, 2, 1].map(|n| Some(Json::from(n))));
    assert_eq!(data(&node, A).await, json(r#"{"x":1,"y":0}"#));
    // What merges cleanly needs no choice.
    let chosen = [("syncline-strategy", "user_choice")];
    let receipt = on_first(&node, &chosen, r#"{"data":{"y":2}}"#).await;
    assert_eq!(text(&receipt, "outcome"), "merged");
}

#[tokio::test]
async fn a_strategy_that_is_none_is_refused() {
    let node = with_a("{}").await;
    let headers = [("syncline-strategy", "coin_toss")];
    let problem = node.merge(A, &headers, r#"{"title":"x"}"#).await;
    let problem = problem.problem(422, "invalid");
    assert_eq!(text(&problem, "pointer"), "/strategy");
}

#[tokio::test]
async fn a_deletion_that_meets_an_edit_waits() {
    let node = with_a(r#"{"data":{"x":0}}"#).await;
    on_first(&node, &[], r#"{"data":{"x":1}}"#).await;
    let seen = [("syncline-base", "1")];
    let deleted = node.send("DELETE", A, &seen, "").await.ok().json();
    assert_eq!(text(&deleted, "outcome"), "conflict");
    assert_eq!(data(&node, A).await, json(r#"{"x":1}"#));
    let waiting = node.get("/v1/conflicts").await.ok().json();
    let conflict = waiting
        .pointer(&Pointer::from_static("/conflicts/0"))
        .unwrap();
    assert_eq!(conflict.get("ours"), None, "a deletion wants nothing");
    // An edit that meets a deleted context restores it as a conflict.
    let node = with_a(r#"{"data":{"x":0}}"#).await;
    node.send("DELETE", A, &seen, "").await.ok();
    let edited = on_first(&node, &[], r#"{"data":{"x":1}}"#).await;
    assert_eq!(text(&edited, "outcome"), "conflict");
    assert_eq!(data(&node, A).await, json(r#"{"x":1}"#));
}

#[tokio::test]
async fn undo_and_rollback_keep_what_others_wrote() {
    let node = with_a(r#"{"data":{"a":1,"b":1}}"#).await;
    let ana = [("syncline-agent", "ana")];
    let ben = [("syncline-agent", "ben")];
    node.merge(A, &ana, r#"{"data":{"a":2}}"#).await.ok();
    node.merge(A, &ben, r#"{"data":{"b":2}}"#).await.ok();
    let id = "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f";
    let undo = [("syncline-agent", "ana"), ("idempotency-key", id)];
    let undone = node.post(&format!("{A}/undo"), &undo, "").await.ok();
    assert_eq!(text(&undone.json(), "outcome"), "merged");
    assert_eq!(data(&node, A).await, json(r#"{"a":1,"b":2}"#));
    // The same id hears the same, though the newest change is another now.
    let again = node.post(&format!("{A}/undo"), &undo, "").await.ok();
    assert_eq!(again.json(), undone.json());
    let nobody = [("syncline-agent", "eve")];
    let nothing = node.post(&format!("{A}/undo"), &nobody, "").await;
    assert_eq!(
        text(&nothing.problem(404, "not_found"), "detail"),
        "eve, an agent of person/owner, has changed nothing of context \"task/a\""
    );
    let back = node
        .post(&format!("{A}/rollback"), &[], r#"{"version":1}"#)
        .await
        .ok();
    assert_eq!(back.json().get("version"), Some(&Json::from(5)));
    assert_eq!(data(&node, A).await, json(r#"{"a":1,"b":1}"#));
    for (body, pointer) in [
        ("{}", "/version"),
        (r#"{"version":0}"#, "/version"),
        (r#"{"version":1,"to":2}"#, "/to"),
    ] {
        let problem = node.post(&format!("{A}/rollback"), &[], body).await;
        assert_eq!(text(&problem.problem(422, "invalid"), "pointer"), pointer);
    }
    node.post(&format!("{A}/rollback"), &[], r#"{"version":99}"#)
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn blame_names_who_and_why() {
    let node = with_a(r#"{"title":"T","data":{"x":0}}"#).await;
    let headers = [
        ("syncline-agent", "ana"),
        ("syncline-message", "because%20of%20%C3%A9"),
    ];
    let wrote = node.merge(A, &headers, r#"{"data":{"x":1}}"#).await.ok();
    let wrote = wrote.json();
    node.merge(A, &[], r#"{"title":"U"}"#).await.ok();
    let blame = node.get(&format!("{A}/blame?path=/data/x")).await.ok();
    let blame = blame.json();
    assert_eq!(text(&blame, "path"), "/data/x");
    assert_eq!(blame.get("version"), Some(&Json::from(2)));
    assert_eq!(text(&blame, "change"), text(&wrote, "change_id"));
    assert_eq!(text(blame.get("actor").unwrap(), "agent"), "ana");
    assert_eq!(text(&blame, "message"), "because of é");
    assert_eq!((blame.get("rule"), blame.get("beat")), (None, None));
    node.get(&format!("{A}/blame?path=/data/none"))
        .await
        .problem(404, "not_found");
    node.get(&format!("{A}/blame"))
        .await
        .problem(400, "bad_request");
    node.get(&format!("{A}/blame?path=x"))
        .await
        .problem(422, "invalid");
}
