//! P1 and P3 under SIGKILL: one data directory, killed again and again under load.

use super::siege::Siege;
use super::{Plan, Report};
use crate::NodeOptions;
use crate::audit::Violations;

/// Kills the node `runs` times at random points of a busy burst.
pub async fn run(plan: Plan) -> Report {
    let mut report = Report::new("p1-kill", &plan);
    let mut found = Violations::default();
    let mut siege = match Siege::begin(&plan, NodeOptions::faulty(plan.fault)).await {
        Ok(siege) => siege,
        Err(error) => {
            found.add(error);
            return report.end(found);
        }
    };
    while let Some(run) = report.next_round(&plan, &found) {
        let burst = siege.burst(run).await;
        siege.node.kill().await;
        siege.take(burst).await;
        if siege.rng.chance(10) {
            siege.kill_at_start().await;
        }
        siege.restart_and_check(run, &mut found).await;
        if run % 50 == 0 {
            plan.say(|| {
                format!(
                    "p1-kill: {run} kills, {} acknowledged",
                    siege.ledger.acknowledged()
                )
            });
        }
    }
    if found.is_empty() {
        siege.check_all(&mut found).await;
    }
    siege.facts(&mut report);
    report.end(found)
}
