//! P9: subscribers that stop reading do not slow a writer, cost bounded memory, and can resume
//! without loss. Some follow everything, some by a filter, which have queues of their own, and some
//! stop in the midst of large bulks.

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
/// How many bulks lie in the log, and of how many parts each: all of them at once are what a reader
/// that stops in one must not cost.
const BULKS: usize = 4;
const BULK_PARTS: usize = 1_000;
/// What each part carries.
const PART_BYTES: usize = 1024;
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
    writer.write_bulks().await?;
    // Once unmeasured, so that caches and files have their sizes.
    writer.write(WRITES).await?;
    let alone = writer.write(WRITES).await?;
    let alone = alone.min(writer.write(WRITES).await?);
    let before = node.memory_bytes();
    let mut sleepers = Vec::new();
    for number in 0..stalled {
        let follows = match number % 3 {
            0 => Follows::All,
            1 => Follows::Context(number / 3 % CONTEXTS),
            _ => Follows::Bulks,
        };
        sleepers.push(Sleeper::fall_asleep(node.access(), follows).await?);
    }
    plan.say(|| format!("p9: {stalled} subscribers have stopped reading"));
    let first = writer.written.len();
    // Once unmeasured, until the sockets are full and nobody takes anything.
    writer.write(WRITES).await?;
    let beside = writer.write(WRITES).await?;
    let beside = beside.min(writer.write(WRITES).await?);
    let grown = node.memory_bytes().saturating_sub(before);
    let due = Due {
        written: &writer.written[first..],
        in_bulks: &writer.in_bulks,
    };
    tell(stalled, due.written.len(), report);
    check_memory(stalled, grown, report, found);
    let kept = alone.as_secs_f64() / beside.as_secs_f64();
    report.fact("writer's rate kept", format!("{kept:.2}"));
    found.check(kept >= RATE_KEPT_MIN, || {
        format!("beside {stalled} stalled subscribers a writer keeps {kept:.2} of its rate")
    });
    sleepers.truncate(WOKEN);
    wake_all(sleepers, &node, &due, report, found).await;
    crate::node::assert_no_panic(&node);
    Ok(())
}

fn tell(stalled: usize, written: usize, report: &mut Report) {
    let each = written * TEXT_BYTES;
    let of_all = each + each / CONTEXTS + BULKS * BULK_PARTS * PART_BYTES;
    let unread = stalled / 3 * of_all;
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
    due: &Due<'_>,
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
    in_bulks: Vec<ChangeId>,
}

/// What the stalled are to hear once they wake up.
struct Due<'a> {
    written: &'a [(usize, ChangeId)],
    in_bulks: &'a [ChangeId],
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
            in_bulks: Vec::new(),
        })
    }

    async fn write_bulks(&mut self) -> Result<(), String> {
        for bulk in 0..BULKS {
            let parts = (0..BULK_PARTS).map(|part| {
                let text = Json::from(self.rng.letters(PART_BYTES));
                let context = address(&format!("{BULK_PREFIX}{bulk}-{part}"));
                let body = object([("data", object([("text", text)]))]);
                merge(fresh_id(), &context, body)
            });
            let parts: Vec<_> = parts.collect();
            for (heard, part) in self.sender.send_bulk(&parts).await.iter().zip(&parts) {
                match heard {
                    Heard::Receipt(_) => self.in_bulks.push(part.id),
                    heard => return Err(format!("a part of a bulk heard {heard:?}")),
                }
            }
        }
        Ok(())
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

const BULK_PREFIX: &str = "note/bulk-";

fn large(number: usize) -> String {
    format!("note/large-{number}")
}

/// A subscriber that subscribes, and reads no more.
struct Sleeper {
    socket: RawSocket,
    cursor: String,
    follows: Follows,
}

/// What a subscriber follows.
#[derive(Clone, Copy)]
enum Follows {
    All,
    /// By a filter, the context of this number.
    Context(usize),
    /// By a filter, what was written in bulks, from the beginning of the log.
    Bulks,
}

impl Sleeper {
    async fn fall_asleep(access: &Access, follows: Follows) -> Result<Sleeper, String> {
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
        let from = match follows {
            Follows::All | Follows::Context(_) => r#""now""#,
            Follows::Bulks => r#""start""#,
        };
        let subscribe = subscribe(from, follows);
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
    async fn wake(mut self, access: &Access, due: &Due<'_>) -> Result<bool, String> {
        let due = self.follows.due(due);
        let (mut got, mut kept) = (Vec::new(), 0);
        let mut closed = false;
        while got.len() < due.len() {
            match tokio::time::timeout(Duration::from_secs(12), self.socket.next()).await {
                Ok(Ok(message)) => {
                    if note(&message, &mut got, &mut self.cursor) {
                        kept = got.len();
                    }
                }
                Ok(Err(_)) if !closed => {
                    closed = true;
                    // A bulk that was cut comes again whole.
                    got.truncate(kept);
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

/// Notes what came; says whether the cursor covers it.
fn note(message: &Json, got: &mut Vec<String>, cursor: &mut String) -> bool {
    let text = |json: Option<&Json>, key: &str| {
        let text = json?.get(key).and_then(Json::as_str);
        text.map(str::to_owned)
    };
    let (change, message) = (message.get("change"), Some(message));
    got.extend(text(change, "id"));
    // A bulk's parts have no cursor; its end has one.
    let place = text(message, "resume").or_else(|| text(change, "cursor"));
    let place = place.or_else(|| text(message, "cursor"));
    let covers = place.is_some();
    *cursor = place.unwrap_or_else(|| std::mem::take(cursor));
    covers
}

impl Follows {
    /// Returns what it is to hear, in order.
    fn due(self, due: &Due<'_>) -> Vec<String> {
        let wanted = |number: usize| match self {
            Follows::All => true,
            Follows::Context(own) => own == number,
            Follows::Bulks => false,
        };
        let bulks = match self {
            Follows::Bulks => due.in_bulks,
            Follows::All | Follows::Context(_) => &[],
        };
        let written = due.written.iter().filter(|(number, _)| wanted(*number));
        let ids = bulks.iter().chain(written.map(|(_, id)| id));
        ids.map(ToString::to_string).collect()
    }
}

fn subscribe(from: &str, follows: Follows) -> String {
    let filter = match follows {
        Follows::All => String::new(),
        Follows::Context(number) => {
            let context = large(number);
            format!(r#","filter":{{"exact":{{"context":"{context}"}}}}"#)
        }
        Follows::Bulks => format!(r#","filter":{{"prefix":{{"context":"{BULK_PREFIX}"}}}}"#),
    };
    format!(
        r#"{{"type":"subscribe","id":"s","scope":[{{"workspace":true}}],"from":{from}{filter}}}"#
    )
}

async fn resume(access: &Access, cursor: &str, follows: Follows) -> Result<RawSocket, String> {
    let broken = |error: &dyn std::fmt::Display| format!("resuming: {error}");
    let hello = RawSocket::hello(access.authority(), &access.key).await;
    let (mut socket, _) = hello.map_err(|e| broken(&e))?;
    let subscribe = subscribe(&format!(r#"{{"cursor":"{cursor}"}}"#), follows);
    socket.send(&subscribe).await.map_err(|e| broken(&e))?;
    Ok(socket)
}
