//! `syncline demo`

pub mod agent;
mod check;
mod notebook;
mod processes;
mod report;
mod scenario;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use syncline_api::{Scope, ServerMessage, Subscribe};
use syncline_client::{Client, ClientOptions, Event, Live, LiveReader, Submitter, Target};

use check::{Delivered, Summary, Told};
use processes::{Folder, NodeProcess};
use report::{Report, now_us};
use scenario::AGENTS;

use super::watch::change_line;
use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::place;
use crate::run::Run;

/// See it work: agents on one feature, on a node of its own.
///
/// It starts a node in a temporary folder, lets agents (processes of their own) work through a
/// scenario over WebSocket and HTTP, follows them with a watcher, and at the end reads everything
/// again: what was acknowledged must be stored and delivered. Exit code 1 if it is not.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline demo\n  syncline demo --input events.jsonl.zst --agents 8 --speed 5"
)]
pub struct DemoArgs {
    /// Replay recorded rows (as `import` reads them) instead of the scenario.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// How many agents replay.
    #[arg(long, value_name = "N", requires = "input", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub agents: Option<u16>,
    /// How fast: 2 is twice as fast, 0 does not wait at all.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Replay only the first rows.
    #[arg(long, value_name = "N", requires = "input")]
    pub limit: Option<u64>,
    /// Keep the node's data in this new folder.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "a number is meant".to_owned())?;
    let good = speed.is_finite() && (0.0..=10_000.0).contains(&speed);
    if good {
        Ok(speed)
    } else {
        Err("0 to 10000 is meant".to_owned())
    }
}

/// Rows that a replay takes unless it is told otherwise: some ten seconds at speed 1.
const LIMIT: u64 = 1_000;
/// How long the watcher may be behind the last acknowledgement.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);

/// Runs the command.
pub async fn run(args: &DemoArgs, run: &Run) -> Result {
    if let Some(input) = &args.input {
        // Each agent reads the file by itself; one that cannot be read is told before they start.
        if input.as_os_str() == "-" {
            return Err(Failure::usage(
                "--input takes a file, since each agent reads it",
            ));
        }
        agent::check_input(input)?;
    }
    let folder = Folder::make(args.keep.as_deref())?;
    let node = NodeProcess::start(&folder).await?;
    let token = place::owner_key(folder.path()).ok();
    let over_tcp = ClientOptions {
        token,
        ..ClientOptions::default()
    };
    let client = Client::connect(Target::Url(node.url.clone()), over_tcp)?;
    say(
        run,
        &format!("a node at {}, in {}", node.url, folder.path().display()),
    );

    let delivered = Arc::new(Mutex::new(Delivered::default()));
    // The handle keeps the watcher's connection for as long as it is held.
    let (_watching, watcher) = watch(run, &folder, &delivered).await?;
    let count = args
        .input
        .as_ref()
        .map_or(AGENTS.len(), |_| args.agents.unwrap_or(4).into());
    let told = let_work(args, run, &folder, &node, count).await?;
    catch_up(&delivered, told.acknowledged.len()).await;
    let stored = check::read_again(&client).await?;
    watcher.abort();
    let delivered = std::mem::take(&mut *delivered.lock().unwrap_or_else(PoisonError::into_inner));
    let summary = Summary {
        told,
        stored,
        delivered,
        agents: count,
    };
    let equal = summary.show(run)?;
    node.stop().await;
    if equal { Ok(()) } else { Err(Failure::No) }
}

fn say(run: &Run, text: &str) {
    if !run.output.is_json() {
        run.output
            .say(Line::new().styled(Style::Dim, format!("-- {text} --")));
    }
}

/// Follows the whole workspace, shows each change, and takes down when it came.
async fn watch(
    run: &Run,
    folder: &Folder,
    delivered: &Arc<Mutex<Delivered>>,
) -> Result<(Submitter, tokio::task::JoinHandle<()>)> {
    let target = Target::Socket(place::socket(folder.path(), &run.environment));
    let (submitter, mut reader) = Live::open(&target, ClientOptions::default())
        .await?
        .into_parts();
    let subscribe = Subscribe::new("watcher", Scope::workspace());
    submitter.subscribe(subscribe).await?;
    // No agent starts before the watcher listens.
    while let Some(event) = reader.next().await {
        match event {
            Event::Message {
                message: ServerMessage::Subscribed { .. },
                ..
            } => break,
            Event::Refused { problem, .. } | Event::Closed(problem) => return Err(problem.into()),
            _ => {}
        }
    }
    Ok((
        submitter,
        tokio::spawn(follow(run.clone(), reader, delivered.clone())),
    ))
}

async fn follow(run: Run, mut reader: LiveReader, delivered: Arc<Mutex<Delivered>>) {
    while let Some(event) = reader.next().await {
        let now = now_us();
        let mut delivered = delivered.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Message {
                message: ServerMessage::Change { change, .. },
                json,
            } => {
                delivered.hear(&change, now);
                drop(delivered);
                // A reader of the demo that went away does not end the demo.
                let _ = match run.output.is_json() {
                    true => run.output.row(json.get("change").unwrap_or(&json)),
                    false => run.output.line(change_line(&change)),
                };
            }
            Event::Hole { expected, got, .. } => {
                delivered
                    .faults
                    .push(format!("the watcher missed change {expected} (got {got})"));
            }
            _ => {}
        }
    }
}

/// Starts the agents, and takes down what they tell until all have ended.
async fn let_work(
    args: &DemoArgs,
    run: &Run,
    folder: &Folder,
    node: &NodeProcess,
    count: usize,
) -> Result<Told> {
    let (tell, mut hear) = tokio::sync::mpsc::channel(1_024);
    for index in 0..count {
        let mut arguments = vec![
            "demo-agent".to_owned(),
            format!("--index={index}"),
            format!("--agents={count}"),
            format!("--tcp={}", node.url),
            format!("--speed={}", args.speed),
        ];
        if let Some(input) = &args.input {
            arguments.push(format!("--input={}", input.display()));
            arguments.push(format!("--limit={}", args.limit.unwrap_or(LIMIT)));
        }
        processes::start_agent(folder, arguments, tell.clone())?;
    }
    drop(tell);
    say(
        run,
        &format!("{count} agents start, each a process of its own"),
    );
    let mut told = Told::default();
    while let Some(line) = hear.recv().await {
        match line {
            Ok(report) => {
                if let Report::Clash { context } = &report {
                    say(
                        run,
                        &format!("{context}: the head had moved; the agent reads again"),
                    );
                }
                told.hear(report);
            }
            Err(why) => told.failed.push(why),
        }
    }
    Ok(told)
}

async fn catch_up(delivered: &Arc<Mutex<Delivered>>, expected: usize) {
    let deadline = tokio::time::Instant::now() + CATCH_UP_MAX;
    loop {
        let heard = delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .at_us
            .len();
        if heard >= expected || tokio::time::Instant::now() > deadline {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
