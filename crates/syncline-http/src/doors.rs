//! What the doors of a node are made of, and their limits.

use std::sync::Arc;
use std::time::Duration;

use syncline_delivery::Router;
use syncline_delivery::webhook::Webhooks;
use syncline_engine::Engine;
use syncline_model::time::Timestamp;
use tokio::sync::{Mutex, Semaphore, watch};

use crate::keys::Keys;
use crate::live::Live;
use crate::seats::Seats;
use crate::shown::Shown;

/// What the doors open to, and on what terms.
#[derive(Clone)]
pub struct Doors {
    /// The engine behind them.
    pub engine: Engine,
    /// Who may come in.
    pub keys: Keys,
    /// How much.
    pub limits: DoorLimits,
    /// What the node says of itself.
    pub node: NodeInfo,
    /// Hosts that requests may name beside the node's own, such as `sync.example.com`; with a
    /// port, only with that port.
    pub allowed_hosts: Vec<String>,
    /// Origins that may call beside the node's own, such as `https://app.example.com`.
    pub allowed_origins: Vec<String>,
    /// The node's webhooks, where it calls any.
    pub webhooks: Option<Webhooks>,
}

impl Doors {
    /// Makes doors with the default limits, for the node's own names only.
    pub fn new(engine: Engine, keys: Keys, node: NodeInfo) -> Doors {
        Doors {
            engine,
            keys,
            limits: DoorLimits::default(),
            node,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            webhooks: None,
        }
    }
}

/// What a node says of itself.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// Its name, such as the machine's.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
}

/// The limits of the doors.
#[derive(Clone, Debug)]
pub struct DoorLimits {
    /// Connections at once, for TCP and for the Unix socket each (`max_connections`).
    pub connections_max: usize,
    /// Bytes of a request's body or of a message (`max_request_bytes`).
    pub request_bytes_max: usize,
    /// Items of a page (`max_page`).
    pub page_max: usize,
    /// Items of a page that asks for no number.
    pub page_default: usize,
    /// How long a read may wait for news (`max_wait_s`).
    pub wait_max: Duration,
    /// Live subscriptions of one connection (`max_subscriptions`).
    pub subscriptions_max: usize,
    /// Live subscriptions of one principal, over all its connections
    /// (`max_principal_subscriptions`).
    pub principal_subscriptions_max: usize,
    /// Durable subscriptions of one principal in a workspace (`max_durable_subscriptions`).
    pub durables_max: usize,
    /// Submits of one connection that are not yet answered; then it is read no further.
    pub submits_max: usize,
    /// How long a connection may go until the head of its next request is complete
    /// (`max_head_s`).
    ///
    /// hyper has one clock for both: an idle connection and a head that drips. It is long for the
    /// idle one's sake, since a program that calls now and then should not connect each time; a
    /// slow head costs no more than an idle connection does, a place among `connections_max`.
    pub header_time_max: Duration,
    /// How long a body may stand still.
    pub body_stall_max: Duration,
    /// How long a body may take altogether.
    pub body_time_max: Duration,
    /// How long a peer may take no byte of what is sent.
    pub write_stall_max: Duration,
    /// How long a WebSocket may go without `hello`.
    pub hello_time_max: Duration,
    /// After how much silence a WebSocket hears a heartbeat.
    pub heartbeat: Duration,
    /// How often a silent SSE stream hears a comment.
    pub comment: Duration,
    /// How long a clean shutdown may take.
    pub shutdown_max: Duration,
}

impl Default for DoorLimits {
    fn default() -> Self {
        DoorLimits {
            connections_max: 10_500,
            request_bytes_max: 16 << 20,
            page_max: 1_000,
            page_default: 100,
            wait_max: Duration::from_secs(60),
            subscriptions_max: 100,
            principal_subscriptions_max: 20_000,
            durables_max: 100,
            submits_max: 64,
            header_time_max: Duration::from_secs(30),
            body_stall_max: Duration::from_secs(30),
            body_time_max: Duration::from_secs(300),
            write_stall_max: Duration::from_secs(10),
            hello_time_max: Duration::from_secs(5),
            heartbeat: Duration::from_secs(25),
            comment: Duration::from_secs(15),
            shutdown_max: Duration::from_secs(9),
        }
    }
}

/// What every connection shares.
pub(crate) struct Shared {
    pub doors: Doors,
    /// Turns true when the node stops.
    pub stopping: watch::Receiver<bool>,
    /// Held while the store is verified: one walk reads all there is, two would only be slower.
    pub verifying: Mutex<()>,
    /// Heads as they were shown.
    pub shown: Shown,
    /// Who is woken by which record.
    pub router: Router,
    /// What is counted of deliveries.
    pub sent: crate::counts::Sent,
    /// Durable subscriptions that were asked for.
    pub durables: syncline_delivery::durable::Durables,
    /// How many live subscriptions each principal has.
    pub seats: Seats,
    /// Which live subscriptions there are.
    pub live: Live,
    /// Room for answers that are being packed.
    pub packing: Semaphore,
}

pub(crate) type Node = Arc<Shared>;

impl Shared {
    /// Waits until the node stops.
    pub async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        // An error means that the sender is gone, and so is the node.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }
}
