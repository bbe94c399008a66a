//! Messages, proposals and answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_api::fuzz::fuzz_wire(data));
