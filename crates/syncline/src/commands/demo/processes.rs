//! The demo's other processes: the node, the agents, and the folder that they share.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use syncline_api::{Code, Problem};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::report::Report;
use crate::failure::{Failure, Result};
use crate::system;

/// How long the node may take to start, and to stop.
const START_MAX: Duration = Duration::from_secs(30);
const STOP_MAX: Duration = Duration::from_secs(12);

/// The node's data directory; removed at the end unless it is to be kept.
pub struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes the folder.
    pub fn make(keep: Option<&Path>) -> Result<Folder> {
        let path = match keep {
            Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            None => {
                let mut random = [0u8; 6];
                getrandom::fill(&mut random).expect("the system gives random bytes");
                let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
                std::env::temp_dir().join(format!("syncline-demo-{name}"))
            }
        };
        // A folder that is there may hold a real node's data, and is never used.
        std::fs::create_dir(&path).map_err(|error| Failure::file("make", &path, &error))?;
        Ok(Folder {
            path,
            keep: keep.is_some(),
        })
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Returns a command of this same program on the folder, free of the user's settings.
fn command(folder: &Folder) -> Result<Command> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::usage(format!("cannot find this program: {error}")))?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("SYNCLINE_") && !name.starts_with("SYNCLINE_TEST_") {
            command.env_remove(&*name);
        }
    }
    // An empty settings file: what the user set for their own node is not meant here.
    command.env("SYNCLINE_CONFIG", "/dev/null");
    command.arg("--data").arg(folder.path());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

/// A node in a process of its own.
pub struct NodeProcess {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl NodeProcess {
    /// Starts a node and waits until it is ready.
    pub async fn start(folder: &Folder) -> Result<NodeProcess> {
        let mut command = command(folder)?;
        command
            .args(["up", "--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| Failure::usage(format!("cannot start the node: {error}")))?;
        let stdout = child.stdout.take().expect("its stdout is piped");
        let mut lines = BufReader::new(stdout).lines();
        let ready = tokio::time::timeout(START_MAX, lines.next_line()).await;
        let url = ready.ok().and_then(std::result::Result::ok).flatten();
        let url = url.and_then(|line| line.strip_prefix("ready ").map(str::to_owned));
        let mut stderr = child.stderr.take().expect("its stderr is piped");
        let Some(url) = url else {
            let mut why = String::new();
            let _ = child.start_kill();
            let _ = stderr.read_to_string(&mut why).await;
            let why = why.lines().next().unwrap_or("it said nothing").to_owned();
            return Err(
                Problem::new(Code::Unreachable, format!("the node did not start: {why}")).into(),
            );
        };
        // What it says later must not fill the pipe and stop it.
        tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
        Ok(NodeProcess { child, url })
    }

    /// Ends the node cleanly.
    pub async fn stop(mut self) {
        if let Some(id) = self.child.id() {
            system::terminate(id);
        }
        if tokio::time::timeout(STOP_MAX, self.child.wait())
            .await
            .is_err()
        {
            let _ = self.child.kill().await;
        }
    }
}

/// Starts an agent, and passes on what it tells until it ends.
pub fn start_agent(
    folder: &Folder,
    arguments: Vec<String>,
    tell: mpsc::Sender<Result<Report, String>>,
) -> Result {
    let mut command = command(folder)?;
    command.args(&arguments).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| Failure::usage(format!("cannot start an agent: {error}")))?;
    let stdout = child.stdout.take().expect("its stdout is piped");
    let mut stderr = child.stderr.take().expect("its stderr is piped");
    let name = arguments.get(1).cloned().unwrap_or_default();
    tokio::spawn(async move {
        let said = tokio::spawn(async move {
            let mut said = String::new();
            let _ = stderr.read_to_string(&mut said).await;
            said
        });
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let report = Report::read(&line).ok_or_else(|| format!("an agent said {line:?}"));
            if tell.send(report).await.is_err() {
                return;
            }
        }
        let ended = child.wait().await;
        let said = said.await.unwrap_or_default();
        if !ended.is_ok_and(|status| status.success()) {
            let said = said.lines().next().unwrap_or("it said nothing");
            let _ = tell
                .send(Err(format!("the agent {name} failed: {said}")))
                .await;
        }
    });
    Ok(())
}
