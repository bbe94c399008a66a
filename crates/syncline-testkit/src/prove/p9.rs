//! P9: a subscriber that stops reading does not slow a writer, costs bounded memory, and can
//! resume without loss.

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
use crate::sys::small_receive_buffer;
use crate::workload::{Sender, address, merge, object};
use crate::{Access, Door, Node, NodeOptions};

/// Subscribers that stop reading.
const STALLED: usize = 20;
/// What each write carries, so that what they do not read is soon more than any queue holds.
const TEXT_BYTES: usize = 16 * 1024;
/// Writes of one measurement.
const WRITES: usize = 300;
/// The queue of one subscriber, and as much again for what is under way.
const MEMORY_EACH_MAX: u64 = 2 << 20;
/// What the cache of heads and the recent records may take beside them, and the allocator's slack.
const MEMORY_SHARED_MAX: u64 = 48 << 20;
/// A writer keeps at least this share of its rate.
const RATE_KEPT_MIN: f64 = 0.5;

/// Measures a writer without and with stalled subscribers, in turn, in one run.
pub async fn run(plan: Plan) -> Report {
    let mut report = Report::new("p9", &plan);
    let mut found = Violations::default();
    for run in 1..=plan.runs {
        report.runs = run;
        if let Err(error) = round(&plan, run, &mut report, &mut found).await {
            found.add(error);
        }
        if !found.is_empty() {
            break;
        }
    }
    report.end(found)
}

async fn round(
    plan: &Plan,
    run: u64,
    report: &mut Report,
    found: &mut Violations,
) -> Result<(), String> {
    let node = Node::start(NodeOptions::faulty(plan.fault))
        .await
        .map_err(|e| e.to_string())?;
    let mut writer = Writer::new(node.access(), Rng::new(plan.seed).fork(run)).await?;
    // Once unmeasured, so that caches and files have their sizes.
    writer.write(WRITES).await?;
    let alone = writer.write(WRITES).await?;
    let before = node.memory_bytes();
    let mut sleepers = Vec::new();
    for _ in 0..STALLED {
        sleepers.push(Sleeper::fall_asleep(node.access()).await?);
    }
    let first = writer.written.len();
    let beside = writer.write(WRITES).await?;
    let beside = beside.min(writer.write(WRITES).await?);
    let grown = node.memory_bytes().saturating_sub(before);
    let limit = STALLED as u64 * MEMORY_EACH_MAX + MEMORY_SHARED_MAX;
    let unread = (2 * WRITES * TEXT_BYTES * STALLED) as u64;
    report.fact("unread by stalled subscribers, MiB", unread >> 20);
    report.fact("memory grown, MiB", grown >> 20);
    report.fact("memory allowed, MiB", limit >> 20);
    let kept = alone.as_secs_f64() / beside.as_secs_f64();
    report.fact("writer's rate kept", format!("{kept:.2}"));
    found.check(grown <= limit, || {
        format!(
            "{STALLED} stalled subscribers cost {} MiB, {} are allowed",
            grown >> 20,
            limit >> 20
        )
    });
    found.check(kept >= RATE_KEPT_MIN, || {
        format!("beside stalled subscribers a writer keeps {kept:.2} of its rate")
    });
    let due = &writer.written[first..];
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
    crate::node::assert_no_panic(&node);
    Ok(())
}

struct Writer {
    sender: Sender,
    rng: Rng,
    written: Vec<ChangeId>,
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
            let context = address(&format!("note/large-{}", n % 8));
            let body = object([("data", object([("text", text)]))]);
            match self.sender.send(&merge(id, &context, body)).await {
                Heard::Receipt(_) => self.written.push(id),
                heard => return Err(format!("a write heard {heard:?}")),
            }
        }
        Ok(begun.elapsed())
    }
}

/// A subscriber that subscribes, and reads no more.
struct Sleeper {
    socket: RawSocket,
    cursor: String,
}

impl Sleeper {
    async fn fall_asleep(access: &Access) -> Result<Sleeper, String> {
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
        let subscribe =
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"from":"now"}"#;
        socket.send(subscribe).await.map_err(|e| broken(&e))?;
        let said = socket.next().await.map_err(|e| broken(&e))?;
        let cursor = said
            .get("cursor")
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned();
        match said.get("type").and_then(Json::as_str) {
            Some("subscribed") => Ok(Sleeper { socket, cursor }),
            _ => Err(format!("a subscriber heard {}", said.to_text())),
        }
    }

    /// Reads what there still is, and gets the rest by its cursor. Returns whether the node had
    /// closed the connection.
    async fn wake(mut self, access: &Access, due: &[ChangeId]) -> Result<bool, String> {
        let mut got = Vec::new();
        let mut closed = false;
        while got.len() < due.len() {
            match tokio::time::timeout(Duration::from_secs(12), self.socket.next()).await {
                Ok(Ok(message)) => note(&message, &mut got, &mut self.cursor),
                Ok(Err(_)) if !closed => {
                    closed = true;
                    self.socket = resume(access, &self.cursor).await?;
                }
                _ => break,
            }
        }
        let due: Vec<String> = due.iter().map(ToString::to_string).collect();
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

async fn resume(access: &Access, cursor: &str) -> Result<RawSocket, String> {
    let broken = |error: &dyn std::fmt::Display| format!("resuming: {error}");
    let hello = RawSocket::hello(access.authority(), &access.key).await;
    let (mut socket, _) = hello.map_err(|e| broken(&e))?;
    let subscribe = format!(
        r#"{{"type":"subscribe","id":"s","scope":[{{"workspace":true}}],"from":{{"cursor":"{cursor}"}}}}"#
    );
    socket.send(&subscribe).await.map_err(|e| broken(&e))?;
    Ok(socket)
}
