//! The MCP door: a thin server over stdio, through which an agent's program uses the machine's
//! node.
//!
//! It offers five tools (`context_read`, `context_write`, `context_list`, `context_changes`,
//! `context_conflicts`) and turns each call into calls of [`syncline_client::Client`]; it keeps nothing but the place in
//! the log up to which each agent has looked. Every answer says the same as text and as
//! structured content, since agents' programs show the model only one of the two; every answer
//! is bounded; and what contexts hold is quoted as data, with invisible characters escaped.
//!
//! Documents do not pass through `serde_json::Value`: `transport` takes a call's arguments
//! out of its line with our own strict reader, and puts structured answers into theirs as text,
//! so numbers stay exact, and duplicate keys and too much depth are refused. What other programs
//! do to a number on its way here is out of our hands, so a body may also be sent as JSON text.

mod answer;
mod arguments;
mod callers;
mod changes;
mod conflicts;
mod list;
mod quote;
mod read;
mod server;
mod tools;
mod transport;
mod write;

use std::time::Duration;

use rmcp::service::{QuitReason, ServerInitializeError, serve_server};
use syncline_api::{Code, Problem};
use syncline_client::Client;
use syncline_model::ids::Name;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::callers::Callers;
use crate::server::Server;
use crate::transport::Lines;

/// Bounds how long the first message waits for the place in the log where the session begins.
const START_MAX: Duration = Duration::from_secs(2);

/// Who uses this door.
#[derive(Clone, Debug, Default)]
pub struct McpOptions {
    /// The agent, recorded as the actor; absent is what its program calls itself.
    pub agent: Option<Name>,
    /// Its session; absent is one that is made for this run.
    pub session: Option<Name>,
}

/// Serves one agent's program until its end of `input` is closed, or its answers find no taker.
///
/// Nothing but the protocol is written to `output`. Calls under way at the end of `input` are
/// answered, save those that wait for changes: these answer at once.
pub async fn run<R, W>(
    client: Client,
    options: McpOptions,
    input: R,
    output: W,
) -> Result<(), Problem>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let callers = Callers::new(client, options);
    // What changes from now on is news to the agent, however late it asks.
    let _ = tokio::time::timeout(START_MAX, callers.start()).await;
    let (lines, closed) = Lines::new(input, output);
    match serve_server(Server::new(callers, closed), lines).await {
        Ok(service) => match service.waiting().await {
            Ok(QuitReason::JoinError(error)) | Err(error) => Err(broken(&error)),
            Ok(_) => Ok(()),
        },
        Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(broken(&error)),
    }
}

fn broken(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::BadRequest, format!("the MCP session failed: {error}"))
}
