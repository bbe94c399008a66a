//! Webhooks through the doors: made, shown, changed, rotated, ended, and refused with pointers.

use std::sync::Arc;

use syncline_delivery::webhook::exchange::{Exchange, ExchangeLimits, Roots, SystemResolver};
use syncline_delivery::webhook::guard::Guard;
use syncline_delivery::webhook::{WebhookSettings, Webhooks};
use syncline_model::json::Json;

use crate::node::{Node, json, text};

const HOOKS: &str = "/v1/webhooks";

pub async fn node() -> Node {
    Node::with(|doors| {
        let guard = Guard::new(false, &["127.0.0.1".to_owned()]).unwrap();
        let resolver = Arc::new(SystemResolver::default());
        let exchange = Exchange::new(guard, resolver, Roots::System, ExchangeLimits::default());
        let settings = WebhookSettings {
            webhooks_max: 3,
            ..WebhookSettings::default()
        };
        let webhooks = Webhooks::start(doors.engine.clone(), exchange, settings);
        doors.webhooks = Some(webhooks);
    })
    .await
}

async fn post(node: &Node, path: &str, body: &str) -> crate::node::Reply {
    let kind = [("content-type", "application/json")];
    node.send("POST", path, &kind, body).await
}

async fn patch(node: &Node, path: &str, body: &str) -> crate::node::Reply {
    let kind = [("content-type", "application/json")];
    node.send("PATCH", path, &kind, body).await
}

#[tokio::test]
async fn what_a_webhook_does_with_a_change_is_explained() {
    let node = node().await;
    // Nobody listens there, so each attempt fails.
    let body = r#"{"url":"https://127.0.0.1:1/hook",
        "filter":[{"exact":{"kind":"note"}},{"exact":{"kind":"task"}}]}"#;
    let id = text(&post(&node, HOOKS, body).await.ok().json(), "id").to_owned();
    let path = "/v1/contexts/task/a?create=true";
    let change = node.merge(path, &[], r#"{"data":{"n":1}}"#).await.ok();
    let change = text(&change.json(), "change_id").to_owned();
    let path = format!("/v1/explain/delivery?change={change}&webhook={id}");
    for _ in 0..200 {
        let answer = node.get(&path).await.ok().json();
        let found = &answer.get("subscribers").unwrap().as_array().unwrap()[0];
        assert_eq!(found.get("wanted"), Some(&Json::from(true)));
        let holds = |at: usize| {
            let clause = &found.get("filter").unwrap().as_array().unwrap()[at];
            clause.get("holds").cloned()
        };
        assert_eq!(
            (holds(0), holds(1)),
            (Some(false.into()), Some(true.into()))
        );
        if text(found, "because") == "it waits for its next attempt" {
            assert_eq!(text(found.get("queue").unwrap(), "state"), "delayed");
            let attempts = found.get("attempts").unwrap().as_array().unwrap();
            assert_eq!(text(&attempts[0], "outcome"), "failed");
            let stats = node.get("/v1/stats").await.ok().json();
            let counted = stats.get("delivery").unwrap().get("webhooks").unwrap();
            assert_eq!(text(&counted.as_array().unwrap()[0], "id"), id);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it does not wait: {}", node.get(&path).await.body);
}

#[tokio::test]
async fn a_webhook_is_made_shown_changed_rotated_and_ended() {
    let node = node().await;
    // Nobody listens there: nothing is to arrive in this test.
    let body = r#"{"url":"https://127.0.0.1:1/hook","scope":[{"context":"task/a"}],
        "filter":{"exact":{"kind":"task"}},"where":"true","mode":"thin","description":"d"}"#;
    let made = post(&node, HOOKS, body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let made_json = made.json();
    let (id, secret) = (text(&made_json, "id"), text(&made_json, "secret"));
    let place = format!("{HOOKS}/{id}");
    assert_eq!(made.header("location"), Some(place.as_str()));
    assert!(secret.starts_with("whsec_"));
    assert_eq!(
        made_json.get("receipt").and_then(|r| r.get("version")),
        Some(&Json::from(1))
    );

    let shown = node.get(&place).await.ok();
    assert!(!shown.body.contains("whsec_"), "a secret is shown once");
    let webhook = shown.json();
    for (name, value) in [
        ("url", r#""https://127.0.0.1:1/hook""#),
        ("scope", r#"[{"context":"task/a"}]"#),
        ("where", r#""true""#),
        ("mode", r#""thin""#),
        ("enabled", "true"),
        ("description", r#""d""#),
        // The setting names its address.
        ("verified", "true"),
        ("circuit", r#""closed""#),
        ("delivered", "0"),
    ] {
        assert_eq!(
            webhook.get(name).map(Json::to_text).as_deref(),
            Some(value),
            "{name}"
        );
    }
    assert_eq!(text(&webhook, "status"), "active");
    assert_eq!(text(&webhook, "etag"), shown.etag());
    let list = node.get(HOOKS).await.ok().json();
    assert_eq!(list.get("webhooks").unwrap().as_array().unwrap().len(), 1);
    // The log and the general doors know the definition, and no secret.
    let log = node.get("/v1/changes").await.ok();
    assert!(log.body.contains("syncline_webhook/") && !log.body.contains("whsec_"));
    let general = format!("/v1/contexts/syncline_webhook/{id}");
    let written = node.put(&general, &[("if-match", "*")], "{}").await;
    assert_eq!(written.status, 422, "{}", written.body);

    patch(&node, &place, r#"{"enabled":false,"where":null}"#)
        .await
        .ok();
    let webhook = node.get(&place).await.ok().json();
    assert_eq!(
        (text(&webhook, "status"), webhook.get("where")),
        ("off", None)
    );
    let stale = [
        ("content-type", "application/json"),
        ("if-match", shown.etag()),
    ];
    let refused = node
        .send("PATCH", &place, &stale, r#"{"mode":"delta"}"#)
        .await;
    refused.problem(412, "precondition_failed");

    let rotated = node
        .send("POST", &format!("{place}/rotate"), &[], "")
        .await
        .ok()
        .json();
    assert_ne!(text(&rotated, "secret"), secret);
    assert!(text(&rotated, "old_signs_until").len() > 10);
    let given = format!(r#"{{"secret":"{secret}"}}"#);
    let back = post(&node, &format!("{place}/rotate"), &given)
        .await
        .ok()
        .json();
    assert_eq!(text(&back, "secret"), secret);
    for list in ["attempts", "dead"] {
        let found = node.get(&format!("{place}/{list}")).await.ok().json();
        assert_eq!(found.get(list), Some(&json("[]")));
    }
    let told = node
        .send("POST", &format!("{place}/test"), &[], "")
        .await
        .ok()
        .json();
    assert_eq!(text(&told, "error"), "the connection failed");

    node.send("DELETE", &place, &[], "").await.ok();
    node.get(&place).await.problem(404, "not_found");
    let again = node.send("DELETE", &place, &[], "").await;
    again.problem(404, "not_found");
    let found = post(&node, &format!("{place}/replay"), r#"{"dead":true}"#).await;
    found.problem(404, "not_found");
    let list = node.get(HOOKS).await.ok().json();
    assert_eq!(list.get("webhooks"), Some(&json("[]")));
}

#[tokio::test]
async fn a_call_that_is_sent_again_makes_no_second_webhook() {
    let node = node().await;
    let kind = ("content-type", "application/json");
    let key = ("idempotency-key", "0199a3b2-0000-7000-8000-000000000001");
    let body = r#"{"url":"https://hooks.example/"}"#;
    let first = node.send("POST", HOOKS, &[kind, key], body).await.json();
    let second = node.send("POST", HOOKS, &[kind, key], body).await.json();
    assert_eq!(text(&first, "id"), text(&second, "id"));
    assert!(first.get("secret").is_some() && second.get("secret").is_none());
    assert_eq!(
        first.get("receipt").unwrap().get("seq"),
        second.get("receipt").unwrap().get("seq")
    );
    let other = r#"{"url":"https://other.example/"}"#;
    let reused = node.send("POST", HOOKS, &[kind, key], other).await;
    reused.problem(422, "change_id_reused");
    for _ in 0..2 {
        assert_eq!(post(&node, HOOKS, body).await.status, 201);
    }
    post(&node, HOOKS, body).await.problem(429, "too_many");
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let node = node().await;
    for (body, status, pointer) in [
        ("{}", 422, "/url"),
        (r#"{"url":7}"#, 422, "/url"),
        (r#"{"url":"http://hooks.example/"}"#, 422, "/url"),
        (r#"{"url":"https://10.0.0.1/"}"#, 422, "/url"),
        (r#"{"url":"https://0xa9fea9fe/"}"#, 422, "/url"),
        (
            r#"{"url":"https://localhost.:443/","scope":[]}"#,
            422,
            "/scope",
        ),
        (
            r#"{"url":"https://a.example/","scope":[{"all":true}]}"#,
            422,
            "/scope/0/all",
        ),
        (
            r#"{"url":"https://a.example/","filter":{"exakt":{}}}"#,
            422,
            "/filter/exakt",
        ),
        (
            r#"{"url":"https://a.example/","where":"1 +"}"#,
            422,
            "/where",
        ),
        (
            r#"{"url":"https://a.example/","mode":"loud"}"#,
            422,
            "/mode",
        ),
        (
            r#"{"url":"https://a.example/","secret":"whsec_AAAA"}"#,
            422,
            "/secret",
        ),
        (
            r#"{"url":"https://a.example/","enabled":"yes"}"#,
            422,
            "/enabled",
        ),
        (r#"{"url":"https://a.example/","urls":[]}"#, 422, "/urls"),
    ] {
        let refused = post(&node, HOOKS, body).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.body);
        assert_eq!(text(&refused.json(), "pointer"), pointer, "{body}");
        assert!(!refused.body.contains("AAAA"), "no secret in an answer");
    }
    for path in ["nothing", "a%2Fb", "%00", &"x".repeat(300)] {
        let found = node.get(&format!("{HOOKS}/{path}")).await;
        assert_eq!(found.status, 404, "{path}: {}", found.body);
    }
    let made = post(&node, HOOKS, r#"{"url":"https://hooks.example/"}"#)
        .await
        .json();
    let place = format!("{HOOKS}/{}", text(&made, "id"));
    for (body, status) in [
        ("{}", 422),
        (r#"{"dead":false}"#, 422),
        (r#"{"dead":true,"after":"x"}"#, 422),
        (r#"{"after":"garbage"}"#, 400),
        (r#"{"since":"yesterday"}"#, 422),
        (r#"{"since":"2199-01-01T00:00:00Z"}"#, 422),
        (r#"{"since":"start","dead":true}"#, 422),
        (r#"{"change":"0199a3b2-0000-7000-8000-00000000dead"}"#, 404),
        (r#"{"change":"7"}"#, 422),
    ] {
        let refused = post(&node, &format!("{place}/replay"), body).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.body);
    }
    let refused = node.get(&format!("{place}/dead?page=a/b")).await;
    assert_eq!(refused.status, 400);
    let refused = patch(&node, &place, r#"{"secret":"whsec_AAAA"}"#).await;
    assert_eq!(text(&refused.json(), "pointer"), "/secret");
}

#[tokio::test]
async fn p10_the_status_names_webhooks_that_reach_nobody() {
    let node = node().await;
    let body = r#"{"url":"https://127.0.0.1:1/secret-path"}"#;
    let made = post(&node, HOOKS, body).await.json();
    let id = text(&made, "id");
    let status = node.get("/v1/status").await.ok().json();
    assert_eq!(status.get("healthy"), Some(&Json::from(true)));
    // Five events fail at once, and the circuit opens.
    for n in 0..5 {
        let written = node
            .put(&format!("/v1/contexts/task/t{n}"), &[], "{}")
            .await;
        assert_eq!(written.status, 201, "{}", written.body);
    }
    let mut status = Json::Null;
    for _ in 0..500 {
        status = node.get("/v1/status").await.ok().json();
        if status.get("healthy") == Some(&Json::from(false)) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let reasons = status.get("reasons").and_then(Json::as_array).unwrap();
    let reason = reasons[0].as_str().unwrap();
    let begin = format!("webhook {id}: its circuit is open, nothing arrived since 20");
    assert!(reason.starts_with(&begin), "{reason}");
    assert!(reason.ends_with("the connection failed") && !reason.contains("secret-path"));
    node.get("/healthz").await.ok();
    // Its owner knows what he turned off.
    let off = r#"{"enabled":false}"#;
    patch(&node, &format!("{HOOKS}/{id}"), off).await.ok();
    let status = node.get("/v1/status").await.ok().json();
    assert_eq!(status.get("reasons"), Some(&json("[]")));
}

/// Returns what is told of a change with a webhook, once it is said.
async fn said(node: &Node, change: &str, id: &str, begin: &str) -> Json {
    let path = format!("/v1/explain/delivery?change={change}&webhook={id}");
    let mut body = String::new();
    for _ in 0..250 {
        let answer = node.get(&path).await.ok();
        let found = answer
            .json()
            .get("subscribers")
            .unwrap()
            .as_array()
            .unwrap()[0]
            .clone();
        if text(&found, "because").starts_with(begin) {
            return found;
        }
        body = answer.body;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it is not said that {begin}: {body}");
}

async fn write(node: &Node, context: &str) -> String {
    let path = format!("/v1/contexts/{context}?create=true");
    let at = node.engine.fresh_id();
    let body = format!(r#"{{"data":{{"at":"{at}"}}}}"#);
    let receipt = node.merge(&path, &[], &body).await.ok();
    text(&receipt.json(), "change_id").to_owned()
}

async fn delivery(node: &Node) -> Json {
    let stats = node.get("/v1/stats").await.ok().json();
    stats.get("delivery").unwrap().clone()
}

#[tokio::test]
async fn p10_why_a_webhook_sends_nothing_is_said() {
    let node = node().await;
    let before = write(&node, "task/before").await;
    let body = r#"{"url":"https://127.0.0.1:1/hook"}"#;
    let made = post(&node, HOOKS, body).await.ok().json();
    let id = text(&made, "id");
    let place = format!("{HOOKS}/{id}");
    let first = write(&node, "task/a").await;
    said(&node, &first, id, "it waits for its next attempt").await;
    let made = "it was committed before the webhook was made";
    let found = said(&node, &before, id, made).await;
    assert_eq!(text(found.get("queue").unwrap(), "state"), "before");
    let second = write(&node, "task/a").await;
    let behind = "it waits behind an earlier change of its context";
    let found = said(&node, &second, id, behind).await;
    assert_eq!(found.get("queue").unwrap().get("due_at"), None);
    // First attempts that failed were no retries.
    let counted = delivery(&node).await;
    assert_eq!(counted.get("retries"), Some(&Json::from(0)));
    let hooks = counted.get("webhooks").unwrap().as_array().unwrap();
    assert_eq!(text(&hooks[0], "status"), "failing");
    // Its owner turns it off: nothing is due, and nothing more is read.
    patch(&node, &place, r#"{"enabled":false}"#).await.ok();
    let off = "it waits: the webhook is turned off";
    let found = said(&node, &first, id, off).await;
    assert_eq!(found.get("queue").unwrap().get("due_at"), None);
    let unread = write(&node, "task/b").await;
    said(
        &node,
        &unread,
        id,
        "it was not read: the webhook is turned off",
    )
    .await;
    for _ in 0..250 {
        let counted = delivery(&node).await;
        let hooks = counted.get("webhooks").unwrap().as_array().unwrap();
        // It is gone for the moment between two definitions.
        if hooks
            .first()
            .is_some_and(|hook| text(hook, "status") == "off")
        {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the stats do not say that it is off");
}

#[tokio::test]
async fn p10_an_endpoint_that_is_left_alone_or_answers_no_challenge_is_named() {
    let node = node().await;
    let body = r#"{"url":"https://127.0.0.1:1/hook"}"#;
    let made = post(&node, HOOKS, body).await.ok().json();
    let id = text(&made, "id");
    let mut change = String::new();
    for n in 0..5 {
        change = write(&node, &format!("task/t{n}")).await;
    }
    let found = said(&node, &change, id, "it waits until 20").await;
    let because = text(&found, "because");
    let alone = "Z: the endpoint is left alone after failures: the connection failed";
    assert!(because.ends_with(alone), "{because}");
    assert_eq!(text(&found, "circuit"), "open");
    let due = text(found.get("queue").unwrap(), "due_at");
    let shown = node.get(&format!("{HOOKS}/{id}")).await.ok().json();
    assert!(due >= text(&shown, "next_probe_at"), "{due}");
    // Nobody has this name.
    let body = r#"{"url":"https://hooks.invalid/"}"#;
    let made = post(&node, HOOKS, body).await.ok().json();
    let id = text(&made, "id");
    let change = write(&node, "task/c").await;
    let found = said(&node, &change, id, "it waits until 20").await;
    let because = text(&found, "because");
    assert!(
        because.contains("Z: the endpoint did not answer its challenge (")
            && because.ends_with("); it is asked again"),
        "{because}"
    );
    assert_eq!(text(&found, "status"), "unverified");
}

#[tokio::test]
async fn p10_a_replay_of_what_a_webhook_is_not_told_says_so() {
    let node = node().await;
    let body = r#"{"url":"https://127.0.0.1:1/hook","scope":[{"context":"task/a"}],
        "filter":{"changed":"/data/at"}}"#;
    let made = post(&node, HOOKS, body).await.ok().json();
    let id = text(&made, "id");
    let place = format!("{HOOKS}/{id}/replay");
    let outside = write(&node, "note/a").await;
    let inside = write(&node, "task/a").await;
    let path = "/v1/contexts/task/a";
    let receipt = node.merge(path, &[], r#"{"title":"t"}"#).await.ok().json();
    let filtered = text(&receipt, "change_id").to_owned();
    for (change, why) in [
        (outside.as_str(), "its context is outside of the scope"),
        (&filtered, "the filter does not let it pass"),
        (id, "a webhook is told nothing of webhooks"),
    ] {
        let refused = post(&node, &place, &format!(r#"{{"change":"{change}"}}"#)).await;
        let problem = refused.problem(422, "invalid");
        assert_eq!(text(&problem, "pointer"), "/change");
        let detail = text(&problem, "detail");
        assert!(detail.ends_with(why), "{detail}");
    }
    let body = format!(r#"{{"change":"{inside}"}}"#);
    let sent = post(&node, &place, &body).await.ok().json();
    assert_eq!(sent.get("events"), Some(&Json::from(1)));
}
