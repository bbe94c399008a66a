//! The store as its callers see it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use rusqlite::Connection;
use syncline_model::conflict::{Conflict, ConflictId};
use syncline_model::ids::{Address, ChangeId, Epoch, Seq, Version, WorkspaceId};
use syncline_model::record::{IdRow, RecordHeader, StoredRecord};
use syncline_model::time::Timestamp;
use syncline_store::{
    Append, Appended, ConflictQuery, Framed, HeadRow, Kept, KeptQuery, KeptValue, ListPage,
    ListQuery, NewWorkspace, Rebuild, Store, StoreError, StoreHealth, StoreStats, SubtreePage,
    Thinned, Thinning, TreePlace, Unframed, VerifyReport, VerifyStep, VersionRow, WorkspaceRow,
};
use tokio::sync::{mpsc, oneshot};

use crate::connection;
use crate::lock::Lock;
use crate::open::prepare;
use crate::options::{Opened, SqliteOptions};
use crate::read::{self, Span};
use crate::readers::Readers;
use crate::shared::Shared;
use crate::writer::{Job, WAITING_MAX, Write, Writer, Written};
use crate::{checkpoint, conflicts, framing, kept, list, subtree, verify};

/// The embedded store.
///
/// It has the data directory to itself while it lives. [`Store::close`] ends it in order; dropping
/// it does so too, and waits.
pub struct SqliteStore {
    jobs: mpsc::Sender<Job>,
    /// Where a little may be written on the thread of whoever asks.
    writer: Option<Arc<Mutex<Writer>>>,
    readers: Arc<Readers>,
    shared: Arc<Shared>,
    lock: Arc<Lock>,
    opened: Opened,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the data directory, making it if there is none.
    ///
    /// Blocks for some milliseconds, longer after a crash. What is there but cannot be read is
    /// not touched: [`StoreError::Damaged`], [`StoreError::Newer`]; nor is what another process
    /// has open: [`StoreError::InUse`].
    pub fn open(options: SqliteOptions) -> Result<SqliteStore, StoreError> {
        make_dir(&options.dir)?;
        let lock = Arc::new(Lock::take(&options.dir)?);
        let opened = prepare(&options.dir, &options.faults)?;
        let shared = Arc::new(Shared::new(options.dir.clone(), options.faults));
        let readers = Arc::new(Readers::start(
            options.dir.clone(),
            options.readers,
            connection::reader,
            &lock,
        ));
        let writer = Arc::new(Mutex::new(Writer::open(shared.clone(), readers.clone())?));
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let (keep, runs) = (lock.clone(), writer.clone());
        let write = spawn("store-write", move || {
            Writer::run(&runs, waiting);
            drop(keep);
        })?;
        let (keep, watched, held) = (lock.clone(), shared.clone(), writer.clone());
        let move_log = spawn("store-checkpoint", move || {
            checkpoint::run(&watched, &held);
            drop(keep);
        })?;
        let threads = Mutex::new(vec![write, move_log]);
        // On the caller's thread nothing can be heard before the commit.
        let write_here = options.write_here && !options.faults.answer_before_commit;
        Ok(SqliteStore {
            jobs,
            writer: write_here.then_some(writer),
            readers,
            shared,
            lock,
            opened,
            threads,
        })
    }

    /// Returns what was found at opening.
    pub fn opened(&self) -> Opened {
        self.opened
    }

    /// Writes beside the process id what others should know who find the directory in use.
    pub fn set_holder(&self, holder: &str) -> io::Result<()> {
        self.lock.tell(holder)
    }

    async fn write(&self, mut write: Write) -> Result<Written, StoreError> {
        if let Some(writer) = &self.writer
            && write.is_little()
            && self.jobs.capacity() == WAITING_MAX
        {
            match Writer::write_here(writer, write) {
                Ok(written) => return written,
                Err(back) => write = back,
            }
        }
        let (reply, answer) = oneshot::channel();
        self.jobs
            .send(Job::Write(write, reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs `read` on a reader, in a transaction and with the workspace found.
    async fn read<T: Send + 'static>(
        &self,
        workspace: &WorkspaceId,
        read: impl FnOnce(&Connection, &(i64, WorkspaceRow)) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let id = workspace.clone();
        let job = move |conn: &Connection| read(conn, &read::workspace(conn, &id)?);
        let answer = self.readers.run(move |reader| reader.snapshot(job)).await;
        if let Err(StoreError::Rot(rot)) = &answer {
            self.note_rot(&rot.to_string());
        }
        answer
    }

    /// Runs `read` with a context's number; one that is not there gives what is empty.
    async fn read_context<T: Default + Send + 'static>(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        read: impl FnOnce(&Connection, &(i64, WorkspaceRow), (i64, &Address)) -> Result<T, StoreError>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let address = address.clone();
        let job = move |conn: &Connection, ws: &(i64, WorkspaceRow)| match read::context(
            conn, ws.0, &address,
        )? {
            Some(ctx) => read(conn, ws, (ctx, &address)),
            None => Ok(T::default()),
        };
        self.read(workspace, job).await
    }

    fn stop_threads(&self) {
        self.shared
            .checkpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.shared.checkpoint_wanted.notify_all();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has told its callers by hanging up.
            let _ = thread.join();
        }
    }
}

/// Its files hold every document and the keys of cursors: for the owner's eyes only.
fn make_dir(dir: &Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    let failed = |error: io::Error| StoreError::Read(format!("{}: {error}", dir.display()));
    builder.create(dir).map_err(failed)
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(body);
    thread.map_err(|error| StoreError::Read(format!("no thread: {error}")))
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // The writer ends when nothing can reach it any more.
        let (gone, _) = mpsc::channel(1);
        self.jobs = gone;
        self.stop_threads();
        self.readers.close();
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn workspaces(&self) -> Result<Vec<WorkspaceRow>, StoreError> {
        let found = self
            .readers
            .run(|reader| reader.snapshot(read::workspaces))
            .await?;
        Ok(found.into_iter().map(|(_, row)| row).collect())
    }

    async fn create_workspace(&self, new: NewWorkspace) -> Result<WorkspaceRow, StoreError> {
        match self.write(Write::Create(Box::new(new))).await? {
            Written::Created(row) => Ok(*row),
            _ => Err(StoreError::Closed),
        }
    }

    async fn set_epoch(&self, workspace: &WorkspaceId, epoch: Epoch) -> Result<(), StoreError> {
        self.write(Write::Epoch(workspace.clone(), epoch))
            .await
            .map(drop)
    }

    async fn append(
        &self,
        workspace: &WorkspaceId,
        after: Seq,
        batch: Append,
    ) -> Result<Appended, StoreError> {
        let workspace = workspace.clone();
        match self
            .write(Write::Append {
                workspace,
                after,
                batch: Box::new(batch),
            })
            .await?
        {
            Written::Appended(appended) => Ok(appended),
            _ => Err(StoreError::Closed),
        }
    }

    async fn keep(&self, workspace: &WorkspaceId, values: Vec<Kept>) -> Result<(), StoreError> {
        self.write(Write::Keep(workspace.clone(), values))
            .await
            .map(drop)
    }

    async fn kept(
        &self,
        workspace: &WorkspaceId,
        query: &KeptQuery,
    ) -> Result<Vec<KeptValue>, StoreError> {
        let query = query.clone();
        self.read(workspace, move |conn, (ws, _)| {
            kept::page(conn, *ws, &query)
        })
        .await
    }

    async fn recover(&self) -> Result<Vec<WorkspaceRow>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs
            .send(Job::Recover(reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn ids(
        &self,
        workspace: &WorkspaceId,
        ids: &[ChangeId],
    ) -> Result<Vec<Option<IdRow>>, StoreError> {
        let ids = ids.to_vec();
        self.read(workspace, move |conn, (ws, _)| read::ids(conn, *ws, &ids))
            .await
    }

    async fn newest_id(&self, workspace: &WorkspaceId) -> Result<Option<ChangeId>, StoreError> {
        self.read(workspace, |conn, (ws, _)| read::newest_id(conn, *ws))
            .await
    }

    async fn heads(
        &self,
        workspace: &WorkspaceId,
        addresses: &[Address],
    ) -> Result<Vec<Option<HeadRow>>, StoreError> {
        let addresses = addresses.to_vec();
        let job = move |conn: &Connection, (ws, _): &(i64, WorkspaceRow)| {
            let head = |address| Ok(read::head(conn, *ws, address)?.map(|(_, head)| head));
            addresses.iter().map(head).collect()
        };
        self.read(workspace, job).await
    }

    async fn list(
        &self,
        workspace: &WorkspaceId,
        query: &ListQuery,
    ) -> Result<ListPage, StoreError> {
        let query = query.clone();
        self.read(workspace, move |conn, (ws, _)| {
            list::list(conn, *ws, &query)
        })
        .await
    }

    async fn subtree(
        &self,
        workspace: &WorkspaceId,
        root: &Address,
        after: Option<TreePlace>,
        limit: usize,
    ) -> Result<SubtreePage, StoreError> {
        let root = root.clone();
        self.read(workspace, move |conn, (ws, _)| {
            subtree::page(conn, *ws, &root, after, limit)
        })
        .await
    }

    async fn height(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        levels_max: usize,
    ) -> Result<usize, StoreError> {
        let address = address.clone();
        self.read(workspace, move |conn, (ws, _)| {
            subtree::height(conn, *ws, &address, levels_max)
        })
        .await
    }

    async fn records(
        &self,
        workspace: &WorkspaceId,
        after: Seq,
        until: Seq,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let span = Span {
            after,
            until,
            limit,
            bytes_max,
        };
        self.read(workspace, move |conn, ws| read::records(conn, ws, &span))
            .await
    }

    async fn record(
        &self,
        workspace: &WorkspaceId,
        seq: Seq,
    ) -> Result<Option<StoredRecord>, StoreError> {
        self.read(workspace, move |conn, (ws, _)| read::record(conn, *ws, seq))
            .await
    }

    async fn header(
        &self,
        workspace: &WorkspaceId,
        seq: Seq,
    ) -> Result<Option<RecordHeader>, StoreError> {
        self.read(workspace, move |conn, (ws, _)| read::header(conn, *ws, seq))
            .await
    }

    async fn seq_at(&self, workspace: &WorkspaceId, at: Timestamp) -> Result<Seq, StoreError> {
        self.read(workspace, move |conn, ws| read::seq_at(conn, ws, at))
            .await
    }

    async fn versions(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        below: Option<Version>,
        limit: usize,
    ) -> Result<Vec<VersionRow>, StoreError> {
        self.read_context(workspace, address, move |conn, ws, context| {
            read::versions(conn, ws.0, context, below, limit)
        })
        .await
    }

    async fn version(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        version: Version,
    ) -> Result<Option<VersionRow>, StoreError> {
        self.read_context(workspace, address, move |conn, ws, context| {
            read::version(conn, ws.0, context, version)
        })
        .await
    }

    async fn version_at(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        seq: Seq,
    ) -> Result<Option<VersionRow>, StoreError> {
        self.read_context(workspace, address, move |conn, ws, context| {
            read::version_at(conn, ws.0, context, seq)
        })
        .await
    }

    async fn rebuild(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
        version: Version,
    ) -> Result<Rebuild, StoreError> {
        self.read_context(workspace, address, move |conn, ws, context| {
            read::rebuild(conn, ws, context, version)
        })
        .await
    }

    async fn conflict(
        &self,
        workspace: &WorkspaceId,
        id: &ConflictId,
    ) -> Result<Option<Conflict>, StoreError> {
        let id = *id;
        self.read(workspace, move |conn, (ws, _)| {
            conflicts::one(conn, *ws, &id)
        })
        .await
    }

    async fn conflicts(
        &self,
        workspace: &WorkspaceId,
        query: &ConflictQuery,
    ) -> Result<Vec<Conflict>, StoreError> {
        let query = query.clone();
        self.read(workspace, move |conn, (ws, _)| {
            conflicts::page(conn, *ws, &query)
        })
        .await
    }

    async fn conflicts_open(&self, workspace: &WorkspaceId) -> Result<u64, StoreError> {
        self.read(workspace, |conn, (ws, _)| conflicts::count_open(conn, *ws))
            .await
    }

    async fn branches(
        &self,
        workspace: &WorkspaceId,
        address: &Address,
    ) -> Result<Vec<HeadRow>, StoreError> {
        let address = address.clone();
        self.read(workspace, move |conn, (ws, _)| {
            conflicts::branches(conn, *ws, &address)
        })
        .await
    }

    async fn thin(
        &self,
        workspace: &WorkspaceId,
        thinning: Thinning,
    ) -> Result<Thinned, StoreError> {
        let thin = Write::Thin(workspace.clone(), Box::new(thinning));
        match self.write(thin).await? {
            Written::Thinned(thinned) => Ok(thinned),
            _ => Err(StoreError::Closed),
        }
    }

    async fn unframed(
        &self,
        workspace: &WorkspaceId,
        after: Option<&Address>,
    ) -> Result<Unframed, StoreError> {
        let after = after.cloned();
        self.read(workspace, move |conn, (ws, _)| {
            framing::unframed(conn, *ws, after.as_ref())
        })
        .await
    }

    async fn frame(
        &self,
        workspace: &WorkspaceId,
        line: &Address,
        after: Version,
        dry_run: bool,
    ) -> Result<Framed, StoreError> {
        let after = dry_run.then_some(after);
        let prepare = move |conn: &Connection, ws: &(i64, WorkspaceRow), (ctx, _): (i64, &_)| {
            framing::prepare(conn, ws.0, (ctx, after))
        };
        let framing = self.read_context(workspace, line, prepare).await?;
        match framing {
            None => Ok(Framed::default()),
            Some(framing) if dry_run => Ok(framing.told()),
            Some(framing) => {
                let frame = Write::Frame(workspace.clone(), Box::new(framing));
                match self.write(frame).await? {
                    Written::Framed(framed) => Ok(framed),
                    _ => Err(StoreError::Closed),
                }
            }
        }
    }

    fn note_rot(&self, why: &str) {
        self.shared.set_damaged(Some(why.to_owned()));
    }

    fn health(&self) -> StoreHealth {
        if self.shared.probe_due() {
            // A queue without room has writes in it, which try the disk as well.
            let _ = self.jobs.try_send(Job::Probe);
        }
        self.shared.health()
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        Ok(self.shared.stats())
    }

    async fn verify(
        &self,
        progress: &(dyn Fn(VerifyStep) + Send + Sync),
    ) -> Result<VerifyReport, StoreError> {
        let report = verify::verify(&self.readers, progress).await?;
        self.shared.set_damaged(report.problems.first().cloned());
        Ok(report)
    }

    async fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        if self.jobs.send(Job::Close(reply)).await.is_err() {
            return Ok(());
        }
        let closed = answer.await.map_err(|_| StoreError::Closed)?;
        self.stop_threads();
        closed
    }
}
