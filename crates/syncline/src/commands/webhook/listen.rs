//! `syncline webhook listen`: a receiver on this machine that shows what arrives.
//!
//! It is for trying things out, and a model of what a receiver owes: it verifies before it
//! believes, bounds what it reads, and answers at once.

use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use syncline_delivery::webhook::event::VERIFICATION;
use syncline_delivery::webhook::signature::Secret;
use syncline_model::json::{Json, Limits, Object};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// Bounds an event's body: the node sends at most 20 KB and the envelope.
const BODY_MAX: usize = 1 << 20;
/// Bounds the connections at once; the node makes ten.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may last.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(15);
/// Bounds the events that wait to be shown.
const CAME_MAX: usize = 64;
/// How far an event's time may be from ours: what is older may be a recording.
const TOLERANCE_S: i64 = 300;

/// Receive events on this machine, verify them, and show them.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  syncline webhook listen --secret-file hook.secret\n  syncline webhook add http://127.0.0.1:7421/ --secret-file hook.secret   # in another terminal\n\nThe node must be allowed to call it: webhooks_allow = [\"127.0.0.1\"], webhooks_allow_http = true."
)]
pub struct ListenArgs {
    /// The file with the webhook's secret; it is made if it is not there.
    #[arg(long, value_name = "FILE")]
    pub secret_file: PathBuf,
    /// Where to listen; port 0 takes any.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7421")]
    pub listen: SocketAddr,
    /// Stop after so many events.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

/// What came, for the person at the terminal.
enum Came {
    Event(Json),
    Challenge,
    Refused(&'static str),
}

/// What every connection needs.
struct Receiver {
    secret: Secret,
    came: mpsc::Sender<Came>,
}

/// Runs the command.
pub(super) async fn listen(args: &ListenArgs, run: &Run) -> Result {
    let secret = secret(&args.secret_file, run)?;
    let bound = TcpListener::bind(args.listen).await;
    let cannot = |error| Failure::usage(format!("cannot listen on {}: {error}", args.listen));
    let listener = bound.map_err(cannot)?;
    let here = listener.local_addr().map_err(cannot)?;
    run.output.say(format!("listening on http://{here}/"));
    let (sender, mut coming) = mpsc::channel(CAME_MAX);
    let came = sender;
    let receiver = Arc::new(Receiver { secret, came });
    let mut connections = JoinSet::new();
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, receiver.clone()))),
                // Out of files, say: those that are open will end.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
            Some(came) = coming.recv() => {
                left -= u64::from(matches!(came, Came::Event(_)));
                show_came(run, came)?;
            }
        }
    }
    drop(listener);
    // Whoever sent the last event still waits for its answer.
    while let Some(_ended) = connections.join_next().await {}
    Ok(())
}

/// Reads the secret, or makes one that only this user may read.
fn secret(path: &Path, run: &Run) -> Result<Secret> {
    match std::fs::read_to_string(path) {
        Ok(text) => Secret::parse(text.trim())
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let secret = Secret::draw();
            let mut options = OpenOptions::new();
            let made = options.write(true).create_new(true).mode(0o600).open(path);
            let written = made.and_then(|mut file| writeln!(file, "{}", secret.reveal()));
            written.map_err(|error| Failure::file("write", path, &error))?;
            run.output
                .say(format!("a new secret is in {}", path.display()));
            Ok(secret)
        }
        Err(error) => Err(Failure::file("read", path, &error)),
    }
}

async fn serve(stream: TcpStream, receiver: Arc<Receiver>) {
    let service = service_fn(move |request| {
        let receiver = receiver.clone();
        async move { Ok::<_, Infallible>(answer(request, &receiver).await) }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false);
    let served = http.serve_connection(TokioIo::new(stream), service);
    // What becomes of the connection is the sender's business: it comes again.
    let _ = tokio::time::timeout(CONNECTION_TIME_MAX, served).await;
}

async fn answer(request: Request<Incoming>, receiver: &Receiver) -> Response<Full<Bytes>> {
    let (status, body) = match receive(request, &receiver.secret).await {
        Ok(event) => {
            let is_challenge = event.get("type").and_then(Json::as_str) == Some(VERIFICATION);
            let (came, body) = match is_challenge {
                true => (Came::Challenge, echo(&event)),
                false => (Came::Event(event), "{}".to_owned()),
            };
            match receiver.came.send(came).await {
                Ok(()) => (StatusCode::OK, body),
                // Nobody shows it any more, so it did not arrive.
                Err(_) => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
            }
        }
        Err((status, why)) => {
            let _ = receiver.came.send(Came::Refused(why)).await;
            (status, String::new())
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

/// Reads an event, and believes it only if the secret signed it just now.
async fn receive(
    request: Request<Incoming>,
    secret: &Secret,
) -> Result<Json, (StatusCode, &'static str)> {
    if request.method() != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "events are posted"));
    }
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_MAX).collect().await;
    let body = body.map_err(|_| (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"))?;
    let body = body.to_bytes();
    let unsigned = (StatusCode::UNAUTHORIZED, "it is not signed as webhooks are");
    let header = |name: &str| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.ok_or(unsigned)
    };
    let (id, signature) = (header("webhook-id")?, header("webhook-signature")?);
    let timestamp_s: i64 = header("webhook-timestamp")?.parse().map_err(|_| unsigned)?;
    if !secret.verifies(signature, id, timestamp_s, &body) {
        return Err((StatusCode::UNAUTHORIZED, "another secret signed it"));
    }
    let now_s = show::now().0.div_euclid(1_000);
    if now_s.abs_diff(timestamp_s) > TOLERANCE_S.unsigned_abs() {
        return Err((StatusCode::UNAUTHORIZED, "it is old, or a clock is wrong"));
    }
    let unread = |_| (StatusCode::BAD_REQUEST, "the body is no JSON");
    Json::parse(&body, &Limits::wire()).map_err(unread)
}

fn echo(event: &Json) -> String {
    let challenge = event.get("data").and_then(|data| data.get("challenge"));
    let mut answer = Object::new();
    answer.insert("challenge", challenge.cloned().unwrap_or(Json::Null));
    Json::Object(answer).to_text()
}

fn show_came(run: &Run, came: Came) -> Result {
    let event = match came {
        Came::Event(event) => event,
        Came::Challenge => {
            run.output
                .say("the node asked whether to send, and was told yes");
            return Ok(());
        }
        Came::Refused(why) => {
            run.output.warn(format!("a request was refused: {why}"));
            return Ok(());
        }
    };
    if run.output.is_json() {
        return run.output.row(&event);
    }
    let data = event.get("data");
    let version = data
        .and_then(|data| data.get("version"))
        .and_then(Json::as_u64);
    let message = data.map_or("", |data| show::text(data, "message"));
    let what = show::text(&event, "type");
    let what = what
        .rsplit_once("dev.syncline.")
        .map_or(what, |(_, last)| last);
    run.output.line(
        Line::new()
            .cell(Style::Dim, show::text(&event, "time"), 26)
            .cell(Style::Plain, what, 18)
            .text(" ")
            .cell(Style::Cyan, show::text(&event, "subject"), 24)
            .text(
                version
                    .map(|version| format!(" v{version}  "))
                    .unwrap_or_default(),
            )
            .text(message),
    )
}
