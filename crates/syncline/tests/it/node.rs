//! A node in a process of its own, and commands that talk to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use syncline_model::json::{Json, Limits};
use tempfile::TempDir;

/// Bounds every wait of these tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A home of one's own: no setting of the machine reaches the commands.
pub struct Home {
    pub dir: TempDir,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Reads stdout as one JSON document.
    pub fn json(&self) -> Json {
        assert_eq!(self.code, 0, "{self:?}");
        parse(&self.out)
    }

    /// Reads stderr as a problem, and returns its code.
    pub fn problem(&self) -> String {
        let json = parse(self.err.trim());
        json.get("code").and_then(Json::as_str).unwrap().to_owned()
    }
}

pub fn parse(text: &str) -> Json {
    Json::parse(
        text.as_bytes(),
        &Limits {
            bytes_max: 64 << 20,
            depth_max: 128,
        },
    )
    .unwrap_or_else(|error| panic!("{error}: {text}"))
}

impl Home {
    pub fn new() -> Home {
        Home {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SYNCLINE_") {
                command.env_remove(name);
            }
        }
        for name in [
            "XDG_DATA_HOME",
            "XDG_CONFIG_HOME",
            "XDG_STATE_HOME",
            "XDG_RUNTIME_DIR",
            "NO_COLOR",
        ] {
            command.env_remove(name);
        }
        command
            .env("HOME", self.dir.path())
            .args(arguments)
            .current_dir(self.dir.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        finish(self.command(arguments))
    }

    /// Starts a node on this home's data directory.
    pub fn start(self) -> Node {
        let data = self.data();
        let mut command = self.command(&["up", "--listen", "127.0.0.1:0"]);
        command.arg("--data").arg(&data);
        let (child, url) = ready(command);
        Node {
            home: self,
            child: Some(child),
            url,
        }
    }
}

/// Runs a command to its end, and fails if it takes too long.
pub fn finish(mut command: Command) -> Said {
    let mut child = command.spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let out = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    });
    let err = std::thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).unwrap();
        text
    });
    let status = wait(&mut child);
    Said {
        code: status.code().unwrap_or(-1),
        out: out.join().unwrap(),
        err: err.join().unwrap(),
    }
}

pub fn wait(child: &mut Child) -> ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("a command did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Spawns a node and waits for its last line.
pub fn ready(mut command: Command) -> (Child, String) {
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line
        .trim_end()
        .strip_prefix("ready ")
        .unwrap_or_else(|| panic!("{line:?}"));
    (child, url.to_owned())
}

/// A running node.
pub struct Node {
    pub home: Home,
    pub child: Option<Child>,
    pub url: String,
}

impl Node {
    pub fn start() -> Node {
        Home::new().start()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command(arguments);
        command.arg("--data").arg(self.home.data());
        command
    }

    /// Runs a command against this node.
    pub fn run(&self, arguments: &[&str]) -> Said {
        finish(self.command(arguments))
    }

    /// Runs a command that must end well.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.out
    }

    /// Runs a command with something on its stdin.
    pub fn with_input(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let ended = child.wait_with_output().unwrap();
        Said {
            code: ended.status.code().unwrap_or(-1),
            out: String::from_utf8(ended.stdout).unwrap(),
            err: String::from_utf8(ended.stderr).unwrap(),
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ends the node with SIGTERM and returns how it ended.
    pub fn stop(&mut self) -> i32 {
        let mut child = self.child.take().unwrap();
        signal(child.id(), "TERM");
        wait(&mut child).code().unwrap_or(-1)
    }

    /// Starts the node again on the same data.
    pub fn start_again(&mut self) {
        let mut command = self.home.command(&["up", "--listen", "127.0.0.1:0"]);
        command.arg("--data").arg(self.home.data());
        let (child, url) = ready(command);
        self.child = Some(child);
        self.url = url;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(process.to_string())
        .status();
    assert!(sent.unwrap().success());
}

/// Returns the real data, or nothing where it is not there; in CI it must be.
pub fn test_data() -> Option<PathBuf> {
    let named = std::env::var_os("SYNCLINE_TEST_DATA").map(PathBuf::from);
    let beside = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let dir = named.unwrap_or_else(|| beside.to_owned());
    if dir.is_dir() {
        return Some(dir);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "SYNCLINE_TEST_DATA is missing"
    );
    None
}
