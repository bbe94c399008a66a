//! P3: resends before, during and after a crash, through other doors, with other content, after a
//! refusal.

use std::time::Duration;

use futures_util::future::join_all;
use syncline_api::{Code, ReceiptView};
use syncline_client::fresh_id;
use syncline_model::change::Outcome;
use syncline_model::ids::ChangeId;
use syncline_model::json::Json;
use syncline_model::proposal::{Operation, Precondition, Proposal};

use super::{Plan, Report};
use crate::audit::{Auditor, Violations, same};
use crate::ledger::{Heard, Ledger, Sent};
use crate::rng::Rng;
use crate::workload::{Sender, address, merge, object, proposal};
use crate::{Access, Door, Node, NodeOptions};

/// One node; each run is one case of each sort, and every few runs there is a crash.
pub async fn run(plan: Plan) -> Report {
    let mut report = Report::new("p3", &plan);
    let mut found = Violations::default();
    match begin(&plan).await {
        Err(error) => found.add(error),
        Ok(mut case) => {
            while let Some(run) = report.next_round(&plan, &found) {
                case.round(run, &mut found).await;
            }
            if found.is_empty() {
                case.finish(&mut found).await;
            }
            crate::node::assert_no_panic(&case.node);
            report.fact("proposals", case.ledger.len());
            report.fact("resends", case.resends);
            report.fact("crashes", case.crashes);
            report.fact("in flight at a crash, settled", case.settled);
        }
    }
    report.end(found)
}

async fn begin(plan: &Plan) -> Result<Case, String> {
    let node = Node::start(NodeOptions::faulty(plan.fault))
        .await
        .map_err(|e| e.to_string())?;
    let doors = open(node.access()).await?;
    let rng = Rng::new(plan.seed);
    let ledger = Ledger::default();
    Ok(Case {
        node,
        doors,
        rng,
        ledger,
        remembered: Vec::new(),
        resends: 0,
        crashes: 0,
        settled: 0,
    })
}

async fn open(access: &Access) -> Result<Vec<Sender>, String> {
    let opened = join_all(Door::ALL.map(|door| Sender::open(access, door))).await;
    opened
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|problem| problem.to_string())
}

struct Case {
    node: Node,
    doors: Vec<Sender>,
    rng: Rng,
    ledger: Ledger,
    /// What must be heard again, for ever.
    remembered: Vec<ChangeId>,
    resends: usize,
    crashes: usize,
    settled: usize,
}

impl Case {
    async fn round(&mut self, run: u64, found: &mut Violations) {
        let context = address(&format!("task/p3-{}", run % 7));
        let id = fresh_id();
        let body = object([(
            "data",
            object([("n", run.into()), ("id", id.to_string().into())]),
        )]);
        self.once(merge(id, &context, body), run, found).await;
        self.other_content(run, found).await;
        self.refusal(run, found).await;
        self.unchanged(run, found).await;
        self.at_once(run, found).await;
        self.undecided(run, found).await;
        self.old_ones(found).await;
        if run.is_multiple_of(4) {
            self.crash(run, found).await;
        }
    }

    fn door(&mut self) -> usize {
        usize::try_from(self.rng.below(self.doors.len() as u64)).expect("few doors")
    }

    /// Sends a proposal, notes what was heard, and remembers it.
    async fn first(&mut self, proposal: &Proposal, run: u64) -> Heard {
        let door = self.door();
        let heard = self.doors[door].send(proposal).await;
        self.note(proposal.clone(), door, heard.clone(), run);
        heard
    }

    fn note(&mut self, proposal: Proposal, door: usize, heard: Heard, run: u64) {
        if matches!(heard, Heard::Receipt(_) | Heard::Refused(_)) {
            self.remembered.push(proposal.id);
        }
        let door = self.doors[door].door();
        self.ledger.add(Sent {
            proposal,
            door,
            bulk: None,
            heard,
            run,
        });
    }

    /// Sent twice through two doors, a proposal hears the same.
    async fn once(&mut self, proposal: Proposal, run: u64, found: &mut Violations) {
        match self.first(&proposal, run).await {
            Heard::Receipt(receipt) => self.hears(&proposal, &receipt, found).await,
            heard => found.add(format!("a plain write heard {heard:?}")),
        }
    }

    async fn hears(&mut self, proposal: &Proposal, first: &ReceiptView, found: &mut Violations) {
        let door = self.door();
        let name = self.doors[door].door();
        self.resends += 1;
        match self.doors[door].send(proposal).await {
            Heard::Receipt(again) => found.check(same(first, &again), || {
                format!(
                    "{} heard {first:?}, and through {name:?} {again:?}",
                    proposal.id
                )
            }),
            heard => found.add(format!(
                "{} heard {heard:?} when sent again through {name:?}",
                proposal.id
            )),
        }
    }

    /// An id that stands for one content is refused with another, and the first is untouched.
    async fn other_content(&mut self, run: u64, found: &mut Violations) {
        let id = fresh_id();
        let context = address("task/p3-other");
        let one = merge(
            id,
            &context,
            object([("data", object([("n", run.into())]))]),
        );
        self.once(one.clone(), run, found).await;
        let elsewhere = address("task/p3-elsewhere");
        let others = [
            merge(
                id,
                &context,
                object([("data", object([("n", (run + 1).into())]))]),
            ),
            merge(id, &elsewhere, one.body.clone()),
            Proposal {
                precondition: Precondition::MatchAny,
                ..proposal(id, &context, Operation::Replace, one.body.clone())
            },
        ];
        for other in others {
            let door = self.door();
            self.resends += 1;
            let heard = self.doors[door].send(&other).await;
            let refused = matches!(&heard, Heard::Undecided(p) if p.code == Code::ChangeIdReused);
            found.check(refused, || {
                format!("{id} with other content heard {heard:?}")
            });
        }
        let first = self.ledger.get(&id).map(|sent| sent.heard.clone());
        if let Some(Heard::Receipt(first)) = first {
            self.hears(&one, &first, found).await;
        }
    }

    /// A refusal is final for its id, even when what it missed has come.
    async fn refusal(&mut self, run: u64, found: &mut Violations) {
        let late = address(&format!("task/p3-late-{run}"));
        let id = fresh_id();
        let operation = object([
            ("op", "add".into()),
            ("path", "/data/n".into()),
            ("value", 1.into()),
        ]);
        let early = proposal(id, &late, Operation::Patch, vec![operation].into());
        let heard = self.first(&early, run).await;
        let not_found =
            |heard: &Heard| matches!(heard, Heard::Refused(p) if p.code == Code::NotFound);
        found.check(not_found(&heard), || {
            format!("a patch on nothing heard {heard:?}")
        });
        let body = object([("data", object([("n", 0.into())]))]);
        self.once(merge(fresh_id(), &late, body), run, found).await;
        for _ in 0..2 {
            let door = self.door();
            self.resends += 1;
            let heard = self.doors[door].send(&early).await;
            found.check(not_found(&heard), || {
                format!("a refused patch, sent again, heard {heard:?}")
            });
        }
    }

    /// A write that changes nothing is remembered as such, even when it would change something now.
    async fn unchanged(&mut self, run: u64, found: &mut Violations) {
        let context = address("task/p3-same");
        let value = |n: u64| object([("data", object([("same", n.into())]))]);
        self.once(merge(fresh_id(), &context, value(run)), run, found)
            .await;
        let idle = merge(fresh_id(), &context, value(run));
        let heard = self.first(&idle, run).await;
        let Heard::Receipt(receipt) = &heard else {
            return found.add(format!("a write that changes nothing heard {heard:?}"));
        };
        found.check(
            receipt.outcome == Outcome::Unchanged && receipt.seq.is_none(),
            || format!("a write that changes nothing heard {receipt:?}"),
        );
        self.once(
            merge(fresh_id(), &context, value(run + 1_000_000)),
            run,
            found,
        )
        .await;
        self.hears(&idle, receipt, found).await;
    }

    /// Sent through all doors at the same time, a proposal takes effect once.
    async fn at_once(&mut self, run: u64, found: &mut Violations) {
        let id = fresh_id();
        let body = object([("data", object([("at_once", id.to_string().into())]))]);
        let one = merge(id, &address("task/p3-at-once"), body);
        self.resends += self.doors.len();
        let all = join_all(self.doors.iter().map(|door| door.send(&one))).await;
        let receipts: Vec<_> = all
            .iter()
            .filter_map(|heard| match heard {
                Heard::Receipt(receipt) => Some(receipt),
                _ => None,
            })
            .collect();
        let equal = receipts.windows(2).all(|two| same(two[0], two[1]));
        found.check(receipts.len() == all.len() && equal, || {
            format!("sent at once, heard {all:?}")
        });
        self.note(one, 0, all[0].clone(), run);
    }

    /// What was not decided leaves no trace: the same id is good afterwards.
    async fn undecided(&mut self, run: u64, found: &mut Violations) {
        let id = fresh_id();
        let body = object([("data", object([("key", id.to_string().into())]))]);
        let one = merge(id, &address("task/p3-undecided"), body);
        let mut stranger = self.node.access().clone();
        stranger.key = "0".repeat(43);
        if let Ok(sender) = Sender::open(&stranger, Door::Http).await {
            let heard = sender.send(&one).await;
            let refused = matches!(&heard, Heard::Undecided(p) if p.code == Code::Unauthorized);
            found.check(refused, || format!("without a good key, heard {heard:?}"));
        }
        self.once(one, run, found).await;
    }

    async fn old_ones(&mut self, found: &mut Violations) {
        for _ in 0..3 {
            let id = *self.rng.choose(&self.remembered);
            let Some(sent) = self.ledger.get(&id).cloned() else {
                continue;
            };
            let door = self.door();
            self.resends += 1;
            let again = self.doors[door].send(&sent.proposal).await;
            let agrees = match (&sent.heard, &again) {
                (Heard::Receipt(first), Heard::Receipt(again)) => same(first, again),
                (Heard::Refused(first), Heard::Refused(again)) => first.code == again.code,
                _ => false,
            };
            found.check(agrees, || {
                format!("{id} heard {:?}, and later {again:?}", sent.heard)
            });
        }
    }

    /// Kills the node with proposals in flight; each is settled by its resend.
    async fn crash(&mut self, run: u64, found: &mut Violations) {
        self.crashes += 1;
        let context = address("task/p3-crash");
        let ids: Vec<ChangeId> = (0..20).map(|_| fresh_id()).collect();
        let body = |id: &ChangeId| object([("data", object([("id", Json::from(id.to_string()))]))]);
        let flight: Vec<Proposal> = ids
            .iter()
            .map(|id| merge(*id, &context, body(id)))
            .collect();
        let doors = std::mem::take(&mut self.doors);
        let sending = flight
            .iter()
            .zip(doors.iter().cycle())
            .map(|(one, door)| async move {
                let heard = tokio::time::timeout(Duration::from_millis(400), door.send(one)).await;
                (door.door(), heard)
            });
        let delay = Duration::from_micros(self.rng.between(0, 6_000));
        let kill = async {
            tokio::time::sleep(delay).await;
            self.node.kill().await;
        };
        let (answers, ()) = tokio::join!(join_all(sending), kill);
        for (one, (door, heard)) in flight.iter().zip(answers) {
            let heard = heard.unwrap_or(Heard::Nothing);
            self.ledger.add(Sent {
                proposal: one.clone(),
                door,
                bulk: None,
                heard,
                run,
            });
        }
        drop(doors);
        if let Err(error) = self.node.restart().await {
            return found.add(error.to_string());
        }
        match open(self.node.access()).await {
            Ok(doors) => self.doors = doors,
            Err(error) => return found.add(error),
        }
        let mut auditor = Auditor::default();
        auditor.follow(&self.node.http(), &self.ledger, found).await;
        auditor.check_ledger(self.ledger.of_run(run), found);
        let access = self.node.access().clone();
        self.resends += ids.len();
        self.settled += ids.len();
        auditor.resend(&access, &ids, &mut self.ledger, found).await;
        self.remembered.extend(ids);
        self.old_ones(found).await;
    }

    /// Everything is in the log once, and everything is still remembered.
    async fn finish(&mut self, found: &mut Violations) {
        let mut auditor = Auditor::default();
        auditor.follow(&self.node.http(), &self.ledger, found).await;
        auditor.check_ledger(self.ledger.iter(), found);
        let end = auditor.last_seq();
        let access = self.node.access().clone();
        let ids = self.remembered.clone();
        self.resends += ids.len();
        auditor.resend(&access, &ids, &mut self.ledger, found).await;
        auditor.follow(&self.node.http(), &self.ledger, found).await;
        found.check(auditor.last_seq() == end, || {
            format!(
                "resends took effect: the log grew from {end} to {}",
                auditor.last_seq()
            )
        });
        auditor.check_heads(&self.node.http(), 100, found).await;
    }
}
