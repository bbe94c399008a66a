//! The live subscriptions of a node: how far each lies behind, and by what it chooses, for whoever
//! asks why it heard of a change or did not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use syncline_delivery::{Feed, Gauge, Item, QUEUE_MAX, Shape, Terms, Waits};
use syncline_engine::{Entry, Principal, Told, Workspace};
use syncline_model::ids::{PrincipalId, Seq};

/// A connection's id, and the subscription's on it.
type Key = (String, String);

/// The live subscriptions of a node.
#[derive(Default)]
pub(crate) struct Live {
    subs: Arc<Mutex<BTreeMap<Key, Arc<LiveSub>>>>,
}

/// One of them.
pub(crate) struct LiveSub {
    pub connection: String,
    pub sub: String,
    pub workspace: Workspace,
    pub principal: PrincipalId,
    pub terms: Terms,
    pub shape: Shape,
    /// It hears of what comes after this.
    pub began: Seq,
    gauge: Option<Gauge>,
    waits: Waits,
    place: AtomicU64,
    sent: AtomicU64,
    /// It was told that it fell behind.
    lagging: AtomicBool,
    /// It has been at the tail, so falling behind is news.
    was_live: AtomicBool,
}

/// A live subscription's place in the list; it is gone once this is dropped.
pub(crate) struct Listed {
    sub: Arc<LiveSub>,
    subs: Arc<Mutex<BTreeMap<Key, Arc<LiveSub>>>>,
}

impl Live {
    /// Lists a subscription that begins.
    pub fn list(
        &self,
        (connection, sub): (&str, &str),
        workspace: &Workspace,
        principal: &Principal,
        feed: &Feed,
    ) -> Listed {
        let key = (connection.to_owned(), sub.to_owned());
        let sub = Arc::new(LiveSub::of(key, workspace, &principal.id, feed));
        locked(&self.subs).insert(sub.key(), sub.clone());
        Listed {
            sub,
            subs: self.subs.clone(),
        }
    }

    /// Returns all of them, by connection.
    pub fn all(&self) -> Vec<Arc<LiveSub>> {
        locked(&self.subs).values().cloned().collect()
    }

    /// Finds a principal's own.
    pub fn find(&self, principal: &Principal, connection: &str, sub: &str) -> Option<Arc<LiveSub>> {
        let key = (connection.to_owned(), sub.to_owned());
        let found = locked(&self.subs).get(&key).cloned();
        found.filter(|found| found.principal == principal.id)
    }
}

impl LiveSub {
    fn of(
        (connection, sub): Key,
        workspace: &Workspace,
        principal: &PrincipalId,
        feed: &Feed,
    ) -> LiveSub {
        let began = feed.place().seq;
        LiveSub {
            connection,
            sub,
            workspace: workspace.clone(),
            principal: principal.clone(),
            terms: feed.terms(),
            shape: feed.shape(),
            began,
            gauge: feed.gauge(),
            waits: feed.waits(),
            place: AtomicU64::new(began.0),
            sent: AtomicU64::new(0),
            lagging: AtomicBool::new(false),
            was_live: AtomicBool::new(false),
        }
    }

    fn key(&self) -> Key {
        (self.connection.clone(), self.sub.clone())
    }

    /// Returns the place up to which it was read for.
    pub fn place(&self) -> Seq {
        Seq(self.place.load(Ordering::Relaxed))
    }

    /// Returns how many records wait for it: what the router knows not to be for it is no delay.
    pub fn behind(&self) -> u64 {
        if let Some(gauge) = &self.gauge {
            return gauge.behind(self.place());
        }
        let tail = self.workspace.tail().seq;
        tail.0.saturating_sub(self.place().0)
    }

    /// Returns how many changes it was sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns how long a change that was judged waits still, to become one with later ones; `None`
    /// where it does not.
    pub fn waits(&self, entry: &Entry) -> Option<Duration> {
        self.waits.rest(&entry.change.line(), entry.seq)
    }

    /// Says whether it fell behind what is at hand: it was told so, or will be once it takes
    /// anything again.
    pub fn is_lagging(&self) -> bool {
        let fell = || self.was_live.load(Ordering::Relaxed) && self.behind() > QUEUE_MAX as u64;
        self.lagging.load(Ordering::Relaxed) || fell()
    }
}

impl Listed {
    /// Goes on with another feed, which begins anew for the same reader.
    pub fn begin_again(&mut self, feed: &Feed) {
        let before = &self.sub;
        let sub = LiveSub::of(before.key(), &before.workspace, &before.principal, feed);
        sub.sent.store(before.sent(), Ordering::Relaxed);
        self.sub = Arc::new(sub);
        locked(&self.subs).insert(self.sub.key(), self.sub.clone());
    }

    /// Notes a page that is handed over, and where the feed is after it.
    pub fn note(&self, feed: &Feed, items: &[Item]) {
        let sub = &self.sub;
        sub.place.store(feed.place().seq.0, Ordering::Relaxed);
        sub.lagging.store(feed.is_lagging(), Ordering::Relaxed);
        sub.was_live.store(feed.was_live(), Ordering::Relaxed);
        let entries = || items.iter().filter_map(Item::entry).map(|entry| &**entry);
        // A live reader is found and handed over to in one.
        sub.workspace.count_told(Told::Wanted, entries());
        sub.workspace.count_told(Told::Delivered, entries());
        sub.sent
            .fetch_add(entries().count() as u64, Ordering::Relaxed);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        locked(&self.subs).remove(&self.sub.key());
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing panics while the live subscriptions are locked")
}
