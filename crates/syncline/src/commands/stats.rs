//! `syncline stats`

use clap::Args;
use syncline_model::json::Json;
use syncline_model::time::Timestamp;

use crate::failure::Result;
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// How delivery's counts are called, in the order in which they are shown.
const DELIVERY: &[(&str, &str)] = &[
    ("changes_broadcast", "changes that were for a subscriber"),
    ("subscribers_notified", "deliveries"),
    (
        "deliveries_failed",
        "attempts that failed, or were given up",
    ),
    ("retries", "deliveries that were tried again"),
    ("waiting", "changes that wait to be delivered"),
    ("patches_sent", "patches sent in place of documents"),
    ("patch_bytes_saved", "bytes that these saved"),
    ("where_failed", "conditions that had no value"),
    ("bytes_sent", "bytes sent"),
    ("live_subscriptions", "live subscriptions"),
    ("dead", "dead letters of durable subscriptions"),
];

/// Show the node's numbers.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline stats --broadcasts 20")]
pub struct StatsArgs {
    /// Show the newest changes instead: whom each was for, and what became of that.
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "20",
          value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub broadcasts: Option<u32>,
}

/// Runs the command.
pub async fn run(args: &StatsArgs, run: &Run) -> Result {
    if let Some(limit) = args.broadcasts {
        return broadcasts(limit, run).await;
    }
    let stats = run.client()?.stats().await?;
    if run.output.is_json() {
        return run.output.document(&stats);
    }
    let mut rows = Vec::new();
    flatten("", &stats, &mut rows);
    let delivery = stats.get("delivery");
    let named = DELIVERY.iter().filter_map(|(name, words)| {
        let count = delivery?.get(name)?.as_u64()?;
        Some(((*words).to_owned(), count.to_string()))
    });
    rows.extend(named);
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    for (name, value) in rows {
        run.output
            .line(Line::new().cell(Style::Dim, name, width + 2).text(value))?;
    }
    let subscribers = [
        ("live", "sub"),
        ("subscriptions", "name"),
        ("webhooks", "id"),
    ];
    for (way, name) in subscribers {
        let all = delivery.and_then(|delivery| delivery.get(way)?.as_array());
        for one in all.unwrap_or_default() {
            run.output.line(subscriber(way, name, one))?;
        }
    }
    Ok(())
}

/// Says of one subscriber how far it is.
fn subscriber(way: &str, name: &str, one: &Json) -> Line {
    let what = match way {
        "live" => "live subscription",
        "subscriptions" => "durable subscription",
        _ => "webhook",
    };
    let count = |name: &str| one.get(name).and_then(Json::as_u64).unwrap_or(0);
    let behind = match (count("behind"), count("outstanding")) {
        (0, 0) => Some("up to date".to_owned()),
        // It has read all, and what it read did not arrive.
        (0, _) => None,
        (1, _) => Some("1 change behind".to_owned()),
        (behind, _) => Some(format!("{behind} changes behind")),
    };
    let status = match show::text(one, "status") {
        "" | "active" => None,
        status => Some(status.to_owned()),
    };
    // What is off reads nothing, so what it has read says nothing.
    let behind = behind.filter(|words| status.is_none() || words != "up to date");
    let mut words: Vec<String> = status.into_iter().chain(behind).collect();
    let more = [
        ("outstanding", "outstanding"),
        ("in_flight", "in flight"),
        ("failed", "failed"),
        ("redelivered", "delivered again"),
        ("dead", "given up"),
        ("where_failed", "without a value for its condition"),
    ];
    for (name, word) in more.into_iter().filter(|&(name, _)| count(name) > 0) {
        words.push(format!("{} {word}", count(name)));
    }
    if one.get("lagging").and_then(Json::as_bool) == Some(true) {
        words.push("lagging".to_owned());
    }
    let mut called = show::text(one, name).to_owned();
    if way == "live" {
        called.push_str(&format!(" of connection {}", show::text(one, "connection")));
    }
    Line::new()
        .cell(Style::Dim, what, 22)
        .cell(Style::Cyan, called, 24)
        .text(words.join(", "))
}

async fn broadcasts(limit: u32, run: &Run) -> Result {
    let answer = run.client()?.broadcasts(limit).await?;
    if run.output.is_json() {
        return run.output.document(&answer);
    }
    let all = answer.get("broadcasts").and_then(Json::as_array);
    for one in all.unwrap_or_default() {
        let count = |name: &str| one.get(name).and_then(Json::as_u64).unwrap_or(0);
        let at = Timestamp::parse(show::text(one, "committed_at"));
        let ago = at.map(|at| show::ago(at, show::now())).unwrap_or_default();
        let mut words = format!("{} of {} delivered", count("delivered"), count("targets"));
        if count("failed") > 0 {
            words.push_str(&format!(", {} failed", count("failed")));
        }
        let conflicts = one.get("conflicts").and_then(Json::as_array);
        match conflicts.unwrap_or_default().len() {
            0 => {}
            1 => words.push_str(", 1 conflict"),
            many => words.push_str(&format!(", {many} conflicts")),
        }
        run.output.line(
            Line::new()
                .cell(Style::Dim, ago, 8)
                .cell(Style::Cyan, show::text(one, "context"), 32)
                .text(words),
        )?;
    }
    Ok(())
}

/// Lists every scalar with its dotted name; delivery has words of its own.
fn flatten(above: &str, value: &Json, rows: &mut Vec<(String, String)>) {
    let below = |name: &str| match above {
        "" => name.to_owned(),
        _ => format!("{above}.{name}"),
    };
    match value {
        Json::Object(members) => {
            members
                .iter()
                .filter(|(name, _)| !(above.is_empty() && *name == "delivery"))
                .for_each(|(name, value)| flatten(&below(name), value, rows));
        }
        Json::Array(items) => {
            let each = items.iter().enumerate();
            each.for_each(|(index, item)| flatten(&below(&index.to_string()), item, rows));
        }
        Json::String(text) => rows.push((above.to_owned(), text.to_string())),
        scalar => rows.push((above.to_owned(), scalar.to_text())),
    }
}
