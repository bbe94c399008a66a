//! Answers: JSON, receipts, problems.

use axum::body::Body;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use syncline_api::{Code, Problem, ReceiptView};
use syncline_model::etag::Etag;
use syncline_model::ids::Address;
use syncline_model::json::JsonWriter;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Answers with a text that is JSON.
pub(crate) fn json(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    typed(status, JSON, text.into())
}

/// Answers with JSON that `write` writes.
pub(crate) fn written(write: impl FnOnce(&mut JsonWriter)) -> Response<Body> {
    let mut w = JsonWriter::with_capacity(512);
    write(&mut w);
    json(StatusCode::OK, w.into_string())
}

/// Answers with a body of some type. Nothing is to be guessed from its bytes, and what is kept
/// of it is to be asked for again: contexts change.
pub(crate) fn typed(status: StatusCode, kind: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Answers with a context or a part of it.
pub(crate) fn context(text: Bytes, etag: &Etag) -> Response<Body> {
    let mut response = json(StatusCode::OK, text);
    insert(&mut response, ETAG, &etag.to_string());
    response
}

/// Answers that the reader's copy is still right.
pub(crate) fn not_modified(etag: &Etag) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    insert(&mut response, ETAG, &etag.to_string());
    response
}

/// Answers a write: 201 with its place where it made the context or branch, else 200.
pub(crate) fn receipt(receipt: &ReceiptView, address: &Address, created: bool) -> Response<Body> {
    let place = match &receipt.branch {
        Some(branch) => format!("/v1/contexts/{address}?branch={branch}"),
        None => format!("/v1/contexts/{address}"),
    };
    receipt_at(receipt, created.then_some(place))
}

/// Answers a write: 201 with the place of what it made, else 200.
pub(crate) fn receipt_at(receipt: &ReceiptView, made: Option<String>) -> Response<Body> {
    receipt_with(receipt, made, |_| {})
}

/// As [`receipt_at`], with more members beside the receipt's.
pub(crate) fn receipt_with(
    receipt: &ReceiptView,
    made: Option<String>,
    more: impl FnOnce(&mut JsonWriter),
) -> Response<Body> {
    let status = match made {
        Some(_) => StatusCode::CREATED,
        None => StatusCode::OK,
    };
    let mut w = JsonWriter::with_capacity(256);
    w.begin_object();
    receipt.write_members(&mut w);
    more(&mut w);
    w.end_object();
    let mut response = json(status, w.into_string());
    if let Some(etag) = &receipt.etag {
        insert(&mut response, ETAG, &etag.to_string());
    }
    if let Some(place) = made {
        insert(&mut response, LOCATION, &place);
    }
    response
}

/// Answers with a problem (RFC 9457).
pub(crate) fn problem(problem: &Problem) -> Response<Body> {
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = typed(status, PROBLEM_JSON, Body::from(problem.to_text()));
    if problem.code == Code::Unauthorized {
        insert(&mut response, WWW_AUTHENTICATE, "Bearer realm=\"syncline\"");
    }
    if let Some(after) = problem.retry_after_ms {
        insert(
            &mut response,
            RETRY_AFTER,
            &after.div_ceil(1_000).to_string(),
        );
    }
    response
}

fn insert(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
