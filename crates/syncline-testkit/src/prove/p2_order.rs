//! P2: many writers, and several readers on different doors that see one gapless order.

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Plan, Report};
use crate::audit::{Auditor, Violations};
use crate::rng::Rng;
use crate::subscriber::{Feed, Follower, Life, Phase, Session};
use crate::workload::{Workload, address};
use crate::{Node, NodeOptions};

/// Lets many writers write while readers of each door come and go; one round is one node.
pub async fn run(plan: Plan) -> Report {
    let mut report = Report::new("p2-order", &plan);
    let mut found = Violations::default();
    let (mut changes, mut read) = (0, 0);
    while let Some(run) = report.next_round(&plan, &found) {
        match round(&plan, run, &mut found).await {
            Ok((one, two)) => {
                changes += one;
                read += two;
            }
            Err(error) => found.add(error),
        }
    }
    report.fact("changes", changes);
    report.fact("read by all readers together", read);
    report.end(found)
}

async fn round(plan: &Plan, run: u64, found: &mut Violations) -> Result<(u64, usize), String> {
    let node = Node::start(NodeOptions::faulty(plan.fault))
        .await
        .map_err(|e| e.to_string())?;
    let access = node.access();
    let rng = Rng::new(plan.seed).fork(run);
    let (phase, told) = watch::channel(Phase::Roam);
    let mut readers = JoinSet::new();
    let shared = address("task/shared-0");
    let feeds = [
        (Feed::Ws, None),
        (Feed::Sse, None),
        (Feed::Poll, None),
        (Feed::Ws, None),
        (Feed::Poll, Some(shared)),
    ];
    for (number, (feed, scope)) in (0u64..).zip(feeds) {
        let follower = Follower::new(feed, scope, access.clone(), rng.fork(number));
        readers.spawn(follower.follow(told.clone()));
    }
    let workload = Workload {
        seed: plan.seed ^ run,
        writers: 16,
        each_max: 60,
        ..Workload::busy(0)
    };
    let ledger = workload.begin(access, run).join().await;
    let mut auditor = Auditor::default();
    auditor.follow(&node.http(), &ledger, found).await;
    auditor.check_ledger(ledger.iter(), found);
    auditor.check_heads(&node.http(), 100, found).await;
    let life = auditor.life();
    let _ = phase.send(Phase::Finish(life.clone()));
    let mut read = 0;
    while let Some(reader) = readers.join_next().await {
        let reader = reader.map_err(|error| error.to_string())?;
        read += check_reader(&reader, std::slice::from_ref(&life), found);
    }
    crate::node::assert_no_panic(&node);
    Ok((auditor.last_seq(), read))
}

/// Checks what a reader got in all its sessions, and that it got to the end of the last life.
/// Returns how many changes it got.
pub fn check_reader(reader: &Follower, lives: &[Life], found: &mut Violations) -> usize {
    let name = format!("{:?} on {:?}", reader.feed, reader.scope);
    for what in reader.found.clone().into_vec() {
        found.add(format!("{name}: {what}"));
    }
    for session in &reader.sessions {
        if let Err(what) = session.check(lives, |context| reader.wants(context)) {
            found.add(format!("{name}: {what}"));
        }
    }
    found.check(reader.has_all(), || {
        let outline = |session: &Session| {
            let ends = (session.got.first().copied(), session.got.last().copied());
            (session.began, ends)
        };
        let newest_first: Vec<_> = reader.sessions.iter().rev().map(outline).take(3).collect();
        format!(
            "{name}: the furthest that it got is {:?}, and the log ends with {:?}; its last \
             sessions, the newest first: {newest_first:?}",
            reader.furthest(),
            reader.end()
        )
    });
    reader
        .sessions
        .iter()
        .map(|session| session.got.len())
        .sum()
}
