//! P5: subscribers that drop and resume at random, while the node is killed and restored.

use std::path::Path;
use std::time::Duration;

use syncline_client::fresh_id;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::p2_order::check_reader;
use super::{Plan, Report};
use crate::audit::{Auditor, Violations};
use crate::ledger::{Heard, Ledger, Sent};
use crate::proxy::Proxy;
use crate::rng::Rng;
use crate::subscriber::{Feed, Follower, Life, Phase};
use crate::workload::{Sender, Workload, address, homes, merge, object};
use crate::{Access, Door, Node, NodeOptions};

/// Kills within one round, beside the restoration.
const KILLS: u64 = 4;

/// One round: writers in bursts, followers through all feeds, cuts, kills, and one backup that is
/// put back. At the end each session is held against the log.
pub async fn run(plan: Plan) -> Report {
    let mut report = Report::new("p5", &plan);
    let mut found = Violations::default();
    let mut totals = Totals::default();
    while let Some(run) = report.next_round(&plan, &found) {
        let outcome = round(&plan, run, &mut totals, &mut found).await;
        found.note(outcome);
        plan.say(|| format!("p5: {run} rounds, {} changes got", totals.got));
    }
    report.fact("changes written", totals.written);
    report.fact("sessions", totals.sessions);
    report.fact("changes got", totals.got);
    report.fact("resets told", totals.resets);
    report.fact("kills", totals.kills);
    report.fact("backups put back", totals.restored);
    report.end(found)
}

#[derive(Default)]
struct Totals {
    written: u64,
    sessions: usize,
    got: usize,
    resets: u64,
    kills: u64,
    restored: u64,
}

async fn round(
    plan: &Plan,
    run: u64,
    totals: &mut Totals,
    found: &mut Violations,
) -> Result<(), String> {
    let mut rng = Rng::new(plan.seed).fork(run);
    let proxy = Proxy::start().await.map_err(|error| error.to_string())?;
    // The proxy's name is foreign to the node, unless it is told.
    let env = vec![(
        "SYNCLINE_ALLOWED_HOSTS".to_owned(),
        proxy.authority().into(),
    )];
    let options = NodeOptions {
        env,
        ..NodeOptions::faulty(plan.fault)
    };
    let mut node = Node::start(options)
        .await
        .map_err(|error| error.to_string())?;
    proxy.lead_to(node.access().authority());
    let through_proxy = Access {
        url: format!("http://{}", proxy.authority()),
        ..node.access().clone()
    };
    let (phase, told) = watch::channel(Phase::Roam);
    let mut readers = JoinSet::new();
    let feeds = [
        Feed::Ws,
        Feed::Sse,
        Feed::Poll,
        Feed::Ws,
        Feed::Ws,
        Feed::Sse,
        Feed::Poll,
    ];
    for (number, feed) in (0u64..).zip(feeds) {
        let scope = (number >= 5).then(|| address("task/shared-0"));
        let access = if number % 2 == 0 {
            node.access()
        } else {
            &through_proxy
        };
        let mut follower = Follower::new(feed, scope, access.clone(), rng.fork(number));
        follower.roams = number >= 3;
        follower.kind = (number == 4).then_some("task");
        readers.spawn(follower.follow(told.clone()));
    }
    let workload = Workload {
        seed: plan.seed,
        large: false,
        moves: true,
        ..Workload::busy(plan.seed)
    };
    let mut story = Story {
        ledger: Ledger::default(),
        bursts: run * 100,
        lives: Vec::new(),
    };
    story.make_homes(&node).await?;
    story.kills(&mut node, &proxy, workload, &mut rng).await?;
    let backup = tempfile::tempdir().map_err(|error| error.to_string())?;
    node.stop().await;
    copy(node.dir(), backup.path()).map_err(|error| format!("the backup: {error}"))?;
    node.restart().await.map_err(|error| error.to_string())?;
    story.kills(&mut node, &proxy, workload, &mut rng).await?;
    story.end_life(&node, found).await;
    node.kill().await;
    std::fs::remove_dir_all(node.dir()).map_err(|error| error.to_string())?;
    copy(backup.path(), node.dir()).map_err(|error| format!("putting back: {error}"))?;
    node.restart().await.map_err(|error| error.to_string())?;
    // Some resume before anything new is written, others after the log has grown again.
    tokio::time::sleep(Duration::from_millis(rng.between(0, 150))).await;
    story.kills(&mut node, &proxy, workload, &mut rng).await?;
    story.end_life(&node, found).await;
    let log = story.lives.last().cloned().unwrap_or_default();
    let _ = phase.send(Phase::Finish(log));
    while let Some(reader) = readers.join_next().await {
        let reader = reader.map_err(|error| error.to_string())?;
        totals.got += check_reader(&reader, &story.lives, found);
        totals.sessions += reader.sessions.len();
        totals.resets += reader.resets;
    }
    totals.written += story
        .lives
        .iter()
        .map(|life| life.len() as u64)
        .sum::<u64>();
    totals.kills += 3 * KILLS;
    totals.restored += 1;
    crate::node::assert_no_panic(&node);
    Ok(())
}

struct Story {
    ledger: Ledger,
    bursts: u64,
    lives: Vec<Life>,
}

impl Story {
    /// Makes what contexts will be moved between.
    async fn make_homes(&mut self, node: &Node) -> Result<(), String> {
        let door = Door::Http;
        let sender = Sender::open(node.access(), door)
            .await
            .map_err(|problem| problem.to_string())?;
        for home in homes() {
            let body = object([("title", "a home".into())]);
            let proposal = merge(fresh_id(), &home, body);
            let heard = sender.send(&proposal).await;
            if !matches!(heard, Heard::Receipt(_)) {
                return Err(format!("{home} was not made: {heard:?}"));
            }
            let (bulk, run) = (None, 0);
            self.ledger.add(Sent {
                proposal,
                door,
                bulk,
                heard,
                run,
            });
        }
        Ok(())
    }

    /// Writes in bursts, each of which ends with a kill or a cut.
    async fn kills(
        &mut self,
        node: &mut Node,
        proxy: &Proxy,
        workload: Workload,
        rng: &mut Rng,
    ) -> Result<(), String> {
        for _ in 0..KILLS {
            self.bursts += 1;
            let burst = workload.begin(node.access(), self.bursts);
            tokio::time::sleep(Duration::from_millis(rng.between(20, 120))).await;
            proxy.cut();
            tokio::time::sleep(Duration::from_millis(rng.between(20, 120))).await;
            node.kill().await;
            self.ledger.merge(burst.finish().await);
            node.restart().await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Reads the whole log as it is now.
    async fn end_life(&mut self, node: &Node, found: &mut Violations) {
        let mut auditor = Auditor::default();
        auditor.follow(&node.http(), &self.ledger, found).await;
        self.lives.push(auditor.life());
    }
}

/// Copies a folder with all that is in it; sockets are left out, as `cp -r` of a backup would.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
