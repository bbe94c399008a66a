//! `syncline verify`

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Args;
use syncline_api::Code;
use syncline_model::json::{Json, Object};
use syncline_store::{Store as _, VerifyReport, VerifyStep};

use crate::failure::{Failure, Result};
use crate::node;
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// Check all that is stored against its hashes; exit code 1 if something is rotten.
///
/// It reads the data directory itself, so the node must not run; a copy may be checked any time.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline verify --data ~/backup/syncline")]
pub struct VerifyArgs {}

/// Runs the command.
pub fn run(_: &VerifyArgs, run: &Run) -> Result {
    let data = run.settings.data();
    if !data.join("syncline.db").exists() {
        return Err(Failure::usage_hint(
            format!("there is no database in {}", data.display()),
            "name the node's data directory with --data",
        ));
    }
    let report = run.block_on(async {
        let store = node::open_store(&data, 1, Default::default()).map_err(running)?;
        let told = Mutex::new(Instant::now());
        let progress = |step: VerifyStep| tell(run, &told, &step);
        let report = store.verify(&progress).await;
        let closed = store.close().await;
        let report = report.map_err(|error| Failure::usage(format!("cannot verify: {error}")))?;
        if let Err(error) = closed {
            run.output
                .warn(format!("the store did not close cleanly: {error}"));
        }
        Ok(report)
    })?;
    show_report(run, &report)?;
    if report.problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::No)
    }
}

/// A node that runs has the directory to itself.
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

fn show_report(run: &Run, report: &VerifyReport) -> Result {
    if run.output.is_json() {
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
        return run
            .output
            .document(&Json::Object(members.into_iter().collect::<Object>()));
    }
    for problem in &report.problems {
        run.output
            .line(Line::new().styled(Style::Red, "rotten  ").text(problem))?;
    }
    let (mark, word, style) = match report.problems.is_empty() {
        true => ("✅ ", "sound", Style::Green),
        false => ("🔴 ", "rotten", Style::Red),
    };
    run.output
        .line(Line::new().text(mark).styled(style, word).text(format!(
            "   {}, {}, {}",
            show::count(report.records, "record"),
            show::count(report.contexts, "context"),
            show::count(report.documents, "document hash").replace("hashs", "hashes"),
        )))
}
