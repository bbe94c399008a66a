//! The durable subscriptions of a connection: each asks for what is next in turn, and takes acks.
//!
//! All of it is done by futures that the session polls beside its socket, never awaited in the
//! middle of something else: one of them may hold what another waits for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use syncline_api::{Code, Problem, Subscribe, write_line, write_subscribed};
use syncline_delivery::durable::{Asked, Consumer, Durable, Given};
use syncline_delivery::{Item, Shape};
use syncline_engine::aside;
use syncline_model::cursor::Position;
use syncline_model::json::{JsonWriter, Pointer};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::frames::FRAME_BYTES_MAX;
use super::session::Session;
use super::subs::{no_such_sub, not_durable, there_already};
use crate::seats::Seat;
use crate::subscriptions::{checked_nack, place_of};

/// Bounds the changes of one turn.
const TURN_CHANGES_MAX: usize = 64;
/// Bounds how often in a row it is asked again where the store did not answer.
const FAILURES_MAX: u32 = 6;
/// The pause before the first of these questions; it doubles with each.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one question waits for news; then it is asked again.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// A durable subscription of the connection.
pub(super) struct DurableSub {
    pub id: String,
    durable: Durable,
    consumer: Consumer,
    shape: Shape,
    /// Counts changes, enters and leaves, so that the client can prove that there is no hole.
    n: u64,
    /// It waits for an answer to its question.
    asking: bool,
    /// How many questions failed in a row.
    failures: u32,
    gone: Arc<Notify>,
    /// Its place among those of its principal.
    _seat: Seat,
}

/// Something that was done for a durable subscription.
pub(super) enum Work {
    /// It was found, and stands acknowledged up to a cursor.
    Opened(String, Result<String, Problem>),
    /// Something was delivered to it.
    Given(String, Result<Vec<Given>, Problem>),
    /// An ack, a nack or an extension was taken.
    Done(String, Result<(), Problem>),
}

/// What a client says of what it was given.
pub(super) enum Said {
    Ack(Position),
    Nack(Position, i64, String),
    Extend(Option<Position>),
}

impl DurableSub {
    /// Asks for what is next in turn, after a pause where the last question failed.
    fn next(&self) -> BoxFuture<'static, Work> {
        let pause = match self.failures {
            0 => Duration::ZERO,
            failures => PAUSE * (1 << (failures - 1)),
        };
        let (id, durable, gone) = (self.id.clone(), self.durable.clone(), self.gone.clone());
        let asked = Asked {
            consumer: self.consumer.clone(),
            changes_max: TURN_CHANGES_MAX,
            bytes_max: FRAME_BYTES_MAX,
        };
        let given = async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            durable.next(&asked, Instant::now() + PATIENCE).await
        };
        Box::pin(async move {
            tokio::select! {
                biased;
                () = gone.notified() => Work::Given(id, Ok(Vec::new())),
                given = given => Work::Given(id, given),
            }
        })
    }

    fn say(&self, said: Said) -> BoxFuture<'static, Work> {
        let (id, durable, consumer) =
            (self.id.clone(), self.durable.clone(), self.consumer.clone());
        Box::pin(async move {
            let done = match said {
                Said::Ack(place) => durable.ack(&consumer, Some(place), &[]).await.map(drop),
                Said::Nack(place, delay_ms, reason) => {
                    durable.nack(place, delay_ms, &reason).await.map(drop)
                }
                Said::Extend(place) => durable.extend(&consumer, place).await.map(drop),
            };
            Work::Done(id, done)
        })
    }
}

impl Drop for DurableSub {
    /// What it has in hand is for others now.
    fn drop(&mut self) {
        self.gone.notify_one();
        let (durable, consumer) = (self.durable.clone(), self.consumer.clone());
        tokio::spawn(async move {
            // A node that stops takes it back by itself.
            let _ = durable.leave(&consumer).await;
        });
    }
}

impl Session {
    /// Joins a durable subscription that is defined. Its scope and filter are the definition's.
    pub(super) async fn subscribe_durable(
        &mut self,
        subscribe: Subscribe,
        name: &str,
    ) -> Result<(), Problem> {
        let id = subscribe.id;
        if self.knows(&id) {
            return Err(there_already(&id));
        }
        let seat = self.take_seat()?;
        let found = self
            .node
            .durables
            .find(&self.workspace, &self.principal, name);
        let durable = found.await.map_err(|problem| match problem.code {
            Code::NotFound => problem.at(Pointer::from_static("/durable")),
            _ => problem,
        })?;
        let drawn = self.node.doors.engine.fresh_id();
        let sub = DurableSub {
            shape: durable.shape(),
            durable: durable.clone(),
            // A consumer is this subscription of this connection, and comes only once.
            consumer: format!("{id}/{drawn}").into(),
            id: id.clone(),
            n: 0,
            asking: true,
            failures: 0,
            gone: Arc::default(),
            _seat: seat,
        };
        let workspace = self.workspace.clone();
        self.durables.push(sub);
        self.works.push(Box::pin(async move {
            let found = durable.inspect().await;
            let cursor = found.map(|found| workspace.seal_fresh(&found.acknowledged));
            Work::Opened(id, cursor)
        }));
        Ok(())
    }

    /// Says whether a subscription of this id is there, durable or not.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.subs.iter().any(|sub| sub.id == id) || self.durables.iter().any(|sub| sub.id == id)
    }

    /// Lets each that waits for nothing ask for what is next, while the peer takes what it is sent.
    pub(super) fn ask_durables(&mut self) {
        if self.unflushed || self.frames.is_full() {
            return;
        }
        for sub in self.durables.iter_mut().filter(|sub| !sub.asking) {
            sub.asking = true;
            self.works.push(sub.next());
        }
    }

    /// Opens a message's cursor of this life of the log.
    pub(super) fn place(&self, cursor: &str) -> Result<Position, Problem> {
        let place = place_of(&self.workspace, cursor);
        place.map_err(|problem| problem.at(Pointer::from_static("/cursor")))
    }

    pub(super) fn nack(
        &mut self,
        id: &str,
        cursor: &str,
        delay_ms: Option<u64>,
        reason: Option<String>,
    ) {
        let said = self.place(cursor).and_then(|place| {
            let (delay_ms, reason) = checked_nack(delay_ms, reason.as_deref())?;
            Ok(Said::Nack(place, delay_ms, reason))
        });
        self.said(id, said);
    }

    /// Takes what a client says of what it was given.
    pub(super) fn said(&mut self, id: &str, said: Result<Said, Problem>) {
        let sub = self.durables.iter().find(|sub| sub.id == id);
        match (sub, said) {
            (Some(sub), Ok(said)) => {
                let work = sub.say(said);
                self.works.push(work);
            }
            (Some(_), Err(problem)) => self.error(Some(id), &problem),
            // Others keep no place for their reader: whoever takes them for durable hears it.
            (None, _) if self.knows(id) => self.error(Some(id), &not_durable(id)),
            (None, _) => self.error(Some(id), &no_such_sub(id)),
        }
    }

    /// Tells the client what came of something.
    pub(super) fn worked(&mut self, work: Work) {
        match work {
            Work::Opened(id, Ok(cursor)) => {
                self.frames
                    .push(|w| write_subscribed(w, &id, &cursor, true, None));
                self.answered(&id);
            }
            Work::Given(id, Ok(given)) => {
                self.deliver(&id, &given);
                self.answered(&id);
            }
            Work::Given(id, Err(problem)) if self.may_ask_again(&id, &problem) => {}
            Work::Opened(id, Err(problem)) | Work::Given(id, Err(problem)) => {
                self.ended(&id, &problem);
                self.durables.retain(|sub| sub.id != id);
            }
            Work::Done(_, Ok(())) => {}
            Work::Done(id, Err(problem)) => self.error(Some(&id), &problem),
        }
    }

    fn answered(&mut self, id: &str) {
        if let Some(sub) = self.durables.iter_mut().find(|sub| sub.id == id) {
            (sub.asking, sub.failures) = (false, 0);
        }
    }

    /// Lets a question be asked again that failed for a moment: what it is about is kept, so the
    /// next one begins where this one did.
    fn may_ask_again(&mut self, id: &str, problem: &Problem) -> bool {
        let sub = self.durables.iter_mut().find(|sub| sub.id == id);
        let Some(sub) = sub.filter(|sub| problem.code.retry() && sub.failures < FAILURES_MAX)
        else {
            return false;
        };
        sub.failures += 1;
        sub.asking = false;
        true
    }

    fn deliver(&mut self, id: &str, given: &[Given]) {
        let Some(sub) = self.durables.iter_mut().find(|sub| sub.id == id) else {
            return;
        };
        let frames = &mut self.frames;
        let bytes = given
            .iter()
            .flat_map(|given| &given.items)
            .map(Item::weight)
            .sum();
        aside(bytes, || {
            for given in given {
                let bulk = given.items.len() > 1;
                for item in &given.items {
                    let told =
                        !matches!(item, Item::Begin { .. } | Item::End { .. } | Item::Lagging);
                    sub.n += u64::from(told && !matches!(item, Item::Reset(_)));
                    let cursor = (!bulk).then_some(given.cursor.as_str());
                    let (n, delivery) = (sub.n, given.delivery);
                    frames.push(|w| write_item(w, (id, n, delivery), item, cursor, &sub.shape));
                }
            }
        });
    }
}

/// Writes one item of a delivery, with its count.
fn write_item(
    w: &mut JsonWriter,
    (id, n, delivery): (&str, u64, u32),
    item: &Item,
    cursor: Option<&str>,
    shape: &Shape,
) {
    let kind = match item {
        Item::Change(_) => "change",
        Item::Enter { .. } => "enter",
        Item::Leave { .. } => "leave",
        Item::Begin { .. } => "begin",
        Item::End { .. } => "end",
        Item::Reset(_) => "reset",
        Item::Snapshot { .. } => "snapshot",
        Item::Lagging => "lagging",
    };
    w.begin_object();
    w.field_str("type", kind);
    w.field_str("sub", id);
    if matches!(kind, "change" | "enter" | "leave") {
        w.field_u64("n", n);
    }
    w.field_u64("delivery", delivery.into());
    match item {
        Item::Change(change) => w.field_raw("change", change.body()),
        Item::Enter { head, .. } => {
            w.key("context");
            shape.write_context(w, head);
        }
        Item::Leave { entry, .. } => write_line(w, &entry.change.line()),
        Item::Begin { bulk } => w.field_str("bulk", &bulk.to_string()),
        Item::End { bulk, cursor } => {
            w.field_str("bulk", &bulk.to_string());
            w.field_str("cursor", cursor);
        }
        Item::Reset(reason) => w.field_str("reason", reason.as_str()),
        // Durable feeds begin at a place, and are always read from the log.
        Item::Snapshot { .. } | Item::Lagging => {}
    }
    if let Some(cursor) = cursor.filter(|_| !matches!(item, Item::Change(_))) {
        w.field_str("cursor", cursor);
    }
    w.end_object();
}
