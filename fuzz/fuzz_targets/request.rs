//! Queries and headers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_http::fuzz::fuzz_request(data));
