//! Durable subscriptions and digests over HTTP and the WebSocket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_model::ids::Seq;
use syncline_model::json::{Json, Pointer};
use syncline_store::{MemoryStore, ReadFault};

use crate::node::{Node, json, text};

const S: &str = "/v1/subscriptions";

async fn define(node: &Node, body: &str) -> Json {
    node.post(S, &[], body).await.ok().json()
}

async fn write(node: &Node, context: &str, n: u64) {
    let path = format!("/v1/contexts/{context}?create=true");
    let body = format!(r#"{{"data":{{"n":{n}}}}}"#);
    let headers = [("syncline-agent", "claude-1"), ("syncline-message", "step")];
    node.merge(&path, &headers, &body).await.ok();
}

async fn next(node: &Node, query: &str) -> Vec<Json> {
    let answer = node.get(&format!("{S}/ci/next?{query}")).await.ok().json();
    deliveries(&answer)
}

/// Returns each delivery with its own changes.
fn deliveries(answer: &Json) -> Vec<Json> {
    let items = |name: &str| answer.get(name).unwrap().as_array().unwrap().to_vec();
    let mut changes = items("changes").into_iter();
    let mut whole = Vec::new();
    for delivery in items("deliveries") {
        let count = usize::try_from(number(&delivery, "changes")).unwrap();
        let own: Json = changes.by_ref().take(count).collect();
        let mut members = delivery.as_object().unwrap().clone();
        members.insert("changes", own);
        whole.push(Json::Object(members));
    }
    assert_eq!(changes.next(), None, "each change is of a delivery");
    whole
}

/// Returns what a delivery is about: context, version and how often it came.
fn told(delivery: &Json) -> (String, u64, u64) {
    let change = &delivery.get("changes").unwrap().as_array().unwrap()[0];
    let number = |json: &Json, name: &str| json.get(name).unwrap().as_u64().unwrap();
    let context = text(change, "context").to_owned();
    (
        context,
        number(change, "version"),
        number(delivery, "delivery"),
    )
}

fn number(json: &Json, name: &str) -> u64 {
    json.get(name).unwrap().as_u64().unwrap()
}

async fn ack(node: &Node, body: String) -> u64 {
    let answer = node.post(&format!("{S}/ci/ack"), &[], &body).await.ok();
    number(&answer.json(), "acked")
}

/// A program may say who it is when it takes, and not when it acknowledges.
#[tokio::test]
async fn who_has_a_cursor_may_acknowledge_by_it() {
    let node = Node::start().await;
    define(&node, r#"{"name":"ci"}"#).await;
    for n in 1..=3 {
        write(&node, "task/a", n).await;
        write(&node, "task/b", n).await;
    }
    let path = format!("{S}/ci/next?limit=2");
    let agent = [("syncline-agent", "claude-1")];
    let taken = node.send("GET", &path, &agent, "").await.ok().json();
    assert_eq!(deliveries(&taken).len(), 2);
    let others = next(&node, "consumer=other&limit=2").await;
    let cursor = text(&taken, "cursor");
    assert_eq!(ack(&node, format!(r#"{{"cursor":"{cursor}"}}"#)).await, 2);
    let found = node.get(&format!("{S}/ci")).await.ok().json();
    assert_eq!(number(&found, "in_flight"), others.len() as u64);
}

#[tokio::test]
async fn a_subscription_is_defined_read_and_acknowledged() {
    let node = Node::start().await;
    write(&node, "task/before", 0).await;
    let made = node
        .post(
            S,
            &[],
            r#"{"name":"ci","filter":{"exact":{"kind":"task"}}}"#,
        )
        .await;
    assert_eq!(
        (made.status, made.header("location")),
        (201, Some("/v1/subscriptions/ci"))
    );
    write(&node, "task/a", 1).await;
    write(&node, "note/x", 1).await;
    write(&node, "task/b", 1).await;
    write(&node, "task/a", 2).await;
    let first = next(&node, "limit=2").await;
    let shown: Vec<_> = first.iter().map(told).collect();
    let expected = [("task/a".to_owned(), 1, 1), ("task/b".to_owned(), 1, 1)];
    assert_eq!(shown, expected);
    let cursor = text(&first[1], "cursor");
    assert_eq!(ack(&node, format!(r#"{{"cursor":"{cursor}"}}"#)).await, 2);
    let rest = next(&node, "").await;
    assert_eq!(
        rest.iter().map(told).collect::<Vec<_>>(),
        [("task/a".to_owned(), 2, 1)]
    );
    let found = node.get(&format!("{S}/ci")).await.ok().json();
    assert_eq!(
        (number(&found, "in_flight"), number(&found, "behind")),
        (1, 1)
    );
    assert_eq!(
        found.get("filter"),
        Some(&json(r#"{"exact":{"kind":"task"}}"#))
    );
    let cursor = text(&rest[0], "cursor");
    assert_eq!(
        ack(&node, format!(r#"{{"cursors":["{cursor}"]}}"#)).await,
        1
    );
    assert_eq!(
        ack(&node, format!(r#"{{"cursors":["{cursor}"]}}"#)).await,
        0
    );
    let list = node.get(S).await.ok().json();
    let all = list.get("subscriptions").unwrap().as_array().unwrap();
    assert_eq!((all.len(), number(&all[0], "behind")), (1, 0));
    // Defined anew it goes on from what was acknowledged; taken back it is gone.
    let again = node.post(S, &[], r#"{"name":"ci","window":5}"#).await.ok();
    assert_eq!((again.status, number(&again.json(), "window")), (200, 5));
    write(&node, "note/x", 2).await;
    // Its own definition is a change of the workspace, too.
    assert_eq!(next(&node, "").await.len(), 2);
    node.send("DELETE", &format!("{S}/ci"), &[], "").await.ok();
    node.get(&format!("{S}/ci/next"))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let node = Node::start().await;
    for (body, pointer) in [
        (r#"{"name":"a b","scope":[]}"#, "/name"),
        (r#"{"name":"ci","scope":[]}"#, "/scope"),
        (r#"{"name":"ci","from":"snapshot"}"#, "/from"),
        (r#"{"name":"ci","window":0}"#, "/window"),
        (r#"{"name":"ci","windows":1}"#, "/windows"),
        (r#"{"name":"ci","where":"1 +"}"#, "/where"),
        (
            r#"{"name":"ci","filter":{"exactly":{}}}"#,
            "/filter/exactly",
        ),
    ] {
        let problem = node.post(S, &[], body).await.problem(422, "invalid");
        assert_eq!(text(&problem, "pointer"), pointer, "{body}");
    }
    node.get(&format!("{S}/ci")).await.problem(404, "not_found");
    define(&node, r#"{"name":"ci"}"#).await;
    let post = |call: &str, body: &'static str| {
        let path = format!("{S}/ci/{call}");
        let node = &node;
        async move { node.post(&path, &[], body).await }
    };
    post("ack", "{}").await.problem(422, "invalid");
    for (call, body, pointer) in [
        ("ack", r#"{"cursor":"x"}"#, "/cursor"),
        ("ack", r#"{"cursors":["x"]}"#, "/cursors/0"),
        ("nack", r#"{"cursor":"x","delay_ms":1}"#, "/cursor"),
        ("extend", r#"{"cursor":"x"}"#, "/cursor"),
        ("seek", r#"{"cursor":"x"}"#, "/cursor"),
    ] {
        let problem = post(call, body).await.problem(400, "bad_cursor");
        assert_eq!(text(&problem, "pointer"), pointer, "{call} {body}");
    }
    let from = r#"{"name":"two","from":{"cursor":"x"}}"#;
    let problem = node.post(S, &[], from).await.problem(400, "bad_cursor");
    assert_eq!(text(&problem, "pointer"), "/from/cursor");
    post("seek", "{}").await.problem(400, "bad_request");
    let status = node.get("/v1/status").await.ok().json();
    let cursor = text(&status, "cursor");
    let path = format!("{S}/ci/nack");
    let nack = node
        .post(&path, &[], &format!(r#"{{"cursor":"{cursor}"}}"#))
        .await;
    nack.problem(404, "not_found");
    // The general doors write no definitions.
    let put = node
        .put("/v1/contexts/syncline_subscription/x", &[], "{}")
        .await;
    assert!(put.status >= 400);
}

#[tokio::test]
async fn consumers_wait_share_and_give_up() {
    let node = Node::start().await;
    define(&node, r#"{"name":"ci","max_deliveries":2}"#).await;
    let started = Instant::now();
    assert!(next(&node, "wait_ms=150").await.is_empty());
    assert!(started.elapsed() >= Duration::from_millis(150));
    let (woken, ()) = tokio::join!(next(&node, "wait_ms=30000&consumer=x"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        write(&node, "task/a", 1).await;
    });
    assert_eq!(
        woken.iter().map(told).collect::<Vec<_>>(),
        [("task/a".to_owned(), 1, 1)]
    );
    write(&node, "task/a", 2).await;
    write(&node, "task/b", 1).await;
    // What x has in hand keeps its context from y.
    let other = next(&node, "consumer=y").await;
    assert_eq!(
        other.iter().map(told).collect::<Vec<_>>(),
        [("task/b".to_owned(), 1, 1)]
    );
    let cursor = text(&woken[0], "cursor").to_owned();
    let nack = format!(r#"{{"cursor":"{cursor}","reason":"it hurts"}}"#);
    node.post(&format!("{S}/ci/nack"), &[], &nack).await.ok();
    let again = next(&node, "consumer=x&limit=1").await;
    assert_eq!(told(&again[0]), ("task/a".to_owned(), 1, 2));
    node.post(&format!("{S}/ci/nack"), &[], &nack).await.ok();
    let dead = node.get(&format!("{S}/ci/dead")).await.ok().json();
    let letters = dead.get("dead").unwrap().as_array().unwrap();
    assert_eq!(
        (letters.len(), text(&letters[0], "reason")),
        (1, "it hurts")
    );
    assert_eq!(text(&letters[0], "cursor"), cursor);
    // What was given up was not acknowledged, though the place moves over it.
    let log = node.get("/v1/contexts/task/a/versions").await.ok().json();
    let change = text(&log.get("versions").unwrap().as_array().unwrap()[1], "id").to_owned();
    let explained = node
        .get(&format!(
            "/v1/explain/delivery?subscription=ci&change={change}"
        ))
        .await
        .ok()
        .json();
    let found = &explained.get("subscribers").unwrap().as_array().unwrap()[0];
    assert_eq!(found.get("acknowledged"), Some(&Json::from(false)));
    assert_eq!(text(found.get("queue").unwrap(), "state"), "dead");
    let rest = next(&node, "consumer=x").await;
    assert_eq!(told(&rest[0]), ("task/a".to_owned(), 2, 1));
    let replay = format!("{S}/ci/dead/{cursor}/replay");
    node.post(&replay, &[], "").await.ok();
    node.post(&replay, &[], "").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_delivery_is_explained() {
    let node = Node::start().await;
    let body = r#"{"name":"ci","filter":[{"exact":{"kind":"task","type":"update"}}]}"#;
    define(&node, body).await;
    write(&node, "task/a", 1).await;
    write(&node, "task/a", 2).await;
    let log = node.get("/v1/contexts/task/a/versions").await.ok().json();
    let versions = log.get("versions").unwrap().as_array().unwrap();
    let explain = |change: &Json| {
        let path = format!(
            "/v1/explain/delivery?subscription=ci&change={}",
            text(change, "id")
        );
        let node = &node;
        async move {
            let answer = node.get(&path).await.ok().json();
            answer.get("subscribers").unwrap().as_array().unwrap()[0].clone()
        }
    };
    let created = explain(&versions[1]).await;
    assert_eq!(created.get("wanted"), Some(&Json::from(false)));
    assert_eq!(text(&created, "because"), "the filter does not let it pass");
    let clause = |found: &Json, at: &str| found.pointer(&Pointer::parse(at).unwrap()).cloned();
    assert_eq!(
        clause(&created, "/filter/0/of/0/holds"),
        Some(Json::from(true))
    );
    assert_eq!(
        clause(&created, "/filter/0/of/1/holds"),
        Some(Json::from(false))
    );
    assert_eq!(
        text(&explain(&versions[0]).await, "because"),
        "nobody has asked for it yet"
    );
    let given = next(&node, "consumer=x").await;
    let updated = explain(&versions[0]).await;
    assert_eq!(
        clause(&updated, "/queue/state"),
        Some(Json::from("in_flight"))
    );
    assert_eq!(clause(&updated, "/queue/attempts"), Some(Json::from(1)));
    let cursor = text(&given[0], "cursor");
    ack(&node, format!(r#"{{"cursors":["{cursor}"]}}"#)).await;
    let done = explain(&versions[0]).await;
    assert_eq!(done.get("acknowledged"), Some(&Json::from(true)));
    node.get("/v1/explain/delivery?change=01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f")
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn p9_a_principal_defines_so_many() {
    let node = Node::with(|doors| doors.limits.durables_max = 2).await;
    define(&node, r#"{"name":"a"}"#).await;
    define(&node, r#"{"name":"ci"}"#).await;
    let refused = node.post(S, &[], r#"{"name":"c"}"#).await;
    let problem = refused.problem(429, "too_many");
    assert_eq!(text(&problem, "setting"), "max_durable_subscriptions");
    // What is there may be defined anew, and what is taken back makes room.
    define(&node, r#"{"name":"a","window":5}"#).await;
    node.send("DELETE", &format!("{S}/a"), &[], "").await.ok();
    define(&node, r#"{"name":"c"}"#).await;
}

#[tokio::test]
async fn a_digest_makes_many_changes_one_and_keeps_to_its_budget() {
    let node = Node::start().await;
    for n in 0..20 {
        write(&node, &format!("task/t{}", n % 4), n).await;
    }
    let whole = node.get("/v1/changes?digest=true").await.ok().json();
    let contexts = whole.get("digest").unwrap().as_array().unwrap();
    assert_eq!((contexts.len(), number(&whole, "changes")), (5, 21));
    let t0 = &contexts[1];
    assert_eq!(
        (text(t0, "context"), text(t0, "type")),
        ("task/t0", "create")
    );
    assert_eq!((number(t0, "version"), number(t0, "changes")), (5, 5));
    let by = &t0.get("by").unwrap().as_array().unwrap()[0];
    assert_eq!(
        (text(by, "message"), text(by, "outcome")),
        ("step", "applied")
    );
    // In small pieces, no change is left out and none comes twice.
    let (mut after, mut changes, mut answers) = (String::new(), 0, 0);
    loop {
        let path = format!("/v1/changes?digest=true&budget_bytes=2500{after}");
        let reply = node.get(&path).await.ok();
        let answer = reply.json();
        let contexts = answer.get("digest").unwrap().as_array().unwrap();
        let bytes: usize = contexts.iter().map(|c| c.to_text().len()).sum();
        assert!(bytes <= 2_500, "{bytes} bytes");
        changes += number(&answer, "changes");
        answers += 1;
        after = format!("&after={}", text(&answer, "cursor"));
        let left = answer.get("left_out");
        if answer.get("more").is_none() {
            assert_eq!(left, None);
            break;
        }
    }
    assert_eq!(changes, 21);
    assert!((3..21).contains(&answers), "{answers} answers");
    // Of so many contexts at most, by whole changes of theirs.
    let two = node.get("/v1/changes?digest=true&limit=2").await.ok();
    let two = two.json();
    let contexts = two.get("digest").unwrap().as_array().unwrap();
    let names: Vec<_> = contexts.iter().map(|c| text(c, "context")).collect();
    assert_eq!(names, ["global/main", "task/t0"]);
    assert_eq!(number(two.get("left_out").unwrap(), "changes"), 19);
    assert_eq!(two.get("more"), Some(&Json::from(true)));
    let rest = format!(
        "/v1/changes?digest=true&limit=4&after={}",
        text(&two, "cursor")
    );
    let rest = node.get(&rest).await.ok().json();
    assert_eq!((number(&rest, "changes"), rest.get("more")), (19, None));
    // What would change nothing is refused, with its place.
    for (query, place) in [
        ("digest=true&budget_bytes=0", "/budget_bytes"),
        ("digest=true&mode=thin", "/mode"),
        ("digest=true&old=true", "/old"),
        ("digest=true&fields=/data", "/fields"),
        ("budget_bytes=2500", "/budget_bytes"),
        ("digest=false&budget_bytes=2500", "/budget_bytes"),
    ] {
        let refused = node.get(&format!("/v1/changes?{query}")).await;
        let problem = refused.problem(400, "bad_request");
        assert_eq!(text(&problem, "pointer"), place, "{query}");
    }
    node.get("/v1/changes?digest=true&old=false").await.ok();
    // Of what is durable, too.
    define(
        &node,
        r#"{"name":"ci","from":"start","scope":[{"context":"task/t1"}]}"#,
    )
    .await;
    node.get(&format!("{S}/ci/next?budget_bytes=2500"))
        .await
        .problem(400, "bad_request");
    let digest = node
        .get(&format!("{S}/ci/next?digest=true"))
        .await
        .ok()
        .json();
    let contexts = digest.get("digest").unwrap().as_array().unwrap();
    assert_eq!((contexts.len(), number(&contexts[0], "changes")), (1, 5));
    let cursor = text(&digest, "cursor");
    assert_eq!(ack(&node, format!(r#"{{"cursor":"{cursor}"}}"#)).await, 5);
}

#[tokio::test]
async fn a_socket_joins_and_what_it_leaves_comes_to_another() {
    let node = Node::start().await;
    define(&node, r#"{"name":"ci"}"#).await;
    let mut x = node.hello().await;
    let join = r#"{"type":"subscribe","id":"s","durable":"ci"}"#;
    x.say(join).await;
    assert_eq!(
        x.hear_type("subscribed").await.get("recovered"),
        Some(&Json::from(true))
    );
    write(&node, "task/a", 1).await;
    let first = x.hear_type("change").await;
    assert_eq!((number(&first, "n"), number(&first, "delivery")), (1, 1));
    let cursor_of = |message: &Json| text(message.get("change").unwrap(), "cursor").to_owned();
    x.say(&format!(
        r#"{{"type":"ack","sub":"s","cursor":"{}"}}"#,
        cursor_of(&first)
    ))
    .await;
    write(&node, "task/a", 2).await;
    let second = x.hear_type("change").await;
    let nack = r#"{"type":"nack","sub":"s","cursor":"#;
    x.say(&format!(
        r#"{nack}"{}","reason":"later"}}"#,
        cursor_of(&second)
    ))
    .await;
    let again = x.hear_type("change").await;
    assert_eq!((number(&again, "n"), number(&again, "delivery")), (3, 2));
    x.say(r#"{"type":"extend","sub":"s"}"#).await;
    x.say(r#"{"type":"ack","sub":"s","cursor":"x"}"#).await;
    let error = x.hear_type("error").await;
    assert_eq!(
        (text(&error, "code"), text(&error, "pointer")),
        ("bad_cursor", "/cursor")
    );
    // The socket closes without an ack: another has it at once.
    drop(x);
    let mut y = node.hello().await;
    y.say(join).await;
    let third = y.hear_type("change").await;
    assert_eq!((number(&third, "n"), number(&third, "delivery")), (1, 3));
    y.say(&format!(
        r#"{{"type":"ack","sub":"s","cursor":"{}"}}"#,
        cursor_of(&third)
    ))
    .await;
    for _ in 0..200 {
        let found = node.get(&format!("{S}/ci")).await.ok().json();
        if number(&found, "behind") == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let found = node.get(&format!("{S}/ci")).await.ok().json();
    assert_eq!(
        (number(&found, "behind"), number(&found, "waiting")),
        (0, 0)
    );
    y.say(r#"{"type":"subscribe","id":"t","durable":"nobody"}"#)
        .await;
    assert_eq!(text(&y.hear_type("error").await, "code"), "not_found");
    y.say(r#"{"type":"subscribe","id":"t","durable":"ci","mode":"thin"}"#)
        .await;
    assert_eq!(text(&y.hear_type("error").await, "code"), "invalid");
}

/// What cannot be read for a moment is asked for again; rot ends the subscription, and no other.
#[tokio::test]
async fn p9_what_cannot_be_read_ends_one_durable_subscription_alone() {
    let store = Arc::new(MemoryStore::new());
    let node = Node::over(&store).await;
    define(
        &node,
        r#"{"name":"ci","from":"start","scope":[{"context":"task/a"}]}"#,
    )
    .await;
    for n in 1..=5 {
        write(&node, "task/a", n).await;
    }
    // The log begins with global/main and the definition.
    store.set_read_fault(Some(ReadFault::Failed(Seq(5))));
    let mut socket = node.hello().await;
    let live = r#"{"type":"subscribe","id":"live","scope":[{"context":"task/b"}],"from":"now"}"#;
    socket.say(live).await;
    socket.hear_type("subscribed").await;
    let durable = r#"{"type":"subscribe","id":"s","durable":"ci"}"#;
    socket.say(durable).await;
    socket.hear_type("subscribed").await;
    for version in 1..=2 {
        let change = socket.hear().await;
        assert_eq!(number(change.get("change").unwrap(), "version"), version);
    }
    tokio::time::sleep(Duration::from_millis(250)).await;
    store.set_read_fault(Some(ReadFault::Rot(Seq(6))));
    let change = socket.hear().await;
    assert_eq!(text(&change, "sub"), "s");
    assert_eq!(number(change.get("change").unwrap(), "version"), 3);
    assert_eq!(number(&change, "delivery"), 1);
    let error = socket.hear().await;
    assert_eq!((text(&error, "ref"), text(&error, "code")), ("s", "rot"));
    assert_eq!(error.get("ended"), Some(&Json::from(true)));
    write(&node, "task/b", 1).await;
    assert_eq!(text(&socket.hear_type("change").await, "sub"), "live");
}

/// All of a query is read before anything is taken: what a refused call had taken nobody would have
/// seen, and it would come to be a dead letter.
#[tokio::test]
async fn a_digest_that_is_refused_takes_nothing() {
    let node = Node::start().await;
    for n in 0..3 {
        write(&node, &format!("task/t{n}"), n).await;
    }
    define(&node, r#"{"name":"ci","from":"start"}"#).await;
    for budget in ["0", "99999999", "abc"] {
        let path = format!("{S}/ci/next?digest=true&budget_bytes={budget}");
        node.get(&path).await.problem(400, "bad_request");
        let shown = node.get(&format!("{S}/ci")).await.ok().json();
        assert_eq!(
            (number(&shown, "in_flight"), number(&shown, "delivered")),
            (0, 0)
        );
    }
    let path = format!("{S}/ci/next?digest=true&budget_bytes=1");
    let given = node.get(&path).await.ok().json();
    let deliveries = given.get("deliveries").unwrap().as_array().unwrap();
    // One passes, whatever it holds; the rest is still there.
    assert_eq!(deliveries.len(), 1);
}

/// What does not fit is put back as if it had not been taken.
#[tokio::test]
async fn a_durable_digest_keeps_to_its_budget() {
    const BUDGET: usize = 1_500;
    let node = Node::start().await;
    for n in 0..30 {
        write(&node, &format!("task/t{n}"), n).await;
    }
    define(
        &node,
        r#"{"name":"ci","filter":{"exact":{"kind":"task"}},"from":"start"}"#,
    )
    .await;
    let mut seen = Vec::new();
    while seen.len() < 30 {
        let path = format!("{S}/ci/next?digest=true&budget_bytes={BUDGET}");
        let answer = node.get(&path).await.ok().json();
        let contexts = answer.get("digest").unwrap().as_array().unwrap();
        let bytes: usize = contexts.iter().map(|one| one.to_text().len()).sum();
        assert!(bytes <= BUDGET && !contexts.is_empty(), "{bytes} bytes");
        for context in contexts {
            assert_eq!(text(context, "enc"), "snapshot", "it fits with its body");
            seen.push(text(context, "context").to_owned());
        }
        assert_eq!(number(&answer, "changes"), contexts.len() as u64);
        let left = answer.get("left_out").map(|left| number(left, "changes"));
        assert_eq!(left.is_some(), seen.len() < 30);
        let state = node.get(&format!("{S}/ci")).await.ok().json();
        assert_eq!(number(&state, "in_flight"), contexts.len() as u64);
        assert_eq!(number(&state, "delivered"), seen.len() as u64);
        assert_eq!(number(&state, "redelivered"), 0);
        let cursor = text(&answer, "cursor");
        let acked = ack(&node, format!(r#"{{"cursor":"{cursor}"}}"#)).await;
        assert_eq!(acked, contexts.len() as u64);
    }
    let mut each = seen.clone();
    each.sort();
    each.dedup();
    assert_eq!(each.len(), seen.len(), "{seen:?}");
}

#[tokio::test]
async fn p5_a_durable_digest_tells_of_a_reset() {
    let node = Node::start().await;
    for (context, parent) in [
        ("project/p", "global/main"),
        ("project/q", "global/main"),
        ("branch/b", "project/p"),
        ("task/t", "branch/b"),
    ] {
        let body = format!(r#"{{"parent":"{parent}"}}"#);
        let path = format!("/v1/contexts/{context}");
        node.put(&path, &[], &body).await.ok();
    }
    let scope = r#"[{"subtree":"project/p"}]"#;
    define(&node, &format!(r#"{{"name":"ci","scope":{scope}}}"#)).await;
    let moved = r#"{"parent":"project/q"}"#;
    node.merge("/v1/contexts/branch/b", &[], moved).await.ok();
    let path = format!("{S}/ci/next?digest=true");
    let answer = node.get(&path).await.ok().json();
    assert_eq!(text(&answer, "reset"), "access");
    assert_eq!(
        answer.get("deliveries").unwrap().as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn p3_taking_a_subscription_back_again_hears_the_first_answer() {
    let node = Node::start().await;
    define(&node, r#"{"name":"ci"}"#).await;
    let key = [("idempotency-key", "0199a3b2-0000-7000-8000-000000000001")];
    let path = format!("{S}/ci");
    let first = node.send("DELETE", &path, &key, "").await.ok().json();
    let again = node.send("DELETE", &path, &key, "").await.ok().json();
    assert_eq!(text(&first, "etag"), text(&again, "etag"));
    node.send("DELETE", &path, &[], "")
        .await
        .problem(404, "not_found");
}
