//! The rows of a set of real merges.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use syncline_model::json::{Json, Limits};

use crate::run::Result;

/// No document of the data is larger, and none is deeper than what a node reads.
const LIMITS: Limits = Limits {
    bytes_max: 1 << 26,
    depth_max: 128,
};

/// One merge that people made.
pub struct Row {
    /// The commit, for explanations.
    pub commit: String,
    pub path: String,
    pub base: Json,
    pub ours: Json,
    pub theirs: Json,
    /// What was committed.
    pub merged: Json,
    /// How many conflicts git found, in sets that say so.
    pub git_conflicts: Option<u64>,
    pub git_equals_merged: bool,
}

/// Reads the rows of a compressed file.
pub fn rows(path: &Path) -> Result<impl Iterator<Item = Result<Row>>> {
    let shown = path.display().to_string();
    let failed = move |error: String| format!("cannot read {shown}: {error}");
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let decoder = zstd::stream::Decoder::new(file).map_err(|error| failed(error.to_string()))?;
    let lines = BufReader::new(decoder).split(b'\n');
    Ok(lines.map(move |line| {
        let line = line.map_err(|error| failed(error.to_string()))?;
        read(&line).map_err(&failed)
    }))
}

fn read(line: &[u8]) -> Result<Row> {
    let row = Json::parse(line, &LIMITS).map_err(|error| error.to_string())?;
    let member = |name: &str| {
        let value = row.get(name).cloned();
        value.ok_or_else(|| format!("a row has no `{name}`"))
    };
    let text = |name: &str| {
        row.get(name)
            .and_then(Json::as_str)
            .unwrap_or("")
            .to_owned()
    };
    Ok(Row {
        commit: text("merge"),
        path: text("path"),
        base: member("base")?,
        ours: member("ours")?,
        theirs: member("theirs")?,
        merged: member("merged")?,
        git_conflicts: row.get("git_conflicts").and_then(Json::as_u64),
        git_equals_merged: row.get("git_equals_merged").and_then(Json::as_bool) == Some(true),
    })
}
