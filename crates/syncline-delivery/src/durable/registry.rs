//! The durable subscriptions of a node, by workspace and name.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use syncline_api::{Code, From, Problem};
use syncline_engine::{Entry, Principal, SUBSCRIPTION_KIND, Workspace, subscription_address};
use syncline_model::change::Receipt;
use syncline_model::cursor::Position;
use syncline_model::head::Head;
use syncline_model::ids::{Kind, Seq, WorkspaceId};
use syncline_model::json::{Json, Object};
use syncline_model::proposal::Proposal;
use syncline_store::{ContextList, ListQuery, Sort};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::dead::{self, Letter};
use super::definition::Definition;
use super::standing::Standing;
use super::subscription::{self, Asked, Given, Inspection, Subscription, SubscriptionCounts};
use super::window::Consumer;
use crate::item::Shape;

type Key = (WorkspaceId, String);

/// The durable subscriptions that were asked for since the node started.
#[derive(Default)]
pub struct Durables {
    open: Mutex<HashMap<Key, Arc<Slot>>>,
    /// Held while one is made: two calls must not each find room for the last.
    making: tokio::sync::Mutex<()>,
    /// How many dead letters there are by name, as they were counted last.
    dead: tokio::sync::Mutex<HashMap<WorkspaceId, BTreeMap<String, usize>>>,
}

/// One name.
#[derive(Default)]
struct Slot {
    /// Held across reads and writes of the store: what is done to a subscription is done one at a
    /// time, and each step keeps what it decided before the next begins.
    subscription: tokio::sync::Mutex<Option<Subscription>>,
    /// Its definition was taken back, and what was kept of it is forgotten.
    removed: AtomicBool,
    /// Rings when something was acknowledged, given back or moved.
    bell: Notify,
}

/// A durable subscription, as doors use it. Cheap to clone.
#[derive(Clone)]
pub struct Durable {
    slot: Arc<Slot>,
    workspace: Workspace,
    principal: Principal,
    name: String,
    head: Arc<Head>,
}

impl Durables {
    /// Defines a subscription, or defines it anew; a principal has at most `max` of them.
    pub async fn define(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        (name, definition): (&str, &Definition),
        proposal: Proposal,
        max: usize,
    ) -> Result<Receipt, Problem> {
        let _one_at_a_time = self.making.lock().await;
        let head = workspace.head_if_any(&subscription_address(name)?).await?;
        let is_new = head.is_none_or(|head| head.deleted);
        if is_new && owned(workspace, principal, max).await? >= max {
            let who = &principal.id;
            let detail = format!("{who} has {max} durable subscriptions, as many as it may");
            return Err(Problem::new(Code::TooMany, detail)
                .hint("take one back that nobody asks for any more")
                .limit(max as u64, "max_durable_subscriptions"));
        }
        if is_new {
            // One of that name may have been taken back by a node that stopped halfway.
            let slot = self.slot(workspace, name);
            self.forget(workspace, name, &slot).await?;
        }
        workspace
            .put_subscription(principal, name, &definition.to_json(), proposal)
            .await
    }

    /// Finds a subscription that is defined and that the principal may see.
    pub async fn find(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        name: &str,
    ) -> Result<Durable, Problem> {
        let head = workspace.subscription(principal, name).await?;
        Ok(Durable {
            slot: self.slot(workspace, name),
            workspace: workspace.clone(),
            principal: principal.clone(),
            name: name.to_owned(),
            head,
        })
    }

    fn slot(&self, workspace: &Workspace, name: &str) -> Arc<Slot> {
        let key = (workspace.id().clone(), name.to_owned());
        self.lock().entry(key).or_default().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Slot>>> {
        self.open
            .lock()
            .expect("nothing panics while the subscriptions are locked")
    }

    /// Counts those that were asked for since the node started, by workspace and name. One that
    /// is at work this very moment is left out: nobody waits for a count.
    pub fn counts(&self) -> Vec<SubscriptionCounts> {
        let slots: Vec<Arc<Slot>> = self.lock().values().cloned().collect();
        let counted = slots.iter().filter_map(|slot| {
            let guard = slot.subscription.try_lock().ok()?;
            guard.as_ref().map(Subscription::counts)
        });
        let mut counts: Vec<_> = counted.collect();
        counts.sort_by(|a, b| (&a.workspace, &a.name).cmp(&(&b.workspace, &b.name)));
        counts
    }

    /// Counts the dead letters of a workspace's subscriptions, by name; those that have none are
    /// left out.
    ///
    /// The store is read at the first call alone. Whatever adds or takes letters later does so
    /// through a subscription that is open here; one that is at work this very moment stays as it
    /// was counted last.
    pub async fn dead_letters(
        &self,
        workspace: &Workspace,
    ) -> Result<BTreeMap<String, usize>, Problem> {
        let mut all = self.dead.lock().await;
        if !all.contains_key(workspace.id()) {
            let counted = dead::count_all(workspace).await?;
            all.insert(workspace.id().clone(), counted);
        }
        let known = all.entry(workspace.id().clone()).or_default();
        let open: Vec<(String, Arc<Slot>)> = self
            .lock()
            .iter()
            .filter(|((id, _), _)| id == workspace.id())
            .map(|((_, name), slot)| (name.clone(), slot.clone()))
            .collect();
        for (name, slot) in open {
            if let Ok(guard) = slot.subscription.try_lock()
                && let Some(subscription) = guard.as_ref()
            {
                known.insert(name, subscription.dead());
            }
        }
        known.retain(|_, count| *count > 0);
        Ok(known.clone())
    }

    /// Forgets what is kept of a subscription whose definition was taken back.
    pub async fn remove(&self, durable: Durable) -> Result<(), Problem> {
        self.forget(&durable.workspace, &durable.name, &durable.slot)
            .await
    }

    async fn forget(
        &self,
        workspace: &Workspace,
        name: &str,
        slot: &Arc<Slot>,
    ) -> Result<(), Problem> {
        let mut guard = slot.subscription.lock().await;
        if slot.removed.load(Ordering::SeqCst) {
            return Ok(());
        }
        subscription::forget(workspace, name).await?;
        *guard = None;
        slot.removed.store(true, Ordering::SeqCst);
        self.lock().retain(|_, known| !Arc::ptr_eq(known, slot));
        if let Some(known) = self.dead.lock().await.get_mut(workspace.id()) {
            known.remove(name);
        }
        slot.bell.notify_waiters();
        Ok(())
    }
}

/// Counts the definitions of a principal, up to `max`.
async fn owned(workspace: &Workspace, principal: &Principal, max: usize) -> Result<usize, Problem> {
    let mut query = ListQuery {
        contexts: ContextList {
            kind: Some(Kind::parse(SUBSCRIPTION_KIND).expect("it is a kind")),
            ..ContextList::default()
        },
        sort: Sort::default(),
        after: None,
        limit: workspace.settings().page_max,
        bodies: true,
    };
    let mut count = 0;
    while count < max {
        let page = workspace.list(principal, query.clone()).await?;
        let owner = |head: &Head| head.document.owner().unwrap_or(head.actor.id.clone());
        let own = page.heads.iter().filter(|head| owner(head) == principal.id);
        count += own.count();
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    Ok(count)
}

impl Durable {
    /// Returns the subscription, taken up where it was left, and by today's definition.
    async fn loaded<'a>(
        &self,
        subscription: &'a mut Option<Subscription>,
    ) -> Result<&'a mut Subscription, Problem> {
        if self.slot.removed.load(Ordering::SeqCst) {
            let detail = format!("the durable subscription \"{}\" was taken back", self.name);
            return Err(Problem::new(Code::NotFound, detail));
        }
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
    pub async fn next(&self, asked: &Asked, deadline: Instant) -> Result<Vec<Given>, Problem> {
        let mut taken = self.take(asked, deadline).await?;
        let all = taken.len();
        self.hand_over(&asked.consumer, &mut taken, all).await?;
        Ok(taken)
    }

    /// Takes what is there; waits for the first until the deadline. [`Durable::hand_over`] says how
    /// much of it is delivered.
    ///
    /// Whoever drops this may find that something was taken by nobody: that comes again after the
    /// ack wait.
    pub async fn take(&self, asked: &Asked, deadline: Instant) -> Result<Vec<Given>, Problem> {
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

    /// Delivers the first of what a consumer took, and leaves these in `taken`; the rest is put back
    /// as if it had never been taken.
    pub async fn hand_over(
        &self,
        consumer: &Consumer,
        taken: &mut Vec<Given>,
        count: usize,
    ) -> Result<(), Problem> {
        let back = count < taken.len();
        let mut guard = self.slot.subscription.lock().await;
        let subscription = self.loaded(&mut guard).await?;
        subscription.hand_over(consumer, taken, count).await?;
        drop(guard);
        if back {
            self.slot.bell.notify_waiters();
        }
        Ok(())
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
        self.loaded(&mut guard)
            .await?
            .replay(&self.principal, place)
            .await?;
        drop(guard);
        self.slot.bell.notify_waiters();
        Ok(())
    }

    /// Tells how one record stands.
    pub async fn standing(&self, entry: &Entry) -> Result<(Standing, Option<Letter>), Problem> {
        let mut guard = self.slot.subscription.lock().await;
        self.loaded(&mut guard).await?.standing(entry).await
    }

    /// Returns how whole contexts are shown to its consumers.
    pub fn shape(&self) -> Shape {
        Shape::whole(&self.principal)
    }
}
