//! Our signatures, judged by the public library for Rust.

use http::HeaderMap;
use proptest::prelude::*;
use syncline_delivery::webhook::signature::{Secret, signatures};

fn headers(id: &str, timestamp: i64, signature: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", id.parse().unwrap());
    headers.insert("webhook-timestamp", timestamp.into());
    headers.insert("webhook-signature", signature.parse().unwrap());
    headers
}

fn now_s() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

proptest! {
    #[test]
    fn the_public_library_verifies_what_we_sign(
        key in proptest::collection::vec(any::<u8>(), 24..=64),
        body in "\\PC{0,500}",
    ) {
        use base64::Engine as _;
        let text = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(&key));
        let (ours, other) = (Secret::parse(&text).unwrap(), Secret::draw());
        let (id, now) = ("0199a3b2-0000-7000-8000-000000000000", now_s());
        let theirs = standardwebhooks::Webhook::new(&text).unwrap();
        // While one secret takes the other's place, holders of either can verify.
        let both = signatures(&[other.clone(), ours], id, now, body.as_bytes());
        prop_assert!(theirs.verify(body.as_bytes(), &headers(id, now, &both)).is_ok());
        let foreign = signatures(&[other], id, now, body.as_bytes());
        prop_assert!(theirs.verify(body.as_bytes(), &headers(id, now, &foreign)).is_err());
    }
}
