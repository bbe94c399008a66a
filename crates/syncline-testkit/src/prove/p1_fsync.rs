//! P1 under a failing disk: the k-th sync fails, for every k of a fixed script.
//!
//! An error is not "not applied": the bytes may be there after the next start. So nothing may be
//! refused and later be there, what nobody knows is settled by its change id, and no reader may
//! have seen what is gone.

use std::time::Duration;

use futures_util::future::join_all;
use syncline_api::Code;
use syncline_client::{When, fresh_id};
use syncline_model::ids::{Address, Version, WorkspaceId};
use syncline_model::json::Json;
use syncline_model::proposal::{Operation, Precondition, Proposal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Plan, Report};
use crate::audit::{Auditor, Violations};
use crate::disk::{self, Disk};
use crate::ledger::{Heard, Ledger, Sent};
use crate::rng::Rng;
use crate::shim::{Shim, Syncs};
use crate::subscriber::{Feed, Follower, Phase};
use crate::workload::{Sender, address, merge, object, proposal};
use crate::{Access, Door, Node, NodeOptions};

/// How long a node may take to be writable again.
const RECOVERY_MAX: Duration = Duration::from_secs(15);

/// What happens at the k-th sync, and after the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// It fails once; the node goes on, and is killed at the end.
    OnceThenKill,
    /// It fails once; the power is cut at the end, so that nothing lives in the cache alone.
    OnceThenPower,
    /// It fails, and so do all after it; the node is killed.
    ForEver,
}

/// Sweeps over the syncs of the script; `runs` bounds how many cases.
pub async fn run(plan: Plan) -> Report {
    let mut report = Report::new("p1-fsync", &plan);
    let shim = match Shim::new() {
        Ok(shim) => shim,
        Err(why) => return report.skip(why),
    };
    let mut found = Violations::default();
    let total = match count(&plan, &shim).await {
        Ok(total) => total,
        Err(error) => {
            found.add(error);
            return report.end(found);
        }
    };
    report.fact("syncs in the script", total);
    let mut modes = vec![Mode::OnceThenKill, Mode::ForEver];
    if disk::why_not().is_none() {
        modes.push(Mode::OnceThenPower);
    }
    let cases = total * modes.len() as u64;
    let step = cases.div_ceil(plan.runs.max(1)).max(1);
    // One case again, as a violation named it.
    let only = std::env::var("SYNCLINE_TEST_CASE").ok();
    let mut tally = Tally::default();
    for index in (0..cases).step_by(usize::try_from(step).expect("a small step")) {
        let mode = modes[usize::try_from(index % modes.len() as u64).expect("few modes")];
        let at = index / modes.len() as u64 + 1;
        if only
            .as_ref()
            .is_some_and(|only| *only != format!("{mode:?}:{at}"))
        {
            continue;
        }
        if let Err(error) = case(&plan, &shim, mode, at, &mut tally, &mut found).await {
            found.add(error);
        }
        report.runs += 1;
        if !found.is_empty() {
            found.add(format!(
                "that was SYNCLINE_TEST_CASE={mode:?}:{at}, of {total} syncs"
            ));
            break;
        }
        if report.runs.is_multiple_of(50) {
            plan.say(|| format!("p1-fsync: {} of {} cases", report.runs, cases / step));
        }
    }
    report.fact("did not start (and said so)", tally.not_started);
    report.fact("acknowledged", tally.acknowledged);
    report.fact("refused or undecided", tally.refused);
    report.fact("unknown, settled by their ids", tally.unknown);
    report.fact("of these there after all", tally.there_after_all);
    report.fact("recovered without a restart", tally.recovered);
    report.end(found)
}

#[derive(Clone, Debug, Default)]
struct Tally {
    not_started: u64,
    acknowledged: usize,
    refused: usize,
    unknown: usize,
    there_after_all: usize,
    recovered: u64,
}

async fn count(plan: &Plan, shim: &Shim) -> Result<u64, String> {
    shim.set(Syncs::Pass);
    shim.reset_count();
    let node = start(plan, shim, None).await?;
    let mut story = Story::begin(&node);
    story.script(&node).await;
    story.end().await;
    let mut node = node;
    node.stop().await;
    Ok(shim.count())
}

async fn start(plan: &Plan, shim: &Shim, disk: Option<&Disk>) -> Result<Node, String> {
    let dir = disk.map(|disk| disk.path().join("data"));
    let options = NodeOptions {
        dir,
        env: shim.env(),
        ..NodeOptions::faulty(plan.fault)
    };
    Node::start(options)
        .await
        .map_err(|error| error.to_string())
}

async fn case(
    plan: &Plan,
    shim: &Shim,
    mode: Mode,
    at: u64,
    tally: &mut Tally,
    found: &mut Violations,
) -> Result<(), String> {
    let disk = match mode {
        Mode::OnceThenPower => Some(Disk::looped(64)?),
        _ => None,
    };
    shim.set(if mode == Mode::ForEver {
        Syncs::FailFrom(at)
    } else {
        Syncs::Fail(at)
    });
    let home = tempfile::tempdir().map_err(|error| error.to_string())?;
    let dir = disk.as_ref().map_or(home.path(), Disk::path).join("data");
    let options = NodeOptions {
        dir: Some(dir),
        env: shim.env(),
        ..NodeOptions::faulty(plan.fault)
    };
    let started = Node::start(options.clone()).await;
    let (mut node, mut story) = match started {
        Ok(node) => {
            let mut story = Story::begin(&node);
            story.script(&node).await;
            if mode != Mode::ForEver {
                story.settle_while_it_runs(&node, found).await;
                tally.recovered += u64::from(story.saw_unknown());
            }
            (Some(node), story)
        }
        // It ended and said why: as good an answer as any.
        Err(error) if error.exit.is_some_and(|code| code != 0) => {
            tally.not_started += 1;
            (None, Story::default())
        }
        Err(error) => return Err(error.to_string()),
    };
    if let (Some(node), Some(disk)) = (&node, &disk) {
        node.freeze().await.map_err(|error| error.to_string())?;
        disk.cut_power()?;
    }
    if let Some(node) = &mut node {
        node.kill().await;
    }
    story.end().await;
    if let (Some(disk), Some(_)) = (&disk, &node) {
        disk.power_on()?;
    }
    shim.set(Syncs::Pass);
    let mut node = match node {
        Some(mut node) => {
            node.restart().await.map_err(|error| error.to_string())?;
            node
        }
        None => Node::start(options)
            .await
            .map_err(|error| error.to_string())?,
    };
    story.check(&node, tally, found).await;
    crate::node::assert_no_panic(&node);
    node.kill().await;
    Ok(())
}

/// Two workspaces that share commits, what was sent to each, and what readers saw.
#[derive(Default)]
struct Story {
    ledgers: [Ledger; 2],
    followers: Vec<(usize, JoinHandle<Follower>)>,
    readers: Vec<(usize, Follower)>,
    phase: Option<watch::Sender<Phase>>,
    heads: Vec<(usize, Address, u64)>,
    unknown: usize,
}

fn second() -> WorkspaceId {
    WorkspaceId::parse("second").expect("a plain name")
}

fn accesses(node: &Node) -> [Access; 2] {
    [node.access().clone(), node.access().in_workspace(&second())]
}

impl Story {
    fn begin(node: &Node) -> Story {
        let (phase, told) = watch::channel(Phase::Roam);
        let first = node.access();
        let follow = |number: u64, feed| {
            let follower = Follower::new(feed, None, first.clone(), Rng::new(number));
            (0, tokio::spawn(follower.follow(told.clone())))
        };
        let followers = vec![
            follow(1, Feed::Ws),
            follow(2, Feed::Poll),
            follow(3, Feed::Ws),
        ];
        Story {
            followers,
            phase: Some(phase),
            ..Story::default()
        }
    }

    fn saw_unknown(&self) -> bool {
        self.unknown > 0
    }

    /// The same proposals in the same order, whatever they hear.
    async fn script(&mut self, node: &Node) {
        let accesses = accesses(node);
        make_second(node).await;
        let [one, two, three] = ["task/a", "task/b", "note/c"].map(address);
        let data = |n: u64| object([("data", object([("n", n.into())]))]);
        let large = "x".repeat(50_000);
        let large = object([("data", object([("text", Json::from(large))]))]);
        for n in 0..4 {
            // Alone, then together with the other workspace, in one commit if they meet.
            self.send(
                &accesses,
                vec![(0, Door::Http, merge(fresh_id(), &one, data(n)))],
            )
            .await;
            let together = vec![
                (0, Door::Http, merge(fresh_id(), &one, data(n + 10))),
                (0, Door::HttpSocket, merge(fresh_id(), &two, data(n + 20))),
                (1, Door::Http, merge(fresh_id(), &one, data(n + 30))),
                (1, Door::HttpSocket, merge(fresh_id(), &two, data(n + 40))),
                (0, Door::Ws, merge(fresh_id(), &three, data(n + 50))),
            ];
            self.send(&accesses, together).await;
        }
        self.send(
            &accesses,
            vec![(0, Door::Http, merge(fresh_id(), &three, large))],
        )
        .await;
        let remove = Proposal {
            precondition: Precondition::MatchAny,
            ..proposal(fresh_id(), &two, Operation::Delete, Json::Null)
        };
        self.send(&accesses, vec![(0, Door::Ws, remove)]).await;
        let restore = proposal(fresh_id(), &two, Operation::Restore, Json::Null);
        self.send(&accesses, vec![(0, Door::HttpSocket, restore)])
            .await;
    }

    async fn send(&mut self, accesses: &[Access; 2], all: Vec<(usize, Door, Proposal)>) {
        let sending = all.into_iter().map(|(workspace, door, proposal)| {
            let access = accesses[workspace].clone();
            async move {
                let heard = match Sender::open(&access, door).await {
                    Ok(sender) => sender.send(&proposal).await,
                    Err(_) => Heard::Nothing,
                };
                (
                    workspace,
                    Sent {
                        proposal,
                        door,
                        bulk: None,
                        heard,
                        run: 0,
                    },
                )
            }
        });
        let mut unknown = false;
        for (workspace, sent) in join_all(sending).await {
            if let Heard::Unknown(_) = sent.heard {
                unknown = true;
                self.unknown += 1;
                // What a reader is shown now must never go away again.
                self.see_head(&accesses[workspace], workspace, &sent.proposal.context)
                    .await;
            }
            self.ledgers[workspace].add(sent);
        }
        if unknown {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    async fn see_head(&mut self, access: &Access, workspace: usize, context: &Address) {
        if let Ok(head) = access.http().get(context, &When::Head).await {
            self.heads
                .push((workspace, context.clone(), head.version.0));
        }
    }

    /// A node whose disk failed once recovers by itself: it takes writes again, and each id that
    /// heard "unknown" learns the truth.
    async fn settle_while_it_runs(&mut self, node: &Node, found: &mut Violations) {
        let probe = merge(
            fresh_id(),
            &address("note/probe"),
            object([("data", object([]))]),
        );
        let heard = match settle(node.access(), &probe).await {
            Ok(heard) => heard,
            Err(last) => {
                return found.add(format!("the node does not take writes again: {last:?}"));
            }
        };
        self.ledgers[0].add(Sent {
            proposal: probe,
            door: Door::Http,
            bulk: None,
            heard,
            run: 0,
        });
        // Making it may have met the failure: the same call is good again.
        make_second(node).await;
        for (workspace, access) in accesses(node).into_iter().enumerate() {
            let mut auditor = Auditor::default();
            auditor
                .follow(&access.http(), &self.ledgers[workspace], found)
                .await;
            auditor.check_ledger(self.ledgers[workspace].iter(), found);
            let unknown: Vec<Proposal> = self.ledgers[workspace]
                .iter()
                .filter(|(_, sent)| matches!(sent.heard, Heard::Unknown(_)))
                .map(|(_, sent)| sent.proposal.clone())
                .collect();
            for proposal in unknown {
                match settle(&access, &proposal).await {
                    Ok(heard) => {
                        if let Some(sent) = self.ledgers[workspace].get_mut(&proposal.id) {
                            sent.heard = heard;
                        }
                    }
                    Err(last) => found.add(format!("{} stays unknown: {last:?}", proposal.id)),
                }
            }
        }
    }

    async fn end(&mut self) {
        if let Some(phase) = self.phase.take() {
            let _ = phase.send(Phase::Stop);
        }
        for (workspace, follower) in self.followers.drain(..) {
            let reader = follower.await.expect("a follower does not panic");
            self.readers.push((workspace, reader));
        }
    }

    /// Holds everything against what is there after the restart.
    async fn check(&mut self, node: &Node, tally: &mut Tally, found: &mut Violations) {
        for (workspace, access) in accesses(node).into_iter().enumerate() {
            let ledger = &mut self.ledgers[workspace];
            let client = access.http();
            let mut auditor = Auditor::default();
            if ledger
                .iter()
                .all(|(_, sent)| !matches!(sent.heard, Heard::Receipt(_)))
                && client
                    .status()
                    .await
                    .is_err_and(|problem| problem.code == Code::NotFound)
            {
                // The workspace itself was never made.
                continue;
            }
            auditor.follow(&client, ledger, found).await;
            auditor.check_ledger(ledger.iter(), found);
            auditor.check_heads(&client, 100, found).await;
            let life = [auditor.life()];
            for (_, reader) in self.readers.iter().filter(|(of, _)| *of == workspace) {
                for session in &reader.sessions {
                    if let Err(what) = session.check(&life, |_| true) {
                        found.add(format!("seen by {:?} and gone: {what}", reader.feed));
                    }
                }
            }
            for (_, context, version) in self.heads.iter().filter(|(of, ..)| *of == workspace) {
                let head = client.get(context, &When::Version(Version(*version))).await;
                found.check(head.is_ok(), || {
                    format!("{context} showed version {version}: {head:?}")
                });
            }
            let open: Vec<_> = ledger
                .iter()
                .filter(|(_, sent)| matches!(sent.heard, Heard::Unknown(_) | Heard::Nothing))
                .map(|(id, _)| *id)
                .collect();
            tally.unknown += self.unknown.min(open.len());
            tally.there_after_all += open.iter().filter(|id| auditor.place(id).is_some()).count();
            tally.acknowledged += ledger.acknowledged();
            tally.refused += ledger
                .iter()
                .filter(|(_, s)| matches!(s.heard, Heard::Refused(_) | Heard::Undecided(_)))
                .count();
            auditor.resend(&access, &open, ledger, found).await;
            auditor.follow(&client, ledger, found).await;
            auditor.check_ledger(ledger.iter(), found);
        }
    }
}

async fn make_second(node: &Node) {
    let body = bytes::Bytes::from_static(b"{\"name\":\"second\"}");
    let body = Some(("application/json", body));
    let _ = node
        .http()
        .request(http::Method::POST, "/v1/workspaces", &[], body)
        .await;
}

/// Sends a proposal until it is decided.
async fn settle(access: &Access, proposal: &Proposal) -> Result<Heard, Heard> {
    let begun = std::time::Instant::now();
    loop {
        let heard = match Sender::open(access, Door::Http).await {
            Ok(sender) => sender.send(proposal).await,
            Err(_) => Heard::Nothing,
        };
        match heard {
            Heard::Receipt(_) | Heard::Refused(_) => return Ok(heard),
            last if begun.elapsed() > RECOVERY_MAX => return Err(last),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
