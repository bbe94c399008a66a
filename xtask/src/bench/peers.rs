//! What yrs, Loro and Automerge do with the documents of the merge rows.
//!
//! They are built in a package of their own, `xtask/peers`, so that the product's lock file never
//! holds them. What they do is not quite a three-way merge: each has the document's whole history
//! at hand and takes in what the other copy did since, and where both edited one value it picks
//! one without a word.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use syncline_model::json::{Json, Object};

use crate::run::{Result, Step, root};

/// A library that is measured.
pub struct Peer {
    /// Its name.
    pub name: &'static str,
    /// What it is timed at.
    pub does: &'static str,
}

/// All of them.
const PEERS: [Peer; 3] = [
    Peer {
        name: "yrs",
        does: "reads and applies the other copy's update; picks one of two edits of one value",
    },
    Peer {
        name: "Loro",
        does: "imports the other copy's update; picks one of two edits of one value",
    },
    Peer {
        name: "Automerge",
        does: "takes over the other copy's changes, in memory; shows one of two edits of one value",
    },
];

/// The program that measures them.
pub struct Peers(PathBuf);

impl Peers {
    /// Builds it.
    pub fn build() -> Result<Peers> {
        let folder = root().join("xtask/peers");
        let build = ["build", "--release", "--locked"];
        // Where the workspace's own folder is set in the environment, this one is beside it.
        let target = folder.join("target");
        let step = Step::cargo(&build).folder(folder);
        step.env("CARGO_TARGET_DIR", &target).run()?;
        Ok(Peers(target.join("release/peers")))
    }

    /// Returns the median of each for these sides, in microseconds.
    pub fn medians(&self, [base, ours, theirs]: [&Json; 3]) -> Result<Vec<(&'static Peer, f64)>> {
        let sides = [("base", base), ("ours", ours), ("theirs", theirs)];
        let sides: Object = sides
            .map(|(name, side)| (name, side.clone()))
            .into_iter()
            .collect();
        let answer = self.ask(&Json::from(sides).to_text())?;
        let answer = Json::parse(&answer, &Default::default());
        let answer = answer.map_err(|error| format!("the peers: {error}"))?;
        let median = |peer: &'static Peer| {
            let text = answer.get(peer.name).map(Json::to_text);
            let median = text.and_then(|text| text.parse().ok());
            let median = median.ok_or_else(|| format!("the peers: no median of {}", peer.name))?;
            Ok((peer, median))
        };
        PEERS.iter().map(median).collect()
    }

    fn ask(&self, input: &str) -> Result<Vec<u8>> {
        let failed = |error: std::io::Error| format!("the peers: {error}");
        let mut child = Command::new(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin.write_all(input.as_bytes()).map_err(failed)?;
        drop(stdin);
        let output = child.wait_with_output().map_err(failed)?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(format!("the peers ended with {}", output.status)),
        }
    }
}
