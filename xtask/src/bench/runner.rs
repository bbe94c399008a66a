//! Runs a job in a process of its own and reads what it measured.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::job::{Job, Outcome};
use crate::run::Result;

/// A load under way.
pub struct Load {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Load {
    /// Starts a job.
    pub fn start(job: &Job) -> Result<Load> {
        let me = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(me);
        command
            .arg("bench-load")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut input = child.stdin.take().expect("stdin was asked for");
        let output = BufReader::new(child.stdout.take().expect("stdout was asked for"));
        let text = serde_json::to_string(job).map_err(|error| error.to_string())?;
        writeln!(input, "{text}").map_err(|error| error.to_string())?;
        Ok(Load {
            child,
            input: Some(input),
            output,
        })
    }

    /// Waits until its connections are open.
    pub fn held(&mut self) -> Result {
        match self.line()?.trim() {
            "held" => Ok(()),
            other => Err(format!("the load said {other:?}")),
        }
    }

    /// Lets it end, and returns what it measured.
    pub fn finish(mut self) -> Result<Outcome> {
        drop(self.input.take());
        let line = self.line()?;
        serde_json::from_str(&line).map_err(|_| "the load failed".to_owned())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .map_err(|error| error.to_string())?;
        Ok(line)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.input.take());
        // A load ends by itself, or as soon as nobody listens.
        let _ = self.child.wait();
    }
}

/// Runs a job to its end.
pub fn run(job: &Job) -> Result<Outcome> {
    Load::start(job)?.finish()
}
