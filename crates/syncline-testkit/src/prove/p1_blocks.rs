//! P1 on a disk that refuses blocks: the filesystem lies behind a loop device whose backing is
//! too small for it. A failed sync then drops what was dirty, which an injected error does not: a
//! row that was refused can be there after reopening, and be gone once the cache is.

use std::time::{Duration, Instant};

use syncline_client::fresh_id;
use syncline_model::json::Json;

use super::{Plan, Report};
use crate::audit::{Auditor, Violations};
use crate::disk::{self, Disk};
use crate::ledger::{Heard, Ledger, Sent};
use crate::rng::Rng;
use crate::workload::{Sender, address, merge, object};
use crate::{Access, Door, Node, NodeOptions};

/// Writers, each on a context of its own.
const WRITERS: u64 = 4;
/// How long writers go on once the disk has begun to refuse.
const AFTER_THE_FIRST: Duration = Duration::from_millis(700);
/// Bounds one round.
const ROUND_MAX: Duration = Duration::from_secs(30);

/// Fills such a disk until it refuses, `runs` times, each with another size.
pub async fn run(plan: Plan) -> Report {
    let mut report = Report::new("p1-blocks", &plan);
    if let Some(why) = disk::why_not() {
        return report.excuse(why);
    }
    let mut found = Violations::default();
    let mut rng = Rng::new(plan.seed);
    let mut tally = Tally::default();
    while report.next_round(&plan, &found).is_some() {
        let outcome = round(&plan, &mut rng, &mut tally, &mut found).await;
        found.note(outcome);
    }
    report.fact("acknowledged", tally.acknowledged);
    report.fact("refused or undecided", tally.refused);
    report.fact("unknown", tally.unknown);
    report.fact("of these there after all", tally.there_after_all);
    report.end(found)
}

#[derive(Default)]
struct Tally {
    acknowledged: usize,
    refused: usize,
    unknown: usize,
    there_after_all: usize,
}

async fn round(
    plan: &Plan,
    rng: &mut Rng,
    tally: &mut Tally,
    found: &mut Violations,
) -> Result<(), String> {
    let disk = Disk::starved(96, rng.between(8_000, 16_000))?;
    let dir = Some(disk.path().join("data"));
    let options = NodeOptions {
        dir,
        ..NodeOptions::faulty(plan.fault)
    };
    let mut node = Node::start(options)
        .await
        .map_err(|error| error.to_string())?;
    let writers = (0..WRITERS).map(|number| write(node.access().clone(), number, rng.fork(number)));
    let mut ledger = Ledger::default();
    for written in futures_util::future::join_all(writers).await {
        ledger.merge(written);
    }
    node.kill().await;
    disk.feed(400_000)?;
    disk.power_on()?;
    node.restart().await.map_err(|error| error.to_string())?;
    let client = node.http();
    let mut auditor = Auditor::default();
    auditor.follow(&client, &ledger, found).await;
    auditor.check_ledger(ledger.iter(), found);
    auditor.check_heads(&client, 100, found).await;
    let open: Vec<_> = ledger
        .iter()
        .filter(|(_, sent)| matches!(sent.heard, Heard::Unknown(_) | Heard::Nothing))
        .map(|(id, _)| *id)
        .collect();
    tally.acknowledged += ledger.acknowledged();
    tally.unknown += open.len();
    tally.there_after_all += open.iter().filter(|id| auditor.place(id).is_some()).count();
    tally.refused += ledger.len() - ledger.acknowledged() - open.len();
    auditor
        .resend(&node.access().clone(), &open, &mut ledger, found)
        .await;
    auditor.follow(&client, &ledger, found).await;
    auditor.check_ledger(ledger.iter(), found);
    crate::node::assert_no_panic(&node);
    node.kill().await;
    Ok(())
}

async fn write(access: Access, number: u64, mut rng: Rng) -> Ledger {
    let mut ledger = Ledger::default();
    let door = if number.is_multiple_of(2) {
        Door::Http
    } else {
        Door::HttpSocket
    };
    let Ok(sender) = Sender::open(&access, door).await else {
        return ledger;
    };
    let context = address(&format!("note/blocks-{number}"));
    let begun = Instant::now();
    let mut first: Option<Instant> = None;
    while begun.elapsed() < ROUND_MAX && first.is_none_or(|at| at.elapsed() < AFTER_THE_FIRST) {
        let text = Json::from(rng.letters(30_000));
        let proposal = merge(
            fresh_id(),
            &context,
            object([("data", object([("text", text)]))]),
        );
        let heard = sender.send(&proposal).await;
        if !matches!(heard, Heard::Receipt(_)) {
            first.get_or_insert_with(Instant::now);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ledger.add(Sent {
            proposal,
            door,
            bulk: None,
            heard,
            run: 0,
        });
    }
    ledger
}
