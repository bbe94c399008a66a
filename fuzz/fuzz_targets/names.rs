//! Names, ETags, cursors and times.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_fuzz::names::fuzz_names(data));
