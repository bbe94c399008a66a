//! Disks of our own: a filesystem whose power can be cut, and one that is soon full.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::sys::{is_root, shut_filesystem_down};

/// A mounted filesystem in a file, or in memory; it is unmounted when this is dropped.
pub struct Disk {
    kind: Kind,
    mount: PathBuf,
    image: PathBuf,
    /// Where the image lies, if that is a filesystem in memory.
    backing: Option<PathBuf>,
    _home: TempDir,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// ext4 in a file behind a loop device.
    Loop,
    /// In memory, of a fixed size.
    Memory,
}

/// Says why no disk can be made here, if so.
pub fn why_not() -> Option<&'static str> {
    if !cfg!(target_os = "linux") {
        return Some("needs Linux");
    }
    if !is_root() {
        return Some("needs root, to mount");
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("there are no loop devices");
    }
    None
}

impl Disk {
    /// Makes an ext4 filesystem of `mib` MiB behind a loop device, and mounts it.
    pub fn looped(mib: u64) -> Result<Disk, String> {
        let (home, mount, image) = places()?;
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(mib << 20).map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", "-F", path(&image)])?;
        let disk = Disk {
            kind: Kind::Loop,
            mount,
            image,
            backing: None,
            _home: home,
        };
        disk.mount()?;
        Ok(disk)
    }

    /// Makes one of `mib` MiB whose blocks have only `kib` KiB to lie in: beyond that, writing
    /// fails when it is synced.
    pub fn starved(mib: u64, kib: u64) -> Result<Disk, String> {
        let (home, mount, _) = places()?;
        let backing = home.path().join("backing");
        std::fs::create_dir(&backing).map_err(|error| error.to_string())?;
        mount_memory(&backing, kib)?;
        let image = backing.join("image");
        let made = std::fs::File::create(&image).and_then(|file| file.set_len(mib << 20));
        let disk = Disk {
            kind: Kind::Loop,
            mount,
            image,
            backing: Some(backing),
            _home: home,
        };
        made.map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", "-F", path(&disk.image)])?;
        disk.mount()?;
        Ok(disk)
    }

    /// Gives the blocks of a starved disk room.
    pub fn feed(&self, kib: u64) -> Result<(), String> {
        match &self.backing {
            Some(backing) => run(
                "mount",
                &["-o", &format!("remount,size={kib}k"), path(backing)],
            ),
            None => Ok(()),
        }
    }

    /// Makes a filesystem of `kib` KiB in memory, and mounts it.
    pub fn in_memory(kib: u64) -> Result<Disk, String> {
        let (home, mount, image) = places()?;
        mount_memory(&mount, kib)?;
        Ok(Disk {
            kind: Kind::Memory,
            mount,
            image,
            backing: None,
            _home: home,
        })
    }

    /// Returns where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Cuts the power: what was not synced is gone. Call it while its users stand still, and kill
    /// them before [`Disk::power_on`].
    pub fn cut_power(&self) -> Result<(), String> {
        shut_filesystem_down(&self.mount).map_err(|error| format!("the power stays on: {error}"))
    }

    /// Unmounts the dead filesystem and mounts what is left of it.
    pub fn power_on(&self) -> Result<(), String> {
        self.unmount()?;
        self.mount()
    }

    fn mount(&self) -> Result<(), String> {
        run(
            "mount",
            &["-o", "loop", path(&self.image), path(&self.mount)],
        )
    }

    fn unmount(&self) -> Result<(), String> {
        let mut last = String::new();
        // A killed process's files are closed a moment after it is gone.
        for _ in 0..50 {
            match run("umount", &[path(&self.mount)]) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(last)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.unmount().is_err() {
            // Whoever still holds a file keeps the disk; it goes when they do.
            let _ = run("umount", &["-l", path(&self.mount)]);
        }
        if self.kind == Kind::Loop {
            let _ = std::fs::remove_file(&self.image);
        }
        if let Some(backing) = &self.backing {
            let _ = run("umount", &["-l", path(backing)]);
        }
    }
}

fn mount_memory(at: &Path, kib: u64) -> Result<(), String> {
    let size = format!("size={kib}k");
    run(
        "mount",
        &["-t", "tmpfs", "-o", &size, "syncline-test", path(at)],
    )
}

fn places() -> Result<(TempDir, PathBuf, PathBuf), String> {
    let home = tempfile::Builder::new().prefix("syncline-disk-").tempdir();
    let home = home.map_err(|error| error.to_string())?;
    let (mount, image) = (home.path().join("mount"), home.path().join("image"));
    std::fs::create_dir(&mount).map_err(|error| error.to_string())?;
    Ok((home, mount, image))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let places = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program)
        .args(args)
        .env("PATH", places)
        .output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
