//! Schemas, and documents for them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_schema::fuzz::fuzz_schema(data));
