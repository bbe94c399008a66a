//! Documents.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_model::json::fuzz::fuzz_json(data));
