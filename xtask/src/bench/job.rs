//! What passes between the bench and the process that makes its load: one line of JSON each way.

use serde::{Deserialize, Serialize};

/// Whom the load speaks to, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// A Syncline node over its WebSocket.
    Ws,
    /// A Syncline node over HTTP.
    Http,
    /// Redis.
    Redis,
    /// PostgreSQL.
    Postgres,
    /// NATS without JetStream.
    Nats,
    /// nginx with nchan.
    Nchan,
}

impl Peer {
    /// Returns the column's name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Ws => "ws",
            Peer::Http => "http",
            Peer::Redis => "redis",
            Peer::Postgres => "postgres",
            Peer::Nats => "nats",
            Peer::Nchan => "nchan",
        }
    }

    /// Returns what it has done before a subscriber hears of a change, and how one is caught up.
    pub fn does(self) -> &'static str {
        match self {
            Peer::Ws | Peer::Http => "committed with a sync before anyone hears; resumed by cursor",
            Peer::Redis => {
                "HSET, XADD and PUBLISH in one script, appendfsync always: synced before anyone \
                 hears; caught up by one XRANGE"
            }
            Peer::Postgres => "caught up by one select of what is above a seq, in its order",
            Peer::Nats => "publish as it comes, without JetStream: nothing is stored",
            Peer::Nchan => "POST and WebSocket subscribers, kept in memory: nothing is durable",
        }
    }
}

/// What the load does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Each connection changes two fields of its document, one update at a time.
    Write,
    /// Each connection changes a field of its own, naming as base what it last heard.
    Contend,
    /// Each connection reads a document, one read at a time.
    Read,
    /// One writer at a steady rate; subscribers measure how long a change takes to reach them.
    Notify,
    /// One writer that stays ahead; subscribers take all they can get and check that it is all.
    Deliver,
    /// Connections that subscribe to all and then are silent.
    Idle,
    /// As `Idle`, each with a filter of its own.
    IdleFiltered,
    /// A subscriber that was away gets what it missed, several times over.
    CatchUp,
    /// Creates contexts in bulks.
    Fill,
}

/// How many changes a subscriber that was away has missed.
pub const MISSED: u64 = 10_000;

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Whom to speak to.
    pub peer: Peer,
    /// `127.0.0.1:PORT`.
    pub addr: String,
    /// The node's key.
    pub token: String,
    /// The server's process, whose processor time is read; its children count.
    pub pid: u32,
    /// What to do.
    pub work: Work,
    /// Writers, readers or subscribers.
    pub connections: usize,
    /// How many documents they share.
    pub contexts: usize,
    /// The size of a document.
    pub document_bytes: usize,
    /// Updates per second of a steady writer.
    pub rate: u32,
    /// How long is not yet counted.
    pub warm_s: f64,
    /// How long is counted.
    pub seconds: f64,
    /// Makes the documents' names of this measurement its own.
    pub prefix: String,
}

/// What was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Updates, reads, deliveries, connections or contexts, within the time that counts.
    pub count: u64,
    /// The time that counts.
    pub seconds: f64,
    /// Half of all took no longer.
    pub p50_us: f64,
    /// 99 of 100 took no longer.
    pub p99_us: f64,
    /// Bytes that came in, within the time that counts.
    pub bytes: u64,
    /// Deliveries that never came, came twice or out of order; writes that are not in the document.
    pub lost: u64,
    /// How often a subscriber was told that it lags.
    pub lagging: u64,
    /// Updates that were written meanwhile.
    pub written: u64,
    /// Updates that were merged with what others wrote since their base.
    #[serde(default)]
    pub merged: u64,
    /// Updates that were refused or left a conflict.
    #[serde(default)]
    pub refused: u64,
    /// Processors' time that the server took, in cores.
    pub server_cores: f64,
    /// Processors' time that the load took, in cores.
    pub load_cores: f64,
    /// Processors' time that anyone else took, in cores.
    pub other_cores: f64,
}

impl Outcome {
    /// Returns how many there were in a second.
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 {
            to_f64(self.count) / self.seconds
        } else {
            0.0
        }
    }
}

/// Returns the nearest number that a float has.
#[expect(clippy::cast_precision_loss, reason = "a report shows three digits")]
pub fn to_f64(count: u64) -> f64 {
    count as f64
}
