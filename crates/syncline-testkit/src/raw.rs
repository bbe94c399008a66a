//! Bytes as they are: requests that no decent client sends.

use std::io;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use syncline_model::json::{Json, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::Access;

/// How long a raw exchange may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, read as far as it is needed.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header lines, in lower case.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads the body as JSON.
    pub fn json(&self) -> Option<Json> {
        parse(&self.body)
    }

    /// Returns the `code` of a problem.
    pub fn code(&self) -> String {
        let json = self.json().unwrap_or_default();
        json.get("code")
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned()
    }
}

/// Reads JSON leniently in size: a node's own answers are its own affair.
pub fn parse(bytes: &[u8]) -> Option<Json> {
    Json::parse(
        bytes,
        &Limits {
            bytes_max: 1 << 28,
            depth_max: 128,
        },
    )
    .ok()
}

/// Sends bytes on a new connection and reads one answer.
pub async fn exchange(authority: &str, request: &[u8]) -> io::Result<Answer> {
    let exchanged = async {
        let mut stream = TcpStream::connect(authority).await?;
        // A node may answer before it has read all, and close: then writing fails, reading not.
        let (mut input, mut output) = stream.split();
        let write = async {
            let _ = output.write_all(request).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answer = read_answer(&mut input) => answer,
            () = write => Err(io::ErrorKind::Other.into()),
        }
    };
    tokio::time::timeout(PATIENCE, exchanged).await?
}

/// Reads one answer with `Content-Length`, in chunks, or to the end of the stream.
pub async fn read_answer(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = find(&bytes, b"\r\n\r\n") {
            break at + 4;
        }
        if read_more(stream, &mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    let mut body = bytes.split_off(end);
    let length = header(&head, "content-length").and_then(|text| text.parse::<usize>().ok());
    let chunked = header(&head, "transfer-encoding").is_some_and(|text| text.contains("chunked"));
    loop {
        let complete = match length {
            Some(length) => body.len() >= length,
            None => chunked && find(&body, b"0\r\n\r\n").is_some(),
        };
        if complete || read_more(stream, &mut body).await.unwrap_or(0) == 0 {
            break;
        }
    }
    if chunked {
        body = unchunk(&body);
    }
    Ok(Answer { status, head, body })
}

async fn read_more(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    into: &mut Vec<u8>,
) -> io::Result<usize> {
    into.reserve(16 * 1024);
    stream.read_buf(into).await
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = find(bytes, b"\r\n") {
        let size = String::from_utf8_lossy(&bytes[..line]);
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let chunk = bytes.get(line + 2..line + 2 + size).unwrap_or_default();
        body.extend_from_slice(chunk);
        bytes = bytes.get(line + 4 + size..).unwrap_or_default();
        if size == 0 {
            break;
        }
    }
    body
}

/// Returns a request's bytes with the owner's key; `headers` are whole lines.
pub fn request(
    access: &Access,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &[u8],
) -> Vec<u8> {
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Content-Length: {}\r\n",
        access.authority(),
        access.key,
        body.len()
    );
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Sends a request with a JSON body and reads the answer.
pub async fn send(
    access: &Access,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &[u8],
) -> io::Result<Answer> {
    exchange(
        access.authority(),
        &request(access, method, path, headers, body),
    )
    .await
}

/// A WebSocket without any help.
pub struct RawSocket {
    socket: WebSocketStream<TcpStream>,
    waiting: std::collections::VecDeque<Json>,
}

impl RawSocket {
    /// Connects and upgrades; says nothing.
    pub async fn connect(authority: &str, key: &str) -> Result<RawSocket, Error> {
        let stream = TcpStream::connect(authority).await?;
        RawSocket::upgrade(stream, authority, key).await
    }

    /// Upgrades a connection; says nothing.
    pub async fn upgrade(
        stream: TcpStream,
        authority: &str,
        key: &str,
    ) -> Result<RawSocket, Error> {
        let mut request = format!("ws://{authority}/v1/sync").into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(
            "sec-websocket-protocol",
            "syncline.v1".parse().expect("plain letters"),
        );
        if !key.is_empty() {
            let value = format!("Bearer {key}")
                .parse()
                .map_err(|_| Error::Utf8("key".into()))?;
            headers.insert("authorization", value);
        }
        let (socket, _) = client_async(request, stream).await?;
        Ok(RawSocket {
            socket,
            waiting: std::collections::VecDeque::new(),
        })
    }

    /// Connects and says hello; returns the welcome too.
    pub async fn hello(authority: &str, key: &str) -> Result<(RawSocket, Json), Error> {
        let mut socket = RawSocket::connect(authority, key).await?;
        let welcome = socket.say_hello(key).await?;
        Ok((socket, welcome))
    }

    /// Says hello and returns the welcome.
    pub async fn say_hello(&mut self, key: &str) -> Result<Json, Error> {
        self.send(&format!(
            r#"{{"type":"hello","token":"{key}","client":"testkit/1"}}"#
        ))
        .await?;
        self.next().await
    }

    /// Sends a text frame.
    pub async fn send(&mut self, text: &str) -> Result<(), Error> {
        self.socket.send(Message::text(text)).await
    }

    /// Sends a frame of any kind.
    pub async fn send_message(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message).await
    }

    /// Returns the next message; a frame that holds several is taken apart.
    pub async fn next(&mut self) -> Result<Json, Error> {
        loop {
            if let Some(json) = self.waiting.pop_front() {
                return Ok(json);
            }
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => match parse(text.as_bytes()) {
                    Some(Json::Array(items)) => self.waiting.extend(items.iter().cloned()),
                    Some(json) => self.waiting.push_back(json),
                    None => return Err(Error::Utf8("the node sent no JSON".into())),
                },
                Some(Ok(Message::Close(_))) | None => return Err(Error::ConnectionClosed),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
            }
        }
    }

    /// Returns the close code, reading past all else; `None` if the stream just ended.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Returns the connection below, to send bytes that are no frames.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.socket.get_mut()
    }
}
