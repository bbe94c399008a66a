//! The public Autobahn suite against the echo fixture, which is the node's own WebSocket transport.
//!
//! The suite needs Python 2.7. Where that is not installed it is taken from Debian 11's packages and
//! unpacked below the target folder: nothing of the system is changed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::run::{Result, Step, root};

const SUITE: &str = "autobahntestsuite==25.10.1";
/// The last of their kind that run on Python 2.7.
const INSTALLERS: [&str; 3] = ["pip==20.3.4", "setuptools==44.1.1", "wheel==0.37.1"];
const DEBIAN: &str = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
    http://deb.debian.org/debian bullseye main";
const PACKAGES: [&str; 8] = [
    "python2.7",
    "python2.7-minimal",
    "libpython2.7",
    "libpython2.7-minimal",
    "libpython2.7-stdlib",
    // The suite brings one module that is compiled.
    "libpython2.7-dev",
    "libffi7",
    "libssl1.1",
];
/// Bounds the whole suite, in seconds: it takes about two minutes.
const SUITE_S_MAX: &str = "900";
/// What a case may end with: extensions that are not offered are no failure.
const GOOD: [&str; 4] = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"];

/// Runs the suite and fails where a case does.
pub fn run() -> Result {
    let python = Python::find()?;
    let site = python.suite()?;
    Step::cargo(&["build", "--release", "-p", "syncline"]).run()?;
    let echo = Echo::start()?;
    let reports = folder().join("reports");
    let _ = fs::remove_dir_all(&reports);
    let spec = serde_json::json!({
        "outdir": reports,
        "servers": [{"agent": "syncline", "url": echo.url}],
        "cases": ["*"],
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let spec_file = folder().join("spec.json");
    write(&spec_file, &spec.to_string())?;
    let program = site.join("bin/wstest");
    python
        .step(&["timeout", SUITE_S_MAX])
        .args(&[program.to_string_lossy(), "-m".into()])
        .args(&[
            "fuzzingclient".into(),
            "-s".into(),
            spec_file.to_string_lossy(),
        ])
        .env("PYTHONPATH", &site)
        .run()?;
    drop(echo);
    judge(&reports.join("index.json"))
}

/// Prints what the cases of each chapter ended with.
fn judge(report: &Path) -> Result {
    let text = fs::read_to_string(report).map_err(|error| told("read", report, &error))?;
    let report: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let cases = report.get("syncline").and_then(Value::as_object);
    let cases = cases.ok_or("the suite's report names no case")?;
    let mut chapters: BTreeMap<u32, BTreeMap<&str, usize>> = BTreeMap::new();
    let mut bad = Vec::new();
    for (case, ended) in cases {
        let ended = |member| ended.get(member).and_then(Value::as_str).unwrap_or("none");
        let behaviour = ended("behavior");
        let chapter = case
            .split('.')
            .next()
            .and_then(|number| number.parse().ok());
        let counts = chapters.entry(chapter.unwrap_or(0)).or_default();
        *counts.entry(behaviour).or_default() += 1;
        if [behaviour, ended("behaviorClose")]
            .iter()
            .any(|end| !GOOD.contains(end))
        {
            bad.push(case.as_str());
        }
    }
    for (chapter, counts) in &chapters {
        let counts = counts.iter().map(|(end, count)| format!("{count} {end}"));
        println!("{chapter:>3}  {}", counts.collect::<Vec<_>>().join(", "));
    }
    match (cases.is_empty(), bad.is_empty()) {
        (false, true) => {
            println!("{} cases, none failed", cases.len());
            Ok(())
        }
        (true, _) => Err("the suite ran no case".to_owned()),
        (false, false) => Err(format!("{} cases failed: {}", bad.len(), bad.join(", "))),
    }
}

/// A Python 2.7 to run.
struct Python {
    program: PathBuf,
    /// Where it was unpacked, if it was.
    unpacked: Option<PathBuf>,
}

impl Python {
    fn find() -> Result<Python> {
        make(&folder())?;
        // A name in the path may be a shim for something that is not chosen.
        if Step::new("python2.7").args(&["--version"]).quietly() {
            return Ok(Python {
                program: PathBuf::from("python2.7"),
                unpacked: None,
            });
        }
        let tree = folder().join("debian");
        let program = tree.join("usr/bin/python2.7");
        if !program.exists() {
            unpack(&tree)?;
        }
        Ok(Python {
            program,
            unpacked: Some(tree),
        })
    }

    /// Begins a step: what runs it, and Python.
    fn step(&self, before: &[&str]) -> Step {
        let program = self.program.to_string_lossy();
        let words: Vec<_> = before.iter().copied().chain([&*program]).collect();
        let step = Step::new(words[0]).args(&words[1..]).folder(folder());
        match &self.unpacked {
            None => step,
            Some(tree) => {
                let libraries = tree.join("usr/lib/x86_64-linux-gnu");
                let headers = tree.join("usr/include");
                let of_python = headers.join("python2.7");
                let headers = [of_python.as_path(), headers.as_path()].map(Path::to_string_lossy);
                step.env("LD_LIBRARY_PATH", libraries)
                    .env("C_INCLUDE_PATH", headers.join(":"))
            }
        }
    }

    /// Installs the suite, if it is not there, and returns the folder that its modules are in.
    fn suite(&self) -> Result<PathBuf> {
        let site = folder().join("site");
        if site.join("bin/wstest").exists() {
            return Ok(site);
        }
        let wheels = folder().join("wheels");
        let installers = folder().join("installers");
        let fetch = ["download", "-q", "--no-deps", "-d"].map(str::to_owned);
        let fetch = fetch
            .into_iter()
            .chain([wheels.to_string_lossy().into_owned()]);
        let fetch = fetch.chain(INSTALLERS.map(str::to_owned));
        Step::new("pip3").args(&fetch.collect::<Vec<_>>()).run()?;
        for wheel in entries(&wheels)? {
            let from = wheel.to_string_lossy();
            let to = installers.to_string_lossy();
            let unzip = ["-m".into(), "zipfile".into(), "-e".into(), from, to];
            Step::new("python3").args(&unzip).run()?;
        }
        self.step(&[])
            .args(&[
                "-m",
                "pip",
                "install",
                "-q",
                "--no-input",
                "--no-build-isolation",
            ])
            .args(&["--target".into(), site.to_string_lossy(), SUITE.into()])
            .env("PYTHONPATH", &installers)
            .run()?;
        // Python 2 takes a folder for a package only with this file, which the wheel leaves out.
        write(&site.join("zope/__init__.py"), "")?;
        Ok(site)
    }
}

/// Fetches Debian 11's Python 2.7 and unpacks it.
fn unpack(tree: &Path) -> Result {
    let apt = folder().join("apt");
    for part in ["lists/partial", "cache/archives/partial", "packages"] {
        make(&apt.join(part))?;
    }
    let list = apt.join("bullseye.list");
    write(&list, DEBIAN)?;
    let set = |name: &str, value: &Path| format!("-o{name}={}", value.to_string_lossy());
    let own = [
        set("Dir::Etc::sourcelist", &list),
        set("Dir::Etc::sourceparts", Path::new("-")),
        set("Dir::State::lists", &apt.join("lists")),
        set("Dir::State::status", Path::new("/dev/null")),
        set("Dir::Cache", &apt.join("cache")),
    ];
    let packages = apt.join("packages");
    let step = |words: &[&str]| {
        let step = Step::new("apt-get").args(&own).args(&["-q"]).args(words);
        step.folder(packages.clone())
    };
    step(&["update"]).run()?;
    step(&["download"]).args(&PACKAGES).run()?;
    for package in entries(&packages)? {
        let unpack = [
            "-x".into(),
            package.to_string_lossy(),
            tree.to_string_lossy(),
        ];
        Step::new("dpkg").args(&unpack).run()?;
    }
    Ok(())
}

/// The echo, which ends with this.
struct Echo {
    child: Child,
    url: String,
}

impl Echo {
    fn start() -> Result<Echo> {
        let mut child = Command::new(root().join("target/release/syncline"))
            .args(["fixture", "ws-echo", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the echo: {error}"))?;
        let mut line = String::new();
        let said = child.stdout.take().ok_or("the echo says nothing")?;
        let read = BufReader::new(said).read_line(&mut line);
        let url = line.trim().strip_prefix("ready ").map(str::to_owned);
        let echo = Echo {
            child,
            url: url.unwrap_or_default(),
        };
        match (read, echo.url.is_empty()) {
            (Ok(_), false) => Ok(echo),
            _ => Err(format!("the echo did not become ready, but said {line:?}")),
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> PathBuf {
    root().join("target/autobahn")
}

fn make(folder: &Path) -> Result {
    fs::create_dir_all(folder).map_err(|error| told("make", folder, &error))
}

fn write(file: &Path, text: &str) -> Result {
    fs::write(file, text).map_err(|error| told("write", file, &error))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| told("read", folder, &error))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

fn told(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("failed to {what} {}: {error}", path.display())
}
