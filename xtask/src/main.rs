//! The developer's commands. `cargo xtask help` lists them.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod autobahn;
mod bench;
mod check;
mod data;
mod docs;
mod fuzz;
mod histories;
mod licences;
mod merges;
mod run;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use run::Step;

/// Check, test, prove and measure Syncline.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check form, lints, licences, and that what is made from code is current.
    Check,
    /// Install what tests need and is missing, and run all tests.
    Test {
        /// Passed on to `cargo test`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Prove the promises against the real binary; `--list` names the harnesses.
    Prove {
        /// Passed on: names, `--runs N`, `--seed S`, `--fault F`, `--list`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Measure, beside Redis and PostgreSQL.
    Bench {
        /// Passed on.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// The bench itself, built as what it measures.
    #[command(hide = true)]
    BenchHere {
        /// Passed on.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// The bench's load: one job, told on stdin.
    #[command(hide = true)]
    BenchLoad,
    /// Merge what people merged, and compare with git and with what they committed.
    Merges(merges::Arguments),
    /// Store what people wrote version by version, and print what a version costs, beside git.
    Histories(histories::Arguments),
    /// Put faults into the merge, one by one, and print which law notices.
    Mutants,
    /// Run the public Autobahn suite against the WebSocket transport.
    Autobahn,
    /// Run the commands of README and docs against a fresh node.
    Docs,
    /// Fuzz the parsers that face outside (needs cargo-fuzz on nightly).
    Fuzz {
        /// A target; all, if none is named.
        target: Option<String>,
        /// How long each runs, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Check => check::run(),
        Command::Test { rest } => test::run(&rest),
        Command::Prove { rest } => prove(&rest),
        Command::Bench { rest } => bench(&rest),
        Command::BenchHere { rest } => bench::run(&rest),
        Command::BenchLoad => bench::load(),
        Command::Merges(arguments) => merges::run(&arguments),
        Command::Histories(arguments) => histories::run(&arguments),
        Command::Mutants => mutants(),
        Command::Autobahn => autobahn::run(),
        Command::Docs => docs::run(),
        Command::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the binary and the harnesses as users would have them, and runs the latter.
fn prove(rest: &[String]) -> run::Result {
    setup::for_prove();
    Step::cargo(&[
        "build",
        "--release",
        "-p",
        "syncline",
        "-p",
        "syncline-testkit",
    ])
    .run()?;
    Step::new(run::root().join("target/release/prove"))
        .args(rest)
        .run()
}

/// Builds the binary as users would have it, and the load so that it is not what is measured.
fn bench(rest: &[String]) -> run::Result {
    setup::for_bench();
    if bench::needs_node(rest) {
        Step::cargo(&["build", "--release", "-p", "syncline"]).run()?;
    }
    Step::cargo(&["build", "--release", "-p", "xtask"]).run()?;
    Step::new(run::root().join("target/release/xtask"))
        .args(&["bench-here"])
        .args(rest)
        .run()
}

/// Runs the laws of the merge under each fault; a fault that no law notices is a failure.
fn mutants() -> run::Result {
    let test = [
        "test",
        "-p",
        "syncline-merge",
        "--features",
        "mutants",
        "--test",
        "it",
    ];
    Step::cargo(&test)
        .args(&["merge::mutants", "--", "--nocapture"])
        .run()
}
