//! Hosts, origins and keys.

use crate::node::{KEY, Node};

async fn ask(node: &Node, headers: &str) -> crate::node::Reply {
    node.raw(format!("GET /v1/status HTTP/1.1\r\n{headers}\r\n\r\n"))
        .await
}

#[tokio::test]
async fn only_our_own_names_are_answered() {
    let node = Node::with(|doors| {
        doors.allowed_hosts = vec!["sync.example.com".into(), "other.example.com:8443".into()];
    })
    .await;
    let port = node.address.port();
    let key = format!("\r\nauthorization: Bearer {KEY}");
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("LocalHost:{port}"),
        format!("[::1]:{port}"),
        "sync.example.com".into(),
        "SYNC.example.com:9".into(),
        "other.example.com:8443".into(),
    ] {
        assert_eq!(
            ask(&node, &format!("host: {host}{key}")).await.status,
            200,
            "{host}"
        );
    }
    for host in [
        "127.0.0.1".into(),
        format!("127.0.0.1:{}", port - 1),
        format!("evil.example.com:{port}"),
        format!("127.0.0.1.evil.com:{port}"),
        format!("10.0.0.1:{port}"),
        "other.example.com".into(),
        String::new(),
        format!("localhost:{port}:{port}"),
        format!("localhost:{port}\r\nhost: localhost:{port}"),
    ] {
        let reply = ask(&node, &format!("host: {host}{key}")).await;
        reply.problem(421, "foreign_host");
    }
    let absolute = format!(
        "GET http://evil.com/healthz HTTP/1.1\r\nhost: {}\r\n\r\n",
        node.address
    );
    node.raw(absolute).await.problem(421, "foreign_host");
    // A host is checked before a key, on every path.
    node.raw("GET /healthz HTTP/1.1\r\nhost: evil.com\r\n\r\n")
        .await
        .problem(421, "foreign_host");
    node.raw("GET /healthz HTTP/1.0\r\n\r\n")
        .await
        .problem(421, "foreign_host");
}

#[tokio::test]
async fn foreign_origins_are_refused() {
    let node =
        Node::with(|doors| doors.allowed_origins = vec!["https://app.example.com".into()]).await;
    let port = node.address.port();
    let base = format!(
        "host: {}\r\nauthorization: Bearer {KEY}\r\norigin: ",
        node.address
    );
    for origin in [
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        "https://app.example.com".to_owned(),
    ] {
        assert_eq!(
            ask(&node, &format!("{base}{origin}")).await.status,
            200,
            "{origin}"
        );
    }
    for origin in [
        "null".to_owned(),
        "http://evil.com".into(),
        format!("http://localhost:{}", port - 1),
        "http://localhost".into(),
        "https://app.example.com.evil.com".into(),
        "http://app.example.com".into(),
        format!("ftp://localhost:{port}"),
    ] {
        ask(&node, &format!("{base}{origin}"))
            .await
            .problem(403, "foreign_origin");
    }
    let upgrade = node.upgrade("origin: http://evil.com\r\n");
    node.raw(upgrade).await.problem(403, "foreign_origin");
}

#[tokio::test]
async fn every_call_needs_the_key() {
    let node = Node::start().await;
    let host = format!("host: {}", node.address);
    let reply = ask(&node, &host).await;
    reply.problem(401, "unauthorized");
    assert_eq!(
        reply.header("www-authenticate"),
        Some("Bearer realm=\"syncline\"")
    );
    for key in [
        "Bearer wrong",
        "Bearer",
        "Basic dTpw",
        "Bearer ",
        &format!("Bearer {KEY}x"),
    ] {
        ask(&node, &format!("{host}\r\nauthorization: {key}"))
            .await
            .problem(401, "unauthorized");
    }
    assert_eq!(
        ask(&node, &format!("{host}\r\nauthorization: bearer {KEY}"))
            .await
            .status,
        200
    );
    for path in [
        "/v1/contexts",
        "/v1/sync",
        "/openapi.json",
        "/nothing",
        "/v1/changes/stream",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\n{host}\r\n\r\n");
        node.raw(request).await.problem(401, "unauthorized");
    }
    let request = format!("GET /healthz HTTP/1.1\r\n{host}\r\nauthorization: Bearer wrong\r\n\r\n");
    node.raw(request).await.problem(401, "unauthorized");
}
