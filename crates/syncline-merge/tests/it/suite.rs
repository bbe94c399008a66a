//! The public JSON Patch suite, as npm has it; `cargo xtask test` fetches it.
#![allow(clippy::print_stderr, reason = "a test that is left out says so")]

use crate::WIDE;
use std::path::Path;
use syncline_merge::Patch;
use syncline_model::json::{Json, JsonErrorKind, Limits, Pointer};

#[test]
fn the_public_patch_suite() {
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/json-patch");
    let folder = Path::new(target).join("node_modules/json-patch-test-suite");
    if !folder.is_dir() {
        let complete = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!complete, "`cargo xtask test` fetches the JSON Patch suite");
        eprintln!("NOT RUN: the JSON Patch suite is missing; `cargo xtask test` fetches it");
        return;
    }
    let mut tried = 0;
    for name in ["tests.json", "spec_tests.json"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        for case in cases(&text) {
            tried += usize::from(check(&case));
        }
    }
    assert!(tried > 90, "{tried} cases");
}

/// The cases one by one: one of them has a key twice, which we refuse.
fn cases(text: &str) -> Vec<Json> {
    let mut cases = Vec::new();
    let mut rest = text
        .trim()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .trim();
    while !rest.is_empty() {
        let end = value_end(rest);
        match Json::parse(&rest.as_bytes()[..end], &Limits::wire()) {
            Ok(case) => cases.push(case),
            Err(error) => assert!(
                matches!(error.kind, JsonErrorKind::DuplicateKey(_)),
                "{error}"
            ),
        }
        rest = rest[end..]
            .trim_start()
            .trim_start_matches(',')
            .trim_start();
    }
    cases
}

/// Where the object at the start of a text ends.
fn value_end(text: &str) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// Tries a case, unless the suite disabled it.
fn check(case: &Json) -> bool {
    let disabled = case.get("disabled").and_then(Json::as_bool) == Some(true);
    let (Some(doc), Some(patch), false) = (case.get("doc"), case.get("patch"), disabled) else {
        return false;
    };
    let result = Patch::from_json(patch, &Pointer::root(), 1_000)
        .map_err(|error| error.to_string())
        .and_then(|patch| patch.apply(doc, &WIDE).map_err(|error| error.to_string()));
    let name = case.get("comment").map(Json::to_text).unwrap_or_default();
    match (case.get("expected"), case.get("error")) {
        (Some(expected), _) => assert_eq!(result.as_ref(), Ok(expected), "{name}"),
        (None, Some(_)) => assert!(result.is_err(), "{name}: {result:?}"),
        (None, None) => assert!(result.is_ok(), "{name}: {result:?}"),
    }
    true
}
