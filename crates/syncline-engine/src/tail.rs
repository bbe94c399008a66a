//! The tail: the end of a log that readers may see, and the recent records at hand.
//!
//! Recent records are shared: a change is read from the store, opened and encoded at most once,
//! however many readers there are. Readers that fell behind it read the store.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use syncline_api::{Mode, write_change};
use syncline_model::change::{Change, Effect};
use syncline_model::cursor::{CursorKey, Position, Tag8};
use syncline_model::ids::{Address, Epoch, Seq};
use syncline_model::json::{Json, JsonWriter};
use tokio::sync::watch;

use crate::told::Counts;

/// A record as readers see it.
#[derive(Debug)]
pub struct Entry {
    /// Its place.
    pub seq: Seq,
    /// The first bytes of its hash.
    pub tag: Tag8,
    /// The change.
    pub change: Change,
    epoch: Epoch,
    key: Arc<CursorKey>,
    cursor: OnceLock<Box<str>>,
    numbered: OnceLock<Arc<str>>,
    unnumbered: OnceLock<Arc<str>>,
    pub(crate) counts: Counts,
    /// How many bytes fewer its patch has than the document.
    saved: usize,
}

impl Entry {
    pub(crate) fn new(
        seq: Seq,
        tag: Tag8,
        change: Change,
        epoch: Epoch,
        key: Arc<CursorKey>,
    ) -> Entry {
        let (cursor, numbered, unnumbered) = Default::default();
        Entry {
            seq,
            tag,
            change,
            epoch,
            key,
            cursor,
            numbered,
            unnumbered,
            counts: Counts::default(),
            saved: 0,
        }
    }

    pub(crate) fn note_document(&mut self, bytes: usize) {
        if let Effect::Patch(patch) = &self.change.effect {
            self.saved = bytes.saturating_sub(patch.weight());
        }
    }

    /// Returns by how many bytes its patch is less than the document, where that is known; nothing
    /// for what is no patch.
    pub fn saved(&self) -> Option<usize> {
        matches!(self.change.effect, Effect::Patch(_)).then_some(self.saved)
    }

    /// Returns the place after this record.
    pub fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            seq: self.seq,
            tag: self.tag,
        }
    }

    /// Returns the change's cursor, sealed once.
    pub fn cursor(&self) -> &str {
        self.cursor
            .get_or_init(|| self.key.seal(&self.position()).into())
    }

    /// Returns the change as delta readers get it, encoded once for those who may read the whole
    /// workspace and once for all others; parts of a bulk carry no cursor.
    pub fn delta_json(&self, with_seq: bool) -> &Arc<str> {
        let cell = match with_seq {
            true => &self.numbered,
            false => &self.unnumbered,
        };
        cell.get_or_init(|| {
            let mut w = JsonWriter::with_capacity(512);
            let cursor = self.change.bulk.is_none().then(|| self.cursor());
            write_change(
                &mut w,
                &self.change,
                with_seq.then_some(self.seq),
                cursor,
                Mode::Delta,
                true,
                false,
            );
            w.into_string().into()
        })
    }

    /// Returns about how many bytes it takes in memory.
    pub fn weight(&self) -> usize {
        let effect = match &self.change.effect {
            Effect::Patch(json) | Effect::Snapshot(json) => json.weight(),
            Effect::Gone => 0,
        };
        // An item that is put in among a long list is little, but the intent keeps the list.
        let intent = &self.change.intent;
        let old = intent.old.iter().filter_map(|(_, value)| value.as_ref());
        let kept: usize = old.chain(&intent.body).map(Json::weight).sum();
        // The encoded forms of the effect, and the parsed form of all.
        1_024 + 4 * (effect + kept)
    }
}

/// All workspaces together have so many times the room of one.
const ROOMS: usize = 8;

/// The room that recent records may take.
#[derive(Debug)]
pub(crate) struct Room {
    /// For those of one workspace.
    each: usize,
    taken: AtomicUsize,
    tails: AtomicUsize,
}

impl Room {
    pub(crate) fn new(each: usize) -> Room {
        Room {
            each,
            taken: AtomicUsize::new(0),
            tails: AtomicUsize::new(0),
        }
    }

    /// Says whether a workspace has more than it may keep. Once all is taken that is an even
    /// share: what is kept for those that were busy earlier goes when they are written to again.
    fn is_over(&self, own: usize) -> bool {
        let all = self.each.saturating_mul(ROOMS);
        let share = all / self.tails.load(Ordering::Relaxed).max(1);
        own > self.each || (own > share && self.taken.load(Ordering::Relaxed) > all)
    }

    fn take(&self, bytes: usize) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The shared tail of one workspace's log.
#[derive(Debug)]
pub struct Tail {
    recent: Mutex<Recent>,
    end: watch::Sender<Position>,
    /// Up to where configuration is known to have changed.
    configured: watch::Sender<Seq>,
    room: Arc<Room>,
}

#[derive(Debug, Default)]
struct Recent {
    entries: VecDeque<(Arc<Entry>, usize)>,
    bytes: usize,
}

impl Tail {
    pub(crate) fn new(end: Position, room: Arc<Room>) -> Tail {
        room.tails.fetch_add(1, Ordering::Relaxed);
        Tail {
            recent: Mutex::default(),
            end: watch::Sender::new(end),
            configured: watch::Sender::new(end.seq),
            room,
        }
    }

    /// Returns the end that readers may see.
    pub fn end(&self) -> Position {
        *self.end.borrow()
    }

    /// Rings at each move of the tail.
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.end.subscribe()
    }

    /// Rings when a context of a built-in kind changed, and when the log may be another: whoever
    /// acts by such contexts need not wake up for each write.
    pub fn watch_configuration(&self) -> watch::Receiver<Seq> {
        self.configured.subscribe()
    }

    /// Adds committed records, then moves the tail, then rings: in that order, so that whoever
    /// hears the bell finds them.
    pub(crate) fn push(&self, entries: Vec<Arc<Entry>>) {
        let Some(last) = entries.last() else { return };
        let end = last.position();
        let mut changes = entries.iter().map(|entry| &entry.change);
        let configures = changes.any(|change| change.context.is_built_in());
        {
            let mut recent = self.lock();
            for entry in entries {
                let weight = entry.weight();
                recent.bytes += weight;
                self.room.take(weight);
                recent.entries.push_back((entry, weight));
            }
            while self.room.is_over(recent.bytes) && recent.entries.len() > 1 {
                if let Some((_, weight)) = recent.entries.pop_front() {
                    recent.bytes -= weight;
                    self.room.give_back(weight);
                }
            }
        }
        self.end.send_replace(end);
        if configures {
            self.configured.send_replace(end.seq);
        }
    }

    /// Keeps records that the store was read for, where they end at those at hand and there is
    /// room: many readers come back at once after a restart, each a little behind.
    pub(crate) fn put_back(&self, entries: &[Arc<Entry>]) {
        let Some(last) = entries.last() else { return };
        let mut recent = self.lock();
        let adjoins = match recent.entries.front() {
            Some((first, _)) => last.epoch == first.epoch && last.seq.next() == first.seq,
            None => last.position() == *self.end.borrow(),
        };
        for entry in entries.iter().rev().take_while(|_| adjoins) {
            let weight = entry.weight();
            self.room.take(weight);
            if self.room.is_over(recent.bytes + weight) {
                return self.room.give_back(weight);
            }
            recent.bytes += weight;
            recent.entries.push_front((entry.clone(), weight));
        }
    }

    /// Forgets what is at hand and takes another end: after recovery, or with a new epoch.
    pub(crate) fn reset(&self, end: Position) {
        let forgotten = std::mem::take(&mut *self.lock());
        self.room.give_back(forgotten.bytes);
        self.end.send_replace(end);
        self.configured.send_replace(end.seq);
    }

    /// Returns up to `limit` records after `after`, if they are at hand without a gap.
    pub fn recent(&self, after: Seq, limit: usize) -> Option<Vec<Arc<Entry>>> {
        let recent = self.lock();
        let Some((first, _)) = recent.entries.front() else {
            return (after >= self.end.borrow().seq).then(Vec::new);
        };
        let skip = usize::try_from(after.next().0.checked_sub(first.seq.0)?).ok()?;
        // An entry that is there but past the end was pushed by a call that has not rung yet.
        let entries = recent.entries.iter().skip(skip).take(limit);
        Some(entries.map(|(entry, _)| entry.clone()).collect())
    }

    /// Returns the newest records that are at hand, at most so many.
    pub(crate) fn newest(&self, limit: usize) -> Vec<Arc<Entry>> {
        let recent = self.lock();
        let skip = recent.entries.len().saturating_sub(limit);
        let entries = recent.entries.iter().skip(skip);
        entries.map(|(entry, _)| entry.clone()).collect()
    }

    /// Says whether any record after `seq` is of the context; `None` where not all are at hand.
    pub(crate) fn touched_since(&self, seq: Seq, address: &Address) -> Option<bool> {
        let recent = self.lock();
        let first = match recent.entries.front() {
            Some((first, _)) => first.seq,
            None => return (seq >= self.end.borrow().seq).then_some(false),
        };
        let skip = usize::try_from(seq.next().0.checked_sub(first.0)?).ok()?;
        let mut since = recent.entries.iter().skip(skip);
        Some(since.any(|(entry, _)| *entry.change.line() == *address))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent
            .lock()
            .expect("nothing panics while the recent records are locked")
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.room.give_back(self.lock().bytes);
        self.room.tails.fetch_sub(1, Ordering::Relaxed);
    }
}
