//! A follower: what a client keeps of a subscription, and the proof that it missed nothing.

use std::collections::BTreeMap;

use syncline_api::{From, Scope};
use syncline_delivery::{Feed, FeedRequest, Item};
use syncline_engine::Principal;
use syncline_merge::{ApplyLimits, Patch};
use syncline_model::change::{ChangeType, Effect};
use syncline_model::ids::{Address, Seq, Version};
use syncline_model::json::{Json, Pointer};

use crate::{Dice, Node};

/// A client's copy of a scope.
pub struct Follower {
    pub scope: Scope,
    pub held: BTreeMap<Address, (Version, Json)>,
    pub resets: usize,
    pub wrong: Vec<String>,
    feed: Option<Feed>,
    cursor: Option<String>,
    last: Seq,
    in_bulk: bool,
    /// Where the log ended when the last snapshot page came: pages are of different moments, so
    /// up to here a change may be of what was gone when its page was read. That must be told.
    fuzzy_until: Seq,
    gone_unsaid: BTreeMap<Address, String>,
}

impl Follower {
    pub fn new(scope: Scope) -> Follower {
        let (held, wrong) = (BTreeMap::new(), Vec::new());
        Follower {
            scope,
            held,
            resets: 0,
            wrong,
            feed: None,
            cursor: None,
            last: Seq::ZERO,
            in_bulk: false,
            fuzzy_until: Seq::ZERO,
            gone_unsaid: BTreeMap::new(),
        }
    }

    async fn connect(&mut self, node: &Node) {
        let from = match &self.cursor {
            Some(cursor) => From::Cursor(cursor.clone()),
            None => From::Snapshot,
        };
        let request = FeedRequest::new(self.scope.clone(), from);
        let owner = Principal::owner();
        let (feed, opening) = Feed::open(node.workspace.clone(), owner, request)
            .await
            .unwrap();
        if opening.snapshot {
            self.held.clear();
            self.cursor = None;
        }
        self.feed = Some(feed);
    }

    /// Reads some pages, and sometimes loses the connection in the middle of one.
    pub async fn follow(&mut self, node: &Node, dice: &mut Dice) {
        for _ in 0..=dice.roll(4) {
            if self.feed.is_none() {
                self.connect(node).await;
            }
            let items_max = 1 + dice.roll(20) as usize;
            let Some(feed) = &mut self.feed else { return };
            let items = match dice.roll(2) {
                0 => feed.next_page(items_max, 1 << 20).await.unwrap(),
                _ => feed.next_part(items_max, 1 << 20).await.unwrap(),
            };
            if items.is_empty() {
                // At the tail: the high-water cursor is as good as a change's.
                self.cursor = Some(feed.cursor());
                return;
            }
            // A heartbeat may come at any time, also between the parts of a bulk.
            let beat = (dice.roll(4) == 0).then(|| feed.cursor());
            for item in items {
                if dice.roll(60) == 0 {
                    self.drop_connection();
                    return;
                }
                if matches!(item, Item::Snapshot { .. }) {
                    self.fuzzy_until = node.workspace.tail().seq;
                    self.gone_unsaid.clear();
                }
                self.take(item);
            }
            if let (Some(beat), Some(_)) = (beat, &self.cursor) {
                self.cursor = Some(beat);
            }
        }
    }

    fn drop_connection(&mut self) {
        self.feed = None;
        if self.in_bulk {
            // Parts without their end: what was seen of the bulk comes again.
            self.in_bulk = false;
            self.last = Seq::ZERO;
        }
        if self.cursor.is_none() {
            self.held.clear();
        }
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Snapshot {
                contexts,
                last,
                cursor,
            } => {
                for head in contexts.iter().filter(|head| !head.deleted) {
                    self.held.insert(
                        head.address.clone(),
                        (head.version, head.document.to_json()),
                    );
                }
                if last {
                    self.cursor = cursor;
                }
            }
            Item::Change(change) => {
                self.in_order(change.entry.seq);
                self.apply(&change.entry.change);
                if change.entry.change.bulk.is_none() {
                    self.cursor = Some(change.entry.cursor().to_owned());
                }
            }
            Item::Enter {
                head,
                entry,
                cursor,
            } => {
                self.in_order(entry.seq);
                self.gone_unsaid.remove(&head.address);
                self.held.insert(
                    head.address.clone(),
                    (head.version, head.document.to_json()),
                );
                self.cursor = cursor.or(self.cursor.take());
            }
            Item::Leave { entry, cursor } => {
                let line = entry.change.line();
                self.in_order(entry.seq);
                self.held.remove(&*line);
                self.gone_unsaid.remove(&*line);
                self.cursor = cursor.or(self.cursor.take());
            }
            Item::Begin { .. } => self.in_bulk = true,
            Item::End { cursor, .. } => {
                self.in_bulk = false;
                self.cursor = Some(cursor);
            }
            Item::Lagging => {}
            Item::Reset(_) => {
                self.resets += 1;
                self.gone_unsaid.clear();
                self.cursor = None;
                self.held.clear();
                self.feed = None;
            }
        }
    }

    /// Returns what was wrong, once the follower is at the tail.
    pub fn wrong(&mut self) -> Vec<String> {
        let unsaid = std::mem::take(&mut self.gone_unsaid);
        self.wrong.extend(unsaid.into_values());
        std::mem::take(&mut self.wrong)
    }

    fn in_order(&mut self, seq: Seq) {
        if seq <= self.last {
            self.wrong.push(format!("{seq} came after {}", self.last));
        }
        self.last = seq;
    }

    fn apply(&mut self, change: &syncline_model::change::Change) {
        let held = self.held.get(&change.context).cloned();
        // After a snapshot in fuzzy pages, what is not above the version held is dropped.
        if held
            .as_ref()
            .is_some_and(|(version, _)| *version >= change.version)
        {
            return;
        }
        let document = match (&change.effect, held) {
            (Effect::Snapshot(document), _) => {
                self.gone_unsaid.remove(&change.context);
                document.clone()
            }
            (Effect::Gone, _) => {
                self.held.remove(&change.context);
                self.gone_unsaid.remove(&change.context);
                return;
            }
            (Effect::Patch(patch), Some((version, document))) => {
                if version != change.from {
                    let what = format!(
                        "{} holds {version}, and the change is from {}",
                        change.context, change.from
                    );
                    self.wrong.push(what);
                }
                let patch = Patch::from_json(patch, &Pointer::root(), usize::MAX).unwrap();
                let limits = ApplyLimits {
                    depth_max: 200,
                    weight_max: usize::MAX,
                };
                match patch.apply(&document, &limits) {
                    Ok(document) => document,
                    Err(error) => {
                        self.wrong
                            .push(format!("{} v{}: {error}", change.context, change.version));
                        return;
                    }
                }
            }
            (Effect::Patch(_), None) => {
                let what = format!(
                    "{} v{} patches what was never sent",
                    change.context, change.version
                );
                assert_eq!(change.kind, ChangeType::Update);
                if self.last <= self.fuzzy_until {
                    self.gone_unsaid.insert(change.context.clone(), what);
                } else {
                    self.wrong.push(what);
                }
                return;
            }
        };
        self.held
            .insert(change.context.clone(), (change.version, document));
    }
}
