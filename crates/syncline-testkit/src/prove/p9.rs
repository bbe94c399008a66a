//! P9: subscribers that stop reading do not slow a writer, cost bounded memory, and can resume
//! without loss. Half of them follow everything, half by a filter: these have queues of their own.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use syncline_client::fresh_id;
use syncline_model::ids::ChangeId;
use syncline_model::json::Json;
use tokio::net::TcpSocket;

use super::{Plan, Report};
use crate::audit::Violations;
use crate::ledger::Heard;
use crate::raw::RawSocket;
use crate::rng::Rng;
use crate::sys::{raise_descriptors, small_receive_buffer};
use crate::workload::{Sender, address, merge, object};
use crate::{Access, Door, Node, NodeOptions};

/// Subscribers that stop reading, unless a plan's maker says otherwise.
const STALLED: usize = 1_000;
/// How many of them wake up and are held against what was written; it costs what they did not read.
const WOKEN: usize = 16;
/// What each write carries, so that what they do not read is soon more than any queue holds.
const TEXT_BYTES: usize = 16 * 1024;
/// Writes of one measurement.
const WRITES: usize = 300;
/// How many contexts the writer writes to; a subscriber with a filter follows one of them.
const CONTEXTS: usize = 8;
/// What one costs: a frame under way, and what its task and its queue hold.
const MEMORY_EACH_MAX: u64 = 256 << 10;
/// What the cache of heads and the recent records may take beside them, and the allocator's slack.
const MEMORY_SHARED_MAX: u64 = 64 << 20;
/// A writer keeps at least this share of its rate.
const RATE_KEPT_MIN: f64 = 0.5;

/// Measures a writer without and with stalled subscribers, in turn, in one run.
pub async fn run(plan: Plan) -> Report {
    run_with(plan, STALLED).await
}

/// As [`run`], with so many stalled subscribers.
pub async fn run_with(plan: Plan, stalled: usize) -> Report {
    let mut report = Report::new("p9", &plan);
    let mut found = Violations::default();
    while let Some(run) = report.next_round(&plan, &found) {
        let outcome = round(&plan, run, stalled, &mut report, &mut found).await;
        found.note(outcome);
    }
    report.end(found)
}

async fn round(
    plan: &Plan,
    run: u64,
    stalled: usize,
    report: &mut Report,
    found: &mut Violations,
) -> Result<(), String> {
    raise_descriptors().map_err(|e| e.to_string())?;
    let node = Node::start(NodeOptions::faulty(plan.fault))
        .await
        .map_err(|e| e.to_string())?;
    let mut writer = Writer::new(node.access(), Rng::new(plan.seed).fork(run)).await?;
    // Once unmeasured, so that caches and files have their sizes.
    writer.write(WRITES).await?;
    let alone = writer.write(WRITES).await?;
    let alone = alone.min(writer.write(WRITES).await?);
    let before = node.memory_bytes();
    let mut sleepers = Vec::new();
    for number in 0..stalled {
        let follows = (number % 2 == 1).then_some(number / 2 % CONTEXTS);
        sleepers.push(Sleeper::fall_asleep(node.access(), follows).await?);
    }
    plan.say(|| format!("p9: {stalled} subscribers have stopped reading"));
    let first = writer.written.len();
    // Once unmeasured, until the sockets are full and nobody takes anything.
    writer.write(WRITES).await?;
    let beside = writer.write(WRITES).await?;
    let beside = beside.min(writer.write(WRITES).await?);
    let grown = node.memory_bytes().saturating_sub(before);
    let due = &writer.written[first..];
    tell(stalled, due.len(), report);
    check_memory(stalled, grown, report, found);
    let kept = alone.as_secs_f64() / beside.as_secs_f64();
    report.fact("writer's rate kept", format!("{kept:.2}"));
    found.check(kept >= RATE_KEPT_MIN, || {
        format!("beside {stalled} stalled subscribers a writer keeps {kept:.2} of its rate")
    });
    sleepers.truncate(WOKEN);
    wake_all(sleepers, &node, due, report, found).await;
    crate::node::assert_no_panic(&node);
    Ok(())
}

fn tell(stalled: usize, written: usize, report: &mut Report) {
    let each = written * TEXT_BYTES;
    let unread = stalled.div_ceil(2) * each + stalled / 2 * each / CONTEXTS;
    report.fact("stalled subscribers", stalled);
    report.fact("written meanwhile for them, MiB", unread >> 20);
}

fn check_memory(stalled: usize, grown: u64, report: &mut Report, found: &mut Violations) {
    let limit = stalled as u64 * MEMORY_EACH_MAX + MEMORY_SHARED_MAX;
    let each = grown / (stalled as u64).max(1);
    report.fact("memory grown, MiB", grown >> 20);
    report.fact("memory grown for each, KiB", each >> 10);
    report.fact("memory allowed, MiB", limit >> 20);
    found.check(grown <= limit, || {
        format!(
            "{stalled} stalled subscribers cost {} MiB, {} are allowed",
            grown >> 20,
            limit >> 20
        )
    });
}

async fn wake_all(
    sleepers: Vec<Sleeper>,
    node: &Node,
    due: &[(usize, ChangeId)],
    report: &mut Report,
    found: &mut Violations,
) {
    let waking = sleepers
        .into_iter()
        .map(|sleeper| sleeper.wake(node.access(), due));
    let woken = join_all(waking).await;
    let resumed = woken.iter().filter(|woken| woken.is_ok()).count();
    let let_go = woken
        .iter()
        .filter(|woken| matches!(woken, Ok(true)))
        .count();
    woken
        .into_iter()
        .filter_map(Result::err)
        .for_each(|what| found.add(what));
    report.fact("resumed without loss", resumed);
    report.fact("of these let go by the node before", let_go);
}

struct Writer {
    sender: Sender,
    rng: Rng,
    /// Each with the number of its context.
    written: Vec<(usize, ChangeId)>,
}

impl Writer {
    async fn new(access: &Access, rng: Rng) -> Result<Writer, String> {
        let sender = Sender::open(access, Door::Http)
            .await
            .map_err(|p| p.to_string())?;
        Ok(Writer {
            sender,
            rng,
            written: Vec::new(),
        })
    }

    /// Writes one after the other and returns how long that took.
    async fn write(&mut self, count: usize) -> Result<Duration, String> {
        let begun = Instant::now();
        for n in 0..count {
            let id = fresh_id();
            let text = Json::from(self.rng.letters(TEXT_BYTES));
            let number = n % CONTEXTS;
            let context = address(&large(number));
            let body = object([("data", object([("text", text)]))]);
            match self.sender.send(&merge(id, &context, body)).await {
                Heard::Receipt(_) => self.written.push((number, id)),
                heard => return Err(format!("a write heard {heard:?}")),
            }
        }
        Ok(begun.elapsed())
    }
}

fn large(number: usize) -> String {
    format!("note/large-{number}")
}

/// A subscriber that subscribes, and reads no more.
struct Sleeper {
    socket: RawSocket,
    cursor: String,
    /// The number of the context that its filter lets pass; absent is all.
    follows: Option<usize>,
}

impl Sleeper {
    async fn fall_asleep(access: &Access, follows: Option<usize>) -> Result<Sleeper, String> {
        let broken = |error: &dyn std::fmt::Display| format!("a subscriber: {error}");
        let authority = access.authority();
        let socket = TcpSocket::new_v4().map_err(|e| broken(&e))?;
        // The kernel must not take what we leave unread.
        small_receive_buffer(&socket, 16 * 1024).map_err(|e| broken(&e))?;
        let to = authority.parse().map_err(|e| broken(&e))?;
        let stream = socket.connect(to).await.map_err(|e| broken(&e))?;
        let mut socket = RawSocket::upgrade(stream, authority, &access.key)
            .await
            .map_err(|e| broken(&e))?;
        socket
            .say_hello(&access.key)
            .await
            .map_err(|e| broken(&e))?;
        let subscribe = subscribe(r#""now""#, follows);
        socket.send(&subscribe).await.map_err(|e| broken(&e))?;
        let said = socket.next().await.map_err(|e| broken(&e))?;
        let cursor = said
            .get("cursor")
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned();
        match said.get("type").and_then(Json::as_str) {
            Some("subscribed") => Ok(Sleeper {
                socket,
                cursor,
                follows,
            }),
            _ => Err(format!("a subscriber heard {}", said.to_text())),
        }
    }

    /// Reads what there still is, and gets the rest by its cursor. Returns whether the node had
    /// closed the connection.
    async fn wake(mut self, access: &Access, due: &[(usize, ChangeId)]) -> Result<bool, String> {
        let follows = |number: usize| self.follows.is_none_or(|follows| follows == number);
        let due = due.iter().filter(|(number, _)| follows(*number));
        let due: Vec<String> = due.map(|(_, id)| id.to_string()).collect();
        let mut got = Vec::new();
        let mut closed = false;
        while got.len() < due.len() {
            match tokio::time::timeout(Duration::from_secs(12), self.socket.next()).await {
                Ok(Ok(message)) => note(&message, &mut got, &mut self.cursor),
                Ok(Err(_)) if !closed => {
                    closed = true;
                    self.socket = resume(access, &self.cursor, self.follows).await?;
                }
                _ => break,
            }
        }
        let first_wrong = got.iter().zip(&due).position(|(got, due)| got != due);
        match got.len() == due.len() && first_wrong.is_none() {
            true => Ok(closed),
            false => Err(format!(
                "a stalled subscriber got {} of {} changes, the first wrong is {first_wrong:?}",
                got.len(),
                due.len()
            )),
        }
    }
}

fn note(message: &Json, got: &mut Vec<String>, cursor: &mut String) {
    let Some(change) = message.get("change") else {
        return;
    };
    let text = |key: &str| change.get(key).and_then(Json::as_str).map(str::to_owned);
    got.extend(text("id"));
    let resume = message
        .get("resume")
        .and_then(Json::as_str)
        .map(str::to_owned);
    if let Some(place) = resume.or_else(|| text("cursor")) {
        *cursor = place;
    }
}

fn subscribe(from: &str, follows: Option<usize>) -> String {
    let filter = follows.map(|number| {
        let context = large(number);
        format!(r#","filter":{{"exact":{{"context":"{context}"}}}}"#)
    });
    let filter = filter.unwrap_or_default();
    format!(
        r#"{{"type":"subscribe","id":"s","scope":[{{"workspace":true}}],"from":{from}{filter}}}"#
    )
}

async fn resume(
    access: &Access,
    cursor: &str,
    follows: Option<usize>,
) -> Result<RawSocket, String> {
    let broken = |error: &dyn std::fmt::Display| format!("resuming: {error}");
    let hello = RawSocket::hello(access.authority(), &access.key).await;
    let (mut socket, _) = hello.map_err(|e| broken(&e))?;
    let subscribe = subscribe(&format!(r#"{{"cursor":"{cursor}"}}"#), follows);
    socket.send(&subscribe).await.map_err(|e| broken(&e))?;
    Ok(socket)
}
