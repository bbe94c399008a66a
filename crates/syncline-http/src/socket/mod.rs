//! The WebSocket `/v1/sync`: one task for each connection, which keeps no queue of its own.
//!
//! The task reads the client's messages, asks its feeds for what the log has for them, and
//! flushes once for all that waits. It asks for more only when the socket took what it had, so a
//! client that does not read costs one batch of frames and slows nobody (P9).

mod durables;
mod echo;
mod frames;
mod hello;
mod session;
mod submit;
mod subs;
mod wire;

use axum::body::Body;
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use syncline_api::{Code, Problem};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

pub use echo::serve_echo;

use self::wire::{Unfit, Wire};
use crate::answer;
use crate::ask::{Answer, Ask};
use crate::gate::{Caller, Peer};
use crate::query::bad;

/// The subprotocol that this node speaks.
const SUBPROTOCOL: &str = "syncline.v1";

/// Why a connection is closed. Up to 4499 a client comes back; from 4500 on it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    code: u16,
    reason: String,
}

impl Close {
    const STOPPING: u16 = 4000;
    const SLOW: u16 = 4008;
    const BAD_TOKEN: u16 = 4501;
    const FORBIDDEN: u16 = 4503;
    const PROTOCOL: u16 = 4509;

    fn new(code: u16, reason: impl Into<String>) -> Close {
        let mut reason: String = reason.into();
        // A close frame carries at most 123 bytes of reason (RFC 6455, section 5.5).
        let mut end = reason.len().min(123);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        reason.truncate(end);
        Close { code, reason }
    }

    fn message(self) -> Message {
        Message::Close(Some(CloseFrame {
            code: self.code.into(),
            reason: Utf8Bytes::from(self.reason),
        }))
    }
}

/// `GET /v1/sync`
pub(crate) async fn upgrade(mut ask: Ask) -> Answer {
    let (upgrade, mut answer) = match wire::accept(&mut ask.parts) {
        Ok(accepted) => accepted,
        Err(Unfit::Request(why)) => return Err(bad(why).hint("open it as a WebSocket")),
        Err(Unfit::Version) => return Ok(other_version()),
    };
    let offered = ask.parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let offered = offered.filter_map(|names| names.to_str().ok());
    let mut offered = offered.flat_map(|names| names.split(',')).peekable();
    if offered.peek().is_some() {
        if !offered.any(|name| name.trim() == SUBPROTOCOL) {
            return Err(bad("no subprotocol that is offered is known here")
                .hint(format!("offer the subprotocol {SUBPROTOCOL}")));
        }
        let chosen = HeaderValue::from_static(SUBPROTOCOL);
        answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    let caller = ask
        .parts
        .extensions
        .remove::<Caller>()
        .and_then(|caller| caller.0);
    let peer = ask.parts.extensions.remove::<Peer>();
    let node = ask.node;
    let bytes_max = node.doors.limits.request_bytes_max;
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let socket = Wire::new(upgraded, bytes_max).await;
                hello::serve(socket, node, caller).await;
            }
            Err(error) => tracing::debug!(%error, "a connection ended before it was a WebSocket"),
        }
        drop(peer);
    });
    Ok(answer)
}

/// Answers who speaks another version of the WebSocket.
fn other_version() -> http::Response<Body> {
    let problem = Problem::new(
        Code::UpgradeRequired,
        "the request's Sec-WebSocket-Version is not 13",
    );
    let mut answer = answer::problem(&problem);
    wire::name_version(&mut answer);
    answer
}

/// Says that a frame could not be read as ours.
fn unreadable(problem: &Problem) -> Close {
    Close::new(Close::PROTOCOL, problem.detail.clone())
}
