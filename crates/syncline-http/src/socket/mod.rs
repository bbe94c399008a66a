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

use axum::extract::FromRequestParts as _;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocketUpgrade};
use syncline_api::Problem;

pub use echo::serve_echo;

use crate::ask::{Answer, Ask};
use crate::gate::{Caller, Peer};
use crate::query::bad;

/// The subprotocol that this node speaks.
const SUBPROTOCOL: &str = "syncline.v1";
/// Small, since most connections wait most of the time.
const READ_BUFFER_BYTES: usize = 2 << 10;

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
            code: self.code,
            reason: Utf8Bytes::from(self.reason),
        }))
    }
}

/// `GET /v1/sync`
pub(crate) async fn upgrade(mut ask: Ask) -> Answer {
    let upgrade = WebSocketUpgrade::from_request_parts(&mut ask.parts, &())
        .await
        .map_err(|error| bad(error.body_text()).hint("open it as a WebSocket"))?;
    let offered: Vec<_> = upgrade.requested_protocols().cloned().collect();
    if !offered.is_empty() && !offered.iter().any(|protocol| protocol == SUBPROTOCOL) {
        return Err(bad("no subprotocol that is offered is known here")
            .hint(format!("offer the subprotocol {SUBPROTOCOL}")));
    }
    let caller = ask
        .parts
        .extensions
        .remove::<Caller>()
        .and_then(|caller| caller.0);
    let peer = ask.parts.extensions.remove::<Peer>();
    let node = ask.node;
    let bytes_max = node.doors.limits.request_bytes_max;
    let upgrade = configured(upgrade, bytes_max).protocols([SUBPROTOCOL]);
    Ok(upgrade.on_upgrade(move |socket| async move {
        hello::serve(socket, node, caller).await;
        drop(peer);
    }))
}

/// Bounds what a connection may cost.
fn configured(upgrade: WebSocketUpgrade, bytes_max: usize) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(bytes_max)
        .max_frame_size(bytes_max)
}

/// Says that a frame could not be read as ours.
fn unreadable(problem: &Problem) -> Close {
    Close::new(Close::PROTOCOL, problem.detail.clone())
}
