//! `syncline mcp`

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use syncline_api::{Code, Problem};
use syncline_client::{Client, Target};
use syncline_mcp::McpOptions;

use crate::failure::{Failure, Result};
use crate::run::Run;
use crate::show;

/// Serve an agent's program over MCP on stdin and stdout.
///
/// It uses the machine's node, and starts it where it does not run. Nothing but the protocol is
/// written to stdout.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  claude mcp add syncline -- syncline mcp")]
pub struct McpArgs {
    /// Do not start a node where none runs.
    #[arg(long)]
    pub no_start: bool,
}

/// How long a node that was started here may take until it answers.
const START_MAX: Duration = Duration::from_secs(10);
/// How long to wait between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// Runs the command.
pub async fn run(args: &McpArgs, run: &Run) -> Result {
    let client = run.client()?;
    if !args.no_start && matches!(run.target(), Target::Socket(_)) {
        start_node(run, &client).await?;
    }
    let options = client.options();
    let options = McpOptions {
        agent: options.agent.clone(),
        session: options.session.clone(),
    };
    Ok(syncline_mcp::run(client, options, tokio::io::stdin(), tokio::io::stdout()).await?)
}

/// Starts the machine's node if it does not run, and waits until it answers.
async fn start_node(run: &Run, client: &Client) -> Result {
    match client.status().await {
        Err(problem) if problem.code == Code::Unreachable => {}
        _ => return Ok(()),
    }
    let data = run.settings.data();
    let mut node = spawn(run, &data)?;
    let deadline = tokio::time::Instant::now() + START_MAX;
    while tokio::time::Instant::now() < deadline {
        if client.status().await.is_ok() {
            return Ok(());
        }
        // Another program may have been quicker: then ours ends, and that one answers.
        if let Ok(Some(ended)) = node.try_wait() {
            tokio::time::sleep(LOOK * 10).await;
            if client.status().await.is_ok() {
                return Ok(());
            }
            let what = format!("the node did not start ({ended})");
            return Err(not_started(what, &data));
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(not_started(
        "the node did not start in time".to_owned(),
        &data,
    ))
}

fn not_started(what: String, data: &Path) -> Failure {
    Problem::new(Code::Unreachable, what)
        .hint(format!(
            "see why: syncline up --data {}",
            show::for_shell(data)
        ))
        .into()
}

fn spawn(run: &Run, data: &Path) -> Result<std::process::Child> {
    let failed = |error: std::io::Error| Failure::usage(format!("cannot start the node: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.arg("--data").arg(data);
    if let Some(config) = &run.settings.file {
        command.arg("--config").arg(config);
    }
    command
        .arg("up")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // A group of its own: the node outlives the agent's program and its Ctrl-C.
    command.process_group(0).spawn().map_err(failed)
}
