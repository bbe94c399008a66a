//! P5 in a simulation: thousands of readers that drop, go back and change their ways.

use std::collections::BTreeMap;

use syncline_engine::TestFaults;

use super::{Plan, Report};
use crate::Fault;
use crate::audit::Violations;
use crate::sim;

/// How many simulated runs there are for a round with a whole node, which takes seconds.
const RUNS_A_NODE: u64 = 500;

/// Runs simulations, and then some rounds with the real binary.
pub async fn run_beside_nodes(plan: Plan) -> Report {
    let mut report = run(plan.clone()).await;
    let nodes = plan.runs / RUNS_A_NODE;
    if nodes > 0 && report.violations.is_empty() {
        let rounds = super::p5::run(Plan {
            runs: nodes,
            ..plan
        });
        let rounds = rounds.await;
        report.fact("rounds with a whole node", rounds.runs);
        report.facts.extend(rounds.facts);
        report.violations = rounds.violations;
    }
    report
}

/// Runs a simulation where no other thread decides what comes first.
async fn on_one_thread<F>(run: impl FnOnce() -> F + Send + 'static) -> sim::Outcome
where
    F: Future<Output = sim::Outcome>,
{
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime
            .expect("a runtime needs no more than a thread")
            .block_on(run())
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.expect("a simulation does not panic")
}

/// Runs one simulation after the other, each from a seed of its own, until one goes wrong.
pub async fn run(plan: Plan) -> Report {
    let mut report = Report::new("p5-sim", &plan);
    let mut found = Violations::default();
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let faults = TestFaults {
        drop_event: plan.fault == Some(Fault::DropEvent),
        live_before_listen: plan.fault == Some(Fault::LiveBeforeListen),
        ack_before_send: plan.fault == Some(Fault::AckBeforeSend),
        ..TestFaults::default()
    };
    let at_once = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    while report.runs < plan.runs && found.is_empty() {
        let runs = report.runs..plan.runs.min(report.runs + at_once);
        let begin = |run| {
            let seed = plan.seed.wrapping_add(run);
            (
                seed,
                tokio::spawn(on_one_thread(move || sim::run(seed, faults))),
            )
        };
        let under_way: Vec<_> = runs.map(begin).collect();
        for (seed, outcome) in under_way {
            let outcome = outcome.await.expect("a simulation does not panic");
            report.runs += 1;
            for (name, count) in outcome.counts {
                *counts.entry(name).or_default() += count;
            }
            for wrong in outcome.wrong {
                found.add(format!("seed {seed}: {wrong}"));
            }
        }
        if report.runs % 500 < at_once {
            plan.say(|| format!("p5-sim: {} runs", report.runs));
        }
    }
    for (name, count) in counts {
        report.fact(name, count);
    }
    report.end(found)
}
