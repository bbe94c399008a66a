//! Where a node is, and the bare connection to it.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use syncline_api::{Code, Problem};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `http://host:port`.
    Url(String),
    /// A Unix socket.
    Socket(PathBuf),
}

/// A target whose parts were read and found good.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    Tcp {
        host: String,
        port: u16,
        authority: String,
        prefix: String,
    },
    Unix(PathBuf),
}

/// The port that a node listens on unless it is told otherwise.
const PORT: u16 = 7420;

impl Endpoint {
    pub(crate) fn of(target: &Target) -> Result<Endpoint, Problem> {
        match target {
            Target::Socket(path) => Ok(Endpoint::Unix(path.clone())),
            Target::Url(url) => Endpoint::of_url(url),
        }
    }

    fn of_url(url: &str) -> Result<Endpoint, Problem> {
        let bad = |why: &str| {
            Problem::new(Code::BadRequest, format!("the URL {url:?} {why}"))
                .hint("a node's URL looks like http://127.0.0.1:7420")
        };
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", _)) => {
                return Err(Problem::not_built("https:// in the client").hint(
                    "use http:// on this machine or through a tunnel that encrypts (ssh -L)",
                ));
            }
            Some(_) => return Err(bad("has a scheme that is not http")),
            None => return Err(bad("has no scheme")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') || path.contains(['?', '#']) {
            return Err(bad("has a user, a query or a fragment"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| bad("has no valid port"))?;
        if host.is_empty() || authority.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(bad("has no host"));
        }
        let path = path.trim_end_matches('/');
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        };
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        Ok(Endpoint::Tcp {
            host,
            port,
            authority: authority.to_owned(),
            prefix,
        })
    }

    /// Returns what the `Host` header says.
    pub(crate) fn authority(&self) -> &str {
        match self {
            Endpoint::Tcp { authority, .. } => authority,
            Endpoint::Unix(_) => "localhost",
        }
    }

    /// Returns what stands before each path.
    pub(crate) fn prefix(&self) -> &str {
        match self {
            Endpoint::Tcp { prefix, .. } => prefix,
            Endpoint::Unix(_) => "",
        }
    }

    pub(crate) async fn connect(&self, timeout: Duration) -> Result<Stream, Problem> {
        let connected = tokio::time::timeout(timeout, self.connect_now()).await;
        connected
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
            .map_err(|error| self.unreachable(&error))
    }

    async fn connect_now(&self) -> io::Result<Stream> {
        match self {
            Endpoint::Tcp { host, port, .. } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // Small messages must not wait for the acknowledgement of the one before.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Endpoint::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
        }
    }

    fn unreachable(&self, error: &io::Error) -> Problem {
        let problem = |what: String| Problem::new(Code::Unreachable, what);
        match self {
            Endpoint::Tcp { authority, .. } => {
                problem(format!("no node answers at {authority}: {}", reason(error)))
                    .hint("start one with `syncline up`, or name another with --url")
            }
            Endpoint::Unix(path) => problem(no_socket(path, error))
                .hint("start one with `syncline up`, or name another with --url or --data"),
        }
    }
}

fn no_socket(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("no node runs here (there is no {})", path.display()),
        io::ErrorKind::ConnectionRefused => {
            format!("no node runs here (nobody listens on {})", path.display())
        }
        _ => format!("cannot connect to {}: {}", path.display(), reason(error)),
    }
}

/// Returns an error's words without the number that the system adds.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text[..1].to_lowercase() + &text[1..]
}

fn split_port(authority: &str) -> Option<(&str, u16)> {
    let colon = authority
        .rfind(':')
        .filter(|at| !authority[*at..].contains(']'));
    match colon {
        None => Some((authority, PORT)),
        Some(at) => Some((&authority[..at], authority[at + 1..].parse().ok()?)),
    }
}

/// A connection of either kind.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Unix(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn check(url: &str, expected: &str) {
        let shown = match Endpoint::of(&Target::Url(url.to_owned())) {
            Ok(Endpoint::Tcp {
                host, port, prefix, ..
            }) => format!("{host} {port} {prefix}"),
            Ok(Endpoint::Unix(_)) => panic!("a URL is no socket"),
            Err(problem) => problem.code.name().to_owned(),
        };
        assert_eq!(shown, expected, "{url}");
    }

    #[test]
    fn urls_are_read_or_refused_with_a_hint() {
        check("http://127.0.0.1:7420", "127.0.0.1 7420 ");
        check("http://localhost/", "localhost 7420 ");
        check("http://[::1]:80/sync/", "::1 80 /sync");
        check("http://[::1]", "::1 7420 ");
        check("https://sync.corp", "not_built");
        for bad in [
            "",
            "127.0.0.1:7420",
            "ftp://a",
            "http://",
            "http://a:x",
            "http://u@h",
            "http://h/?q",
        ] {
            check(bad, "bad_request");
        }
    }
}
