//! Readers: threads with a connection each, which run closures that wait in one bounded queue.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use syncline_store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::errors::reading;

/// Bounds the reads that wait; whoever comes later waits outside.
const WAITING_MAX: usize = 1_024;
/// Bounds a read transaction's age: while one lasts, the write-ahead log cannot start again.
const AGE_MAX: Duration = Duration::from_secs(10);
/// SQLite asks about the age once in so many of its steps: some 100 times a second.
const STEPS: i32 = 100_000;
/// How long a pause waits for reads that run.
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// How a reader opens its connection.
type Connect = fn(&Path) -> rusqlite::Result<Connection>;
type Job = Box<dyn FnOnce(Result<&mut Reader, StoreError>) + Send>;

/// A reader's connection.
pub(crate) struct Reader {
    conn: Connection,
    started: Instant,
    /// When the transaction must end, in milliseconds since `started`; 0 is never.
    deadline: Arc<AtomicU64>,
}

impl Reader {
    fn open(mut conn: Connection) -> rusqlite::Result<Reader> {
        let (started, deadline) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let ends = deadline.clone();
        let late = move || {
            let ends = ends.load(Ordering::Relaxed);
            ends > 0 && millis(started.elapsed()) > ends
        };
        conn.progress_handler(STEPS, Some(late))?;
        Ok(Reader {
            conn,
            started,
            deadline,
        })
    }

    /// Runs `read` on one snapshot, which may last [`AGE_MAX`].
    pub(crate) fn snapshot<T>(
        &mut self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let ends = millis(self.started.elapsed() + AGE_MAX);
        self.run(ends, read)
    }

    /// Runs `read` on one snapshot for as long as it takes.
    pub(crate) fn patient<T>(
        &mut self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.run(0, read)
    }

    fn run<T>(
        &mut self,
        ends: u64,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.deadline.store(ends, Ordering::Relaxed);
        // Dropping the transaction ends it; it wrote nothing.
        let tx = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Deferred);
        read(&*tx.map_err(reading)?)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The threads and what waits for them.
pub(crate) struct Readers {
    queue: Arc<Queue>,
    slots: Arc<Semaphore>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Queue {
    dir: PathBuf,
    connect: Connect,
    state: Mutex<State>,
    /// Told when there is work, and when the state changed.
    work: Condvar,
    /// Told when a connection was dropped.
    dropped: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<(Job, OwnedSemaphorePermit)>,
    open: usize,
    paused: bool,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readers {
    /// Starts the threads; each holds `keep`, the directory's lock, until it ends.
    pub(crate) fn start<T: Send + Sync + 'static>(
        dir: PathBuf,
        threads: usize,
        connect: Connect,
        keep: &Arc<T>,
    ) -> Readers {
        let queue = Arc::new(Queue {
            dir,
            connect,
            state: Mutex::default(),
            work: Condvar::new(),
            dropped: Condvar::new(),
        });
        let start = |number: usize| {
            let (queue, keep) = (queue.clone(), keep.clone());
            let body = move || {
                run(&queue);
                drop(keep);
            };
            thread::Builder::new()
                .name(format!("store-read-{number}"))
                .spawn(body)
        };
        // A machine that cannot start all of them reads with fewer.
        let threads: Vec<_> = (0..threads.max(1))
            .map_while(|number| start(number).ok())
            .collect();
        let slots = Arc::new(Semaphore::new(WAITING_MAX));
        Readers {
            queue,
            slots,
            threads: Mutex::new(threads),
        }
    }

    /// Runs `job` on a reader.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let slot = self
            .slots
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |reader| {
            // Whoever asked may have gone meanwhile.
            if !reply.is_closed() {
                let _ = reply.send(reader.and_then(job));
            }
        });
        {
            let mut state = self.queue.lock();
            if state.closed {
                return Err(StoreError::Closed);
            }
            state.jobs.push_back((job, slot));
        }
        self.queue.work.notify_one();
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Drops all connections and lets what comes wait, until [`Readers::resume`]; `false` if a
    /// read did not end.
    pub(crate) fn pause(&self) -> bool {
        let mut state = self.queue.lock();
        state.paused = true;
        self.queue.work.notify_all();
        let open = |state: &mut State| state.open > 0;
        let waited = self
            .queue
            .dropped
            .wait_timeout_while(state, PAUSE_MAX, open);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.open == 0
    }

    pub(crate) fn resume(&self) {
        self.queue.lock().paused = false;
        self.queue.work.notify_all();
    }

    /// Answers what waits, and ends the threads.
    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.slots.close();
        self.queue.work.notify_all();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A reader's panic was told to whoever asked.
            let _ = thread.join();
        }
    }
}

/// Threads that outlived the store would keep its lock.
impl Drop for Readers {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(queue: &Queue) {
    let mut reader: Option<Reader> = None;
    let mut state = queue.lock();
    loop {
        let leaving = state.closed && state.jobs.is_empty();
        if (state.paused || leaving) && reader.is_some() {
            drop(state);
            reader = None;
            state = queue.lock();
            state.open -= 1;
            queue.dropped.notify_all();
            continue;
        }
        if leaving {
            return;
        }
        let job = if state.paused {
            None
        } else {
            state.jobs.pop_front()
        };
        let Some((job, slot)) = job else {
            state = queue
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        if reader.is_none() {
            state.open += 1;
        }
        drop(state);
        let failed = attempt(queue, &mut reader, job);
        drop(slot);
        state = queue.lock();
        if failed {
            state.open -= 1;
            queue.dropped.notify_all();
        }
    }
}

/// Runs a job, opening the connection first if there is none; `true` if there is still none.
fn attempt(queue: &Queue, reader: &mut Option<Reader>, job: Job) -> bool {
    if reader.is_none() {
        match (queue.connect)(&queue.dir).and_then(Reader::open) {
            Ok(opened) => *reader = Some(opened),
            Err(error) => {
                job(Err(reading(error)));
                return true;
            }
        }
    }
    let ran = catch_unwind(AssertUnwindSafe(|| {
        if let Some(reader) = reader.as_mut() {
            job(Ok(reader));
        }
    }));
    if ran.is_err() {
        *reader = None;
    }
    reader.is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
    use super::*;
    use crate::connection;

    const ENDLESS: &str =
        "WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n";

    fn count(conn: &Connection, sql: &str) -> Result<i64, StoreError> {
        conn.query_row(sql, [], |row| row.get(0)).map_err(reading)
    }

    fn readers(dir: &tempfile::TempDir) -> Readers {
        let conn = Connection::open(connection::database(dir.path())).unwrap();
        conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
            .unwrap();
        let lock = Arc::new(crate::lock::Lock::take(dir.path()).unwrap());
        Readers::start(dir.path().to_owned(), 2, connection::reader, &lock)
    }

    #[tokio::test]
    async fn p9_a_read_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let readers = readers(&dir);
        let ended = readers
            .run(|reader| reader.run(50, |conn| count(conn, ENDLESS)))
            .await;
        assert!(matches!(ended, Err(StoreError::Read(_))), "{ended:?}");
        let next = readers
            .run(|reader| reader.snapshot(|conn| count(conn, "SELECT 7")))
            .await;
        assert_eq!(next.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_reader_outlives_a_panic_and_a_pause() {
        let dir = tempfile::tempdir().unwrap();
        let readers = readers(&dir);
        for _ in 0..5 {
            let gone = readers
                .run(|_| -> Result<(), StoreError> { panic!("on purpose") })
                .await;
            assert!(matches!(gone, Err(StoreError::Closed)));
        }
        assert!(readers.pause());
        assert_eq!(readers.queue.lock().open, 0);
        readers.resume();
        let write = |conn: &Connection| conn.execute_batch("CREATE TABLE t (a)").map_err(reading);
        let refused = readers.run(move |reader| reader.snapshot(write)).await;
        assert!(matches!(refused, Err(StoreError::Read(_))), "{refused:?}");
        readers.close();
        assert!(matches!(
            readers.run(|_| Ok(())).await,
            Err(StoreError::Closed)
        ));
    }
}
