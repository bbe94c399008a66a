//! A node that is hurt again and again, and checked after each blow.

use std::time::Duration;

use syncline_model::ids::ChangeId;

use super::{Plan, Report};
use crate::audit::{Auditor, Violations};
use crate::ledger::{Heard, Ledger, Sent};
use crate::rng::Rng;
use crate::workload::{Burst, Workload};
use crate::{Node, NodeOptions};

/// What old proposals are sent again after each blow.
const OLD_SAMPLE: usize = 12;
/// Bounds what is sent again at the end.
const RESENDS_MAX: usize = 3_000;

/// A node that is hurt again and again, and all that is known of it.
pub struct Siege {
    /// The node.
    pub node: Node,
    /// Where choices come from.
    pub rng: Rng,
    /// What was sent, in all runs.
    pub ledger: Ledger,
    /// What the log said so far.
    pub auditor: Auditor,
    workload: Workload,
    restarts: Vec<Duration>,
    resent: usize,
    unheard: usize,
}

impl Siege {
    /// Starts the node.
    pub async fn begin(plan: &Plan, options: NodeOptions) -> Result<Siege, String> {
        let node = Node::start(options)
            .await
            .map_err(|error| error.to_string())?;
        Ok(Siege {
            node,
            rng: Rng::new(plan.seed),
            ledger: Ledger::default(),
            auditor: Auditor::default(),
            workload: Workload::busy(plan.seed),
            restarts: Vec::new(),
            resent: 0,
            unheard: 0,
        })
    }

    /// Lets writers loose for a random while, and returns them still at work.
    pub async fn burst(&mut self, run: u64) -> Burst {
        let burst = self.workload.begin(self.node.access(), run);
        let length = Duration::from_micros(self.rng.between(20_000, 140_000));
        tokio::time::sleep(length).await;
        burst
    }

    /// Takes what the writers have noted.
    pub async fn take(&mut self, burst: Burst) {
        self.ledger.merge(burst.finish().await);
    }

    /// Kills a node that is about to start: recovery must survive that too.
    pub async fn kill_at_start(&mut self) {
        let soon = Duration::from_micros(self.rng.between(0, 60_000));
        let _ = tokio::time::timeout(soon, self.node.restart()).await;
        self.node.kill().await;
    }

    /// Starts the node again, and checks what the last burst has changed.
    pub async fn restart_and_check(&mut self, run: u64, found: &mut Violations) {
        let begun = std::time::Instant::now();
        if let Err(error) = self.node.restart().await {
            return found.add(format!("run {run}: {error}"));
        }
        self.restarts.push(begun.elapsed());
        let client = self.node.http();
        self.auditor.follow(&client, &self.ledger, found).await;
        self.auditor.check_ledger(self.ledger.of_run(run), found);
        if !found.is_empty() {
            return;
        }
        let unsure = |sent: &Sent| {
            matches!(sent.heard, Heard::Nothing | Heard::Unknown(_)) && sent.bulk.is_none()
        };
        let mut ids: Vec<ChangeId> = self
            .ledger
            .of_run(run)
            .filter(|(_, sent)| unsure(sent))
            .map(|(id, _)| *id)
            .collect();
        self.unheard += ids.len();
        let settled: Vec<ChangeId> = self
            .ledger
            .iter()
            .filter(|(_, sent)| matches!(sent.heard, Heard::Receipt(_) | Heard::Refused(_)))
            .map(|(id, _)| *id)
            .collect();
        for _ in 0..OLD_SAMPLE.min(settled.len()) {
            ids.push(*self.rng.choose(&settled));
        }
        self.resent += ids.len();
        let access = self.node.access().clone();
        self.auditor
            .resend(&access, &ids, &mut self.ledger, found)
            .await;
        self.auditor.follow(&client, &self.ledger, found).await;
    }

    /// Reads everything again from the beginning, and sends everything again.
    pub async fn check_all(&mut self, found: &mut Violations) {
        let client = self.node.http();
        let mut fresh = Auditor::default();
        fresh.follow(&client, &self.ledger, found).await;
        fresh.check_ledger(self.ledger.iter(), found);
        fresh.check_heads(&client, 200, found).await;
        found.check(fresh.order() == self.auditor.order(), || {
            "the log reads differently from the beginning than it did while it grew".to_owned()
        });
        let settled = |sent: &Sent| matches!(sent.heard, Heard::Receipt(_) | Heard::Refused(_));
        let ids: Vec<ChangeId> = self
            .ledger
            .iter()
            .filter(|(_, sent)| settled(sent))
            .map(|(id, _)| *id)
            .collect();
        let step = (ids.len() / RESENDS_MAX).max(1);
        let ids: Vec<ChangeId> = ids.into_iter().step_by(step).collect();
        self.resent += ids.len();
        let access = self.node.access().clone();
        fresh.resend(&access, &ids, &mut self.ledger, found).await;
        let end = fresh.last_seq();
        fresh.follow(&client, &self.ledger, found).await;
        found.check(fresh.last_seq() == end, || {
            format!(
                "resends took effect again: the log grew from {end} to {}",
                fresh.last_seq()
            )
        });
    }

    /// Writes down what was counted.
    pub fn facts(&self, report: &mut Report) {
        report.fact("proposals sent", self.ledger.len());
        report.fact("acknowledged with a place", self.ledger.acknowledged());
        report.fact("unheard, settled by a resend", self.unheard);
        report.fact("resent, answered the same", self.resent - self.unheard);
        report.fact("length of the log", self.auditor.last_seq());
        let mut restarts = self.restarts.clone();
        restarts.sort_unstable();
        if let (Some(median), Some(longest)) = (restarts.get(restarts.len() / 2), restarts.last()) {
            report.fact("restart to ready, median", format!("{median:.1?}"));
            report.fact("restart to ready, longest", format!("{longest:.1?}"));
        }
    }
}
