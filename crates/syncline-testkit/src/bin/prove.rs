//! Runs harnesses by name: `prove p1 --runs 1000 --seed 7`.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::Parser;
use syncline_testkit::Fault;
use syncline_testkit::prove::{HARNESSES, Harness, Plan};

/// Prove the promises against the real binary.
#[derive(Parser)]
struct Arguments {
    /// Harnesses or promises (`p1-kill`, `p1`); all, if none is named.
    names: Vec<String>,
    /// How many rounds each; a harness has a default of its own.
    #[arg(long)]
    runs: Option<u64>,
    /// Where all choices come from.
    #[arg(long)]
    seed: Option<u64>,
    /// Break a promise on purpose; the verdict must then be BROKEN.
    #[arg(long)]
    fault: Option<String>,
    /// List the harnesses.
    #[arg(long)]
    list: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for harness in HARNESSES {
            println!(
                "{:<12} {} (default {} runs)",
                harness.name, harness.what, harness.runs
            );
        }
        return ExitCode::SUCCESS;
    }
    let fault = match arguments
        .fault
        .as_deref()
        .map(|word| (word, Fault::from_word(word)))
    {
        Some((word, None)) => {
            let known: Vec<_> = Fault::ALL.iter().map(|fault| fault.word()).collect();
            eprintln!(
                "error: unknown fault {word:?}\nhint: one of {}",
                known.join(", ")
            );
            return ExitCode::from(2);
        }
        Some((_, fault)) => fault,
        None => None,
    };
    let chosen: Vec<&Harness> = HARNESSES
        .iter()
        .filter(|h| is_meant(&arguments.names, h))
        .collect();
    if chosen.is_empty() {
        eprintln!(
            "error: no harness is called {}\nhint: --list",
            arguments.names.join(", ")
        );
        return ExitCode::from(2);
    }
    let mut broken = false;
    for harness in chosen {
        let plan = Plan {
            runs: arguments.runs.unwrap_or(harness.runs),
            seed: arguments.seed.unwrap_or_else(random_seed),
            fault,
            talk: true,
        };
        eprintln!("{}: {} runs, seed {}", harness.name, plan.runs, plan.seed);
        let begun = std::time::Instant::now();
        let report = (harness.run)(plan).await;
        print!("{report}");
        println!("  {:<34} {:.1?}", "took", begun.elapsed());
        broken |= !report.violations.is_empty();
    }
    ExitCode::from(u8::from(broken))
}

/// A promise stands for all its harnesses, unless one of them is called like it.
fn is_meant(names: &[String], harness: &Harness) -> bool {
    let promise = harness.name.split('-').next();
    let is_harness = |name: &str| HARNESSES.iter().any(|known| known.name == name);
    let means = |name: &String| {
        name == harness.name || (Some(name.as_str()) == promise && !is_harness(name))
    };
    names.is_empty() || names.iter().any(means)
}

fn random_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |since| since.as_secs() % 1_000_000_000)
}
