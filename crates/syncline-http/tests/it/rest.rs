//! Contexts over HTTP: each call, each status.

use syncline_model::json::{Json, Pointer};

use crate::node::{KEY, Node, Reply, json, text};

const A: &str = "/v1/contexts/task/a";

async fn with_a() -> (Node, Reply) {
    let node = Node::start().await;
    let reply = node.put(A, &[], r#"{"title":"A","data":{"n":1}}"#).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    (node, reply)
}

#[tokio::test]
async fn a_context_is_created_read_and_replaced() {
    let (node, created) = with_a().await;
    assert_eq!(created.header("location"), Some(A));
    let receipt = created.json();
    assert_eq!(text(&receipt, "outcome"), "applied");
    assert_eq!(receipt.get("version"), Some(&Json::from(1)));
    assert_eq!(text(&receipt, "etag"), created.etag());
    assert!(receipt.get("cursor").is_some() && receipt.get("seq").is_some());

    let read = node.get(A).await.ok();
    assert_eq!(read.etag(), created.etag());
    let context = read.json();
    assert_eq!(text(&context, "context"), "task/a");
    assert_eq!(text(&context, "parent"), "global/main");
    assert_eq!(text(&context, "owner"), "person/owner");
    assert_eq!(text(&context, "etag"), created.etag());

    // What the server added is ignored when it comes back.
    let mut sent = context.clone();
    sent.as_object_mut()
        .unwrap()
        .insert("title", Json::from("B"));
    let replaced = node
        .put(A, &[("if-match", read.etag())], &sent.to_text())
        .await
        .ok();
    assert_eq!(replaced.status, 200);
    assert_eq!(replaced.header("location"), None);
    let now = node.get(A).await.json();
    assert_eq!(
        (text(&now, "title"), now.get("version")),
        ("B", Some(&Json::from(2)))
    );
    let sent_again = node
        .put(A, &[("if-match", replaced.etag())], &sent.to_text())
        .await
        .ok();
    assert_eq!(text(&sent_again.json(), "outcome"), "unchanged");
}

#[tokio::test]
async fn preconditions_are_strict() {
    let (node, created) = with_a().await;
    let problem = node
        .put(A, &[], r#"{"title":"B"}"#)
        .await
        .problem(428, "precondition_required");
    assert!(text(&problem, "hint").contains("If-Match"));
    node.put(A, &[("if-none-match", "*")], r#"{"title":"B"}"#)
        .await
        .problem(412, "precondition_failed");
    let second = node
        .put(A, &[("if-match", created.etag())], r#"{"title":"B"}"#)
        .await
        .ok();
    let stale = node
        .put(A, &[("if-match", created.etag())], r#"{"title":"C"}"#)
        .await;
    let stale = stale.problem(412, "precondition_failed");
    assert_eq!(text(stale.get("theirs").unwrap(), "title"), "B");
    assert!(stale.get("ours").is_some() && stale.get("base").is_some());
    // An ETag of somebody else's is well-formed, and never the head's.
    node.put(A, &[("if-match", "\"abc\"")], r#"{"title":"C"}"#)
        .await
        .problem(412, "precondition_failed");
    // A weak one never matches, though it is the head's.
    let weak = format!("W/{}", second.etag());
    node.put(A, &[("if-match", &weak)], r#"{"title":"C"}"#)
        .await
        .problem(412, "precondition_failed");
    let problem = node
        .put(A, &[("syncline-base", &weak)], r#"{"title":"C"}"#)
        .await
        .problem(400, "bad_request");
    assert!(text(&problem, "detail").contains("weak"), "{problem:?}");
    node.put(A, &[("if-match", "abc")], r#"{"title":"C"}"#)
        .await
        .problem(400, "bad_request");
    let list = format!("{}, {}", created.etag(), second.etag());
    node.put(A, &[("if-match", &list)], r#"{"title":"C"}"#)
        .await
        .ok();
    node.put(A, &[("if-match", "*")], r#"{"title":"D"}"#)
        .await
        .ok();
    let both = [("if-match", "*"), ("if-none-match", "*")];
    node.put(A, &both, "{}").await.problem(400, "bad_request");
    node.put("/v1/contexts/task/none", &[("if-match", "*")], "{}")
        .await
        .problem(412, "precondition_failed");
    let made = node
        .put("/v1/contexts/task/none", &[("if-none-match", "*")], "{}")
        .await;
    assert_eq!(made.status, 201);
}

#[tokio::test]
async fn a_base_may_be_an_etag_a_change_or_a_version() {
    let (node, created) = with_a().await;
    let id = text(&created.json(), "change_id").to_owned();
    for base in ["1", &id, created.etag()] {
        let fresh = Node::start().await;
        drop(fresh);
        let reply = node
            .put(A, &[("syncline-base", base)], r#"{"title":"A"}"#)
            .await
            .ok();
        assert_eq!(text(&reply.json(), "outcome"), "unchanged", "{base}");
    }
    node.put(A, &[("syncline-base", "1")], r#"{"title":"B"}"#)
        .await
        .ok();
    // The head moved on: what clashes waits, and the write is no failure.
    for base in ["1", &id, created.etag()] {
        let body = format!(r#"{{"title":{}}}"#, Json::from(base).to_text());
        let clash = node.put(A, &[("syncline-base", base)], &body).await.ok();
        assert_eq!(text(&clash.json(), "outcome"), "conflict", "{base}");
    }
    node.put(A, &[("syncline-base", "nonsense")], "{}")
        .await
        .problem(400, "bad_request");
    node.put(A, &[("syncline-base", "99")], "{}")
        .await
        .problem(412, "base_unknown");
}

#[tokio::test]
async fn patches_of_both_kinds() {
    let (node, created) = with_a().await;
    let blind = node
        .merge(A, &[], r#"{"data":{"m":2,"n":null}}"#)
        .await
        .ok();
    assert_eq!(blind.json().get("blind"), Some(&Json::from(true)));
    let seen = [("syncline-base", blind.etag())];
    let patch = r#"[{"op":"test","path":"/data/m","value":2},{"op":"add","path":"/data/list","value":[1]}]"#;
    let patched = node.patch(A, &seen, patch).await.ok();
    assert_eq!(patched.json().get("blind"), None);
    let context = node.get(A).await.json();
    assert_eq!(context.get("data"), Some(&json(r#"{"list":[1],"m":2}"#)));
    let failed = r#"[{"op":"test","path":"/data/m","value":3}]"#;
    node.patch(A, &[], failed).await.problem(409, "test_failed");
    let missing = r#"[{"op":"remove","path":"/data/none"}]"#;
    node.patch(A, &[], missing).await.problem(422, "invalid");
    node.patch(A, &[], r#"{"op":"remove"}"#)
        .await
        .problem(422, "invalid");
    node.merge(A, &[], "[]").await.problem(422, "invalid");
    node.merge(A, &[("if-match", created.etag())], r#"{"title":"x"}"#)
        .await
        .problem(412, "precondition_failed");
    let none = "/v1/contexts/task/none";
    node.merge(none, &[], r#"{"title":"x"}"#)
        .await
        .problem(404, "not_found");
    let made = node
        .merge(&format!("{none}?create=true"), &[], r#"{"title":"x"}"#)
        .await;
    assert_eq!(made.status, 201);
    let put = node
        .send("PATCH", A, &[("content-type", "application/json")], "{}")
        .await;
    assert!(text(&put.problem(415, "unsupported_media_type"), "hint").contains("merge-patch"));
}

#[tokio::test]
async fn deleting_and_restoring() {
    let (node, created) = with_a().await;
    node.send("DELETE", A, &[], "")
        .await
        .problem(428, "precondition_required");
    let deleted = node
        .send("DELETE", A, &[("if-match", created.etag())], "")
        .await
        .ok();
    assert_eq!(deleted.status, 200);
    let gone = node.get(A).await.problem(410, "deleted");
    assert!(gone.get("hint").is_some());
    node.get("/v1/contexts/task/never")
        .await
        .problem(404, "not_found");
    assert_eq!(
        node.get(&format!("{A}?version=1"))
            .await
            .ok()
            .json()
            .get("version"),
        Some(&Json::from(1))
    );
    let listed = node.get("/v1/contexts?kind=task").await.json();
    assert_eq!(listed.get("contexts"), Some(&json("[]")));
    let listed = node.get("/v1/contexts?kind=task&deleted").await.json();
    assert_eq!(
        listed.pointer(&Pointer::from_static("/contexts/0/deleted")),
        Some(&Json::from(true))
    );
    let restored = node
        .send("POST", &format!("{A}/restore"), &[], "")
        .await
        .ok();
    assert_eq!(restored.json().get("version"), Some(&Json::from(3)));
    let body = node.post(&format!("{A}/restore"), &[], r#"{"x":1}"#).await;
    body.problem(422, "invalid");
    assert_eq!(text(&node.get(A).await.ok().json(), "title"), "A");
}

#[tokio::test]
async fn a_subtree_is_deleted_as_one_bulk() {
    let node = Node::start().await;
    node.put("/v1/contexts/project/p", &[], "{}").await.ok();
    node.put("/v1/contexts/task/t1", &[], r#"{"parent":"project/p"}"#)
        .await
        .ok();
    node.put("/v1/contexts/task/t2", &[], r#"{"parent":"project/p"}"#)
        .await
        .ok();
    let path = "/v1/contexts/project/p?subtree=true";
    let delete = |path, headers| node.send("DELETE", path, headers, "");
    delete(path, &[])
        .await
        .problem(428, "precondition_required");
    let wrong = [("if-match", "\"v1-0000000000000000\"")];
    let problem = delete(path, &wrong).await;
    let problem = problem.problem(412, "precondition_failed");
    assert!(problem.get("theirs").is_some(), "{problem:?}");
    delete(
        "/v1/contexts/global/main?subtree=true",
        &[("if-match", "*")],
    )
    .await
    .problem(422, "invalid");
    node.get("/v1/contexts/task/t1").await.ok();
    let answer = node
        .send("DELETE", path, &[("if-match", "*")], "")
        .await
        .ok()
        .json();
    assert_eq!(answer.get("receipts").unwrap().as_array().unwrap().len(), 3);
    node.get("/v1/contexts/task/t1")
        .await
        .problem(410, "deleted");
}

#[tokio::test]
async fn parents_are_checked_and_made_on_request() {
    let node = Node::start().await;
    let body = r#"{"parent":"project/new"}"#;
    let problem = node.put(A, &[], body).await.problem(422, "invalid");
    assert_eq!(text(&problem, "pointer"), "/parent");
    let made = node
        .put(&format!("{A}?create_parents=true"), &[], body)
        .await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert!(made.json().get("bulk").is_some());
    node.get("/v1/contexts/project/new").await.ok();
}

#[tokio::test]
async fn p3_a_change_id_takes_effect_once() {
    let node = Node::start().await;
    let id = "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f";
    let key = [("idempotency-key", id)];
    let first = node.put(A, &key, r#"{"title":"A"}"#).await;
    let again = node.put(A, &key, r#"{"title":"A"}"#).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json(), again.json());
    node.put(A, &key, r#"{"title":"B"}"#)
        .await
        .problem(422, "change_id_reused");
    let v4 = [("idempotency-key", "f47ac10b-58cc-4372-a567-0e02b2c3d479")];
    node.put(A, &v4, "{}").await.problem(422, "invalid");
}

#[tokio::test]
async fn versions_times_and_differences() {
    let (node, _) = with_a().await;
    let before = syncline_model::time::Timestamp(0);
    node.merge(
        A,
        &[("syncline-message", "gr%C3%BC%C3%9F%20dich")],
        r#"{"data":{"n":2}}"#,
    )
    .await
    .ok();
    node.merge(A, &[], r#"{"data":{"n":3}}"#).await.ok();
    let one = node.get(&format!("{A}?version=1")).await.ok().json();
    assert_eq!(
        one.pointer(&Pointer::from_static("/data/n")),
        Some(&Json::from(1))
    );
    node.get(&format!("{A}?version=9"))
        .await
        .problem(404, "not_found");
    node.get(&format!("{A}?version=0"))
        .await
        .problem(400, "bad_request");
    node.get(&format!("{A}?version=1&at={before}"))
        .await
        .problem(400, "bad_request");
    node.get(&format!("{A}?at=2000-01-01T00:00:00Z"))
        .await
        .problem(404, "not_found");
    let now = node
        .get(&format!("{A}?at=2999-01-01T00:00:00+01:00"))
        .await
        .ok()
        .json();
    assert_eq!(now.get("version"), Some(&Json::from(3)));

    let page = node.get(&format!("{A}/versions?limit=2")).await.ok().json();
    let versions = page.get("versions").unwrap().as_array().unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!(text(&versions[1], "message"), "grüß dich");
    assert_eq!(text(&versions[1], "enc"), "thin");
    let rest = node
        .get(&format!(
            "{A}/versions?limit=2&page={}",
            text(&page, "next")
        ))
        .await
        .ok()
        .json();
    assert_eq!(rest.get("versions").unwrap().as_array().unwrap().len(), 1);
    assert_eq!(rest.get("next"), None);

    let diff = node.get(&format!("{A}/diff?from=1&to=3")).await.ok().json();
    assert_eq!(
        diff.get("patch"),
        Some(&json(r#"[{"op":"replace","path":"/data/n","value":3}]"#))
    );
    assert!(!text(&diff, "text").is_empty());
    let to_head = node.get(&format!("{A}/diff?from=1")).await.ok().json();
    assert_eq!(to_head, diff);
    node.get(&format!("{A}/diff?to=3"))
        .await
        .problem(400, "bad_request");
    node.get(&format!("{A}/diff?from=1&to=9"))
        .await
        .problem(404, "not_found");
    let any = [("if-match", "*")];
    node.send("DELETE", A, &any, "").await.ok();
    node.post(&format!("{A}/restore"), &[], "").await.ok();
    for versions in ["from=3&to=4", "from=4&to=5"] {
        let diff = node.get(&format!("{A}/diff?{versions}")).await;
        let problem = diff.problem(410, "deleted");
        assert_eq!(
            text(&problem, "detail"),
            "context \"task/a\" was deleted at version 4"
        );
    }
    node.get(&format!("{A}/diff?from=3&to=5")).await.ok();
}

#[tokio::test]
async fn an_unchanged_copy_is_not_sent_again() {
    let (node, created) = with_a().await;
    let read = node
        .send("GET", A, &[("if-none-match", created.etag())], "")
        .await;
    assert_eq!((read.status, read.etag()), (304, created.etag()));
    let weak = format!("\"x\", W/{}", created.etag());
    assert_eq!(
        node.send("GET", A, &[("if-none-match", &weak)], "")
            .await
            .status,
        304
    );
    assert_eq!(
        node.send("GET", A, &[("if-none-match", "\"x\"")], "")
            .await
            .status,
        200
    );
    let head = node.send("HEAD", A, &[], "").await;
    assert_eq!((head.status, head.etag()), (200, created.etag()));
    assert_ne!(head.header("content-length"), Some("0"));
}

#[tokio::test]
async fn parts_are_marked_and_are_no_base() {
    let (node, created) = with_a().await;
    let part = node.get(&format!("{A}?fields=/data/n,/title")).await.ok();
    assert_ne!(part.etag(), created.etag());
    let shown = part.json();
    assert_eq!(
        shown.get("partial"),
        Some(&json(r#"{"fields":["/data/n","/title"]}"#))
    );
    assert_eq!(text(&shown, "etag"), part.etag());
    assert_eq!(shown.get("labels"), None);
    let same = node
        .send(
            "GET",
            &format!("{A}?fields=/data/n,/title"),
            &[("if-none-match", part.etag())],
            "",
        )
        .await;
    assert_eq!(same.status, 304);
    let refused = node
        .put(A, &[("syncline-base", part.etag())], r#"{"title":"x"}"#)
        .await;
    refused.problem(422, "invalid");
    node.put(A, &[("if-match", part.etag())], r#"{"title":"x"}"#)
        .await
        .problem(412, "precondition_failed");
    node.get(&format!("{A}?fields=title"))
        .await
        .problem(400, "bad_request");

    let long = format!(r#"{{"data":{{"log":"{}"}}}}"#, "x".repeat(50_000));
    node.merge(A, &[], &long).await.ok();
    let short = node.get(&format!("{A}?max_tokens=500")).await.ok();
    assert!(short.body.len() < 1_600, "{}", short.body.len());
    let partial = short.json().get("partial").unwrap().clone();
    assert_eq!(partial.get("left_out"), Some(&json(r#"["/data/log"]"#)));
    let whole = node.get(&format!("{A}?max_tokens=1000000")).await.ok();
    assert_eq!(whole.json().get("partial"), None);
    assert_eq!(whole.etag(), node.get(A).await.etag());
}

#[tokio::test]
async fn lists_filter_sort_and_page() {
    let node = Node::start().await;
    node.put("/v1/contexts/project/p", &[], r#"{"title":"P"}"#)
        .await
        .ok();
    for n in 0..5 {
        let body = format!(
            r#"{{"title":"T{}","parent":"project/p","labels":{{"n":"{n}","even":"{}"}},"state":"{}"}}"#,
            9 - n,
            n % 2 == 0,
            if n == 3 { "done" } else { "open" }
        );
        node.put(&format!("/v1/contexts/task/t{n}"), &[], &body)
            .await
            .ok();
    }
    let addresses = async |query: &str| -> Vec<String> {
        let answer = node.get(&format!("/v1/contexts?{query}")).await.ok().json();
        let contexts = answer.get("contexts").unwrap().as_array().unwrap().to_vec();
        contexts
            .iter()
            .map(|context| text(context, "context").to_owned())
            .collect()
    };
    assert_eq!(addresses("kind=task").await.len(), 5);
    assert_eq!(
        addresses("parent=project/p&limit=2").await,
        ["task/t0", "task/t1"]
    );
    assert_eq!(addresses("label=even:true&label=n=2").await, ["task/t2"]);
    assert_eq!(addresses("label=even&state=done").await, ["task/t3"]);
    assert_eq!(
        addresses("kind=task&sort=-updated&limit=1").await,
        ["task/t4"]
    );
    assert_eq!(addresses("kind=task&sort=title&limit=1").await, ["task/t4"]);
    assert_eq!(addresses("within=project/p").await.len(), 6);
    assert_eq!(
        addresses("owner=person/owner&kind=project").await,
        ["project/p"]
    );
    assert_eq!(
        addresses("updated_since=2999-01-01T00:00:00Z").await,
        Vec::<String>::new()
    );

    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let answer = node
            .get(&format!("/v1/contexts?kind=task&sort=-title&limit=2{next}"))
            .await
            .ok()
            .json();
        let page = answer.get("contexts").unwrap().as_array().unwrap();
        seen.extend(page.iter().map(|context| text(context, "title").to_owned()));
        match answer.get("next") {
            Some(token) => next = format!("&page={}", token.as_str().unwrap()),
            None => break,
        }
    }
    assert_eq!(seen, ["T9", "T8", "T7", "T6", "T5"]);
    // A page is one of what it was made for: elsewhere it would leave things out in silence.
    for other in [
        "kind=task&sort=title",
        "kind=task",
        "sort=-title",
        "kind=task&sort=-title&within=project/p",
        "kind=task&sort=-title&label=a",
        "kind=task&sort=-title&deleted=true",
    ] {
        let foreign = node.get(&format!("/v1/contexts?{other}{next}")).await;
        let problem = foreign.problem(400, "bad_request");
        assert_eq!(text(&problem, "pointer"), "/page", "{other}");
        assert!(text(&problem, "detail").contains("another list"), "{other}");
    }
    // How much is shown may change.
    node.get(&format!(
        "/v1/contexts?sort=-title&kind=task&fields=/title&limit=9{next}"
    ))
    .await
    .ok();
    node.get("/v1/contexts?page=garbage")
        .await
        .problem(400, "bad_request");
    node.get("/v1/contexts?sort=size")
        .await
        .problem(400, "bad_request");
    node.get("/v1/contexts?kind=No")
        .await
        .problem(422, "invalid");
    node.get("/v1/contexts?limit=0")
        .await
        .problem(400, "bad_request");
    let problem = node
        .get("/v1/contexts?limit=1001")
        .await
        .problem(400, "bad_request");
    assert_eq!(text(&problem, "setting"), "max_page");
    let part = node
        .get("/v1/contexts?kind=task&fields=/title&limit=1")
        .await
        .ok()
        .json();
    let part = part.pointer(&Pointer::from_static("/contexts/0")).unwrap();
    assert!(part.get("partial").is_some() && part.get("data").is_none());
}

#[tokio::test]
async fn bulks_are_answered_part_by_part() {
    let node = Node::start().await;
    let path = "/v1/contexts:batch";
    let good = r#"{"context":"task/a","op":"create","body":{}}"#;
    let bad = r#"{"context":"task/b","op":"merge","body":{}}"#;
    let body = format!(r#"{{"mode":"independent","proposals":[{good},{bad}]}}"#);
    let answer = node.post(path, &[], &body).await.ok().json();
    let receipts = answer.get("receipts").unwrap().as_array().unwrap();
    assert_eq!(text(&receipts[0], "outcome"), "applied");
    assert_eq!(text(receipts[1].get("error").unwrap(), "code"), "not_found");
    assert!(receipts[1].get("change_id").is_some());
    let body = format!(
        r#"{{"mode":"atomic","proposals":[{},{bad}]}}"#,
        good.replace("task/a", "task/c")
    );
    let answer = node.post(path, &[], &body).await.ok().json();
    let receipts = answer.get("receipts").unwrap().as_array().unwrap();
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt.get("error").is_some())
    );
    node.get("/v1/contexts/task/c")
        .await
        .problem(404, "not_found");

    let wrong = node
        .post(
            path,
            &[],
            r#"{"mode":"atomic","proposals":[{"context":"task/a","op":"x"}]}"#,
        )
        .await;
    assert_eq!(
        text(&wrong.problem(422, "invalid"), "pointer"),
        "/proposals/0/op"
    );
    let wrong = node
        .post(path, &[], r#"{"proposals":[]}"#)
        .await
        .problem(422, "invalid");
    assert_eq!(text(&wrong, "pointer"), "/mode");
    let many = vec![good; 1_001].join(",");
    let many = node
        .post(
            path,
            &[],
            &format!(r#"{{"mode":"atomic","proposals":[{many}]}}"#),
        )
        .await;
    assert_eq!(text(&many.problem(413, "too_large"), "setting"), "max_bulk");
}

#[tokio::test]
async fn workspaces_are_apart() {
    let (node, _) = with_a().await;
    let other = [("syncline-workspace", "team")];
    node.send("GET", A, &other, "")
        .await
        .problem(404, "not_found");
    assert_eq!(
        node.post("/v1/workspaces", &[], r#"{"name":"team"}"#)
            .await
            .status,
        201
    );
    assert_eq!(
        node.post("/v1/workspaces", &[], r#"{"name":"team"}"#)
            .await
            .status,
        200
    );
    node.send("GET", A, &other, "")
        .await
        .problem(404, "not_found");
    node.put(A, &other, r#"{"title":"T"}"#).await.ok();
    assert_eq!(text(&node.get(A).await.json(), "title"), "A");
    let problem = node
        .post("/v1/workspaces", &[], r#"{"name":"Team"}"#)
        .await
        .problem(422, "invalid");
    assert_eq!(text(&problem, "pointer"), "/name");
    let all = node.get("/v1/workspaces").await.ok().json();
    assert_eq!(all.get("workspaces").unwrap().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn actors_are_recorded() {
    let node = Node::start().await;
    let who = [
        ("syncline-agent", "claude-1"),
        ("syncline-session", "s 1"),
        ("syncline-tool-call", "t9"),
    ];
    node.put(A, &who, "{}").await.ok();
    let actor = node.get(A).await.json().get("actor").unwrap().clone();
    assert_eq!(
        actor,
        json(r#"{"id":"person/owner","agent":"claude-1","session":"s 1","tool_call":"t9"}"#)
    );
    node.put(A, &[("syncline-agent", "")], "{}")
        .await
        .problem(400, "bad_request");
    node.put(A, &[("syncline-agent", "a"), ("syncline-agent", "b")], "{}")
        .await
        .problem(400, "bad_request");
}

#[tokio::test]
async fn what_is_not_built_says_so() {
    let (node, _) = with_a().await;
    for path in [
        "/",
        "/mcp",
        "/graphql",
        "/docs",
        "/metrics",
        "/v1/delegations",
        "/v1/templates",
        "/v1/keys",
        "/v1/audit",
        "/v1/contexts/task/a/lease",
        "/v1/contexts/task/a/presence",
        "/v1/contexts/task/a/permissions",
        "/v1/contexts/task/a?resolved=true",
        "/v1/contexts?where=x",
        "/v1/contexts?q=x",
    ] {
        node.get(path).await.problem(501, "not_built");
    }
}

#[tokio::test]
async fn unknown_paths_methods_and_queries() {
    let (node, _) = with_a().await;
    node.get("/v1/nothing").await.problem(404, "not_found");
    node.get("/v1/contexts/task/a/b/c")
        .await
        .problem(404, "not_found");
    let wrong = node.send("POST", A, &[], "").await;
    wrong.problem(405, "method_not_allowed");
    let allow = wrong.header("allow").unwrap();
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE"] {
        assert!(allow.contains(method), "{allow}");
    }
    let problem = node
        .get(&format!("{A}?versoin=1"))
        .await
        .problem(400, "bad_request");
    assert!(text(&problem, "hint").contains("version"));
    node.get("/v1/status?x=1").await.problem(400, "bad_request");
}

#[tokio::test]
async fn a_read_waits_for_ones_own_write() {
    let (node, created) = with_a().await;
    let cursor = text(&created.json(), "cursor").to_owned();
    let read = node
        .send("GET", A, &[("syncline-min-cursor", &cursor)], "")
        .await
        .ok();
    assert_eq!(read.etag(), created.etag());
    node.send("GET", A, &[("syncline-min-cursor", "garbage")], "")
        .await
        .problem(400, "bad_cursor");
    node.send("GET", A, &[("syncline-confirm", "upstream")], "")
        .await
        .ok();
}

#[tokio::test]
async fn status_and_probes() {
    let (node, _) = with_a().await;
    let status = node.get("/v1/status").await.ok().json();
    assert_eq!(text(&status, "node"), "test");
    assert_eq!(status.get("healthy"), Some(&Json::from(true)));
    assert_eq!(status.get("reasons"), Some(&json("[]")));
    let after = node
        .get(&format!("/v1/changes?after={}", text(&status, "cursor")))
        .await
        .ok()
        .json();
    assert_eq!(after.get("changes"), Some(&json("[]")));
    let stats = node.get("/v1/stats").await.ok().json();
    assert_eq!(stats.get("contexts"), Some(&Json::from(2)));
    let bare = format!("GET /readyz HTTP/1.1\r\nhost: {}\r\n\r\n", node.address);
    assert_eq!(node.raw(&bare).await.body, r#"{"ready":true,"reasons":[]}"#);
    let bare = bare.replace("readyz", "healthz");
    assert_eq!(
        node.raw(&bare).await.body,
        r#"{"healthy":true,"reasons":[]}"#
    );
}

#[tokio::test]
async fn the_unix_socket_is_the_owners() {
    use tokio::io::{AsyncWriteExt as _, BufReader};
    let (node, _) = with_a().await;
    let path = node.directory.path().join("node.sock");
    let mut stream = tokio::net::UnixStream::connect(path).await.unwrap();
    stream
        .write_all(b"GET /v1/contexts/task/a HTTP/1.1\r\nhost: anything\r\n\r\n")
        .await
        .unwrap();
    let reply = crate::node::read_reply(&mut BufReader::new(stream), false)
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_ne!(KEY, "");
}

#[tokio::test]
async fn a_node_verifies_itself() {
    let node = Node::start().await;
    node.put("/v1/contexts/task/a", &[], r#"{"title":"A"}"#)
        .await;
    let report = node.post("/v1/verify", &[], "").await.ok().json();
    assert_eq!(report.get("sound").unwrap().as_bool(), Some(true));
    assert_eq!(report.get("contexts").unwrap().as_u64(), Some(2));
    assert_eq!(report.get("problems").unwrap().as_array().unwrap().len(), 0);
    node.post("/v1/verify", &[], r#"{"deep":true}"#)
        .await
        .problem(422, "invalid");
}
