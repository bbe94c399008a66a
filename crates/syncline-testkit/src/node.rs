//! A node in a line: the real binary as a child, on a port of its own.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use syncline_api::Problem;
use syncline_client::{Client, ClientOptions, Live, Target};
use syncline_model::ids::WorkspaceId;
use syncline_model::json::Json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::binary::binary;
use crate::sys::{Signal, signal};

/// A promise that the node breaks on purpose, so that a harness can show that it notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Never sync.
    SkipFsync,
    /// Sync at checkpoints only.
    SyncNormal,
    /// Answer before the COMMIT.
    AnswerBeforeCommit,
    /// Keep no change ids.
    ForgetId,
    /// Apply each write to the head, whatever its writer had seen.
    IgnoreBase,
    /// Leave out one event of many.
    DropEvent,
    /// Tell a subscriber that it is live before it listens.
    LiveBeforeListen,
    /// Tell a subscriber that it has what was not sent yet.
    AckBeforeSend,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 8] = [
        Fault::SkipFsync,
        Fault::SyncNormal,
        Fault::AnswerBeforeCommit,
        Fault::ForgetId,
        Fault::IgnoreBase,
        Fault::DropEvent,
        Fault::LiveBeforeListen,
        Fault::AckBeforeSend,
    ];

    /// Returns the word that `SYNCLINE_TEST_FAULT` understands.
    pub fn word(self) -> &'static str {
        match self {
            Fault::SkipFsync => "skip_fsync",
            Fault::SyncNormal => "sync_normal",
            Fault::AnswerBeforeCommit => "answer_before_commit",
            Fault::ForgetId => "forget_id",
            Fault::IgnoreBase => "ignore_base",
            Fault::DropEvent => "drop_event",
            Fault::LiveBeforeListen => "live_before_listen",
            Fault::AckBeforeSend => "ack_before_send",
        }
    }

    /// Finds a fault by its word.
    pub fn from_word(word: &str) -> Option<Fault> {
        let word = word.replace('-', "_");
        Fault::ALL.into_iter().find(|fault| fault.word() == word)
    }
}

/// How a node is started.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The data directory; absent is a new one that ends with the node.
    pub dir: Option<PathBuf>,
    /// A promise to break.
    pub fault: Option<Fault>,
    /// Further arguments of `up`.
    pub args: Vec<String>,
    /// Further variables of its environment.
    pub env: Vec<(String, OsString)>,
    /// How long it may take to be ready.
    pub ready_within: Duration,
}

impl Default for NodeOptions {
    fn default() -> Self {
        NodeOptions {
            dir: None,
            fault: None,
            args: Vec::new(),
            env: Vec::new(),
            ready_within: Duration::from_secs(30),
        }
    }
}

impl NodeOptions {
    /// Returns the defaults with a fault, or without.
    pub fn faulty(fault: Option<Fault>) -> NodeOptions {
        NodeOptions {
            fault,
            ..NodeOptions::default()
        }
    }
}

/// Why a node did not become ready.
#[derive(Debug)]
pub struct StartError {
    /// What happened.
    pub what: String,
    /// Its exit code, if it ended.
    pub exit: Option<i32>,
    /// What it said on stderr.
    pub log: String,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The end says why; the beginning is what it said each time before.
        let lines: Vec<&str> = self.log.lines().collect();
        let end = lines[lines.len().saturating_sub(4)..].join("\n");
        write!(f, "the node did not start: {}\n{end}", self.what)
    }
}

impl std::error::Error for StartError {}

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Door {
    /// HTTP over TCP.
    Http,
    /// HTTP over the Unix socket.
    HttpSocket,
    /// The WebSocket over TCP.
    Ws,
    /// The WebSocket over the Unix socket.
    WsSocket,
    /// A bulk over HTTP.
    Batch,
}

impl Door {
    /// The doors that take single proposals.
    pub const ALL: [Door; 5] = [
        Door::Http,
        Door::HttpSocket,
        Door::Ws,
        Door::WsSocket,
        Door::Batch,
    ];

    /// Says whether it is a WebSocket.
    pub fn is_live(self) -> bool {
        matches!(self, Door::Ws | Door::WsSocket)
    }
}

/// What a client must know of a node; stays true over restarts.
#[derive(Clone, Debug)]
pub struct Access {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// The owner's key.
    pub key: String,
    /// The Unix socket.
    pub socket: PathBuf,
    /// The workspace; absent is `default`.
    pub workspace: Option<WorkspaceId>,
}

impl Access {
    /// Returns where a door leads.
    pub fn target(&self, door: Door) -> Target {
        match door {
            Door::Http | Door::Ws | Door::Batch => Target::Url(self.url.clone()),
            Door::HttpSocket | Door::WsSocket => Target::Socket(self.socket.clone()),
        }
    }

    /// Returns how a client introduces itself.
    pub fn options(&self) -> ClientOptions {
        ClientOptions {
            token: Some(self.key.clone()),
            workspace: self.workspace.clone(),
            timeout: Duration::from_secs(20),
            ..ClientOptions::default()
        }
    }

    /// Returns a client for a door.
    ///
    /// # Panics
    /// Never for the addresses that nodes print.
    pub fn client(&self, door: Door) -> Client {
        Client::connect(self.target(door), self.options()).expect("a node's own address is good")
    }

    /// Returns an HTTP client over TCP.
    pub fn http(&self) -> Client {
        self.client(Door::Http)
    }

    /// Opens a live connection.
    pub async fn live(&self, door: Door) -> Result<Live, Problem> {
        Live::open(&self.target(door), self.options()).await
    }

    /// Returns the same with another workspace in mind.
    #[must_use]
    pub fn in_workspace(&self, name: &WorkspaceId) -> Access {
        Access {
            workspace: Some(name.clone()),
            ..self.clone()
        }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn authority(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Waits until the node answers, and says whether it did.
    pub async fn answers(&self, within: Duration) -> bool {
        let client = self.http();
        let asked = async {
            while client.status().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(within, asked).await.is_ok()
    }
}

/// Finds a port that a node can come back to after each kill.
///
/// One that the system picks for port 0 lies where it picks ports for outgoing connections too,
/// and while the node is down one of those may take it. Below that range nobody does.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 14_000).expect("below 14,000");
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        // The step shares no factor with the range, or it would soon come by a port again whose
        // node is only down for a moment.
        let port = 16_000 + start.wrapping_add(step.wrapping_mul(11)) % 14_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running node; it is killed when this is dropped.
pub struct Node {
    child: Option<Child>,
    options: NodeOptions,
    access: Access,
    dir: PathBuf,
    home: TempDir,
}

impl Node {
    /// Starts a node and waits until it is ready.
    pub async fn start(options: NodeOptions) -> Result<Node, StartError> {
        let home = tempfile::Builder::new().prefix("syncline-test-").tempdir();
        let home = home.expect("the system has room for a temporary folder");
        let dir = options
            .dir
            .clone()
            .unwrap_or_else(|| home.path().join("data"));
        let access = Access {
            url: format!("http://127.0.0.1:{}", free_port()),
            key: String::new(),
            socket: dir.join("node.sock"),
            workspace: None,
        };
        let mut node = Node {
            child: None,
            options,
            access,
            dir,
            home,
        };
        node.restart().await?;
        Ok(node)
    }

    /// Starts the node again on the same directory and port.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        assert!(
            self.child.is_none(),
            "a node is stopped before it is started again"
        );
        let mut child = self
            .spawn()
            .map_err(|error| self.failed(error.to_string(), None))?;
        let out = child.stdout.take().expect("stdout was asked for");
        let mut lines = BufReader::new(out).lines();
        let ready = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(url) = line.strip_prefix("ready ") {
                    return Some(url.trim().to_owned());
                }
            }
            None
        };
        let ready = tokio::time::timeout(self.options.ready_within, ready).await;
        let url = match ready {
            Ok(Some(url)) => url,
            Ok(None) => {
                let status = child.wait().await.ok();
                let what = format!("it ended with {status:?}");
                return Err(self.failed(what, status.and_then(|status| status.code())));
            }
            Err(_) => {
                let _ = child.kill().await;
                let waited = self.options.ready_within;
                return Err(self.failed(format!("it was not ready within {waited:?}"), None));
            }
        };
        // The pipe is read on, so that the node never meets a closed one.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.child = Some(child);
        self.access.url = url;
        let key = std::fs::read_to_string(self.dir.join("owner.key"));
        self.access.key = key.map(|key| key.trim().to_owned()).unwrap_or_default();
        Ok(())
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SYNCLINE_") {
                command.env_remove(name);
            }
        }
        let listen = self.access.authority().to_owned();
        command
            .arg("up")
            .arg("--data")
            .arg(&self.dir)
            .args(["--listen", &listen]);
        command.args(&self.options.args);
        command.env("XDG_CONFIG_HOME", self.home.path());
        command.env("RUST_BACKTRACE", "1");
        command.envs(self.options.env.iter().map(|(name, value)| (name, value)));
        if let Some(fault) = self.options.fault {
            command.env("SYNCLINE_TEST_FAULT", fault.word());
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
    }

    fn failed(&self, what: String, exit: Option<i32>) -> StartError {
        StartError {
            what,
            exit,
            log: self.log(),
        }
    }

    /// Returns what a client must know.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Returns the data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns how it is started, to change it for the next start.
    pub fn options_mut(&mut self) -> &mut NodeOptions {
        &mut self.options
    }

    /// Returns an HTTP client.
    pub fn http(&self) -> Client {
        self.access.http()
    }

    /// Returns the process.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pid(&self) -> u32 {
        let child = self.child.as_ref().expect("the node runs");
        child
            .id()
            .expect("a child that was not waited for has an id")
    }

    /// Says whether it still runs, without waiting.
    pub fn is_running(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Kills it where it stands.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A child that has ended already is as dead as we want it.
            let _ = child.kill().await;
        }
    }

    /// Ends it in order, and returns how it ended; `None` if it had to be killed after 10 s.
    pub async fn stop(&mut self) -> Option<ExitStatus> {
        let mut child = self.child.take()?;
        if let Some(pid) = child.id() {
            let _ = signal(pid, Signal::Terminate);
        }
        match tokio::time::timeout(Duration::from_secs(10), child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                let _ = child.kill().await;
                None
            }
        }
    }

    /// Makes it stand still, and waits until all its threads do.
    pub async fn freeze(&self) -> std::io::Result<()> {
        signal(self.pid(), Signal::Stop)?;
        for _ in 0..1_000 {
            if self.is_frozen() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(std::io::Error::other("the node does not stand still"))
    }

    /// Lets it go on.
    pub fn thaw(&self) -> std::io::Result<()> {
        signal(self.pid(), Signal::Continue)
    }

    fn is_frozen(&self) -> bool {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", self.pid())) else {
            return false;
        };
        tasks.flatten().all(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // The state follows the name, which is in parentheses and may hold anything.
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest.trim_start().starts_with('T'))
        })
    }

    /// Returns how much memory it holds, in bytes; 0 where the system does not tell.
    pub fn memory_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// Returns what it said on stderr.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("node.log")
    }

    /// Runs another command of the binary against this node's data directory.
    pub async fn run(&self, args: &[&str]) -> std::io::Result<std::process::Output> {
        let mut command = Command::new(binary());
        command
            .args(args)
            .arg("--data")
            .arg(&self.dir)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command.env("XDG_CONFIG_HOME", self.home.path());
        command.output().await
    }

    /// Returns `/v1/status`, or the problem.
    pub async fn status(&self) -> Result<Json, Problem> {
        self.http().status().await
    }

    /// Returns the status code of `/readyz`, or 0 if there is no answer.
    pub async fn ready_status(&self) -> u16 {
        let host = self.access.authority();
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = crate::raw::exchange(host, request.as_bytes()).await;
        answer.map_or(0, |answer| answer.status)
    }
}

/// Fails if the node panicked: nothing that comes from outside may do that.
///
/// # Panics
/// If it did.
pub fn assert_no_panic(node: &Node) {
    let log = node.log();
    assert!(!log.contains("panicked at"), "the node panicked:\n{log}");
}
