//! The durable subscriptions of a node, by workspace and name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use syncline_api::{From, Problem};
use syncline_engine::{Principal, Workspace};
use syncline_model::cursor::Position;
use syncline_model::head::Head;
use syncline_model::ids::{Seq, WorkspaceId};
use syncline_model::json::{Json, Object};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::dead::Letter;
use super::definition::Definition;
use super::subscription::{Asked, Given, Inspection, Subscription};
use super::window::{Consumer, Standing};
use crate::item::Shape;

type Key = (WorkspaceId, String);

/// The durable subscriptions that were asked for since the node started.
#[derive(Default)]
pub struct Durables {
    open: Mutex<HashMap<Key, Arc<Slot>>>,
}

/// One name.
#[derive(Default)]
struct Slot {
    /// Held across reads and writes of the store: what is done to a subscription is done one at a
    /// time, and each step keeps what it decided before the next begins.
    subscription: tokio::sync::Mutex<Option<Subscription>>,
    /// Rings when something was acknowledged, given back or moved.
    bell: Notify,
}

/// A durable subscription, as doors use it.
pub struct Durable {
    slot: Arc<Slot>,
    workspace: Workspace,
    principal: Principal,
    name: String,
    head: Arc<Head>,
}

impl Durables {
    /// Finds a subscription that is defined and that the principal may see.
    pub async fn find(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        name: &str,
    ) -> Result<Durable, Problem> {
        let head = workspace.subscription(principal, name).await?;
        let key = (workspace.id().clone(), name.to_owned());
        let slot = self.lock().entry(key).or_default().clone();
        Ok(Durable {
            slot,
            workspace: workspace.clone(),
            principal: principal.clone(),
            name: name.to_owned(),
            head,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Slot>>> {
        self.open
            .lock()
            .expect("nothing panics while the subscriptions are locked")
    }

    fn forget(&self, durable: &Durable) {
        let key = (durable.workspace.id().clone(), durable.name.clone());
        self.lock().remove(&key);
    }

    /// Forgets what is kept of a subscription whose definition was taken back.
    pub async fn remove(&self, durable: Durable) -> Result<(), Problem> {
        let mut guard = durable.slot.subscription.lock().await;
        durable.loaded(&mut guard).await?.forget().await?;
        *guard = None;
        self.forget(&durable);
        durable.slot.bell.notify_waiters();
        Ok(())
    }
}

impl Durable {
    /// Returns the subscription, taken up where it was left, and by today's definition.
    async fn loaded<'a>(
        &self,
        subscription: &'a mut Option<Subscription>,
    ) -> Result<&'a mut Subscription, Problem> {
        let version = self.head.version;
        if let Some(loaded) = subscription.as_mut()
            && loaded.version < version
        {
            loaded.define(version, self.definition()?).await?;
        }
        let loaded = match subscription.take() {
            Some(loaded) => loaded,
            None => {
                let begun = (version, self.head.seq);
                let workspace = self.workspace.clone();
                Subscription::load(workspace, &self.name, begun, self.definition()?).await?
            }
        };
        Ok(subscription.insert(loaded))
    }

    /// Returns its definition.
    pub fn definition(&self) -> Result<Definition, Problem> {
        let data = self.head.document.object().get("data");
        let empty = Json::Object(Object::new());
        Ok(Definition::from_json(data.unwrap_or(&empty))?)
    }

    /// Returns the head of its definition.
    pub fn head(&self) -> &Arc<Head> {
        &self.head
    }

    /// Delivers what is there; waits for the first until the deadline.
    ///
    /// Whoever drops this may find that something was delivered to nobody: that comes again after
    /// the ack wait.
    pub async fn next(&self, asked: &Asked, deadline: Instant) -> Result<Vec<Given>, Problem> {
        let mut tail = self.workspace.tail_watch();
        loop {
            tail.mark_unchanged();
            let rung = self.slot.bell.notified();
            let due = {
                let mut guard = self.slot.subscription.lock().await;
                let subscription = self.loaded(&mut guard).await?;
                let given = subscription.take(&self.principal, asked).await?;
                if !given.is_empty() || Instant::now() >= deadline {
                    return Ok(given);
                }
                subscription.due()
            };
            let due = due.map_or(deadline, |due| deadline.min(Instant::now() + due));
            tokio::select! {
                moved = tail.changed() => {
                    if moved.is_err() {
                        return Ok(Vec::new());
                    }
                }
                () = rung => {}
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    /// Acknowledges all that the consumer has up to a place, and these units; returns how many.
    pub async fn ack(
        &self,
        consumer: &Consumer,
        up_to: Option<Position>,
        each: &[Position],
    ) -> Result<usize, Problem> {
        let mut guard = self.slot.subscription.lock().await;
        let subscription = self.loaded(&mut guard).await?;
        let acked = subscription
            .ack(&self.principal, consumer, up_to, each)
            .await?;
        drop(guard);
        self.slot.bell.notify_waiters();
        Ok(acked)
    }

    /// Gives one unit back, to come again after a delay; says whether anybody had it.
    pub async fn nack(
        &self,
        place: Position,
        delay_ms: i64,
        reason: &str,
    ) -> Result<bool, Problem> {
        let mut guard = self.slot.subscription.lock().await;
        let subscription = self.loaded(&mut guard).await?;
        let there = subscription.nack(place, delay_ms, reason).await?;
        drop(guard);
        self.slot.bell.notify_waiters();
        Ok(there)
    }

    /// Gives a consumer the whole time again for one unit, or for all that it has.
    pub async fn extend(
        &self,
        consumer: &Consumer,
        place: Option<Position>,
    ) -> Result<usize, Problem> {
        let mut guard = self.slot.subscription.lock().await;
        Ok(self.loaded(&mut guard).await?.extend(consumer, place))
    }

    /// Takes back what a consumer has: it is gone.
    pub async fn leave(&self, consumer: &Consumer) -> Result<(), Problem> {
        let mut guard = self.slot.subscription.lock().await;
        self.loaded(&mut guard).await?.leave(consumer).await?;
        drop(guard);
        self.slot.bell.notify_waiters();
        Ok(())
    }

    /// Begins again at another place.
    pub async fn seek(&self, from: &From) -> Result<(), Problem> {
        let mut guard = self.slot.subscription.lock().await;
        self.loaded(&mut guard).await?.seek(from).await?;
        drop(guard);
        self.slot.bell.notify_waiters();
        Ok(())
    }

    /// Tells how it is.
    pub async fn inspect(&self) -> Result<Inspection, Problem> {
        let mut guard = self.slot.subscription.lock().await;
        self.loaded(&mut guard).await?.inspect().await
    }

    /// Returns a page of dead letters, oldest first, each with its cursor.
    pub async fn dead(
        &self,
        after: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<(String, Letter)>, Problem> {
        let mut guard = self.slot.subscription.lock().await;
        self.loaded(&mut guard).await?.letters(after, limit).await
    }

    /// Delivers a dead letter once more.
    pub async fn replay(&self, place: Position) -> Result<(), Problem> {
        let mut guard = self.slot.subscription.lock().await;
        self.loaded(&mut guard).await?.replay(place).await?;
        drop(guard);
        self.slot.bell.notify_waiters();
        Ok(())
    }

    /// Tells how one record stands.
    pub async fn standing(&self, place: &Position) -> Result<(Standing, Option<Letter>), Problem> {
        let mut guard = self.slot.subscription.lock().await;
        self.loaded(&mut guard).await?.standing(place).await
    }

    /// Returns how whole contexts are shown to its consumers.
    pub fn shape(&self) -> Shape {
        Shape::whole(&self.principal)
    }
}
