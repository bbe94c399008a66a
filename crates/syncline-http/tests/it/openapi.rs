//! The checked-in OpenAPI document is the one that the code makes.

#[test]
fn the_checked_in_document_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let made = syncline_http::openapi_document();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/openapi.json is stale: run the test once with UPDATE=1"
    );
}

#[tokio::test]
async fn the_node_serves_it() {
    let node = crate::node::Node::start().await;
    let served = node.get("/openapi.json").await.ok();
    assert_eq!(served.body, syncline_http::openapi_document());
    let paths = served
        .json()
        .get("paths")
        .unwrap()
        .as_object()
        .unwrap()
        .len();
    assert_eq!(paths, 49);
}
