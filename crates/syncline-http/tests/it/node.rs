//! A node with real doors over a memory store, and a client that sends exactly what it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use syncline_engine::{Clock, Engine, Settings, SystemClock};
use syncline_http::{DoorLimits, Doors, Keys, Listeners, NodeInfo, serve};
use syncline_model::json::{Json, Limits};
use syncline_model::time::Timestamp;
use syncline_store::MemoryStore;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::{Message, frame::coding::CloseCode};

use crate::documents;

pub const KEY: &str = "test-key-0123456789";

pub struct Node {
    pub address: SocketAddr,
    pub engine: Engine,
    pub directory: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<std::io::Result<()>>>,
}

impl Node {
    pub async fn start() -> Node {
        Node::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Doors)) -> Node {
        Node::of(Settings::default(), change).await
    }

    pub async fn with_settings(settings: Settings) -> Node {
        Node::of(settings, |_| {}).await
    }

    pub async fn with_clock(settings: Settings, clock: Arc<dyn Clock>) -> Node {
        let store = Arc::new(MemoryStore::new());
        let engine = Engine::open(store, clock, settings).await.unwrap();
        Node::on(engine, |_| {}).await
    }

    /// Over a store that the test keeps hold of, and reads what is not the newest record from it.
    pub async fn over(store: &Arc<MemoryStore>) -> Node {
        let settings = Settings {
            recent_bytes_max: 1,
            ..Settings::default()
        };
        let engine = Engine::open(store.clone(), Arc::new(SystemClock), settings)
            .await
            .unwrap();
        Node::on(engine, |_| {}).await
    }

    async fn of(settings: Settings, change: impl FnOnce(&mut Doors)) -> Node {
        let store = Arc::new(MemoryStore::new());
        let engine = Engine::open(store, Arc::new(SystemClock), settings)
            .await
            .unwrap();
        Node::on(engine, change).await
    }

    async fn on(engine: Engine, change: impl FnOnce(&mut Doors)) -> Node {
        let node = NodeInfo {
            name: "test".into(),
            version: "0.0.0".into(),
            started_at: Timestamp(0),
        };
        let mut doors = Doors::new(engine.clone(), Keys::owner(KEY), node);
        doors.limits = DoorLimits {
            hello_time_max: Duration::from_millis(500),
            ..doors.limits
        };
        change(&mut doors);
        let directory = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let unix = UnixListener::bind(directory.path().join("node.sock")).unwrap();
        let listeners = Listeners {
            tcp: Some(tcp),
            unix: Some(unix),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let served = tokio::spawn(serve(doors, listeners, shutdown));
        Node {
            address,
            engine,
            directory,
            stop: Some(stop),
            served: Some(served),
        }
    }

    /// Tells the node to stop, and waits until it did.
    pub async fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.served.take().unwrap().await.unwrap().unwrap();
    }

    pub fn tell_to_stop(&mut self) -> JoinHandle<std::io::Result<()>> {
        let _ = self.stop.take().unwrap().send(());
        self.served.take().unwrap()
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes as they are, and returns the answer.
    pub async fn raw(&self, request: impl AsRef<[u8]>) -> Reply {
        let mut stream = self.connect().await;
        // The node may answer and close before it has read everything.
        let _ = stream.write_all(request.as_ref()).await;
        read_reply(&mut BufReader::new(stream), false)
            .await
            .expect("an answer")
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {KEY}\r\n",
            self.address
        );
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("content-length: {}\r\n\r\n{body}", body.len());
        let mut stream = self.connect().await;
        let _ = stream.write_all(text.as_bytes()).await;
        let reply = read_reply(&mut BufReader::new(stream), method == "HEAD")
            .await
            .expect("an answer");
        documents::check_call((method, path), (headers, body), &reply);
        reply
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    pub async fn put(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let json = [("content-type", "application/json")];
        self.send("PUT", path, &[&json, headers].concat(), body)
            .await
    }

    pub async fn merge(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let kind = [("content-type", "application/merge-patch+json")];
        self.send("PATCH", path, &[&kind, headers].concat(), body)
            .await
    }

    pub async fn patch(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let kind = [("content-type", "application/json-patch+json")];
        self.send("PATCH", path, &[&kind, headers].concat(), body)
            .await
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let json = [("content-type", "application/json")];
        self.send("POST", path, &[&json, headers].concat(), body)
            .await
    }

    /// Returns a request to become a WebSocket, with more headers.
    pub fn upgrade(&self, headers: &str) -> String {
        format!(
            "GET /v1/sync HTTP/1.1\r\nhost: {}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             {headers}sec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.address
        )
    }

    /// Opens a WebSocket, without `hello`.
    pub async fn socket(&self) -> Socket {
        let request = format!("ws://{}/v1/sync", self.address)
            .into_client_request()
            .unwrap();
        let mut request = request;
        let protocol = "syncline.v1".parse().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        let stream = self.connect().await;
        let (socket, response) = tokio_tungstenite::client_async(request, stream)
            .await
            .unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "syncline.v1");
        Socket {
            socket,
            waiting: Vec::new(),
        }
    }

    /// Opens a WebSocket and says `hello`.
    pub async fn hello(&self) -> Socket {
        let mut socket = self.socket().await;
        socket
            .say(&format!(
                r#"{{"type":"hello","token":"{KEY}","client":"test/1","agent":"a1"}}"#
            ))
            .await;
        assert_eq!(text(&socket.hear().await, "type"), "welcome");
        socket
    }
}

/// Returns a text as a client's frame, under a mask of zeros.
pub fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126);
    let mut frame = vec![0x81, 0x80 | length.expect("it is short"), 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// As it came, where it is packed.
    pub packed: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Json {
        json(&self.body)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn etag(&self) -> &str {
        self.header("etag").expect("an ETag")
    }

    /// Checks that this is a problem of this code and status, and returns it.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Json {
        assert_eq!(
            (self.status, self.header("content-type")),
            (status, Some("application/problem+json")),
            "{}",
            self.body
        );
        let problem = self.json();
        assert_eq!(text(&problem, "code"), code, "{}", self.body);
        assert_eq!(
            problem.get("status").and_then(Json::as_u64),
            Some(status.into())
        );
        problem
    }

    #[track_caller]
    pub fn ok(self) -> Reply {
        assert!(
            (200..300).contains(&self.status),
            "{}: {}",
            self.status,
            self.body
        );
        self
    }
}

pub fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Limits::wire()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
pub fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name)
        .and_then(Json::as_str)
        .unwrap_or_else(|| panic!("no {name} in {}", json.to_text()))
}

/// Reads one answer; `None` when the peer closed without one.
pub async fn read_reply<R: tokio::io::AsyncRead + Unpin>(
    reader: &mut BufReader<R>,
    head: bool,
) -> Option<Reply> {
    let mut line = String::new();
    reader.read_line(&mut line).await.ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut reply = Reply {
        status,
        headers,
        body: String::new(),
        packed: Vec::new(),
    };
    let length = reply
        .header("content-length")
        .and_then(|v| v.parse::<usize>().ok());
    let mut body = vec![0; length.filter(|_| !head && status != 304).unwrap_or(0)];
    reader.read_exact(&mut body).await.ok()?;
    match reply.header("content-encoding") {
        Some(_) => reply.packed = body,
        None => reply.body = String::from_utf8(body).unwrap(),
    }
    Some(reply)
}

pub struct Socket {
    pub socket: WebSocketStream<TcpStream>,
    waiting: Vec<Json>,
}

impl Socket {
    pub async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Returns the next message.
    pub async fn hear(&mut self) -> Json {
        match self.hear_or_close().await {
            Ok(message) => message,
            Err(close) => panic!("closed: {close:?}"),
        }
    }

    /// Returns the next message of a type, and drops those before it.
    pub async fn hear_type(&mut self, kind: &str) -> Json {
        loop {
            let message = self.hear().await;
            if text(&message, "type") == kind {
                return message;
            }
        }
    }

    /// Returns the next messages of two types, whichever comes first.
    pub async fn hear_both(&mut self, one: &str, other: &str) -> (Json, Json) {
        let (mut first, mut second) = (None, None);
        while first.is_none() || second.is_none() {
            let message = self.hear().await;
            match text(&message, "type") {
                kind if kind == one => first = Some(message),
                kind if kind == other => second = Some(message),
                _ => {}
            }
        }
        (first.unwrap(), second.unwrap())
    }

    pub async fn hear_or_close(&mut self) -> Result<Json, Option<(u16, String)>> {
        loop {
            if !self.waiting.is_empty() {
                return Ok(self.waiting.remove(0));
            }
            let next = tokio::time::timeout(Duration::from_secs(20), self.socket.next());
            match next.await.expect("something is heard in time") {
                Some(Ok(Message::Text(text))) => {
                    let messages = match json(&text) {
                        Json::Array(messages) => messages.to_vec(),
                        message => vec![message],
                    };
                    messages.iter().for_each(documents::check_message);
                    self.waiting.extend(messages);
                }
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map(|f| (CloseCode::into(f.code), f.reason.to_string())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Returns the close code that ends the connection, and the errors before it.
    pub async fn hear_close(&mut self) -> (u16, Vec<Json>) {
        let mut errors = Vec::new();
        loop {
            match self.hear_or_close().await {
                Ok(message) => errors.push(message),
                Err(Some((code, _))) => return (code, errors),
                Err(None) => panic!("cut without a close frame, after {errors:?}"),
            }
        }
    }
}
