//! `syncline fixture`

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use syncline_http::{DoorLimits, serve_echo};
use syncline_model::json::Json;
use tokio::net::TcpListener;

use crate::failure::{Failure, Result};
use crate::run::Run;

/// Serve a part of the node alone, for suites that test it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline fixture ws-echo --listen 127.0.0.1:9001")]
pub struct FixtureArgs {
    /// Which part.
    #[command(subcommand)]
    pub part: Part,
}

/// A part.
#[derive(Debug, Subcommand)]
pub enum Part {
    /// Send each WebSocket message back, on the transport that subscriptions use.
    #[command(after_help = "Example:\n  syncline fixture ws-echo --listen 127.0.0.1:9001")]
    WsEcho {
        /// Where to listen; port 0 picks one.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9001")]
        listen: SocketAddr,
    },
}

/// Runs the command.
pub async fn run(args: &FixtureArgs, run: &Run) -> Result {
    let Part::WsEcho { listen } = args.part;
    let cannot = |error| Failure::usage(format!("cannot listen on {listen}: {error}"));
    let listener = TcpListener::bind(listen).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let url = format!("ws://{address}");
    if run.output.is_json() {
        let ready = [("ready", Json::from(url))];
        run.output.row(&Json::Object(ready.into_iter().collect()))?;
    } else {
        run.output.raw(&format!("ready {url}\n"))?;
    }
    let ended = serve_echo(listener, DoorLimits::default()).await;
    ended.map_err(|error| Failure::usage(format!("cannot go on listening: {error}")))
}
