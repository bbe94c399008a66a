//! The beginning of a connection: who is there, and for which workspace.

use bytes::Bytes;
use syncline_api::{
    ClientMessage, Code, ErrorMessage, Hello, Problem, Welcome, write_error, write_welcome,
};
use syncline_engine::Principal;
use syncline_model::ids::WorkspaceId;
use syncline_model::json::{Json, JsonWriter, Object, Pointer};
use syncline_model::proposal::Actor;
use tokio_tungstenite::tungstenite::Message;

use super::frames::{FRAME_BYTES_MAX, FRAME_MESSAGES_MAX};
use super::session::Session;
use super::wire::Wire;
use super::{Close, unreadable};
use crate::ask::read_json;
use crate::doors::Node;

/// Bounds the messages of one frame from a client.
pub(super) const INBOUND_MESSAGES_MAX: usize = 1_024;
/// Bounds how long a close frame may take on its way.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(2);

/// Serves a connection from `hello` to its end.
pub(super) async fn serve(mut socket: Wire, node: Node, caller: Option<Principal>) {
    // What the greeting needs is freed after it: a connection waits for most of its life.
    let (session, rest) = match Box::pin(greet(&mut socket, node, caller)).await {
        Ok(Some(greeted)) => *greeted,
        Ok(None) => return Box::pin(hear_out(&mut socket)).await,
        Err(refused) => {
            let Refusal { error, close } = *refused;
            return Box::pin(say_goodbye(&mut socket, error, close)).await;
        }
    };
    match Box::pin(session.run(&mut socket, rest)).await {
        Some(close) => Box::pin(say_goodbye(&mut socket, None, close)).await,
        None => Box::pin(hear_out(&mut socket)).await,
    }
}

/// A session, and the messages that came with its `hello`.
type Greeted = Box<(Session, Vec<Json>)>;

/// Why a connection ends before it began.
struct Refusal {
    error: Option<Problem>,
    close: Close,
}

fn refuse(code: u16, problem: Problem) -> Box<Refusal> {
    let close = Close::new(code, problem.detail.clone());
    Box::new(Refusal {
        error: Some(problem),
        close,
    })
}

fn error_frame(problem: &Problem) -> Bytes {
    let mut w = JsonWriter::new();
    write_error(&mut w, &ErrorMessage::from_problem(None, problem));
    w.into_string().into()
}

async fn say_goodbye(socket: &mut Wire, error: Option<Problem>, close: Close) {
    let goodbye = async {
        if let Some(problem) = error {
            socket.put_text(error_frame(&problem));
        }
        if socket.put_control(close.message()).is_ok() {
            let _ = socket.flush().await;
        }
        hear_out(socket).await;
    };
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
}

/// Waits for what ends a connection that is closing properly: the peer's own close frame, or, after
/// that, the answer to it. What else the peer sends is of no use now.
async fn hear_out(socket: &mut Wire) {
    if !socket.is_closing() {
        return;
    }
    let ended = async { while let Some(Ok(_)) = socket.recv().await {} };
    let _ = tokio::time::timeout(GOODBYE, ended).await;
}

/// Reads `hello` and answers it. Returns the messages that came in the same frame, too.
async fn greet(
    socket: &mut Wire,
    node: Node,
    caller: Option<Principal>,
) -> Result<Option<Greeted>, Box<Refusal>> {
    let limits = &node.doors.limits;
    let first = tokio::select! {
        first = tokio::time::timeout(limits.hello_time_max, first_frame(socket)) => first,
        () = node.stopped() => {
            let close = Close::new(Close::STOPPING, "the node is stopping");
            return Err(Box::new(Refusal { error: None, close }));
        }
    };
    let text = match first {
        Err(_) => {
            let close = Close::new(Close::PROTOCOL, "no hello came in time");
            return Err(Box::new(Refusal { error: None, close }));
        }
        Ok(None) => return Ok(None),
        Ok(Some(text)) => text,
    };
    let mut rest = read_frame(&node, &text)
        .map_err(|p| refuse(Close::PROTOCOL, p))?
        .into_iter();
    let first = rest.next().unwrap_or_default();
    let hello = match ClientMessage::read(&first, &Pointer::root()) {
        Ok(ClientMessage::Hello(hello)) => hello,
        Ok(_) => {
            let problem = Problem::new(Code::BadRequest, "the first message must be hello");
            return Err(refuse(Close::PROTOCOL, problem));
        }
        Err(problem) => return Err(refuse(Close::PROTOCOL, problem)),
    };
    let principal = authenticate(&node, caller, &hello)?;
    let id = hello
        .workspace
        .clone()
        .unwrap_or_else(WorkspaceId::default_workspace);
    let workspace = node
        .doors
        .engine
        .workspace(&id)
        .map_err(|p| refuse(Close::FORBIDDEN, p))?;
    let actor = Actor {
        agent: hello.agent,
        session: hello.session,
        provider: hello.provider,
        ..Actor::from_principal(principal.id.clone())
    };
    let welcome = Welcome {
        connection: node.doors.engine.fresh_id().to_string(),
        epoch: workspace.epoch().to_string(),
        cursor: workspace.seal_fresh(&workspace.tail()),
        heartbeat_s: limits.heartbeat.as_secs(),
        limits: limits_json(&node),
        token_expires_at: None,
    };
    let session = Session::new(node, workspace, principal, actor, &welcome);
    Ok(Some(Box::new((session, rest.collect()))))
}

async fn first_frame(socket: &mut Wire) -> Option<String> {
    loop {
        match socket.recv().await?.ok()? {
            Message::Text(text) => return Some(text.to_string()),
            Message::Binary(_) => return Some(String::new()),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            Message::Close(_) => return None,
        }
    }
}

/// Reads a frame: one message, or an array of them.
pub(super) fn read_frame(node: &Node, text: &str) -> Result<Vec<Json>, Problem> {
    match read_json(node, text.as_bytes(), 1)? {
        Json::Array(messages) if messages.len() > INBOUND_MESSAGES_MAX => Err(Problem::new(
            Code::TooLarge,
            format!("a frame has at most {INBOUND_MESSAGES_MAX} messages"),
        )),
        Json::Array(messages) => Ok(messages.to_vec()),
        message => Ok(vec![message]),
    }
}

fn authenticate(
    node: &Node,
    caller: Option<Principal>,
    hello: &Hello,
) -> Result<Principal, Box<Refusal>> {
    let named = hello
        .token
        .as_deref()
        .map(|token| node.doors.keys.verify(token));
    match (named, caller) {
        (Some(Some(principal)), _) | (None, Some(principal)) => Ok(principal),
        (Some(None), _) => {
            let problem = Problem::new(Code::Unauthorized, "the token is not known here");
            Err(refuse(Close::BAD_TOKEN, problem))
        }
        (None, None) => {
            let problem = Problem::new(Code::Unauthorized, "hello brings no token");
            Err(refuse(Close::BAD_TOKEN, problem))
        }
    }
}

fn limits_json(node: &Node) -> Json {
    let limits = &node.doors.limits;
    let settings = node.doors.engine.settings();
    let named = [
        ("bulk", settings.bulk_max),
        ("frame_bytes", FRAME_BYTES_MAX),
        ("frame_messages", FRAME_MESSAGES_MAX),
        ("inbound_bytes", limits.request_bytes_max),
        ("inbound_messages", INBOUND_MESSAGES_MAX),
        ("submits", limits.submits_max),
        ("subscriptions", limits.subscriptions_max),
    ];
    let named = named
        .into_iter()
        .map(|(name, limit)| (name, Json::from(limit)));
    Json::Object(named.collect::<Object>())
}

/// Writes the answer to `hello`.
pub(super) fn write_answer(w: &mut JsonWriter, welcome: &Welcome) {
    write_welcome(w, welcome);
}

/// Returns why a frame that cannot be read ends the connection.
pub(super) fn unreadable_frame(problem: &Problem) -> Close {
    unreadable(problem)
}
