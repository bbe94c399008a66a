//! Where things are: data, settings, the node's socket and the owner's key.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Above this the system refuses a socket's path (108 bytes on Linux, 104 on macOS).
const SOCKET_PATH_MAX: usize = 100;

/// The owner's key in the data directory.
pub const OWNER_KEY: &str = "owner.key";
/// The Unix socket in the data directory.
pub const SOCKET: &str = "node.sock";

type Environment = [(OsString, OsString)];

fn variable(environment: &Environment, name: &str) -> Option<PathBuf> {
    let found = environment.iter().find(|(key, _)| key == name);
    let path = found.map(|(_, value)| PathBuf::from(value))?;
    // XDG's rule: a path that is not absolute counts as unset.
    path.is_absolute().then_some(path)
}

fn home(environment: &Environment) -> PathBuf {
    variable(environment, "HOME").unwrap_or_else(std::env::temp_dir)
}

/// Returns the platform's data directory of a node.
pub fn data_dir(environment: &Environment) -> PathBuf {
    if cfg!(target_os = "macos") {
        return home(environment).join("Library/Application Support/syncline");
    }
    let base = variable(environment, "XDG_DATA_HOME");
    base.unwrap_or_else(|| home(environment).join(".local/share"))
        .join("syncline")
}

/// Returns the platform's settings file.
pub fn config_file(environment: &Environment) -> PathBuf {
    if cfg!(target_os = "macos") {
        return home(environment).join("Library/Application Support/syncline/config.toml");
    }
    let base = variable(environment, "XDG_CONFIG_HOME");
    base.unwrap_or_else(|| home(environment).join(".config"))
        .join("syncline/config.toml")
}

/// Returns the folder where commands remember things between calls, such as cursors.
pub fn state_dir(environment: &Environment) -> PathBuf {
    if cfg!(target_os = "macos") {
        return home(environment).join("Library/Application Support/syncline/state");
    }
    let base = variable(environment, "XDG_STATE_HOME");
    base.unwrap_or_else(|| home(environment).join(".local/state"))
        .join("syncline")
}

/// Returns the node's socket: in the data directory, or in the runtime folder under a hash of
/// the data directory's path where that path is too long for a socket.
pub fn socket(data: &Path, environment: &Environment) -> PathBuf {
    let beside = data.join(SOCKET);
    if beside.as_os_str().len() <= SOCKET_PATH_MAX {
        return beside;
    }
    runtime_dir(environment).join(format!("{}.sock", hash_of(data)))
}

/// Returns 16 hex digits that stand for a folder, whichever way its path is spelled.
pub fn hash_of(folder: &Path) -> String {
    let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let digest = Sha256::digest(real.as_os_str().as_bytes());
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn runtime_dir(environment: &Environment) -> PathBuf {
    match variable(environment, "XDG_RUNTIME_DIR") {
        Some(path) => path.join("syncline"),
        // Shared by all users: the folder carries the user's number, and `up` checks its owner.
        None => std::env::temp_dir().join(format!("syncline-{}", crate::system::user_id())),
    }
}

/// Reads the owner's key, if it is there and may be read.
pub fn owner_key(data: &Path) -> std::io::Result<String> {
    fs::read_to_string(data.join(OWNER_KEY)).map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn long_paths_get_a_short_socket() {
        let environment = [(
            OsString::from("XDG_RUNTIME_DIR"),
            OsString::from("/run/user/7"),
        )];
        assert_eq!(
            socket(Path::new("/data"), &environment),
            Path::new("/data/node.sock")
        );
        let long = PathBuf::from(format!("/{}", "d".repeat(100)));
        let short = socket(&long, &environment);
        assert!(
            short.starts_with("/run/user/7/syncline"),
            "{}",
            short.display()
        );
        assert!(short.as_os_str().len() < SOCKET_PATH_MAX);
        assert_eq!(short, socket(&long, &environment));
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn relative_variables_count_as_unset() {
        let of = |value: &str| {
            let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
            data_dir(&[pair("HOME", "/h"), pair("XDG_DATA_HOME", value)])
        };
        assert_eq!(of("/x"), Path::new("/x/syncline"));
        assert_eq!(of("x"), Path::new("/h/.local/share/syncline"));
    }
}
