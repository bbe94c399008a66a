//! The same versions in one zstd stream, and in a git repository.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::stored::Step;
use crate::run::Result;

/// As `zstd -3 --long=27`.
const LEVEL: i32 = 3;
const WINDOW_LOG: u32 = 27;

/// What git holds after its most thorough packing.
#[derive(Clone, Copy)]
pub struct Git {
    /// The packs: documents, and a commit and a tree for each.
    pub packs: usize,
    /// The documents alone.
    pub documents: usize,
}

/// Compresses all versions as one stream, and returns its length.
pub fn zstd(steps: &[Step]) -> Result<usize> {
    let compressed = || {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), LEVEL)?;
        encoder.long_distance_matching(true)?;
        encoder.window_log(WINDOW_LOG)?;
        for step in steps {
            encoder.write_all(step.document.as_bytes())?;
            encoder.write_all(b"\n")?;
        }
        encoder.finish()
    };
    compressed()
        .map(|bytes: Vec<u8>| bytes.len())
        .map_err(|error| format!("zstd: {error}"))
}

/// Commits all versions to a repository, packs it, and measures it.
pub fn git(steps: &[Step]) -> Result<Git> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    output(folder, &["init", "--quiet", "--bare"])?;
    import(folder, steps)?;
    output(folder, &["gc", "--aggressive", "--prune=now", "--quiet"])?;
    let format = "--batch-check=%(objecttype) %(objectsize:disk)";
    let objects = output(folder, &["cat-file", "--batch-all-objects", format])?;
    let sizes = objects.lines().filter_map(|line| {
        let size = line.strip_prefix("blob ")?;
        size.parse::<usize>().ok()
    });
    let documents = sizes.sum();
    let packs = packs(folder).map_err(|error| format!("cannot read the packs: {error}"))?;
    Ok(Git { packs, documents })
}

fn packs(folder: &Path) -> io::Result<usize> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder.join("objects/pack"))? {
        let entry = entry?;
        if entry.path().extension() == Some(OsStr::new("pack")) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
}

fn import(folder: &Path, steps: &[Step]) -> Result {
    let mut git = command(folder, &["fast-import", "--quiet"]);
    let failed = |error: io::Error| format!("git fast-import: {error}");
    let mut child = git.stdin(Stdio::piped()).spawn().map_err(failed)?;
    let mut input = BufWriter::new(child.stdin.take().expect("stdin was asked for"));
    let said = say(&mut input, steps).and_then(|()| input.flush());
    // Its end tells git that all is said, so it goes before the wait.
    drop(input);
    let status = child.wait().map_err(failed)?;
    said.map_err(failed)?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("`git fast-import` ended with {status}")),
    }
}

fn say(input: &mut impl Write, steps: &[Step]) -> io::Result<()> {
    for (index, step) in steps.iter().enumerate() {
        let document = &step.document;
        write!(
            input,
            "commit refs/heads/main\ncommitter a <a@example.org> {index} +0000\ndata 0\n\
             M 100644 inline document.json\ndata {}\n{document}\n",
            document.len()
        )?;
    }
    Ok(())
}

fn output(folder: &Path, args: &[&str]) -> Result<String> {
    let output = command(folder, args).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot run git: {error}"))?;
    match output.status.success() {
        true => String::from_utf8(output.stdout).map_err(|error| error.to_string()),
        false => Err(format!("`git {}` ended with {}", args[0], output.status)),
    }
}

/// Returns git as it comes: nobody's settings change what is measured.
fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .args(args)
        .env("GIT_DIR", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}
