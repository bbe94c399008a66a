//! Live delivery over real sockets: filters, parts, coalescing, places in time, on all transports.

use std::sync::Arc;
use std::time::Duration;

use syncline_model::ids::Seq;
use syncline_model::json::{Json, Pointer};
use syncline_store::{MemoryStore, ReadFault};

use crate::feeds::{Stream, pull};
use crate::node::{Node, Socket, json, text};

const A: &str = "/v1/contexts/task/a";
const ALL: &str = r#""scope":[{"workspace":true}]"#;

/// Percent-encodes what stands in a query.
pub fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

async fn subscribe(socket: &mut Socket, id: &str, rest: &str) -> Json {
    let message = format!(r#"{{"type":"subscribe","id":"{id}",{rest}}}"#);
    socket.say(&message).await;
    socket.hear_type("subscribed").await
}

async fn merge(node: &Node, path: &str, body: &str) -> Json {
    let path = format!("{path}?create=true");
    node.merge(&path, &[], body).await.ok().json()
}

fn at<'a>(json: &'a Json, pointer: &str) -> &'a Json {
    let pointer = Pointer::parse(pointer).unwrap();
    json.pointer(&pointer)
        .unwrap_or_else(|| panic!("{pointer} of {}", json.to_text()))
}

fn version(change: &Json) -> u64 {
    at(change, "/version").as_u64().unwrap()
}

/// The same filter on each transport: first whole, then patches from what was sent last.
#[tokio::test]
async fn p5_filters_choose_and_patches_fit_what_was_sent() {
    let node = Node::start().await;
    merge(&node, A, r#"{"data":{"n":1},"labels":{"area":"auth"}}"#).await;
    let (_, after) = pull(&node, "").await;
    let filter = r#"{"all":[{"exact":{"labels.area":"auth"}},{"changed":"/data/n"}]}"#;
    let query = format!("?after={after}&filter={}", encoded(filter));
    let mut stream = Stream::open(&node, &format!("/v1/changes/stream{query}"), "").await;
    let mut socket = node.hello().await;
    subscribe(&mut socket, "s", &format!(r#"{ALL},"filter":{filter}"#)).await;
    for body in [
        r#"{"data":{"n":2}}"#,
        r#"{"title":"not this"}"#,
        r#"{"data":{"m":1}}"#,
        r#"{"data":{"n":3}}"#,
        r#"{"labels":{"area":"web"}}"#,
        r#"{"data":{"n":4}}"#,
        r#"{"labels":{"area":"auth"}}"#,
        r#"{"data":{"n":5}}"#,
    ] {
        merge(&node, A, body).await;
    }
    let (pulled, cursor) = pull(&node, &query).await;
    let versions: Vec<_> = pulled.iter().map(version).collect();
    assert_eq!(versions, [2, 5, 9]);
    assert_eq!(
        text(&pulled[0], "enc"),
        "snapshot",
        "nothing is known before"
    );
    for (change, from, n) in [(&pulled[1], 2, 3), (&pulled[2], 5, 5)] {
        assert_eq!(at(change, "/from").as_u64(), Some(from));
        let patch = at(change, "/patch").to_text();
        assert!(
            patch.contains(&format!(r#""path":"/data/n","value":{n}"#)),
            "{patch}"
        );
    }
    for expected in &pulled {
        assert_eq!(&stream.event().await.unwrap().data, expected);
        let message = socket.hear_type("change").await;
        assert_eq!(at(&message, "/change"), expected);
    }
    let rest = format!("?after={cursor}&filter={}", encoded(filter));
    assert!(pull(&node, &rest).await.0.is_empty());
}

#[tokio::test]
async fn a_where_looks_at_the_document() {
    let node = Node::start().await;
    let mut socket = node.hello().await;
    subscribe(&mut socket, "s", &format!(r#"{ALL},"where":"data.n > 2""#)).await;
    for n in 1..5 {
        merge(&node, A, &format!(r#"{{"data":{{"n":{n}}}}}"#)).await;
    }
    for expected in [3, 4] {
        let message = socket.hear_type("change").await;
        assert_eq!(version(at(&message, "/change")), expected);
    }
    let query = format!("?where={}", encoded("data.n > 3"));
    let (pulled, _) = pull(&node, &query).await;
    assert_eq!(pulled.iter().map(version).collect::<Vec<_>>(), [4]);
    let bad = format!(r#"{{"type":"subscribe","id":"b",{ALL},"where":"data.n >"}}"#);
    socket.say(&bad).await;
    assert_eq!(text(&socket.hear_type("error").await, "pointer"), "/where");
    let wrong = (422, "invalid");
    let no_json = (400, "bad_request");
    for (query, pointer, (status, code)) in [
        (("filter", r#"{"exat":{}}"#), "/filter/exat", wrong),
        (
            ("filter", r#"[{"all":[{"changed":"x"}]}]"#),
            "/filter/0/all/0/changed",
            wrong,
        ),
        (
            ("filter", r#"{"exact":{"kind":}}"#),
            "/filter/exact/kind",
            no_json,
        ),
        (("filter", "exact"), "/filter", no_json),
        (("where", "data.n >"), "/where", wrong),
        (("where", " "), "/where", wrong),
    ] {
        let query = format!("{}={}", query.0, encoded(query.1));
        for path in ["changes?", "changes?wait_ms=10&", "changes/stream?"] {
            let refused = node.get(&format!("/v1/{path}{query}")).await;
            let problem = refused.problem(status, code);
            assert_eq!(text(&problem, "pointer"), pointer, "{path}{query}");
        }
    }
}

/// What is shown of a context follows its parts exactly, and nothing else is told.
#[tokio::test]
async fn fields_show_parts_alone() {
    let node = Node::start().await;
    merge(
        &node,
        A,
        r#"{"title":"T","data":{"n":1,"secret":1,"list":[1,2]}}"#,
    )
    .await;
    let mut socket = node.hello().await;
    let rest = format!(r#"{ALL},"from":"snapshot","fields":["/data/n","/data/list/0"]"#);
    subscribe(&mut socket, "s", &rest).await;
    let page = socket.hear_type("snapshot").await;
    let contexts = at(&page, "/contexts").as_array().unwrap();
    let shown = contexts
        .iter()
        .find(|c| text(c, "context") == "task/a")
        .unwrap();
    assert_eq!(shown.get("data"), Some(&json(r#"{"n":1,"list":[1,2]}"#)));
    assert_eq!((shown.get("hash"), shown.get("title")), (None, None));
    merge(&node, A, r#"{"title":"U","data":{"secret":2}}"#).await;
    merge(&node, A, r#"{"data":{"n":2,"secret":3}}"#).await;
    let change = socket.hear_type("change").await;
    let change = at(&change, "/change");
    assert_eq!(
        (version(change), at(change, "/from").as_u64()),
        (3, Some(1))
    );
    assert_eq!(
        change.get("patch"),
        Some(&json(r#"[{"op":"replace","path":"/data/n","value":2}]"#))
    );
    assert_eq!(change.get("changed"), Some(&json(r#"["/data/n"]"#)));
    assert_eq!(change.get("hash"), None);
}

#[tokio::test]
async fn p5_coalescing_makes_several_one_and_no_cursor_skips() {
    let node = Node::start().await;
    merge(&node, A, r#"{"data":{"n":0}}"#).await;
    let mut socket = node.hello().await;
    subscribe(&mut socket, "s", &format!(r#"{ALL},"coalesce_ms":700"#)).await;
    let held = merge(&node, A, r#"{"data":{"n":1}}"#).await;
    merge(&node, "/v1/contexts/task/b", "{}").await;
    merge(&node, A, r#"{"data":{"n":2}}"#).await;
    // What is new passes; the cursor to keep stays before what waits.
    let passed = socket.hear_type("change").await;
    assert_eq!(text(at(&passed, "/change"), "context"), "task/b");
    let resume = text(&passed, "resume").to_owned();
    let (again, _) = pull(&node, &format!("?after={resume}")).await;
    assert_eq!(text(&again[0], "cursor"), text(&held, "cursor"));
    let one = socket.hear_type("change").await;
    let change = at(&one, "/change");
    assert_eq!(
        (version(change), at(change, "/from").as_u64()),
        (3, Some(1))
    );
    assert_eq!(
        change.get("patch"),
        Some(&json(r#"[{"op":"replace","path":"/data/n","value":2}]"#))
    );
    assert_eq!(one.get("resume"), None, "all up to its own place was told");
    assert_eq!(one.get("n"), Some(&Json::from(2)));
    // As server-sent events: the id is the cursor to keep.
    let query = format!("?after={resume}&coalesce_ms=300");
    let mut stream = Stream::open(&node, &format!("/v1/changes/stream{query}"), "").await;
    let passed = stream.event().await.unwrap();
    assert_eq!(text(&passed.data, "context"), "task/b");
    assert_eq!(passed.id.as_deref(), Some(text(&passed.data, "resume")));
    let (again, _) = pull(&node, &format!("?after={}", passed.id.unwrap())).await;
    assert_eq!(version(&again[0]), 2);
    let whole = stream.event().await.unwrap();
    assert_eq!(
        (version(&whole.data), text(&whole.data, "enc")),
        (3, "snapshot")
    );
    node.get("/v1/changes?coalesce_ms=100")
        .await
        .problem(400, "bad_request");
}

/// A reader goes from one transport to the next with the cursor of the last.
#[tokio::test]
async fn p5_a_cursor_goes_from_transport_to_transport() {
    let node = Node::start().await;
    merge(&node, A, r#"{"data":{"n":0}}"#).await;
    let scope = r#"[{"label":{"area":"auth"}}]"#;
    let mut socket = node.hello().await;
    subscribe(&mut socket, "s", &format!(r#""scope":{scope}"#)).await;
    merge(&node, A, r#"{"labels":{"area":"auth"}}"#).await;
    merge(&node, A, r#"{"data":{"n":1}}"#).await;
    merge(&node, A, r#"{"labels":{"area":"web"}}"#).await;
    merge(&node, A, r#"{"data":{"n":2}}"#).await;
    merge(&node, A, r#"{"labels":{"area":"auth"}}"#).await;
    merge(&node, A, r#"{"data":{"n":3}}"#).await;
    let enter = socket.hear_type("enter").await;
    assert_eq!(version(at(&enter, "/context")), 2);
    let cursor = text(&enter, "cursor").to_owned();
    let scope = encoded(scope);
    let path = format!("/v1/changes/stream?after={cursor}&scope={scope}");
    let mut stream = Stream::open(&node, &path, "").await;
    let inside = stream.event().await.unwrap();
    assert_eq!((inside.kind.as_str(), version(&inside.data)), ("change", 3));
    let leave = stream.event().await.unwrap();
    assert_eq!(
        (leave.kind.as_str(), text(&leave.data, "context")),
        ("leave", "task/a")
    );
    let query = format!("?after={}&scope={scope}", leave.id.unwrap());
    let (items, cursor) = pull(&node, &query).await;
    let kinds: Vec<_> = items.iter().map(|item| text(item, "type")).collect();
    assert_eq!(kinds, ["enter", "update"]);
    assert_eq!(version(at(&items[0], "/context")), 6);
    assert_eq!(
        (version(&items[1]), at(&items[1], "/from").as_u64()),
        (7, Some(6))
    );
    merge(&node, A, r#"{"data":{"n":4}}"#).await;
    let rest = format!(r#""scope":[{{"label":{{"area":"auth"}}}}],"from":{{"cursor":"{cursor}"}}"#);
    subscribe(&mut socket, "again", &rest).await;
    let change = loop {
        let message = socket.hear_type("change").await;
        if text(&message, "sub") == "again" {
            break message;
        }
    };
    assert_eq!(version(at(&change, "/change")), 8);
}

#[tokio::test]
async fn the_log_is_read_from_a_time() {
    let node = Node::start().await;
    let first = merge(&node, A, r#"{"data":{"n":1}}"#).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let (all, _) = pull(&node, "?since=start").await;
    let time = text(all.last().unwrap(), "committed_at").to_owned();
    tokio::time::sleep(Duration::from_millis(5)).await;
    merge(&node, A, r#"{"data":{"n":2}}"#).await;
    let (later, _) = pull(&node, &format!("?since={time}")).await;
    assert_eq!(later.iter().map(version).collect::<Vec<_>>(), [2]);
    let mut stream = Stream::open(&node, &format!("/v1/changes/stream?since={time}"), "").await;
    assert_eq!(version(&stream.event().await.unwrap().data), 2);
    let mut socket = node.hello().await;
    let said = subscribe(
        &mut socket,
        "s",
        &format!(r#"{ALL},"from":{{"time":"{time}"}}"#),
    )
    .await;
    assert_eq!(said.get("recovered"), Some(&Json::from(true)));
    assert_eq!(version(at(&socket.hear_type("change").await, "/change")), 2);
    subscribe(&mut socket, "all", &format!(r#"{ALL},"from":"start""#)).await;
    let change = socket.hear_type("change").await;
    assert_eq!(text(at(&change, "/change"), "context"), "global/main");
    let cursor = text(&first, "cursor");
    node.get(&format!("/v1/changes?since=start&after={cursor}"))
        .await
        .problem(400, "bad_request");
    node.get("/v1/changes?since=yesterday")
        .await
        .problem(400, "bad_request");
}

#[tokio::test]
async fn a_resync_sends_what_differs() {
    let node = Node::start().await;
    merge(&node, A, r#"{"data":{"n":1}}"#).await;
    let head = node.get(A).await.ok().json();
    let (hash, mut socket) = (text(&head, "hash"), node.hello().await);
    let ask = |rest: &str| format!(r#"{{"type":"resync","id":"q","context":"task/a"{rest}}}"#);
    let zeros = "0".repeat(64);
    for (rest, count) in [
        (String::new(), 1),
        (r#","version":1"#.to_owned(), 0),
        (r#","version":2"#.to_owned(), 1),
        (format!(r#","hash":"{hash}""#), 0),
        (format!(r#","hash":"{zeros}""#), 1),
        (format!(r#","version":1,"hash":"{zeros}""#), 1),
        (r#","branch":"main","version":1"#.to_owned(), 0),
    ] {
        socket.say(&ask(&rest)).await;
        let answer = socket.hear_type("snapshot").await;
        assert_eq!(text(&answer, "ref"), "q");
        assert_eq!(
            at(&answer, "/contexts").as_array().unwrap().len(),
            count,
            "{rest}"
        );
    }
    socket.say(&ask(r#","branch":"none""#)).await;
    assert_eq!(text(&socket.hear_type("error").await, "code"), "not_found");
}

/// One that asked for a context again is sent patches from what it was shown.
#[tokio::test]
async fn p5_a_resync_is_what_patches_go_on_from() {
    let node = Node::start().await;
    let mut socket = node.hello().await;
    let rest = format!(r#"{ALL},"filter":{{"changed":"/data/n"}}"#);
    subscribe(&mut socket, "s", &rest).await;
    merge(&node, A, r#"{"data":{"n":1}}"#).await;
    assert_eq!(version(at(&socket.hear_type("change").await, "/change")), 1);
    merge(&node, A, r#"{"title":"T"}"#).await;
    let again = r#"{"type":"resync","id":"q","sub":"s","context":"task/a"}"#;
    socket.say(again).await;
    let page = socket.hear_type("snapshot").await;
    assert_eq!(version(at(&page, "/contexts/0")), 2);
    merge(&node, A, r#"{"data":{"n":2}}"#).await;
    let change = socket.hear_type("change").await;
    assert_eq!(at(&change, "/change/from").as_u64(), Some(2));
}

/// Subscriptions count over all connections of a principal, streams included.
#[tokio::test]
async fn p9_a_principal_has_so_many_subscriptions() {
    let node = Node::with(|doors| doors.limits.principal_subscriptions_max = 3).await;
    let (mut one, mut two) = (node.hello().await, node.hello().await);
    subscribe(&mut one, "a", ALL).await;
    subscribe(&mut two, "a", ALL).await;
    let stream = Stream::open(&node, "/v1/changes/stream", "").await;
    two.say(&format!(r#"{{"type":"subscribe","id":"b",{ALL}}}"#))
        .await;
    let error = two.hear_type("error").await;
    assert_eq!(text(&error, "code"), "too_many");
    let problem = node
        .get("/v1/changes/stream")
        .await
        .problem(429, "too_many");
    assert_eq!(text(&problem, "setting"), "max_principal_subscriptions");
    drop(stream);
    drop(one);
    for _ in 0..100 {
        two.say(&format!(r#"{{"type":"subscribe","id":"b",{ALL}}}"#))
            .await;
        if text(&two.hear().await, "type") == "subscribed" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the places of those who are gone are taken");
}

/// What is urgent goes before what another subscription of the connection has waiting.
#[tokio::test]
async fn the_urgent_goes_first() {
    let node = Node::start().await;
    let mut socket = node.hello().await;
    for n in 0..200 {
        merge(&node, A, &format!(r#"{{"data":{{"n":{n}}}}}"#)).await;
    }
    let parts: Vec<_> = (0..2)
        .map(|n| format!(r#"{{"context":"note/u{n}","op":"create","body":{{}},"priority":1}}"#))
        .collect();
    let body = format!(
        r#"{{"mode":"independent","proposals":[{}]}}"#,
        parts.join(",")
    );
    node.post("/v1/contexts:batch", &[], &body).await.ok();
    let messages = [
        r#"{"type":"subscribe","id":"slow","scope":[{"context":"task/a"}],"from":"start"}"#,
        r#"{"type":"subscribe","id":"late","scope":[{"context":"note/u0"}],"from":"start"}"#,
    ];
    socket.say(&format!("[{}]", messages.join(","))).await;
    let mut of_slow = 0;
    loop {
        let message = socket.hear_type("change").await;
        match text(&message, "sub") {
            "late" => break,
            _ => of_slow += 1,
        }
    }
    assert!(
        of_slow < 200,
        "the late one waited for all {of_slow} others"
    );
}

/// A subscription that nothing is for moves on all the same.
#[tokio::test]
async fn p5_an_idle_subscription_moves_on() {
    let node = Node::with(|doors| doors.limits.heartbeat = Duration::from_millis(300)).await;
    let mut socket = node.hello().await;
    subscribe(&mut socket, "s", r#""scope":[{"context":"task/none"}]"#).await;
    let mut last = Json::Null;
    for n in 0..5 {
        last = merge(&node, A, &format!(r#"{{"data":{{"n":{n}}}}}"#)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let beat = socket.hear_type("heartbeat").await;
    let cursor = text(at(&beat, "/subs"), "s").to_owned();
    assert!(pull(&node, &format!("?after={cursor}")).await.0.is_empty());
    assert!(last.get("cursor").is_some());
}

/// What cannot be read ends the subscription that must read it, and no other.
#[tokio::test]
async fn p9_what_cannot_be_read_ends_one_subscription_alone() {
    let store = Arc::new(MemoryStore::new());
    let node = Node::over(&store).await;
    for n in 1..=5 {
        merge(&node, A, &format!(r#"{{"data":{{"n":{n}}}}}"#)).await;
    }
    let all = r#""scope":[{"workspace":true}],"from""#;
    let mut socket = node.hello().await;
    subscribe(&mut socket, "live", &format!(r#"{all}:"now""#)).await;
    let faults = [
        (ReadFault::Rot(Seq(4)), "rot", false),
        (ReadFault::Failed(Seq(4)), "unavailable", true),
    ];
    let mut told = Json::Null;
    for (n, (fault, code, retry)) in faults.into_iter().enumerate() {
        store.set_read_fault(Some(fault));
        subscribe(&mut socket, "old", &format!(r#"{all}:"start""#)).await;
        for _ in 0..3 {
            told = socket.hear_type("change").await;
            assert_eq!(text(&told, "sub"), "old");
        }
        let error = socket.hear().await;
        assert_eq!(
            (text(&error, "type"), text(&error, "ref")),
            ("error", "old")
        );
        assert_eq!(text(&error, "code"), code);
        assert_eq!(error.get("ended"), Some(&Json::from(true)));
        assert_eq!(error.get("retry"), Some(&Json::from(retry)));
        assert_eq!(error.get("after_ms").is_some(), retry);
        merge(&node, A, &format!(r#"{{"data":{{"more":{n}}}}}"#)).await;
        let change = socket.hear_type("change").await;
        assert_eq!(text(&change, "sub"), "live");
    }
    // Who comes back with the cursor that it holds misses nothing.
    store.set_read_fault(None);
    let cursor = text(told.get("change").unwrap(), "cursor");
    let again = format!(r#"{all}:{{"cursor":"{cursor}"}}"#);
    subscribe(&mut socket, "old", &again).await;
    let change = socket.hear_type("change").await;
    assert_eq!(version(change.get("change").unwrap()), 3);
}

/// What lies before a record that cannot be read is sound: a page gives it first, and so does a
/// digest. Who goes on from there hears of the record.
#[tokio::test]
async fn a_pull_gives_what_is_sound_first() {
    let store = Arc::new(MemoryStore::new());
    let node = Node::over(&store).await;
    for n in 1..=8 {
        merge(&node, A, &format!(r#"{{"data":{{"n":{n}}}}}"#)).await;
    }
    store.set_read_fault(Some(ReadFault::Rot(Seq(6))));
    for limit in [100, 7, 3] {
        let (mut count, mut after) = (0, "since=start".to_owned());
        let refused = loop {
            let reply = node
                .get(&format!("/v1/changes?{after}&limit={limit}"))
                .await;
            if reply.status != 200 {
                break reply;
            }
            let page = reply.json();
            count += at(&page, "/changes").as_array().unwrap().len();
            after = format!("after={}", text(&page, "cursor"));
        };
        refused.problem(500, "rot");
        assert_eq!(count, 5, "in pages of {limit}");
    }
    let first = node.get("/v1/changes?digest=true").await.ok().json();
    assert_eq!(at(&first, "/changes").as_u64(), Some(5));
    assert_eq!(first.get("more"), Some(&Json::from(true)));
    let path = format!("/v1/changes?digest=true&after={}", text(&first, "cursor"));
    node.get(&path).await.problem(500, "rot");
    // A durable subscription that stands before the record is shown all the same.
    let body = format!(
        r#"{{"name":"ci","from":{{"cursor":"{}"}}}}"#,
        text(&first, "cursor")
    );
    node.post("/v1/subscriptions", &[], &body).await.ok();
    let list = node.get("/v1/subscriptions").await.ok().json();
    assert_eq!(at(&list, "/subscriptions/0/name").as_str(), Some("ci"));
    assert!(at(&list, "/subscriptions/0/behind").as_u64() > Some(2));
}
