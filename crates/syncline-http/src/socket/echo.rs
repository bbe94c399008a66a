//! An echo on the transport of `/v1/sync`, for suites that test a WebSocket and know no protocol
//! above it.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::response::IntoResponse as _;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};

use super::wire::{Unfit, Wire, accept, name_version};
use crate::doors::DoorLimits;
use crate::serve::connections;
use crate::stall::Watched;

/// Sends each message back, on any path and without a key, until it is dropped.
pub async fn serve_echo(listener: TcpListener, limits: DoorLimits) -> io::Result<()> {
    let bytes_max = limits.request_bytes_max;
    let room = Arc::new(Semaphore::new(limits.connections_max));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let Ok(permit) = room.clone().try_acquire_owned() else {
            continue;
        };
        let io = TokioIo::new(Watched::new(stream, limits.write_stall_max));
        let service = service_fn(move |request| answer(request, bytes_max));
        let connection = connections(&limits).serve_connection(io, service);
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection broke");
            }
            drop(permit);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    bytes_max: usize,
) -> Result<Response<Body>, Infallible> {
    let (mut parts, _) = request.into_parts();
    Ok(match accept(&mut parts) {
        Ok((upgrade, answer)) => {
            tokio::spawn(async move {
                if let Ok(upgraded) = upgrade.await {
                    echo(Wire::new(upgraded, bytes_max).await).await;
                }
            });
            answer
        }
        Err(Unfit::Request(why)) => (StatusCode::BAD_REQUEST, why).into_response(),
        Err(Unfit::Version) => {
            let mut answer = Response::new(Body::empty());
            name_version(&mut answer);
            answer
        }
    })
}

/// Reads until the peer has closed; the transport itself answers pings and closes.
async fn echo(mut socket: Wire) {
    while let Some(heard) = socket.recv().await {
        match heard {
            Ok(Message::Text(text)) => socket.put_text(text.into()),
            Ok(Message::Binary(bytes)) => socket.put_binary(bytes),
            Ok(_) => continue,
            Err(error) => {
                let close = CloseFrame {
                    code: close_code(&error),
                    reason: Utf8Bytes::from_static(""),
                };
                if socket.put_control(Message::Close(Some(close))).is_ok() {
                    let _ = socket.flush().await;
                }
                return;
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}

/// Says what is wrong with what the peer sent, as RFC 6455 counts it (section 7.4.1).
fn close_code(error: &SocketError) -> CloseCode {
    match error {
        SocketError::Utf8(_) => CloseCode::Invalid,
        SocketError::Capacity(_) => CloseCode::Size,
        _ => CloseCode::Protocol,
    }
}
