//! Runs the commands that the documentation shows, so that it stays true.
//!
//! In each file, the lines of ```` ```console ```` blocks that begin with `$ ` are run in turn
//! against a fresh node; and then those of all files against one, since a reader has only one. A
//! command may only fail where its exit code is an answer: `diff` ends
//! with 1 where there is a difference.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::run::{Result, Step, exists, root};

/// Where the documentation says that a node listens.
const SHOWN: &str = "127.0.0.1:7420";

/// Builds the binary, and runs README's and docs' commands.
pub fn run() -> Result {
    Step::cargo(&["build", "--quiet", "-p", "syncline"]).run()?;
    run_built()
}

/// Runs them with the binary that is there.
pub fn run_built() -> Result {
    for program in ["curl", "timeout"] {
        if !exists(program) {
            return Err(format!(
                "{program} is missing, and the documentation is run with it"
            ));
        }
    }
    let mut shown = Vec::new();
    for file in files()? {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let lines = commands_of(&text);
        if !lines.is_empty() {
            shown.push((name_of(&file), lines));
        }
    }
    for (name, lines) in &shown {
        let reader = Reader::start(name)?;
        reader.paste(name, lines)?;
    }
    let reader = Reader::start("all")?;
    shown
        .iter()
        .try_for_each(|(name, lines)| reader.paste(name, lines))?;
    let commands: usize = shown.iter().map(|(_, lines)| lines.len()).sum();
    eprintln!("documentation: {commands} commands do what they say");
    Ok(())
}

fn name_of(file: &Path) -> String {
    let name = file.strip_prefix(root()).unwrap_or(file);
    name.display().to_string()
}

fn files() -> Result<Vec<PathBuf>> {
    let docs = std::fs::read_dir(root().join("docs")).map_err(|error| format!("docs: {error}"))?;
    let mut files: Vec<PathBuf> = docs.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "md"));
    files.push(root().join("README.md"));
    files.sort();
    Ok(files)
}

fn commands_of(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        match line.trim_start() {
            "```console" => inside = true,
            fence if fence.starts_with("```") => inside = false,
            other if inside => commands.extend(other.strip_prefix("$ ").map(str::to_owned)),
            _ => {}
        }
    }
    commands
}

/// Somebody who reads the documentation, with a node of their own.
struct Reader {
    home: Home,
    node: Node,
}

impl Reader {
    fn start(name: &str) -> Result<Reader> {
        let home = Home::make(&name.replace(['/', '.'], "-"))?;
        let node = Node::start(&home)?;
        Ok(Reader { home, node })
    }

    /// Runs a file's commands in turn.
    fn paste(&self, shown: &str, commands: &[String]) -> Result {
        for command in commands {
            let meant = command.replace(SHOWN, &self.node.address);
            let output = self
                .home
                .bash(&meant)
                .output()
                .map_err(|error| format!("bash: {error}"))?;
            let differs = command.starts_with("syncline diff") && output.status.code() == Some(1);
            if !output.status.success() && !differs {
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8_lossy(&said).into_owned();
                return Err(format!(
                    "{shown}: `{command}` ended with {}:\n{said}",
                    output.status
                ));
            }
        }
        eprintln!("{shown}: {} commands", commands.len());
        Ok(())
    }
}

/// A folder that stands for a user's home.
struct Home {
    folder: PathBuf,
}

impl Home {
    fn make(name: &str) -> Result<Home> {
        let folder = root().join("target/docs").join(name);
        let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(fail)?;
        }
        std::fs::create_dir_all(&folder).map_err(fail)?;
        // A status from 400 on is a failure of the command.
        let mut curl = std::fs::File::create(folder.join(".curlrc")).map_err(fail)?;
        writeln!(curl, "fail-with-body\nmax-time = 20").map_err(fail)?;
        Ok(Home { folder })
    }

    /// A command that waits for ever ends as a failure.
    fn bash(&self, text: &str) -> Command {
        let mut command = self.command("timeout");
        command.args(["60", "bash", "-euo", "pipefail", "-c", text]);
        command
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let binaries = root().join("target/debug").display().to_string();
        let path = format!("{binaries}:{}", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SYNCLINE_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(&self.folder)
            .env("PATH", path)
            .env("HOME", &self.folder)
            .env("CURL_HOME", &self.folder)
            .env("SYNCLINE_DATA", self.folder.join("data"))
            .env("PAGER", "cat")
            .stdin(Stdio::null());
        for name in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
            command.env_remove(name);
        }
        command
    }
}

/// A node that ends with the file.
struct Node {
    child: Child,
    address: String,
}

impl Node {
    fn start(home: &Home) -> Result<Node> {
        let mut command = home.command(root().join("target/debug/syncline"));
        command
            .args(["up", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped());
        let log = std::fs::File::create(home.folder.join("node.log"));
        command.stderr(log.map_err(|error| error.to_string())?);
        let mut child = command
            .spawn()
            .map_err(|error| format!("the node: {error}"))?;
        let out = child.stdout.take().expect("stdout was asked for");
        let lines = BufReader::new(out).lines();
        let ready = lines.map_while(std::result::Result::ok).find_map(|line| {
            line.strip_prefix("ready http://")
                .map(|address| address.trim().to_owned())
        });
        let address = ready.unwrap_or_default();
        let node = Node { child, address };
        match node.address.is_empty() {
            true => Err("the node did not start".to_owned()),
            false => Ok(node),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::commands_of;

    #[test]
    fn commands_are_the_lines_with_a_dollar_in_console_blocks() {
        let text = "a\n```sh\n$ no\n```\n```console\n$ one\noutput\n$ two\n```\n$ no\n";
        assert_eq!(commands_of(text), ["one", "two"]);
    }
}
