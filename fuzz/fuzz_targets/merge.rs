//! Three-way merges.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_merge::fuzz::fuzz_merge(data));
