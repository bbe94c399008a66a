//! Running other programs.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a command ends with: a text for a person.
pub type Result<T = ()> = std::result::Result<T, String>;

/// Returns the root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies below the root")
}

/// A program to run at the root of the workspace.
pub struct Step {
    command: Command,
    shown: String,
}

impl Step {
    /// Names a program.
    pub fn new(program: impl AsRef<OsStr>) -> Step {
        let mut command = Command::new(program.as_ref());
        command.current_dir(root());
        Step {
            command,
            shown: program.as_ref().to_string_lossy().into_owned(),
        }
    }

    /// Names cargo, the one that runs us.
    pub fn cargo(args: &[&str]) -> Step {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut step = Step::new(cargo);
        step.shown = "cargo".to_owned();
        step.args(args)
    }

    /// Adds arguments.
    pub fn args(mut self, args: &[impl AsRef<str>]) -> Step {
        for arg in args {
            self.command.arg(arg.as_ref());
            self.shown.push(' ');
            self.shown.push_str(arg.as_ref());
        }
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Step {
        self.command.env(name, value);
        self
    }

    /// Works in another folder.
    pub fn folder(mut self, folder: PathBuf) -> Step {
        self.command.current_dir(folder);
        self
    }

    /// Runs it, showing what it is and what it says.
    pub fn run(mut self) -> Result {
        eprintln!("+ {}", self.shown);
        let status = self.command.status();
        let status = status.map_err(|error| format!("cannot run `{}`: {error}", self.shown))?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("`{}` ended with {status}", self.shown)),
        }
    }

    /// Runs it and returns what it prints.
    pub fn output(mut self) -> Result<String> {
        let output = self.command.stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| format!("cannot run `{}`: {error}", self.shown))?;
        match output.status.success() {
            true => String::from_utf8(output.stdout).map_err(|error| error.to_string()),
            false => Err(format!("`{}` ended with {}", self.shown, output.status)),
        }
    }

    /// Runs it and says only whether it went well.
    pub fn quietly(mut self) -> bool {
        let status = self
            .command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }
}

/// Says whether a program is there.
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
