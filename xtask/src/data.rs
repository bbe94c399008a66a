//! The real data: sets of compressed JSON Lines, read from where they lie and never copied.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use syncline_model::json::{Json, Limits};

use crate::run::{Result, root};

/// No document of the data is larger, and none is deeper than what a node reads.
const LIMITS: Limits = Limits {
    bytes_max: 1 << 26,
    depth_max: 128,
};

/// Returns the sets of a folder by name, with their files; all, if none is named.
pub fn sets(folder: &str, wanted: &[String]) -> Result<Vec<(String, PathBuf)>> {
    let given = std::env::var_os("SYNCLINE_TEST_DATA").map(PathBuf::from);
    let data = given.unwrap_or_else(|| root().join("../shared/data"));
    let folder = data.join(folder);
    let entries = std::fs::read_dir(&folder)
        .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut sets: Vec<(String, PathBuf)> = (entries.flatten())
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let set = name.strip_suffix(".jsonl.zst")?.to_owned();
            Some((set, entry.path()))
        })
        .filter(|(set, _)| wanted.is_empty() || wanted.contains(set))
        .collect();
    sets.sort_unstable();
    match sets.is_empty() {
        true => Err(format!("no such set in {}", folder.display())),
        false => Ok(sets),
    }
}

/// Reads the rows of a set.
pub fn rows(path: &Path) -> Result<impl Iterator<Item = Result<Json>>> {
    let shown = path.display().to_string();
    let failed = move |error: String| format!("cannot read {shown}: {error}");
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let decoder = zstd::stream::Decoder::new(file).map_err(|error| failed(error.to_string()))?;
    let lines = BufReader::new(decoder).split(b'\n');
    Ok(lines.map(move |line| {
        let line = line.map_err(|error| failed(error.to_string()))?;
        Json::parse(&line, &LIMITS).map_err(|error| failed(error.to_string()))
    }))
}
