//! The accept loop: bounded connections, bounded waits, and a clean end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use syncline_api::{Code, Problem};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt as _;

use crate::answer;
use crate::doors::{DoorLimits, Doors, Node, Shared};
use crate::gate::{self, Door, Peer};
use crate::packing;
use crate::routes;
use crate::seats::Seats;
use crate::shown::Shown;
use crate::stall::Watched;

/// Bounds the head of a request, and what is buffered of a body or an answer.
const HTTP_BUFFER_MAX: usize = 64 << 10;
/// Bounds what the kernel holds of what was not sent yet: a bulk or two, more than a round trip takes.
const UNSENT_BYTES_MAX: u32 = 128 << 10;
/// Nearer than any wait that a connection begins.
const ALARM: Duration = Duration::from_millis(900);
/// How long to wait when the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where a node listens.
#[derive(Debug, Default)]
pub struct Listeners {
    /// For all; requests carry a key.
    pub tcp: Option<TcpListener>,
    /// For the owner, whom the socket's mode lets in alone.
    pub unix: Option<UnixListener>,
}

/// Serves until `shutdown` ends, and then ends cleanly: nothing new is taken, what is being
/// answered is finished, sockets are told to come back later.
pub async fn serve(
    doors: Doors,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let limits = doors.limits.clone();
    let shared = Arc::new(Shared {
        doors,
        stopping,
        verifying: Mutex::new(()),
        shown: Shown::new(),
        router: syncline_delivery::Router::default(),
        sent: crate::counts::Sent::default(),
        durables: syncline_delivery::durable::Durables::default(),
        seats: Seats::new(limits.principal_subscriptions_max),
        live: crate::live::Live::default(),
        packing: Semaphore::new(packing::AT_ONCE),
    });
    let house = House {
        router: routes::router(shared.clone()),
        shared,
    };
    // Each door has its own room, so that a flood on one does not shut the other.
    let rooms = [0, 1].map(|_| Arc::new(Semaphore::new(limits.connections_max)));
    let accepting = async {
        tokio::join!(
            accept_tcp(&house, listeners.tcp, &rooms[0]),
            accept_unix(&house, listeners.unix, &rooms[1]),
            keep_an_alarm_near(),
        )
    };
    tokio::select! {
        () = shutdown => {}
        _ = accepting => {}
    }
    stop.send_replace(true);
    let connections = u32::try_from(limits.connections_max).unwrap_or(u32::MAX);
    let ended = async {
        for room in &rooms {
            let _ = room.acquire_many(connections).await;
        }
    };
    if tokio::time::timeout(limits.shutdown_max, ended)
        .await
        .is_err()
    {
        tracing::warn!("connections were cut at shutdown");
    }
    Ok(())
}

/// What a connection's task needs.
#[derive(Clone)]
struct House {
    shared: Node,
    router: Router,
}

async fn accept_tcp(house: &House, listener: Option<TcpListener>, room: &Arc<Semaphore>) {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let (Ok(local), Ok(())) = (stream.local_addr(), stream.set_nodelay(true)) else {
            continue;
        };
        bound_unsent(&stream);
        match room.clone().try_acquire_owned() {
            Ok(permit) => {
                let peer = peer(Door::Tcp(local), permit);
                tokio::spawn(serve_connection(house.clone(), stream, peer));
            }
            Err(_) => turn_away(&stream, house.shared.doors.limits.connections_max),
        }
    }
}

/// Bounds what the kernel takes for a reader before it waits for him: else it is megabytes for one
/// who stopped reading, outside all that we count, and news that come late for one who is slow.
fn bound_unsent(stream: &TcpStream) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
        tracing::debug!(%error, "the kernel bounds nothing for this connection");
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = stream;
}

/// Keeps some timer less than a second away.
///
/// A timer that is to go off before all others wakes the runtime's sleeping thread, only for it to
/// sleep again until then; and each request sets one, in case its header comes slowly. One that
/// is always earlier makes those cheap.
async fn keep_an_alarm_near() {
    loop {
        tokio::time::sleep(ALARM).await;
    }
}

async fn accept_unix(house: &House, listener: Option<UnixListener>, room: &Arc<Semaphore>) {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        if let Ok(permit) = room.clone().try_acquire_owned() {
            tokio::spawn(serve_connection(
                house.clone(),
                stream,
                peer(Door::Unix, permit),
            ));
        }
    }
}

fn peer(door: Door, permit: OwnedSemaphorePermit) -> Peer {
    Peer {
        door,
        _permit: Arc::new(permit),
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Says that the house is full, as far as the socket takes it at once.
fn turn_away(stream: &TcpStream, connections_max: usize) {
    let problem = Problem::new(Code::TooMany, "too many connections")
        .hint("try again in a moment")
        .limit(connections_max as u64, "max_connections");
    let body = problem.to_text();
    let text = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         content-length: {}\r\nconnection: close\r\nretry-after: 1\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.try_write(text.as_bytes());
}

async fn serve_connection<S>(house: House, stream: S, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shared = house.shared.clone();
    let limits = &shared.doors.limits;
    let io = TokioIo::new(Watched::new(stream, limits.write_stall_max));
    let builder = connections(limits);
    let service = service_fn(move |request| answer_request(house.clone(), peer.clone(), request));
    let mut connection = pin!(builder.serve_connection(io, service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shared.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Bounds what a connection may hold before a request is read.
pub(crate) fn connections(limits: &DoorLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time_max)
        .max_header_size(HTTP_BUFFER_MAX)
        .max_buf_size(HTTP_BUFFER_MAX);
    builder
}

async fn answer_request(
    house: House,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (mut parts, body) = request.into_parts();
    match gate::admit(&house.shared.doors, peer.door, &parts) {
        Ok(caller) => {
            parts.extensions.insert(caller);
            parts.extensions.insert(peer);
            house
                .router
                .oneshot(Request::from_parts(parts, Body::new(body)))
                .await
        }
        Err(problem) => Ok(answer::problem(&problem)),
    }
}
