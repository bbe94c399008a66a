//! The live subscriptions of a node: how far each lies behind, and by what it chooses, for whoever
//! asks why it heard of a change or did not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use syncline_delivery::{Feed, Gauge, Item, Terms};
use syncline_engine::{Principal, Told, Workspace};
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
    /// It hears of what comes after this.
    pub began: Seq,
    gauge: Option<Gauge>,
    place: AtomicU64,
    sent: AtomicU64,
    lagging: AtomicBool,
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
        let began = feed.place().seq;
        let sub = Arc::new(LiveSub {
            connection: connection.to_owned(),
            sub: sub.to_owned(),
            workspace: workspace.clone(),
            principal: principal.id.clone(),
            terms: feed.terms(),
            began,
            gauge: feed.gauge(),
            place: AtomicU64::new(began.0),
            sent: AtomicU64::new(0),
            lagging: AtomicBool::new(false),
        });
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

    /// Says whether it fell behind what is at hand.
    pub fn is_lagging(&self) -> bool {
        self.lagging.load(Ordering::Relaxed)
    }
}

impl Listed {
    /// Notes a page that is handed over, and where the feed is after it.
    pub fn note(&self, feed: &Feed, items: &[Item]) {
        let sub = &self.sub;
        sub.place.store(feed.place().seq.0, Ordering::Relaxed);
        sub.lagging.store(feed.is_lagging(), Ordering::Relaxed);
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
