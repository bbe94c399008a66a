//! How a command ends when it does not end well.

use std::fmt;
use std::io;
use std::path::Path;

use syncline_api::{Code, Problem};

use crate::{exit, sides};

/// Why a command did not end with exit code 0.
#[derive(Debug)]
pub enum Failure {
    /// The node, or we, refused.
    Problem(Problem),
    /// What the user gave is wrong; said in our words alone, without a problem's title.
    Usage(String, Option<String>),
    /// The answer is "no"; all has been said.
    No,
    /// All has been said, and it ends with this code.
    Said(u8),
    /// The reader of our output has gone.
    Pipe,
    /// The user pressed Ctrl-C.
    Interrupted,
}

/// A result with a failure.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// Makes a usage failure.
    pub fn usage(text: impl Into<String>) -> Failure {
        Failure::Usage(text.into(), None)
    }

    /// Makes a usage failure with a hint.
    pub fn usage_hint(text: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure::Usage(text.into(), Some(hint.into()))
    }

    /// Makes the failure of an operation on a file.
    pub fn file(what: &str, path: &Path, error: &io::Error) -> Failure {
        Failure::usage(format!("cannot {what} {}: {error}", path.display()))
    }

    /// Returns the exit code.
    pub fn exit(&self) -> u8 {
        match self {
            Failure::Problem(problem) => problem.code.exit(),
            Failure::Usage(..) => exit::USAGE,
            Failure::No => exit::NO,
            Failure::Said(code) => *code,
            // A reader that has enough is no failure of ours.
            Failure::Pipe => exit::YES,
            Failure::Interrupted => exit::INTERRUPTED,
        }
    }

    /// Returns the failure as a problem, for `--json`, if there is something to say.
    pub fn problem(&self) -> Option<Problem> {
        match self {
            Failure::Problem(problem) => Some(problem.clone()),
            Failure::Usage(text, hint) => {
                let mut problem = Problem::new(Code::BadRequest, text.clone());
                problem.hint.clone_from(hint);
                Some(problem)
            }
            _ => None,
        }
    }

    /// Returns the lines that show where a write clashes that was refused for it.
    pub fn sides(&self) -> Vec<String> {
        match self {
            Failure::Problem(problem) => sides::lines(problem),
            _ => Vec::new(),
        }
    }

    /// Returns what a person reads, and the hint.
    pub fn words(&self) -> Option<(String, Option<String>)> {
        match self {
            Failure::Problem(problem) => Some((
                as_flags(&problem.to_string()),
                problem.hint.as_deref().map(as_flags),
            )),
            Failure::Usage(text, hint) => Some((text.clone(), hint.clone())),
            _ => None,
        }
    }
}

/// Names the flags of a command where a node names the headers and members that they are sent as.
fn as_flags(text: &str) -> String {
    const FLAGS: [(&str, &str); 10] = [
        ("If-None-Match", "--new"),
        ("If-Match: *", "--if-match '*'"),
        ("If-Match", "--if-match"),
        ("Syncline-Base", "--base"),
        ("Syncline-Strategy", "--strategy"),
        ("Syncline-Priority", "--priority"),
        (
            "POST /v1/subscriptions makes one; GET /v1/subscriptions lists them",
            "`syncline subscription add` makes one, `syncline subscription ls` lists them",
        ),
        (
            "read all pages of GET /v1/contexts, and go on from the `cursor` that they carry",
            "`--from snapshot` shows what is there, and goes on from it",
        ),
        ("?version=", "--version"),
        ("?branch=", "--branch"),
    ];
    FLAGS.iter().fold(text.to_owned(), |text, (header, flag)| {
        text.replace(header, flag)
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            Some((text, _)) => f.write_str(&text),
            None => write!(f, "exit code {}", self.exit()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure::Problem(problem)
    }
}
