//! P5 with acknowledgements: consumers of one durable subscription share the work while writers
//! write and the node is killed. Each change comes at least once, and those of a context in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use syncline_api::Problem;
use syncline_client::{Client, NextQuery};
use syncline_model::json::{Json, Limits};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Plan, Report};
use crate::audit::Violations;
use crate::rng::Rng;
use crate::workload::Workload;
use crate::{Node, NodeOptions};

const NAME: &str = "crew";
/// How many consumers share the work.
const CONSUMERS: u64 = 3;
/// How often a round kills the node.
const KILLS: u64 = 4;
/// Bounds the questions that the last consumer asks: it is alone, and acknowledges everything.
const LAST_MAX: usize = 2_000;

/// What the consumers of a round got together.
#[derive(Default)]
struct Got {
    delivered: BTreeSet<u64>,
    /// By context the highest seq whose ack was answered.
    acked: BTreeMap<String, u64>,
    again: usize,
    wrong: Vec<String>,
}

/// Lets consumers work through what writers write; one round is one node, killed a few times.
pub async fn run(plan: Plan) -> Report {
    let mut report = Report::new("p5-durable", &plan);
    let mut found = Violations::default();
    let (mut delivered, mut again) = (0, 0);
    while let Some(run) = report.next_round(&plan, &found) {
        match round(&plan, run, &mut found).await {
            Ok(got) => {
                delivered += got.delivered.len();
                again += got.again;
            }
            Err(error) => found.add(error),
        }
    }
    report.fact("changes delivered", delivered);
    report.fact("deliveries that came again", again);
    report.end(found)
}

async fn round(plan: &Plan, run: u64, found: &mut Violations) -> Result<Got, String> {
    let told = |problem: Problem| problem.to_string();
    let options = NodeOptions::faulty(plan.fault);
    let mut node = Node::start(options)
        .await
        .map_err(|error| error.to_string())?;
    let definition = format!(
        r#"{{"name":"{NAME}","from":"start","window":40,"ack_wait_s":1,"max_deliveries":100}}"#
    );
    let definition = Json::parse(definition.as_bytes(), &Limits::default());
    let definition = definition.expect("it is JSON");
    node.http()
        .put_subscription(&definition)
        .await
        .map_err(told)?;
    let got = Arc::new(Mutex::new(Got::default()));
    let mut rng = Rng::new(plan.seed).fork(run);
    for kill in 0..KILLS {
        let (stop, stopped) = watch::channel(false);
        let mut consumers = JoinSet::new();
        for number in 0..CONSUMERS {
            let (client, rng) = (node.http(), rng.fork(number + 10 * kill));
            let name = format!("consumer-{number}");
            consumers.spawn(consume(client, name, rng, got.clone(), stopped.clone()));
        }
        let workload = Workload {
            seed: plan.seed ^ run ^ kill,
            writers: 4,
            each_max: 15,
            ..Workload::busy(0)
        };
        let burst = workload.begin(node.access(), run);
        tokio::time::sleep(Duration::from_millis(rng.below(600))).await;
        node.kill().await;
        let _ = stop.send(true);
        drop(burst.finish().await);
        while consumers.join_next().await.is_some() {}
        node.restart().await.map_err(|error| error.to_string())?;
    }
    drain(&node.http(), &got).await.map_err(told)?;
    let got = std::mem::take(&mut *got.lock().expect("no consumer panics"));
    got.wrong.iter().for_each(|what| found.add(what.as_str()));
    check_nothing_is_missing(&node.http(), &got, found)
        .await
        .map_err(told)?;
    crate::node::assert_no_panic(&node);
    Ok(got)
}

/// Takes, and acknowledges most of it, until the node is gone.
async fn consume(
    client: Client,
    name: String,
    mut rng: Rng,
    got: Arc<Mutex<Got>>,
    stopped: watch::Receiver<bool>,
) {
    while !*stopped.borrow() {
        let query = NextQuery {
            limit: Some(1 + usize::try_from(rng.below(12)).unwrap_or(0)),
            wait: Duration::from_millis(50),
            consumer: Some(name.clone()),
            ..NextQuery::default()
        };
        let Ok(answer) = client.next(NAME, &query).await else {
            return;
        };
        let deliveries = note(&answer, &got);
        for (cursor, told) in deliveries {
            if rng.chance(15) {
                continue;
            }
            let ack = format!(r#"{{"cursors":["{cursor}"],"consumer":"{name}"}}"#);
            let ack = Json::parse(ack.as_bytes(), &Limits::default()).expect("it is JSON");
            let acked = client.ack(NAME, &ack).await;
            if acked.is_ok_and(|acked| acked.get("acked").and_then(Json::as_u64) == Some(1)) {
                note_acked(&got, &told);
            }
        }
    }
}

type Told = Vec<(String, u64)>;

/// Notes what came, and whether something later of its context was acknowledged before it.
fn note(answer: &Json, got: &Mutex<Got>) -> Vec<(String, Told)> {
    let items = |json: &Json, name: &str| {
        let items = json.get(name).and_then(Json::as_array);
        items.unwrap_or_default().to_vec()
    };
    let mut got = got.lock().expect("no consumer panics");
    let mut all = Vec::new();
    let mut changes = items(answer, "changes").into_iter();
    for delivery in items(answer, "deliveries") {
        let mut told = Vec::new();
        let count = delivery.get("changes").and_then(Json::as_u64);
        let count = usize::try_from(count.unwrap_or(0)).unwrap_or(usize::MAX);
        for change in changes.by_ref().take(count) {
            let context = change.get("context").and_then(Json::as_str);
            let seq = change.get("seq").and_then(Json::as_u64);
            if let (Some(context), Some(seq)) = (context, seq) {
                told.push((context.to_owned(), seq));
            }
        }
        for (context, seq) in &told {
            let first = got.delivered.insert(*seq);
            got.again += usize::from(!first);
            let acked = got.acked.get(context).copied().unwrap_or(0);
            if first && *seq < acked {
                got.wrong.push(format!(
                    "{context} at {seq} came after {acked} was acknowledged"
                ));
            }
        }
        let cursor = delivery.get("cursor").and_then(Json::as_str);
        all.push((cursor.unwrap_or_default().to_owned(), told));
    }
    all
}

fn note_acked(got: &Mutex<Got>, told: &Told) {
    let mut got = got.lock().expect("no consumer panics");
    for (context, seq) in told {
        let highest = got.acked.entry(context.clone()).or_default();
        *highest = (*highest).max(*seq);
    }
}

/// Takes and acknowledges all that is left.
async fn drain(client: &Client, got: &Mutex<Got>) -> Result<(), Problem> {
    let query = NextQuery {
        wait: Duration::from_millis(500),
        consumer: Some("last".to_owned()),
        ..NextQuery::default()
    };
    for _ in 0..LAST_MAX {
        let answer = client.next(NAME, &query).await?;
        note(&answer, got);
        if let Some(cursor) = answer.get("cursor").and_then(Json::as_str) {
            let ack = format!(r#"{{"cursor":"{cursor}","consumer":"last"}}"#);
            let ack = Json::parse(ack.as_bytes(), &Limits::default()).expect("it is JSON");
            client.ack(NAME, &ack).await?;
        }
        let found = client.subscription(NAME).await?;
        if found.get("behind").and_then(Json::as_u64) == Some(0) {
            return Ok(());
        }
    }
    Ok(())
}

/// Holds what came against the log.
async fn check_nothing_is_missing(
    client: &Client,
    got: &Got,
    found: &mut Violations,
) -> Result<(), Problem> {
    let state = client.subscription(NAME).await?;
    let behind = state.get("behind").and_then(Json::as_u64);
    found.check(behind == Some(0), || {
        format!("it is {behind:?} behind, and nobody can help it")
    });
    let stats = client.stats().await?;
    let last = stats.get("records").and_then(Json::as_u64).unwrap_or(0);
    let missing: Vec<u64> = (1..=last)
        .filter(|seq| !got.delivered.contains(seq))
        .collect();
    found.check(missing.is_empty(), || {
        let some = &missing[..missing.len().min(5)];
        format!(
            "{} of {last} changes never came, such as {some:?}",
            missing.len()
        )
    });
    Ok(())
}
