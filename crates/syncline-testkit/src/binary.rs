//! Where the binary is. It is built if it is missing or older than its sources.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Returns the path of the `syncline` binary of the profile that this test was built with.
///
/// `SYNCLINE_TEST_BINARY` names another.
///
/// # Panics
/// If it cannot be built: no harness can say anything then.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("SYNCLINE_TEST_BINARY") {
            return PathBuf::from(path);
        }
        let folder = profile_dir();
        let path = folder.join("syncline");
        if !is_current(&path) {
            build(&folder);
        }
        assert!(path.exists(), "there is a binary at {}", path.display());
        path
    })
}

/// Returns the root of the workspace.
pub fn workspace_root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("the crate lies two folders below the root")
}

/// Returns the folder of real input, or `None` where it is missing outside CI.
///
/// # Panics
/// In CI, where it must be there.
pub fn test_data() -> Option<PathBuf> {
    let named = std::env::var_os("SYNCLINE_TEST_DATA").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| workspace_root().join("../shared/data"));
    let is_there = folder.join("README.md").exists();
    assert!(
        is_there || std::env::var_os("CI").is_none(),
        "SYNCLINE_TEST_DATA names no test data: {}",
        folder.display()
    );
    is_there.then_some(folder)
}

/// Returns where cargo put this very program: `target/debug`, `target/release`.
pub fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("a process knows its program");
    let folder = exe.parent().expect("a program lies in a folder");
    if folder.ends_with("deps") {
        folder
            .parent()
            .expect("deps lies in the profile's folder")
            .to_owned()
    } else {
        folder.to_owned()
    }
}

/// Says whether the binary is newer than all that it is made from. Asking cargo instead would
/// often build the dependencies again, with the features of one package alone.
fn is_current(path: &Path) -> bool {
    let Some(built) = modified(path) else {
        return false;
    };
    let root = workspace_root();
    let Ok(crates) = std::fs::read_dir(root.join("crates")) else {
        return false;
    };
    let ours = |path: &PathBuf| !path.ends_with("syncline-testkit");
    let sources = crates.flatten().map(|entry| entry.path()).filter(ours);
    sources
        .flat_map(|path| [path.join("src"), path.join("Cargo.toml")])
        .all(|p| older(&p, built))
}

fn older(path: &Path, than: SystemTime) -> bool {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        return entries
            .map(|entry| entry.path())
            .all(|path| older(&path, than));
    }
    // Files that an editor left beside the sources do not matter.
    let matters = path
        .extension()
        .is_some_and(|ext| ext != "swp" && ext != "md");
    !matters || modified(path).is_none_or(|time| time <= than)
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).ok()
}

fn build(folder: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(workspace_root())
        .args(["build", "--quiet", "-p", "syncline"]);
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => {
            command.args(["--profile", profile]);
        }
    }
    let status = command.status().expect("cargo can be run");
    assert!(status.success(), "the binary builds");
}
