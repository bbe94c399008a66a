//! What was measured, as a table for a person and as one document for a program.

use std::fmt::Write as _;

use serde::Serialize;

use super::job::{Outcome, Peer};
use super::rows::Aim;

/// The kernel's own work for the disk is below this; more is somebody else's.
const OTHERS_MAX: f64 = 0.3;

/// All that was measured.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Who measured where.
    pub machine: String,
    /// The versions of the peers.
    pub peers: Vec<String>,
    /// How long each measurement counted, in seconds.
    pub seconds: f64,
    /// How often each was made.
    pub rounds: usize,
    /// Updates and reads, beside the peers.
    pub beside: Vec<BesideRow>,
    /// What subscribers see.
    pub follow: Vec<FollowRow>,
    /// Memory and start-up.
    pub sizes: Vec<SizeRow>,
}

/// Updates or reads of several peers.
#[derive(Debug, Serialize)]
pub struct BesideRow {
    /// Its name.
    pub name: String,
    /// A cell for each peer.
    pub cells: Vec<Cell>,
    /// What was aimed at.
    pub aims: Vec<AimRow>,
}

/// One peer's part of a row.
#[derive(Debug, Serialize)]
pub struct Cell {
    /// Who.
    pub peer: Peer,
    /// The median of the rounds, per second.
    pub rate: f64,
    /// Each round, per second.
    pub rounds: Vec<f64>,
    /// Of the round that is the median.
    pub p50_us: f64,
    /// Of the round that is the median.
    pub p99_us: f64,
    /// Processor time of the server for one update or read, in microseconds.
    pub server_us: f64,
    /// Processor time of the server in that round, in cores.
    pub server_cores: f64,
    /// Processor time of the load in that round, in cores.
    pub load_cores: f64,
    /// The most that anyone else took in a round, in cores.
    pub other_cores: f64,
}

/// What subscribers of one peer saw, in the round that is the median.
#[derive(Debug, Serialize)]
pub struct FollowRow {
    /// Its name.
    pub name: String,
    /// Whose subscribers.
    pub peer: Peer,
    /// What the peer does for them.
    pub does: &'static str,
    /// The median round.
    pub outcome: Outcome,
    /// The medians of write-to-notify of each round.
    pub rounds_p50_us: Vec<f64>,
    /// The deliveries per second of each round.
    pub rounds_rate: Vec<f64>,
    /// What was aimed at.
    pub aims: Vec<AimRow>,
}

/// A size or a time of the node.
#[derive(Debug, Serialize)]
pub struct SizeRow {
    /// Its name.
    pub name: String,
    /// The number.
    pub value: f64,
    /// What it counts.
    pub unit: &'static str,
    /// More about it.
    pub note: String,
    /// What was aimed at.
    pub aims: Vec<AimRow>,
}

/// An aim, and whether it was reached.
#[derive(Debug, Serialize)]
pub struct AimRow {
    /// What was aimed at.
    pub text: String,
    /// What came of it.
    pub reached: f64,
    /// Whether that is enough.
    pub is_met: bool,
}

impl AimRow {
    /// Judges something that is to be at least `wanted`.
    pub fn at_least(text: String, reached: f64, wanted: f64) -> AimRow {
        AimRow {
            text,
            reached,
            is_met: reached >= wanted,
        }
    }

    /// Judges something that is to be below `wanted`.
    pub fn below(text: String, reached: f64, wanted: f64) -> AimRow {
        AimRow {
            text,
            reached,
            is_met: reached < wanted,
        }
    }

    fn show(&self, out: &mut String) {
        let verdict = if self.is_met { "reached" } else { "MISSED " };
        let _ = writeln!(out, "    {verdict}  {}: {}", self.text, short(self.reached));
    }
}

impl Cell {
    /// Takes the round whose rate is the median.
    pub fn of(peer: Peer, mut outcomes: Vec<Outcome>) -> Option<Cell> {
        let rounds = outcomes.iter().map(Outcome::rate).collect();
        let others = outcomes.iter().map(|outcome| outcome.other_cores);
        let other_cores = others.fold(0.0, f64::max);
        let middle = median(&mut outcomes, Outcome::rate)?;
        Some(Cell {
            peer,
            rate: middle.rate(),
            rounds,
            p50_us: middle.p50_us,
            p99_us: middle.p99_us,
            server_us: middle.server_cores * 1e6 / middle.rate().max(1.0),
            server_cores: middle.server_cores,
            load_cores: middle.load_cores,
            other_cores,
        })
    }
}

impl BesideRow {
    /// Judges a row by its aims; an aim against a peer that is not here is left out.
    pub fn of(name: &str, cells: Vec<Cell>, aims: &[Aim]) -> BesideRow {
        let mut row = BesideRow {
            name: name.to_owned(),
            cells,
            aims: Vec::new(),
        };
        let judged = aims.iter().filter_map(|aim| {
            let reached = row.ratio(aim.ours, aim.theirs)?;
            let (ours, theirs) = (aim.ours.name(), aim.theirs.name());
            let text = format!("{ours} at least {} of {theirs}", aim.ratio);
            Some(AimRow::at_least(text, reached, aim.ratio))
        });
        row.aims = judged.collect();
        row
    }

    fn cell(&self, peer: Peer) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.peer == peer)
    }

    /// Returns the median of the rounds' ratios: what slows a machine for a while slows both.
    fn ratio(&self, ours: Peer, theirs: Peer) -> Option<f64> {
        let (ours, theirs) = (self.cell(ours)?, self.cell(theirs)?);
        let pairs = ours.rounds.iter().zip(&theirs.rounds);
        let mut ratios: Vec<f64> = pairs.map(|(ours, theirs)| ours / theirs).collect();
        median(&mut ratios, |ratio| *ratio)
    }
}

/// Takes the one in the middle.
pub fn median<T>(all: &mut Vec<T>, of: impl Fn(&T) -> f64) -> Option<T> {
    all.sort_by(|a, b| of(a).total_cmp(&of(b)));
    (!all.is_empty()).then(|| all.swap_remove(all.len() / 2))
}

impl Report {
    /// Returns the table for a person.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "Syncline, measured on {}", self.machine);
        let _ = writeln!(
            out,
            "medians of {} rounds of {} s in turn; beside it {}\n",
            self.rounds,
            self.seconds,
            if self.peers.is_empty() {
                "nobody".to_owned()
            } else {
                self.peers.join(", ")
            }
        );
        self.show_beside(&mut out);
        self.show_follow(&mut out);
        self.show_sizes(&mut out);
        let aims = || {
            let beside = self.beside.iter().flat_map(|row| &row.aims);
            let follow = self.follow.iter().flat_map(|row| &row.aims);
            beside
                .chain(follow)
                .chain(self.sizes.iter().flat_map(|row| &row.aims))
        };
        let met = aims().filter(|aim| aim.is_met).count();
        let _ = writeln!(out, "{met} of {} aims reached", aims().count());
        let beside = self.beside.iter().flat_map(|row| &row.cells);
        let beside = beside.map(|cell| cell.other_cores);
        let follow = self.follow.iter().map(|row| row.outcome.other_cores);
        let others = beside.chain(follow).fold(0.0, f64::max);
        if others > OTHERS_MAX {
            let _ = writeln!(
                out,
                "the machine was not ours alone: others took up to {others:.2} cores, so measure again"
            );
        }
        out
    }

    fn show_beside(&self, out: &mut String) {
        if self.beside.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "{:<18}{:>9}{:>9}{:>9}{:>9}   ratios of ws (reads: http) to redis, postgres",
            "per second", "ws", "http", "redis", "postgres"
        );
        for row in &self.beside {
            let rate = |peer| {
                row.cell(peer)
                    .map_or_else(|| "–".to_owned(), |cell| short(cell.rate))
            };
            let ours = row.cell(Peer::Ws).map_or(Peer::Http, |cell| cell.peer);
            let ratio = |peer| {
                row.ratio(ours, peer)
                    .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
            };
            let _ = writeln!(
                out,
                "{:<18}{:>9}{:>9}{:>9}{:>9}   {:>6}{:>7}",
                row.name,
                rate(Peer::Ws),
                rate(Peer::Http),
                rate(Peer::Redis),
                rate(Peer::Postgres),
                ratio(Peer::Redis),
                ratio(Peer::Postgres),
            );
            row.aims.iter().for_each(|aim| aim.show(out));
        }
        let _ = writeln!(
            out,
            "\n{:<18}{:<10}{:>9}{:>9}{:>12}{:>8}{:>8}   rounds",
            "", "", "p50", "p99", "server cpu", "cores", "load"
        );
        for (row, cell) in self
            .beside
            .iter()
            .flat_map(|row| row.cells.iter().map(move |c| (row, c)))
        {
            let rounds: Vec<String> = cell.rounds.iter().copied().map(short).collect();
            let _ = writeln!(
                out,
                "{:<18}{:<10}{:>9}{:>9}{:>12}{:>8.2}{:>8.2}   {}",
                row.name,
                cell.peer.name(),
                time(cell.p50_us),
                time(cell.p99_us),
                time(cell.server_us),
                cell.server_cores,
                cell.load_cores,
                rounds.join(" ")
            );
        }
        out.push('\n');
    }

    fn show_follow(&self, out: &mut String) {
        if self.follow.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "{:<14}{:<10}{:>9}{:>9}{:>14}{:>9}{:>7}{:>9}{:>8}  cores of server, load, others",
            "subscribers", "", "p50", "p99", "deliveries/s", "writes/s", "lost", "lagging", "bytes"
        );
        for row in &self.follow {
            let FollowRow { name, outcome, .. } = row;
            let peer = row.peer.name();
            let each = outcome.bytes.checked_div(outcome.count).unwrap_or(0);
            let _ = writeln!(
                out,
                "{name:<14}{peer:<10}{:>9}{:>9}{:>14}{:>9}{:>7}{:>9}{each:>8}  {:>9.2}{:>6.2}{:>8.2}",
                time(outcome.p50_us),
                time(outcome.p99_us),
                short(outcome.rate()),
                short(super::job::to_f64(outcome.written) / outcome.seconds.max(0.001)),
                outcome.lost,
                outcome.lagging,
                outcome.server_cores,
                outcome.load_cores,
                outcome.other_cores,
            );
            row.aims.iter().for_each(|aim| aim.show(out));
        }
        let mut peers: Vec<(Peer, &str)> =
            self.follow.iter().map(|row| (row.peer, row.does)).collect();
        peers.sort_unstable();
        peers.dedup();
        for (peer, does) in peers {
            let _ = writeln!(out, "  {:<10}{does}", peer.name());
        }
        out.push('\n');
    }

    fn show_sizes(&self, out: &mut String) {
        for row in &self.sizes {
            let value = format!("{} {}", short(row.value), row.unit);
            let _ = writeln!(out, "{:<32}{value:>12}   {}", row.name, row.note);
            row.aims.iter().for_each(|aim| aim.show(out));
        }
        if !self.sizes.is_empty() {
            out.push('\n');
        }
    }
}

/// Shows three digits or so, thousands as k.
pub fn short(value: f64) -> String {
    match value {
        value if value >= 999_500.0 => format!("{:.2}M", value / 1e6),
        value if value >= 99_950.0 => format!("{:.0}k", value / 1e3),
        value if value >= 9_995.0 => format!("{:.1}k", value / 1e3),
        value if value >= 999.5 => format!("{:.2}k", value / 1e3),
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn time(us: f64) -> String {
    if us < 100.0 {
        return format!("{us:.1} µs");
    }
    if us >= 1_000.0 {
        format!("{:.2} ms", us / 1_000.0)
    } else {
        format!("{us:.0} µs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, shown) in [
            (0.714, "0.71"),
            (42.0, "42.0"),
            (999.9, "1.00k"),
            (42_100.0, "42.1k"),
            (3e5, "300k"),
        ] {
            assert_eq!(short(value), shown);
        }
    }

    #[test]
    fn the_middle_round_counts() {
        assert_eq!(median(&mut vec![3.0, 9.0, 1.0], |value| *value), Some(3.0));
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let round = |rate: u64| Outcome {
            count: rate,
            seconds: 1.0,
            ..Outcome::default()
        };
        let cell = |peer, rates: [u64; 3]| Cell::of(peer, rates.map(round).to_vec());
        // The machine was slow in the second round, for both.
        let cells = [
            cell(Peer::Ws, [100, 10, 80]),
            cell(Peer::Redis, [200, 20, 400]),
        ];
        let aim = Aim {
            ours: Peer::Ws,
            theirs: Peer::Redis,
            ratio: 0.5,
        };
        let row = BesideRow::of("write", cells.into_iter().flatten().collect(), &[aim]);
        assert_eq!(row.aims[0].reached, 0.5);
        assert!(row.aims[0].is_met);
        assert_eq!(row.cells[0].rate, 80.0);
    }
}
