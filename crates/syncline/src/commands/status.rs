//! `syncline status`

use clap::Args;
use syncline_model::json::Json;

use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// Tell how the node is; exit code 1 if it is not well.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline status --json")]
pub struct StatusArgs {}

/// Runs the command.
pub async fn run(_: &StatusArgs, run: &Run) -> Result {
    let status = run.client()?.status().await?;
    let healthy = status
        .get("healthy")
        .and_then(Json::as_bool)
        .unwrap_or(false);
    if run.output.is_json() {
        run.output.document(&status)?;
    } else {
        show_status(run, &status, healthy)?;
    }
    if healthy { Ok(()) } else { Err(Failure::No) }
}

/// The conflicts that wait.
const OPEN: &str = "conflicts_open";
/// What was given up.
const DEAD: &str = "dead_letters";
/// How far the last thinning came.
const COMPACTION: &str = "compaction";

/// Says how many conflicts wait.
fn conflicts(status: &Json) -> String {
    match status.get(OPEN).and_then(Json::as_u64) {
        None => String::new(),
        Some(open) => format!("   {} open", show::count(open, "conflict")),
    }
}

/// What has a word of its own, or none; whatever a newer node tells besides is shown as it is.
const SHOWN: [&str; 13] = [
    OPEN,
    DEAD,
    COMPACTION,
    "node",
    "version",
    "started_at",
    "now",
    "workspace",
    "epoch",
    "cursor",
    "healthy",
    "ready",
    "reasons",
];

/// Says how long the node runs, by its own clock.
fn since(status: &Json) -> String {
    let (started, now) = (show::time(status, "started_at"), show::time(status, "now"));
    let Some((started, now)) = started.zip(now) else {
        return String::new();
    };
    // What is long ago is told as a day.
    let ago = show::ago(started, now);
    let word = if ago.contains('-') { "since" } else { "for" };
    format!("   up {word} {ago}")
}

/// Says what the last compaction did, or why it ended early.
fn show_compaction(run: &Run, compaction: &Json) -> Result {
    let number = |name: &str| compaction.get(name).and_then(Json::as_u64).unwrap_or(0);
    let thinned = show::count(number("thinned"), "old version");
    let thinned = match number("framed") {
        0 => format!("thinned {thinned}"),
        framed => format!(
            "thinned {thinned}, framed {}",
            show::count(framed, "record")
        ),
    };
    let ended = show::time(compaction, "ended_at").map(|at| show::ago(at, show::now()));
    let line = match (ended, compaction.get("failed").and_then(Json::as_str)) {
        (None, _) => Line::new().text(format!("   compacting: {thinned} so far")),
        (Some(ago), None) => Line::new().styled(Style::Dim, format!("   {thinned}   {ago} ago")),
        (Some(ago), Some(why)) => Line::new().styled(
            Style::Red,
            format!("   compaction ended early {ago} ago, {thinned}: {why}"),
        ),
    };
    run.output.line(line)
}

/// Says what has dead letters, and how many: somebody must decide what becomes of them.
fn show_dead_letters(run: &Run, dead: &Json) -> Result {
    let total = dead.get("total").and_then(Json::as_u64).unwrap_or(0);
    if total == 0 {
        return Ok(());
    }
    let each = [("subscriptions", "subscription"), ("webhooks", "webhook")];
    let named = each.into_iter().flat_map(|(ways, way)| {
        let of = dead.get(ways).and_then(Json::as_object);
        let of = of.into_iter().flat_map(|of| of.iter());
        of.map(move |(name, count)| format!("{way} {name}: {}", count.to_text()))
    });
    let named: Vec<String> = named.collect();
    let text = format!(
        "   {}   {}",
        show::count(total, "dead letter"),
        named.join(", ")
    );
    run.output.line(Line::new().text(text))
}

fn show_status(run: &Run, status: &Json, healthy: bool) -> Result {
    let (mark, word, style) = match healthy {
        true => ("✅ ", "healthy", Style::Green),
        false => ("🔴 ", "unwell", Style::Red),
    };
    run.output.line(
        Line::new()
            .text(mark)
            .styled(style, word)
            .text(format!("   node {}", show::text(status, "node")))
            .text(format!("   Syncline {}", show::text(status, "version")))
            .text(since(status))
            .text(conflicts(status)),
    )?;
    let place = format!(
        "   workspace {}   epoch {}",
        show::text(status, "workspace"),
        show::text(status, "epoch")
    );
    run.output.line(Line::new().styled(Style::Dim, place))?;
    if status.get("ready").and_then(Json::as_bool) == Some(false) {
        let text = "   it is not ready: what it is asked for may be refused";
        run.output.line(Line::new().styled(Style::Red, text))?;
    }
    let reasons = status
        .get("reasons")
        .and_then(Json::as_array)
        .unwrap_or_default();
    for reason in reasons {
        let reason = reason
            .as_str()
            .map_or_else(|| reason.to_text(), str::to_owned);
        run.output
            .line(Line::new().styled(Style::Red, "   ").text(reason))?;
    }
    if let Some(dead) = status.get(DEAD) {
        show_dead_letters(run, dead)?;
    }
    if let Some(compaction) = status.get(COMPACTION) {
        show_compaction(run, compaction)?;
    }
    let others = status
        .as_object()
        .into_iter()
        .flat_map(|members| members.iter());
    for (name, value) in others.filter(|(name, _)| !SHOWN.contains(name)) {
        let value = value
            .as_str()
            .map_or_else(|| value.to_text(), str::to_owned);
        run.output.line(
            Line::new()
                .text("   ")
                .cell(Style::Dim, name, 18)
                .text(value),
        )?;
    }
    Ok(())
}
