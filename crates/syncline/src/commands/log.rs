//! `syncline log`

use clap::Args;
use syncline_api::WireChange;
use syncline_model::change::{ChangeType, Outcome};
use syncline_model::ids::Address;
use syncline_model::json::{Json, Pointer};

use crate::clean;
use crate::failure::Result;
use crate::output::{Line, Style};
use crate::pager::Pages;
use crate::run::{Run, parse_address};
use crate::show;

/// Show a context's history, the newest version first.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline log task/auth-42 --limit 5")]
pub struct LogArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// Go on from an earlier answer's `next`.
    #[arg(long, value_name = "NEXT")]
    pub page: Option<String>,
}

/// Runs the command.
pub async fn run(args: &LogArgs, run: &Run) -> Result {
    let page = args.page.as_deref();
    let answer = run
        .client()?
        .versions(&args.address, page, Some(args.limit))
        .await?;
    if run.output.is_json() {
        return run.output.document(&answer);
    }
    let versions = answer
        .get("versions")
        .and_then(Json::as_array)
        .unwrap_or_default();
    let mut pages = Pages::start(run.output);
    for version in versions {
        match WireChange::read(version, &Pointer::root()) {
            Ok(change) => pages.line(line(&change))?,
            Err(error) => run
                .output
                .warn(format!("a version cannot be shown: {error}")),
        }
    }
    drop(pages);
    let next = answer.get("next").filter(|next| !next.is_null());
    if let Some(next) = next {
        let next = next.as_str().map_or_else(|| next.to_text(), str::to_owned);
        run.output
            .say(Line::new().styled(Style::Dim, format!("there are more: --page {next}")));
    }
    Ok(())
}

fn line(change: &WireChange) -> Line {
    let what = match (change.kind, change.outcome) {
        (ChangeType::Create, _) => "created",
        (ChangeType::Delete, _) => "deleted",
        (ChangeType::Restore, _) => "restored",
        (ChangeType::Update, Outcome::Merged) => "merged",
        (ChangeType::Update, _) => "",
    };
    let style = if change.kind == ChangeType::Delete {
        Style::Red
    } else {
        Style::Green
    };
    let told = match &change.message {
        Some(message) => clean::shorten(message.lines().next().unwrap_or_default(), 80),
        None => changed(change),
    };
    Line::new()
        .text("●  ")
        .cell(Style::Bold, format!("v{}", change.version), 6)
        .cell(Style::Dim, show::ago(change.committed_at, show::now()), 8)
        .cell(Style::Plain, show::actor(&change.actor), 10)
        .text("  ")
        .styled(
            style,
            if what.is_empty() {
                String::new()
            } else {
                format!("{what}  ")
            },
        )
        .text(told)
}

/// Names the first paths that a change touched.
fn changed(change: &WireChange) -> String {
    let named: Vec<_> = change
        .changed
        .iter()
        .take(4)
        .map(ToString::to_string)
        .collect();
    let more = change.changed.len().saturating_sub(4);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    clean::shorten(&format!("{}{more}", named.join(" ")), 80)
}
