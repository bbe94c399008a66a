//! What differs from what people committed, and what clashes.

use super::row::Row;
use syncline_merge::{Action, Merged, readable};

/// Prints a row that people settled in another way.
pub fn row(set: &str, row: &Row, merged: &Merged) {
    let value = merged.value.clone().unwrap_or_default();
    let difference = readable(&value, &row.merged);
    if merged.is_clean() && difference.is_empty() {
        return;
    }
    let git = match row.git_conflicts {
        None => "no figures of git".to_owned(),
        Some(0) if row.git_equals_merged => "git agreed with people".to_owned(),
        Some(0) => "git was clean".to_owned(),
        Some(conflicts) => format!("git had {conflicts} conflicts"),
    };
    println!("{set} {} {} ({git})", row.commit, row.path);
    let clashes = merged.decisions.iter();
    for clash in clashes.filter(|decision| decision.action == Action::Clash) {
        println!("  clash by {} at {}", clash.rule, clash.keyed);
    }
    for line in difference.lines().take(12) {
        println!("  from ours to theirs: {line}");
    }
}
