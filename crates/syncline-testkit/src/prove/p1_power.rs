//! P1 under power cuts: SIGKILL alone keeps the page cache, and so cannot show a missing sync.

use super::siege::Siege;
use super::{Plan, Report};
use crate::NodeOptions;
use crate::audit::Violations;
use crate::disk::{self, Disk};

/// Cuts the power `runs` times at random points of a busy burst.
pub async fn run(plan: Plan) -> Report {
    let mut report = Report::new("p1-power", &plan);
    if let Some(why) = disk::why_not() {
        return report.excuse(why);
    }
    let disk = match Disk::looped(512) {
        Ok(disk) => disk,
        Err(why) => return report.skip(why),
    };
    let mut found = Violations::default();
    let options = NodeOptions {
        dir: Some(disk.path().join("data")),
        ..NodeOptions::faulty(plan.fault)
    };
    let mut siege = match Siege::begin(&plan, options).await {
        Ok(siege) => siege,
        Err(error) => {
            found.add(error);
            return report.end(found);
        }
    };
    while let Some(run) = report.next_round(&plan, &found) {
        if let Err(error) = cut(&disk, &mut siege, run).await {
            return report.skip(error);
        }
        siege.restart_and_check(run, &mut found).await;
        if run % 25 == 0 {
            plan.say(|| {
                format!(
                    "p1-power: {run} cuts, {} acknowledged",
                    siege.ledger.acknowledged()
                )
            });
        }
    }
    if found.is_empty() {
        siege.check_all(&mut found).await;
    }
    siege.facts(&mut report);
    siege.node.kill().await;
    report.end(found)
}

async fn cut(disk: &Disk, siege: &mut Siege, run: u64) -> Result<(), String> {
    let burst = siege.burst(run).await;
    // A node that still runs while the disk dies would answer for what never got there: the judge
    // would be wrong, not the node.
    siege
        .node
        .freeze()
        .await
        .map_err(|error| error.to_string())?;
    disk.cut_power()?;
    siege.node.kill().await;
    siege.take(burst).await;
    disk.power_on()
}
