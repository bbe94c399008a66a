//! Inputs that others made: the parsing test suite, and real documents.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use syncline_model::json::{Json, JsonErrorKind, fuzz::fuzz_json};

use super::{json, read};

/// Returns the rows of a file of test data, unless it is absent from a developer's machine.
fn rows(path: &str) -> Vec<Json> {
    let Some(text) = test_data(path) else {
        return Vec::new();
    };
    text.lines().map(json).collect()
}

fn test_data(path: &str) -> Option<String> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let root = std::env::var_os("SYNCLINE_TEST_DATA").map_or(PathBuf::from(beside), PathBuf::from);
    let file = match std::fs::File::open(root.join(path)) {
        Ok(file) => file,
        Err(error) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "no test data {path}: {error}"
            );
            return None;
        }
    };
    let mut decoder = zstd::Decoder::new(file).unwrap();
    decoder.window_log_max(27).unwrap();
    let text = std::io::read_to_string(decoder);
    Some(text.unwrap_or_else(|error| panic!("{path}: {error}")))
}

#[test]
fn the_parsing_suite_is_answered_as_the_standard_says() {
    for row in rows("standards/json-parsing.jsonl.zst") {
        let name = row.get("name").and_then(Json::as_str).unwrap();
        let base64 = row.get("base64").and_then(Json::as_str).unwrap();
        let bytes = BASE64_STANDARD.decode(base64).unwrap();
        fuzz_json(&bytes);
        let result = read(&bytes);
        if name.starts_with("y_object_duplicated_key") {
            let kind = result.unwrap_err().kind;
            assert!(
                matches!(kind, JsonErrorKind::DuplicateKey(_)),
                "{name}: {kind}"
            );
        } else if name.starts_with("y_") {
            assert!(result.is_ok(), "{name}: {result:?}");
        } else if name.starts_with("n_") {
            assert!(result.is_err(), "{name}: {result:?}");
        }
    }
}

#[test]
fn real_documents_lose_nothing() {
    for path in [
        "histories/atom-package.jsonl.zst",
        "agents/claude-code-hooks.jsonl.zst",
    ] {
        let Some(text) = test_data(path) else { return };
        for line in text.lines().step_by(100) {
            fuzz_json(line.as_bytes());
        }
    }
}
