//! What must hold of the code before it is tested.

use crate::run::{Result, Step};
use crate::{docs, licences, setup};

/// Checks form, lock files, lints, licences, and the documentation's commands; goes on after a failure, so
/// that one run tells all. That the OpenAPI document is current is a test of `syncline-http`.
pub fn run() -> Result {
    setup::for_check();
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    // Nothing else reads the fuzzers' lock file before somebody fuzzes.
    let fuzz = [
        "update",
        "--workspace",
        "--locked",
        "--quiet",
        "--manifest-path",
        "fuzz/Cargo.toml",
    ];
    // The binary is built as the tests have it: alone, its dependencies had other features, and
    // most of them were built once more for the tests.
    let build = ["test", "--workspace", "--no-run", "--quiet"];
    let failures: Vec<String> = [
        Step::cargo(&["fmt", "--all", "--check"]).run(),
        Step::cargo(&fuzz).run(),
        licences::run(),
        Step::cargo(&clippy).run(),
        Step::cargo(&build).run().and_then(|()| docs::run_built()),
    ]
    .into_iter()
    .filter_map(Result::err)
    .collect();
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("\nerror: ")),
    }
}
