//! Through the HTTP door.

use syncline_testkit::raw;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{JSON, MERGE, PATCH, Still, assert_problem};
use crate::run;

/// One request, and the refusal that it must meet.
struct Case {
    name: &'static str,
    method: &'static str,
    path: String,
    headers: Vec<String>,
    body: Vec<u8>,
    statuses: &'static [u16],
    code: &'static str,
}

fn put(
    name: &'static str,
    body: impl Into<Vec<u8>>,
    status: &'static [u16],
    code: &'static str,
) -> Case {
    Case {
        name,
        method: "PUT",
        path: "/v1/contexts/task/new".to_owned(),
        headers: vec![JSON.to_owned()],
        body: body.into(),
        statuses: status,
        code,
    }
}

fn patch(
    name: &'static str,
    body: impl Into<Vec<u8>>,
    status: &'static [u16],
    code: &'static str,
) -> Case {
    Case {
        method: "PATCH",
        path: "/v1/contexts/task/there".to_owned(),
        headers: vec![PATCH.to_owned()],
        ..put(name, body, status, code)
    }
}

fn get(
    name: &'static str,
    path: impl Into<String>,
    status: &'static [u16],
    code: &'static str,
) -> Case {
    Case {
        method: "GET",
        path: path.into(),
        headers: vec![],
        ..put(name, "", status, code)
    }
}

fn address(
    name: &'static str,
    path: impl Into<String>,
    status: &'static [u16],
    code: &'static str,
) -> Case {
    Case {
        path: path.into(),
        ..put(name, r#"{"data":{}}"#, status, code)
    }
}

fn header(name: &'static str, line: &str, status: &'static [u16], code: &'static str) -> Case {
    let mut case = put(name, r#"{"data":{}}"#, status, code);
    case.headers.push(line.to_owned());
    case
}

fn check(cases: Vec<Case>) {
    run(async {
        let still = Still::start().await;
        for case in cases {
            let headers: Vec<&str> = case.headers.iter().map(String::as_str).collect();
            let answer = raw::send(
                still.access(),
                case.method,
                &case.path,
                &headers,
                &case.body,
            );
            let answer = answer
                .await
                .unwrap_or_else(|error| panic!("{}: {error}", case.name));
            assert_problem(&answer, case.statuses, case.code, case.name);
            still.check(case.name).await;
        }
    });
}

fn nested(depth: usize) -> String {
    format!(
        r#"{{"data":{{"a":{}{}}}}}"#,
        "[".repeat(depth),
        "]".repeat(depth)
    )
}

#[test]
fn text_that_is_not_json_is_refused_with_its_place() {
    let bad = |name, body: &[u8]| put(name, body.to_vec(), &[400], "bad_json");
    check(vec![
        bad("nothing", b""),
        bad("cut off", b"{\"data\":"),
        bad("a comma too many", b"{\"data\":{},}"),
        bad("NaN", b"{\"data\":{\"n\":NaN}}"),
        bad("Infinity", b"{\"data\":{\"n\":-Infinity}}"),
        bad("two equal keys", b"{\"data\":{\"a\":1,\"a\":2}}"),
        bad(
            "two equal keys, one escaped",
            b"{\"data\":{\"a\":1,\"\\u0061\":2}}",
        ),
        bad("bad UTF-8", b"{\"data\":{\"a\":\"\xff\xfe\"}}"),
        bad("an overlong form", b"{\"data\":{\"a\":\"\xc0\xaf\"}}"),
        bad("a byte order mark", b"\xef\xbb\xbf{\"data\":{}}"),
        bad("a lone surrogate", b"{\"data\":{\"a\":\"\\ud800\"}}"),
        bad("a control character", b"{\"data\":{\"a\":\"\n\"}}"),
        bad("something after the end", b"{\"data\":{}} x"),
        bad("UTF-16", b"\xff\xfe{\0}\0"),
        put("depth 65", nested(65), &[413], "too_large"),
        put("depth 10,000", nested(10_000), &[400, 422], "bad_json"),
        put(
            "depth 1,000,000",
            nested(1_000_000),
            &[400, 422],
            "bad_json",
        ),
    ]);
}

#[test]
fn fields_that_are_wrong_are_refused_with_their_pointer() {
    let wrong = |name, body: &'static str| put(name, body, &[422], "invalid");
    check(vec![
        wrong("an array", "[1,2]"),
        wrong("null", "null"),
        wrong("a number", "1"),
        wrong("a misspelt field", r#"{"dta":{}}"#),
        wrong("a title that is a number", r#"{"title":5}"#),
        wrong("labels that are a list", r#"{"labels":[]}"#),
        wrong("a label that is a number", r#"{"labels":{"a":1}}"#),
        wrong("data that is a list", r#"{"data":[]}"#),
        wrong("an unknown level", r#"{"level":"secret"}"#),
        wrong("an unknown state", r#"{"state":"x y"}"#),
        wrong("a parent that is no address", r#"{"parent":"nope"}"#),
        wrong("a parent that is a number", r#"{"parent":5}"#),
        wrong(
            "a parent that is not there",
            r#"{"parent":"project/missing"}"#,
        ),
        wrong("a parent of the wrong level", r#"{"parent":"task/there"}"#),
        wrong("itself as parent", r#"{"parent":"task/new"}"#),
        wrong(
            "collaborators that are an object",
            r#"{"collaborators":{}}"#,
        ),
        wrong("another context's name", r#"{"context":"task/other"}"#),
    ]);
}

#[test]
fn addresses_that_are_none_are_refused() {
    let wrong = |name, path: &str| address(name, path, &[400, 404, 422], "invalid");
    check(vec![
        wrong("an upper-case kind", "/v1/contexts/Task/x"),
        wrong("a kind with a dot", "/v1/contexts/ta.sk/x"),
        wrong("an id with a slash", "/v1/contexts/task/a%2Fb"),
        wrong("an id with NUL", "/v1/contexts/task/a%00b"),
        wrong("an id with a line break", "/v1/contexts/task/a%0Ab"),
        wrong("an id with an escape", "/v1/contexts/task/%1B%5B2J"),
        wrong("an id with a space", "/v1/contexts/task/a%20b"),
        wrong("an id that begins with a dot", "/v1/contexts/task/.hidden"),
        wrong("an id that goes up", "/v1/contexts/task/..%2F..%2Fetc"),
        wrong("an id that is not UTF-8", "/v1/contexts/task/%FF"),
        wrong(
            "an id of 201 letters",
            &format!("/v1/contexts/task/{}", "a".repeat(201)),
        ),
        wrong(
            "an id of 10 kB",
            &format!("/v1/contexts/task/{}", "a".repeat(10_000)),
        ),
        wrong(
            "a kind of 65 letters",
            &format!("/v1/contexts/{}/x", "k".repeat(65)),
        ),
    ]);
}

#[test]
fn patches_that_do_not_apply_change_nothing() {
    let wrong = |name, body: &str| patch(name, body.to_owned(), &[422], "invalid");
    let many = format!(
        "[{}]",
        vec![r#"{"op":"test","path":"/data/n","value":1}"#; 4_097].join(",")
    );
    check(vec![
        wrong("an unknown op", r#"[{"op":"frob","path":"/data/n"}]"#),
        wrong("no path", r#"[{"op":"remove"}]"#),
        wrong(
            "a path without a slash",
            r#"[{"op":"remove","path":"data"}]"#,
        ),
        wrong(
            "a path with a bad escape",
            r#"[{"op":"remove","path":"/data/~2"}]"#,
        ),
        wrong(
            "a path that is not there",
            r#"[{"op":"remove","path":"/data/missing"}]"#,
        ),
        wrong(
            "an index behind the end",
            r#"[{"op":"add","path":"/data/list/9","value":1}]"#,
        ),
        wrong(
            "an index with a sign",
            r#"[{"op":"add","path":"/data/list/-1","value":1}]"#,
        ),
        wrong(
            "an index with a leading zero",
            r#"[{"op":"replace","path":"/data/list/01","value":1}]"#,
        ),
        wrong(
            "through a number",
            r#"[{"op":"add","path":"/data/n/x","value":1}]"#,
        ),
        wrong(
            "into itself",
            r#"[{"op":"move","from":"/data","path":"/data/x"}]"#,
        ),
        wrong(
            "the second of two",
            r#"[{"op":"replace","path":"/data/n","value":2},{"op":"remove","path":"/data/x"}]"#,
        ),
        wrong(
            "a server's field",
            r#"[{"op":"replace","path":"/version","value":9}]"#,
        ),
        wrong(
            "the whole document",
            r#"[{"op":"replace","path":"","value":[]}]"#,
        ),
        patch(
            "a test that fails",
            r#"[{"op":"test","path":"/data/n","value":2}]"#,
            &[409],
            "test_failed",
        ),
        Case {
            statuses: &[413, 422],
            code: "too_large",
            ..wrong("4,097 operations", &many)
        },
        Case {
            headers: vec![MERGE.to_owned()],
            ..wrong("a merge patch that is a list", "[]")
        },
    ]);
}

#[test]
fn headers_and_queries_that_are_garbage_are_refused() {
    let cursor = |name, path: String| get(name, path, &[400], "bad_cursor");
    check(vec![
        header(
            "a change id that is no UUID",
            "Idempotency-Key: 42",
            &[422],
            "invalid",
        ),
        header(
            "a change id of version 4",
            "Idempotency-Key: 7f1b4c54-9a3a-4c6e-9d3c-1f2e3d4c5b6a",
            &[422],
            "invalid",
        ),
        header(
            "an If-Match that is none",
            "If-Match: garbage",
            &[400, 412, 422],
            "bad_request",
        ),
        header(
            "an If-None-Match with an ETag",
            "If-None-Match: \"v1-0123456789abcdef\"",
            &[400, 422],
            "bad_request",
        ),
        header(
            "a base that is none",
            "Syncline-Base: yesterday",
            &[400, 422],
            "bad_request",
        ),
        header(
            "a message that is no UTF-8",
            "Syncline-Message: %FF%FE",
            &[400, 422],
            "bad_request",
        ),
        header(
            "an unknown workspace",
            "Syncline-Workspace: elsewhere",
            &[404],
            "not_found",
        ),
        header(
            "a workspace that is no name",
            "Syncline-Workspace: ../x",
            &[400, 404, 422],
            "bad_request",
        ),
        cursor("a garbage cursor", "/v1/changes?after=garbage".to_owned()),
        cursor("an empty cursor", "/v1/changes?after=".to_owned()),
        cursor(
            "a cursor of 4 kB",
            format!("/v1/changes?after={}", "A".repeat(4_096)),
        ),
        cursor(
            "another log's cursor",
            "/v1/changes?after=AfRxBOMtGFWwwCVJY5hwd5wXuqBNAXyhavvVMvGYRm5YW8-9EZ0aiUI".to_owned(),
        ),
        get(
            "a limit below zero",
            "/v1/changes?limit=-1",
            &[400, 422],
            "bad_request",
        ),
        get(
            "a limit that is a word",
            "/v1/changes?limit=all",
            &[400, 422],
            "bad_request",
        ),
        get(
            "a scope that is not JSON",
            "/v1/changes?scope=x",
            &[400],
            "bad_request",
        ),
        get(
            "a scope with an unknown term",
            "/v1/changes?scope=%5B%7B%22x%22%3A1%7D%5D",
            &[400, 422],
            "invalid",
        ),
        get(
            "a version that is a word",
            "/v1/contexts/task/there?version=last",
            &[400, 422],
            "bad_request",
        ),
        get(
            "a version that is not there",
            "/v1/contexts/task/there?version=99",
            &[404],
            "not_found",
        ),
        get(
            "a time that is none",
            "/v1/contexts/task/there?at=yesterday",
            &[400, 422],
            "bad_request",
        ),
        get(
            "a path that is not there",
            "/v1/nothing",
            &[404],
            "not_found",
        ),
        get(
            "a page that is garbage",
            "/v1/contexts?page=garbage",
            &[400, 422],
            "bad_request",
        ),
        Case {
            headers: vec![],
            ..put("no content type", "{}", &[415], "unsupported_media_type")
        },
        Case {
            headers: vec!["Content-Type: text/plain".to_owned()],
            ..put("text", "{}", &[415], "unsupported_media_type")
        },
        Case {
            method: "POST",
            ..put(
                "a method that is not known there",
                "{}",
                &[405],
                "method_not_allowed",
            )
        },
    ]);
}

#[test]
fn parents_never_form_a_circle() {
    run(async {
        let mut still = Still::start().await;
        let send = async |path: &str, body: &str, headers: &[&str]| {
            raw::send(still.access(), "PUT", path, headers, body.as_bytes())
                .await
                .unwrap()
        };
        for (path, body) in [
            ("/v1/contexts/note/a", r#"{"data":{}}"#),
            ("/v1/contexts/note/b", r#"{"parent":"note/a"}"#),
            ("/v1/contexts/note/c", r#"{"parent":"note/b"}"#),
        ] {
            assert_eq!(send(path, body, &[JSON]).await.status, 201, "{path}");
        }
        let circle = send(
            "/v1/contexts/note/a",
            r#"{"parent":"note/c"}"#,
            &[JSON, "If-Match: *"],
        )
        .await;
        assert_problem(&circle, &[422], "invalid", "a circle of three");
        let itself = send(
            "/v1/contexts/note/a",
            r#"{"parent":"note/a"}"#,
            &[JSON, "If-Match: *"],
        )
        .await;
        assert_problem(&itself, &[422], "invalid", "a circle of one");
        still.settle().await;
        still.check("circles").await;
    });
}

#[test]
fn magic_keys_are_keys_like_others() {
    run(async {
        let still = Still::start().await;
        let body = r##"{"data":{"$serde_json::private::RawValue":"{\"role\":\"admin\"}","$serde_json::private::Number":"1","__proto__":{"admin":true},"constructor":{"prototype":{}},"toString":1,"":0,"a/b":1,"~":2,"$ref":"file:///etc/passwd"}}"##;
        let path = "/v1/contexts/task/magic";
        let made = raw::send(still.access(), "PUT", path, &[JSON], body.as_bytes())
            .await
            .unwrap();
        assert_eq!(made.status, 201, "{made:?}");
        let read = raw::send(still.access(), "GET", path, &[], b"")
            .await
            .unwrap();
        let expected = raw::parse(body.as_bytes()).unwrap();
        assert_eq!(read.json().unwrap().get("data"), expected.get("data"));
    });
}

#[test]
fn requests_that_break_http_are_turned_away() {
    run(async {
        let still = Still::start().await;
        let (host, key) = (
            still.access().authority().to_owned(),
            still.access().key.clone(),
        );
        let auth = format!("Authorization: Bearer {key}\r\n");
        let good = format!("Host: {host}\r\n{auth}Connection: close\r\n");
        let put = "PUT /v1/contexts/task/new HTTP/1.1\r\n";
        let cases: Vec<(&str, String, &[u16])> = vec![
            ("garbage", "GARBAGE\r\n\r\n".to_owned(), &[400]),
            (
                "TLS",
                "\u{16}\u{3}\u{1}\u{2}\0\u{1}".to_owned() + "\r\n\r\n",
                &[400],
            ),
            (
                "no host",
                format!("GET /v1/status HTTP/1.1\r\n{auth}Connection: close\r\n\r\n"),
                &[400, 421],
            ),
            (
                "a foreign host",
                format!("GET /v1/status HTTP/1.1\r\nHost: evil.example\r\n{auth}\r\n"),
                &[421],
            ),
            (
                "two hosts",
                format!("GET /v1/status HTTP/1.1\r\nHost: evil.example\r\n{good}\r\n"),
                &[400, 421],
            ),
            (
                "a foreign origin",
                format!("GET /v1/status HTTP/1.1\r\n{good}Origin: http://evil.example\r\n\r\n"),
                &[403],
            ),
            (
                "the origin null",
                format!("GET /v1/status HTTP/1.1\r\n{good}Origin: null\r\n\r\n"),
                &[403],
            ),
            (
                "no key",
                format!("GET /v1/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
                &[401],
            ),
            (
                "a wrong key",
                format!(
                    "GET /v1/status HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer x\r\n\r\n"
                ),
                &[401],
            ),
            (
                "a basic key",
                format!(
                    "GET /v1/status HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic eDp5\r\n\r\n"
                ),
                &[401],
            ),
            (
                "a head of 100 kB",
                format!(
                    "GET /v1/status HTTP/1.1\r\n{good}X: {}\r\n\r\n",
                    "x".repeat(100_000)
                ),
                &[400, 431],
            ),
            (
                "1,000 headers",
                format!(
                    "GET /v1/status HTTP/1.1\r\n{good}{}\r\n",
                    "A: b\r\n".repeat(1_000)
                ),
                &[400, 431],
            ),
            (
                "a path of 100 kB",
                format!("GET /{} HTTP/1.1\r\n{good}\r\n", "x".repeat(100_000)),
                &[400, 414, 431],
            ),
            (
                "a length below zero",
                format!("{put}{good}{JSON}\r\nContent-Length: -1\r\n\r\n"),
                &[400],
            ),
            (
                "two lengths",
                format!("{put}{good}{JSON}\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"),
                &[400],
            ),
            (
                "a bad chunk",
                format!("{put}{good}{JSON}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n"),
                &[400],
            ),
            (
                "another transfer coding",
                format!("{put}{good}{JSON}\r\nTransfer-Encoding: gzip\r\n\r\n{{}}"),
                &[400, 501],
            ),
            (
                "a packed body",
                format!(
                    "{put}{good}{JSON}\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}"
                ),
                &[400, 415],
            ),
            (
                "a line break in a header",
                format!("GET /v1/status HTTP/1.1\r\n{good}A: b\rc\r\n\r\n"),
                &[400],
            ),
        ];
        for (name, request, statuses) in cases {
            match raw::exchange(&host, request.as_bytes()).await {
                Ok(answer) => assert!(statuses.contains(&answer.status), "{name}: {answer:?}"),
                // Closing without a word is an answer to what is no HTTP.
                Err(error) => assert!(statuses.contains(&400), "{name}: {error}"),
            }
            still.check(name).await;
        }
        // What would smuggle a second request past a proxy is one request here, or none.
        let smuggled = format!(
            "{put}{good}{JSON}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        );
        let answer = raw::exchange(&host, smuggled.as_bytes()).await;
        assert!(
            answer.as_ref().map_or(true, |a| a.status >= 400),
            "{answer:?}"
        );
        still.check("two framings").await;
    });
}

#[test]
fn a_body_of_a_gibibyte_is_refused_early() {
    run(async {
        let still = Still::start().await;
        let access = still.access();
        let head = format!(
            "PUT /v1/contexts/task/new HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n{JSON}\r\n",
            access.authority(),
            access.key
        );
        let told = format!("{head}Content-Length: {}\r\n\r\n", 1u64 << 30);
        let (sent, answer) = pour(access.authority(), &told, None).await;
        assert_problem(&answer, &[413], "too_large", "1 GiB, told before");
        assert!(sent <= 32 << 20, "{sent} bytes were taken");
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        let (sent, answer) = pour(access.authority(), &chunked, Some(64 << 10)).await;
        assert_problem(&answer, &[413], "too_large", "1 GiB in chunks");
        assert!(sent <= 48 << 20, "{sent} bytes were taken");
        assert!(
            still.node.memory_bytes() < 400 << 20,
            "{} bytes",
            still.node.memory_bytes()
        );
        still.check("a gibibyte").await;
    });
}

/// Sends a gibibyte until there is an answer; returns how much was taken, and the answer.
async fn pour(authority: &str, head: &str, chunk: Option<usize>) -> (u64, raw::Answer) {
    let mut stream = TcpStream::connect(authority).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut input, mut output) = stream.split();
    let mut piece = format!("{:x}\r\n", 64 << 10).into_bytes();
    if chunk.is_none() {
        piece.clear();
    }
    piece.extend(vec![b' '; 64 << 10]);
    if chunk.is_some() {
        piece.extend(b"\r\n");
    }
    let mut sent = 0u64;
    let pour = async {
        while sent < 1 << 30 {
            if output.write_all(&piece).await.is_err() {
                break;
            }
            sent += piece.len() as u64;
        }
        // What is left is the answer.
        std::future::pending::<()>().await;
    };
    let answer = tokio::select! {
        answer = raw::read_answer(&mut input) => answer.unwrap(),
        () = pour => unreachable!(),
    };
    (sent, answer)
}
