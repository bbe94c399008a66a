//! JSON Patches.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_merge::fuzz::fuzz_patch(data));
