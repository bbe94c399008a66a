//! From nothing to `welcome`.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use syncline_api::{ClientMessage, Code, Hello, Problem, ServerMessage, Welcome};
use syncline_model::json::{Json, Pointer};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::http::{ClientOptions, read_json};
use crate::target::{Endpoint, Stream};

pub(crate) type Socket = WebSocketStream<Stream>;

/// Bounds a message: a snapshot page with one document of the greatest size is far below.
const MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Connects, upgrades, says hello and waits for the welcome.
pub(crate) async fn open(
    endpoint: &Endpoint,
    options: &ClientOptions,
) -> Result<(Socket, Welcome), Problem> {
    let opened = tokio::time::timeout(options.timeout, open_now(endpoint, options)).await;
    opened.unwrap_or_else(|_| {
        let what = format!("no welcome within {} s", options.timeout.as_secs());
        Err(Problem::new(Code::Unreachable, what))
    })
}

async fn open_now(
    endpoint: &Endpoint,
    options: &ClientOptions,
) -> Result<(Socket, Welcome), Problem> {
    let stream = endpoint.connect(options.timeout).await?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let upgraded = client_async_with_config(request(endpoint, options)?, stream, Some(config));
    let (mut socket, _) = upgraded.await.map_err(refused)?;
    let hello = ClientMessage::Hello(Hello {
        token: options.token.clone(),
        client: Some(concat!("syncline-client/", env!("CARGO_PKG_VERSION")).to_owned()),
        workspace: options.workspace.clone(),
        agent: options.agent.clone(),
        session: options.session.clone(),
        provider: options.provider.clone(),
        capabilities: Json::Null,
    });
    socket
        .send(Message::text(hello.to_text()))
        .await
        .map_err(|error| lost(&error))?;
    let welcome = welcome(&mut socket).await?;
    Ok((socket, welcome))
}

fn request(endpoint: &Endpoint, options: &ClientOptions) -> Result<Request, Problem> {
    let url = format!("ws://{}{}/v1/sync", endpoint.authority(), endpoint.prefix());
    let bad = |error: &dyn std::fmt::Display| {
        Problem::new(
            Code::BadRequest,
            format!("the node's address cannot be used: {error}"),
        )
    };
    let mut request = url.into_client_request().map_err(|error| bad(&error))?;
    let headers = request.headers_mut();
    headers.insert(
        "sec-websocket-protocol",
        HeaderValue::from_static("syncline.v1"),
    );
    if let Some(token) = &options.token {
        let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
        headers.insert("authorization", bearer.map_err(|error| bad(&error))?);
    }
    Ok(request)
}

async fn welcome(socket: &mut Socket) -> Result<Welcome, Problem> {
    loop {
        let frame = socket.next().await;
        let text = match frame {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => return Err(closed(frame.as_ref())),
            Some(Ok(_)) => continue,
            Some(Err(error)) => return Err(lost(&error)),
            None => return Err(closed(None)),
        };
        let json = read_json(text.as_bytes())?;
        let first = json.as_array().map_or(Some(&json), |items| items.first());
        let message = first.map(|json| ServerMessage::read(json, &Pointer::root()));
        match message {
            Some(Ok(ServerMessage::Welcome(welcome))) => return Ok(welcome),
            Some(Ok(ServerMessage::Error(error))) => return Err(error.to_problem()),
            _ => return Err(Problem::new(Code::Internal, "the node did not say welcome")),
        }
    }
}

/// Tells why the node refused the upgrade.
fn refused(error: Error) -> Problem {
    let Error::Http(response) = error else {
        return lost(&error);
    };
    let status = response.status().as_u16();
    let body = response.body().as_deref().unwrap_or_default();
    let read = read_json(body)
        .ok()
        .and_then(|json| Problem::read(&json).ok());
    read.unwrap_or_else(|| {
        let what = format!("the node answered {status} instead of opening a WebSocket");
        Problem::new(Code::from_status(status), what)
    })
}

pub(crate) fn lost(error: &Error) -> Problem {
    Problem::new(
        Code::Unreachable,
        format!("the live connection was lost: {error}"),
    )
}

/// Tells why the node closed (PROTOCOL, "Close codes").
pub(crate) fn closed(frame: Option<&CloseFrame>) -> Problem {
    let Some(frame) = frame else {
        return Problem::new(Code::Unreachable, "the node closed the live connection");
    };
    let code = u16::from(frame.code);
    let kind = match code {
        4501 => Code::Unauthorized,
        4503 => Code::Forbidden,
        4500..=4999 => Code::BadRequest,
        4029 => Code::TooMany,
        _ => Code::Unreachable,
    };
    let reason: String = frame.reason.chars().take(200).collect();
    let reason = if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    };
    let mut problem = Problem::new(kind, format!("the node closed with code {code}{reason}"));
    if code == 4029 {
        problem.retry_after_ms = Some(5_000);
    }
    problem
}

/// Says whether trying again cannot help.
pub(crate) fn is_final(problem: &Problem) -> bool {
    !matches!(
        problem.code,
        Code::Unreachable
            | Code::Unavailable
            | Code::TooMany
            | Code::RequestTimeout
            | Code::UnknownOutcome
            | Code::DiskFull
            | Code::Internal
    )
}

/// Returns how long to wait before the attempt after `failures` failed ones: 100 ms doubling to
/// 10 s, of which a random half is left out so that clients do not come back all at once.
pub(crate) fn backoff(failures: u32, asked_ms: Option<u64>) -> Duration {
    let most = (100u64 << failures.min(7))
        .min(10_000)
        .max(asked_ms.unwrap_or(0).min(60_000));
    let mut random = [0u8; 2];
    // Without random bytes the whole wait is taken, which is right too.
    let _ = getrandom::fill(&mut random);
    let left_out = most * u64::from(u16::from_le_bytes(random)) / 65_536 / 2;
    Duration::from_millis(most - left_out)
}
