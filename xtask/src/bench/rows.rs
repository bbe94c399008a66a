//! The rows of the report: what is measured, with whom beside us, and what is aimed at.

use super::job::{Peer, Work};

/// A row of updates or reads, measured for several peers in turn.
#[derive(Clone, Debug)]
pub struct Beside {
    /// Its name in `--only` and in the report.
    pub name: String,
    /// Whether it writes or reads.
    pub work: Work,
    /// How many connections.
    pub connections: usize,
    /// How many documents they share.
    pub contexts: usize,
    /// The size of a document.
    pub document_bytes: usize,
    /// Who is measured.
    pub peers: &'static [Peer],
    /// What is aimed at.
    pub aims: &'static [Aim],
}

/// A least ratio of one peer's rate to another's.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    /// Ours.
    pub ours: Peer,
    /// The other.
    pub theirs: Peer,
    /// What the ratio is to reach.
    pub ratio: f64,
}

const WRITERS: &[Peer] = &[Peer::Ws, Peer::Http, Peer::Redis, Peer::Postgres];
const READERS: &[Peer] = &[Peer::Http, Peer::Redis, Peer::Postgres];

const fn aim(ours: Peer, theirs: Peer, ratio: f64) -> Aim {
    Aim {
        ours,
        theirs,
        ratio,
    }
}

/// Returns the rows of updates of documents of one size.
pub fn writes(document_bytes: usize) -> Vec<Beside> {
    let row = |connections: usize, contexts: usize| {
        let shared = if contexts < connections { "-one" } else { "" };
        let is_small = document_bytes < 4_096;
        let aims: &[Aim] = match (connections, contexts, is_small) {
            (1, _, true) => const { &[aim(Peer::Ws, Peer::Redis, 0.7)] },
            (16, 16, true) => const { &[aim(Peer::Ws, Peer::Postgres, 1.0)] },
            (64, 64, true) => {
                const {
                    &[
                        aim(Peer::Ws, Peer::Postgres, 1.0),
                        aim(Peer::Ws, Peer::Redis, 0.5),
                    ]
                }
            }
            _ => &[],
        };
        Beside {
            name: format!("write-{}k-{connections}{shared}", document_bytes / 1_024),
            work: Work::Write,
            connections,
            contexts,
            document_bytes,
            peers: WRITERS,
            aims,
        }
    };
    [(1, 1), (16, 16), (64, 64), (16, 1), (64, 1)]
        .map(|(n, contexts)| row(n, contexts))
        .to_vec()
}

/// Returns the row of reads.
pub fn reads() -> Beside {
    Beside {
        name: "read-64".to_owned(),
        work: Work::Read,
        connections: 64,
        contexts: 64,
        document_bytes: 1_024,
        peers: READERS,
        aims: const { &[aim(Peer::Http, Peer::Postgres, 2.0)] },
    }
}

/// A row of what subscribers see.
#[derive(Clone, Debug)]
pub struct Follow {
    /// Its name in `--only` and in the report.
    pub name: String,
    /// Whether a steady writer is followed, or one that stays ahead.
    pub work: Work,
    /// How many follow.
    pub subscribers: usize,
    /// Updates per second of a steady writer.
    pub rate: u32,
    /// The greatest median of write-to-notify that is aimed at.
    pub p50_us_max: Option<f64>,
    /// The least deliveries per second that are aimed at.
    pub rate_min: Option<f64>,
    /// Who is measured.
    pub peers: &'static [Peer],
    /// How many times a peer's median the node's is to stay below.
    pub slower_max: &'static [(Peer, f64)],
    /// How many times a peer's deliveries per second the node's are to reach.
    pub faster_min: &'static [(Peer, f64)],
}

const TOLD: &[Peer] = &[Peer::Ws, Peer::Redis, Peer::Nats, Peer::Nchan];

/// Returns the rows of what subscribers see.
pub fn follows() -> Vec<Follow> {
    let row = |name: String, work, subscribers, peers| Follow {
        name,
        work,
        subscribers,
        rate: 0,
        p50_us_max: None,
        rate_min: None,
        peers,
        slower_max: &[],
        faster_min: &[],
    };
    let notify = |subscribers: usize, rate, p50_us_max, slower_max| Follow {
        rate,
        p50_us_max,
        slower_max,
        ..row(
            format!("notify-{subscribers}"),
            Work::Notify,
            subscribers,
            TOLD,
        )
    };
    let many: &[(Peer, f64)] = &[(Peer::Nchan, 1.0)];
    let deliver = Follow {
        rate_min: Some(1_000_000.0),
        faster_min: &[(Peer::Redis, 1.0), (Peer::Nats, 1.0)],
        ..row(
            "deliver-1000".to_owned(),
            Work::Deliver,
            1_000,
            &[Peer::Ws, Peer::Redis, Peer::Nats],
        )
    };
    let catch_up = Follow {
        slower_max: &[(Peer::Postgres, 1.0)],
        ..row(
            "catch-up".to_owned(),
            Work::CatchUp,
            1,
            &[Peer::Ws, Peer::Redis, Peer::Postgres],
        )
    };
    vec![
        notify(1, 200, None, &[]),
        notify(100, 200, Some(1_500.0), many),
        notify(1_000, 100, None, many),
        notify(5_000, 20, None, many),
        deliver,
        catch_up,
    ]
}
