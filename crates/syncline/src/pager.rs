//! Long answers on a terminal, page by page.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use crate::failure::Result;
use crate::output::{Line, Output};

/// Writes lines to a pager where a person reads, else straight to stdout.
pub struct Pages {
    output: Output,
    pager: Option<Child>,
}

impl Pages {
    /// Starts the pager that `PAGER` names, `less` if it names none, on a terminal only.
    pub fn start(output: Output) -> Pages {
        Pages {
            output,
            pager: if output.is_paged() { spawn() } else { None },
        }
    }

    /// Writes a line.
    pub fn line(&mut self, line: impl Into<Line>) -> Result {
        let Some(input) = self.pager.as_mut().and_then(|pager| pager.stdin.as_mut()) else {
            return self.output.line(line);
        };
        let text = self.output.rendered(line);
        // Who quits the pager has read enough.
        writeln!(input, "{text}").map_err(|_| crate::failure::Failure::Pipe)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Some(mut pager) = self.pager.take() {
            drop(pager.stdin.take());
            let _ = pager.wait();
        }
    }
}

fn spawn() -> Option<Child> {
    let named = std::env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
    if named.trim().is_empty() || named.trim() == "cat" {
        return None;
    }
    let mut command = Command::new("sh");
    command.arg("-c").arg(&named).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        // Ends by itself where one screen is enough, and lets colours through, nothing else.
        command.env("LESS", "FRX");
    }
    command.spawn().ok()
}
