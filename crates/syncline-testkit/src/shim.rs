//! Syncs that fail or wait: a small library that stands before the C library's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::binary::profile_dir;

const SOURCE: &str = include_str!("../shim/sync.c");

/// What a node's syncs meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncs {
    /// Nothing.
    Pass,
    /// The N-th since the process began fails with EIO.
    Fail(u64),
    /// That one and all after it do.
    FailFrom(u64),
    /// Each waits so many milliseconds.
    Delay(u64),
}

/// A folder by which a running node's syncs are controlled and counted.
pub struct Shim {
    folder: TempDir,
}

impl Shim {
    /// Makes ready; fails where the library cannot be built or put before the system's.
    pub fn new() -> Result<Shim, String> {
        library().as_ref().map_err(Clone::clone)?;
        let folder = tempfile::Builder::new().prefix("syncline-shim-").tempdir();
        let shim = Shim {
            folder: folder.map_err(|error| error.to_string())?,
        };
        shim.set(Syncs::Pass);
        Ok(shim)
    }

    /// Returns the variables that a node is to be started with.
    pub fn env(&self) -> Vec<(String, OsString)> {
        let library = library()
            .as_ref()
            .expect("a shim exists only where it was built");
        vec![
            ("LD_PRELOAD".to_owned(), library.clone().into()),
            ("SYNCLINE_TEST_SHIM".to_owned(), self.folder.path().into()),
        ]
    }

    /// Says what the next syncs meet.
    ///
    /// # Panics
    /// If the temporary folder is gone.
    pub fn set(&self, syncs: Syncs) {
        let text = match syncs {
            Syncs::Pass => "pass".to_owned(),
            Syncs::Fail(number) => format!("fail {number}"),
            Syncs::FailFrom(number) => format!("fail-from {number}"),
            Syncs::Delay(ms) => format!("delay {ms}"),
        };
        // Renamed into place: the node must never read half a line.
        let new = self.folder.path().join("control.new");
        std::fs::write(&new, text).expect("the folder is there");
        std::fs::rename(new, self.folder.path().join("control")).expect("the folder is there");
    }

    /// Returns how many syncs there were, of all processes.
    pub fn count(&self) -> u64 {
        self.folder
            .path()
            .join("count")
            .metadata()
            .map_or(0, |meta| meta.len())
    }

    /// Begins counting anew.
    pub fn reset_count(&self) {
        let _ = std::fs::remove_file(self.folder.path().join("count"));
    }
}

/// Builds the library once.
fn library() -> &'static Result<PathBuf, String> {
    static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        if !cfg!(target_os = "linux") {
            return Err("needs Linux, to stand before the C library".to_owned());
        }
        build(&profile_dir())
    })
}

fn build(folder: &Path) -> Result<PathBuf, String> {
    let source = folder.join(format!("syncline-shim-{}.c", std::process::id()));
    let built = source.with_extension("so");
    let library = folder.join("libsyncline_shim.so");
    std::fs::write(&source, SOURCE).map_err(|error| error.to_string())?;
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&built)
        .arg(&source)
        .arg("-ldl")
        .output()
        .map_err(|error| format!("needs a C compiler: {error}"))?;
    let _ = std::fs::remove_file(&source);
    if !output.status.success() {
        return Err(format!(
            "the shim: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    // Another test may use the library right now: a new file takes its place.
    std::fs::rename(&built, &library).map_err(|error| error.to_string())?;
    Ok(library)
}
