//! The harnesses, one for each promise or part of it.

pub mod p10;
pub mod p1_blocks;
pub mod p1_fsync;
pub mod p1_kill;
pub mod p1_power;
pub mod p2_order;
pub mod p3;
pub mod p4;
pub mod p5;
pub mod p5_durable;
pub mod p5_sim;
pub mod p9;
pub mod siege;
pub mod webhooks;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::Fault;
use crate::audit::Violations;

/// How often, from which seed, and with which promise broken on purpose.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many rounds.
    pub runs: u64,
    /// Where all choices come from.
    pub seed: u64,
    /// What the node is told to break.
    pub fault: Option<Fault>,
    /// Say on stderr how far it is.
    pub talk: bool,
}

impl Plan {
    /// Returns a plan of so many runs, with the seed of `SYNCLINE_TEST_SEED` or a fixed one.
    pub fn runs(runs: u64) -> Plan {
        let seed = std::env::var("SYNCLINE_TEST_SEED")
            .ok()
            .and_then(|text| text.parse().ok());
        Plan {
            runs,
            seed: seed.unwrap_or(20_261_121),
            fault: None,
            talk: false,
        }
    }

    /// Breaks a promise on purpose.
    #[must_use]
    pub fn with(self, fault: Fault) -> Plan {
        Plan {
            fault: Some(fault),
            ..self
        }
    }

    pub(crate) fn say(&self, text: impl FnOnce() -> String) {
        if self.talk {
            #[expect(
                clippy::print_stderr,
                reason = "progress for a person, where asked for"
            )]
            {
                eprintln!("{}", text());
            }
        }
    }
}

/// What a harness found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which harness.
    pub harness: &'static str,
    /// From which seed.
    pub seed: u64,
    /// How many rounds it ran.
    pub runs: u64,
    /// What was counted and measured.
    pub facts: Vec<(String, String)>,
    /// What is broken; nothing, if all is well.
    pub violations: Vec<String>,
    /// Why it could not run here.
    pub skipped: Option<String>,
    /// Nothing can be done about that on this machine.
    pub excused: bool,
}

impl Report {
    pub(crate) fn new(harness: &'static str, plan: &Plan) -> Report {
        Report {
            harness,
            seed: plan.seed,
            runs: 0,
            facts: Vec::new(),
            violations: Vec::new(),
            skipped: None,
            excused: false,
        }
    }

    /// Returns the next round to run; none after the last, or once something is broken.
    pub(crate) fn next_round(&mut self, plan: &Plan, found: &Violations) -> Option<u64> {
        if self.runs == plan.runs || !found.is_empty() {
            return None;
        }
        self.runs += 1;
        Some(self.runs)
    }

    pub(crate) fn fact(&mut self, name: &str, value: impl fmt::Display) {
        self.facts.push((name.to_owned(), value.to_string()));
    }

    pub(crate) fn end(mut self, found: Violations) -> Report {
        self.violations = found.into_vec();
        self
    }

    /// Did not run, and could not on such a machine.
    pub(crate) fn excuse(mut self, why: impl Into<String>) -> Report {
        self.skipped = Some(why.into());
        self.excused = true;
        self
    }

    /// Did not run, although it should.
    pub(crate) fn skip(mut self, why: impl Into<String>) -> Report {
        self.skipped = Some(why.into());
        self
    }

    /// Fails if something is broken.
    ///
    /// # Panics
    /// With the whole report then; and in CI where the harness could have run and did not.
    pub fn assert_kept(&self) {
        assert!(self.violations.is_empty(), "{self}");
        self.assert_not_skipped();
    }

    /// Fails if nothing was found, although a promise was broken on purpose.
    ///
    /// # Panics
    /// With the whole report then; and in CI where the harness could have run and did not.
    pub fn assert_caught(&self) {
        self.assert_not_skipped();
        let blind = self.violations.is_empty() && self.skipped.is_none();
        assert!(!blind, "the fault was not noticed\n{self}");
    }

    fn assert_not_skipped(&self) {
        let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        let missing = self.skipped.is_some() && !self.excused;
        assert!(!(missing && in_ci), "{self}");
        if self.skipped.is_some() {
            #[expect(clippy::print_stderr, reason = "what did not run must be seen")]
            {
                eprintln!("NOT RUN: {self}");
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (&self.skipped, self.violations.is_empty()) {
            (Some(why), _) => format!("not possible here: {why}"),
            (None, true) => "kept".to_owned(),
            (None, false) => "BROKEN".to_owned(),
        };
        writeln!(
            f,
            "{}: {verdict} (seed {}, {} runs)",
            self.harness, self.seed, self.runs
        )?;
        for (name, value) in &self.facts {
            writeln!(f, "  {name:<34} {value}")?;
        }
        for violation in &self.violations {
            writeln!(f, "  - {violation}")?;
        }
        Ok(())
    }
}

/// A harness, to call by name.
pub type Run = fn(Plan) -> Pin<Box<dyn Future<Output = Report> + Send>>;

/// A harness with its name and how often it runs if nobody says.
pub struct Harness {
    /// Its name; the part before the first `-` names the promise.
    pub name: &'static str,
    /// What it does, in a line.
    pub what: &'static str,
    /// How often, by default.
    pub runs: u64,
    /// The harness.
    pub run: Run,
}

/// All harnesses.
pub const HARNESSES: &[Harness] = &[
    Harness {
        name: "p1-kill",
        what: "SIGKILL under load: what was acknowledged is there, once, without a gap",
        runs: 200,
        run: |plan| Box::pin(p1_kill::run(plan)),
    },
    Harness {
        name: "p1-power",
        what: "power cuts under load, on a disk of our own (needs root)",
        runs: 100,
        run: |plan| Box::pin(p1_power::run(plan)),
    },
    Harness {
        name: "p1-fsync",
        what: "the k-th sync fails, for every k of a script: nothing refused is there later",
        runs: 100_000,
        run: |plan| Box::pin(p1_fsync::run(plan)),
    },
    Harness {
        name: "p1-blocks",
        what: "a disk that refuses blocks, and drops them (needs root)",
        runs: 20,
        run: |plan| Box::pin(p1_blocks::run(plan)),
    },
    Harness {
        name: "p2-order",
        what: "many writers, readers on all doors: one gapless order",
        runs: 3,
        run: |plan| Box::pin(p2_order::run(plan)),
    },
    Harness {
        name: "p3",
        what: "resends at all times, through all doors: each id takes effect once",
        runs: 100,
        run: |plan| Box::pin(p3::run(plan)),
    },
    Harness {
        name: "p4",
        what: "writers on one context, on old versions, through all doors, with kills: nothing is lost",
        runs: 20,
        run: |plan| Box::pin(p4::run(plan)),
    },
    Harness {
        name: "p5",
        what: "subscribers that come and go, simulated; and a round of p5-node for every 500 runs",
        runs: 500,
        run: |plan| Box::pin(p5_sim::run_beside_nodes(plan)),
    },
    Harness {
        name: "p5-node",
        what: "subscribers that come and go while the node is killed and restored",
        runs: 5,
        run: |plan| Box::pin(p5::run(plan)),
    },
    Harness {
        name: "p5-durable",
        what: "consumers that share a durable subscription while the node is killed",
        runs: 3,
        run: |plan| Box::pin(p5_durable::run(plan)),
    },
    Harness {
        name: "p9",
        what: "subscribers that stop reading: no slower writer, bounded memory, no loss",
        runs: 1,
        run: |plan| Box::pin(p9::run(plan)),
    },
    Harness {
        name: "p10",
        what: "status and readyz tell the truth: full disk, stuck writer, rot",
        runs: 1,
        run: |plan| Box::pin(p10::run(plan)),
    },
    Harness {
        name: "webhooks",
        what: "SIGKILL in the middle of attempts, at a hostile endpoint: all arrives, in order",
        runs: 20,
        run: |plan| Box::pin(webhooks::run(plan)),
    },
];
