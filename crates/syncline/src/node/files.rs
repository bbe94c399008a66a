//! The files of a data directory that are not the store's: the owner's key and the socket.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use tokio::net::UnixListener;

use crate::failure::{Failure, Result};
use crate::place;

/// Returns the owner's key, making it at the first start.
pub fn owner_key(data: &Path) -> Result<String> {
    let path = data.join(place::OWNER_KEY);
    match place::owner_key(data) {
        Ok(key) if key.len() >= 32 && key.chars().all(|c| c.is_ascii_graphic()) => Ok(key),
        Ok(_) => Err(Failure::usage_hint(
            format!("{} holds no key", path.display()),
            "put the key back, or remove the file: the next start makes a new one",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = fresh_key();
            write_key(data, &key).map_err(|error| Failure::file("write", &path, &error))?;
            Ok(key)
        }
        Err(error) => Err(Failure::file("read", &path, &error)),
    }
}

fn fresh_key() -> String {
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("syncline_{hex}")
}

/// Writes the key whole or not at all: half a key would lock the owner out.
fn write_key(data: &Path, key: &str) -> io::Result<()> {
    let half = data.join("owner.key.new");
    let _ = fs::remove_file(&half);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&half)?;
    writeln!(file, "{key}")?;
    file.sync_all()?;
    fs::rename(&half, data.join(place::OWNER_KEY))?;
    fs::File::open(data)?.sync_all()
}

/// Binds the node's socket for this user alone.
///
/// Only called under the data directory's lock: a socket that is there was left by a node that
/// died, and may go.
pub fn bind_socket(path: &Path, data: &Path) -> Result<UnixListener> {
    let failed = |error: io::Error| Failure::file("listen on", path, &error);
    if let Some(folder) = path.parent().filter(|folder| *folder != data) {
        private_folder(folder)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // Bound beside and moved into place once its mode is right, so nobody connects in between.
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside).map_err(failed)?;
    fs::set_permissions(&beside, Permissions::from_mode(0o600)).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)?;
    Ok(listener)
}

/// Makes the runtime folder, and refuses one that another user put there.
fn private_folder(folder: &Path) -> Result {
    let failed = |error: io::Error| Failure::file("make", folder, &error);
    fs::create_dir_all(folder).map_err(failed)?;
    let found = fs::symlink_metadata(folder).map_err(failed)?;
    if !found.is_dir() || found.uid() != crate::system::user_id() {
        return Err(Failure::usage(format!(
            "{} belongs to somebody else",
            folder.display()
        )));
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(failed)
}

/// Returns this machine's name.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .filter(char::is_ascii_graphic)
        .take(100)
        .collect();
    if name.is_empty() {
        "node".to_owned()
    } else {
        name
    }
}
