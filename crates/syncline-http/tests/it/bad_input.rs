//! What a hostile or broken client sends. Nothing is changed, and the node goes on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::SinkExt as _;
use syncline_model::json::Json;
use tokio_tungstenite::tungstenite::Message;

use crate::node::{KEY, Node, json, text};

const A: &str = "/v1/contexts/task/a";

/// Checks that the node still works and that nothing but global/main is there.
async fn unharmed(node: &Node) {
    let stats = node.get("/v1/stats").await.ok().json();
    assert_eq!(stats.get("contexts"), Some(&Json::from(1)));
    assert_eq!(stats.get("records"), Some(&Json::from(1)));
}

/// Where a limit bites, the answer names it: the figure and the setting.
#[tokio::test]
async fn a_limit_that_bites_is_named() {
    let node = Node::start().await;
    let deep = format!("{{\"data\":{}1{}}}", "[".repeat(80), "]".repeat(80));
    let deep = node.put(A, &[], &deep).await.problem(400, "bad_json");
    assert_eq!(deep.get("limit"), Some(&Json::from(64)));
    assert_eq!(text(&deep, "setting"), "max_document_depth");
    // What may be wrapped round a document does not count as its depth, and the setting holds.
    let mut settings = syncline_engine::Settings::default();
    settings.rules.document_depth_max = 90;
    let node = Node::with_settings(settings).await;
    let deep = format!("{}1{}", "[".repeat(85), "]".repeat(85));
    let batch = format!(
        r#"{{"mode":"atomic","proposals":[{{"context":"task/a","op":"create","body":{{"data":{{"x":{deep}}}}}}}]}}"#
    );
    node.post("/v1/contexts:batch", &[], &batch).await.ok();
    assert!(node.get(A).await.ok().body.contains(&deep));
}

#[tokio::test]
async fn json_is_read_strictly() {
    let node = Node::start().await;
    let deep = format!("{{\"data\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for (body, status, code) in [
        ("", 400, "bad_json"),
        ("{", 400, "bad_json"),
        ("{} {}", 400, "bad_json"),
        ("{\"title\":\"a\",\"title\":\"b\"}", 400, "bad_json"),
        ("{\"data\":{\"n\":NaN}}", 400, "bad_json"),
        ("{\"data\":{\"n\":01}}", 400, "bad_json"),
        ("{'title':1}", 400, "bad_json"),
        ("\u{feff}{}", 400, "bad_json"),
        ("{\"title\":\"\\ud800\"}", 400, "bad_json"),
        ("{\"title\":\"a\nb\"}", 400, "bad_json"),
        (&deep, 400, "bad_json"),
        ("[]", 422, "invalid"),
        ("null", 422, "invalid"),
        ("\"x\"", 422, "invalid"),
        ("{\"titel\":\"x\"}", 422, "invalid"),
        ("{\"title\":1}", 422, "invalid"),
        ("{\"labels\":[]}", 422, "invalid"),
        ("{\"level\":\"secret\"}", 422, "invalid"),
        ("{\"parent\":\"task/a\"}", 422, "invalid"),
        ("{\"context\":\"task/b\"}", 422, "invalid"),
        (
            "{\"$serde_json::private::RawValue\":\"{}\"}",
            422,
            "invalid",
        ),
    ] {
        let problem = node.put(A, &[], body).await.problem(status, code);
        assert!(problem.get("pointer").is_some(), "{body:.60}");
        if code == "bad_json" && !body.is_empty() {
            assert!(
                text(&problem, "detail").contains("line 1 column") || body.contains('\n'),
                "{}",
                problem.to_text()
            );
        }
    }
    let mut broken = format!(
        "PUT {A} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n",
        node.address
    )
    .into_bytes();
    broken.extend_from_slice(b"{\"title\":\"\xff\"} ");
    node.raw(broken).await.problem(400, "bad_json");
    unharmed(&node).await;
    // What only looks like magic is kept as it is.
    let magic = r#"{"data":{"$serde_json::private::Number":"1","big":12345678901234567890123,"exact":0.10000000000000000001,"one":1.0}}"#;
    node.put(A, &[], magic).await.ok();
    assert!(node.get(A).await.body.contains(
        &magic[9..magic.len() - 2].replace(r#""$serde_json::private::Number":"1","#, "")[..]
    ));
}

#[tokio::test]
async fn addresses_are_read_strictly() {
    let node = Node::start().await;
    let long = format!("/v1/contexts/task/{}", "a".repeat(10_000));
    for path in [
        "/v1/contexts/Task/a",
        "/v1/contexts/task/-a",
        "/v1/contexts/task/a%2Fb",
        "/v1/contexts/task/a%00",
        "/v1/contexts/task/%0A",
        "/v1/contexts/task/%C3%A9",
        "/v1/contexts/task/a%20b",
        "/v1/contexts/9/a",
        "/v1/contexts/ta%73k%2F/a",
        "/v1/contexts/task/..",
        "/v1/contexts/task/%2e%2e",
        &long,
    ] {
        for reply in [node.get(path).await, node.put(path, &[], "{}").await] {
            reply.problem(422, "invalid");
        }
    }
    node.get("/v1/contexts/task/%ff")
        .await
        .problem(422, "invalid");
    node.get("/v1/contexts/task/")
        .await
        .problem(404, "not_found");
    unharmed(&node).await;
}

#[tokio::test]
async fn content_types_are_needed() {
    let node = Node::start().await;
    for kind in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json-patch+json",
        "application/json; charset=latin-1",
        "*/*",
    ] {
        let reply = node.send("PUT", A, &[("content-type", kind)], "{}").await;
        assert!(
            text(&reply.problem(415, "unsupported_media_type"), "hint")
                .contains("application/json")
        );
    }
    node.send("PUT", A, &[], "{}")
        .await
        .problem(415, "unsupported_media_type");
    unharmed(&node).await;
    node.send(
        "PUT",
        A,
        &[("content-type", "Application/JSON; charset=\"UTF-8\"")],
        "{}",
    )
    .await
    .ok();
}

#[tokio::test]
async fn cyclic_parents_are_refused() {
    let node = Node::start().await;
    node.put("/v1/contexts/note/a", &[], "{}").await.ok();
    node.put("/v1/contexts/note/b", &[], r#"{"parent":"note/a"}"#)
        .await
        .ok();
    for parent in ["note/a", "note/b"] {
        let reply = node
            .merge(
                "/v1/contexts/note/a",
                &[],
                &format!(r#"{{"parent":"{parent}"}}"#),
            )
            .await;
        assert_eq!(text(&reply.problem(422, "invalid"), "pointer"), "/parent");
    }
}

#[tokio::test]
async fn headers_are_read_strictly() {
    let node = Node::start().await;
    for header in [
        ("syncline-message", "%zz"),
        ("syncline-message", "%ff"),
        ("syncline-base", "x"),
        ("syncline-workspace", "A B"),
        ("syncline-confirm", "moon"),
        ("if-match", "v1"),
        ("if-none-match", "\"v1-0000000000000000\""),
    ] {
        node.put(A, &[header], "{}")
            .await
            .problem(400, "bad_request");
    }
    node.put(A, &[("syncline-workspace", "none")], "{}")
        .await
        .problem(404, "not_found");
    let long = "x".repeat(10_001);
    node.put(A, &[("syncline-message", &long)], "{}")
        .await
        .problem(400, "bad_request");
    unharmed(&node).await;
}

#[tokio::test]
async fn broken_http_is_answered_or_cut() {
    let node = Node::start().await;
    let reply = node.raw("GARBAGE\r\n\r\n").await;
    assert_eq!(reply.status, 400);
    let reply = node
        .raw(format!(
            "GET / HTTP/1.1\r\nhost: {}\r\nx: {}\r\n\r\n",
            node.address,
            "y".repeat(100_000)
        ))
        .await;
    assert_eq!(reply.status, 431);
    let many: String = (0..200).map(|n| format!("x{n}: y\r\n")).collect();
    let reply = node
        .raw(format!(
            "GET / HTTP/1.1\r\nhost: {}\r\n{many}\r\n",
            node.address
        ))
        .await;
    assert_eq!(reply.status, 431);
    unharmed(&node).await;
}

#[tokio::test]
async fn odd_strings_go_through_unharmed() {
    let node = Node::start().await;
    let odd = [
        "",
        " ",
        "\u{0}",
        "\u{1}\u{1f}\u{7f}\u{9f}",
        "\u{feff}",
        "\u{2028}\u{2029}",
        "\u{202e}evil",
        "𝕳𝖊𝖑𝖑𝖔",
        "Z̮̞̠͙͔ͅḀ̗̞͈̻̗Ḷ͙͎̯̹̞͓G̻O̭̗̮",
        "👩‍👩‍👧‍👦",
        "null",
        "'; DROP TABLE heads; --",
        "<script>alert(1)</script>",
        "../../etc/passwd",
        "%00%0d%0a",
        "\\u0000",
        "${jndi:ldap://x}",
        "\r\n\r\nHTTP/1.1 200",
        "ﷺ",
        "\"\\/",
    ];
    for (n, text) in odd.iter().enumerate() {
        let path = format!("/v1/contexts/task/odd{n}");
        let value = Json::from(*text).to_text();
        let body =
            format!(r#"{{"title":{value},"data":{{{value}:[{value}]}},"labels":{{"k":{value}}}}}"#);
        node.put(&path, &[], &body).await.ok();
        let read = node.get(&path).await.ok().json();
        assert_eq!(
            read.get("data"),
            Some(&json(&format!("{{{value}:[{value}]}}"))),
            "{text:?}"
        );
        assert_eq!(
            read.get("title").and_then(Json::as_str).unwrap_or_default(),
            *text
        );
    }
    let all = node.get("/v1/changes?limit=1000").await.ok().json();
    assert_eq!(
        all.get("changes").unwrap().as_array().unwrap().len(),
        odd.len() + 1
    );
}

/// The corpus of JSON parsing, through the door: what must be refused is, and the rest is kept.
#[tokio::test]
async fn the_parsing_corpus_goes_through_the_door() {
    let root = std::env::var("SYNCLINE_TEST_DATA").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").to_owned()
    });
    let path = std::path::Path::new(&root).join("standards/json-parsing.jsonl.zst");
    let Ok(packed) = std::fs::read(&path) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "{} is missing",
            path.display()
        );
        return;
    };
    let rows = String::from_utf8(zstd::stream::decode_all(&packed[..]).unwrap()).unwrap();
    let node = Node::start().await;
    let mut socket = node.hello().await;
    let mut count = 0;
    for row in rows.split('\n').filter(|row| !row.is_empty()) {
        let row = json(row);
        let name = text(&row, "name").to_owned();
        let bytes = STANDARD.decode(text(&row, "base64")).unwrap();
        let mut request = format!(
            "PUT {A} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {KEY}\r\nif-match: *\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            node.address,
            bytes.len()
        )
        .into_bytes();
        request.extend_from_slice(&bytes);
        let status = node.raw(request).await.status;
        let expected: &[u16] = match name.as_bytes()[0] {
            // What nests too deep is not read to its end.
            b'n' => &[400, 413],
            // RFC 8259 leaves them open; we refuse what another would drop.
            _ if name.starts_with("y_object_duplicated_key") => &[400],
            // Well-formed JSON is then no document of ours, or writes to what is not there.
            b'y' => &[412, 422],
            _ => &[400, 412, 413, 422],
        };
        assert!(expected.contains(&status), "{name}: {status}");
        if let Ok(text) = String::from_utf8(bytes) {
            socket.socket.send(Message::text(text)).await.unwrap();
            // What is not JSON ends the connection; the rest is answered, message by message.
            if name.starts_with('n') {
                assert_eq!(socket.hear_close().await.0, 4509, "{name}");
            }
            socket = node.hello().await;
        }
        count += 1;
    }
    assert!(count > 200, "{count}");
    unharmed(&node).await;
}
