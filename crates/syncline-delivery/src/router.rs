//! The router: who may want to hear of a new record, found once for all, so that nobody else is
//! woken by it.
//!
//! Each workspace has one task that reads the log's end, asks the index, and puts the record's seq
//! into the queues of those who may want it. A feed that keeps up takes its seqs and looks at these
//! records alone. A feed that is new, or whose queue overflowed, reads the log from its place up to
//! where its queue is whole again, and goes on from the queue: to register, to buffer, to read, to
//! merge and to go live are the same thing at any time. What is in no queue up to the place that
//! was routed is for nobody there, so feeds that hear nothing move on, too.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use syncline_engine::{Entry, Workspace};
use syncline_model::cursor::Position;
use syncline_model::ids::{Seq, WorkspaceId};
use syncline_model::proposal::Priority;
use syncline_rules::Index;
use tokio::sync::{Notify, watch};

use crate::feed::Feed;

/// Bounds a subscription's queue, in messages (DESIGN, section 10). It holds seqs only: the bytes
/// are the log's.
pub const QUEUE_MAX: usize = 4_096;
/// Bounds how many records are routed before their feeds are rung.
const BATCH_MAX: usize = 256;

/// The routers of all workspaces of a node.
#[derive(Default)]
pub struct Router {
    boards: Mutex<HashMap<WorkspaceId, Arc<Board>>>,
}

/// Who follows one workspace.
struct Board {
    workspace: Workspace,
    state: Mutex<State>,
    /// All up to here is in the queues of those who may want it. Set while the state is locked.
    routed: Mutex<Position>,
}

struct State {
    index: Index<u64>,
    queues: HashMap<u64, Arc<Queue>>,
    next: u64,
}

/// What may be for one feed and was not looked at yet.
struct Queue {
    bell: Arc<Notify>,
    waiting: Mutex<Waiting>,
}

struct Waiting {
    seqs: VecDeque<(Seq, Priority)>,
    /// Up to here the queue may lack something, and the log is read.
    whole_after: Seq,
    /// The feed was rung and did not look yet.
    rung: bool,
}

/// What a feed looks at next.
pub enum Step {
    /// The log: the queue is not whole from there on.
    Log,
    /// These records; then nothing up to `then` is for it.
    Records {
        seqs: Vec<Seq>,
        then: Option<Position>,
    },
}

/// A feed's place at the router; without it nothing more is queued.
pub struct Route {
    board: Arc<Board>,
    queue: Arc<Queue>,
    key: u64,
}

impl Router {
    /// Lets a feed hear of what may be for it alone, by ringing `bell`.
    ///
    /// One that takes everything is not routed: whoever drives it listens to the tail.
    pub fn follow(&self, feed: &mut Feed, bell: &Arc<Notify>) {
        if feed.takes_everything() {
            return;
        }
        let board = self.board(&feed.workspace);
        let route = board.register(feed, bell.clone());
        feed.follow(route);
    }

    fn board(&self, workspace: &Workspace) -> Arc<Board> {
        let mut boards = locked(&self.boards);
        let board = boards.entry(workspace.id().clone()).or_insert_with(|| {
            let board = Arc::new(Board::new(workspace.clone()));
            tokio::spawn(run(Arc::downgrade(&board), workspace.tail_watch()));
            board
        });
        board.clone()
    }
}

/// Routes what is new until the board or the workspace is gone. It keeps neither of them: a node
/// that stops waits for its committers, and these for all who may still submit.
async fn run(board: Weak<Board>, mut tail: watch::Receiver<Position>) {
    loop {
        tail.mark_unchanged();
        match board.upgrade() {
            Some(board) => board.catch_up().await,
            None => return,
        }
        if tail.changed().await.is_err() {
            return;
        }
    }
}

impl Board {
    fn new(workspace: Workspace) -> Board {
        let state = State {
            index: Index::new(),
            queues: HashMap::new(),
            next: 0,
        };
        Board {
            routed: Mutex::new(workspace.tail()),
            workspace,
            state: Mutex::new(state),
        }
    }

    fn register(self: &Arc<Board>, feed: &Feed, bell: Arc<Notify>) -> Route {
        let mut state = locked(&self.state);
        let key = state.next;
        state.next += 1;
        let (scope, inherited) = feed.scope();
        state.index.insert(key, scope, inherited, feed.matcher());
        let queue = Arc::new(Queue {
            bell,
            waiting: Mutex::new(Waiting {
                seqs: VecDeque::new(),
                // What was routed before is in the log alone.
                // And what is at hand by now is not waited for, for the sake of who reads its own
                // writes.
                whole_after: locked(&self.routed).seq.max(self.workspace.tail().seq),
                rung: false,
            }),
        });
        state.queues.insert(key, queue.clone());
        Route {
            board: self.clone(),
            queue,
            key,
        }
    }

    /// Routes up to the tail.
    async fn catch_up(&self) {
        loop {
            let routed = *locked(&self.routed);
            let tail = self.workspace.tail();
            if routed.epoch != tail.epoch {
                return self.begin_again(tail);
            }
            if routed.seq >= tail.seq {
                return;
            }
            match self.workspace.read_log(routed.seq, BATCH_MAX).await {
                Ok(entries) if !entries.is_empty() => self.route(&entries),
                // They are read again by those whom they concern, who can say what is wrong.
                Ok(_) | Err(_) => return self.begin_again(tail),
            }
        }
    }

    /// Puts records into the queues of those who may want them.
    fn route(&self, entries: &[Arc<Entry>]) {
        let Some(last) = entries.last() else { return };
        let mut rung: Vec<Arc<Notify>> = Vec::new();
        let mut found = Vec::new();
        {
            let state = locked(&self.state);
            for entry in entries {
                found.clear();
                state.index.find(&entry.change, &mut found);
                for key in &found {
                    let Some(queue) = state.queues.get(key) else {
                        continue;
                    };
                    if queue.push(entry.seq, entry.change.priority) {
                        rung.push(queue.bell.clone());
                    }
                }
            }
            // Only now: whoever sees this place finds all up to it in its queue.
            *locked(&self.routed) = last.position();
        }
        rung.iter().for_each(|bell| bell.notify_one());
    }

    /// Sends all feeds to the log: what lies before this place was not routed.
    fn begin_again(&self, tail: Position) {
        let state = locked(&self.state);
        *locked(&self.routed) = tail;
        for queue in state.queues.values() {
            queue.lose(tail.seq);
            queue.bell.notify_one();
        }
    }
}

impl Queue {
    /// Appends a record; says whether its feed must be rung.
    fn push(&self, seq: Seq, priority: Priority) -> bool {
        let mut waiting = locked(&self.waiting);
        if waiting.seqs.len() >= QUEUE_MAX {
            waiting.seqs = VecDeque::new();
            waiting.whole_after = seq;
        } else {
            waiting.seqs.push_back((seq, priority));
        }
        !std::mem::replace(&mut waiting.rung, true)
    }

    fn lose(&self, seq: Seq) {
        let mut waiting = locked(&self.waiting);
        waiting.seqs = VecDeque::new();
        waiting.whole_after = waiting.whole_after.max(seq);
    }
}

impl Route {
    /// Says what the feed looks at next, where it is at `at`.
    pub fn step(&self, at: Seq, limit: usize) -> Step {
        // Asked before the queue is: what is routed later may not be in what is seen of it.
        let routed = *locked(&self.board.routed);
        let mut waiting = locked(&self.queue.waiting);
        waiting.rung = false;
        if at < waiting.whole_after {
            return Step::Log;
        }
        while waiting.seqs.front().is_some_and(|(seq, _)| *seq <= at) {
            waiting.seqs.pop_front();
        }
        if waiting.seqs.is_empty() && waiting.seqs.capacity() > 64 {
            waiting.seqs = VecDeque::new();
        }
        let seqs: Vec<Seq> = waiting
            .seqs
            .iter()
            .take(limit)
            .map(|(seq, _)| *seq)
            .collect();
        let all = seqs.len() == waiting.seqs.len();
        let last = seqs.last().copied().unwrap_or(at);
        let then = (all && routed.seq > last).then_some(routed);
        Step::Records { seqs, then }
    }

    /// Says whether anything is there for a feed that is at `at`.
    pub fn has_news(&self, at: Seq) -> bool {
        let waiting = locked(&self.queue.waiting);
        at < waiting.whole_after || waiting.seqs.back().is_some_and(|(seq, _)| *seq > at)
    }

    /// Says whether a feed that is at `at` reads the log.
    pub fn reads_log(&self, at: Seq) -> bool {
        at < locked(&self.queue.waiting).whole_after
    }

    /// Returns how urgent the most urgent of what waits is.
    pub fn urgency(&self) -> Priority {
        let waiting = locked(&self.queue.waiting);
        let priorities = waiting.seqs.iter().map(|(_, priority)| *priority);
        priorities.min_by_key(|p| p.get()).unwrap_or_default()
    }

    /// Returns how many records wait.
    pub fn waiting(&self) -> usize {
        locked(&self.queue.waiting).seqs.len()
    }
}

/// How far a feed that is routed lies behind, for whoever does not hold the feed.
pub struct Gauge {
    board: Arc<Board>,
    queue: Arc<Queue>,
}

impl Route {
    /// Returns how far its feed lies behind, at any time.
    pub fn gauge(&self) -> Gauge {
        Gauge {
            board: self.board.clone(),
            queue: self.queue.clone(),
        }
    }
}

impl Gauge {
    /// Returns how many records wait that may be for a feed that is at `at`.
    pub fn behind(&self, at: Seq) -> u64 {
        let waiting = locked(&self.queue.waiting);
        if at < waiting.whole_after {
            // What lies in the log has not been looked at, so all of it may be.
            return self.board.workspace.tail().seq.0.saturating_sub(at.0);
        }
        let after = waiting.seqs.partition_point(|(seq, _)| *seq <= at);
        (waiting.seqs.len() - after) as u64
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        let mut state = locked(&self.board.state);
        state.index.remove(&self.key);
        state.queues.remove(&self.key);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing panics while the router's state is locked")
}
