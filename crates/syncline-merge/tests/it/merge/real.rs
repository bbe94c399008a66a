//! The laws on merges that people made. How they compare with git is `cargo xtask merges`.

use crate::histories::{rows, test_data};
use syncline_merge::Side;
use syncline_merge::laws::{Case, check_all};

/// Larger rows take minutes without optimization.
const ROW_BYTES_MAX: usize = 100_000;
const ROWS_MAX: usize = 12;

#[test]
fn real_merges_keep_all_laws() {
    let Some(folder) = test_data("merges") else {
        return;
    };
    let mut tried = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().ends_with(".jsonl.zst") {
            continue;
        }
        let small = rows(&path).filter(|row| row.weight() < ROW_BYTES_MAX);
        for row in small.take(ROWS_MAX) {
            let case = Case {
                base: row.get("base").cloned(),
                ours: row.get("theirs").cloned(),
                theirs: row.get("ours").cloned(),
                earlier: Side::Theirs,
            };
            if let Err(broken) = check_all(&case) {
                panic!("{}: {}", path.display(), broken.lines().next().unwrap());
            }
            tried += 1;
        }
    }
    assert!(tried > 0, "there is at least one merge");
}
