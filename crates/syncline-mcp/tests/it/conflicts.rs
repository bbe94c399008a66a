//! What agents hear of writes that met, and how they settle what clashed.

use syncline_client::Write;
use syncline_model::ids::{Address, BranchName, Kind};
use syncline_model::json::{Json, Limits, Pointer};

use crate::house::{Agent, Called, House, house};

fn at<'a>(json: &'a Json, pointer: &str) -> &'a Json {
    json.pointer(&Pointer::parse(pointer).unwrap())
        .unwrap_or_else(|| panic!("{pointer} in {}", json.to_text()))
}

fn text<'a>(called: &'a Called, pointer: &str) -> &'a str {
    at(&called.structured, pointer).as_str().unwrap()
}

async fn write(agent: &mut Agent, arguments: &str) -> Called {
    let arguments = format!(r#"{{"context":"task/a",{arguments}}}"#);
    agent.good("context_write", &arguments).await
}

/// Starts a node on which two agents have written one field from version 1.
async fn clashed(more: &str) -> (House, Agent, Agent, Called) {
    let house = house().await;
    let (mut one, mut two) = (house.agent("one").await, house.agent("two").await);
    write(&mut one, r#""op":"create","body":{"data":{"s":"open"}}"#).await;
    write(&mut one, r#""base":1,"body":{"data":{"s":"done"}}"#).await;
    let late = format!(r#""base":1,"body":{{"data":{{"s":"stuck"{more}}}}}"#);
    let late = write(&mut two, &late).await;
    (house, one, two, late)
}

#[tokio::test]
async fn p4_a_clash_is_told_with_all_sides_and_settled() {
    let (_house, mut one, mut two, late) = clashed(r#","why":"the cache""#).await;
    assert_eq!(text(&late, "/outcome"), "conflict");
    assert_eq!(text(&late, "/conflicts/0/path"), "/data/s");
    for (side, state) in [("base", "open"), ("theirs", "done"), ("ours", "stuck")] {
        assert_eq!(text(&late, &format!("/conflicts/0/{side}")), state);
    }
    assert!(
        late.text
            .contains("Settle each conflict with context_conflicts"),
        "{}",
        late.text
    );
    let id = text(&late, "/conflicts/0/id").to_owned();

    let news = one.good("context_changes", "{}").await;
    assert!(
        news.text.contains(&format!("conflicts {id}")),
        "{}",
        news.text
    );
    let list = one.good("context_conflicts", "{}").await;
    assert_eq!(text(&list, "/conflicts/0/id"), id);
    assert_eq!(text(&list, "/conflicts/0/by_ours"), "two");
    assert!(at(&list.structured, "/conflicts/0").get("ours").is_none());
    let other = one
        .good("context_conflicts", r#"{"context":"task/other"}"#)
        .await;
    assert_eq!(other.text, "no conflict waits");

    let shown = one
        .good("context_conflicts", &format!(r#"{{"id":"{id}"}}"#))
        .await;
    assert_eq!(text(&shown, "/ours"), "stuck");
    assert_eq!(at(&shown.structured, "/priority").as_u64(), Some(2));
    let deadline = text(&shown, "/deadline");
    assert!(
        shown
            .text
            .contains(&format!("deadline: {deadline} priority: 2")),
        "{}",
        shown.text
    );
    assert!(shown.text.contains("ours waits"), "{}", shown.text);

    // A choice names what it was made on; a side has moved since.
    write(&mut one, r#""base":3,"body":{"data":{"s":"over"}}"#).await;
    let stale = format!(r#"{{"id":"{id}","version":1,"choose":"ours"}}"#);
    let stale = two.bad("context_conflicts", &stale).await;
    assert_eq!(stale.code(), "precondition_failed");
    assert_eq!(text(&stale, "/theirs"), "over");
    let version = at(&stale.structured, "/version").as_u64().unwrap();
    let settle =
        format!(r#"{{"id":"{id}","version":{version},"value":{{"n":1.10}},"message":"both"}}"#);
    let settled = two.good("context_conflicts", &settle).await;
    assert!(
        settled.text.starts_with("settled: task/a is now version 5"),
        "{}",
        settled.text
    );
    assert_eq!(text(&settled, "/state"), "settled");
    let read = r#"{"contexts":["task/a"],"fields":["/data"]}"#;
    let read = one.good("context_read", read).await;
    let data = at(&read.structured, "/contexts/0/data").to_text();
    assert_eq!(data, r#"{"s":{"n":1.10},"why":"the cache"}"#);
    let news = one.good("context_changes", "{}").await;
    assert!(
        news.text.contains(&format!("settled {id}")),
        "{}",
        news.text
    );
    let again = two.bad("context_conflicts", &settle).await;
    assert_eq!(again.code(), "precondition_failed");
}

#[tokio::test]
async fn a_null_and_nothing_are_values_too() {
    let (_house, _one, mut two, late) = clashed("").await;
    let id = text(&late, "/conflicts/0/id");
    // Without a version it is chosen from the sides as they are.
    let settle = format!(r#"{{"id":"{id}","value":null}}"#);
    two.good("context_conflicts", &settle).await;
    let read = two.good("context_read", r#"{"contexts":["task/a"]}"#).await;
    assert_eq!(
        at(&read.structured, "/contexts/0/data").to_text(),
        r#"{"s":null}"#
    );
}

#[tokio::test]
async fn what_merges_is_said_to_be_merged() {
    let house = house().await;
    let mut one = house.agent("one").await;
    write(&mut one, r#""op":"create","body":{"data":{"s":"open"}}"#).await;
    write(&mut one, r#""base":1,"body":{"data":{"s":"done"}}"#).await;
    let merged = write(&mut one, r#""base":1,"body":{"data":{"t":1}}"#).await;
    assert_eq!(text(&merged, "/outcome"), "merged");
    assert!(
        merged.text.contains("others wrote since your base"),
        "{}",
        merged.text
    );
    assert!(merged.structured.get("conflicts").is_none());
}

#[tokio::test]
async fn sides_are_bounded() {
    let house = house().await;
    let mut one = house.agent("one").await;
    let large = |c: &str| format!(r#"{{"data":{{"s":"{}"}}}}"#, c.repeat(200_000));
    write(&mut one, &format!(r#""op":"create","body":{}"#, large("a"))).await;
    write(&mut one, &format!(r#""base":1,"body":{}"#, large("b"))).await;
    let late = write(&mut one, &format!(r#""base":1,"body":{}"#, large("c"))).await;
    assert!(late.text.len() < 6_000, "{} bytes", late.text.len());
    for (side, c) in [("base", "aaa"), ("theirs", "bbb"), ("ours", "ccc")] {
        assert!(text(&late, &format!("/conflicts/0/{side}")).starts_with(c));
    }
    let id = text(&late, "/conflicts/0/id");
    let shown = one
        .good("context_conflicts", &format!(r#"{{"id":"{id}"}}"#))
        .await;
    assert!(shown.text.len() < 14_000, "{} bytes", shown.text.len());
    assert!(shown.text.contains("partial: "));
}

#[tokio::test]
async fn history_can_be_asked_and_taken_back() {
    let house = house().await;
    let (mut one, mut two) = (house.agent("one").await, house.agent("two").await);
    write(
        &mut one,
        r#""op":"create","body":{"data":{"m":1,"s":"open"}}"#,
    )
    .await;
    write(
        &mut two,
        r#""base":1,"message":"why not","body":{"data":{"m":2}}"#,
    )
    .await;
    write(&mut one, r#""base":2,"body":{"data":{"s":"done"}}"#).await;
    let read = r#"{"contexts":["task/a"],"fields":["/data/m","/data/none"],"blame":true}"#;
    let read = one.good("context_read", read).await;
    let blamed = at(&read.structured, "/contexts/0/blame");
    assert_eq!(at(blamed, "/0/version").as_u64(), Some(2));
    assert_eq!(at(blamed, "/0/actor/agent").as_str(), Some("two"));
    assert_eq!(at(blamed, "/0/message").as_str(), Some("why not"));
    assert_eq!(at(blamed, "/1/error").as_str(), Some("not_found"));

    write(&mut two, r#""op":"undo""#).await;
    let data = r#"{"contexts":["task/a"],"fields":["/data"]}"#;
    let read = one.good("context_read", data).await;
    assert_eq!(
        at(&read.structured, "/contexts/0/data").to_text(),
        r#"{"m":1,"s":"done"}"#
    );
    write(&mut two, r#""op":"rollback","body":{"version":2}"#).await;
    let read = one.good("context_read", data).await;
    assert_eq!(
        at(&read.structured, "/contexts/0/data").to_text(),
        r#"{"m":2,"s":"open"}"#
    );
}

#[tokio::test]
async fn wrong_arguments_are_named() {
    let (_house, mut one, _two, late) = clashed("").await;
    let id = text(&late, "/conflicts/0/id");
    for (tool, arguments, word) in [
        ("context_conflicts", r#"{"id":"x"}"#.to_owned(), "id"),
        ("context_conflicts", r#"{"choose":"ours"}"#.to_owned(), "id"),
        (
            "context_conflicts",
            format!(r#"{{"id":"{id}","version":0,"choose":"ours"}}"#),
            "version",
        ),
        (
            "context_conflicts",
            format!(r#"{{"id":"{id}","version":1,"choose":"mine"}}"#),
            "choose",
        ),
        (
            "context_conflicts",
            format!(r#"{{"id":"{id}","version":1,"choose":"ours","value":1}}"#),
            "value",
        ),
        (
            "context_read",
            r#"{"contexts":["task/a"],"blame":true}"#.to_owned(),
            "blame",
        ),
        (
            "context_write",
            r#"{"context":"task/a","op":"settle","body":{}}"#.to_owned(),
            "op",
        ),
        (
            "context_write",
            r#"{"context":"task/a","op":"rollback","body":{}}"#.to_owned(),
            "body",
        ),
        (
            "context_write",
            r#"{"context":"task/a","op":"undo","body":{}}"#.to_owned(),
            "body",
        ),
    ] {
        let refused = one.bad(tool, &arguments).await;
        assert_eq!(refused.code(), "invalid", "{arguments}");
        let pointer = text(&refused, "/error/pointer");
        assert_eq!(pointer, format!("/{word}"), "{arguments}");
    }
}

#[tokio::test]
async fn a_write_may_say_what_becomes_of_a_clash() {
    let (_house, mut one, ..) = clashed("").await;
    let kept = r#""base":1,"body":{"data":{"s":"mine"}},"strategy":"keep_both""#;
    let kept = write(&mut one, kept).await;
    assert_eq!(text(&kept, "/outcome"), "kept_both");
    let wrong = r#"{"context":"task/a","base":1,"body":{},"strategy":"keep"}"#;
    let wrong = one.bad("context_write", wrong).await;
    assert!(wrong.text.contains("keep_both"), "{}", wrong.text);
}

/// What is on a branch is not told as if `main` had it (P10).
#[tokio::test]
async fn p10_changes_of_branches_are_told_with_their_branch() {
    let house = house().await;
    let (mut one, mut two) = (house.agent("one").await, house.agent("two").await);
    write(&mut one, r#""op":"create","body":{"data":{"x":0}}"#).await;
    let client = &house.client;
    let (context, try_b) = (
        Address::parse("task/a").unwrap(),
        BranchName::parse("try").unwrap(),
    );
    let note = Write::default();
    let made = client.create_branch(&context, &try_b, None, &note);
    made.await.unwrap();
    two.good("context_changes", "{}").await;
    let written = write(
        &mut one,
        r#""branch":"try","base":1,"body":{"data":{"x":1}}"#,
    )
    .await;
    let first = "branch try of task/a is now version 2";
    assert!(written.text.starts_with(first), "{}", written.text);
    let merged = client.merge_branch(&context, Some(&try_b), None, &note);
    merged.await.unwrap();
    let kept = r#""base":1,"strategy":"keep_both","body":{"data":{"x":2}}"#;
    let kept = write(&mut one, kept).await;
    let branch = text(&kept, "/branch").to_owned();
    let first = format!("task/a keeps what it had; yours is version 1 of branch {branch}");
    assert!(kept.text.starts_with(&first), "{}", kept.text);

    let news = two.good("context_changes", "{}").await;
    let said: Vec<_> = news.text.lines().collect();
    assert!(said[0].contains("task/a v2 branch try by one"), "{news:?}");
    assert!(said[1].contains("task/a v2 merges try v2"), "{news:?}");
    assert!(
        said[2].contains(&format!("task/a v1 branch {branch} by one")),
        "{news:?}"
    );
    assert_eq!(text(&news, "/changes/0/branch"), "try");
    assert!(at(&news.structured, "/changes/1").get("branch").is_none());
    assert_eq!(text(&news, "/changes/1/merges/branch"), "try");
    assert_eq!(text(&news, "/changes/2/branch"), branch);
}

/// Two counts that are each within the schema: both sides look the same, and only the reason says
/// what is wrong.
#[tokio::test]
async fn a_conflict_says_why_it_is_one() {
    let house = house().await;
    let mut one = house.agent("one").await;
    let schema =
        r#"{"schema":{"properties":{"c":{"type":"integer","maximum":10,"x-merge":"counter"}}}}"#;
    let schema = Json::parse(schema.as_bytes(), &Limits::default()).unwrap();
    let kind = Kind::parse("task").unwrap();
    let note = Write::default();
    let declared = house.client.put_schema(&kind, &schema, &note);
    declared.await.unwrap();
    write(&mut one, r#""op":"create","body":{"data":{"c":0}}"#).await;
    write(&mut one, r#""base":1,"body":{"data":{"c":6}}"#).await;
    let late = r#""base":1,"message":"six more","body":{"data":{"c":6}}"#;
    let late = write(&mut one, late).await;
    let id = text(&late, "/conflicts/0/id").to_owned();
    let shown = one
        .good("context_conflicts", &format!(r#"{{"id":"{id}"}}"#))
        .await;
    let reason = text(&shown, "/reason");
    assert!(reason.contains("/data/c: must be at most 10"), "{reason}");
    assert!(shown.text.contains(reason), "{}", shown.text);
    assert_eq!(text(&shown, "/message"), "six more");
    assert!(
        shown.text.contains("message: \"six more\""),
        "{}",
        shown.text
    );
}
