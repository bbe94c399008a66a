//! Webhooks of a node that is killed in the middle of attempts, at an endpoint that is hostile now
//! and then: each event arrives at least once, always under one id, and those of a context in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use syncline_api::Problem;
use syncline_client::{Client, Write, fresh_id};
use syncline_model::json::{Json, Limits};
use tokio::task::JoinSet;

use super::{Plan, Report};
use crate::audit::Violations;
use crate::endpoint::{Came, Endpoint};
use crate::rng::Rng;
use crate::workload::address;
use crate::{Fault, Node, NodeOptions, StartError};

/// How many contexts are written to, in turn.
const CONTEXTS: u64 = 6;
/// Writes of one round.
const WRITES: u64 = 240;
/// Kills of one round. An event that more than ten of them meet counts as failed.
const KILLS: u64 = 8;
/// How long the rest may take after the last kill: two second attempts of 5 s each, at leisure.
const DRAIN_MAX: Duration = Duration::from_secs(90);
/// How often a write is sent again before the node counts as gone: for half a minute.
const TRIES_MAX: u32 = 600;
/// Attempts at one event: one that fails, one that arrives, and one for each kill.
const SENDS_MAX: u64 = KILLS + 2;

/// What the rounds saw together.
#[derive(Default)]
struct Totals {
    events: usize,
    again: usize,
    refused: usize,
}

/// Feeds an endpoint while the node is killed; one round is one node.
pub async fn run(plan: Plan) -> Report {
    let mut report = Report::new("webhooks", &plan);
    let mut found = Violations::default();
    let mut totals = Totals::default();
    while let Some(run) = report.next_round(&plan, &found) {
        let outcome = round(&plan, run, &mut totals, &mut found).await;
        found.note(outcome);
        plan.say(|| format!("webhooks: round {run}, {} events so far", totals.events));
    }
    report.fact("events told", totals.events);
    report.fact("of these sent more than once", totals.again);
    report.fact("attempts that were not accepted", totals.refused);
    report.end(found)
}

async fn round(
    plan: &Plan,
    run: u64,
    totals: &mut Totals,
    found: &mut Violations,
) -> Result<(), String> {
    let mut rng = Rng::new(plan.seed).fork(run);
    let mut node = start_node(plan.fault).await.map_err(|e| e.to_string())?;
    let endpoint = Endpoint::start(rng.next())
        .await
        .map_err(|e| e.to_string())?;
    let made = make_webhook(&node.http(), endpoint.url())
        .await
        .map_err(|problem| problem.to_string())?;
    let id = made.get("id").and_then(Json::as_str).unwrap_or_default();
    let mut writing = JoinSet::new();
    writing.spawn(write_all(node.http()));
    for kill in 1..=KILLS {
        if kill == KILLS {
            endpoint.hang_no_more();
        }
        tokio::time::sleep(Duration::from_millis(rng.between(20, 900))).await;
        node.kill().await;
        node.restart().await.map_err(|e| e.to_string())?;
    }
    while let Some(written) = writing.join_next().await {
        written.map_err(|e| e.to_string())??;
    }
    drain(&node.http(), id).await?;
    let (came, wrong) = endpoint.seen();
    wrong.into_iter().for_each(|what| found.add(what));
    check(&came, totals, found);
    let status = node.stop().await;
    found.check(status.is_some_and(|status| status.success()), || {
        format!("the node ended with {status:?}")
    });
    crate::node::assert_no_panic(&node);
    Ok(())
}

/// Starts a node that may call this machine's first address.
pub async fn start_node(fault: Option<Fault>) -> Result<Node, StartError> {
    let env = [
        ("SYNCLINE_WEBHOOKS_ALLOW", "127.0.0.1"),
        ("SYNCLINE_WEBHOOKS_ALLOW_HTTP", "true"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.into()));
    let options = NodeOptions {
        env: env.to_vec(),
        ..NodeOptions::faulty(fault)
    };
    Node::start(options).await
}

/// Makes a webhook that tells of tasks.
///
/// # Panics
/// Never for a URL without quotation marks.
pub async fn make_webhook(client: &Client, url: &str) -> Result<Json, Problem> {
    let text = format!(r#"{{"url":"{url}","filter":{{"exact":{{"kind":"task"}}}}}}"#);
    let wanted = Json::parse(text.as_bytes(), &Limits::wire()).expect("it is JSON");
    client.create_webhook(&wanted, &Write::default()).await
}

/// Sets a context's number, under one change id, until it is known to be set.
///
/// # Panics
/// Never for an address.
pub async fn set_number(client: &Client, context: &str, n: u64) -> Result<(), String> {
    let text = format!(r#"{{"data":{{"n":{n}}}}}"#);
    let body = Json::parse(text.as_bytes(), &Limits::wire()).expect("it is JSON");
    let write = Write {
        id: Some(fresh_id()),
        create: true,
        ..Write::default()
    };
    let context = address(context);
    for _ in 0..TRIES_MAX {
        match client.patch(&context, &body, &write).await {
            Ok(_) => return Ok(()),
            Err(problem) if problem.code.retry() => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(problem) => return Err(format!("{context} was refused: {problem}")),
        }
    }
    Err(format!("{context} could not be written"))
}

/// Writes tasks, and notes between them, of which nothing is to be told.
async fn write_all(client: Client) -> Result<(), String> {
    for n in 0..WRITES {
        set_number(&client, &task(n % CONTEXTS), n).await?;
        if n % CONTEXTS == 0 {
            set_number(&client, "note/untold", n).await?;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

fn task(number: u64) -> String {
    format!("task/t{number}")
}

/// Waits until nothing is left to tell.
async fn drain(client: &Client, id: &str) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let shown = client.webhook(id).await.map_err(|e| e.to_string())?;
        let count = |name| shown.get(name).and_then(Json::as_u64);
        if [count("lag"), count("outstanding")] == [Some(0); 2] {
            return match count("dead") {
                Some(0) => Ok(()),
                dead => Err(format!("{dead:?} dead letters: {}", shown.to_text())),
            };
        }
        if begun.elapsed() > DRAIN_MAX {
            let said = shown.to_text();
            return Err(format!("it still tells after {DRAIN_MAX:?}: {said}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Each change was accepted, under one id, after all before it of its context.
fn check(came: &[Came], totals: &mut Totals, found: &mut Violations) {
    let mut ids: BTreeMap<(&str, u64), &str> = BTreeMap::new();
    let mut sends: BTreeMap<&str, u64> = BTreeMap::new();
    let mut accepted: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for came in came {
        let id = ids.entry((&came.context, came.version)).or_insert(&came.id);
        found.check(*id == came.id, || format!("{came:?} came before as {id}"));
        *sends.entry(&came.id).or_default() += 1;
        let before = accepted.entry(&came.context).or_default();
        // What was accepted may come again: the node did not live to hear of it.
        let next = before.last().map_or(1, |last| last + 1);
        found.check(came.version <= next, || {
            format!("{came:?} came before version {next} arrived")
        });
        if came.accepted {
            before.insert(came.version);
        }
        totals.refused += usize::from(!came.accepted);
    }
    found.check(sends.len() == ids.len(), || {
        format!("{} events have {} ids", ids.len(), sends.len())
    });
    let due: BTreeSet<u64> = (1..=WRITES / CONTEXTS).collect();
    for context in (0..CONTEXTS).map(task) {
        let arrived = accepted.remove(context.as_str()).unwrap_or_default();
        let missing: Vec<u64> = due.difference(&arrived).copied().collect();
        found.check(missing.is_empty(), || {
            format!("of {context} versions {missing:?} never arrived")
        });
    }
    found.check(accepted.is_empty(), || {
        let others: Vec<&&str> = accepted.keys().collect();
        format!("it was told of {others:?}, which its filter leaves out")
    });
    let most = sends.values().max().copied().unwrap_or(0);
    found.check(most <= SENDS_MAX, || {
        format!("{most} attempts at one event")
    });
    totals.events += sends.len();
    totals.again += sends.values().filter(|sends| **sends > 1).count();
}
