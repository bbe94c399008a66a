//! What the tools do.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use syncline_api::{Code, Problem, ResetReason};
use syncline_model::json::Json;

use crate::house::{Called, fake_house, house};

fn entry<'a>(called: &'a Called, list: &str, index: usize) -> &'a Json {
    &called.structured.get(list).unwrap().as_array().unwrap()[index]
}

fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name)
        .unwrap_or_else(|| panic!("no {name} in {json:?}"))
        .as_str()
        .unwrap()
}

fn count(called: &Called, list: &str) -> usize {
    called
        .structured
        .get(list)
        .unwrap()
        .as_array()
        .unwrap()
        .len()
}

#[tokio::test]
async fn what_one_writes_the_other_reads_lists_and_hears_of() {
    let house = house().await;
    let (mut one, mut two) = (house.agent("claude one").await, house.agent("two").await);
    let written = one
        .good(
            "context_write",
            r#"{"context":"task/auth-42","op":"create","message":"begin","body":{"title":"Log in","state":"active","labels":{"area":"auth"},"data":{"n":12345678901234567890123,"x":1.10}}}"#,
        )
        .await;
    assert_eq!(written.structured.get("version").unwrap().as_u64(), Some(1));
    assert!(
        written.text.starts_with("task/auth-42 is now version 1"),
        "{}",
        written.text
    );

    let read = two
        .good("context_read", r#"{"contexts":["task/auth-42"]}"#)
        .await;
    let view = entry(&read, "contexts", 0);
    let data = view.get("data").unwrap().to_text();
    assert_eq!(data, r#"{"n":12345678901234567890123,"x":1.10}"#);
    assert_eq!(text(view.get("actor").unwrap(), "agent"), "claude one");
    assert_eq!(text(view, "etag"), text(&written.structured, "etag"));

    let list = two
        .good(
            "context_list",
            r#"{"kind":"task","label":{"area":"auth"},"state":"active"}"#,
        )
        .await;
    assert_eq!(count(&list, "contexts"), 1);
    assert!(
        list.text.starts_with("task/auth-42 v1 active 20"),
        "{}",
        list.text
    );
    assert!(list.text.ends_with("\"Log in\""), "{}", list.text);
    let list = two.good("context_list", r#"{"kind":"project"}"#).await;
    assert_eq!(list.text, "no context matches");

    let news = two.good("context_changes", "{}").await;
    let change = entry(&news, "changes", 0);
    assert_eq!(
        (text(change, "by"), text(change, "message")),
        ("claude one", "begin")
    );
    assert!(change.get("you").is_none());
    assert!(
        news.text
            .contains("create task/auth-42 v1 by \"claude one\""),
        "{}",
        news.text
    );
    let news = two.good("context_changes", "{}").await;
    assert!(news.text.starts_with("nothing new"));
}

#[tokio::test]
async fn a_waiting_agent_hears_at_once() {
    let house = house().await;
    let (mut one, mut two) = (house.agent("one").await, house.agent("two").await);
    let first = two.good("context_changes", "{}").await;
    let start = std::time::Instant::now();
    let wait = r#"{"name":"context_changes","arguments":{"wait_ms":20000}}"#;
    two.post("tools/call", wait).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    one.good(
        "context_write",
        r#"{"context":"task/a","create":true,"body":{"data":{"s":1}}}"#,
    )
    .await;
    let news = Called::read(&two.receive().await.unwrap());
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(text(entry(&news, "changes", 0), "context"), "task/a");
    // An earlier place can be gone back to.
    let after = text(&first.structured, "cursor");
    let again = two
        .good("context_changes", &format!(r#"{{"after":"{after}"}}"#))
        .await;
    assert_eq!(count(&again, "changes"), 1);
    let start = std::time::Instant::now();
    let nothing = two.good("context_changes", r#"{"wait_ms":300}"#).await;
    assert_eq!(count(&nothing, "changes"), 0);
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn own_changes_are_marked_or_left_out() {
    let house = house().await;
    let mut one = house.agent("one").await;
    one.good(
        "context_write",
        r#"{"context":"task/a","create":true,"body":{}}"#,
    )
    .await;
    let others = one
        .good(
            "context_changes",
            r#"{"exclude_self":true,"scope":[{"context":"task/a"}]}"#,
        )
        .await;
    assert_eq!(count(&others, "changes"), 0);
    let all = one.good("context_changes", "{}").await;
    assert_eq!(
        entry(&all, "changes", 0).get("you").unwrap().as_bool(),
        Some(true)
    );
}

#[tokio::test]
async fn each_scope_has_a_place_of_its_own() {
    let house = house().await;
    let mut one = house.agent("one").await;
    for name in ["task/a", "task/b"] {
        let write = format!(r#"{{"context":"{name}","create":true,"body":{{}}}}"#);
        one.good("context_write", &write).await;
    }
    let a = one
        .good("context_changes", r#"{"scope":[{"context":"task/a"}]}"#)
        .await;
    assert!(
        a.text.contains("task/a") && !a.text.contains("task/b"),
        "{}",
        a.text
    );
    let all = one.good("context_changes", r#"{"limit":1}"#).await;
    assert!(
        all.text.contains("task/a") && all.text.contains("more: true"),
        "{}",
        all.text
    );
    let all = one.good("context_changes", "{}").await;
    assert!(
        all.text.contains("task/b") && !all.text.contains("task/a"),
        "{}",
        all.text
    );
}

#[tokio::test]
async fn what_may_overwrite_says_what_it_was_made_on() {
    let house = house().await;
    let (mut one, mut two) = (house.agent("one").await, house.agent("two").await);
    one.good(
        "context_write",
        r#"{"context":"task/a","op":"create","body":{"data":{"s":"open"}}}"#,
    )
    .await;
    let replace = two.bad(
        "context_write",
        r#"{"context":"task/a","op":"replace","body":{"data":{}}}"#,
    );
    let replace = replace.await;
    assert_eq!(replace.code(), "precondition_required");
    assert!(
        replace.text.contains("send its version as base"),
        "{}",
        replace.text
    );
    let exists = two
        .bad(
            "context_write",
            r#"{"context":"task/a","op":"create","body":{}}"#,
        )
        .await;
    assert_eq!(exists.code(), "precondition_failed");
    assert!(exists.text.contains("op merge"), "{}", exists.text);
}

#[tokio::test]
async fn every_op_works() {
    let house = house().await;
    let mut one = house.agent("one").await;
    let missing = one
        .bad("context_write", r#"{"context":"task/a","body":{}}"#)
        .await;
    assert_eq!(missing.code(), "not_found");
    assert!(missing.text.contains("create: true"), "{}", missing.text);
    let steps = [
        r#"{"context":"task/a","body":{"parent":"project/p","data":{"n":1}},"create":true,"create_parents":true}"#,
        r#"{"context":"task/a","op":"patch","body":[{"op":"replace","path":"/data/n","value":2}]}"#,
        r#"{"context":"task/a","op":"patch","body":"[{\"op\":\"add\",\"path\":\"/data/m\",\"value\":12345678901234567890123}]","base":2}"#,
        r#"{"context":"task/a","op":"replace","body":{"data":{"only":true}},"base":"3"}"#,
        r#"{"context":"task/a","op":"delete","base":4}"#,
        r#"{"context":"task/a","op":"restore"}"#,
    ];
    for (index, step) in steps.iter().enumerate() {
        let written = one.good("context_write", step).await;
        let version = written.structured.get("version").unwrap().as_u64();
        assert_eq!(version, Some(index as u64 + 1), "{step}");
        assert_eq!(
            written.structured.get("blind").is_some(),
            index == 1,
            "{step}"
        );
        if index == 4 {
            let gone = one.bad("context_read", r#"{"contexts":["task/a"]}"#).await;
            assert_eq!(gone.code(), "deleted");
        }
    }
    let read = one
        .good("context_read", r#"{"contexts":["task/a"],"version":3}"#)
        .await;
    let data = entry(&read, "contexts", 0).get("data").unwrap().to_text();
    assert_eq!(data, r#"{"m":12345678901234567890123,"n":2}"#);
    let same = one
        .good(
            "context_write",
            r#"{"context":"task/a","body":{"data":{"only":true}}}"#,
        )
        .await;
    assert!(
        same.text.starts_with("task/a already says so"),
        "{}",
        same.text
    );
}

#[tokio::test]
async fn a_resend_takes_effect_once() {
    let house = house().await;
    let mut one = house.agent("one").await;
    let write = |n: u32| {
        format!(
            r#"{{"context":"task/a","create":true,"change_id":"01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f","body":{{"data":{{"n":{n}}}}}}}"#
        )
    };
    let first = one.good("context_write", &write(1)).await;
    let again = one.good("context_write", &write(1)).await;
    assert_eq!(
        first.structured.get("version"),
        again.structured.get("version")
    );
    let other = one.bad("context_write", &write(2)).await;
    assert_eq!(other.code(), "change_id_reused");
}

#[tokio::test]
async fn several_are_read_within_one_bound() {
    let house = house().await;
    let mut one = house.agent("one").await;
    let log = vec![r#""a line of a log that goes on""#; 3_000].join(",");
    for name in ["task/a", "task/b"] {
        let write = format!(
            r#"{{"context":"{name}","create":true,"body":{{"title":"T","data":{{"log":[{log}],"status":"open"}}}}}}"#
        );
        one.good("context_write", &write).await;
    }
    let read = one
        .good(
            "context_read",
            r#"{"contexts":["task/a","task/nope","task/b"]}"#,
        )
        .await;
    assert_eq!(count(&read, "contexts"), 3);
    assert!(read.text.len() < 14_000, "{} bytes", read.text.len());
    assert!(
        read.text.contains("\"left_out\":[\"/data/log\"]"),
        "{}",
        read.text
    );
    assert_eq!(
        text(entry(&read, "contexts", 1).get("error").unwrap(), "code"),
        "not_found"
    );
    assert_eq!(
        text(entry(&read, "contexts", 2).get("data").unwrap(), "status"),
        "open"
    );
    let part = one
        .good(
            "context_read",
            r#"{"contexts":["task/a"],"fields":["/data/status","/title"]}"#,
        )
        .await;
    let view = entry(&part, "contexts", 0);
    assert_eq!(view.get("data").unwrap().to_text(), r#"{"status":"open"}"#);
    assert!(view.get("partial").is_some());
    // A part's ETag is good for no replacement.
    let etag = Json::from(text(view, "etag")).to_text();
    let replace =
        format!(r#"{{"context":"task/a","op":"replace","base":{etag},"body":{{"data":{{}}}}}}"#);
    one.bad("context_write", &replace).await;
}

#[tokio::test]
async fn lists_page_without_a_gap() {
    let house = house().await;
    let mut one = house.agent("one").await;
    for n in 0..7 {
        let write = format!(r#"{{"context":"note/n{n}","create":true,"body":{{"title":"{n}"}}}}"#);
        one.good("context_write", &write).await;
    }
    let mut seen = Vec::new();
    let mut page = String::new();
    loop {
        let list = format!(r#"{{"kind":"note","sort":"address","limit":3{page}}}"#);
        let list = one.good("context_list", &list).await;
        let entries = list.structured.get("contexts").unwrap().as_array().unwrap();
        seen.extend(entries.iter().map(|e| text(e, "context").to_owned()));
        match list.structured.get("next") {
            Some(next) => page = format!(r#","page":{}"#, next.to_text()),
            None => break,
        }
    }
    let expected: Vec<_> = (0..7).map(|n| format!("note/n{n}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_place_that_is_no_more_is_explained() {
    let moved = AtomicU32::new(0);
    let house = fake_house(move |request| {
        if request.starts_with("GET /v1/status") {
            let n = moved.fetch_add(1, Ordering::SeqCst);
            return (200, format!(r#"{{"cursor":"place-{n}"}}"#));
        }
        match request.contains("after=place-0") {
            true => (410, Problem::reset(ResetReason::Rewound).to_text()),
            false => (200, r#"{"changes":[],"cursor":"place-2"}"#.to_owned()),
        }
    });
    let house = house.await;
    let mut one = house.agent("one").await;
    let reset = one.good("context_changes", "{}").await;
    assert_eq!(text(&reset.structured, "reset"), "rewound");
    assert_eq!(text(&reset.structured, "cursor"), "place-1");
    assert!(reset.text.contains("read again"), "{}", reset.text);
    let next = one.good("context_changes", "{}").await;
    assert_eq!(next.text, "nothing new\ncursor: place-2");
}

#[tokio::test]
async fn an_unknown_outcome_says_how_to_learn_it() {
    let house = fake_house(|request| match request.starts_with("GET /v1/status") {
        true => (200, r#"{"cursor":"place"}"#.to_owned()),
        false => (
            503,
            Problem::new(Code::UnknownOutcome, "the disk failed").to_text(),
        ),
    });
    let house = house.await;
    let mut one = house.agent("one").await;
    let refused = one
        .bad("context_write", r#"{"context":"task/a","body":{}}"#)
        .await;
    assert_eq!(refused.code(), "unknown_outcome");
    let id = text(&refused.structured, "change_id");
    assert!(refused.text.contains("with this change_id") && refused.text.contains(id));
}

#[tokio::test]
async fn a_node_that_is_gone_is_a_tools_error() {
    let house = house().await;
    let client = house.client.clone();
    let mut one = house.agent("one").await;
    drop(house);
    let mut gone = false;
    for _ in 0..100 {
        if client.status().await.is_err() {
            gone = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(gone);
    let read = one.bad("context_read", r#"{"contexts":["task/a"]}"#).await;
    assert_eq!(read.code(), "unreachable");
    let write = one
        .bad("context_write", r#"{"context":"task/a","body":{}}"#)
        .await;
    assert!(write.structured.get("change_id").is_some());
    assert!(write.text.contains("with this change_id"), "{}", write.text);
}
