//! Fuzzing, where cargo-fuzz and a nightly compiler are there.

use crate::run::{Result, Step, root};

/// Runs one target, or all.
pub fn run(target: Option<&str>, seconds: u64) -> Result {
    let is_there = Step::cargo(&["+nightly", "fuzz", "--version"]).quietly()
        || Step::new("cargo")
            .args(&["+nightly", "fuzz", "--version"])
            .quietly();
    if !is_there {
        return Err("cargo-fuzz or a nightly compiler is missing\n\
            hint: rustup toolchain install nightly && cargo install cargo-fuzz --locked\n\
            The same functions run on stable, over a corpus, in `cargo xtask test`."
            .to_owned());
    }
    let all = targets()?;
    let chosen: Vec<&String> = all
        .iter()
        .filter(|name| target.is_none_or(|wanted| wanted == name.as_str()))
        .collect();
    if chosen.is_empty() {
        return Err(format!(
            "there is no such target\nhint: one of {}",
            all.join(", ")
        ));
    }
    for name in chosen {
        let limit = format!("-max_total_time={seconds}");
        Step::new("cargo")
            .args(&["+nightly", "fuzz", "run", name, "--", &limit])
            .folder(root().join("fuzz"))
            .run()?;
    }
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("fuzz_targets: {error}"))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort_unstable();
    Ok(names)
}
