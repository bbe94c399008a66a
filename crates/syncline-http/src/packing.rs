//! Large answers are packed for clients that ask for it (`Accept-Encoding`, RFC 9110, 12.5.3).
//!
//! Never those with an ETag, which names exact bytes, and never streams. On real answers the fast
//! levels pay on links of 100 Mbit/s by a factor of ten and more (docs/operating.md), and on a
//! loopback not at all: a client there does not ask.

use std::io::{self, Write as _};

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue, VARY};
use http::{HeaderMap, Response};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use syncline_api::{Code, Problem};
use syncline_engine::aside;
use tokio::sync::Semaphore;

use crate::answer;

/// Smaller answers are a few packets anyway.
const BYTES_MIN: u64 = 4 << 10;
/// Bounds the time and the memory of one; a page has at most 4 MiB, or one larger document.
const BYTES_MAX: u64 = 32 << 20;
/// Higher levels take two to six times as long for a sixth less at best.
const LEVEL: i32 = 1;
/// How many are packed at once; what comes on top goes as it is.
pub(crate) const AT_ONCE: usize = 4;

/// How an answer may be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Zstd,
    Gzip,
}

impl Coding {
    const fn name(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    fn pack(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Coding::Zstd => zstd::bulk::compress(bytes, LEVEL),
            Coding::Gzip => {
                let packed = Vec::with_capacity(bytes.len() / 4);
                let mut encoder = GzEncoder::new(packed, Compression::new(LEVEL.unsigned_abs()));
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }
}

/// Packs an answer, where it is one to pack and its client asks for it.
pub(crate) async fn packed(
    asked: Option<Coding>,
    room: &Semaphore,
    mut response: Response<Body>,
) -> Response<Body> {
    if !is_packable(&response) {
        return response;
    }
    let vary = HeaderValue::from_static("accept-encoding");
    response.headers_mut().append(VARY, vary);
    let (Some(coding), Ok(_permit)) = (asked, room.try_acquire()) else {
        return response;
    };
    let (mut parts, body) = response.into_parts();
    // It is in memory as a whole: this waits for nothing.
    let Ok(bytes) = body.collect().await.map(|body| body.to_bytes()) else {
        let problem = Problem::new(Code::Internal, "the answer could not be packed");
        return answer::problem(&problem);
    };
    let packed = aside(bytes.len(), || coding.pack(&bytes));
    let body = match packed {
        Ok(packed) if packed.len() < bytes.len() => {
            let name = HeaderValue::from_static(coding.name());
            parts.headers.insert(CONTENT_ENCODING, name);
            Bytes::from(packed)
        }
        _ => bytes,
    };
    Response::from_parts(parts, Body::from(body))
}

fn is_packable(response: &Response<Body>) -> bool {
    let headers = response.headers();
    // The length of a stream is not known.
    let length = response.body().size_hint().exact();
    headers.get(CONTENT_TYPE) == Some(&answer::JSON)
        && !headers.contains_key(ETAG)
        && !headers.contains_key(CONTENT_ENCODING)
        && length.is_some_and(|length| (BYTES_MIN..=BYTES_MAX).contains(&length))
}

/// Returns the coding that a client likes best; none where it names none of ours, or likes it
/// better as it is.
pub(crate) fn asked_for(headers: &HeaderMap) -> Option<Coding> {
    let values = headers.get_all(http::header::ACCEPT_ENCODING).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let weighed: Vec<(&str, u32)> = texts
        .flat_map(|text| text.split(','))
        .filter_map(weighed)
        .collect();
    let weight = |name: &str| {
        let of = |name: &str| {
            let found = weighed
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, weight)| *weight)
        };
        of(name).or_else(|| of("*"))
    };
    let zstd = weight("zstd").unwrap_or(0);
    let gzip = weight("gzip").or_else(|| weight("x-gzip")).unwrap_or(0);
    let named = |(name, _): &&(&str, u32)| name.eq_ignore_ascii_case("identity");
    let as_it_is = weighed.iter().find(named).map_or(0, |(_, weight)| *weight);
    let (coding, most) = match zstd >= gzip {
        true => (Coding::Zstd, zstd),
        false => (Coding::Gzip, gzip),
    };
    (most > 0 && most >= as_it_is).then_some(coding)
}

/// Reads a coding with its weight in thousandths; what is malformed says nothing.
fn weighed(text: &str) -> Option<(&str, u32)> {
    let Some((name, parameter)) = text.split_once(';') else {
        let name = text.trim();
        return (!name.is_empty()).then_some((name, 1_000));
    };
    let (q, value) = parameter.split_once('=')?;
    let value = value.trim();
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    if !q.trim().eq_ignore_ascii_case("q")
        || part.len() > 3
        || !part.bytes().all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    let thousandths: u32 = format!("{part:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", _) => Some((name.trim(), thousandths)),
        ("1", 0) => Some((name.trim(), 1_000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(lines: &[&str], coding: Option<Coding>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            let value = HeaderValue::from_str(line).unwrap();
            headers.append(http::header::ACCEPT_ENCODING, value);
        }
        assert_eq!(asked_for(&headers), coding, "{lines:?}");
    }

    #[test]
    fn clients_say_what_they_take() {
        let (zstd, gzip) = (Some(Coding::Zstd), Some(Coding::Gzip));
        check(&[], None);
        check(&[""], None);
        check(&["gzip"], gzip);
        check(&["x-gzip"], gzip);
        check(&["gzip, deflate, br, zstd"], zstd);
        check(&["GZIP, deflate, br"], gzip);
        check(&["br", "zstd;q=0.5"], zstd);
        check(&["zstd;q=0.5, gzip;q=0.501"], gzip);
        check(&["zstd ; q=0 , gzip"], gzip);
        check(&["zstd;q=0.000"], None);
        check(&["*"], zstd);
        check(&["*;q=0.1, zstd;q=0"], gzip);
        check(&["*;q=0"], None);
        check(&["gzip;q=0.5, identity"], None);
        check(&["gzip;q=0.5, identity;q=0.5"], gzip);
        check(&["identity;q=0, gzip;q=1.000"], gzip);
        for malformed in [
            "gzip;q=2",
            "gzip;q=1.5",
            "gzip;q=0.1234",
            "gzip;q",
            "gzip;p=1",
            "br",
        ] {
            check(&[malformed], None);
        }
    }

    #[test]
    fn what_is_packed_comes_back() {
        let text = r#"{"a":"the same again and again"}"#.repeat(1_000);
        let packed = Coding::Zstd.pack(text.as_bytes()).unwrap();
        assert_eq!(
            zstd::bulk::decompress(&packed, text.len()).unwrap(),
            text.as_bytes()
        );
        let packed = Coding::Gzip.pack(text.as_bytes()).unwrap();
        let mut plain = String::new();
        let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
        io::Read::read_to_string(&mut decoder, &mut plain).unwrap();
        assert_eq!(plain, text);
    }
}
