//! An echo on the transport of `/v1/sync`, for suites that test a WebSocket and know no protocol
//! above it.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::routing::any;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tower::ServiceExt as _;

use super::configured;
use crate::doors::DoorLimits;
use crate::serve::connections;
use crate::stall::Watched;

/// RFC 6455, section 7.4.1.
const PROTOCOL_ERROR: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_LARGE: u16 = 1009;

/// Sends each message back, on any path and without a key, until it is dropped.
pub async fn serve_echo(listener: TcpListener, limits: DoorLimits) -> io::Result<()> {
    let bytes_max = limits.request_bytes_max;
    let upgrade = move |upgrade: WebSocketUpgrade| async move {
        configured(upgrade, bytes_max).on_upgrade(echo)
    };
    let router = Router::new().fallback(any(upgrade));
    let room = Arc::new(Semaphore::new(limits.connections_max));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let Ok(permit) = room.clone().try_acquire_owned() else {
            continue;
        };
        let io = TokioIo::new(Watched::new(stream, limits.write_stall_max));
        let router = router.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            router.clone().oneshot(request.map(Body::new))
        });
        let connection = connections(&limits).serve_connection(io, answer);
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection broke");
            }
            drop(permit);
        });
    }
}

/// Reads until the peer has closed; the transport itself answers pings and closes.
async fn echo(mut socket: WebSocket) {
    while let Some(heard) = socket.recv().await {
        let sent = match heard {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).await,
            Ok(_) => Ok(()),
            Err(error) => {
                let reason = Utf8Bytes::from_static("");
                let code = close_code(error);
                let _ = socket
                    .send(Message::Close(Some(CloseFrame { code, reason })))
                    .await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Says what is wrong with what the peer sent, as RFC 6455 counts it.
fn close_code(error: axum::Error) -> u16 {
    match error.into_inner().downcast_ref::<SocketError>() {
        Some(SocketError::Utf8(_)) => NOT_UTF8,
        Some(SocketError::Capacity(_)) => TOO_LARGE,
        _ => PROTOCOL_ERROR,
    }
}
