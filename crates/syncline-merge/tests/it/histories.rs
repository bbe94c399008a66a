//! Real documents: the successive versions that people committed.

use crate::WIDE;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use syncline_merge::{diff, readable};
use syncline_model::json::{Json, Limits};

/// How much of each file is read: enough for a few hundred small documents and a few dozen large.
const ROWS_MAX: usize = 300;
const BYTES_MAX: usize = 12 << 20;

#[test]
fn diffs_of_real_histories_replay() {
    let Some(folder) = test_data("histories") else {
        return;
    };
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".jsonl.zst") {
            files += 1;
            replay(&path);
        }
    }
    assert!(files > 0, "there is at least one history");
}

fn replay(path: &Path) {
    let (mut patched, mut whole) = (0, 0);
    let docs = documents(path);
    for pair in docs.windows(2) {
        let patch = diff(&pair[0], &pair[1]);
        assert_eq!(
            patch.apply(&pair[0], &WIDE).as_ref(),
            Ok(&pair[1]),
            "{}",
            path.display()
        );
        let text = readable(&pair[0], &pair[1]);
        assert!(
            !text.is_empty(),
            "successive versions differ: {}",
            path.display()
        );
        patched += patch.to_json().weight();
        whole += pair[1].weight();
    }
    assert!(
        patched * 5 < whole,
        "{}: {patched} bytes of patches for {whole}",
        path.display()
    );
}

fn documents(path: &Path) -> Vec<Json> {
    let mut bytes = 0;
    rows(path)
        .take(ROWS_MAX)
        .take_while(|row| {
            bytes += row.weight();
            bytes <= BYTES_MAX
        })
        .map(|row| row.get("doc").unwrap().clone())
        .collect()
}

/// The rows of a compressed file.
pub fn rows(path: &Path) -> impl Iterator<Item = Json> {
    let mut decoder = zstd::stream::Decoder::new(File::open(path).unwrap()).unwrap();
    decoder.window_log_max(27).unwrap();
    let limits = Limits {
        bytes_max: 1 << 26,
        depth_max: 72,
    };
    BufReader::new(decoder)
        .split(b'\n')
        .map(move |line| Json::parse(&line.unwrap(), &limits).unwrap())
}

/// The folder of real data; where it is missing, only a run that must be complete fails.
pub fn test_data(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("SYNCLINE_TEST_DATA").map(PathBuf::from);
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = given.unwrap_or_else(|| default.into()).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    let complete = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!complete, "test data is missing: {}", folder.display());
    None
}
