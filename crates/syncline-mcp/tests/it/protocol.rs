//! What the server says of itself, in both eras, and how a session ends.

use std::time::Duration;

use syncline_model::json::Json;

use crate::house::{Called, house};

/// What every conversation of every agent pays: under 1,500 tokens of 2.7 bytes.
const DEFINITIONS_BYTES_MAX: usize = 4_050;

fn at<'a>(json: &'a Json, path: &str) -> &'a Json {
    let mut value = json;
    for name in path.split('/') {
        value = value
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {json:?}"));
    }
    value
}

#[tokio::test]
async fn the_server_says_who_it_is() {
    let house = house().await;
    let mut agent = house.stranger(None).await;
    let answer = agent.initialize("claude-code").await;
    assert_eq!(
        at(&answer, "result/protocolVersion").as_str(),
        Some("2025-11-25")
    );
    assert_eq!(
        at(&answer, "result/serverInfo/name").as_str(),
        Some("syncline")
    );
    let version = at(&answer, "result/serverInfo/version").as_str();
    assert_eq!(version, Some(env!("CARGO_PKG_VERSION")));
    assert!(at(&answer, "result/capabilities").get("tools").is_some());
    assert!(at(&answer, "result/instructions").as_str().unwrap().len() < 600);
}

#[tokio::test]
async fn the_newer_era_needs_no_initialize() {
    let house = house().await;
    let mut agent = house.stranger(None).await;
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"newer","version":"1"},"io.modelcontextprotocol/clientCapabilities":{},"claudecode/toolUseId":"toolu_1"}"#;
    let answer = agent
        .request("server/discover", &format!("{{{meta}}}"))
        .await;
    let versions = at(&answer, "result/supportedVersions").as_array().unwrap();
    assert!(versions.iter().any(|v| v.as_str() == Some("2026-07-28")));
    let answer = agent.request("tools/list", &format!("{{{meta}}}")).await;
    assert_eq!(at(&answer, "result/tools").as_array().unwrap().len(), 5);
    let write = format!(
        r#"{{{meta},"name":"context_write","arguments":{{"context":"task/a","op":"create","body":{{"title":"A"}}}}}}"#
    );
    let answer = agent.request("tools/call", &write).await;
    assert!(!Called::read(&answer).is_error);
    let read = format!(r#"{{{meta},"name":"context_read","arguments":{{"contexts":["task/a"]}}}}"#);
    let called = Called::read(&agent.request("tools/call", &read).await);
    let actor = called
        .structured
        .get("contexts")
        .unwrap()
        .as_array()
        .unwrap()[0]
        .get("actor")
        .unwrap();
    assert_eq!(actor.get("agent").unwrap().as_str(), Some("newer"));
    assert_eq!(actor.get("tool_call").unwrap().as_str(), Some("toolu_1"));
}

#[tokio::test]
async fn definitions_are_exact_and_cheap() {
    let house = house().await;
    let mut agent = house.agent("a").await;
    let answer = agent.request("tools/list", "{}").await;
    let bytes = answer.to_text().len();
    assert!(
        bytes < DEFINITIONS_BYTES_MAX,
        "{bytes} bytes of definitions"
    );
    let tools = at(&answer, "result/tools").as_array().unwrap();
    let names: Vec<_> = tools
        .iter()
        .map(|t| t.get("name").unwrap().as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "context_read",
            "context_write",
            "context_list",
            "context_changes",
            "context_conflicts"
        ]
    );
    for tool in tools {
        let schema = tool.get("inputSchema").unwrap();
        assert_eq!(
            schema.get("additionalProperties").unwrap().as_bool(),
            Some(false)
        );
        // What the schema does not name, the tool refuses, with the names that it knows.
        let name = tool.get("name").unwrap().as_str().unwrap();
        let called = agent
            .bad(
                name,
                r#"{"zzz":1,"contexts":["task/a"],"context":"task/a"}"#,
            )
            .await;
        assert_eq!(called.code(), "invalid");
    }
}

#[tokio::test]
async fn malformed_calls_are_protocol_errors() {
    let house = house().await;
    let mut agent = house.agent("a").await;
    let code = |answer: &Json| at(answer, "error/code").as_i64().unwrap();
    let answer = agent
        .request("tools/call", r#"{"name":"nope","arguments":{}}"#)
        .await;
    assert_eq!(code(&answer), -32602);
    let answer = agent
        .request("tools/call", r#"{"name":"context_read","arguments":[1]}"#)
        .await;
    assert_eq!(code(&answer), -32602);
    let answer = agent.request("no/such", "{}").await;
    assert_eq!(code(&answer), -32601);
    agent
        .send("{\"jsonrpc\":\"2.0\",\"id\":77,\"method\":\"tools/list\",}")
        .await;
    let answer = agent.receive().await.unwrap();
    assert_eq!(
        (code(&answer), answer.get("id").unwrap().as_u64()),
        (-32700, Some(77))
    );
    agent.send("nonsense").await;
    assert_eq!(code(&agent.receive().await.unwrap()), -32700);
    agent.send("[]").await;
    assert_eq!(code(&agent.receive().await.unwrap()), -32600);
    agent
        .send("\n\n{\"jsonrpc\":\"2.0\",\"method\":\"notifications/whatever\"}")
        .await;
    agent.good("context_list", "{}").await;
}

#[tokio::test]
async fn the_end_of_input_ends_the_session_and_its_waits() {
    let house = house().await;
    let mut agent = house.agent("a").await;
    agent
        .post(
            "tools/call",
            r#"{"name":"context_changes","arguments":{"wait_ms":50000}}"#,
        )
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = std::time::Instant::now();
    let (rest, ended) = agent.hang_up().await;
    assert!(start.elapsed() < Duration::from_secs(2));
    ended.unwrap();
    assert_eq!(rest.len(), 1);
    assert!(Called::read(&rest[0]).text.starts_with("nothing new"));

    let silent = house.stranger(None).await;
    let (rest, ended) = silent.hang_up().await;
    assert!(rest.is_empty());
    ended.unwrap();
}

#[tokio::test]
async fn a_cancelled_wait_ends_without_an_answer() {
    let house = house().await;
    let mut agent = house.agent("a").await;
    let wait = r#"{"name":"context_changes","arguments":{"wait_ms":50000}}"#;
    let id = agent.post("tools/call", wait).await;
    let cancel = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
    );
    agent.send(&cancel).await;
    agent.good("context_list", "{}").await;
    // What the cancelled call did not deliver is still news.
    agent
        .good(
            "context_write",
            r#"{"context":"task/a","create":true,"body":{}}"#,
        )
        .await;
    let news = agent.good("context_changes", "{}").await;
    assert!(
        news.text.contains("create task/a v1 by a (you)"),
        "{}",
        news.text
    );
}
