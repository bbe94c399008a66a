//! `syncline verify`

use std::io::IsTerminal as _;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Args;
use syncline_api::Code;
use syncline_client::Target;
use syncline_model::json::{Json, Object};
use syncline_store::{VerifyReport, VerifyStep};
use syncline_store_sqlite::Untouched;

use crate::failure::{Failure, Result};
use crate::node;
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// Check all that is stored against its hashes; exit code 1 if something is rotten.
///
/// A node that runs checks itself, and goes on serving meanwhile. Where none runs the data
/// directory is read here, and not a byte of it is changed: a backup stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  syncline verify\n  syncline verify --data ~/backup/syncline")]
pub struct VerifyArgs {}

/// Runs the command.
pub async fn run(_: &VerifyArgs, run: &Run) -> Result {
    let report = match run.target() {
        Target::Socket(path) if UnixStream::connect(&path).is_err() => {
            verify_directory(run).await?
        }
        _ => run.client()?.verify().await?,
    };
    show_report(run, &report)?;
    if is_sound(&report) {
        Ok(())
    } else {
        Err(Failure::No)
    }
}

fn is_sound(report: &Json) -> bool {
    report.get("sound").and_then(Json::as_bool) == Some(true)
}

/// Checks a directory that no node has, and changes nothing in it.
async fn verify_directory(run: &Run) -> Result<Json> {
    let data = run.settings.data();
    if !data.join("syncline.db").exists() {
        return Err(Failure::usage_hint(
            format!("there is no database in {}", data.display()),
            "name the node's data directory with --data",
        ));
    }
    let found = Untouched::open(&data).map_err(|error| running(node::refused(&data, error)))?;
    if found.is_copy() {
        run.output
            .say("the directory is a copy: a node that starts on it takes a new epoch");
    }
    let told = Mutex::new(Instant::now());
    let progress = |step: VerifyStep| tell(run, &told, &step);
    let report = found.verify(&progress).await;
    let report = report.map_err(|error| running(node::refused(&data, error)))?;
    Ok(json_of(&report))
}

/// Writes a report as the node's door does.
fn json_of(report: &VerifyReport) -> Json {
    let problems: Json = report
        .problems
        .iter()
        .map(|line| Json::from(line.as_str()))
        .collect();
    let members = [
        ("sound", Json::from(report.problems.is_empty())),
        ("workspaces", Json::from(report.workspaces)),
        ("records", Json::from(report.records)),
        ("contexts", Json::from(report.contexts)),
        ("documents", Json::from(report.documents)),
        ("problems", problems),
    ];
    Json::Object(members.into_iter().collect::<Object>())
}

/// A node that has the directory to itself and yet does not answer on its socket.
fn running(failure: Failure) -> Failure {
    match failure {
        Failure::Problem(problem) if problem.code == Code::Unavailable => problem
            .hint("stop that node, and verify then; or verify a copy that was made of it")
            .into(),
        other => other,
    }
}

/// Says how far it is, at most once a second.
fn tell(run: &Run, told: &Mutex<Instant>, step: &VerifyStep) {
    let Ok(mut told) = told.lock() else { return };
    if run.output.is_json()
        || told.elapsed() < Duration::from_secs(1)
        || !std::io::stderr().is_terminal()
    {
        return;
    }
    *told = Instant::now();
    let VerifyStep {
        workspace,
        checked,
        total,
    } = step;
    run.output.say(Line::new().styled(
        Style::Dim,
        format!(
            "{workspace}: {} of {} records",
            show::number(*checked),
            show::number(*total)
        ),
    ));
}

fn show_report(run: &Run, report: &Json) -> Result {
    if run.output.is_json() {
        return run.output.document(report);
    }
    let problems = report.get("problems").and_then(Json::as_array);
    for problem in problems.unwrap_or_default().iter().filter_map(Json::as_str) {
        run.output
            .line(Line::new().styled(Style::Red, "rotten  ").text(problem))?;
    }
    let (mark, word, style) = match is_sound(report) {
        true => ("✅ ", "sound", Style::Green),
        false => ("🔴 ", "rotten", Style::Red),
    };
    let number = |name| report.get(name).and_then(Json::as_u64).unwrap_or(0);
    run.output
        .line(Line::new().text(mark).styled(style, word).text(format!(
            "   {}, {}, {}",
            show::count(number("records"), "record"),
            show::count(number("contexts"), "context"),
            show::count(number("documents"), "document hash").replace("hashs", "hashes"),
        )))
}
