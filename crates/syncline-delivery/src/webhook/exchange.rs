//! One attempt: resolve, check, connect to what was checked, post, read a little of the answer.
//!
//! Nothing is shared between attempts: no pool, no redirects, no proxies, and no second look-up
//! between the check and the connection. The whole has one deadline, and all that the endpoint
//! sends has one bound, whatever it claims of itself.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, DATE, HOST, HeaderMap, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::webhook::event::CONTENT_TYPE as CLOUD_EVENT;
use crate::webhook::guard::{Denied, Guard};
use crate::webhook::target::{Host, Target};

/// Bounds the addresses that are tried, one after the other.
const ADDRESSES_MAX: usize = 3;
/// Bounds the look-ups at once: each takes a thread for as long as the system's resolver likes.
const LOOKUPS_MAX: usize = 16;

/// The bounds of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeLimits {
    /// How long all of it may take: look-up, connection, TLS, posting, answer.
    pub time_max: Duration,
    /// How much of an answer's body is read.
    pub answer_bytes_max: usize,
    /// How much an endpoint may send in all: heads, however many, and the body.
    pub received_bytes_max: usize,
    /// How many exchanges a node has at once, over all webhooks.
    pub at_once_max: usize,
}

impl Default for ExchangeLimits {
    fn default() -> Self {
        ExchangeLimits {
            time_max: Duration::from_secs(15),
            answer_bytes_max: 16 * 1024,
            received_bytes_max: 64 * 1024,
            at_once_max: 256,
        }
    }
}

/// Finds the addresses of a host.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// Returns all addresses that a name has now.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's resolver.
#[derive(Debug)]
pub struct SystemResolver(Arc<Semaphore>);

impl Default for SystemResolver {
    fn default() -> Self {
        SystemResolver(Arc::new(Semaphore::new(LOOKUPS_MAX)))
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let permit = self.0.clone().acquire_owned().await;
        let permit = permit.map_err(io::Error::other)?;
        let name = name.to_owned();
        let look_up = move || {
            // Held until the thread is done, though nobody waits for it any more.
            let _permit = permit;
            let found = (name.as_str(), 0).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        };
        tokio::task::spawn_blocking(look_up)
            .await
            .map_err(io::Error::other)?
    }
}

/// Whom TLS trusts.
#[derive(Clone, Debug)]
pub enum Roots {
    /// The authorities that this machine trusts, as they are when the first is needed.
    System,
    /// These.
    Given(Arc<RootCertStore>),
}

/// What is posted.
#[derive(Clone, Debug)]
pub struct Post {
    /// Where to.
    pub target: Target,
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`.
    pub timestamp_s: i64,
    /// `webhook-signature`.
    pub signature: String,
    /// The event.
    pub body: String,
}

/// What an endpoint answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status: it counts as soon as the head is whole, whatever becomes of the body.
    pub status: u16,
    /// `Retry-After`, in seconds or as a date.
    pub retry_after: Option<Duration>,
    /// The beginning of the body.
    pub body: Vec<u8>,
}

/// Why there was no answer. The words are for the webhook's owner; they tell of no address.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// It may not go there.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The name has no address.
    #[error("the host's name was not found")]
    Resolve(#[source] io::Error),
    /// Nobody took the connection.
    #[error("the connection failed")]
    Connect(#[source] io::Error),
    /// No TLS that we trust.
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    /// This machine trusts no authority.
    #[error("this machine has no certificates of authorities; SSL_CERT_FILE may name them")]
    NoRoots,
    /// The whole took too long.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It was no answer as HTTP/1.1 has it, or too much of one.
    #[error("the answer was no HTTP, or too large")]
    Answer(#[source] hyper::Error),
    /// The node stops.
    #[error("the node stops")]
    Stopping,
}

/// Makes exchanges with endpoints.
pub struct Exchange {
    guard: Guard,
    resolver: Arc<dyn Resolve>,
    roots: Roots,
    tls: OnceLock<Option<TlsConnector>>,
    limits: ExchangeLimits,
    room: Semaphore,
}

impl Exchange {
    /// Makes exchanges that the guard allows.
    pub fn new(
        guard: Guard,
        resolver: Arc<dyn Resolve>,
        roots: Roots,
        limits: ExchangeLimits,
    ) -> Exchange {
        Exchange {
            guard,
            resolver,
            roots,
            tls: OnceLock::new(),
            room: Semaphore::new(limits.at_once_max),
            limits,
        }
    }

    /// Returns the guard.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Posts, and reads the answer's beginning.
    pub async fn post(&self, post: Post) -> Result<Answer, ExchangeError> {
        let _room = self.room.acquire().await;
        let _room = _room.map_err(|_| ExchangeError::Stopping)?;
        let deadline = Instant::now() + self.limits.time_max;
        let mut driver = JoinSet::new();
        let sent_at_s = post.timestamp_s;
        let head = timeout_at(deadline, self.head(post, &mut driver)).await;
        let head = head.map_err(|_| ExchangeError::TimedOut(self.limits.time_max))??;
        let (parts, body) = head.into_parts();
        let mut begin = Vec::new();
        // An endpoint that has said what it thinks of the event is believed, though it drips.
        let _ = timeout_at(deadline, self.read(body, &mut begin)).await;
        Ok(Answer {
            status: parts.status.as_u16(),
            retry_after: retry_after(&parts.headers, sent_at_s),
            body: begin,
        })
    }

    async fn head(
        &self,
        post: Post,
        driver: &mut JoinSet<()>,
    ) -> Result<Response<Incoming>, ExchangeError> {
        let stream = self.connect(&post.target).await?;
        if !post.target.https {
            return self.send(stream, post, driver).await;
        }
        let name = match &post.target.host {
            Host::Ip(address) => ServerName::from(*address),
            Host::Name(name) => {
                let named = ServerName::try_from(name.clone());
                named.map_err(|error| ExchangeError::Tls(io::Error::other(error)))?
            }
        };
        let tls = self.tls().ok_or(ExchangeError::NoRoots)?;
        let stream = tls
            .connect(name, stream)
            .await
            .map_err(ExchangeError::Tls)?;
        self.send(stream, post, driver).await
    }

    /// Connects to an address of the target that was checked just now, and to no other.
    async fn connect(&self, target: &Target) -> Result<TcpStream, ExchangeError> {
        let addresses = match &target.host {
            Host::Ip(address) => vec![*address],
            Host::Name(name) => {
                let found = self.resolver.resolve(name).await;
                found.map_err(ExchangeError::Resolve)?
            }
        };
        // One that is denied shows what the name is for, whatever stands beside it.
        for address in &addresses {
            self.guard.check_address(&target.host, *address)?;
        }
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            match TcpStream::connect(SocketAddr::new(address, target.port)).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => failure = error,
            }
        }
        Err(ExchangeError::Connect(failure))
    }

    async fn send<S>(
        &self,
        stream: S,
        post: Post,
        driver: &mut JoinSet<()>,
    ) -> Result<Response<Incoming>, ExchangeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = Bounded {
            inner: stream,
            left: self.limits.received_bytes_max,
        };
        let mut builder = http1::Builder::new();
        builder.max_buf_size(self.limits.received_bytes_max.max(8 * 1024));
        let handshake = builder.handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(ExchangeError::Answer)?;
        driver.spawn(async move {
            let _ = connection.await;
        });
        let request = request(post);
        let answer = sender.send_request(request).await;
        answer.map_err(ExchangeError::Answer)
    }

    async fn read(&self, mut body: Incoming, begin: &mut Vec<u8>) {
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let room = self.limits.answer_bytes_max - begin.len();
            begin.extend_from_slice(&data[..data.len().min(room)]);
            if begin.len() == self.limits.answer_bytes_max {
                return;
            }
        }
    }

    fn tls(&self) -> Option<&TlsConnector> {
        let made = self.tls.get_or_init(|| {
            let roots = match &self.roots {
                Roots::Given(roots) => roots.clone(),
                Roots::System => Arc::new(system_roots()),
            };
            (!roots.is_empty()).then(|| connector(roots))
        });
        made.as_ref()
    }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "certificates of this machine's authorities could not be read");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}

fn connector(roots: Arc<RootCertStore>) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has what the default versions need");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

fn request(post: Post) -> Request<Full<Bytes>> {
    let text = |text: &str| {
        HeaderValue::from_str(text).expect("ids, hosts and signatures are visible ASCII")
    };
    let mut request = Request::new(Full::new(Bytes::from(post.body)));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = post
        .target
        .path
        .parse()
        .unwrap_or_else(|_| http::Uri::from_static("/"));
    let headers = request.headers_mut();
    headers.insert(HOST, text(&post.target.authority()));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let agent = concat!("syncline/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(CLOUD_EVENT));
    headers.insert("webhook-id", text(&post.id));
    headers.insert("webhook-timestamp", post.timestamp_s.into());
    headers.insert("webhook-signature", text(&post.signature));
    request
}

/// Reads seconds or a date; what is neither is left to the schedule, which waits anyway.
fn retry_after(headers: &HeaderMap, sent_at_s: i64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are very long, and clamped later.
        return Some(Duration::from_secs(
            text.parse().unwrap_or(u64::from(u32::MAX)),
        ));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    // By the endpoint's own clock, where it tells it: a wrong one is then wrong on both sides.
    let its_now = headers.get(DATE).and_then(|date| date.to_str().ok());
    let its_now = its_now.and_then(|date| httpdate::parse_http_date(date).ok());
    let sent_at = Duration::from_secs(u64::try_from(sent_at_s).unwrap_or(0));
    let now = its_now.unwrap_or(UNIX_EPOCH + sent_at);
    // A date that has passed asks for nothing.
    Some(until.duration_since(now).unwrap_or_default())
}

/// A stream that ends in an error once too much was read from it.
struct Bounded<S> {
    inner: S,
    left: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("too much was sent")));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        self.left = self.left.saturating_sub(read);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
