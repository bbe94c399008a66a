//! Where webhooks post to: URLs and the hosts in them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| syncline_delivery::webhook::fuzz::fuzz_url(data));
