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
    for run in 0..plan.runs {
        report.runs = run + 1;
        let seed = plan.seed.wrapping_add(run);
        let outcome = sim::run(seed, faults).await;
        for (name, count) in outcome.counts {
            *counts.entry(name).or_default() += count;
        }
        for wrong in outcome.wrong {
            found.add(format!("seed {seed}: {wrong}"));
        }
        if !found.is_empty() {
            break;
        }
        if report.runs.is_multiple_of(500) {
            plan.say(|| format!("p5-sim: {} runs", run + 1));
        }
    }
    for (name, count) in counts {
        report.fact(name, count);
    }
    report.end(found)
}
