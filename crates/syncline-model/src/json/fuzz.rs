//! The laws of reading and writing, for any bytes.

use super::{Json, Limits};

/// Reads `data` and, if it is JSON, checks that writing and reading lose nothing.
///
/// # Panics
/// If a law is broken.
pub fn fuzz_json(data: &[u8]) {
    let limits = Limits {
        bytes_max: 1 << 20,
        depth_max: 32,
    };
    let value = match Json::parse(data, &limits) {
        Ok(value) => value,
        Err(error) => {
            assert!(error.offset <= data.len(), "{error} lies outside");
            assert!(error.line >= 1 && error.column >= 1, "{error} has no place");
            return;
        }
    };
    assert!(value.depth() <= limits.depth_max, "the depth is bounded");
    let text = value.to_text();
    let again = read(&text);
    assert_eq!(again, value, "text loses nothing");
    assert_eq!(again.to_text(), text, "text is stable");
    assert_eq!(
        read(&value.to_pretty()).to_text(),
        text,
        "pretty text loses nothing"
    );
    let canonical = value.canonical();
    let again = read(&canonical);
    assert_eq!(again, value, "canonical text denotes the same value");
    assert_eq!(
        again.canonical(),
        canonical,
        "canonical text is a fixed point"
    );
}

/// Reads what we wrote: indentation and plain digits may make it longer than what came in.
fn read(text: &str) -> Json {
    let limits = Limits {
        bytes_max: usize::MAX,
        depth_max: 32,
    };
    Json::parse(text.as_bytes(), &limits).expect("what is written can be read")
}
