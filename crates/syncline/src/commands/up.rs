//! `syncline up`

use clap::Args;
use syncline_model::json::{Json, Object};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Command;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::node::{self, Node};
use crate::output::{Line, Style};
use crate::place;
use crate::run::{Run, not_built};
use crate::{show, system};

/// Start a node in the foreground.
///
/// Once it accepts connections it prints `ready http://…` as the last line on stdout. SIGTERM or
/// Ctrl-C ends it cleanly.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline up\n  syncline up --data ./data --listen 127.0.0.1:0"
)]
pub struct UpArgs {
    /// Where to listen; port 0 picks one.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// The store: sqlite.
    #[arg(long, value_name = "STORE", hide = true)]
    pub store: Option<String>,
    /// The node to sync with.
    #[arg(long, value_name = "URL", hide = true)]
    pub upstream: Option<String>,
    /// The bus of a cluster.
    #[arg(long, value_name = "URL", hide = true)]
    pub bus: Option<String>,
}

impl UpArgs {
    /// Returns the settings that its flags set.
    pub fn flags(command: &Command) -> Vec<(&'static str, String, String)> {
        let Command::Up(args) = command else {
            return Vec::new();
        };
        let flags = [("listen", &args.listen), ("store", &args.store)];
        let set = |(name, value): (&'static str, &Option<String>)| {
            value
                .clone()
                .map(|value| (name, format!("--{name}"), value))
        };
        flags.into_iter().filter_map(set).collect()
    }
}

/// Runs the command.
pub fn run(args: &UpArgs, run: &Run) -> Result {
    for (flag, value) in [("--upstream", &args.upstream), ("--bus", &args.bus)] {
        if value.is_some() {
            return Err(not_built(flag));
        }
    }
    let store = run.settings.text("store").unwrap_or_default();
    if store != "sqlite" {
        return Err(match store.split_once("://") {
            Some(("postgres" | "postgresql", _)) => not_built("the store postgres://"),
            _ => Failure::usage_hint(
                format!("there is no store {store:?}"),
                "the store is sqlite",
            ),
        });
    }
    node::start_logging(&run.settings);
    // The data directory may have been made by others, with an open mode.
    system::make_files_private();
    system::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
    let ended = runtime.block_on(serve(run));
    // What is left was told to stop and did not: it must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    ended
}

async fn serve(run: &Run) -> Result {
    let cannot =
        |error: std::io::Error| Failure::usage(format!("cannot wait for signals: {error}"));
    let mut term = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut int = signal(SignalKind::interrupt()).map_err(cannot)?;
    let node = Node::open(run).await?;
    welcome(run, &node).await?;
    node.serve(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        // Whoever asks twice does not want to wait.
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            std::process::exit(exit::INTERRUPTED.into());
        });
    })
    .await
}

async fn welcome(run: &Run, node: &Node) -> Result {
    let url = format!("http://{}", node.address);
    let socket = place::socket(&run.settings.data(), &run.environment)
        .display()
        .to_string();
    if run.output.is_json() {
        let members = [
            ("ready", Json::from(url)),
            ("socket", Json::from(socket)),
            (
                "data",
                Json::from(run.settings.data().display().to_string()),
            ),
            ("version", Json::from(env!("CARGO_PKG_VERSION"))),
        ];
        return run
            .output
            .row(&Json::Object(members.into_iter().collect::<Object>()));
    }
    node::say_opened(run, node.opened);
    if !node.address.ip().is_loopback() {
        run.output.warn(format!(
            "{} is open to the network and does not encrypt: put a proxy with TLS before it",
            node.address
        ));
    }
    run.output.say(node::headline(run, node.contexts().await));
    let data = run
        .settings
        .entry("data")
        .map(|entry| entry.origin.to_string());
    let data = if data.as_deref() == Some("default") {
        String::new()
    } else {
        format!(" --data {}", show::for_shell(&run.settings.data()))
    };
    for (what, how) in [
        (
            "agents",
            format!("claude mcp add syncline -- syncline mcp{data}"),
        ),
        ("look", format!("syncline watch{data}")),
        ("key", format!("syncline key{data}")),
    ] {
        run.output
            .say(Line::new().text("  ").cell(Style::Dim, what, 9).text(how));
    }
    run.output.raw(&format!("ready {url}\n"))
}
