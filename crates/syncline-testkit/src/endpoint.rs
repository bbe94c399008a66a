//! An endpoint of webhooks, good to most events and hostile to some, that notes what comes.
//!
//! It is hostile in bounds, since a node waits 5 s before the second attempt and 5 min before the
//! third: each event fails here at most once, a context has few that do, and never do so many fail
//! in a row that a circuit opens. What is never answered is left to a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use syncline_model::json::{Json, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::rng::Rng;

/// Bounds what is read of a request.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// How many events of a context fail at most.
const FAILURES_EACH_MAX: u32 = 2;
/// How many fail in a row at most; at five a circuit opens.
const FAILURES_STRAIGHT_MAX: u32 = 3;
/// How long an exchange lasts at most that is never answered, or in drips.
const HANG_MAX: Duration = Duration::from_secs(60);
/// What a flood says that it is.
const FLOOD_BYTES: usize = 1 << 30;

/// What came, in the order in which it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    /// The event's id.
    pub id: String,
    /// Which context changed.
    pub context: String,
    /// Which version that made.
    pub version: u64,
    /// It was told that it arrived.
    pub accepted: bool,
}

/// An endpoint that serves until this is dropped.
pub struct Endpoint {
    url: String,
    seen: Arc<Mutex<Seen>>,
    _serving: JoinSet<()>,
}

/// What an endpoint has seen, and how it goes on.
struct Seen {
    rng: Rng,
    came: Vec<Came>,
    wrong: Vec<String>,
    hangs: bool,
    failed: BTreeSet<String>,
    failures: BTreeMap<String, u32>,
    straight: u32,
}

/// What an endpoint does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Accept,
    /// Accepts, and sends 1 GiB with it.
    Flood,
    Fail,
    Busy,
    /// Leads to an address that nobody may go to.
    Redirect,
    /// Answers what is no HTTP.
    Garbage,
    Close,
    Hang,
    /// Answers byte by byte, and comes to no end.
    Drip,
}

impl Endpoint {
    /// Listens on a port of its own, and chooses from a seed whom it is hostile to.
    pub async fn start(seed: u64) -> std::io::Result<Endpoint> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let forbidden = TcpListener::bind("127.0.0.2:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let leads_to = forbidden.local_addr()?;
        let seen = Arc::new(Mutex::new(Seen {
            rng: Rng::new(seed),
            came: Vec::new(),
            wrong: Vec::new(),
            hangs: true,
            failed: BTreeSet::new(),
            failures: BTreeMap::new(),
            straight: 0,
        }));
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, leads_to, seen.clone()));
        serving.spawn(watch(forbidden, seen.clone()));
        Ok(Endpoint {
            url,
            seen,
            _serving: serving,
        })
    }

    /// Returns where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers everything from now on: no kill comes that would end what hangs.
    pub fn hang_no_more(&self) {
        lock(&self.seen).hangs = false;
    }

    /// Returns what came, and what should not have.
    pub fn seen(&self) -> (Vec<Came>, Vec<String>) {
        let seen = lock(&self.seen);
        (seen.came.clone(), seen.wrong.clone())
    }
}

impl Seen {
    /// Notes a request, and decides what becomes of it. What is no event of ours is wrong.
    fn take(&mut self, request: &str) -> Manner {
        let event = event_of(request);
        let Some((id, context, version)) = event.as_ref().and_then(read_event) else {
            self.wrong.push(format!("it was sent {request}"));
            return Manner::Close;
        };
        if header(request, "webhook-id") != Some(id) {
            self.wrong
                .push(format!("event {id} came under another webhook-id"));
        }
        let manner = self.choose(id, context);
        let accepted = matches!(manner, Manner::Accept | Manner::Flood);
        self.straight = match manner {
            _ if accepted => 0,
            Manner::Hang | Manner::Drip => self.straight,
            _ => {
                self.failed.insert(id.to_owned());
                *self.failures.entry(context.to_owned()).or_default() += 1;
                self.straight + 1
            }
        };
        self.came.push(Came {
            id: id.to_owned(),
            context: context.to_owned(),
            version,
            accepted,
        });
        manner
    }

    fn choose(&mut self, id: &str, context: &str) -> Manner {
        use Manner::{Accept, Busy, Close, Drip, Fail, Flood, Garbage, Hang, Redirect};
        let failures = self.failures.get(context).copied().unwrap_or(0);
        let may_fail = !self.failed.contains(id)
            && failures < FAILURES_EACH_MAX
            && self.straight < FAILURES_STRAIGHT_MAX;
        match self.rng.below(100) {
            0..5 if may_fail => *self.rng.choose(&[Fail, Busy, Redirect, Garbage, Close]),
            5..10 if self.hangs => *self.rng.choose(&[Hang, Drip]),
            10..14 => Flood,
            _ => Accept,
        }
    }
}

async fn accept(listener: TcpListener, leads_to: SocketAddr, seen: Arc<Mutex<Seen>>) {
    // They end with it.
    let mut serving = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        serving.spawn(serve(stream, leads_to, seen.clone()));
        while serving.try_join_next().is_some() {}
    }
}

/// Notes whoever comes where nobody may.
async fn watch(forbidden: TcpListener, seen: Arc<Mutex<Seen>>) {
    while forbidden.accept().await.is_ok() {
        let what = "a redirect into a denied range was followed";
        lock(&seen).wrong.push(what.to_owned());
    }
}

async fn serve(mut stream: TcpStream, leads_to: SocketAddr, seen: Arc<Mutex<Seen>>) {
    let Some(request) = read_request(&mut stream).await else {
        return;
    };
    let pause = lock(&seen).rng.below(60);
    tokio::time::sleep(Duration::from_millis(pause)).await;
    let manner = lock(&seen).take(&request);
    // Whoever asked may be gone: then it asks again.
    let _ = answer(&mut stream, manner, leads_to).await;
}

async fn answer(
    stream: &mut TcpStream,
    manner: Manner,
    leads_to: SocketAddr,
) -> std::io::Result<()> {
    let head = match manner {
        Manner::Accept => "200 OK\r\ncontent-length: 0".to_owned(),
        Manner::Flood => format!("200 OK\r\ncontent-length: {FLOOD_BYTES}"),
        Manner::Fail => "500 No\r\ncontent-length: 0".to_owned(),
        Manner::Busy => "429 Later\r\nretry-after: 1\r\ncontent-length: 0".to_owned(),
        Manner::Redirect => {
            format!("307 There\r\nlocation: http://{leads_to}/\r\ncontent-length: 0")
        }
        Manner::Garbage => return stream.write_all(b"\0\xff this is no HTTP\r\n\r\n").await,
        Manner::Close => return Ok(()),
        Manner::Hang => {
            let mut byte = [0];
            let gone = stream.read(&mut byte);
            return tokio::time::timeout(HANG_MAX, gone).await?.map(drop);
        }
        Manner::Drip => return tokio::time::timeout(HANG_MAX, drip(stream)).await?,
    };
    stream
        .write_all(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes())
        .await?;
    if manner == Manner::Flood {
        let zeros = vec![0; 64 << 10];
        for _ in 0..FLOOD_BYTES / zeros.len() {
            stream.write_all(&zeros).await?;
        }
    }
    Ok(())
}

async fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await?;
    loop {
        stream.write_all(b"x").await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
    while bytes.len() < REQUEST_BYTES_MAX {
        match stream.read(&mut buffer).await {
            Ok(read @ 1..) => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
        if let Ok(text) = std::str::from_utf8(&bytes)
            && is_whole(text)
        {
            return Some(text.to_owned());
        }
    }
    None
}

fn is_whole(request: &str) -> bool {
    let length = header(request, "content-length").and_then(|length| length.parse().ok());
    let body = request.split_once("\r\n\r\n").map(|(_, body)| body.len());
    body.is_some_and(|bytes| bytes >= length.unwrap_or(0))
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = request.split_once("\r\n\r\n")?;
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut named = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value)
}

fn event_of(request: &str) -> Option<Json> {
    let (_, body) = request.split_once("\r\n\r\n")?;
    Json::parse(body.as_bytes(), &Limits::wire()).ok()
}

/// Returns the id, context and version of a change's event.
fn read_event(event: &Json) -> Option<(&str, &str, u64)> {
    let id = event.get("id")?.as_str()?;
    let context = event.get("subject")?.as_str()?;
    let version = event.get("data")?.get("version")?.as_u64()?;
    Some((id, context, version))
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().expect("nothing panics while it is noted")
}
