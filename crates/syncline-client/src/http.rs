//! One request and its answer, over a connection that is kept for the next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use syncline_api::{Code, Problem};
use syncline_model::ids::{Name, WorkspaceId};
use syncline_model::json::{Json, Limits};

use crate::target::{Endpoint, Target};

/// Bounds an answer: a page of large contexts is far below, an endless body is not.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bounds the depth of an answer: a document's own limit and what wraps it.
const ANSWER_DEPTH_MAX: usize = 128;
/// Bounds the connections that wait for their next request.
const IDLE_MAX: usize = 8;

/// Who calls, and how patiently.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The key; a Unix socket needs none.
    pub token: Option<String>,
    /// Which workspace is meant; absent is `default`.
    pub workspace: Option<WorkspaceId>,
    /// Which agent acts, recorded as the actor.
    pub agent: Option<Name>,
    /// The agent's session, recorded as the actor's.
    pub session: Option<Name>,
    /// Whose model or service it is, recorded as the actor's.
    pub provider: Option<Name>,
    /// How long to connect, and how long one request may take beyond what it asks to wait.
    pub timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            token: None,
            workspace: None,
            agent: None,
            session: None,
            provider: None,
            timeout: Duration::from_secs(30),
        }
    }
}

/// A node's answer that is not an error.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status, below 400.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// Reads the body as JSON.
    pub fn json(&self) -> Result<Json, Problem> {
        read_json(&self.body)
    }
}

/// Calls a node. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    target: Target,
    options: ClientOptions,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Client {
    /// Makes a client; it connects with the first call.
    pub fn connect(target: Target, options: ClientOptions) -> Result<Client, Problem> {
        let endpoint = Endpoint::of(&target)?;
        let idle = Mutex::new(Vec::new());
        Ok(Client {
            inner: Arc::new(Inner {
                endpoint,
                target,
                options,
                idle,
            }),
        })
    }

    /// Returns where the node is.
    pub fn target(&self) -> &Target {
        &self.inner.target
    }

    /// Returns who calls.
    pub fn options(&self) -> &ClientOptions {
        &self.inner.options
    }

    /// Sends one request and returns its answer; a status from 400 on is a [`Problem`].
    ///
    /// `path` is percent-encoded and brings its query. A request that a kept connection lost is
    /// sent once more on a new one, if it is safe to: a read, or a write with its change id.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, String)],
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Response, Problem> {
        self.request_within(self.inner.options.timeout, method, path, headers, body)
            .await
    }

    /// Does the same, with another patience.
    pub async fn request_within(
        &self,
        timeout: Duration,
        method: Method,
        path: &str,
        headers: &[(&'static str, String)],
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Response, Problem> {
        let answer = tokio::time::timeout(timeout, self.exchange(&method, path, headers, &body));
        let response = answer.await.unwrap_or_else(|_| {
            let what = format!(
                "no answer to {method} {path} within {} s",
                timeout.as_secs()
            );
            Err(Problem::new(Code::Unreachable, what))
        })?;
        if response.status < 400 {
            Ok(response)
        } else {
            Err(problem_of(&response))
        }
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&'static str, String)],
        body: &Option<(&'static str, Bytes)>,
    ) -> Result<Response, Problem> {
        let request = || self.build(method, path, headers, body);
        let repeatable = *method == Method::GET
            || headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
        while let Some(kept) = self.kept() {
            match self.send(kept, request()?).await {
                Ok(response) => return Ok(response),
                // The node closed what we had kept: nothing was lost but the connection.
                Err(error) if error.is_canceled() => {}
                Err(_) if repeatable => break,
                Err(error) => return Err(lost(&error)),
            }
        }
        let fresh = self.open().await?;
        self.send(fresh, request()?)
            .await
            .map_err(|error| lost(&error))
    }

    fn kept(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self
            .inner
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while let Some(sender) = idle.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self
            .inner
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(sender);
        }
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>, Problem> {
        let stream = self
            .inner
            .endpoint
            .connect(self.inner.options.timeout)
            .await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| lost(&error))?;
        tokio::spawn(async move {
            // Its errors reach the request that was under way.
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn send(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        request: Request<Full<Bytes>>,
    ) -> Result<Response, SendError> {
        sender.ready().await.map_err(SendError::Hyper)?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(SendError::Hyper)?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body
            .map_err(|error| SendError::Body(error.to_string()))?
            .to_bytes();
        if sender.ready().await.is_ok() {
            self.keep(sender);
        }
        Ok(Response {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    }

    fn build(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&'static str, String)],
        body: &Option<(&'static str, Bytes)>,
    ) -> Result<Request<Full<Bytes>>, Problem> {
        let Inner {
            endpoint, options, ..
        } = &*self.inner;
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{path}", endpoint.prefix()))
            .header(header::HOST, endpoint.authority());
        if let Some(token) = &options.token {
            request = request.header(header::AUTHORIZATION, secret(token)?);
        }
        let named = [
            (
                "syncline-workspace",
                options.workspace.as_ref().map(WorkspaceId::as_str),
            ),
            ("syncline-agent", options.agent.as_ref().map(Name::as_str)),
            (
                "syncline-session",
                options.session.as_ref().map(Name::as_str),
            ),
            (
                "syncline-provider",
                options.provider.as_ref().map(Name::as_str),
            ),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                request = request.header(name, value.as_bytes());
            }
        }
        for (name, value) in headers {
            request = request.header(HeaderName::from_static(name), value);
        }
        if let Some((kind, _)) = body {
            request = request.header(header::CONTENT_TYPE, *kind);
        }
        let bytes = body
            .as_ref()
            .map(|(_, bytes)| bytes.clone())
            .unwrap_or_default();
        request.body(Full::new(bytes)).map_err(|error| {
            Problem::new(
                Code::BadRequest,
                format!("the request cannot be sent: {error}"),
            )
        })
    }
}

fn secret(token: &str) -> Result<HeaderValue, Problem> {
    let bad = |_| {
        Problem::new(
            Code::Unauthorized,
            "the key holds characters that no key has",
        )
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(bad)?;
    value.set_sensitive(true);
    Ok(value)
}

enum SendError {
    Hyper(hyper::Error),
    Body(String),
}

impl SendError {
    /// Says whether the request surely never left.
    fn is_canceled(&self) -> bool {
        matches!(self, SendError::Hyper(error) if error.is_canceled() || error.is_closed())
    }
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SendError::Hyper(error) => error.fmt(f),
            SendError::Body(text) => f.write_str(text),
        }
    }
}

fn lost(error: &impl std::fmt::Display) -> Problem {
    Problem::new(
        Code::Unreachable,
        format!("the connection to the node was lost: {error}"),
    )
}

/// Reads a text from a node, strictly.
pub(crate) fn read_json(bytes: &[u8]) -> Result<Json, Problem> {
    let limits = Limits {
        bytes_max: ANSWER_BYTES_MAX,
        depth_max: ANSWER_DEPTH_MAX,
    };
    Json::parse(bytes, &limits).map_err(|error| {
        Problem::new(
            Code::Internal,
            format!("the node sent something that is not JSON: {error}"),
        )
    })
}

fn problem_of(response: &Response) -> Problem {
    let status = response.status;
    let read = response
        .json()
        .ok()
        .and_then(|json| Problem::read(&json).ok());
    let mut problem = read.unwrap_or_else(|| {
        let name = StatusCode::from_u16(status)
            .ok()
            .and_then(|s| s.canonical_reason());
        let text = format!("the node answered {status} {}", name.unwrap_or_default());
        Problem::new(Code::from_status(status), text.trim_end().to_owned())
    });
    if problem.code == Code::Unauthorized && problem.hint.is_none() {
        problem.hint = Some("set SYNCLINE_KEY to what `syncline key` prints there".to_owned());
    }
    problem
}

/// Encodes all but RFC 3986's unreserved characters.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                out.push(char::from(HEX[usize::from(other >> 4)]));
                out.push(char::from(HEX[usize::from(other & 15)]));
            }
        }
    }
    out
}
