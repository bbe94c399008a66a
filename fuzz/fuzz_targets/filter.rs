//! Filters and expressions, asked of a change.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_rules::fuzz::fuzz_filter(data));
