//! Branches and tags: lines of versions beside main, and names of versions.

use syncline_model::json::{Json, Pointer};

use crate::merge::{A, data, with_a};
use crate::node::{Node, json, text};

const ON_TRY: &str = "/v1/contexts/task/a?branch=try/1";

/// Makes `task/a` with a branch `try/1`.
async fn with_branch() -> Node {
    let node = with_a(r#"{"data":{"x":0,"y":0}}"#).await;
    let made = node
        .post(&format!("{A}/branches"), &[], r#"{"name":"try/1"}"#)
        .await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.header("location"), Some(ON_TRY));
    let receipt = made.json();
    assert_eq!(text(&receipt, "branch"), "try/1");
    assert_eq!(receipt.get("version"), Some(&Json::from(1)));
    node
}

async fn on_try(node: &Node, patch: &str) {
    let receipt = node.merge(ON_TRY, &[], patch).await.ok().json();
    assert_eq!(text(&receipt, "branch"), "try/1");
}

async fn merge(node: &Node, headers: &[(&str, &str)], body: &str) -> Json {
    let reply = node.post(&format!("{A}/merge"), headers, body).await;
    reply.ok().json()
}

#[tokio::test]
async fn a_branch_is_written_and_read_beside_main() {
    let node = with_branch().await;
    on_try(&node, r#"{"data":{"x":1}}"#).await;
    assert_eq!(data(&node, A).await, json(r#"{"x":0,"y":0}"#));
    assert_eq!(data(&node, ON_TRY).await, json(r#"{"x":1,"y":0}"#));
    let read = node.get(ON_TRY).await.ok();
    assert_eq!(text(&read.json(), "context"), "task/a");
    assert_eq!(text(&read.json(), "branch"), "try/1");
    let held = [("if-none-match", read.etag())];
    assert_eq!(node.send("GET", ON_TRY, &held, "").await.status, 304);
    assert_eq!(
        data(&node, &format!("{ON_TRY}&version=1")).await,
        json(r#"{"x":0,"y":0}"#)
    );
    let versions = node.get(&format!("{A}/versions?branch=try/1")).await.ok();
    let versions = versions.json();
    let versions = versions.get("versions").unwrap().as_array().unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!(text(&versions[0], "branch"), "try/1");
    let diff = node
        .get(&format!("{A}/diff?branch=try/1&from=1&to=2"))
        .await
        .ok();
    assert_eq!(
        diff.json().get("patch"),
        Some(&json(r#"[{"op":"replace","path":"/data/x","value":1}]"#))
    );
    let blame = node
        .get(&format!("{A}/blame?branch=try/1&path=/data/x"))
        .await
        .ok();
    assert_eq!(blame.json().get("version"), Some(&Json::from(2)));
    // A replacement with the branch's ETag, and what was read sent back to main.
    let mut sent = read.json();
    sent.as_object_mut()
        .unwrap()
        .insert("title", Json::from("T"));
    node.put(ON_TRY, &[("if-match", read.etag())], &sent.to_text())
        .await
        .ok();
    // `main` is the context's own line.
    assert_eq!(
        data(&node, &format!("{A}?branch=main")).await,
        data(&node, A).await
    );
    // Lists have contexts, not lines.
    let listed = node.get("/v1/contexts?kind=task").await.ok().json();
    assert_eq!(listed.get("contexts").unwrap().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_no_branch_is_told_apart() {
    let node = with_branch().await;
    let none = format!("{A}?branch=none");
    let problem = node.get(&none).await.problem(404, "not_found");
    assert_eq!(
        text(&problem, "detail"),
        "context \"task/a\" has no branch \"none\""
    );
    node.merge(&none, &[], r#"{"title":"x"}"#)
        .await
        .problem(404, "not_found");
    // Writing begins no branch.
    node.put(&none, &[], r#"{"title":"x"}"#)
        .await
        .problem(404, "not_found");
    node.get(&format!("{A}?branch=-"))
        .await
        .problem(422, "invalid");
    for (body, status, code) in [
        (r#"{"name":"main"}"#, 422, "invalid"),
        (r#"{"name":"a//b"}"#, 422, "invalid"),
        (r#"{"from":1}"#, 422, "invalid"),
        (r#"{"name":"b","form":1}"#, 422, "invalid"),
        (r#"{"name":"b","from":9}"#, 404, "not_found"),
        (r#"{"name":"try/1"}"#, 412, "precondition_failed"),
    ] {
        let reply = node.post(&format!("{A}/branches"), &[], body).await;
        reply.problem(status, code);
    }
    for (body, status, code) in [
        (r#"{"from_branch":"none"}"#, 404, "not_found"),
        (r#"{"from_branch":"main"}"#, 422, "invalid"),
        (r#"{"from_branch":"main","into":"none"}"#, 404, "not_found"),
        (r#"{"from_branch":"try/1","into":"try/1"}"#, 422, "invalid"),
        (r#"{"from":"try/1"}"#, 422, "invalid"),
    ] {
        node.post(&format!("{A}/merge"), &[], body)
            .await
            .problem(status, code);
    }
    node.get("/v1/contexts/task/none/branches")
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn a_branch_is_merged_again_and_again() {
    let node = with_branch().await;
    on_try(&node, r#"{"data":{"x":1}}"#).await;
    node.merge(A, &[], r#"{"data":{"y":1}}"#).await.ok();
    let tried = merge(&node, &[], r#"{"from_branch":"try/1","dry_run":true}"#).await;
    assert_eq!(tried.get("clean"), Some(&Json::from(true)));
    assert_eq!(tried.get("clashes"), Some(&json("[]")));
    let document = tried.get("document").unwrap();
    assert_eq!(document.get("data"), Some(&json(r#"{"x":1,"y":1}"#)));
    assert_eq!(data(&node, A).await, json(r#"{"x":0,"y":1}"#), "only tried");

    let key = [("idempotency-key", "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f")];
    let body = r#"{"from_branch":"try/1","into":"main"}"#;
    let merged = merge(&node, &key, body).await;
    assert_eq!(text(&merged, "outcome"), "merged");
    assert_eq!(data(&node, A).await, json(r#"{"x":1,"y":1}"#));
    // What happens after is merged from there: main's own change of x stays.
    node.merge(A, &[], r#"{"data":{"x":5}}"#).await.ok();
    on_try(&node, r#"{"data":{"z":1}}"#).await;
    let again = merge(&node, &key, body).await;
    assert_eq!(again, merged, "the same id hears the same");
    let second = merge(&node, &[], body).await;
    assert_eq!(text(&second, "outcome"), "merged");
    assert_eq!(data(&node, A).await, json(r#"{"x":5,"y":1,"z":1}"#));
    let nothing = merge(&node, &[], body).await;
    assert_eq!(text(&nothing, "outcome"), "unchanged");

    on_try(&node, r#"{"data":{"x":7}}"#).await;
    node.merge(A, &[], r#"{"data":{"x":6}}"#).await.ok();
    let tried = merge(&node, &[], r#"{"from_branch":"try/1","dry_run":true}"#).await;
    assert_eq!(tried.get("clean"), Some(&Json::from(false)));
    assert_eq!(tried.get("clashes"), Some(&json(r#"["/data/x"]"#)));
    // What the lines have in common is a version of neither.
    let strategy = [("syncline-strategy", "user_choice")];
    let refused = node.post(&format!("{A}/merge"), &strategy, body).await;
    let refused = refused.problem(409, "stale_base");
    let version = |side: &str| refused.get(side).unwrap().get("version").cloned();
    assert_eq!((version("base"), version("ours")), (None, None));
    assert!(version("theirs").is_some());
    let clashed = merge(&node, &[], body).await;
    assert_eq!(text(&clashed, "outcome"), "conflict");
    assert_eq!(data(&node, A).await.get("x"), Some(&Json::from(6)));
}

#[tokio::test]
async fn main_is_merged_into_a_branch() {
    let node = with_branch().await;
    on_try(&node, r#"{"data":{"x":1}}"#).await;
    node.merge(A, &[], r#"{"data":{"y":1}}"#).await.ok();
    let trial = r#"{"from_branch":"main","into":"try/1","dry_run":true}"#;
    let tried = merge(&node, &[], trial).await;
    assert_eq!(tried.get("clean"), Some(&Json::from(true)));
    let document = tried.get("document").unwrap();
    assert_eq!(document.get("data"), Some(&json(r#"{"x":1,"y":1}"#)));
    let body = r#"{"from_branch":"main","into":"try/1"}"#;
    let merged = merge(&node, &[], body).await;
    assert_eq!(text(&merged, "outcome"), "merged");
    assert_eq!(text(&merged, "branch"), "try/1");
    let log = node.get(&format!("{A}/versions?branch=try/1")).await.ok();
    let merges = log.json();
    let merges = merges.pointer(&Pointer::from_static("/versions/0/merges"));
    assert_eq!(merges, Some(&json(r#"{"branch":"main","version":2}"#)));
    assert_eq!(data(&node, ON_TRY).await, json(r#"{"x":1,"y":1}"#));
    assert_eq!(data(&node, A).await, json(r#"{"x":0,"y":1}"#));
    // What the branch then takes back stays so, in both directions.
    on_try(&node, r#"{"data":{"y":0}}"#).await;
    let nothing = merge(&node, &[], body).await;
    assert_eq!(text(&nothing, "outcome"), "unchanged");
    merge(&node, &[], r#"{"from_branch":"try/1"}"#).await;
    assert_eq!(data(&node, A).await, json(r#"{"x":1,"y":0}"#));
}

#[tokio::test]
async fn a_branch_has_conflicts_of_its_own() {
    let node = with_branch().await;
    on_try(&node, r#"{"data":{"x":1}}"#).await;
    let seen = [("syncline-base", "1")];
    let clash = node.merge(ON_TRY, &seen, r#"{"data":{"x":2}}"#).await.ok();
    let clash = clash.json();
    assert_eq!(text(&clash, "outcome"), "conflict");
    let id = clash
        .pointer(&Pointer::from_static("/conflicts/0"))
        .unwrap();
    let path = format!("/v1/conflicts/{}", id.as_str().unwrap());
    let conflict = node.get(&path).await.ok().json();
    assert_eq!(text(&conflict, "branch"), "try/1");
    let settled = node.post(&path, &[], r#"{"version":1,"choose":"ours"}"#);
    assert_eq!(text(&settled.await.ok().json(), "branch"), "try/1");
    assert_eq!(data(&node, ON_TRY).await.get("x"), Some(&Json::from(2)));
    assert_eq!(data(&node, A).await.get("x"), Some(&Json::from(0)));
    // The two lines as they stand, and main as it was beside what the branch is now.
    let compared = async |query: &str| {
        let path = format!("{A}/diff?{query}");
        node.get(&path).await.ok().json().get("patch").cloned()
    };
    let patch = r#"[{"op":"replace","path":"/data/x","value":2}]"#;
    assert_eq!(compared("to_branch=try/1").await, Some(json(patch)));
    assert_eq!(compared("from=1&to_branch=try/1").await, Some(json(patch)));
    let back = r#"[{"op":"replace","path":"/data/x","value":0}]"#;
    let backwards = compared("branch=try/1&to_branch=main&to=1").await;
    assert_eq!(backwards, Some(json(back)));
    node.get(&format!("{A}/diff?to=1"))
        .await
        .problem(400, "bad_request");
    node.get(&format!("{A}/diff?to_branch=none"))
        .await
        .problem(404, "not_found");
    // The strict sides of a refusal are the branch's.
    let first = node.get(&format!("{ON_TRY}&version=1")).await.ok();
    let stale = node
        .put(ON_TRY, &[("if-match", first.etag())], r#"{"title":"x"}"#)
        .await
        .problem(412, "precondition_failed");
    let at = Pointer::from_static("/data/x");
    assert_eq!(
        stale.get("theirs").unwrap().pointer(&at),
        Some(&Json::from(2))
    );
}

#[tokio::test]
async fn branches_are_listed_and_deleted() {
    let node = with_branch().await;
    node.merge(A, &[], r#"{"data":{"x":3}}"#).await.ok();
    let from = r#"{"name":"late","from":2}"#;
    node.post(&format!("{A}/branches"), &[], from).await.ok();
    let names = async || {
        let all = node.get(&format!("{A}/branches")).await.ok().json();
        let all = all.get("branches").unwrap().as_array().unwrap().to_vec();
        let of = |b: &Json| (text(b, "name").to_owned(), b.get("from").unwrap().as_u64());
        all.iter().map(of).collect::<Vec<_>>()
    };
    let two = [("late".to_owned(), Some(2)), ("try/1".to_owned(), Some(1))];
    assert_eq!(names().await, two);
    let path = format!("{A}/branches/try%2F1");
    node.send("DELETE", &path, &[], "")
        .await
        .problem(428, "precondition_required");
    let etag = node.get(ON_TRY).await.ok().etag().to_owned();
    node.send("DELETE", &path, &[("if-match", &etag)], "")
        .await
        .ok();
    assert_eq!(names().await, two[..1]);
    let gone = node.get(ON_TRY).await.problem(410, "deleted");
    assert_eq!(
        text(&gone, "detail"),
        "branch \"try/1\" of context \"task/a\" was deleted at version 2"
    );
    let write = node.merge(ON_TRY, &[], r#"{"data":{"x":9}}"#).await;
    assert_eq!(
        text(&write.problem(410, "deleted"), "detail"),
        "branch \"try/1\" of context \"task/a\" was deleted at version 2"
    );
    // Begun again, it goes on counting.
    let again = node
        .post(&format!("{A}/branches"), &[], r#"{"name":"try/1"}"#)
        .await
        .ok();
    assert_eq!(again.json().get("version"), Some(&Json::from(3)));
    assert_eq!(data(&node, ON_TRY).await.get("x"), Some(&Json::from(3)));
    // Or it is restored.
    node.send("DELETE", &path, &[("if-match", "*")], "")
        .await
        .ok();
    node.post(&format!("{A}/restore?branch=try/1"), &[], "")
        .await
        .ok();
    assert_eq!(data(&node, ON_TRY).await.get("x"), Some(&Json::from(3)));
}

#[tokio::test]
async fn tags_name_versions() {
    let node = with_a(r#"{"data":{"x":0}}"#).await;
    let tags = format!("{A}/tags");
    let none = node.get(&tags).await.ok().json();
    assert_eq!(none.get("tags"), Some(&json("{}")));
    let key = [
        ("idempotency-key", "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f"),
        ("syncline-agent", "ana"),
    ];
    let first = node
        .post(&tags, &key, r#"{"name":"release 1/a"}"#)
        .await
        .ok();
    node.merge(A, &[], r#"{"data":{"x":1}}"#).await.ok();
    node.post(&tags, &[], r#"{"name":"old","version":1}"#)
        .await
        .ok();
    node.post(&tags, &[], r#"{"name":"new"}"#).await.ok();
    // The same id hears the same, though the head moved on.
    let again = node
        .post(&tags, &key, r#"{"name":"release 1/a"}"#)
        .await
        .ok();
    assert_eq!(again.json(), first.json());
    let all = node.get(&tags).await.ok().json();
    let all = all.get("tags").unwrap();
    for (name, version) in [("release 1/a", 1), ("old", 1), ("new", 2)] {
        let tag = all.get(name).unwrap();
        assert_eq!(tag.get("version"), Some(&Json::from(version)), "{name}");
    }
    let by = all.get("release 1/a").unwrap().get("by").unwrap();
    assert_eq!(text(by, "agent"), "ana");
    node.post(&tags, &[], r#"{"name":"x","version":9}"#)
        .await
        .problem(404, "not_found");
    node.post(&tags, &[], r#"{"name":""}"#)
        .await
        .problem(422, "invalid");
    let key = [("idempotency-key", "01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e10")];
    let path = format!("{tags}/release%201%2Fa");
    let removed = node.send("DELETE", &path, &key, "").await.ok();
    let again = node.send("DELETE", &path, &key, "").await.ok();
    assert_eq!(again.json(), removed.json());
    node.send("DELETE", &path, &[], "")
        .await
        .problem(404, "not_found");
    // The node's own kinds are not in the way, and can be asked for.
    let listed = node.get("/v1/contexts").await.ok().json();
    let kinds = listed.get("contexts").unwrap().as_array().unwrap().iter();
    let names: Vec<_> = kinds.map(|c| text(c, "context")).collect();
    assert_eq!(names, ["global/main", "task/a"]);
    let own = node
        .get("/v1/contexts?kind=syncline_tags")
        .await
        .ok()
        .json();
    assert_eq!(own.get("contexts").unwrap().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn branches_come_in_pages() {
    let node = with_branch().await;
    for name in ["a", "b", "z"] {
        let body = format!(r#"{{"name":"{name}"}}"#);
        let made = node.post(&format!("{A}/branches"), &[], &body).await;
        assert_eq!(made.status, 201, "{}", made.body);
    }
    let mut path = format!("{A}/branches?limit=2");
    let mut pages = Vec::new();
    loop {
        let page = node.get(&path).await.ok().json();
        let branches = page.get("branches").unwrap().as_array().unwrap();
        let names: Vec<_> = branches
            .iter()
            .map(|b| text(b, "name").to_owned())
            .collect();
        pages.push(names);
        match page.get("next").and_then(Json::as_str) {
            Some(next) => path = format!("{A}/branches?limit=2&page={}", next.replace('/', "%2F")),
            None => break,
        }
    }
    assert_eq!(pages, [["a", "b"], ["try/1", "z"]]);
    node.put("/v1/contexts/task/b", &[], "{}").await.ok();
    let of_a = path.rsplit_once('?').unwrap().1;
    node.get(&format!("/v1/contexts/task/b/branches?{of_a}"))
        .await
        .problem(400, "bad_request");
}
