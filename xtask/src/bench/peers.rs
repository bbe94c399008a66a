//! What yrs, Loro and Automerge do with the documents of the merge rows.
//!
//! They are built in a package of their own, `xtask/peers`, when they are first measured. They do
//! not quite the same: each holds the document's whole history at hand, takes in what the other
//! copy sent, and where both edited one value picks one without a word.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use syncline_model::json::{Json, Object};

use crate::run::{Result, Step, root};

/// Builds the peers; returns the program.
pub fn build() -> Result<PathBuf> {
    let folder = root().join("xtask/peers");
    let build = ["build", "--release", "--locked"];
    Step::cargo(&build).folder(folder.clone()).run()?;
    Ok(folder.join("target/release/peers"))
}

/// Returns each peer's median for these sides, in microseconds, by name.
pub fn medians(program: &PathBuf, [base, ours, theirs]: [&Json; 3]) -> Result<Vec<(String, f64)>> {
    let sides = [("base", base), ("ours", ours), ("theirs", theirs)];
    let sides: Object = sides
        .map(|(name, side)| (name, side.clone()))
        .into_iter()
        .collect();
    let failed = |error: std::io::Error| format!("the peers: {error}");
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin
        .write_all(Json::from(sides).to_text().as_bytes())
        .map_err(failed)?;
    drop(stdin);
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(format!("the peers ended with {}", output.status));
    }
    let answer = Json::parse(&output.stdout, &Default::default());
    let answer = answer.map_err(|error| format!("the peers: {error}"))?;
    let members = answer.as_object().ok_or("the peers answered no object")?;
    let median = |value: &Json| value.to_text().parse().unwrap_or(f64::NAN);
    let medians = members
        .iter()
        .map(|(name, value)| (name.to_owned(), median(value)));
    Ok(medians.collect())
}
