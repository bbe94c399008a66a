//! The WebSocket under a connection.
//!
//! Frames that are composed here go to the socket as they are: several at once, and copied by
//! nobody. What the protocol itself says (RFC 6455: answers to pings, the closing) goes between
//! them, and what the peer sends is read by the library.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, Bytes};
use futures_util::{Sink as _, Stream as _};
use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

/// Small, since most connections wait most of the time.
const READ_BUFFER_BYTES: usize = 2 << 10;
/// Bounds what the protocol owes a peer that sends pings and takes no pongs.
const OWED_BYTES_MAX: usize = 4 << 10;
/// How many pieces one system call takes.
const PIECES_MAX: usize = 64;

/// The version of the protocol, and how long a client's key is (RFC 6455, section 4.1).
const VERSION: &str = "13";
const KEY_BYTES: usize = 16;

/// First bytes of whole messages (RFC 6455, section 5.2).
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

/// Why a request does not become a WebSocket.
pub(super) enum Unfit {
    /// It is not one to become a WebSocket, or not a proper one.
    Request(String),
    /// It speaks another version of the protocol.
    Version,
}

/// Makes an answer to [`Unfit::Version`], which names the version that is spoken here (RFC 6455,
/// section 4.4).
pub(super) fn name_version(answer: &mut Response<Body>) {
    *answer.status_mut() = StatusCode::UPGRADE_REQUIRED;
    let headers = answer.headers_mut();
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
}

/// Answers a request to become a WebSocket; `Err` says what is wrong with it.
pub(super) fn accept(parts: &mut Parts) -> Result<(OnUpgrade, Response<Body>), Unfit> {
    let mut request = Request::new(());
    *request.method_mut() = parts.method.clone();
    *request.version_mut() = parts.version;
    *request.headers_mut() = parts.headers.clone();
    if offers_websocket(&parts.headers) {
        // The library knows the header with this one value only.
        let websocket = HeaderValue::from_static("websocket");
        request.headers_mut().insert(UPGRADE, websocket);
    }
    let answer = create_response_with_body(&request, Body::empty);
    let answer = answer.map_err(|error| match error {
        SocketError::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => Unfit::Version,
        error => Unfit::Request(error.to_string()),
    })?;
    if !has_good_key(&parts.headers) {
        let why = "Sec-WebSocket-Key must be 16 bytes in base64, once";
        return Err(Unfit::Request(why.to_owned()));
    }
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let why = || Unfit::Request("the connection cannot be upgraded".to_owned());
    Ok((upgrade.ok_or_else(why)?, answer))
}

/// Says whether a WebSocket is among the protocols that a client would change to (RFC 9110, section
/// 7.8).
fn offers_websocket(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(UPGRADE).iter();
    let lists = lists.filter_map(|list| list.to_str().ok());
    let mut offered = lists.flat_map(|list| list.split(','));
    offered.any(|name| name.trim().eq_ignore_ascii_case("websocket"))
}

/// The library digests any key; only one of this form is a client's (RFC 6455, section 4.2.1).
fn has_good_key(headers: &HeaderMap) -> bool {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return false;
    };
    let bytes = STANDARD.decode(key.as_bytes());
    bytes.is_ok_and(|bytes| bytes.len() == KEY_BYTES)
}

/// A WebSocket of a peer.
pub(super) struct Wire {
    socket: WebSocketStream<Outbox<TokioIo<Upgraded>>>,
    /// A close frame was sent, or has come: nothing may be sent after it but the answer to it
    /// (RFC 6455, section 5.5.1).
    closing: bool,
}

impl Wire {
    /// Begins one that takes messages of at most so many bytes.
    pub async fn new(upgraded: Upgraded, bytes_max: usize) -> Wire {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(bytes_max))
            .max_frame_size(Some(bytes_max));
        let outbox = Outbox::new(TokioIo::new(upgraded));
        let socket = WebSocketStream::from_raw_socket(outbox, Role::Server, Some(config));
        Wire {
            socket: socket.await,
            closing: false,
        }
    }

    /// Says whether a close frame was sent, or has come.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Puts a text after what waits to be sent, unless the connection is closing.
    pub fn put_text(&mut self, text: Bytes) {
        self.put(TEXT, text);
    }

    /// Puts bytes after what waits to be sent, unless the connection is closing.
    pub fn put_binary(&mut self, bytes: Bytes) {
        self.put(BINARY, bytes);
    }

    fn put(&mut self, first: u8, body: Bytes) {
        if !self.closing {
            self.socket.get_mut().put(first, body);
        }
    }

    /// Puts a control frame after what waits to be sent, unless the connection is closing.
    pub fn put_control(&mut self, message: Message) -> Result<(), SocketError> {
        if self.closing {
            return Ok(());
        }
        self.closing = message.is_close();
        Pin::new(&mut self.socket).start_send(message)
    }

    /// Sends what waits.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        // A connection that is closing is not flushed by the library.
        let sent = Pin::new(self.socket.get_mut()).poll_flush(cx);
        sent.map_err(SocketError::Io)
    }

    /// Reads the next message; none once the connection has ended.
    pub fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, SocketError>>> {
        if self.socket.get_ref().owed > OWED_BYTES_MAX {
            ready!(self.poll_flush(cx))?;
        }
        match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
            None => {
                // The last thing that waits is the answer to the peer's closing.
                let _ = ready!(self.poll_flush(cx));
                Poll::Ready(None)
            }
            heard => {
                self.closing |= matches!(heard, Some(Ok(Message::Close(_))));
                Poll::Ready(heard)
            }
        }
    }

    /// Reads the next message; none once the connection has ended.
    pub async fn recv(&mut self) -> Option<Result<Message, SocketError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Sends what waits.
    pub async fn flush(&mut self) -> Result<(), SocketError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }
}

/// A stream whose writes wait until they are flushed, so that whole frames may be put between them.
struct Outbox<S> {
    stream: S,
    waiting: VecDeque<Piece>,
    /// Bytes that were written since all had been sent, not put.
    owed: usize,
}

/// What waits: a frame's head, of which it may have none, and what comes after it.
struct Piece {
    head: [u8; 10],
    /// What of the head is not sent yet.
    unsent: std::ops::Range<usize>,
    body: Bytes,
}

impl<S> Outbox<S> {
    fn new(stream: S) -> Outbox<S> {
        Outbox {
            stream,
            waiting: VecDeque::new(),
            owed: 0,
        }
    }

    /// Puts a frame that nobody masks, and is a whole message, after what waits.
    fn put(&mut self, first: u8, body: Bytes) {
        let (head, length) = head(first, body.len());
        self.waiting.push_back(Piece {
            head,
            unsent: 0..length,
            body,
        });
    }

    fn sent(&mut self, mut bytes: usize) {
        while let Some(piece) = self.waiting.front_mut() {
            let of_head = bytes.min(piece.unsent.len());
            piece.unsent.start += of_head;
            let of_body = (bytes - of_head).min(piece.body.len());
            piece.body.advance(of_body);
            bytes -= of_head + of_body;
            if !piece.is_sent() {
                return;
            }
            self.waiting.pop_front();
        }
        // An idle connection holds nothing.
        self.waiting = VecDeque::new();
        self.owed = 0;
    }
}

impl Piece {
    fn is_sent(&self) -> bool {
        self.unsent.is_empty() && self.body.is_empty()
    }
}

/// Writes the head of a frame of so many bytes; returns how long it is (RFC 6455, section 5.2).
fn head(first: u8, bytes: usize) -> ([u8; 10], usize) {
    let mut head = [0; 10];
    head[0] = first;
    match (u8::try_from(bytes), u16::try_from(bytes)) {
        (Ok(short @ ..126), _) => {
            head[1] = short;
            (head, 2)
        }
        (_, Ok(middle)) => {
            head[1] = 126;
            head[2..4].copy_from_slice(&middle.to_be_bytes());
            (head, 4)
        }
        _ => {
            head[1] = 127;
            head[2..].copy_from_slice(&(bytes as u64).to_be_bytes());
            (head, 10)
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Outbox<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Outbox<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !buf.is_empty() {
            self.owed += buf.len();
            self.waiting.push_back(Piece {
                head: [0; 10],
                unsent: 0..0,
                body: Bytes::copy_from_slice(buf),
            });
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outbox = &mut *self;
        while !outbox.waiting.is_empty() {
            let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
            let waiting = outbox.waiting.iter();
            let parts = waiting.flat_map(|piece| [&piece.head[piece.unsent.clone()], &piece.body]);
            let mut count = 0;
            for part in parts.filter(|part| !part.is_empty()).take(PIECES_MAX) {
                pieces[count] = IoSlice::new(part);
                count += 1;
            }
            let stream = Pin::new(&mut outbox.stream);
            let sent = ready!(stream.poll_write_vectored(cx, &pieces[..count]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            outbox.sent(sent);
        }
        Pin::new(&mut outbox.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// A stream that takes a few bytes at a time, and sometimes none.
    struct Narrow {
        takes: Vec<usize>,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let takes = self.takes.pop().unwrap_or(usize::MAX);
            if takes == 0 {
                return Poll::Pending;
            }
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).collect();
            let taken = all.len().min(takes);
            self.taken.extend_from_slice(&all[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn heads_are_as_short_as_they_can_be() {
        for (bytes, expected) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 255, 255]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let (head, length) = head(TEXT, bytes);
            assert_eq!(&head[..length], expected);
        }
    }

    proptest! {
        /// However few bytes the socket takes at a time, they are those that were put and written,
        /// in that order, and then nothing waits.
        #[test]
        fn all_is_sent_in_order(
            bodies in prop::collection::vec((any::<bool>(), 0usize..300), 0..40),
            takes in prop::collection::vec(0usize..700, 0..60),
        ) {
            let mut outbox = Outbox::new(Narrow { takes, taken: Vec::new() });
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut expected = Vec::new();
            for (at, (put, length)) in (0u8..).zip(bodies) {
                let body = vec![at; length];
                if put {
                    let (head, length) = head(BINARY, body.len());
                    expected.extend_from_slice(&head[..length]);
                    expected.extend_from_slice(&body);
                    outbox.put(BINARY, body.into());
                } else if !body.is_empty() {
                    expected.extend_from_slice(&body);
                    let wrote = Pin::new(&mut outbox).poll_write(&mut cx, &body);
                    prop_assert!(matches!(wrote, Poll::Ready(Ok(wrote)) if wrote == length));
                }
            }
            for _ in 0..=61 {
                if Pin::new(&mut outbox).poll_flush(&mut cx).is_ready() {
                    break;
                }
            }
            prop_assert_eq!(&outbox.stream.taken, &expected);
            prop_assert!(outbox.waiting.is_empty() && outbox.owed == 0);
        }
    }
}
