//! What is measured, as children of the bench: the node, Redis, PostgreSQL, NATS, nginx. Each has a folder of
//! its own on one filesystem, a random port on the loopback, and ends with its handle.

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::sys;
use crate::run::{Result, Step, root};

/// How long a server may take to be ready.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long a server may take to end when it is told to.
const STOP_MAX: Duration = Duration::from_secs(15);

/// A running server.
pub struct Server {
    child: Child,
    /// PostgreSQL's children end with its session.
    has_session: bool,
    stop_signal: i32,
    /// `127.0.0.1:PORT`.
    pub addr: String,
    /// The node's key; empty for others.
    pub token: String,
    /// From its start until it said that it is ready.
    pub ready_after: Duration,
}

impl Server {
    /// Returns the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns how much memory it holds, in bytes; 0 where the system does not tell.
    pub fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1_024
    }

    /// Ends it in order, or by force when that takes too long.
    pub fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        sys::signal(self.pid(), self.stop_signal);
        let deadline = Instant::now() + STOP_MAX;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            if self.has_session {
                sys::signal_group(self.pid(), sys::KILL);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the node's binary, as a user builds it.
pub fn node_binary() -> PathBuf {
    target().join("release/syncline")
}

/// Returns cargo's target folder.
pub fn target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    named.map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// Makes an empty folder for a server.
pub fn fresh_folder(name: &str) -> Result<PathBuf> {
    let folder = target().join("bench").join(name);
    let removed = std::fs::remove_dir_all(&folder);
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.to_string()),
        _ => {}
    }
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    Ok(folder)
}

/// Starts a node on a data directory.
pub fn node(folder: &Path) -> Result<Server> {
    let binary = node_binary();
    let mut command = Command::new(&binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SYNCLINE_") {
            command.env_remove(name);
        }
    }
    let data = folder.join("data");
    command
        .arg("up")
        .arg("--data")
        .arg(&data)
        .args(["--listen", "127.0.0.1:0"]);
    command
        .env("XDG_CONFIG_HOME", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command.stderr(log(folder)?);
    let begun = Instant::now();
    let mut child = spawn(command, sys::TERMINATE)?;
    let out = child.stdout.take().expect("stdout was asked for");
    let mut lines = BufReader::new(out)
        .lines()
        .map_while(std::result::Result::ok);
    let url = lines.find_map(|line| line.strip_prefix("ready http://").map(str::to_owned));
    let ready_after = begun.elapsed();
    let mut server = Server {
        child,
        has_session: false,
        stop_signal: sys::TERMINATE,
        addr: url.unwrap_or_default(),
        token: String::new(),
        ready_after,
    };
    if server.addr.is_empty() {
        server.stop();
        return Err(format!(
            "the node did not start; see {}",
            folder.join("log").display()
        ));
    }
    // The pipe is read on, so that the node never meets a closed one.
    std::thread::spawn(move || lines.for_each(drop));
    let key = std::fs::read_to_string(data.join("owner.key")).map_err(|error| error.to_string())?;
    key.trim().clone_into(&mut server.token);
    Ok(server)
}

/// Starts Redis so that each answer is durable; `None` where it is not installed.
pub fn redis(folder: &Path) -> Result<Option<Server>> {
    let Some(program) = find("redis-server", &[]) else {
        return Ok(None);
    };
    let port = free_port()?;
    let mut command = Command::new(program);
    command
        .arg("--dir")
        .arg(folder)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.args([
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--save",
        "",
    ]);
    command.args(["--maxclients", "20000"]);
    // A rewrite in the middle of a measurement would only slow it.
    command.args(["--auto-aof-rewrite-percentage", "0", "--daemonize", "no"]);
    command
        .stdin(Stdio::null())
        .stdout(log(folder)?)
        .stderr(log(folder)?);
    started(command, port, false, sys::TERMINATE).map(Some)
}

/// Starts PostgreSQL, not as root and in a session of its own; `None` where it is not installed.
pub fn postgres(folder: &Path) -> Result<Option<Server>> {
    let places = postgres_folders();
    let found = find("postgres", &places).zip(find("initdb", &places));
    let Some((postgres, initdb)) = found else {
        return Ok(None);
    };
    let data = folder.join("data");
    std::fs::create_dir_all(&data).map_err(|error| error.to_string())?;
    let user = match sys::is_root() {
        true => Some(user_id("postgres").or_else(|_| user_id("nobody"))?),
        false => None,
    };
    if let Some(user) = user {
        for path in [folder, &data] {
            std::os::unix::fs::chown(path, Some(user), None).map_err(|error| error.to_string())?;
        }
    }
    let as_user = |program: &Path| {
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .env("LC_ALL", "C");
        if let Some(user) = user {
            use std::os::unix::process::CommandExt as _;
            command.uid(user);
        }
        command
    };
    let mut init = as_user(&initdb);
    init.arg("-D")
        .arg(&data)
        .args(["-U", "postgres", "--auth=trust", "-E", "UTF8"]);
    let done = init.stdout(log(folder)?).stderr(log(folder)?).status();
    if !done.is_ok_and(|status| status.success()) {
        return Err(format!(
            "initdb failed; see {}",
            folder.join("log").display()
        ));
    }
    let port = free_port()?;
    let mut command = as_user(&postgres);
    command
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-h", "127.0.0.1"]);
    // Room enough that no checkpoint falls into a measurement; durability stays as it is.
    for setting in [
        "unix_socket_directories=",
        "max_connections=200",
        "shared_buffers=512MB",
        "max_wal_size=8GB",
        "checkpoint_timeout=30min",
    ] {
        command.args(["-c", setting]);
    }
    command.stdout(log(folder)?).stderr(log(folder)?);
    sys::own_session(&mut command);
    started(command, port, true, sys::INTERRUPT).map(Some)
}

/// Starts NATS without JetStream, as it comes; `None` where it is not installed.
pub fn nats(folder: &Path) -> Result<Option<Server>> {
    let Some(program) = find("nats-server", &[PathBuf::from("/usr/sbin")]) else {
        return Ok(None);
    };
    let port = free_port()?;
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .args(["-a", "127.0.0.1", "-p", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(log(folder)?)
        .stderr(log(folder)?);
    started(command, port, false, sys::TERMINATE).map(Some)
}

/// Where Debian puts nchan.
const NCHAN: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// Starts nginx with nchan and a configuration of its own; `None` where they are not installed.
pub fn nchan(folder: &Path) -> Result<Option<Server>> {
    let program = find("nginx", &[PathBuf::from("/usr/sbin")]);
    let Some(program) = program.filter(|_| Path::new(NCHAN).is_file()) else {
        return Ok(None);
    };
    let port = free_port()?;
    let as_user = if sys::is_root() { "user root;" } else { "" };
    // Room for all that a writer may be ahead; nothing is written to the disk for a measurement.
    let text = format!(
        "load_module {NCHAN};\n{as_user}\ndaemon off;\nworker_processes auto;\npid nginx.pid;\n\
         error_log log warn;\nworker_rlimit_nofile 20000;\nevents {{ worker_connections 16384; }}\n\
         http {{\n access_log off;\n keepalive_requests 100000000;\n tcp_nodelay on;\n\
         client_body_temp_path body;\n proxy_temp_path proxy;\n fastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi;\n scgi_temp_path scgi;\n nchan_shared_memory_size 256M;\n\
         server {{\n listen 127.0.0.1:{port};\n\
         location ~ /pub/(.+)$ {{ nchan_publisher http; nchan_channel_id $1; \
         nchan_message_buffer_length 4096; nchan_message_timeout 1m; }}\n\
         location ~ /sub/(.+)$ {{ nchan_subscriber websocket; nchan_channel_id $1; \
         nchan_subscriber_first_message newest; }}\n }}\n}}\n"
    );
    let conf = folder.join("nginx.conf");
    std::fs::write(&conf, text).map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).arg("-c").arg(&conf);
    command
        .stdin(Stdio::null())
        .stdout(log(folder)?)
        .stderr(log(folder)?);
    started(command, port, false, sys::TERMINATE).map(Some)
}

/// Returns a peer's name with its version.
pub fn version(name: &str) -> String {
    let program = match name {
        "Redis" => find("redis-server", &[]),
        "NATS" => find("nats-server", &[PathBuf::from("/usr/sbin")]),
        "nchan" => return "nchan of nginx".to_owned(),
        _ => find("postgres", &postgres_folders()),
    };
    let said = program.and_then(|program| Step::new(program).args(&["--version"]).output().ok());
    let said = said.unwrap_or_default().replace(": v", " ");
    let version = said
        .split([' ', '='])
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"))
}

fn started(command: Command, port: u16, has_session: bool, stop_signal: i32) -> Result<Server> {
    let begun = Instant::now();
    let child = spawn(command, stop_signal)?;
    let addr = format!("127.0.0.1:{port}");
    let token = String::new();
    let ready_after = Duration::ZERO;
    let mut server = Server {
        child,
        has_session,
        stop_signal,
        addr,
        token,
        ready_after,
    };
    while TcpStream::connect(&server.addr).is_err() {
        let has_ended = matches!(server.child.try_wait(), Ok(Some(_)));
        if has_ended || begun.elapsed() > READY_MAX {
            return Err(format!("nothing listens on {}", server.addr));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    server.ready_after = begun.elapsed();
    // PostgreSQL listens a moment before it lets anyone in.
    std::thread::sleep(Duration::from_millis(500));
    Ok(server)
}

fn spawn(mut command: Command, stop_signal: i32) -> Result<Child> {
    sys::end_with_us(&mut command, stop_signal);
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .spawn()
        .map_err(|error| format!("cannot run {program}: {error}"))
}

fn log(folder: &Path) -> Result<std::fs::File> {
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"));
    file.map_err(|error| format!("cannot write into {}: {error}", folder.display()))
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0");
    let addr = listener.and_then(|listener| listener.local_addr());
    addr.map(|addr| addr.port())
        .map_err(|error| error.to_string())
}

fn find(program: &str, places: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = std::env::split_paths(&path).chain(places.iter().cloned());
    usual
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// Debian keeps the server out of the path, a folder for each version; the newest first.
fn postgres_folders() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut folders: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders
}

fn user_id(name: &str) -> Result<u32> {
    let text = Step::new("id").args(&["-u", name]).output()?;
    text.trim()
        .parse()
        .map_err(|_| format!("there is no user {name}"))
}
