//! Processor time of this process and of the server, from `/proc`; 0 where there is none.

use std::time::Instant;

use crate::bench::job::{Outcome, to_f64};

/// The kernel tells times to programs in hundredths of a second.
const TICKS_PER_S: f64 = 100.0;

/// What both had used at a moment.
pub struct Cpu {
    server: u32,
    at: Instant,
    server_ticks: u64,
    own_ticks: u64,
    all_ticks: u64,
}

/// How many cores were kept busy, and by whom.
pub struct Cores {
    pub server: f64,
    pub own: f64,
    /// By anyone else on the machine: what makes a measurement doubtful.
    pub others: f64,
}

impl Cpu {
    pub fn now(server: u32) -> Cpu {
        Cpu {
            server,
            at: Instant::now(),
            server_ticks: family_ticks(server),
            own_ticks: stat(std::process::id()).map_or(0, |(_, ticks)| ticks),
            all_ticks: all_ticks(),
        }
    }

    /// Returns how many cores were busy since.
    pub fn cores_since(&self) -> Cores {
        let now = Cpu::now(self.server);
        let seconds = now.at.duration_since(self.at).as_secs_f64().max(0.001);
        let cores =
            |after: u64, before: u64| to_f64(after.saturating_sub(before)) / TICKS_PER_S / seconds;
        let server = cores(now.server_ticks, self.server_ticks);
        let own = cores(now.own_ticks, self.own_ticks);
        let all = cores(now.all_ticks, self.all_ticks);
        Cores {
            server,
            own,
            others: (all - server - own).max(0.0),
        }
    }
}

impl Outcome {
    /// Notes who kept the cores busy.
    pub fn set_cores(&mut self, cores: &Cores) {
        self.server_cores = cores.server;
        self.load_cores = cores.own;
        self.other_cores = cores.others;
    }
}

/// The whole machine's time that was not idle.
fn all_ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks = line.split_whitespace().skip(1).take(8).enumerate();
    // The fourth and the fifth are idle, and idle while a disk works.
    let busy = ticks.filter(|(index, _)| !matches!(index, 3 | 4));
    busy.filter_map(|(_, ticks)| ticks.parse::<u64>().ok())
        .sum()
}

/// A process and its children: PostgreSQL has one for each connection.
fn family_ticks(server: u32) -> u64 {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return 0;
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let members = pids.filter_map(|pid: u32| {
        let (parent, ticks) = stat(pid)?;
        (pid == server || parent == server).then_some(ticks)
    });
    members.sum()
}

/// Returns a process's parent and its time, in user and kernel.
fn stat(pid: u32) -> Option<(u32, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything.
    let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((fields.get(1)?.parse().ok()?, number(11)? + number(12)?))
}
