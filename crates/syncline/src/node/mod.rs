//! A node in this process: the store, the engine and the doors put together, and taken apart in
//! order.

mod faults;
mod files;
mod limits;
mod logging;
mod webhooks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use syncline_api::{Code, Problem};
use syncline_delivery::webhook::Webhooks;
use syncline_engine::{Engine, SystemClock};
use syncline_http::{Doors, Keys, Listeners, NodeInfo};
use syncline_store::{Store, StoreError};
use syncline_store_sqlite::{Opened, SqliteOptions, SqliteStore};
use tokio::net::TcpListener;

use crate::failure::{Failure, Result};
use crate::run::Run;
use crate::{place, show};

pub use logging::start as start_logging;

/// How long the doors may take to close; with what follows, a node ends within 10 s.
const DOORS_CLOSE_MAX: Duration = Duration::from_secs(6);
/// How long webhooks may take after them; they began to end with them.
const WEBHOOKS_CLOSE_MAX: Duration = Duration::from_secs(3);
/// How long the engine and the store may take after them.
const ENGINE_CLOSE_MAX: Duration = Duration::from_secs(3);

/// A node that is ready to serve.
pub struct Node {
    doors: Doors,
    listeners: Listeners,
    engine: Engine,
    webhooks: Webhooks,
    socket: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// What was found on disk.
    pub opened: Opened,
}

impl Node {
    /// Opens the data directory and binds the doors.
    pub async fn open(run: &Run) -> Result<Node> {
        let settings = &run.settings;
        let data = settings.data();
        let faults = faults::read(&run.environment)?;
        if faults != faults::Faults::default() {
            // Whoever finds this set by mistake must not miss it.
            tracing::warn!("SYNCLINE_TEST_FAULT is set: this node breaks its promises on purpose");
        }
        let exchange = webhooks::exchange(settings)?;
        let store = open_store(&data, settings.size("store_readers"), faults.store)?;
        // From here on the directory is ours alone: the lock is held.
        let opened = store.opened();
        let key = files::owner_key(&data)?;
        let listener = bind(settings.text("listen").unwrap_or_default()).await?;
        let address = listener
            .local_addr()
            .map_err(|error| no_listener(&error.to_string()))?;
        let socket = place::socket(&data, &run.environment);
        let unix = files::bind_socket(&socket, &data)?;
        // It helps whoever finds the directory in use; nothing depends on it.
        let _ = store.set_holder(&format!("http://{address}"));
        let store: Arc<dyn Store> = Arc::new(store);
        let engine_settings = limits::engine(settings, faults.engine);
        let engine = Engine::open(store, Arc::new(SystemClock), engine_settings).await?;
        let mut doors = Doors::new(engine.clone(), Keys::owner(&key), info(&engine));
        doors.limits = limits::doors(settings, DOORS_CLOSE_MAX);
        doors.allowed_hosts = settings.list("allowed_hosts").to_vec();
        doors.allowed_origins = settings.list("allowed_origins").to_vec();
        let webhooks = Webhooks::start(engine.clone(), exchange, webhooks::settings(settings));
        doors.webhooks = Some(webhooks.clone());
        let listeners = Listeners {
            tcp: Some(listener),
            unix: Some(unix),
        };
        Ok(Node {
            doors,
            listeners,
            engine,
            webhooks,
            socket,
            address,
            opened,
        })
    }

    /// Returns how many contexts there are.
    pub async fn contexts(&self) -> u64 {
        self.engine
            .stats()
            .await
            .map(|stats| stats.contexts)
            .unwrap_or(0)
    }

    /// Serves until `shutdown` ends; then closes the doors, the engine and the store, in order.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Result {
        let webhooks = self.webhooks.clone();
        let shutdown = async move {
            shutdown.await;
            // Attempts end while the doors close.
            webhooks.begin_to_stop();
        };
        let served = syncline_http::serve(self.doors, self.listeners, shutdown).await;
        if tokio::time::timeout(WEBHOOKS_CLOSE_MAX, self.webhooks.stop())
            .await
            .is_err()
        {
            tracing::warn!("webhooks did not end in time; the next start takes them up");
        }
        // Removed while the lock is held, so it is ours and not a successor's.
        let _ = std::fs::remove_file(&self.socket);
        if tokio::time::timeout(ENGINE_CLOSE_MAX, self.engine.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("the store was not closed in time; the next start recovers it");
        }
        served.map_err(|error| no_listener(&error.to_string()))
    }
}

fn info(engine: &Engine) -> NodeInfo {
    NodeInfo {
        name: files::host_name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: engine.now(),
    }
}

fn open_store(
    data: &Path,
    readers: usize,
    faults: syncline_store_sqlite::TestFaults,
) -> Result<SqliteStore> {
    let options = SqliteOptions {
        readers,
        faults,
        write_here: std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1),
        ..SqliteOptions::new(data)
    };
    SqliteStore::open(options).map_err(|error| refused(data, error))
}

/// Tells clearly why a data directory cannot be opened.
pub fn refused(data: &Path, error: StoreError) -> Failure {
    let at = data.display();
    let text = error.to_string();
    match error {
        StoreError::InUse { .. } => Problem::new(Code::Unavailable, text)
            .hint("stop that one, or give this one another directory with --data")
            .into(),
        StoreError::Newer { .. } => Failure::usage_hint(
            format!("{at}: {text}"),
            "start the newer syncline, or give this one another directory with --data",
        ),
        StoreError::Damaged(_) | StoreError::Rot(_) => {
            Problem::new(Code::Rot, format!("{at}: {text}"))
                .hint("keep the directory as it is, and start from a backup with --data")
                .into()
        }
        StoreError::Full => Problem::new(Code::DiskFull, format!("{at}: {text}"))
            .hint("make room, and start again")
            .into(),
        _ => Failure::usage(format!("cannot open {at}: {text}")),
    }
}

async fn bind(listen: &str) -> Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another node may run there: `syncline status`; --listen 127.0.0.1:0 picks a free port"
            }
            _ => "name an address of this machine: --listen 127.0.0.1:7420",
        };
        Failure::usage_hint(format!("cannot listen on {listen}: {error}"), hint)
    })
}

fn no_listener(why: &str) -> Failure {
    Failure::usage(format!("the doors cannot be opened: {why}"))
}

/// Says what was found on disk, where that is worth a word.
pub fn say_opened(run: &Run, opened: Opened) {
    if opened.restored {
        run.output.warn(
            "the data directory is a copy that was put back: it takes a new epoch, and readers are told to start again",
        );
    }
    if let Some(from) = opened.schema_from {
        run.output
            .say(format!("the database was brought up from schema {from}"));
    }
}

/// Describes the node in one line.
pub fn headline(run: &Run, contexts: u64) -> String {
    let workspace = run.settings.text("workspace").unwrap_or_default();
    format!(
        "Syncline {}   workspace {workspace}   SQLite, {}",
        env!("CARGO_PKG_VERSION"),
        show::count(contexts, "context")
    )
}
