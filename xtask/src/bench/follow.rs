//! What subscribers see: how soon, how much, after an absence, and in how many bytes.

use super::job::{Job, Outcome, Peer, Work, to_f64};
use super::report::{AimRow, FollowRow, median, short};
use super::rows::{self, Follow};
use super::server::Server;
use super::servers::Servers;
use super::{Bench, runner, say};
use crate::run::Result;

/// What a change of two fields may take on the wire, as shares of documents of 1 KB and 64 KB.
const WIRE: [(usize, f64); 2] = [(1_024, 60.0), (65_536, 1.0)];

impl Bench {
    /// Measures what subscribers see, each peer in turn.
    pub(super) fn follow(&mut self) -> Result {
        for row in rows::follows() {
            if self.wants(&row.name) {
                self.follow_one(&row)?;
            }
        }
        self.wire()
    }

    fn follow_one(&mut self, row: &Follow) -> Result {
        let servers = Servers::start(self, row.peers)?;
        let peers: Vec<(Peer, &Server)> = row
            .peers
            .iter()
            .filter_map(|peer| Some((*peer, servers.of(*peer)?)))
            .collect();
        let mut outcomes: Vec<Vec<Outcome>> = peers.iter().map(|_| Vec::new()).collect();
        for round in 0..self.options.rounds {
            for turn in 0..peers.len() {
                // Who begins changes, so that nobody is always measured after the same.
                let index = (turn + round) % peers.len();
                let (peer, server) = peers[index];
                let job = Job {
                    connections: row.subscribers,
                    contexts: 64,
                    rate: row.rate,
                    prefix: format!("{}-{round}", row.name),
                    ..self.job(server, peer, row.work)
                };
                let outcome = runner::run(&job)?;
                let name = format!("{} round {}", row.name, round + 1);
                say(&format!("{name}, {}: {}", peer.name(), seen(&outcome)));
                outcomes[index].push(outcome);
            }
        }
        let peers = peers.iter().map(|(peer, _)| *peer);
        self.report
            .follow
            .extend(rows_of(row, peers.zip(outcomes).collect()));
        Ok(())
    }

    /// Measures the bytes of a change of two fields, one to a frame.
    fn wire(&mut self) -> Result {
        for (document_bytes, share_max) in WIRE {
            let name = format!("wire-{}k", document_bytes / 1_024);
            if !self.wants(&name) {
                continue;
            }
            let servers = Servers::start(self, &[])?;
            let Some(node) = servers.of(Peer::Ws) else {
                continue;
            };
            let outcome = runner::run(&Job {
                document_bytes,
                rate: 100,
                prefix: name.clone(),
                ..self.job(node, Peer::Ws, Work::Notify)
            })?;
            let bytes = to_f64(outcome.bytes) / to_f64(outcome.count.max(1));
            let share = bytes * 100.0 / to_f64(document_bytes as u64);
            let aim = AimRow::below(format!("below {share_max} %"), share, share_max);
            let note =
                format!("of a document of {document_bytes} bytes: {bytes:.0} bytes, frame and all");
            self.size(&name, share, "%", &note, vec![aim]);
        }
        Ok(())
    }
}

fn seen(outcome: &Outcome) -> String {
    format!(
        "p50 {:.0} µs, p99 {:.0} µs, {}/s, {} lost; others took {:.2} cores",
        outcome.p50_us,
        outcome.p99_us,
        short(outcome.rate()),
        outcome.lost,
        outcome.other_cores
    )
}

/// Makes a row for each peer; ours is judged, by itself and beside those that are here.
fn rows_of(row: &Follow, measured: Vec<(Peer, Vec<Outcome>)>) -> Vec<FollowRow> {
    let beside = |peer: Peer, of: fn(&Outcome) -> f64| {
        let found = |wanted: Peer| measured.iter().find(|(peer, _)| *peer == wanted);
        let (ours, theirs) = (&found(Peer::Ws)?.1, &found(peer)?.1);
        // Of the same round: what slows a machine for a while slows both.
        let pairs = ours.iter().zip(theirs);
        let mut ratios: Vec<f64> = pairs.map(|(ours, theirs)| of(ours) / of(theirs)).collect();
        median(&mut ratios, |ratio| *ratio)
    };
    let p50 = |outcome: &Outcome| outcome.p50_us;
    let slower = row.slower_max.iter().filter_map(|(peer, wanted)| {
        let text = format!("p50 below {wanted} × that of {}", peer.name());
        Some(AimRow::below(text, beside(*peer, p50)?, *wanted))
    });
    let faster = row.faster_min.iter().filter_map(|(peer, wanted)| {
        let text = format!("at least {wanted} × as many as {}", peer.name());
        Some(AimRow::at_least(
            text,
            beside(*peer, Outcome::rate)?,
            *wanted,
        ))
    });
    let beside: Vec<AimRow> = slower.chain(faster).collect();
    let mut rows: Vec<FollowRow> = measured
        .into_iter()
        .filter_map(|(peer, outcomes)| follow_row(row, peer, outcomes))
        .collect();
    if let Some(ours) = rows.iter_mut().find(|row| row.peer == Peer::Ws) {
        ours.aims.extend(beside);
    }
    rows
}

fn follow_row(row: &Follow, peer: Peer, mut outcomes: Vec<Outcome>) -> Option<FollowRow> {
    let rounds_p50_us: Vec<f64> = outcomes.iter().map(|outcome| outcome.p50_us).collect();
    let rounds_rate: Vec<f64> = outcomes.iter().map(Outcome::rate).collect();
    // None may be lost in any round, whichever the median is.
    let lost: u64 = outcomes.iter().map(|outcome| outcome.lost).sum();
    let mut outcome = match row.work {
        Work::Deliver => median(&mut outcomes, Outcome::rate)?,
        _ => median(&mut outcomes, |outcome| outcome.p50_us)?,
    };
    outcome.lost = lost;
    let aims = match peer {
        Peer::Ws => own_aims(row, &outcome),
        _ => Vec::new(),
    };
    Some(FollowRow {
        name: row.name.clone(),
        peer,
        does: peer.does(),
        outcome,
        rounds_p50_us,
        rounds_rate,
        aims,
    })
}

fn own_aims(row: &Follow, outcome: &Outcome) -> Vec<AimRow> {
    let mut aims = vec![AimRow::below(
        "none lost".to_owned(),
        to_f64(outcome.lost),
        1.0,
    )];
    if let Some(wanted) = row.p50_us_max {
        let (reached, wanted) = (outcome.p50_us / 1_000.0, wanted / 1_000.0);
        let text = format!("p50 below {wanted} ms, durability included");
        aims.push(AimRow::below(text, reached, wanted));
    }
    if let Some(wanted) = row.rate_min {
        let text = format!("at least {} deliveries/s", short(wanted));
        aims.push(AimRow::at_least(text, outcome.rate(), wanted));
    }
    aims
}
