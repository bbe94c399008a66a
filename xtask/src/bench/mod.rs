//! `cargo xtask bench`: what the node does in a second and in how much memory, beside Redis and
//! PostgreSQL, and for subscribers NATS and nchan, doing the same work in the same run on the same
//! disk.
//!
//! The peers are measured in turn, several rounds, and the medians compared: absolute numbers of a
//! shared machine drift by half within minutes, their ratios hold. The first three are durable: the
//! node as it is, Redis with `appendfsync always`, PostgreSQL as it comes. All three keep history,
//! and each is given the form of the work that suits it best (see `load/resp.rs`, `load/pg.rs` and
//! `load/followed.rs`). What each peer does for a subscriber is said below its rows.

mod contend;
mod follow;
mod job;
mod load;
mod matching;
mod merge;
mod packing;
mod peers;
mod report;
mod rows;
mod runner;
mod server;
mod servers;
mod sys;
mod versions;

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use clap::Parser;

use crate::run::{Result, Step};
use job::{Job, Outcome, Peer, Work};
use report::{AimRow, BesideRow, Cell, Report, SizeRow, median, short};
use rows::Beside;
use server::Server;
use servers::Servers;

/// Makes the load that stdin names.
pub fn load() -> Result {
    load::main()
}

/// How much memory an idle node may hold.
const IDLE_MIB_MAX: f64 = 30.0;
/// How much memory an idle connection may hold.
const CONNECTION_KIB_MAX: f64 = 10.0;
/// How long a node may take to be ready.
const READY_MS_MAX: f64 = 100.0;
/// How many contexts a well-filled node has.
const MANY: usize = 100_000;
/// The groups of rows that are measured in this process, without a node.
const IN_PROCESS: [&str; 4] = ["match", "merge", "pack", "versions"];
/// How often a start is timed.
const STARTS: usize = 20;

/// Measure the node, beside Redis and PostgreSQL.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Options {
    /// Only this row or group of rows: write, write-1k, write-1k-16, read, notify, notify-100,
    /// deliver, catch-up, wire, contend, match, merge, pack, versions, memory, start.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// How long each measurement counts.
    #[arg(long, default_value_t = 5.0, value_name = "S")]
    seconds: f64,
    /// How often each measurement is made; the median counts.
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
    /// The merge rows beside yrs, Loro and Automerge, which are built first.
    #[arg(long)]
    peers: bool,
    /// The report as one JSON document.
    #[arg(long)]
    json: bool,
}

/// Says whether any of the rows that are asked for is measured on a node.
pub fn needs_node(arguments: &[String]) -> bool {
    let only = options(arguments).only;
    !only.is_some_and(|only| IN_PROCESS.iter().any(|group| only.starts_with(group)))
}

fn options(arguments: &[String]) -> Options {
    let name = std::iter::once("cargo xtask bench".to_owned());
    let options = Options::try_parse_from(name.chain(arguments.iter().cloned()));
    options.unwrap_or_else(|error| error.exit())
}

/// Measures the node that was built.
pub fn run(arguments: &[String]) -> Result {
    let options = options(arguments);
    sys::raise_descriptors();
    let mut bench = Bench {
        report: start_report(&options),
        options,
    };
    bench.all()?;
    let text = match bench.options.json {
        true => serde_json::to_string_pretty(&bench.report).map_err(|error| error.to_string())?,
        false => bench.report.to_text(),
    };
    writeln!(std::io::stdout(), "{text}").map_err(|error| error.to_string())
}

struct Bench {
    options: Options,
    report: Report,
}

impl Bench {
    fn all(&mut self) -> Result {
        let groups = [
            rows::writes(1_024),
            vec![rows::reads()],
            rows::writes(65_536),
        ];
        let [small, reads, large] = groups;
        self.beside(small)?;
        self.beside(reads)?;
        self.contend()?;
        self.follow()?;
        self.merges()?;
        self.matching();
        self.packing()?;
        self.memory()?;
        self.filled()?;
        self.beside(large)?;
        let removed = std::fs::remove_dir_all(server::target().join("bench"));
        removed.or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(format!("the data of the bench stays: {error}")),
        })
    }

    fn wants(&self, name: &str) -> bool {
        let Some(only) = &self.options.only else {
            return true;
        };
        let rest = name.strip_prefix(only.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ',', ' ']))
    }

    /// Measures rows of updates or reads, each peer in turn.
    fn beside(&mut self, rows: Vec<Beside>) -> Result {
        let rows: Vec<Beside> = rows
            .into_iter()
            .filter(|row| self.wants(&row.name))
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let servers = Servers::start(self, &[Peer::Redis, Peer::Postgres])?;
        for row in rows {
            let peers: Vec<(Peer, &Server)> = row
                .peers
                .iter()
                .filter_map(|peer| Some((*peer, servers.of(*peer)?)))
                .collect();
            let mut outcomes: Vec<Vec<Outcome>> = peers.iter().map(|_| Vec::new()).collect();
            for round in 0..self.options.rounds {
                let mut line = format!("{} round {}:", row.name, round + 1);
                for turn in 0..peers.len() {
                    // Who begins changes, so that nobody is always measured after the same.
                    let index = (turn + round) % peers.len();
                    let (peer, server) = peers[index];
                    let outcome = runner::run(&self.beside_job(&row, peer, server, round))?;
                    line.push_str(&format!("  {} {}/s", peer.name(), short(outcome.rate())));
                    outcomes[index].push(outcome);
                }
                say(&line);
            }
            let cells = peers.iter().zip(outcomes);
            let cells = cells
                .filter_map(|((peer, _), outcomes)| Cell::of(*peer, outcomes))
                .collect();
            self.report
                .beside
                .push(BesideRow::of(&row.name, cells, row.aims));
        }
        Ok(())
    }

    fn beside_job(&self, row: &Beside, peer: Peer, server: &Server, round: usize) -> Job {
        Job {
            connections: row.connections,
            contexts: row.contexts,
            document_bytes: row.document_bytes,
            prefix: format!("{}-{}-{round}", row.name, peer.name()),
            ..self.job(server, peer, row.work)
        }
    }

    fn job(&self, server: &Server, peer: Peer, work: Work) -> Job {
        Job {
            peer,
            addr: server.addr.clone(),
            token: server.token.clone(),
            pid: server.pid(),
            work,
            connections: 1,
            contexts: 1,
            document_bytes: 1_024,
            rate: 0,
            warm_s: (self.options.seconds / 4.0).clamp(0.3, 1.0),
            seconds: self.options.seconds,
            prefix: String::new(),
        }
    }

    /// Measures merges and diffs, in this process.
    fn merges(&mut self) -> Result {
        let rows = merge::rows(|name| self.wants(name), self.options.peers)?;
        self.report.sizes.extend(rows);
        if self.wants("versions") {
            self.report.sizes.extend(versions::rows()?);
        }
        Ok(())
    }

    /// Measures how the subscriptions are found that a change is for, in this process.
    fn matching(&mut self) {
        let rows = matching::rows(|name| self.wants(name));
        self.report.sizes.extend(rows);
    }

    /// Measures how answers are packed, in this process.
    fn packing(&mut self) -> Result {
        let rows = packing::rows(|name| self.wants(name))?;
        self.report.sizes.extend(rows);
        Ok(())
    }

    /// Measures the memory of an idle node, and of idle connections.
    fn memory(&mut self) -> Result {
        if !self.wants("memory") {
            return Ok(());
        }
        let node = server::node(&server::fresh_folder("node")?)?;
        std::thread::sleep(Duration::from_secs(1));
        let idle = node.memory_bytes();
        let value = mib(idle);
        let aim = AimRow::below(format!("below {IDLE_MIB_MAX} MiB"), value, IDLE_MIB_MAX);
        self.size("memory idle", value, "MiB", "", vec![aim]);
        drop(node);
        let all = "WebSocket, one subscription, idle";
        let filtered = "WebSocket, one subscription with a filter of its own, idle";
        for (connections, work, note) in [
            (1_000, Work::Idle, all),
            (5_000, Work::Idle, all),
            (1_000, Work::IdleFiltered, filtered),
        ] {
            let node = server::node(&server::fresh_folder("node")?)?;
            std::thread::sleep(Duration::from_millis(500));
            let before = node.memory_bytes();
            let job = Job {
                connections,
                ..self.job(&node, Peer::Ws, work)
            };
            let mut load = runner::Load::start(&job)?;
            load.held()?;
            std::thread::sleep(Duration::from_secs(1));
            let grown = node.memory_bytes().saturating_sub(before);
            load.finish()?;
            let value = mib(grown) * 1_024.0 / job::to_f64(connections as u64);
            let wanted = CONNECTION_KIB_MAX;
            let aim = AimRow::below(format!("below {wanted} KiB"), value, wanted);
            let name = format!("memory of 1 in {connections} connections");
            self.size(&name, value, "KiB", note, vec![aim]);
        }
        Ok(())
    }

    /// Measures start-up, of a fresh node and of one with many contexts, and the latter's memory.
    fn filled(&mut self) -> Result {
        let (start, memory) = (self.wants("start"), self.wants("memory"));
        if start {
            let times = (0..STARTS).map(|_| started(&server::fresh_folder("node")?));
            self.starts("start, fresh", times.collect::<Result<_>>()?);
        }
        if !start && !memory {
            return Ok(());
        }
        let folder = server::fresh_folder("node")?;
        let mut node = server::node(&folder)?;
        let job = Job {
            contexts: MANY,
            document_bytes: 512,
            prefix: "many".to_owned(),
            ..self.job(&node, Peer::Http, Work::Fill)
        };
        let begun = std::time::Instant::now();
        runner::run(&job)?;
        let took = begun.elapsed().as_secs_f64();
        let rate = short(job::to_f64(MANY as u64) / took);
        if memory {
            std::thread::sleep(Duration::from_secs(1));
            let note = format!("after creating them, {rate}/s in bulks of 1,000");
            self.size(
                "memory with 100,000 contexts",
                mib(node.memory_bytes()),
                "MiB",
                &note,
                vec![],
            );
        }
        node.stop();
        drop(node);
        if memory {
            let node = server::node(&folder)?;
            std::thread::sleep(Duration::from_secs(1));
            let value = mib(node.memory_bytes());
            self.size(
                "memory with 100,000 contexts",
                value,
                "MiB",
                "after a restart",
                vec![],
            );
        }
        if start {
            let times = (0..STARTS).map(|_| started(&folder));
            self.starts("start, 100,000 contexts", times.collect::<Result<_>>()?);
        }
        Ok(())
    }

    fn starts(&mut self, name: &str, mut times: Vec<f64>) {
        let longest = times.iter().copied().fold(0.0, f64::max);
        let value = median(&mut times, |time| *time).unwrap_or_default();
        let aim = AimRow::below(format!("below {READY_MS_MAX} ms"), value, READY_MS_MAX);
        let note = format!("median of {STARTS} until `ready`, longest {longest:.0} ms");
        self.size(name, value, "ms", &note, vec![aim]);
    }

    fn size(&mut self, name: &str, value: f64, unit: &'static str, note: &str, aims: Vec<AimRow>) {
        say(&format!("{name}: {} {unit} {note}", short(value)));
        let (name, note) = (name.to_owned(), note.to_owned());
        self.report.sizes.push(SizeRow {
            name,
            value,
            unit,
            note,
            aims,
        });
    }
}

/// Starts a node, and returns how many milliseconds it took to be ready.
fn started(folder: &Path) -> Result<f64> {
    let mut node = server::node(folder)?;
    node.stop();
    Ok(node.ready_after.as_secs_f64() * 1_000.0)
}

fn start_report(options: &Options) -> Report {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let system = Step::new("uname")
        .args(&["-srm"])
        .output()
        .unwrap_or_default();
    Report {
        machine: format!("{} with {cores} cores", system.trim()),
        seconds: options.seconds,
        rounds: options.rounds,
        ..Report::default()
    }
}

fn mib(bytes: u64) -> f64 {
    job::to_f64(bytes) / f64::from(1 << 20)
}

/// Tells who waits what was just measured.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
